/*
 * names.c - names asked for in every way; one line for each
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

/* Not in every libc. */
#ifndef NETDB_INTERNAL
#define NETDB_INTERNAL (-1)
#endif
#ifndef EAI_ADDRFAMILY
#define EAI_ADDRFAMILY (-9)
#endif

#define ENTRY(code) case code: return #code

static const char *eai(int code)
{
    switch (code) {
        ENTRY(EAI_NONAME);
        ENTRY(EAI_AGAIN);
        ENTRY(EAI_FAIL);
        ENTRY(EAI_FAMILY);
        ENTRY(EAI_SERVICE);
        ENTRY(EAI_SOCKTYPE);
        ENTRY(EAI_BADFLAGS);
        ENTRY(EAI_ADDRFAMILY);
        ENTRY(EAI_OVERFLOW);
    default:
        return "EAI_OTHER";
    }
}

static const char *herror_name(int code)
{
    switch (code) {
        ENTRY(HOST_NOT_FOUND);
        ENTRY(TRY_AGAIN);
        ENTRY(NO_RECOVERY);
        ENTRY(NO_DATA);
        ENTRY(NETDB_INTERNAL);
    default:
        return "other";
    }
}

static void info(const char *title, const char *node, const char *service, const struct addrinfo *hints)
{
    struct addrinfo *list = NULL;
    int code;

    errno = 12345;
    code = getaddrinfo(node, service, hints, &list);
    printf("%s:", title);
    if (code)
        printf(" %s", eai(code));
    else if (errno != 12345)
        printf(" (errno changed)");
    for (struct addrinfo *each = list; each; each = each->ai_next) {
        char host[NI_MAXHOST], port[NI_MAXSERV];

        getnameinfo(each->ai_addr, each->ai_addrlen, host, sizeof(host), port, sizeof(port),
                    NI_NUMERICHOST | NI_NUMERICSERV);
        printf(" %s/%s/%s", host, port,
               each->ai_socktype == SOCK_STREAM  ? "tcp"
               : each->ai_socktype == SOCK_DGRAM ? "udp"
                                                 : "raw");
        if (each->ai_canonname)
            printf("=%s", each->ai_canonname);
    }
    printf("\n");
    if (!code)
        freeaddrinfo(list);
}

static void hints(const char *title, const char *node, const char *service, int family, int type, int flags)
{
    struct addrinfo wanted = { .ai_family = family, .ai_socktype = type, .ai_flags = flags };

    info(title, node, service, &wanted);
}

static void host(const char *title, struct hostent *result, int error)
{
    printf("%s:", title);
    if (!result) {
        printf(" %s\n", herror_name(error));
        return;
    }
    printf(" %s", result->h_name);
    for (char **each = result->h_addr_list; *each; each++) {
        char text[INET6_ADDRSTRLEN];

        printf(" %s", inet_ntop(result->h_addrtype, *each, text, sizeof(text)));
    }
    printf("\n");
}

static void small_buffers(void)
{
    struct hostent room, *result;
    int error, code, refused = 0;
    size_t size = 0;

    do {
        char *buffer = malloc(size + 1); /* of exactly this size, so that a sanitizer or valgrind sees an overrun */

        code = gethostbyname_r("both", &room, buffer + 1, size, &result, &error);
        refused += code == ERANGE && !result && error == NETDB_INTERNAL;
        free(buffer);
        size++;
    } while (code && size < 1000);
    printf("small buffers: %s\n", refused == (int)size - 1 && size < 1000 ? "ERANGE, then 0" : "wrong");
}

static void named(const char *title, const char *address, int flags)
{
    struct sockaddr_in in = { .sin_family = AF_INET, .sin_port = htons(80) };
    char text[NI_MAXHOST], service[NI_MAXSERV];
    int code;

    inet_pton(AF_INET, address, &in.sin_addr);
    code = getnameinfo((struct sockaddr *)&in, sizeof(in), text, sizeof(text), service, sizeof(service), flags);
    if (code)
        printf("%s: %s\n", title, eai(code));
    else
        printf("%s: %s %s\n", title, text, service);
}

