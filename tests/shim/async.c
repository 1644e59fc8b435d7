/*
 * async.c - a non-blocking connect, watched in one of the ways that programs watch it
 *
 * async HOW ADDRESS PORT: prints what connect() said, whether the descriptor was quiet right afterwards, and what came
 * of it; then, where it connected, sends a line and prints what comes back.
 */
#include "errno_name.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <unistd.h>

static int epoll_fd = -1;

static void watch(int fd, uint32_t more)
{
    struct epoll_event event = { .events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | more };

    epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &event))
        perror("epoll_ctl");
}

/* Whether the descriptor is ready in @milliseconds, as @how sees it */
static bool ready(const char *how, int fd, int milliseconds)
{
    if (!strncmp(how, "epoll", 5)) {
        struct epoll_event event;

        return epoll_wait(epoll_fd, &event, 1, milliseconds) > 0;
    }
    if (!strcmp(how, "select")) {
        struct timeval limit = { milliseconds / 1000, milliseconds % 1000 * 1000 };
        fd_set set;

        FD_ZERO(&set);
        FD_SET(fd, &set);
        return select(fd + 1, NULL, &set, NULL, &limit) > 0;
    }
    struct pollfd wait = { .fd = fd, .events = POLLIN | POLLOUT };

    return poll(&wait, 1, milliseconds) > 0;
}

static int so_error(int fd)
{
    int error = -1;
    socklen_t length = sizeof(error);

    getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &length);
    return error;
}

int main(int count, char **words)
{
    if (count != 4)
        return 2;
    const char *how = words[1];
    bool v6 = strchr(words[2], ':');
    struct sockaddr_in6 to = { 0 };
    socklen_t length;

    if (v6) {
        to.sin6_family = AF_INET6;
        to.sin6_port = htons((uint16_t)atoi(words[3]));
        inet_pton(AF_INET6, words[2], &to.sin6_addr);
        length = sizeof(to);
    } else {
        struct sockaddr_in *in = (struct sockaddr_in *)&to;

        in->sin_family = AF_INET;
        in->sin_port = htons((uint16_t)atoi(words[3]));
        inet_pton(AF_INET, words[2], &in->sin_addr);
        length = sizeof(*in);
    }
    int fd = socket(v6 ? AF_INET6 : AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);

    if (!strncmp(how, "epoll-edge-before", 17))
        watch(fd, EPOLLET);
    /* What is registered before connect() has an event of its own: not connected. It is not news. */
    if (epoll_fd >= 0)
        ready(how, fd, 0);

    errno = 0;
    int result = connect(fd, (struct sockaddr *)&to, length);

    printf("connect %s\n", name(result ? errno : 0));
    if (!strcmp(how, "epoll-edge-after"))
        watch(fd, EPOLLET);
    if (!strcmp(how, "epoll"))
        watch(fd, 0);

    bool quiet = !ready(how, fd, 0);
    struct sockaddr_storage peer;
    socklen_t room = sizeof(peer);

    printf("quiet %d\n", quiet);
    printf("error %s\n", name(so_error(fd)));
    result = getpeername(fd, (struct sockaddr *)&peer, &room);
    printf("peer %s\n", name(result ? errno : 0));
    result = connect(fd, (struct sockaddr *)&to, length);
    printf("again %s\n", name(result ? errno : 0));
    result = (int)write(fd, "x", 1);
    printf("write %s\n", name(result < 0 ? errno : 0));
    fflush(stdout);

    if (!ready(how, fd, 20000)) {
        printf("nothing came\n");
        return 1;
    }
    if (strstr(how, "again")) {
        /* As BSD programs find the outcome: connect() once more. */
        result = connect(fd, (struct sockaddr *)&to, length);
        printf("outcome %s\n", name(result ? errno : 0));
        if (result && errno != EISCONN)
            return 0;
        result = connect(fd, (struct sockaddr *)&to, length);
        printf("then %s\n", name(result ? errno : 0));
    } else {
        int error = so_error(fd);

        printf("outcome %s\n", name(error));
        room = sizeof(peer);
        result = getpeername(fd, (struct sockaddr *)&peer, &room);
        printf("peer %s\n", name(result ? errno : 0));
        if (error)
            return 0;
    }
    char text[INET6_ADDRSTRLEN] = "";
    struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)&peer;

    room = sizeof(peer);
    getpeername(fd, (struct sockaddr *)&peer, &room);
    inet_ntop(peer.ss_family, peer.ss_family == AF_INET6 ? (void *)&in6->sin6_addr : &((struct sockaddr_in *)in6)->sin_addr,
              text, sizeof(text));
    printf("peer %s %d\n", text, ntohs(in6->sin6_port));

    char back[16] = "";

    fcntl(fd, F_SETFL, 0);
    if (write(fd, "hello\n", 6) != 6 || recv(fd, back, 6, MSG_WAITALL) != 6)
        perror("echo");
    printf("echo %s", back);
    return 0;
}
