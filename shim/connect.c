/*
 * connect.c - connect(): TCP connections are made by the pod
 */
#include "shim.h"

#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

/* struct gates - the ports on which the session takes connections of the program; 0 where there is no gate */
struct gates {
    uint16_t port4;
    uint16_t port6;
};

/**
 * is_tcp() - Whether a descriptor is a TCP socket
 * @fd:		Descriptor
 *
 * Return: true for TCP and MPTCP, false for datagrams, SCTP, raw sockets and what is no socket
 */
static bool is_tcp(int fd)
{
    int type, protocol;
    socklen_t length = sizeof(type);

    if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &length) || type != SOCK_STREAM)
        return false;
    length = sizeof(protocol);
    if (getsockopt(fd, SOL_SOCKET, SO_PROTOCOL, &protocol, &length))
        return false;
    return protocol == IPPROTO_TCP || protocol == 262; /* IPPROTO_MPTCP, younger than the oldest headers we build with */
}

/**
 * speaks_ipv4() - Whether an IPv6 socket has to (or had better) reach the gate over IPv4
 * @fd:		AF_INET6 socket
 * @to:		Where the program connects
 * @gates:	What there is
 *
 * A v4-mapped target stays one, so that getsockname() has the form the program expects. A socket that is bound to an
 * address, or to IPv6 alone, has no choice left.
 *
 * Return: true for IPv4
 */
static bool speaks_ipv4(int fd, const struct endpoint *to, struct gates gates)
{
    struct sockaddr_in6 bound = { 0 };
    socklen_t length = sizeof(bound);

    if (!getsockname(fd, (struct sockaddr *)&bound, &length) && !IN6_IS_ADDR_UNSPECIFIED(&bound.sin6_addr))
        return IN6_IS_ADDR_V4MAPPED(&bound.sin6_addr);
    return to->mapped || !gates.port6;
}

/**
 * enter_gate() - Connects the program's descriptor to the session's gate
 * @fd:		The program's descriptor
 * @to:		Where the program connects
 * @gates:	Where the session takes connections
 *
 * A connect to a loopback listener ends at once, on a non-blocking descriptor too, but for the time that the kernel
 * needs for its own three packets.
 *
 * Return: 0, or -1 with errno set
 */
static int enter_gate(int fd, const struct endpoint *to, struct gates gates)
{
    union {
        struct sockaddr any;
        struct sockaddr_in in;
        struct sockaddr_in6 in6;
    } gate = { 0 };
    int family = AF_INET, error = 0;
    socklen_t length = sizeof(family);
    struct pollfd wait = { .fd = fd, .events = POLLOUT };

    if (getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &family, &length))
        return -1;
    if (family == AF_INET) {
        gate.in = (struct sockaddr_in){ .sin_family = AF_INET, .sin_port = htons(gates.port4) };
        gate.in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        length = sizeof(gate.in);
    } else if (speaks_ipv4(fd, to, gates)) {
        gate.in6 = (struct sockaddr_in6){ .sin6_family = AF_INET6, .sin6_port = htons(gates.port4) };
        memcpy(gate.in6.sin6_addr.s6_addr, (const uint8_t[]){ [10] = 0xff, 0xff, 127, 0, 0, 1 }, 16);
        length = sizeof(gate.in6);
    } else {
        gate.in6 = (struct sockaddr_in6){ .sin6_family = AF_INET6, .sin6_port = htons(gates.port6) };
        gate.in6.sin6_addr = in6addr_loopback;
        length = sizeof(gate.in6);
    }
    if (!real.connect(fd, &gate.any, length))
        return 0;
    if (errno != EINPROGRESS && errno != EINTR)
        return -1;
    while (poll(&wait, 1, -1) < 0)
        if (errno != EINTR)
            return -1;
    length = sizeof(error);
    if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &length))
        return -1;
    errno = error;
    return error ? -1 : 0;
}

/**
 * claim() - Tells the session which connection at its gate is the program's
 * @control:	Control connection over which the pod's connection was asked for
 * @fd:		The program's descriptor, connected to the gate
 *
 * Return: 0, or -1 with errno set
 */
static int claim(int control, int fd)
{
    struct sockaddr_storage from;
    socklen_t length = sizeof(from);
    char text[INET6_ADDRSTRLEN];
    struct endpoint own;
    struct line line;

    if (getsockname(fd, (struct sockaddr *)&from, &length))
        return -1;
    if (!endpoint_from(&own, (struct sockaddr *)&from, length) || !endpoint_text(&own, text)) {
        errno = EAFNOSUPPORT;
        return -1;
    }
    line_begin(&line, "claim");
    line_word(&line, text);
    line_number(&line, own.port);
    return control_send(control, &line);
}

/**
 * ask() - Has the session connect, and the program's descriptor joined to the result
 * @control:	Control connection
 * @fd:		The program's descriptor
 * @to:		Where the program connects
 * @text:	The same as text
 * @local:	Set to true when the session says that the connection stays on the host
 *
 * Return: 0, or -1 with errno set to the pod's
 */
static int ask(int control, int fd, const struct endpoint *to, const char *text, bool *local)
{
    char answer[ANSWER_BYTES];
    char *cursor = answer;
    struct line line;
    const char *verb;
    uint32_t port4, port6;

    line_begin(&line, "connect");
    line_word(&line, text);
    line_number(&line, to->port);
    if (control_send(control, &line) || control_receive(control, answer, sizeof(answer)) < 0)
        return -1;
    verb = answer_word(&cursor);
    if (verb && !strcmp(verb, "local")) {
        *local = true;
        return 0;
    }
    if (verb && !strcmp(verb, "failed")) {
        errno = errno_of(answer_word(&cursor));
        return -1;
    }
    if (!verb || strcmp(verb, "connected") || !answer_number(answer_word(&cursor), UINT16_MAX, &port4) ||
        !answer_number(answer_word(&cursor), UINT16_MAX, &port6)) {
        errno = EPROTO;
        return -1;
    }
    if (enter_gate(fd, to, (struct gates){ (uint16_t)port4, (uint16_t)port6 }))
        return -1;
    return claim(control, fd);
}

/**
 * connect() - Connects from inside the pod
 * @fd:		Descriptor
 * @address:	Where to
 * @length:	Length of @address
 *
 * Return: 0 with errno as it was, or -1 with the errno of the pod; ECONNREFUSED when the session is gone
 */
EXPORT int connect(int fd, const struct sockaddr *address, socklen_t length)
{
    int saved = errno, control, result;
    const char *reason = "policy of the session";
    char text[INET6_ADDRSTRLEN];
    struct endpoint to;
    bool local = false;

    if (!shim_enter() || !endpoint_from(&to, address, length) || !is_tcp(fd) || !endpoint_text(&to, text)) {
        errno = saved;
        return real.connect(fd, address, length);
    }
    if (judge_endpoint(&to, &reason) == VERDICT_LOCAL) {
        log_verdict("connect", text, "host", reason);
        errno = saved;
        return real.connect(fd, address, length);
    }
    control = control_open();
    if (control < 0)
        return -1;
    result = ask(control, fd, &to, text, &local);
    if (result)
        saved = errno;
    close(control);
    errno = saved;
    log_verdict("connect", text, local ? "host" : "pod", local ? reason : result ? errno_name(saved) : "connected");
    return local ? real.connect(fd, address, length) : result;
}
