/*
 * descriptors.c - what programs do with descriptors, done to connections of the pod; one line for each
 *
 * descriptors ADDRESS PORT SHUT: an echo, and a port that refuses
 */
#include "errno_name.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

static struct sockaddr_in echo, shut, silent;

static int dial(const struct sockaddr_in *to, int flags)
{
    int fd = socket(AF_INET, SOCK_STREAM | flags, 0);

    if (connect(fd, (const struct sockaddr *)to, sizeof(*to)) && errno != EINPROGRESS)
        perror("connect");
    return fd;
}

/* Sends a word and says what comes back */
static void talk(const char *title, int fd, const char *word)
{
    char back[64] = "";

    if (write(fd, word, strlen(word)) != (ssize_t)strlen(word) || recv(fd, back, strlen(word), MSG_WAITALL) < 0)
        snprintf(back, sizeof(back), "%s", name(errno));
    printf("%s: %s\n", title, back);
    fflush(stdout);
}

static void duplicates(void)
{
    int fd = dial(&echo, 0), copy = dup(fd), other;

    close(fd);
    talk("dup, then close", copy, "one");
    other = dup2(copy, 200);
    close(copy);
    talk("dup2, then close", other, "two");
    close(other);
}

static void passed(void)
{
    int pair[2], fd = dial(&echo, 0);
    char byte = 'x', room[CMSG_SPACE(sizeof(int))] = "";
    struct iovec part = { &byte, 1 };
    struct msghdr message = { .msg_iov = &part, .msg_iovlen = 1, .msg_control = room, .msg_controllen = sizeof(room) };
    struct cmsghdr *header = CMSG_FIRSTHDR(&message);

    socketpair(AF_UNIX, SOCK_STREAM, 0, pair);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(sizeof(int));
    memcpy(CMSG_DATA(header), &fd, sizeof(fd));
    if (sendmsg(pair[0], &message, 0) != 1)
        perror("sendmsg");
    close(fd);
    if (!fork()) {
        struct sockaddr_in peer;
        socklen_t length = sizeof(peer);

        recvmsg(pair[1], &message, 0);
        memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&message)), sizeof(fd));
        getpeername(fd, (struct sockaddr *)&peer, &length);
        talk(inet_ntoa(peer.sin_addr), fd, "passed to another process");
        _exit(0);
    }
    wait(NULL);
    close(pair[0]);
    close(pair[1]);
}

static void forked(void)
{
    int fd = dial(&echo, 0);

    if (!fork()) {
        int own = dial(&echo, 0);

        talk("fork: inherited", fd, "child");
        talk("fork: its own", own, "child");
        _exit(0);
    }
    wait(NULL);
    talk("fork: parent", fd, "parent");
    close(fd);
}

static void standard_closed(void)
{
    if (!fork()) {
        int out = fcntl(1, F_DUPFD, 100);
        int fd;

        close(0);
        close(1);
        close(2);
        fd = dial(&echo, 0);
        dprintf(out, "0, 1 and 2 closed: connected as %d, next is %d\n", fd, dup(fd));
        _exit(0);
    }
    wait(NULL);
}

static void no_descriptors(void)
{
    if (!fork()) {
        struct rlimit limit = { 20, 20 };
        int fd, last = -1;

        setrlimit(RLIMIT_NOFILE, &limit);
        fd = socket(AF_INET, SOCK_STREAM, 0);
        while ((last = dup(0)) >= 0)
            ;
        errno = 0;
        connect(fd, (struct sockaddr *)&echo, sizeof(echo));
        printf("no descriptor left: %s\n", name(errno));
        fflush(stdout);
        _exit(0);
    }
    wait(NULL);
}

static void with_time_limit(void)
{
    struct timeval limit = { .tv_usec = 200 * 1000 };
    const struct sockaddr_in *targets[] = { &silent, &shut, &echo };
    int fd = -1;

    for (int i = 0; i < 3; i++) {
        int result;

        if (i != 2 || fd < 0)
            fd = socket(AF_INET, SOCK_STREAM, 0);
        limit.tv_sec = i ? 20 : 0;
        setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
        result = connect(fd, (const struct sockaddr *)targets[i], sizeof(*targets[i]));
        printf("SO_SNDTIMEO: %s\n", name(result ? errno : 0));
    }
    talk("SO_SNDTIMEO, the refused descriptor again", fd, "hello");
    printf("SO_SNDTIMEO, again: %s\n", name(connect(fd, (struct sockaddr *)&echo, sizeof(echo)) ? errno : 0));
    close(fd);
}

