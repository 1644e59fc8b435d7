/*
 * cost.c - how long connects and lookups take
 *
 * cost NAME PORT ROUNDS: prints p50 and p99 in microseconds of a blocking connect, of the call and of the whole of a
 * non-blocking one, and of a lookup.
 */
#include <errno.h>
#include <netdb.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

static double now(void)
{
    struct timespec time;

    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec * 1e6 + (double)time.tv_nsec / 1e3;
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return x < y ? -1 : x > y;
}

static void tell(const char *title, double *times, int count)
{
    qsort(times, (size_t)count, sizeof(*times), compare);
    printf("%s %.0f %.0f %.0f\n", title, times[count / 2], times[count * 99 / 100], times[count - 1]);
}

int main(int argc, char **words)
{
    if (argc != 4)
        return 2;
    int rounds = atoi(words[3]);
    double blocking[rounds], call[rounds], whole[rounds], lookup[rounds];
    struct addrinfo hints = { .ai_socktype = SOCK_STREAM }, *to;

    for (int i = -10; i < rounds; i++) {
        double start = now();
        int at = i < 0 ? 0 : i;

        if (getaddrinfo(words[1], words[2], &hints, &to))
            return 1;
        lookup[at] = now() - start;

        int fd = socket(to->ai_family, SOCK_STREAM, 0);

        start = now();
        if (connect(fd, to->ai_addr, to->ai_addrlen))
            return 1;
        blocking[at] = now() - start;
        close(fd);

        struct pollfd wait = { .fd = fd = socket(to->ai_family, SOCK_STREAM | SOCK_NONBLOCK, 0), .events = POLLOUT };

        start = now();
        if (connect(fd, to->ai_addr, to->ai_addrlen) && errno != EINPROGRESS)
            return 1;
        call[at] = now() - start;
        poll(&wait, 1, -1);
        whole[at] = now() - start;
        close(fd);
        freeaddrinfo(to);
    }
    tell("connect", blocking, rounds);
    tell("connect,_non-blocking:_the_call", call, rounds);
    tell("connect,_non-blocking:_until_writable", whole, rounds);
    tell("getaddrinfo", lookup, rounds);
    return 0;
}
