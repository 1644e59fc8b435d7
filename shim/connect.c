/*
 * connect.c - connect(): TCP connections are made by the pod, UDP sockets are connected to a relay
 */
#include "shim.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/time.h>
#include <unistd.h>

/**
 * patience() - How long a connect may wait
 * @fd:		Descriptor
 *
 * Return: milliseconds: 0 for a non-blocking descriptor, what SO_SNDTIMEO says for one that has it, -1 for ever
 */
static int patience(int fd)
{
    struct timeval limit = { 0 };
    socklen_t length = sizeof(limit);
    int flags = fcntl(fd, F_GETFL);
    int64_t milliseconds;

    if (flags >= 0 && (flags & O_NONBLOCK))
        return 0;
    if (real.getsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, &length) || (!limit.tv_sec && !limit.tv_usec))
        return -1;
    milliseconds = (int64_t)limit.tv_sec * 1000 + limit.tv_usec / 1000;
    return milliseconds > INT32_MAX ? -1 : milliseconds ? (int)milliseconds : 1;
}

/* How long a non-blocking connect waits for the session's word where it can go on without: README.md, "Gates". */
#define WORD_MS 40

/* What the session said before: marks of addresses that are the pod's, and the size of a plug. */
static _Atomic uint64_t in_pod[256];
static _Atomic uint32_t known_plug;

/**
 * mark_of() - A number that stands for an address
 * @to:		The address
 *
 * Return: the number, never 0 (FNV-1a)
 */
static uint64_t mark_of(const struct endpoint *to)
{
    uint64_t mark = 14695981039346656037u ^ to->v6;

    for (size_t i = 0; i < sizeof(to->bytes); i++)
        mark = (mark ^ to->bytes[i]) * 1099511628211u;
    return mark | 1;
}

/**
 * remember() - Keeps whether an address is the pod's
 * @to:		The address
 * @wanted:	Size of a plug, 0 for an address of the host
 */
static void remember(const struct endpoint *to, uint32_t wanted)
{
    uint64_t mark = mark_of(to);

    atomic_store_explicit(in_pod + (mark >> 32) % 256, wanted ? mark : 0, memory_order_relaxed);
    if (wanted)
        atomic_store_explicit(&known_plug, wanted, memory_order_relaxed);
}

/**
 * may_go_on() - Whether it is known what the session will say to a connect that has begun
 * @to:		Where the program connects
 *
 * Return: the size of a plug, or 0
 */
static uint32_t may_go_on(const struct endpoint *to)
{
    uint64_t mark = mark_of(to);

    return atomic_load_explicit(in_pod + (mark >> 32) % 256, memory_order_relaxed) == mark
               ? atomic_load_explicit(&known_plug, memory_order_relaxed)
               : 0;
}

/**
 * ask() - Asks the session to connect
 * @control:	Control connection
 * @verb:	"connect" to wait for the pod, "begin" not to
 * @limit:	How long the program waits, as patience() says
 * @to:		Where the program connects
 * @text:	Its address as text
 * @gates:	Set to where the program's descriptor is to go
 * @wanted:	Set to the size of its plug; 0 when the pod is connected already
 *
 * Where the connection stays on the host, the log is told why.
 *
 * Return: 1 to go on at @gates, 0 when the connection stays on the host, or -1 with errno set to the pod's
 */
static int ask(int control, const char *verb, int limit, const struct endpoint *to, const char *text,
               struct gates *gates, uint32_t *wanted)
{
    char answer[SHORT_ANSWER_BYTES], *cursor = answer;
    const struct timeval patience = { .tv_usec = WORD_MS * 1000 };
    uint32_t likely = limit ? 0 : may_go_on(to);
    struct line line;
    const char *word;

