/*
 * busy.c - a non-blocking connect while the session is busy
 *
 * busy ADDRESS PORT: connects twice. Between them it prints "busy" and waits a moment; then the time (milliseconds since
 * 1970) when the second call was over, and at last what came of it.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

static int begin(const struct sockaddr_in *to)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);

    return connect(fd, (const struct sockaddr *)to, sizeof(*to)) && errno == EINPROGRESS ? fd : -1;
}

/* Waits for a connect, and has a text echoed */
static const char *outcome(int fd)
{
    struct pollfd wait = { .fd = fd, .events = POLLOUT };
    static char text[16];
    int error = 0;
    socklen_t length = sizeof(error);

    if (fd < 0 || poll(&wait, 1, 20000) != 1 || getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &length) || error)
        return "failed";
    wait.events = POLLIN;
    if (write(fd, "hello", 5) != 5 || poll(&wait, 1, 20000) != 1 || read(fd, text, 5) != 5)
        return "no echo";
    return text;
}

int main(int count, char **words)
{
    struct sockaddr_in to = { .sin_family = AF_INET };
    struct timespec time;
    int fd;

    if (count != 3)
        return 2;
    setvbuf(stdout, NULL, _IONBF, 0);
    inet_pton(AF_INET, words[1], &to.sin_addr);
    to.sin_port = htons((uint16_t)atoi(words[2]));
    printf("first %s\n", outcome(begin(&to)));
    printf("busy\n");
    poll(NULL, 0, 300);
    fd = begin(&to);
    clock_gettime(CLOCK_REALTIME, &time);
    printf("%s %lld\n", fd < 0 ? "not under way" : "under way", (long long)time.tv_sec * 1000 + time.tv_nsec / 1000000);
    printf("second %s\n", outcome(fd));
    return 0;
}
