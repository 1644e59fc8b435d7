/*
 * pure.c - the parts of the shim that need no libc tricks, fed with what they should never see
 *
 * Linked with line.c, judge.c and paths.c, and made with the address and undefined behaviour sanitizers.
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
    assert(line.length == 38 && !memcmp(line.bytes, "shim/2 connect 10.96.7.7 0 4294967295\n", 38));
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

static void joined(const char *directory, const char *path, const char *want)
{
    char room[64];

    strcpy(room, directory);
    assert(path_append(room, sizeof(room), path));
    if (strcmp(room, want))
        printf("%s + %s = %s, not %s\n", directory, path, room, want);
    assert(!strcmp(room, want) && path_is_plain(room));
}

static void paths(void)
{
    static const char *const plain[] = { "/", "/a", "/a/", "/a/b", "/...", "/.a", "/a.", "/a..", "/..a/b" };
    static const char *const others[] = { "", "a", "//", "/a//b", "/.", "/..", "/a/.", "/a/..", "/a/./b", "/a/../b", "/./a" };
    char room[8] = "/";

    for (size_t i = 0; i < sizeof(plain) / sizeof(*plain); i++)
        assert(path_is_plain(plain[i]));
    for (size_t i = 0; i < sizeof(others) / sizeof(*others); i++)
        assert(!path_is_plain(others[i]));
    assert(path_climbs("..") && path_climbs("a/..") && path_climbs("../a") && path_climbs("/a/../b"));
    assert(!path_climbs("") && !path_climbs("...") && !path_climbs("..a/b..") && !path_climbs("/a/./b"));
    joined("/a", "b", "/a/b");
    joined("/a/", "b/", "/a/b/");
    joined("/a", "/b", "/b");
    joined("/", "b", "/b");
    joined("/a/b", "../c", "/a/c");
    joined("/a/b", "../../../c", "/c");
    joined("/a/b", "..", "/a/");
    joined("/a/b", ".", "/a/b/");
    joined("/a", "b//c/./d", "/a/b/c/d");
    joined("/a", "../../..", "/");
    joined("/a", "//b/.../..c", "/b/.../..c");
    assert(path_append(room, sizeof(room), "12345/") && !strcmp(room, "/12345/"));
    assert(!path_append(room, sizeof(room), "6") && !path_append(room, sizeof(room), "/123456/"));
}

static void mounts(void)
{
    char words[] = "/data /h%20%25%C3%A9/data /data/in /other /b";
    const struct mount *found;
    struct mount list[4];
    char path[32];

    assert(mounts_parse(words, list, 4) == 2);
    assert(!strcmp(list[0].host, "/h %\xc3\xa9/data") && list[1].pod_length == 8 && list[1].host_length == 6);
    assert(!mount_of(list, 2, SIDE_POD, "/") && !mount_of(list, 2, SIDE_POD, "/database"));
    assert(mount_of(list, 2, SIDE_POD, "/data") == list && mount_of(list, 2, SIDE_POD, "/data/") == list);
    assert(mount_of(list, 2, SIDE_POD, "/data/in/x") == list + 1 && mount_of(list, 2, SIDE_POD, "/data/inn") == list);
    found = mount_of(list, 2, SIDE_HOST, "/other/x");
    assert(found == list + 1);
    strcpy(path, "/other/x");
    assert(mount_swap(found, SIDE_HOST, path, sizeof(path)) == 10 && !strcmp(path, "/data/in/x"));
    assert(mount_swap(found, SIDE_POD, path, sizeof(path)) == 8 && !strcmp(path, "/other/x"));
    assert(!mount_swap(found, SIDE_HOST, path, 10) && !strcmp(path, "/other/x"));
}

/* Whatever the session sends, mounts are canonical paths; whatever the program names, what comes out is one. */
static void random_paths(void)
{
    static const char *const parts[] = { "/", "a", "..", ".", "//", "%2F", "%00", "%", "%4", " ", "/data", "b" };

    for (int round = 0; round < 200000; round++) {
        size_t length = 0, size = 1 + chance(40);
        char *words = malloc(size), *room = malloc(size + 1);
        struct mount list[3];

        while (chance(12)) {
            const char *part = parts[chance(12)];

            if (length + strlen(part) + 1 > size)
                break;
            memcpy(words + length, part, strlen(part));
            length += strlen(part);
        }
        words[length] = '\0';
        strcpy(room, size > 2 && chance(2) ? "/d" : "/");
        if (path_append(room, size + 1, words)) {
            assert(path_is_plain(room) && !path_climbs(room) && strlen(room) <= size);
        }
        for (size_t count = mounts_parse(words, list, 3); count--;)
            assert(path_is_plain(list[count].pod) && path_is_plain(list[count].host) && list[count].pod_length > 1 &&
                   strlen(list[count].pod) == list[count].pod_length);
        free(words);
        free(room);
    }
}

int main(void)
{
    paths();
    mounts();
    random_paths();
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
