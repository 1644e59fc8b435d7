/*
 * socket.c - the sockets of the namespace, and addresses as text
 */
#include "netns.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/un.h>
#include <unistd.h>

#define BACKLOG 4096
/* What waits at a gate for datagrams: the first one of each flow comes there, and the usual buffer has room for 270. */
#define GATE_BYTES (4 << 20)

/**
 * to_sockaddr() - An end point as the system has it
 * @point:	End point
 * @out:	Filled
 *
 * Return: its size
 */
socklen_t to_sockaddr(const struct end_point *point, struct sockaddr_storage *out)
{
    memset(out, 0, sizeof(*out));
    out->ss_family = point->family;
    if (point->family == AF_INET) {
        struct sockaddr_in *v4 = (struct sockaddr_in *)out;

        v4->sin_port = point->port;
        memcpy(&v4->sin_addr, point->address, 4);
        return sizeof(*v4);
    }
    ((struct sockaddr_in6 *)out)->sin6_port = point->port;
    memcpy(&((struct sockaddr_in6 *)out)->sin6_addr, point->address, 16);
    return sizeof(struct sockaddr_in6);
}

/**
 * from_sockaddr() - The way back
 * @in:		Address of either family
 *
 * Return: the end point, with no stray bytes, so that two can be compared as memory
 */
struct end_point from_sockaddr(const struct sockaddr_storage *in)
{
    struct end_point point;

    memset(&point, 0, sizeof(point));
    point.family = (uint8_t)in->ss_family;
    if (in->ss_family == AF_INET) {
        point.port = ((const struct sockaddr_in *)in)->sin_port;
        memcpy(point.address, &((const struct sockaddr_in *)in)->sin_addr, 4);
    } else {
        point.port = ((const struct sockaddr_in6 *)in)->sin6_port;
        memcpy(point.address, &((const struct sockaddr_in6 *)in)->sin6_addr, 16);
    }
    return point;
}

/**
 * format_point() - Writes "ADDRESS PORT"
 * @point:	End point
 * @into:	Where to
 * @size:	How much room there is
 *
 * Return: how many bytes were written
 */
int format_point(const struct end_point *point, char *into, size_t size)
{
    char text[INET6_ADDRSTRLEN] = "";

    inet_ntop(point->family, point->address, text, sizeof(text));
    return snprintf(into, size, "%s %u", text, ntohs(point->port));
}

/**
 * parse_address() - Reads an address of either family
 * @text:	The text
 * @point:	Filled, with port 0
 *
 * Return: whether it is one
 */
bool parse_address(const char *text, struct end_point *point)
{
    memset(point, 0, sizeof(*point));
    point->family = strchr(text, ':') ? AF_INET6 : AF_INET;
    return inet_pton(point->family, text, point->address) == 1;
}

/**
 * parse_range() - Reads "ADDRESS/BITS"
 * @text:	The text
 * @range:	Filled
 *
 * Return: whether it is one
 */
bool parse_range(const char *text, struct range *range)
{
    char address[INET6_ADDRSTRLEN], extra;

    if (sscanf(text, "%45[^/]/%u%c", address, &range->bits, &extra) != 2 || !parse_address(address, &range->base))
        return false;
    return range->bits <= (range->base.family == AF_INET ? 32U : 128U);
}

/**
 * prepare_socket() - What every connection of the relay is: not blocking, and without Nagle's wait where it is TCP
 * @fd:		Socket
 */
void prepare_socket(int fd)
{
    int on = 1;

    fcntl(fd, F_SETFL, O_NONBLOCK);
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
}

/**
 * open_gate() - A transparent socket, to which TPROXY can give packets of any destination
 * @family:	AF_INET or AF_INET6
 * @type:	SOCK_STREAM or SOCK_DGRAM
 * @place:	Its address
 *
 * Return: the socket; -1 for IPv6 where the host has none
 */
static int open_gate(uint8_t family, int type, const char *place)
{
    int on = 1, room = GATE_BYTES, fd = socket(family, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    int level = family == AF_INET ? IPPROTO_IP : IPPROTO_IPV6;
    struct sockaddr_storage address;
    struct end_point point;
    socklen_t size;

    parse_address(place, &point);
    size = to_sockaddr(&point, &address);
    /* What was accepted keeps it: a port to which the inside has talked can be listened on afterwards. */
    if (fd >= 0)
        setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    if (fd >= 0 && type == SOCK_DGRAM)
        setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof(room));
    if (fd >= 0 && family == AF_INET6)
        setsockopt(fd, level, IPV6_V6ONLY, &on, sizeof(on));
    if (fd < 0 || setsockopt(fd, level, family == AF_INET ? IP_TRANSPARENT : IPV6_TRANSPARENT, &on, sizeof(on)) ||
        setsockopt(fd, level, family == AF_INET ? IP_RECVORIGDSTADDR : IPV6_RECVORIGDSTADDR, &on, sizeof(on)) ||
        bind(fd, (struct sockaddr *)&address, size) || (type == SOCK_STREAM && listen(fd, BACKLOG))) {
        if (family == AF_INET)
            die("gate");
        if (fd >= 0)
            close(fd);
        return -1;
    }
    return fd;
}

/**
 * open_gates() - Opens the four of them
 * @wanted:	Whether the machine has them, on its loopback, or a namespace of our own
 * @sockets:	Filled
 */
void open_gates(const struct wanted *wanted, struct sockets *sockets)
{
    const char *place4 = wanted->machine ? "127.0.0.1" : GATE4, *place6 = wanted->machine ? "::1" : GATE6;

    sockets->tcp[0] = open_gate(AF_INET, SOCK_STREAM, place4);
    sockets->tcp[1] = open_gate(AF_INET6, SOCK_STREAM, place6);
    sockets->udp[0] = open_gate(AF_INET, SOCK_DGRAM, place4);
    sockets->udp[1] = open_gate(AF_INET6, SOCK_DGRAM, place6);
}

static int unix_socket(const char *path, struct sockaddr_un *address)
{
    memset(address, 0, sizeof(*address));
    address->sun_family = AF_UNIX;
    if (strlen(path) >= sizeof(address->sun_path)) {
        errno = ENAMETOOLONG;
        return -1;
    }
    strcpy(address->sun_path, path);
    return socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
}

/**
 * listen_unix() - Listens on a path, in the place of who did so before
 * @path:	The path, in a directory that is the user's alone
 *
 * Return: the socket, not blocking, or -1 with errno
 */
int listen_unix(const char *path)
{
    struct sockaddr_un address;
    int fd = unix_socket(path, &address);

    if (fd < 0)
        return -1;
    unlink(path);
    if (bind(fd, (struct sockaddr *)&address, sizeof(address)) || listen(fd, BACKLOG)) {
        close(fd);
        return -1;
    }
    prepare_socket(fd);
    return fd;
}

/**
 * connect_unix() - Connects to a path
 * @path:	The path
 * @waits:	Whether to wait while as many wait there as there is room for
 *
 * Return: the socket, not blocking, or -1 with errno
 */
int connect_unix(const char *path, bool waits)
{
    struct sockaddr_un address;
    int fd = unix_socket(path, &address);

    if (fd < 0)
        return -1;
    if (!waits)
        prepare_socket(fd);
    if (connect(fd, (struct sockaddr *)&address, sizeof(address))) {
        close(fd);
        return -1;
    }
    prepare_socket(fd);
    return fd;
}
