/*
 * control.c - a small blocking client of the session's control socket
 *
 * One connection for one call: nothing is shared between threads, nothing survives fork, and no descriptor of ours is
 * open between two calls of the program.
 */
#include "shim.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/un.h>
#include <unistd.h>

/**
 * above_standard() - Moves a descriptor away from 0, 1 and 2, which a program may have closed and means to open again
 * @fd:		Descriptor
 *
 * Return: the descriptor to use
 */
static int above_standard(int fd)
{
    int moved;

    if (fd > STDERR_FILENO)
        return fd;
    moved = fcntl(fd, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
    close(fd);
    return moved;
}

/**
 * control_open() - Connects to the session
 * @tone:	QUIET for questions whose answer the program can do without
 *
 * Where there is no session to ask, one line on standard error says so: a call that fails without one would look like
 * trouble in the cluster.
 *
 * Return: descriptor, or -1 with errno set
 */
int control_open(enum tone tone)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    int fd, result;

    if (!*shim_socket_path()) {
        if (tone == TELL)
            log_once("Cannot reach the pod: " SOCKET_VARIABLE " is not set, although the shim is loaded");
        errno = ECONNREFUSED;
        return -1;
    }
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd >= 0)
        fd = above_standard(fd);
    if (fd < 0)
        return -1;
    memcpy(address.sun_path, shim_socket_path(), sizeof(address.sun_path)); /* kept in an array of the same size */
    do
        result = real.connect(fd, (const struct sockaddr *)&address, sizeof(address));
    while (result && errno == EINTR);
    if (!result)
        return fd;
    close(fd);
    if (tone == TELL)
        log_once("Cannot reach the pod: the session has ended");
    errno = ECONNREFUSED;
    return -1;
}

/**
 * control_send() - Sends a request
 * @fd:		Descriptor from control_open()
 * @line:	The request; ended here
 *
 * Return: 0, or -1 with errno set: EINVAL for a line that cannot be sent, else what send() said
 */
int control_send(int fd, struct line *line)
{
    size_t sent = 0;

    if (!line_end(line)) {
        errno = EINVAL;
        return -1;
    }
    while (sent < line->length) {
        ssize_t count = send(fd, line->bytes + sent, line->length - sent, MSG_NOSIGNAL);

        if (count < 0 && errno != EINTR)
            return -1;
        if (count > 0)
            sent += (size_t)count;
    }
    return 0;
}

/**
 * control_receive() - Waits for an answer
 * @fd:		Descriptor from control_open()
 * @answer:	Room for it; ended by a zero byte in place of the newline
 * @size:	Its size, ANSWER_BYTES for any answer
 * @tone:	QUIET for questions whose answer the program can do without
 *
 * A signal whose handler was installed without SA_RESTART ends the wait with EINTR, as it would end connect().
 *
 * Return: length of the answer, or -1 with errno set: ECONNREFUSED when the session went away, EPROTO for an answer that
 *	   is none
 */
ssize_t control_receive(int fd, char *answer, size_t size, enum tone tone)
{
    size_t length = 0;

    while (length < size) {
        ssize_t count = recv(fd, answer + length, size - length, 0);
        char *end;

        if (count < 0 && errno != ECONNRESET)
            return -1;
        if (count <= 0) {
            if (tone == TELL)
                log_once("Cannot reach the pod: the session went away");
            errno = ECONNREFUSED;
            return -1;
        }
        end = memchr(answer + length, '\n', (size_t)count);
        length += (size_t)count;
        if (end) {
            *end = '\0';
            return end - answer;
        }
    }
    log_once("Cannot reach the pod: the session gave an answer that this shim does not understand");
    errno = EPROTO;
    return -1;
}

/**
 * control_ask() - Asks a question whose answer the program can do without
 * @line:	The question
 * @answer:	Room for the answer
 * @size:	Its size
 *
 * Return: 0, or -1 with errno set
 */
int control_ask(struct line *line, char *answer, size_t size)
{
    int fd = control_open(QUIET), result;

    if (fd < 0)
        return -1;
    result = control_send(fd, line) || control_receive(fd, answer, size, QUIET) < 0 ? -1 : 0;
    close(fd);
    return result;
}
