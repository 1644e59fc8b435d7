/*
 * queue.c - the first packets of connections, held by the kernel until we say what becomes of them
 *
 * linux/netfilter/nfnetlink_queue.h. Who has bound a queue has it alone. When it is full, packets go on as if we
 * had let them (NFQA_CFG_F_FAIL_OPEN): such a connection is accepted first and judged then.
 */
#include "netns.h"
#include "netlink.h"

#include <arpa/inet.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_queue.h>
#include <netinet/ip.h>
#include <netinet/ip6.h>
#include <netinet/tcp.h>
#include <string.h>
#include <unistd.h>

/* Enough for the headers that name both ends, IPv6 extension headers of usual size included. */
#define COPY_BYTES 256
#define MOST_HELD 4096

/* Which queue is ours, once it is opened. */
static uint16_t own_number;

static void queue_begin(struct batch *batch, uint16_t type, uint16_t flags)
{
    struct nfgenmsg head = { .nfgen_family = AF_UNSPEC, .version = NFNETLINK_V0, .res_id = htons(own_number) };

    message_begin(batch, (uint16_t)(NFNL_SUBSYS_QUEUE << 8 | type), flags, &head, sizeof(head));
}

/**
 * open_queue() - Becomes the one who is asked
 * @number:	The queue's number
 *
 * Return: the socket, or -1 where the kernel has no such queues, or somebody else has this one
 */
int open_queue(uint16_t number)
{
    static struct batch batch;
    struct nfqnl_msg_config_cmd bind = { .command = NFQNL_CFG_CMD_BIND };
    struct nfqnl_msg_config_params copy = { .copy_range = htonl(COPY_BYTES), .copy_mode = NFQNL_COPY_PACKET };
    struct timeval no_limit = { 0 };
    int fd = netlink_open(NETLINK_NETFILTER);

    own_number = number;
    if (fd < 0)
        return -1;
    queue_begin(&batch, NFQNL_MSG_CONFIG, NLM_F_ACK);
    attribute(&batch, NFQA_CFG_CMD, &bind, sizeof(bind));
    message_end(&batch);
    if (netlink_send(fd, &batch)) {
        close(fd);
        return -1;
    }
    queue_begin(&batch, NFQNL_MSG_CONFIG, NLM_F_ACK);
    attribute(&batch, NFQA_CFG_PARAMS, &copy, sizeof(copy));
    attribute_be32(&batch, NFQA_CFG_QUEUE_MAXLEN, MOST_HELD);
    attribute_be32(&batch, NFQA_CFG_MASK, NFQA_CFG_F_FAIL_OPEN);
    attribute_be32(&batch, NFQA_CFG_FLAGS, NFQA_CFG_F_FAIL_OPEN);
    message_end(&batch);
    if (netlink_send(fd, &batch)) {
        close(fd);
        return -1;
    }
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &no_limit, sizeof(no_limit));
    return fd;
}

/**
 * read_ends() - Reads both ends from a packet
 * @packet:	The packet from its network header on
 * @length:	How much of it is there
 * @from:	Filled with its source
 * @to:		Filled with its destination
 *
 * Return: whether it is a TCP packet whose headers are all there
 */
static bool read_ends(const uint8_t *packet, size_t length, struct end_point *from, struct end_point *to)
{
    size_t at;
    uint8_t protocol;

    memset(from, 0, sizeof(*from));
    memset(to, 0, sizeof(*to));
    if (length >= sizeof(struct iphdr) && packet[0] >> 4 == 4) {
        from->family = to->family = AF_INET;
        memcpy(from->address, packet + 12, 4);
        memcpy(to->address, packet + 16, 4);
        protocol = packet[9];
        at = (size_t)(packet[0] & 15) * 4;
    } else if (length >= sizeof(struct ip6_hdr) && packet[0] >> 4 == 6) {
        from->family = to->family = AF_INET6;
        memcpy(from->address, packet + 8, 16);
        memcpy(to->address, packet + 24, 16);
        protocol = packet[6];
        at = sizeof(struct ip6_hdr);
        /* Hop-by-hop, routing and destination options have one shape (RFC 8200, section 4). */
        while ((protocol == 0 || protocol == 43 || protocol == 60) && at + 2 <= length) {
            protocol = packet[at];
            at += 8 + (size_t)packet[at + 1] * 8;
        }
    } else {
        return false;
    }
    if (protocol != IPPROTO_TCP || at + 4 > length)
        return false;
    memcpy(&from->port, packet + at, 2);
    memcpy(&to->port, packet + at + 2, 2);
    return true;
}

/**
 * read_queue() - Takes what is held
 * @queue:	The queue's socket, not blocking
 * @held:	Called for each connection that waits for an answer
 *
 * Return: whether the queue can be used any longer
 */
bool read_queue(int queue, void (*held)(uint32_t id, const struct end_point *from, const struct end_point *to,
                                        const uint8_t *packet, size_t size))
{
    union {
        char bytes[16384];
        struct nlmsghdr align;
    } packets;
    ssize_t length = recv(queue, packets.bytes, sizeof(packets.bytes), MSG_DONTWAIT);
    struct nlmsghdr *each = &packets.align;

    if (length < 0)
        return true; /* Nothing there, or some were lost for want of memory: their programs send again */
    for (; NLMSG_OK(each, length); each = NLMSG_NEXT(each, length)) {
        struct nlattr *at = (struct nlattr *)((char *)NLMSG_DATA(each) + NLMSG_ALIGN(sizeof(struct nfgenmsg)));
        char *end = (char *)each + each->nlmsg_len;
        const struct nfqnl_msg_packet_hdr *header = NULL;
        const uint8_t *packet = NULL;
        size_t size = 0;
        struct end_point from, to;

        if (each->nlmsg_type != (NFNL_SUBSYS_QUEUE << 8 | NFQNL_MSG_PACKET))
            continue;
        while ((char *)at + NLA_HDRLEN <= end && at->nla_len >= NLA_HDRLEN) {
            if ((at->nla_type & NLA_TYPE_MASK) == NFQA_PACKET_HDR)
                header = (void *)((char *)at + NLA_HDRLEN);
            if ((at->nla_type & NLA_TYPE_MASK) == NFQA_PAYLOAD) {
                packet = (uint8_t *)at + NLA_HDRLEN;
                size = (size_t)at->nla_len - NLA_HDRLEN;
            }
            at = (struct nlattr *)((char *)at + NLA_ALIGN(at->nla_len));
        }
        if (!header)
            continue;
        if (packet && read_ends(packet, size, &from, &to))
            held(ntohl(header->packet_id), &from, &to, packet, size);
        else
            answer_queue(queue, ntohl(header->packet_id), false, MARK_NONE);
    }
    return true;
}

/**
 * answer_queue() - Says what becomes of a held packet
 * @queue:	The queue's socket
 * @id:		The packet
 * @pass:	Whether it goes on; otherwise it is gone, and its program will send it again
 * @mark:	What is marked on it
 */
void answer_queue(int queue, uint32_t id, bool pass, enum mark mark)
{
    static struct batch batch;
    struct nfqnl_msg_verdict_hdr verdict = { .verdict = htonl(pass ? NF_ACCEPT : NF_DROP), .id = htonl(id) };

    queue_begin(&batch, NFQNL_MSG_VERDICT, 0);
    attribute(&batch, NFQA_VERDICT_HDR, &verdict, sizeof(verdict));
    if (mark != MARK_NONE)
        attribute_be32(&batch, NFQA_MARK, mark);
    message_end(&batch);
    netlink_send(queue, &batch);
}
