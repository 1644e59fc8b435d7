/*
 * names.c - what a descriptor says of its connection: getpeername(), getsockname(), and SO_ERROR of getsockopt(); and
 * bind() to what getsockname() says
 *
 * A connection that the pod has made has the pod's address for its own, as in the pod; its port is the one here, for the
 * pod's is not known. What binds to that address (a server that was told its pod's address) listens on the loopback, where
 * exposed ports arrive.
 */
#undef _FORTIFY_SOURCE /* its inline functions stand in the place of ours */
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
 * @room:	Size of the room
 * @length:	Set to @size
 */
static void copy_out(const void *from, socklen_t size, void *address, socklen_t room, socklen_t *length)
{
    memcpy(address, from, room < size ? room : size);
    *length = size;
}

/**
 * endpoint_write() - Writes an endpoint in the form of a socket
 * @endpoint:	The endpoint
 * @family:	AF_INET or AF_INET6
 * @address:	Room
 * @room:	Size of the room
 * @length:	Set to the length of the address
 */
void endpoint_write(const struct endpoint *endpoint, int family, void *address, socklen_t room, socklen_t *length)
{
    if (family == AF_INET) {
        struct sockaddr_in in = { .sin_family = AF_INET, .sin_port = htons(endpoint->port) };

        memcpy(&in.sin_addr, endpoint->bytes, 4);
        copy_out(&in, sizeof(in), address, room, length);
    } else {
        struct sockaddr_in6 in6 = { .sin6_family = AF_INET6, .sin6_port = htons(endpoint->port) };

        if (endpoint->v6) {
            memcpy(&in6.sin6_addr, endpoint->bytes, 16);
        } else {
            in6.sin6_addr.s6_addr[10] = in6.sin6_addr.s6_addr[11] = 0xff;
            memcpy(in6.sin6_addr.s6_addr + 12, endpoint->bytes, 4);
        }
        copy_out(&in6, sizeof(in6), address, room, length);
    }
}

/**
 * at_relay() - Whether a descriptor is connected to a relay
 * @fd:		Descriptor
 * @peer:	Set to the peer that the relay stands for
 *
 * Return: true when it is
 */
static bool at_relay(int fd, struct endpoint *peer)
{
    struct sockaddr_storage address;
    socklen_t length = sizeof(address);
    struct endpoint relay;

    return !real.getpeername(fd, (struct sockaddr *)&address, &length) &&
           endpoint_from(&relay, (struct sockaddr *)&address, length) && is_udp(fd) && peer_of(&relay, peer);
}

/**
 * getsockname() - The program's own address: that of the pod, for a connection or a flow of the pod
 * @fd:		Descriptor
 * @address:	Room for the address
 * @length:	Size of the room; set to the length of the address
 *
 * Return: 0 with errno as it was, or -1 with errno set
 */
EXPORT int getsockname(int fd, struct sockaddr *address, socklen_t *length)
{
    int saved = errno, result;
    struct endpoint own, peer;
    socklen_t room = 0;

    if (!shim_enter())
        return real.getsockname(fd, address, length);
    if (length)
        room = *length;
    result = real.getsockname(fd, address, length);
    if (result || room < *length || !endpoint_from(&own, address, *length))
        return result;
    if ((at_gate(fd) || at_relay(fd, &peer)) && pod_address(&own))
        endpoint_write(&own, address->sa_family, address, room, length);
    errno = saved;
    return result;
}

/**
 * bind() - The pod's own address is the loopback here
 * @fd:		Descriptor
 * @address:	Where to
 * @length:	Length of @address
 *
 * Return: 0, or -1 with errno set
 */
EXPORT int bind(int fd, const struct sockaddr *address, socklen_t length)
{
    struct sockaddr_storage loopback;
    struct endpoint to;
    int saved = errno;

    if (!shim_enter() || !endpoint_from(&to, address, length) || !is_pod_address(&to)) {
        errno = saved;
        return real.bind(fd, address, length);
    }
    memset(to.bytes, 0, sizeof(to.bytes));
    if (to.v6)
        to.bytes[15] = 1;
    else
        memcpy(to.bytes, (const uint8_t[]){ 127, 0, 0, 1 }, 4);
    errno = saved;
    endpoint_write(&to, address->sa_family, &loopback, sizeof(loopback), &length);
    return real.bind(fd, (struct sockaddr *)&loopback, length);
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
    struct endpoint peer;
    struct about about;

    if (!shim_enter())
        return real.getpeername(fd, address, length);
    if (length)
        room = *length;
    result = real.getpeername(fd, address, length);
    if (!result && at_relay(fd, &peer)) {
        endpoint_write(&peer, address->sa_family, address, room, length);
        errno = saved;
        return 0;
    }
    if (result || !at_gate(fd) || !ask_about(fd, &about)) {
        if (!result)
            errno = saved;
        return result;
    }
    if (about.state != ABOUT_CONNECTED) {
        errno = ENOTCONN;
        return -1;
    }
    endpoint_write(&about.peer, address->sa_family, address, room, length);
    errno = saved;
    return 0;
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