int main(void)
{
    struct hostent room, *result;
    char buffer[1024];
    struct in_addr in;
    int error = 0, code;

    info("NULL hints", "hello", "80", NULL);
    info("NULL hints, no service", "hello", NULL, NULL);
    info("NULL hints, unknown", "absent", "80", NULL);
    hints("all addresses", "both", "80", AF_UNSPEC, SOCK_STREAM, 0);
    hints("IPv4", "both", "80", AF_INET, SOCK_STREAM, 0);
    hints("IPv6", "both", "80", AF_INET6, SOCK_STREAM, 0);
    hints("IPv6 of an IPv4 name", "hello", "80", AF_INET6, SOCK_STREAM, 0);
    hints("v4-mapped", "hello", "80", AF_INET6, SOCK_STREAM, AI_V4MAPPED);
    hints("v4-mapped and all", "both", "80", AF_INET6, SOCK_STREAM, AI_V4MAPPED | AI_ALL);
    hints("v4-mapped, IPv6 there", "both", "80", AF_INET6, SOCK_STREAM, AI_V4MAPPED);
    hints("ADDRCONFIG", "both", "80", AF_UNSPEC, SOCK_STREAM, AI_ADDRCONFIG);
    hints("canonical name", "both", "80", AF_UNSPEC, SOCK_STREAM, AI_CANONNAME);
    hints("numeric host of a name", "hello", "80", AF_UNSPEC, SOCK_STREAM, AI_NUMERICHOST);
    hints("literal", "10.1.2.3", "80", AF_UNSPEC, SOCK_STREAM, 0);
    hints("literal, IPv6", "2001:db8::9", "80", AF_UNSPEC, SOCK_STREAM, 0);
    hints("literal, odd", "10.1", "80", AF_UNSPEC, SOCK_STREAM, 0);
    hints("literal of another family", "10.1.2.3", "80", AF_INET6, SOCK_STREAM, 0);
    hints("passive", NULL, "80", AF_INET, SOCK_STREAM, AI_PASSIVE);
    hints("NULL node", NULL, "80", AF_INET, SOCK_STREAM, 0);
    hints("empty node", "", "80", AF_INET, SOCK_STREAM, 0);
    hints("service by name", "hello", "http", AF_UNSPEC, SOCK_STREAM, 0);
    hints("service that is unknown", "hello", "no-such-service", AF_UNSPEC, SOCK_STREAM, 0);
    hints("service, numeric only", "hello", "http", AF_UNSPEC, SOCK_STREAM, AI_NUMERICSERV);
    hints("datagrams", "hello", "53", AF_UNSPEC, SOCK_DGRAM, 0);
    hints("bad flags", "hello", "80", AF_UNSPEC, SOCK_STREAM, 1 << 30);
    hints("bad family", "hello", "80", 77, SOCK_STREAM, 0);
    hints("bad type", "hello", "80", AF_UNSPEC, 77, 0);
    hints("again", "x.again", "80", AF_UNSPEC, SOCK_STREAM, 0);
    hints("fail", "x.fail", "80", AF_UNSPEC, SOCK_STREAM, 0);
    hints("a name with a blank", "a b", "80", AF_UNSPEC, SOCK_STREAM, 0);
    hints("a name in another script", "h\xc3\xa9llo", "80", AF_UNSPEC, SOCK_STREAM, 0);
    hints("localhost", "localhost", "80", AF_INET, SOCK_STREAM, 0);
    hints("trailing dot", "hello.default.", "80", AF_UNSPEC, SOCK_STREAM, 0);
    memset(buffer, 'x', sizeof(buffer) - 1);
    buffer[sizeof(buffer) - 1] = '\0';
    hints("a name that is too long", buffer, "80", AF_UNSPEC, SOCK_STREAM, 0);

    result = gethostbyname("both");
    host("gethostbyname", result, h_errno);
    result = gethostbyname("absent");
    host("gethostbyname, unknown", result, h_errno);
    result = gethostbyname("x.again");
    host("gethostbyname, again", result, h_errno);
    result = gethostbyname("10.1.2.3");
    host("gethostbyname, literal", result, h_errno);
    result = gethostbyname("localhost");
    host("gethostbyname, localhost", result, h_errno);
    result = gethostbyname2("both", AF_INET6);
    host("gethostbyname2, IPv6", result, h_errno);
    code = gethostbyname_r("hello", &room, buffer, sizeof(buffer), &result, &error);
    host("gethostbyname_r", result, error);
    code = gethostbyname_r("absent", &room, buffer, sizeof(buffer), &result, &error);
    printf("gethostbyname_r returns %d for an unknown name\n", code);
    host("gethostbyname_r, unknown", result, error);
    code = gethostbyname_r("x.again", &room, buffer, sizeof(buffer), &result, &error);
    printf("gethostbyname_r returns %s\n", code == EAGAIN ? "EAGAIN" : "another");
    code = gethostbyname2_r("both", AF_INET6, &room, buffer, sizeof(buffer), &result, &error);
    host("gethostbyname2_r", result, error);
    small_buffers();

    inet_pton(AF_INET, "10.96.7.7", &in);
    result = gethostbyaddr(&in, sizeof(in), AF_INET);
    host("gethostbyaddr", result, h_errno);
    code = gethostbyaddr_r(&in, sizeof(in), AF_INET, &room, buffer, sizeof(buffer), &result, &error);
    printf("gethostbyaddr_r returns %d\n", code);
    host("gethostbyaddr_r", result, error);
    inet_pton(AF_INET, "127.0.0.1", &in);
    result = gethostbyaddr(&in, sizeof(in), AF_INET);
    host("gethostbyaddr, loopback", result, h_errno);
    named("getnameinfo", "10.96.7.7", NI_NUMERICSERV);
    named("getnameinfo, service", "10.96.7.7", 0);
    named("getnameinfo, name required", "10.96.7.7", NI_NAMEREQD | NI_NUMERICSERV);
    named("getnameinfo, loopback", "127.0.0.1", NI_NUMERICSERV);
    return 0;
}
