/*
 * stress.c - many threads that connect, resolve and fork at once
 *
 * stress NAME PORT THREADS ROUNDS: prints how many rounds went wrong.
 */
#include <errno.h>
#include <netdb.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

static const char *node, *port;
static int rounds;
static atomic_int wrong;

static void complain(const char *what, int thread, int round)
{
    fprintf(stderr, "thread %d, round %d: %s: %m\n", thread, round, what);
    atomic_fetch_add(&wrong, 1);
}

/* Connects, blocking or not, and has a text echoed */
static int talk(const struct addrinfo *to, int blocking, int thread, int round)
{
    char text[64], back[64] = "";
    int fd = socket(to->ai_family, SOCK_STREAM | SOCK_CLOEXEC | (blocking ? 0 : SOCK_NONBLOCK), 0);
    struct pollfd wait = { .fd = fd, .events = POLLOUT };
    int length = snprintf(text, sizeof(text), "thread %d round %d", thread, round), got = 0;

    if (connect(fd, to->ai_addr, to->ai_addrlen)) {
        int error = 0;
        socklen_t size = sizeof(error);

        if (errno != EINPROGRESS || poll(&wait, 1, 60000) != 1 ||
            getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size) || error) {
            errno = error ? error : errno;
            complain("connect", thread, round);
            close(fd);
            return 0;
        }
    }
    if (write(fd, text, (size_t)length) != length)
        complain("write", thread, round);
    wait.events = POLLIN;
    while (got < length) {
        ssize_t count = poll(&wait, 1, 60000) == 1 ? read(fd, back + got, (size_t)(length - got)) : -1;

        if (count <= 0)
            break;
        got += (int)count;
    }
    if (strcmp(text, back))
        complain("echo", thread, round);
    close(fd);
    return 1;
}

static void *work(void *number)
{
    int thread = (int)(intptr_t)number;

    for (int round = 0; round < rounds; round++) {
        struct addrinfo hints = { .ai_socktype = SOCK_STREAM }, *list = NULL;

        if (getaddrinfo(node, port, &hints, &list)) {
            complain("getaddrinfo", thread, round);
            continue;
        }
        talk(list, (thread + round) % 2, thread, round);
        if (round % 50 == 49) {
            int status = -1;
            pid_t child = fork();

            if (!child)
                _exit(talk(list, round % 4 < 2, thread, round) ? 0 : 1);
            if (child < 0 || waitpid(child, &status, 0) != child || status)
                complain("fork", thread, round);
        }
        freeaddrinfo(list);
    }
    return NULL;
}

int main(int count, char **words)
{
    if (count != 5)
        return 2;
    node = words[1];
    port = words[2];
    int threads = atoi(words[3]);
    pthread_t ids[threads];

    rounds = atoi(words[4]);
    for (int i = 0; i < threads; i++)
        pthread_create(&ids[i], NULL, work, (void *)(intptr_t)i);
    for (int i = 0; i < threads; i++)
        pthread_join(ids[i], NULL);
    printf("%d wrong\n", wrong);
    return wrong != 0;
}