static void fast_open(void)
{
    int fd = socket(AF_INET, SOCK_STREAM, 0), on = 1;
    char back[8] = "";
    ssize_t sent = sendto(fd, "early", 5, MSG_FASTOPEN, (struct sockaddr *)&echo, sizeof(echo));

    recv(fd, back, 5, MSG_WAITALL);
    printf("sendto, MSG_FASTOPEN: %zd %s\n", sent, back);
    close(fd);

    fd = socket(AF_INET, SOCK_STREAM, 0);
    struct iovec part = { "early", 5 };
    struct msghdr message = { .msg_name = &shut, .msg_namelen = sizeof(shut), .msg_iov = &part, .msg_iovlen = 1 };

    sent = sendmsg(fd, &message, MSG_FASTOPEN);
    printf("sendmsg, MSG_FASTOPEN, refused: %s\n", name(sent < 0 ? errno : 0));
    message.msg_name = &echo;
    sent = sendmsg(fd, &message, MSG_FASTOPEN);
    memset(back, 0, sizeof(back));
    recv(fd, back, 5, MSG_WAITALL);
    printf("sendmsg, MSG_FASTOPEN: %zd %s\n", sent, back);
    sent = sendmsg(fd, &message, MSG_FASTOPEN);
    printf("sendmsg, MSG_FASTOPEN, again: %s\n", name(sent < 0 ? errno : 0));
    close(fd);

    fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    sent = sendto(fd, "early", 5, MSG_FASTOPEN, (struct sockaddr *)&echo, sizeof(echo));
    printf("sendto, MSG_FASTOPEN, non-blocking: %s\n", name(sent < 0 ? errno : 0));
    close(fd);

    fd = socket(AF_INET, SOCK_STREAM, 0);
    setsockopt(fd, IPPROTO_TCP, TCP_FASTOPEN_CONNECT, &on, sizeof(on));
    if (connect(fd, (struct sockaddr *)&echo, sizeof(echo)))
        perror("connect");
    talk("TCP_FASTOPEN_CONNECT", fd, "hello");
    close(fd);
}

static void on_alarm(int number)
{
    (void)number;
}

static void interrupted(void)
{
    struct sigaction action = { .sa_handler = on_alarm };
    struct itimerval soon = { .it_value.tv_usec = 100 * 1000 };
    int fd = socket(AF_INET, SOCK_STREAM, 0);

    sigaction(SIGALRM, &action, NULL);
    setitimer(ITIMER_REAL, &soon, NULL);
    connect(fd, (struct sockaddr *)&silent, sizeof(silent));
    printf("interrupted by a signal: %s\n", name(errno));
    printf("connected after it: %s\n", name(connect(fd, (struct sockaddr *)&echo, sizeof(echo)) ? errno : 0));
    close(fd);
}

static void odd_addresses(void)
{
    struct sockaddr_in6 six = { .sin6_family = AF_INET6, .sin6_port = echo.sin_port };
    struct sockaddr nothing = { .sa_family = AF_UNSPEC };
    int fd = dial(&echo, 0), datagram = socket(AF_INET, SOCK_DGRAM, 0);

    printf("a short address: %s\n", name(connect(fd, (struct sockaddr *)&echo, 4) ? errno : 0));
    printf("AF_UNSPEC: %s\n", name(connect(fd, &nothing, sizeof(nothing)) ? errno : 0));
    printf("and connected anew: %s\n", name(connect(fd, (struct sockaddr *)&echo, sizeof(echo)) ? errno : 0));
    talk("and it works", fd, "hello");
    close(fd);
    fd = socket(AF_INET, SOCK_STREAM, 0);
    printf("an IPv6 address for an IPv4 socket: %s\n", name(connect(fd, (struct sockaddr *)&six, sizeof(six)) ? errno : 0));
    close(fd);
    printf("no descriptor: %s\n", name(connect(fd, (struct sockaddr *)&echo, sizeof(echo)) ? errno : 0));
    printf("no socket: %s\n", name(connect(0, (struct sockaddr *)&echo, sizeof(echo)) ? errno : 0));
    struct sockaddr_in here = { .sin_family = AF_INET, .sin_port = echo.sin_port };

    inet_pton(AF_INET, "127.0.0.1", &here.sin_addr);
    printf("a datagram socket: %s\n", name(connect(datagram, (struct sockaddr *)&here, sizeof(here)) ? errno : 0));
    close(datagram);
}

static void bound(const char *address)
{
    struct sockaddr_in own = { .sin_family = AF_INET };
    int fd = socket(AF_INET, SOCK_STREAM, 0);

    inet_pton(AF_INET, address, &own.sin_addr);
    if (bind(fd, (struct sockaddr *)&own, sizeof(own)) || connect(fd, (struct sockaddr *)&echo, sizeof(echo)))
        perror("bound");
    talk("bound to an address of the host", fd, "hello");
    close(fd);
}

static void all_closed(void)
{
    if (!fork()) {
        int fd;

        syscall(SYS_close_range, 3, ~0u, 0);
        fd = dial(&echo, 0);
        talk("after close_range", fd, "hello");
        _exit(0);
    }
    wait(NULL);
}

static void peer_names(void)
{
    struct sockaddr_in six = { 0 };
    int fd = dial(&echo, 0);
    socklen_t length = 4;

    errno = 12345;
    getpeername(fd, (struct sockaddr *)&six, &length);
    printf("getpeername, little room: length %u, errno %s\n", length, errno == 12345 ? "kept" : "changed");
    length = sizeof(six);
    getpeername(fd, (struct sockaddr *)&six, &length);
    printf("getpeername: %s, length %u\n", inet_ntoa(six.sin_addr), length);
    close(fd);
    getpeername(fd, (struct sockaddr *)&six, &length);
    printf("getpeername of nothing: %s\n", name(errno));
}

int main(int count, char **words)
{
    if (count != 6)
        return 2;
    echo.sin_family = shut.sin_family = silent.sin_family = AF_INET;
    inet_pton(AF_INET, words[1], &echo.sin_addr);
    shut.sin_addr = silent.sin_addr = echo.sin_addr;
    echo.sin_port = htons((uint16_t)atoi(words[2]));
    shut.sin_port = htons((uint16_t)atoi(words[3]));
    silent.sin_port = htons((uint16_t)atoi(words[4]));
    duplicates();
    passed();
    forked();
    standard_closed();
    no_descriptors();
    with_time_limit();
    fast_open();
    interrupted();
    odd_addresses();
    bound(words[5]);
    all_closed();
    peer_names();
    return 0;
}