    if (likely)
        setsockopt(control, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
    line_begin(&line, verb);
    line_word(&line, text);
    line_number(&line, to->port);
    line_number(&line, (uint32_t)getpid());
    if (control_send(control, &line))
        return -1;
    if (control_receive(control, answer, sizeof(answer), TELL) < 0) {
        if (errno == EAGAIN && likely && gates_known(gates)) {
            *wanted = likely; /* the session is busy: it hears of the claim when it hears of the connect */
            return 1;
        }
        if (errno == EAGAIN)
            errno = EINPROGRESS; /* SO_SNDTIMEO has passed */
        return -1;
    }
    word = answer_word(&cursor);
    if (word && !strcmp(word, "local")) {
        log_verdict("connect", text, "host", cursor);
        remember(to, 0);
        return 0;
    }
    if (word && !strcmp(word, "failed")) {
        errno = errno_of(answer_word(&cursor));
        return -1;
    }
    *wanted = 0;
    if (word && !strcmp(word, "connected") && take_gates(&cursor, gates))
        return 1;
    if (word && !strcmp(word, "pending") && take_gates(&cursor, gates) &&
        answer_number(answer_word(&cursor), UINT32_MAX / 2, wanted)) {
        remember(to, *wanted);
        return 1;
    }
    errno = EPROTO;
    return -1;
}

/**
 * so_error() - What came of a connect, as SO_ERROR tells it; the pod's errno where the gate was closed on it
 * @fd:		Descriptor
 *
 * Return: the error, 0 for none
 */
static int so_error(int fd)
{
    int error = 0;
    socklen_t length = sizeof(error);

    return getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &length) ? errno : error;
}

/**
 * unconnect() - Makes a descriptor what it is after a connect that the kernel refused: it can be connected anew
 * @fd:		The program's descriptor; errno stays as it is
 */
static void unconnect(int fd)
{
    const struct sockaddr nowhere = { .sa_family = AF_UNSPEC };
    int saved = errno;

    real.connect(fd, &nowhere, sizeof(nowhere));
    errno = saved;
}

/**
 * wait_for_pod() - Waits for the end of a connect that is under way
 * @fd:		The program's descriptor, plugged
 * @milliseconds:	How long; -1 for ever
 *
 * Return: 0, or -1 with errno set: EINPROGRESS when it is not over, as a connect with SO_SNDTIMEO says
 */
static int wait_for_pod(int fd, int milliseconds)
{
    struct pollfd wait = { .fd = fd, .events = POLLOUT };
    int ready = poll(&wait, 1, milliseconds);
    int error;

    if (ready < 0)
        return -1;
    error = ready ? so_error(fd) : EINPROGRESS;
    if (ready && error)
        unconnect(fd);
    errno = error;
    return error ? -1 : 0;
}

/**
 * settle() - Has the socket layer see that a non-blocking descriptor is connected; for a blocking one it has
 * @fd:		The program's descriptor, connected to the gate
 *
 * Return: 0, or -1 with errno set
 */
static int settle(int fd)
{
    struct sockaddr_storage own;
    socklen_t length = sizeof(own);

    if (real.getsockname(fd, (struct sockaddr *)&own, &length))
        return -1;
    return real.connect(fd, (struct sockaddr *)&own, length) && errno != EISCONN ? -1 : 0;
}

/**
 * pod_connect() - Has the pod connect, and the program's descriptor joined to the result
 * @control:	Control connection
 * @fd:		The program's descriptor
 * @to:		Where the program connects
 * @text:	The same as text
 *
 * Return: 1 when it stays on the host; 0 or -1 as connect()
 */
static int pod_connect(int control, int fd, const struct endpoint *to, const char *text)
{
    int limit = is_multipath(fd) ? -1 : patience(fd); /* the plug needs options that MPTCP has only of late */
    uint32_t wanted, bytes = 0;
    struct gates gates;

    if (limit > 0) {
        struct timeval seconds = { limit / 1000, limit % 1000 * 1000 };

        setsockopt(control, SOL_SOCKET, SO_RCVTIMEO, &seconds, sizeof(seconds));
    }
    switch (ask(control, limit < 0 ? "connect" : "begin", limit, to, text, &gates, &wanted)) {
    case 0:
        return 1;
    case -1:
        return -1;
    }
    if (enter_gate(fd, to, gates))
        return -1;
    if ((wanted && plug(fd, wanted, &bytes)) || claim(control, fd, bytes)) {
        unconnect(fd);
        return -1;
    }
    if (!wanted)
        return settle(fd);
    if (limit)
        return wait_for_pod(fd, limit);
    errno = EINPROGRESS;
    return -1;
}

