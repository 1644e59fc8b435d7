/*
 * musl.c - what a program of a musl distribution asks of the cluster, by libc's own resolver, in one static program
 *
 * musl.c NAME... gets / of each name, and tells a Service's ports and a text by res_query(), and the name of an address
 * by getnameinfo().
 */
#include <netdb.h>
#include <netinet/in.h>
#include <arpa/nameser.h>
#include <resolv.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static int get(const char *name)
{
    struct addrinfo wanted = { .ai_socktype = SOCK_STREAM }, *found;
    char request[300], part[1024];
    int fd, why = getaddrinfo(name, "80", &wanted, &found);
    ssize_t count;

    if (why)
        return fprintf(stderr, "%s: %s\n", name, gai_strerror(why)), 1;
    fd = socket(found->ai_family, found->ai_socktype, 0);
    if (connect(fd, found->ai_addr, found->ai_addrlen))
        return perror(name), 1;
    freeaddrinfo(found);
    snprintf(request, sizeof(request), "GET / HTTP/1.0\r\nHost: %s\r\n\r\n", name);
    if (write(fd, request, strlen(request)) < 0)
        return perror(name), 1;
    while ((count = read(fd, part, sizeof(part))) > 0)
        fwrite(part, 1, (size_t)count, stdout);
    close(fd);
    return 0;
}

static int ask(const char *name, int type)
{
    unsigned char answer[4096];
    ns_msg message;
    int size = res_query(name, ns_c_in, type, answer, sizeof(answer));

    if (size < 0 || ns_initparse(answer, size, &message))
        return fprintf(stderr, "%s: no answer\n", name), 1;
    printf("%s %d: %d\n", name, type, ns_msg_count(message, ns_s_an));
    return 0;
}

/* By the address's own record (PTR). */
static int tell_name(const char *name)
{
    struct addrinfo *found;
    char back[300];
    int why = getaddrinfo(name, NULL, NULL, &found);

    if (!why) {
        why = getnameinfo(found->ai_addr, found->ai_addrlen, back, sizeof(back), NULL, 0, NI_NAMEREQD);
        freeaddrinfo(found);
    }
    if (why)
        return fprintf(stderr, "%s and back: %s\n", name, gai_strerror(why)), 1;
    printf("%s is %s\n", name, back);
    return 0;
}

int main(int count, char **names)
{
    for (int i = 1; i < count; i++)
        if (get(names[i]))
            return 1;
    return ask("_dns._udp.kube-dns.kube-system.svc.cluster.local", ns_t_srv) ||
           ask("dns-version.cluster.local", ns_t_txt) || tell_name("kube-dns.kube-system");
}
