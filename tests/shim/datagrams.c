/*
 * datagrams.c - UDP in every form
 *
 * datagrams V4 OTHER4 V6 PORT LOCAL LOCALPORT: the pod's peers give back what they get with their own name before it; LOCAL
 * is an echo of this machine. One line for each call.
 */
#undef _FORTIFY_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "errno_name.h"

static uint16_t port;

static socklen_t address(struct sockaddr_storage *into, int family, const char *text, uint16_t number)
{
    memset(into, 0, sizeof(*into));
    if (family == AF_INET) {
        struct sockaddr_in *in = (struct sockaddr_in *)into;

        in->sin_family = AF_INET;
        in->sin_port = htons(number);
        inet_pton(AF_INET, text, &in->sin_addr);
        return sizeof(*in);
    }
    struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)into;
    char mapped[64];

    in6->sin6_family = AF_INET6;
    in6->sin6_port = htons(number);
    snprintf(mapped, sizeof(mapped), "::ffff:%s", text);
    inet_pton(AF_INET6, strchr(text, ':') ? text : mapped, &in6->sin6_addr);
    return sizeof(*in6);
}

static const char *shown(const struct sockaddr_storage *from, socklen_t length)
{
    static char text[INET6_ADDRSTRLEN + 8];
    char literal[INET6_ADDRSTRLEN] = "";

    if (!length)
        return "nowhere";
    if (from->ss_family == AF_INET)
        inet_ntop(AF_INET, &((const struct sockaddr_in *)from)->sin_addr, literal, sizeof(literal));
    else
        inet_ntop(AF_INET6, &((const struct sockaddr_in6 *)from)->sin6_addr, literal, sizeof(literal));
    snprintf(text, sizeof(text), "%s %d", literal, ntohs(((const struct sockaddr_in *)from)->sin_port));
    return text;
}

static int ready(int fd)
{
    struct pollfd wait = { .fd = fd, .events = POLLIN };

    return poll(&wait, 1, 10000) == 1;
}

static void hear(const char *what, int fd)
{
    struct sockaddr_storage from;
    socklen_t length = sizeof(from);
    char bytes[256];
    ssize_t count = ready(fd) ? recvfrom(fd, bytes, sizeof(bytes), 0, (struct sockaddr *)&from, &length) : -1;

    if (count < 0)
        printf("%s: %s\n", what, name(errno));
    else
        printf("%s: %.*s from %s\n", what, (int)count, bytes, shown(&from, length));
}

static void talk(const char *what, int fd, int family, const char *to, uint16_t number)
{
    struct sockaddr_storage peer;
    socklen_t length = address(&peer, family, to, number);

    errno = 77;
    if (sendto(fd, what, strlen(what), 0, (struct sockaddr *)&peer, length) < 0)
        printf("%s: sendto %s\n", what, name(errno));
    else if (errno != 77)
        printf("%s: errno was changed to %s\n", what, name(errno));
    else
        hear(what, fd);
}

static void ends(const char *what, int fd)
{
    struct sockaddr_storage peer, own;
    socklen_t length = sizeof(peer), own_length = sizeof(own);

    printf("%s: peer %s", what, getpeername(fd, (struct sockaddr *)&peer, &length) ? name(errno) : shown(&peer, length));
    if (!getsockname(fd, (struct sockaddr *)&own, &own_length)) {
        ((struct sockaddr_in *)&own)->sin_port = 0;
        printf(", own %s\n", shown(&own, own_length));
    }
}

static void connected(const char *what, int family, const char *to)
{
    struct sockaddr_storage peer;
    socklen_t length = address(&peer, family, to, port);
    int fd = socket(family, SOCK_DGRAM, 0);

    if (connect(fd, (struct sockaddr *)&peer, length)) {
        printf("%s: connect %s\n", what, name(errno));
    } else if (send(fd, what, strlen(what), 0) < 0) {
        printf("%s: send %s\n", what, name(errno));
    } else {
        hear(what, fd);
        ends(what, fd);
    }
    peer.ss_family = AF_UNSPEC;
    if (connect(fd, (struct sockaddr *)&peer, sizeof(peer)))
        printf("%s: disconnect %s\n", what, name(errno));
    talk("sent after a disconnect", fd, family, to, port);
    close(fd);
}

static int is(const struct sockaddr_storage *from, const struct sockaddr_storage *peer)
{
    const struct sockaddr_in *a = (const struct sockaddr_in *)from, *b = (const struct sockaddr_in *)peer;

    return a->sin_family == AF_INET && a->sin_port == b->sin_port && a->sin_addr.s_addr == b->sin_addr.s_addr;
}