/**
 * connect_again() - connect() on a descriptor that is or was at the gate
 * @fd:		The program's descriptor
 * @result:	Set to what connect() returns, with errno set
 *
 * Linux says EALREADY while a connect is under way, then its outcome once, then EISCONN; after a failure the descriptor
 * can be connected anew. The socket layer does all that for the connection to the gate, given any address. A socket that
 * was never connected nor bound has no port, and nobody is asked about it.
 *
 * Return: false for a descriptor that has no connection yet
 */
static bool connect_again(int fd, int *result)
{
    struct pollfd reset = { .fd = fd };
    struct sockaddr_storage own;
    socklen_t length = sizeof(own);
    struct about about;

    if (!ask_about(fd, &about) || real.getsockname(fd, (struct sockaddr *)&own, &length))
        return false;
    if (about.state == ABOUT_PENDING) {
        int limit = patience(fd);

        errno = EALREADY;
        *result = limit ? wait_for_pod(fd, limit) : -1;
        if (*result)
            return true;
    }
    if (about.state == ABOUT_FAILED)
        poll(&reset, 1, 1000); /* the reset is there, or a moment behind */
    *result = real.connect(fd, (struct sockaddr *)&own, length);
    if (*result && about.state == ABOUT_FAILED && (errno == ECONNRESET || errno == EPIPE))
        errno = about.code;
    return true;
}

/**
 * connect_datagrams() - connect() on a UDP socket
 * @fd:		The program's descriptor
 * @address:	Where to
 * @length:	Length of @address
 * @to:		The same as an endpoint
 *
 * Return: as connect()
 */
static int connect_datagrams(int fd, const struct sockaddr *address, socklen_t length, const struct endpoint *to)
{
    union gate_sockaddr relay;
    int result = relay_to("connect", fd, to, &relay);

    if (result < 0)
        return -1;
    return result ? real.connect(fd, &relay.any, (socklen_t)result) : real.connect(fd, address, length);
}

/**
 * connect() - Connects from inside the pod
 * @fd:		Descriptor
 * @address:	Where to
 * @length:	Length of @address
 *
 * Return: 0 with errno as it was, or -1 with the errno of the pod; ECONNREFUSED when the session is gone. A non-blocking
 *	   descriptor gets EINPROGRESS, and the outcome by poll() and SO_ERROR
 */
EXPORT int connect(int fd, const struct sockaddr *address, socklen_t length)
{
    int saved = errno, control, result;
    const char *reason;
    char text[INET6_ADDRSTRLEN];
    struct endpoint to;

    if (!shim_enter() || !endpoint_from(&to, address, length) || !endpoint_text(&to, text)) {
        errno = saved;
        return real.connect(fd, address, length);
    }
    if (is_udp(fd))
        return connect_datagrams(fd, address, length, &to);
    if (!is_tcp(fd)) {
        errno = saved;
        return real.connect(fd, address, length);
    }
    if (connect_again(fd, &result)) {
        if (!result)
            errno = saved;
        return result;
    }
    if (judge_endpoint(&to, &reason) == VERDICT_LOCAL) {
        log_verdict("connect", text, "host", reason);
        errno = saved;
        return real.connect(fd, address, length);
    }
    control = control_open(TELL);
    if (control < 0)
        return -1;
    result = pod_connect(control, fd, &to, text);
    if (result < 0)
        saved = errno;
    close(control);
    errno = saved;
    if (result <= 0)
        log_verdict("connect", text, "pod", result ? errno_name(saved) : "connected");
    return result > 0 ? real.connect(fd, address, length) : result;
}
