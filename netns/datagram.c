/*
 * datagram.c - datagrams of the programs
 *
 * A gate receives the first datagrams of a flow and knows where they were going (IP_RECVORIGDSTADDR). The flow then has
 * a socket of its own, bound to that destination and connected to the program: the kernel finds it before the gate for
 * what follows, and answers that it sends come from where the program expects them. A datagram that the session does
 * not take at once is dropped, as a full link would drop it.
 *
 * Between its bind() and its connect() such a socket is anybody's who sends there: what it gets from another program by
 * then belongs to that one's flow.
 */
#include "flow.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#ifndef IPV6_ORIGDSTADDR
#define IPV6_ORIGDSTADDR 74
#endif

/**
 * find_destination() - Takes the original destination out of what came with a datagram
 * @message:	What recvmsg() filled
 * @to:		Filled
 *
 * Return: whether it was there, and is one host's
 */
static bool find_destination(struct msghdr *message, struct end_point *to)
{
    for (struct cmsghdr *each = CMSG_FIRSTHDR(message); each; each = CMSG_NXTHDR(message, each)) {
        struct sockaddr_storage address;
        size_t size = each->cmsg_len - CMSG_LEN(0);

        if (!(each->cmsg_level == IPPROTO_IP && each->cmsg_type == IP_ORIGDSTADDR) &&
            !(each->cmsg_level == IPPROTO_IPV6 && each->cmsg_type == IPV6_ORIGDSTADDR))
            continue;
        memset(&address, 0, sizeof(address));
        memcpy(&address, CMSG_DATA(each), size < sizeof(address) ? size : sizeof(address));
        *to = from_sockaddr(&address);
        if (to->family == AF_INET)
            return (to->address[0] & 0xf0) != 0xe0 && to->address[0] != 255; /* multicast, broadcast */
        return to->address[0] != 0xff;
    }
    return false;
}

/**
 * open_flow_socket() - A socket that is bound to where the program sends, and connected to the program
 * @flow:	The flow
 *
 * Return: the socket, or -1
 */
