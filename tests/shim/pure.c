/*
 * pure.c - the parts of the shim that need no libc tricks, fed with what they should never see
 *
 * Linked with line.c and judge.c, and made with the address and undefined behaviour sanitizers.
 */
#include "../../shim/shim.h"

#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static uint32_t seed = 1;

static uint32_t chance(uint32_t sides)
{
    seed = seed * 1664525 + 1013904223;
    return (seed >> 8) % sides;
}

static void requests(void)
{
    struct line line;

    line_begin(&line, "connect");
    line_word(&line, "10.96.7.7");
    line_number(&line, 0);
    line_number(&line, 4294967295u);
    assert(line_end(&line));
    assert(line.length == 38 && !memcmp(line.bytes, "shim/1 connect 10.96.7.7 0 4294967295\n", 38));
}

static void broken_requests(void)
{
    static const char *const words[] = { "", " ", "a b", "a\n", "\x7f", "\xc3\xa9", "\t" };
    struct line line;
    char long_word[2000];

    for (size_t i = 0; i < sizeof(words) / sizeof(*words); i++) {
        line_begin(&line, "lookup");
        line_word(&line, words[i]);
        assert(!line_end(&line));
    }
    memset(long_word, 'x', sizeof(long_word) - 1);
    for (size_t length = 0; length < sizeof(long_word); length++) {
        char kept = long_word[length];

        long_word[length] = '\0';
        line_begin(&line, "v");
        line_word(&line, long_word);
        assert(line_end(&line) == (length > 0 && length + 10 <= REQUEST_BYTES));
        long_word[length] = kept;
    }
    line_begin(&line, "v");
    for (int i = 0; i < 1000; i++)
        line_word(&line, "x");
    assert(!line_end(&line) && line.length <= REQUEST_BYTES);
}

static void answers(void)
{
    char text[] = "connected  41001 41002 ", *cursor = text;
    uint32_t number = 7;

    assert(!strcmp(answer_word(&cursor), "connected"));
    assert(answer_number(answer_word(&cursor), 65535, &number) && number == 41001);
    assert(!answer_number(answer_word(&cursor), 41001, &number) && number == 41001);
    assert(!answer_word(&cursor) && !answer_word(&cursor));
    assert(!answer_number(NULL, 1, &number) && !answer_number("", 1, &number) && !answer_number("-1", 1, &number));
    assert(!answer_number("99999999999999999999999999999", UINT32_MAX, &number));
    assert(answer_number("4294967295", UINT32_MAX, &number) && number == UINT32_MAX);
    assert(!answer_number("4294967296", UINT32_MAX, &number));
}

static void random_answers(void)
{
    static const char alphabet[] = "abc 019-\xff\x01 ";

    for (int i = 0; i < 200000; i++) {
        size_t length = chance(60);
        char *text = malloc(length + 1), *cursor = text; /* of exactly this size, for the sanitizer */
        const char *word;
        uint32_t number;

        for (size_t at = 0; at < length; at++)
            text[at] = alphabet[chance(sizeof(alphabet) - 1)];
        text[length] = '\0';
        while ((word = answer_word(&cursor))) {
            assert(*word && !strchr(word, ' ') && word >= text && word < text + length);
            if (answer_number(word, 1000, &number))
                assert(number <= 1000);
            errno_of(word);
            eai_of(word);
        }
        free(text);
    }
}

static void random_addresses(void)
{
    for (int i = 0; i < 200000; i++) {
        size_t length = chance(sizeof(struct sockaddr_storage) + 1);
        unsigned char *bytes = malloc(length + !length);
        char text[INET6_ADDRSTRLEN];
        struct endpoint endpoint;
        const char *reason = NULL;

        for (size_t at = 0; at < length; at++)
            bytes[at] = (unsigned char)(chance(3) ? 0 : chance(256));
        if (length >= 2) {
            sa_family_t family = chance(3) ? AF_INET6 : AF_INET;

            memcpy(bytes, &family, sizeof(family));
        }
        if (endpoint_from(&endpoint, (struct sockaddr *)(void *)bytes, (socklen_t)length)) {
            assert(endpoint_text(&endpoint, text) && *text);
            assert(judge_endpoint(&endpoint, &reason) == VERDICT_ASK || reason);
        }
        free(bytes);
    }
}

static enum verdict judged(const char *text)
{
    struct sockaddr_in in = { .sin_family = AF_INET };
    struct sockaddr_in6 in6 = { .sin6_family = AF_INET6 };
    struct endpoint endpoint;
    const char *reason;

    if (inet_pton(AF_INET, text, &in.sin_addr) == 1)
        assert(endpoint_from(&endpoint, (struct sockaddr *)&in, sizeof(in)));
    else
        assert(inet_pton(AF_INET6, text, &in6.sin6_addr) == 1 &&
               endpoint_from(&endpoint, (struct sockaddr *)&in6, sizeof(in6) - 4));
    return judge_endpoint(&endpoint, &reason);
}

static void verdicts(void)
{
    static const char *const local[] = { "127.0.0.1", "127.255.0.3", "0.0.0.0", "::", "::1", "::ffff:127.0.0.1",
                                         "::ffff:0.0.0.0", "fe80::1", "febf::1" };
    static const char *const pod[] = { "10.96.7.7", "126.0.0.1", "128.0.0.1", "0.0.0.1", "1.1.1.1", "169.254.169.254",
                                       "::2", "::ffff:10.1.1.1", "fec0::1", "2001:db8::1", "::127.0.0.1" };
    const char *reason;

    for (size_t i = 0; i < sizeof(local) / sizeof(*local); i++)
        assert(judged(local[i]) == VERDICT_LOCAL);
    for (size_t i = 0; i < sizeof(pod) / sizeof(*pod); i++)
        assert(judged(pod[i]) == VERDICT_ASK);
    assert(judge_name("LOCALHOST", &reason) == VERDICT_LOCAL && judge_name("localhost.", &reason) == VERDICT_LOCAL);
    assert(judge_name("localhosts", &reason) == VERDICT_ASK && judge_name("x.localhost.default", &reason) == VERDICT_ASK);
}

static void codes(void)
{
    assert(errno_of("ECONNREFUSED") == ECONNREFUSED && errno_of("EHOSTUNREACH") == EHOSTUNREACH);
    assert(errno_of(NULL) == EIO && errno_of("") == EIO && errno_of("EIO") == EIO && errno_of("E") == EIO);
    assert(!strcmp(errno_name(ETIMEDOUT), "ETIMEDOUT") && !strcmp(errno_name(12345), "error"));
    assert(eai_of("EAI_AGAIN") == EAI_AGAIN && eai_of(NULL) == EAI_FAIL && eai_of("x") == EAI_FAIL);
}

int main(void)
{
    requests();
    broken_requests();
    answers();
    random_answers();
    random_addresses();
    verdicts();
    codes();
    printf("all right\n");
    return 0;
}