static void messages(int fd, const char *first, const char *second)
{
    struct sockaddr_storage peers[2], from[2];
    char in[2][256];
    struct iovec out[2] = { { (char *)"one", 3 }, { (char *)"two", 3 } };
    struct iovec room[2] = { { in[0], sizeof(in[0]) }, { in[1], sizeof(in[1]) } };
    struct mmsghdr sent[2] = { 0 }, got[2] = { 0 };
    int count;

    for (int i = 0; i < 2; i++) {
        sent[i].msg_hdr.msg_name = peers + i;
        sent[i].msg_hdr.msg_namelen = address(peers + i, AF_INET, i ? second : first, port);
        sent[i].msg_hdr.msg_iov = out + i;
        got[i].msg_hdr.msg_name = from + i;
        got[i].msg_hdr.msg_namelen = sizeof(from[i]);
        got[i].msg_hdr.msg_iov = room + i;
        sent[i].msg_hdr.msg_iovlen = got[i].msg_hdr.msg_iovlen = 1;
    }
    printf("sendmsg: %zd\n", sendmsg(fd, &sent[0].msg_hdr, 0));
    count = ready(fd) ? (int)recvmsg(fd, &got[0].msg_hdr, 0) : -1;
    printf("recvmsg: %.*s from %s\n", count, in[0], shown(from, got[0].msg_hdr.msg_namelen));
    count = sendmmsg(fd, sent, 2, 0);
    printf("sendmmsg: %d, %u and %u bytes\n", count, sent[0].msg_len, sent[1].msg_len);
    count = 0;
    for (int i = 0; i < 2; i++) /* they come in any order */
        if (ready(fd))
            count += recvmmsg(fd, got, 1, 0, NULL) == 1 && (is(from, peers) || is(from, peers + 1));
    printf("recvmmsg: %d\n", count);
}

static void rooms(int fd, const char *to)
{
    struct sockaddr_storage peer;
    socklen_t length = address(&peer, AF_INET, to, port), small = 6;
    unsigned char cut[16];
    char bytes[64];

    memset(cut, 0xee, sizeof(cut));
    sendto(fd, "x", 1, 0, (struct sockaddr *)&peer, length);
    if (ready(fd) && recvfrom(fd, bytes, sizeof(bytes), 0, (struct sockaddr *)cut, &small) > 0)
        printf("a small room: length %u, the byte behind it %02x\n", small, cut[6]);
    sendto(fd, "y", 1, 0, (struct sockaddr *)&peer, length);
    if (ready(fd))
        printf("nobody asks where from: %zd bytes\n", recvfrom(fd, bytes, sizeof(bytes), 0, NULL, NULL));
}

int main(int count, char **words)
{
    if (count != 7)
        return 2;
    const char *v4 = words[1], *other = words[2], *v6 = words[3], *local = words[5];
    struct sockaddr_storage peer;
    int on = 1, status, fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    int six = socket(AF_INET6, SOCK_DGRAM, 0), only = socket(AF_INET6, SOCK_DGRAM, 0);

    port = (uint16_t)atoi(words[4]);
    setvbuf(stdout, NULL, _IONBF, 0);
    setsockopt(only, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on));
    talk("unconnected", fd, AF_INET, v4, port);
    talk("again", fd, AF_INET, v4, port);
    talk("to another peer by the same socket", fd, AF_INET, other, port);
    talk("to this machine by the same socket", fd, AF_INET, local, (uint16_t)atoi(words[6]));
    talk("v4-mapped", six, AF_INET6, v4, port);
    talk("IPv6", six, AF_INET6, v6, port);
    talk("IPv6 alone", only, AF_INET6, v6, port);
    connected("connected", AF_INET, v4);
    connected("connected, v4-mapped", AF_INET6, v4);
    connected("connected, IPv6", AF_INET6, v6);
    messages(fd, v4, other);
    rooms(fd, v4);
    address(&peer, AF_INET, v4, port);
    sendto(fd, "child", 5, 0, (struct sockaddr *)&peer, sizeof(struct sockaddr_in));
    if (!fork()) {
        hear("what a child receives", fd);
        _exit(0);
    }
    wait(&status);
    address(&peer, AF_INET, "224.0.0.251", 5353);
    setsockopt(fd, IPPROTO_IP, IP_MULTICAST_LOOP, &on, sizeof(on));
    printf("multicast stays here: %s\n", sendto(fd, "m", 1, 0, (struct sockaddr *)&peer, 16) == 1 || errno == ENETUNREACH ? "ok" : name(errno));
    printf("sendto nowhere: %s\n", sendto(fd, "m", 1, 0, (struct sockaddr *)&peer, 3) < 0 ? name(errno) : "sent");
    return 0;
}