static int open_flow_socket(const struct flow *flow)
{
    int on = 1, mark = MARK_RELAY, fd = socket(flow->to.family, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    bool v4 = flow->to.family == AF_INET;
    struct sockaddr_storage address;
    socklen_t size = to_sockaddr(&flow->to, &address);

    if (fd < 0)
        return -1;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    if (!setsockopt(fd, SOL_SOCKET, SO_MARK, &mark, sizeof(mark)) &&
        !setsockopt(fd, v4 ? IPPROTO_IP : IPPROTO_IPV6, v4 ? IP_TRANSPARENT : IPV6_TRANSPARENT, &on, sizeof(on)) &&
        !bind(fd, (struct sockaddr *)&address, size)) {
        size = to_sockaddr(&flow->from, &address);
        if (!connect(fd, (struct sockaddr *)&address, size))
            return fd;
    }
    close(fd);
    return -1;
}

/**
 * pass_out() - Gives a datagram to the session, or drops it; a question that goes around the session to its server
 * @flow:	Its flow
 * @bytes:	The datagram, with two free bytes before it
 * @size:	Its size
 */
static void pass_out(struct flow *flow, uint8_t *bytes, size_t size)
{
    uint8_t *frame = bytes - 2;
    ssize_t count;
    size_t failure;

    if (flow->around != flow_goes_around(flow) && !flow_ask_again(flow)) {
        flow_end(flow, false);
        return;
    }
    failure = flow->around ? fail_withheld(bytes, size) : 0;
    if (failure) {
        send(flow->inner.fd, bytes, failure, MSG_NOSIGNAL);
        return;
    }
    frame[0] = (uint8_t)(size >> 8);
    frame[1] = (uint8_t)size;
    if (flow->outer.held_at < flow->outer.held_end)
        return; /* Half of an earlier one is not yet out */
    count = send(flow->outer.fd, frame, size + 2, MSG_NOSIGNAL);
    if (count < 0 && errno != EAGAIN && errno != EWOULDBLOCK) {
        flow_end(flow, false);
        return;
    }
    if (count > 0 && (size_t)count < size + 2) {
        flow->outer.held_end = size + 2 - (size_t)count;
        flow->outer.held = malloc(flow->outer.held_end);
        if (flow->outer.held)
            memcpy(flow->outer.held, frame + count, flow->outer.held_end);
        else
            flow_end(flow, false); /* The session could not tell where the next one begins */
    }
}

/**
 * take_datagram() - Gives a datagram to the flow of its two ends, which begins where there is none
 * @from:	The program's end
 * @to:		Where it sends
 * @size:	The size of the datagram, which is in `scratch` behind two free bytes
 */
static void take_datagram(const struct end_point *from, const struct end_point *to, size_t size)
{
    struct flow *flow = flow_find(IPPROTO_UDP, from, to);

    if (!flow) {
        flow = flow_begin(IPPROTO_UDP, from, to);
        if (!flow)
            return;
        flow_watch(&flow->inner, open_flow_socket(flow));
        if (flow->inner.fd < 0 || !flow_ask(flow)) {
            flow_end(flow, false);
            return;
        }
    }
    pass_out(flow, scratch + 2, size);
}

/**
 * receive_datagrams() - Takes what came to a gate
 * @gate:	A transparent receiver
 */
void receive_datagrams(int gate)
{
    for (unsigned turn = 0; turn < 64; turn++) {
        struct sockaddr_storage source;
        char control[CMSG_SPACE(sizeof(struct sockaddr_in6)) * 2];
        struct iovec bytes = { .iov_base = scratch + 2, .iov_len = sizeof(scratch) - 2 };
        struct msghdr message = {
            .msg_name = &source, .msg_namelen = sizeof(source), .msg_iov = &bytes, .msg_iovlen = 1,
            .msg_control = control, .msg_controllen = sizeof(control),
        };
        ssize_t size = recvmsg(gate, &message, MSG_DONTWAIT);
        struct end_point from, to;

        if (size < 0)
            return;
        if (!find_destination(&message, &to))
            continue;
        from = from_sockaddr(&source);
        take_datagram(&from, &to, (size_t)size);
    }
}

/**
 * pass_in() - Gives the program the datagrams whose frames are complete
 * @flow:	The flow; held bytes of its inner side are the beginning of a frame
 */
static void pass_in(struct flow *flow)
{
    struct end *inner = &flow->inner;

    for (;;) {
        ssize_t count = read(flow->outer.fd, inner->held + inner->held_end, FRAME_BYTES - inner->held_end);
        size_t at = 0;

        if (count == 0 || (count < 0 && errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR)) {
            flow_end(flow, false);
            return;
        }
        if (count < 0)
            return;
        inner->held_end += (size_t)count;
        while (inner->held_end - at >= 2) {
            size_t size = (size_t)inner->held[at] << 8 | inner->held[at + 1];

            if (inner->held_end - at < 2 + size)
                break;
            /* ECONNREFUSED: the program has closed its socket */
            if (send(inner->fd, inner->held + at + 2, size, MSG_NOSIGNAL) < 0 && errno == ECONNREFUSED) {
                flow_end(flow, false);
                return;
            }
            at += 2 + size;
        }
        memmove(inner->held, inner->held + at, inner->held_end - at);
        inner->held_end -= at;
    }
}

/**
 * flow_datagrams() - Carries datagrams both ways
 * @flow:	A flow of datagrams
 */
void flow_datagrams(struct flow *flow)
{
    struct end *outer = &flow->outer;

    if (!flow->inner.held && !(flow->inner.held = malloc(FRAME_BYTES))) {
        flow_end(flow, false);
        return;
    }
    while (outer->held_at < outer->held_end) {
        ssize_t count = send(outer->fd, outer->held + outer->held_at, outer->held_end - outer->held_at, MSG_NOSIGNAL);

        if (count < 0)
            break;
        outer->held_at += (size_t)count;
        if (outer->held_at == outer->held_end) {
            free(outer->held);
            outer->held = NULL;
            outer->held_at = outer->held_end = 0;
        }
    }
    for (unsigned turn = 0; !flow->dead; turn++) {
        struct sockaddr_storage source;
        socklen_t source_size = sizeof(source);
        ssize_t size = recvfrom(flow->inner.fd, scratch + 2, sizeof(scratch) - 2, MSG_DONTWAIT,
                                (struct sockaddr *)&source, &source_size);
        struct end_point from;

        if (size < 0 && errno == ECONNREFUSED) {
            flow_end(flow, false);
            return;
        }
        if (size < 0)
            break;
        from = from_sockaddr(&source);
        if (flow->from.family && memcmp(&from, &flow->from, sizeof(from))) /* No program's: the session's own, outside */
            take_datagram(&from, &flow->to, (size_t)size);
        else
            pass_out(flow, scratch + 2, (size_t)size);
        if (turn == 64) {
            flow->again = true;
            break;
        }
    }
    if (!flow->dead && flow->state == JOINED)
        pass_in(flow);
}
