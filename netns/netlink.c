/*
 * netlink.c - builds netlink messages and waits for the kernel's answers (netlink(7))
 */
#include "netlink.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/**
 * room() - Takes cleared bytes at the end of a batch; ends the program where there are none, which no input can cause
 * @batch:	Batch to grow
 * @size:	How many
 *
 * Return: the bytes
 */
static void *room(struct batch *batch, size_t size)
{
    void *at = batch->bytes + batch->length;

    size = NLMSG_ALIGN(size);
    if (size > sizeof(batch->bytes) - batch->length)
        abort();
    memset(at, 0, size);
    batch->length += size;
    return at;
}

/**
 * message_begin() - Starts a message
 * @batch:	Batch to add it to
 * @type:	Its type
 * @flags:	NLM_F_ flags beside NLM_F_REQUEST
 * @head:	The head of its family
 * @size:	Size of that
 */
void message_begin(struct batch *batch, uint16_t type, uint16_t flags, const void *head, size_t size)
{
    struct nlmsghdr *header;

    batch->message = batch->length;
    header = room(batch, sizeof(*header));
    header->nlmsg_type = type;
    header->nlmsg_flags = (uint16_t)(NLM_F_REQUEST | flags);
    memcpy(room(batch, size), head, size);
    if (flags & NLM_F_ACK)
        batch->wanted++;
}

/**
 * message_end() - Ends the message that was begun last
 * @batch:	Its batch
 */
void message_end(struct batch *batch)
{
    struct nlmsghdr *header = (struct nlmsghdr *)(batch->bytes + batch->message);

    header->nlmsg_len = (uint32_t)(batch->length - batch->message);
}

/**
 * attribute() - Adds an attribute to the message or nest that is open
 * @batch:	Batch
 * @type:	Its type
 * @value:	Its value
 * @size:	Size of that
 */
void attribute(struct batch *batch, uint16_t type, const void *value, size_t size)
{
    struct nlattr *head = room(batch, NLA_HDRLEN + size);

    head->nla_type = type;
    head->nla_len = (uint16_t)(NLA_HDRLEN + size);
    memcpy((char *)head + NLA_HDRLEN, value, size);
}

/**
 * attribute_text() - Adds a text with its terminating zero
 * @batch:	Batch
 * @type:	Its type
 * @value:	The text
 */
void attribute_text(struct batch *batch, uint16_t type, const char *value)
{
    attribute(batch, type, value, strlen(value) + 1);
}

/**
 * attribute_be32() - Adds a number in network order, as netfilter has its numbers
 * @batch:	Batch
 * @type:	Its type
 * @value:	The number
 */
void attribute_be32(struct batch *batch, uint16_t type, uint32_t value)
{
    value = htonl(value);
    attribute(batch, type, &value, sizeof(value));
}

/**
 * nest_begin() - Opens an attribute that holds attributes
 * @batch:	Batch
 * @type:	Its type
 *
 * Return: what nest_end() needs
 */
size_t nest_begin(struct batch *batch, uint16_t type)
{
    size_t at = batch->length;
    struct nlattr *head = room(batch, NLA_HDRLEN);

    head->nla_type = (uint16_t)(type | NLA_F_NESTED);
    return at;
}

/**
 * nest_end() - Closes it
 * @batch:	Batch
 * @nest:	What nest_begin() gave
 */
void nest_end(struct batch *batch, size_t nest)
{
    ((struct nlattr *)(batch->bytes + nest))->nla_len = (uint16_t)(batch->length - nest);
}

/**
 * netlink_open() - Opens a netlink socket
 * @protocol:	NETLINK_ protocol
 *
 * Return: the socket, or -1 with errno
 */
int netlink_open(int protocol)
{
    return socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, protocol);
}

/**
 * number() - Gives the messages of a batch a number, which its answers have too
 * @batch:	Batch
 *
 * Answers to an earlier batch may still come: one that is refused leaves some unread. Taken for those of the next, they
 * would say that what it asks for was done, or was not.
 *
 * Return: the number
 */
static uint32_t number(struct batch *batch)
{
    static uint32_t last;
    int left = (int)batch->length;

    last++;
    for (struct nlmsghdr *each = &batch->align; NLMSG_OK(each, left); each = NLMSG_NEXT(each, left))
        each->nlmsg_seq = last;
    return last;
}

/**
 * netlink_send() - Sends a batch, waits for all answers that it asks for, and empties it
 * @fd:		Netlink socket
 * @batch:	Batch
 *
 * Return: 0, or -1 with the errno of the first message that the kernel refused
 */
int netlink_send(int fd, struct batch *batch)
{
    struct sockaddr_nl kernel = { .nl_family = AF_NETLINK };
    /* An answer that is missing would be a hang: the kernel answers within the call, so a second is for ever. */
    struct timeval patience = { .tv_sec = 1 };
    uint32_t asked = number(batch);
    int refused = 0;

    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
    if (sendto(fd, batch->bytes, batch->length, 0, (struct sockaddr *)&kernel, sizeof(kernel)) < 0) {
        batch->length = 0;
        batch->wanted = 0;
        return -1;
    }
    for (unsigned seen = 0; seen < batch->wanted;) {
        union {
            char bytes[16384];
            struct nlmsghdr align;
        } answers;
        ssize_t length = recv(fd, answers.bytes, sizeof(answers.bytes), 0);
        struct nlmsghdr *each = &answers.align;

        if (length <= 0) {
            refused = refused ? refused : (length < 0 ? errno : EPROTO);
            break;
        }
        for (; NLMSG_OK(each, length); each = NLMSG_NEXT(each, length)) {
            if (each->nlmsg_type != NLMSG_ERROR || each->nlmsg_seq != asked)
                continue;
            seen++;
            if (!refused)
                refused = -((struct nlmsgerr *)NLMSG_DATA(each))->error;
        }
        /* A batch that is refused as a whole may answer fewer times than it has messages. */
        if (refused)
            break;
    }
    batch->length = 0;
    batch->wanted = 0;
    errno = refused;
    return refused ? -1 : 0;
}

/**
 * netlink_dump() - Asks for all objects of a kind, and empties the batch
 * @fd:		Netlink socket
 * @request:	The one message that asks, with NLM_F_DUMP
 * @each:	Called with each object
 * @context:	Passed on
 *
 * Return: 0, or -1 with errno
 */
int netlink_dump(int fd, struct batch *request, void (*each)(struct nlmsghdr *message, void *context), void *context)
{
    struct timeval patience = { .tv_sec = 5 };
    uint32_t asked = number(request);
    ssize_t sent;

    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
    sent = send(fd, request->bytes, request->length, 0);
    request->length = 0;
    request->wanted = 0;
    if (sent < 0)
        return -1;
    for (;;) {
        union {
            char bytes[65536];
            struct nlmsghdr align;
        } answers;
        ssize_t length = recv(fd, answers.bytes, sizeof(answers.bytes), 0);

        if (length <= 0)
            return -1;
        for (struct nlmsghdr *at = &answers.align; NLMSG_OK(at, length); at = NLMSG_NEXT(at, length)) {
            if (at->nlmsg_seq != asked)
                continue;
            if (at->nlmsg_type == NLMSG_DONE)
                return 0;
            if (at->nlmsg_type == NLMSG_ERROR) {
                errno = -((struct nlmsgerr *)NLMSG_DATA(at))->error;
                return -1;
            }
            each(at, context);
        }
    }
}
