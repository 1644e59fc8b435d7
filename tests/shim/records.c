/*
 * records.c - the res_ functions, and names of addresses: one line for each call
 */
#undef _FORTIFY_SOURCE
#include <arpa/inet.h>
#include <arpa/nameser.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <resolv.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "errno_name.h"

static void told(const char *what, int size, const unsigned char *answer)
{
    if (size < 0)
        printf("%s: h_errno %d\n", what, h_errno);
    else
        printf("%s: %d bytes, %d records, rcode %d%s\n", what, size, answer[6] << 8 | answer[7], answer[3] & 15,
               answer[2] & 2 ? ", truncated" : "");
}

static void host(const char *what, const struct hostent *found)
{
    char text[INET6_ADDRSTRLEN] = "";

    if (!found)
        printf("%s: h_errno %d\n", what, h_errno);
    else
        printf("%s: %s %s %d\n", what, found->h_name,
               inet_ntop(found->h_addrtype, found->h_addr_list[0], text, sizeof(text)), found->h_addr_list[1] == NULL);
}

#ifdef __GLIBC__
static volatile sig_atomic_t signals;

static void on_signal(int number)
{
    (void)number;
    signals++;
}
#endif

static void names(void)
{
    struct sockaddr_in in = { .sin_family = AF_INET, .sin_port = htons(80) };
    struct sockaddr_in6 in6 = { .sin6_family = AF_INET6 };
    char text[NI_MAXHOST], service[NI_MAXSERV], buffer[2048];
    struct hostent room, *result;
    int code, error;

    inet_pton(AF_INET, "10.96.7.7", &in.sin_addr);
    inet_pton(AF_INET6, "2001:db8::7", &in6.sin6_addr);
    host("gethostbyaddr", gethostbyaddr(&in.sin_addr, 4, AF_INET));
    host("gethostbyaddr, IPv6", gethostbyaddr(&in6.sin6_addr, 16, AF_INET6));
    code = gethostbyaddr_r(&in.sin_addr, 4, AF_INET, &room, buffer, sizeof(buffer), &result, &error);
    printf("gethostbyaddr_r: %d %s\n", code, result ? result->h_name : "nothing");
    code = gethostbyaddr_r(&in.sin_addr, 4, AF_INET, &room, buffer, 20, &result, &error);
    printf("gethostbyaddr_r, a small room: %s %d\n", code == ERANGE ? "ERANGE" : "another", result == NULL);
    code = getnameinfo((struct sockaddr *)&in, sizeof(in), text, sizeof(text), service, sizeof(service), NI_NUMERICSERV);
    printf("getnameinfo: %d %s %s\n", code, text, service);
    code = getnameinfo((struct sockaddr *)&in, sizeof(in), text, 10, NULL, 0, 0);
    printf("getnameinfo, a small room: %s\n", code == EAI_OVERFLOW ? "EAI_OVERFLOW" : "another");
    inet_pton(AF_INET, "10.96.7.8", &in.sin_addr);
    host("gethostbyaddr, none", gethostbyaddr(&in.sin_addr, 4, AF_INET));
    code = getnameinfo((struct sockaddr *)&in, sizeof(in), text, sizeof(text), NULL, 0, 0);
    printf("getnameinfo, none: %d %s\n", code, text);
    code = getnameinfo((struct sockaddr *)&in, sizeof(in), text, sizeof(text), NULL, 0, NI_NAMEREQD);
    printf("getnameinfo, one is required: %s\n", code == EAI_NONAME ? "EAI_NONAME" : "another");
}

int main(void)
{
    unsigned char answer[4096], query[512];
    int size;

    errno = 77;
    size = res_query("_http._tcp.hello", C_IN, T_SRV, answer, sizeof(answer));
    told("res_query, SRV", size, answer);
    printf("errno stays: %d\n", errno == 77);
    told("res_query, TXT", res_query("hello", C_IN, T_TXT, answer, sizeof(answer)), answer);
    told("res_query, A", res_query("hello.", C_IN, T_A, answer, sizeof(answer)), answer);
    told("res_query, no such record", res_query("hello", C_IN, T_MX, answer, sizeof(answer)), answer);
    told("res_query, no such name", res_query("absent", C_IN, T_TXT, answer, sizeof(answer)), answer);
    told("res_query, no answer", res_query("x.again", C_IN, T_TXT, answer, sizeof(answer)), answer);
    told("res_query, no name", res_query("a..b", C_IN, T_TXT, answer, sizeof(answer)), answer);
    told("res_query, a long label",
         res_query("x123456789012345678901234567890123456789012345678901234567890123", C_IN, T_TXT, answer, 512), answer);
    told("res_query, a small room", res_query("hello", C_IN, T_TXT, answer, 40), answer);
    told("res_query, no room", res_query("hello", C_IN, T_TXT, answer, 4), answer);
    told("res_query, an escaped dot", res_query("hel\\108o", C_IN, T_TXT, answer, sizeof(answer)), answer);
    told("res_search", res_search("hello", C_IN, T_TXT, answer, sizeof(answer)), answer);
    told("res_querydomain", res_querydomain("_http._tcp", "hello", C_IN, T_SRV, answer, sizeof(answer)), answer);
    size = res_mkquery(QUERY, "hello", C_IN, T_TXT, NULL, 0, NULL, query, sizeof(query));
    told("res_send", res_send(query, size, answer, sizeof(answer)), answer);
    printf("the id is that of the query: %d\n", answer[0] == query[0] && answer[1] == query[1]);
    printf("res_send, no query: %d\n", res_send(query, 5, answer, sizeof(answer)));
    names();
#ifdef __GLIBC__
    struct __res_state state = { 0 };

    res_ninit(&state);
    told("res_nquery", res_nquery(&state, "hello", C_IN, T_TXT, answer, sizeof(answer)), answer);
    size = res_nsearch(&state, "absent", C_IN, T_TXT, answer, sizeof(answer));
    told("res_nsearch, no such name", size, answer);
    printf("its state: %d\n", state.res_h_errno);
    told("res_nquerydomain", res_nquerydomain(&state, "_http._tcp", "hello", C_IN, T_SRV, answer, sizeof(answer)), answer);
    told("res_nsend", res_nsend(&state, query, 23, answer, sizeof(answer)), answer);
    res_nclose(&state);

    struct gaicb one = { .ar_name = "hello" }, two = { .ar_name = "absent" }, *list[] = { &one, NULL, &two };
    struct sigevent event = { .sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR1 };

    signal(SIGUSR1, on_signal);
    printf("getaddrinfo_a: %d", getaddrinfo_a(GAI_NOWAIT, list, 3, &event));
    while (gai_suspend((const struct gaicb *const *)list, 3, NULL) == EAI_INTR)
        ;
    printf(", %d %d, %d signals\n", gai_error(&one), gai_error(&two) == EAI_NONAME, (int)signals);
    freeaddrinfo(one.ar_result);
#endif
    return 0;
}
