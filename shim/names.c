/*
 * names.c - what a descriptor says of its connection: getpeername(), and SO_ERROR of getsockopt()
 *
 * getsockname() is left alone: the address in the pod is not known here, and the form (family, v4-mapped or not) is
 * already what the program expects, since it is the program's own descriptor.
 */
#include "shim.h"

#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <string.h>

/**
 * copy_out() - Writes an address as the kernel does: cut to the room there is, the length being the true one
 * @from:	Address
 * @size:	Its length
 * @address:	Room
 * @length:	Size of the room; set to @size
 */
static void copy_out(const void *from, socklen_t size, struct sockaddr *address, socklen_t *length)
{
    memcpy(address, from, *length < size ? *length : size);
    *length = size;
}

/**
 * tell_peer() - Writes the address that the program connected to, in the form of its socket
 * @fd:		Descriptor
 * @peer:	Where the pod connected
 * @address:	Room
 * @length:	Size of the room; set to the length
 *
 * Return: 0, or -1 with errno set
 */
static int tell_peer(int fd, const struct endpoint *peer, struct sockaddr *address, socklen_t *length)
{
    int family;
    socklen_t size = sizeof(family);

    if (real.getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &family, &size))
        return -1;
    if (family == AF_INET) {
        struct sockaddr_in in = { .sin_family = AF_INET, .sin_port = htons(peer->port) };

        memcpy(&in.sin_addr, peer->bytes, 4);
        copy_out(&in, sizeof(in), address, length);
    } else {
        struct sockaddr_in6 in6 = { .sin6_family = AF_INET6, .sin6_port = htons(peer->port) };

        if (peer->v6) {
            memcpy(&in6.sin6_addr, peer->bytes, 16);
        } else {
            in6.sin6_addr.s6_addr[10] = in6.sin6_addr.s6_addr[11] = 0xff;
            memcpy(in6.sin6_addr.s6_addr + 12, peer->bytes, 4);
        }
        copy_out(&in6, sizeof(in6), address, length);
    }
    return 0;
}

/**
 * getpeername() - The address that the program connected to
 * @fd:		Descriptor
 * @address:	Room for the address
 * @length:	Size of the room; set to the length of the address
 *
 * Return: 0 with errno as it was, or -1: ENOTCONN while a connect is under way
 */
EXPORT int getpeername(int fd, struct sockaddr *address, socklen_t *length)
{
    int saved = errno, result;
    socklen_t room = 0;
    struct about about;

    if (!shim_enter())
        return real.getpeername(fd, address, length);
    if (length)
        room = *length;
    result = real.getpeername(fd, address, length);
    if (result || !at_gate(fd) || !ask_about(fd, &about)) {
        if (!result)
            errno = saved;
        return result;
    }
    if (about.state != ABOUT_CONNECTED) {
        errno = ENOTCONN;
        return -1;
    }
    *length = room;
    result = tell_peer(fd, &about.peer, address, length);
    if (!result)
        errno = saved;
    return result;
}

/**
 * hung_up() - Whether the other end has ended a connection
 * @fd:		Descriptor
 *
 * Return: true when it has
 */
static bool hung_up(int fd)
{
    struct pollfd now = { .fd = fd, .events = POLLRDHUP };

    return poll(&now, 1, 0) > 0;
}

/**
 * true_error() - What SO_ERROR has to say
 * @fd:		Descriptor
 * @error:	What the kernel says
 *
 * The session is asked only about a TCP socket whose connection was reset, or ended behind its plug.
 *
 * Return: the pod's errno for a connect that failed, else @error
 */
static int true_error(int fd, int error)
{
    struct about about;

    if ((error && error != ECONNRESET && error != EPIPE) || !is_tcp(fd))
        return error;
    if (!error && (!is_plugged(fd) || !hung_up(fd)))
        return 0;
    return ask_about(fd, &about) && about.state == ABOUT_FAILED ? about.code : error;
}

/**
 * getsockopt() - SO_ERROR tells the pod's errno of a connect that failed; every other option is the kernel's
 * @fd:		Descriptor
 * @level:	Level
 * @option:	Option
 * @value:	Room for the value
 * @length:	Size of the room; set to that of the value
 *
 * Return: 0 with errno as it was, or -1 with errno set
 */
EXPORT int getsockopt(int fd, int level, int option, void *value, socklen_t *length)
{
    int saved = errno, result, error;

    if (!shim_enter() || level != SOL_SOCKET || option != SO_ERROR)
        return real.getsockopt(fd, level, option, value, length);
    result = real.getsockopt(fd, level, option, value, length);
    if (result || *length != sizeof(error))
        return result;
    memcpy(&error, value, sizeof(error));
    error = true_error(fd, error);
    memcpy(value, &error, sizeof(error));
    errno = saved;
    return result;
}
