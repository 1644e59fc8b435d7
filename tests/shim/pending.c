/*
 * pending.c - how long a non-blocking connect keeps its caller while many others are under way
 *
 * pending ADDRESS PORT COUNT: prints microseconds of the calls: p50, p99, the most; and how many are under way at the end.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
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

int main(int count, char **words)
{
    struct sockaddr_in to = { .sin_family = AF_INET };
    struct rlimit most;
    int under_way = 0;

    if (count != 4)
        return 2;
    getrlimit(RLIMIT_NOFILE, &most);
    most.rlim_cur = most.rlim_max;
    setrlimit(RLIMIT_NOFILE, &most);
    inet_pton(AF_INET, words[1], &to.sin_addr);
    to.sin_port = htons((uint16_t)atoi(words[2]));
    int calls = atoi(words[3]);
    double *times = calloc((size_t)calls, sizeof(*times));
    int *fds = calloc((size_t)calls, sizeof(*fds));

    for (int i = 0; i < calls; i++) {
        double start = now();

        fds[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
        if (!connect(fds[i], (struct sockaddr *)&to, sizeof(to)) || errno != EINPROGRESS) {
            perror("connect");
            return 1;
        }
        times[i] = now() - start;
    }
    for (int i = 0; i < calls; i++) {
        struct pollfd wait = { .fd = fds[i], .events = POLLOUT };

        under_way += poll(&wait, 1, 0) == 0;
    }
    qsort(times, (size_t)calls, sizeof(*times), compare);
    printf("%.0f %.0f %.0f %d\n", times[calls / 2], times[calls * 99 / 100], times[calls - 1], under_way);
    return 0;
}
