/*
 * rules.c - the nftables rules of the namespace (linux/netfilter/nf_tables.h), one table, three chains
 *
 *   judge   prerouting -160  relay's own: accept; destinations inside that a socket wants: mark, accept;
 *                            the first packet of a connection: queue
 *   steer   prerouting -150  marked: accept; TCP connections and datagrams: TPROXY to the gates
 *   refuse  input         0  marks that stand for a refusal: reset or ICMP error; echo requests that are not for the
 *                            inside: refused, because the kernel would answer them in the name of the whole world
 *
 * On a machine the table has three more chains: `names` and `wanted` with a rule for each name server and each range,
 * which mark what goes there as ours, and between them `own`, which leaves alone what goes to the machine itself. Only
 * what came over the loopback is judged, so what programs of this machine send, and nobody else. What is ours and finds
 * no gate (the relay is gone, and its rules not yet) is dropped: no other listener of the machine is to get it. Where the
 * kernel can, the table belongs to our netlink socket (5.12 and later): nobody flushes it, and it goes with us.
 */
#include "netns.h"
#include "netlink.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nf_tables_compat.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/x_tables.h>
#include <linux/netfilter/xt_NFQUEUE.h>
#include <netinet/icmp6.h>
#include <netinet/ip_icmp.h>
#include <string.h>
#include <unistd.h>

#define TABLE "telepresence"

/* Offsets in the network and transport headers (RFC 791, 8200, 9293). */
enum { V4_DESTINATION = 16, V6_DESTINATION = 24, TCP_FLAGS = 13 };
enum { FLAG_FIN = 1, FLAG_SYN = 2, FLAG_RST = 4, FLAG_ACK = 16 };

/* A flag of tables, which older headers do not have. */
#define TABLE_OWNED 2

static struct batch batch;
static size_t rule_nest;
static int machine_fd = -1; /* Our socket to the machine's rules */
static bool is_owned;       /* Whether the machine's table belongs to it, so that nobody else can change it */
static unsigned begun;      /* Rules in the batch */
static unsigned made;       /* Rules in the table */
static unsigned made_own;   /* Those of them in the chain "own" */
bool by_iptables;           /* Whether the machine's rules are those of iptables.c */

static void nft_begin(uint16_t type, uint16_t flags)
{
    struct nfgenmsg head = { .nfgen_family = NFPROTO_INET, .version = NFNETLINK_V0 };

    message_begin(&batch, (uint16_t)(NFNL_SUBSYS_NFTABLES << 8 | type), flags, &head, sizeof(head));
}

static void batch_edge(uint16_t type)
{
    struct nfgenmsg head = { .version = NFNETLINK_V0, .res_id = htons(NFNL_SUBSYS_NFTABLES) };

    message_begin(&batch, type, 0, &head, sizeof(head));
    message_end(&batch);
}

static void add_chain(const char *name, uint32_t hook, int priority)
{
    size_t nest;

    nft_begin(NFT_MSG_NEWCHAIN, NLM_F_CREATE | NLM_F_ACK);
    attribute_text(&batch, NFTA_CHAIN_TABLE, TABLE);
    attribute_text(&batch, NFTA_CHAIN_NAME, name);
    attribute_text(&batch, NFTA_CHAIN_TYPE, "filter");
    nest = nest_begin(&batch, NFTA_CHAIN_HOOK);
    attribute_be32(&batch, NFTA_HOOK_HOOKNUM, hook);
    attribute_be32(&batch, NFTA_HOOK_PRIORITY, (uint32_t)priority);
    nest_end(&batch, nest);
    message_end(&batch);
}

static void rule_begin(const char *chain)
{
    nft_begin(NFT_MSG_NEWRULE, NLM_F_CREATE | NLM_F_APPEND | NLM_F_ACK);
    attribute_text(&batch, NFTA_RULE_TABLE, TABLE);
    attribute_text(&batch, NFTA_RULE_CHAIN, chain);
    rule_nest = nest_begin(&batch, NFTA_RULE_EXPRESSIONS);
}

static void rule_end(void)
{
    nest_end(&batch, rule_nest);
    message_end(&batch);
    begun++;
}

/**
 * send_rules() - Sends a batch that adds rules, and keeps account of them
 * @fd:		Netlink socket
 *
 * Return: how many it added, or -1 with errno
 */
static int send_rules(int fd)
{
    int count = (int)begun;

    begun = 0;
    if (netlink_send(fd, &batch))
        return -1;
    made += (unsigned)count;
    return count;
}

/* An expression is a name and data, nested twice. */
struct expression {
    size_t element, data;
};

static struct expression expression_begin(const char *name)
{
    struct expression expression = { .element = nest_begin(&batch, NFTA_LIST_ELEM) };

    attribute_text(&batch, NFTA_EXPR_NAME, name);
    expression.data = nest_begin(&batch, NFTA_EXPR_DATA);
    return expression;
}

static void expression_end(struct expression expression)
{
    nest_end(&batch, expression.data);
    nest_end(&batch, expression.element);
}

static void value(uint16_t type, const void *bytes, size_t size)
{
    size_t nest = nest_begin(&batch, type);

    attribute(&batch, NFTA_DATA_VALUE, bytes, size);
    nest_end(&batch, nest);
}

static void load_meta(uint32_t key)
{
    struct expression expression = expression_begin("meta");

    attribute_be32(&batch, NFTA_META_KEY, key);
    attribute_be32(&batch, NFTA_META_DREG, NFT_REG_1);
    expression_end(expression);
}

static void load_payload(uint32_t base, uint32_t offset, uint32_t size)
{
    struct expression expression = expression_begin("payload");

    attribute_be32(&batch, NFTA_PAYLOAD_DREG, NFT_REG_1);
    attribute_be32(&batch, NFTA_PAYLOAD_BASE, base);
    attribute_be32(&batch, NFTA_PAYLOAD_OFFSET, offset);
    attribute_be32(&batch, NFTA_PAYLOAD_LEN, size);
    expression_end(expression);
}

static void load_immediate(uint32_t to, const void *bytes, size_t size)
{
    struct expression expression = expression_begin("immediate");

    attribute_be32(&batch, NFTA_IMMEDIATE_DREG, to);
    value(NFTA_IMMEDIATE_DATA, bytes, size);
    expression_end(expression);
}

static void compare(uint32_t operation, const void *bytes, size_t size)
{
    struct expression expression = expression_begin("cmp");

    attribute_be32(&batch, NFTA_CMP_SREG, NFT_REG_1);
    attribute_be32(&batch, NFTA_CMP_OP, operation);
    value(NFTA_CMP_DATA, bytes, size);
    expression_end(expression);
}

static void mask_bytes(const uint8_t *mask, size_t size)
{
    static const uint8_t zeros[16];
    struct expression expression = expression_begin("bitwise");

    attribute_be32(&batch, NFTA_BITWISE_SREG, NFT_REG_1);
    attribute_be32(&batch, NFTA_BITWISE_DREG, NFT_REG_1);
    attribute_be32(&batch, NFTA_BITWISE_LEN, (uint32_t)size);
    value(NFTA_BITWISE_MASK, mask, size);
    value(NFTA_BITWISE_XOR, zeros, size);
    expression_end(expression);
}

static void mask_byte(uint8_t mask)
{
    mask_bytes(&mask, 1);
}

static void match_byte(uint32_t operation, uint8_t byte)
{
    compare(operation, &byte, 1);
}

static void match_mark(uint32_t operation, uint32_t mark)
{
    load_meta(NFT_META_MARK);
    compare(operation, &mark, sizeof(mark));
}

static void set_mark(uint32_t mark)
{
    struct expression expression;

    load_immediate(NFT_REG_1, &mark, sizeof(mark));
    expression = expression_begin("meta");
    attribute_be32(&batch, NFTA_META_KEY, NFT_META_MARK);
    attribute_be32(&batch, NFTA_META_SREG, NFT_REG_1);
    expression_end(expression);
}

static void match_family(uint8_t family)
{
    load_meta(NFT_META_NFPROTO);
    match_byte(NFT_CMP_EQ, family == AF_INET ? NFPROTO_IPV4 : NFPROTO_IPV6);
}

static void match_protocol(uint8_t protocol)
{
    load_meta(NFT_META_L4PROTO);
    match_byte(NFT_CMP_EQ, protocol);
}

/**
 * match_destination() - Goes on for packets to an address, or a part of one
 * @operation:	NFT_CMP_EQ or NFT_CMP_NEQ
 * @point:	The address
 * @bytes:	How many of its bytes count
 */
static void match_destination(uint32_t operation, const struct end_point *point, size_t bytes)
{
    load_payload(NFT_PAYLOAD_NETWORK_HEADER, point->family == AF_INET ? V4_DESTINATION : V6_DESTINATION,
                 (uint32_t)bytes);
    compare(operation, point->address, bytes);
}

/**
 * match_socket() - Goes on where a socket of this namespace wants the packet
 *
 * Which property of the socket is loaded does not matter: without a socket the rule ends. This one is the oldest.
 */
static void match_socket(void)
{
    struct expression expression = expression_begin("socket");

    attribute_be32(&batch, NFTA_SOCKET_KEY, NFT_SOCKET_TRANSPARENT);
    attribute_be32(&batch, NFTA_SOCKET_DREG, NFT_REG_1);
    expression_end(expression);
}

static void verdict_to(uint32_t code, const char *chain)
{
    struct expression expression = expression_begin("immediate");
    size_t outer, inner;

    attribute_be32(&batch, NFTA_IMMEDIATE_DREG, NFT_REG_VERDICT);
    outer = nest_begin(&batch, NFTA_IMMEDIATE_DATA);
    inner = nest_begin(&batch, NFTA_DATA_VERDICT);
    attribute_be32(&batch, NFTA_VERDICT_CODE, code);
    if (chain)
        attribute_text(&batch, NFTA_VERDICT_CHAIN, chain);
    nest_end(&batch, inner);
    nest_end(&batch, outer);
    expression_end(expression);
}

static void verdict(uint32_t code)
{
    verdict_to(code, NULL);
}

static void tproxy(const struct end_point *gate)
{
    struct expression expression;

    load_immediate(NFT_REG_1, gate->address, gate->family == AF_INET ? 4 : 16);
    load_immediate(NFT_REG_2, &gate->port, sizeof(gate->port));
    expression = expression_begin("tproxy");
    attribute_be32(&batch, NFTA_TPROXY_FAMILY, gate->family == AF_INET ? NFPROTO_IPV4 : NFPROTO_IPV6);
    attribute_be32(&batch, NFTA_TPROXY_REG_ADDR, NFT_REG_1);
    attribute_be32(&batch, NFTA_TPROXY_REG_PORT, NFT_REG_2);
    expression_end(expression);
}

static void reject(uint32_t type, uint8_t code)
{
    struct expression expression = expression_begin("reject");

    attribute_be32(&batch, NFTA_REJECT_TYPE, type);
    attribute(&batch, NFTA_REJECT_ICMP_CODE, &code, 1);
    expression_end(expression);
}

/**
 * queue_native() - Holds the packet in a queue, by nftables' own expression
 * @number:	The queue
 */
static void queue_native(uint16_t number)
{
    struct expression expression = expression_begin("queue");
    uint16_t first = htons(number), total = htons(1);

    attribute(&batch, NFTA_QUEUE_NUM, &first, sizeof(first));
    attribute(&batch, NFTA_QUEUE_TOTAL, &total, sizeof(total));
    expression_end(expression);
}

/**
 * queue_compatible() - The same by the target of iptables, for kernels that were built without the former
 * @number:	The queue
 */
static void queue_compatible(uint16_t number)
{
    struct expression expression = expression_begin("target");
    struct xt_NFQ_info queue = { .queuenum = number };
    uint8_t padded[XT_ALIGN(sizeof(queue))] = { 0 };

    memcpy(padded, &queue, sizeof(queue));
    attribute_text(&batch, NFTA_TARGET_NAME, "NFQUEUE");
    attribute_be32(&batch, NFTA_TARGET_REV, 0);
    attribute(&batch, NFTA_TARGET_INFO, padded, sizeof(padded));
    expression_end(expression);
}

/* Goes on for the packet that opens a TCP connection, or with NFT_CMP_NEQ for every other one. */
static void match_opening(uint32_t operation)
{
    match_protocol(IPPROTO_TCP);
    load_payload(NFT_PAYLOAD_TRANSPORT_HEADER, TCP_FLAGS, 1);
    mask_byte(FLAG_FIN | FLAG_SYN | FLAG_RST | FLAG_ACK);
    match_byte(operation, FLAG_SYN);
}

static void accept_inside(const struct end_point *point, size_t bytes)
{
    rule_begin("judge");
    match_family(point->family);
    match_destination(NFT_CMP_EQ, point, bytes);
    match_socket();
    set_mark(MARK_INSIDE);
    verdict(NF_ACCEPT);
    rule_end();
}

/* Goes on for what this machine's own programs send: all of it that goes to us comes over the loopback. */
static void match_loopback(uint32_t operation)
{
    uint32_t loopback = 1;

    load_meta(NFT_META_IIF);
    compare(operation, &loopback, sizeof(loopback));
}

static void judge_inside(const struct wanted *wanted)
{
    static const struct end_point loopback4 = { .family = AF_INET, .address = { 127 } };
    static const struct end_point loopback6 = { .family = AF_INET6, .address = { [15] = 1 } };

    accept_inside(&loopback4, 1);
    accept_inside(&loopback6, 16);
    for (unsigned i = 0; i < wanted->address_count; i++)
        accept_inside(&wanted->addresses[i], wanted->addresses[i].family == AF_INET ? 4 : 16);
}

static void judge_machine(void)
{
    rule_begin("judge");
    verdict_to((uint32_t)NFT_JUMP, "names");
    rule_end();
    rule_begin("judge");
    match_mark(NFT_CMP_NEQ, MARK_OURS);
    verdict_to((uint32_t)NFT_JUMP, "own");
    rule_end();
    rule_begin("judge");
    verdict_to((uint32_t)NFT_JUMP, "wanted");
    rule_end();
    rule_begin("judge");
    match_mark(NFT_CMP_NEQ, MARK_OURS);
    verdict(NF_ACCEPT);
    rule_end();
}

static void judge_rules(const struct wanted *wanted, void (*queue)(uint16_t number))
{
    rule_begin("judge");
    match_mark(NFT_CMP_EQ, MARK_RELAY);
    verdict(NF_ACCEPT);
    rule_end();
    if (wanted->machine) {
        rule_begin("judge");
        match_loopback(NFT_CMP_NEQ);
        verdict(NF_ACCEPT);
        rule_end();
    }
    rule_begin("judge");
    match_opening(NFT_CMP_NEQ);
    verdict(NF_ACCEPT);
    rule_end();
    if (wanted->machine)
        judge_machine();
    else
        judge_inside(wanted);
    if (!queue)
        return;
    rule_begin("judge");
    match_protocol(IPPROTO_TCP);
    queue(wanted->machine ? QUEUE_MACHINE : QUEUE_INSIDE);
    rule_end();
}

static void steer_rules(const struct wanted *wanted, const struct sockets *sockets)
{
    rule_begin("steer");
    match_mark(NFT_CMP_NEQ, wanted->machine ? MARK_OURS : MARK_NONE);
    verdict(NF_ACCEPT);
    rule_end();
    rule_begin("steer");
    match_opening(NFT_CMP_NEQ);
    verdict(NF_ACCEPT);
    rule_end();
    for (unsigned i = 0; i < 4; i++) {
        int fd = i < 2 ? sockets->tcp[i] : sockets->udp[i - 2];
        struct sockaddr_storage bound;
        socklen_t size = sizeof(bound);
        struct end_point gate;

        if (fd < 0)
            continue;
        getsockname(fd, (struct sockaddr *)&bound, &size);
        gate = from_sockaddr(&bound);
        rule_begin("steer");
        match_family(gate.family);
        match_protocol(i < 2 ? IPPROTO_TCP : IPPROTO_UDP);
        tproxy(&gate);
        verdict(NF_ACCEPT);
        rule_end();
    }
    for (unsigned i = 0; wanted->machine && i < 2; i++) {
        rule_begin("steer");
        match_protocol(i ? IPPROTO_TCP : IPPROTO_UDP);
        verdict(NF_DROP);
        rule_end();
    }
}

/* Whatever else goes to our ranges (echo requests, other protocols) would be answered by the kernel in their name. */
static void refuse_others(void)
{
    rule_begin("refuse");
    match_mark(NFT_CMP_EQ, MARK_OURS);
    load_meta(NFT_META_L4PROTO);
    match_byte(NFT_CMP_NEQ, IPPROTO_TCP);
    match_byte(NFT_CMP_NEQ, IPPROTO_UDP);
    reject(NFT_REJECT_ICMPX_UNREACH, NFT_REJECT_ICMPX_ADMIN_PROHIBITED);
    rule_end();
}

static void refuse_echo(const struct wanted *wanted, uint8_t family)
{
    rule_begin("refuse");
    match_family(family);
    match_protocol(family == AF_INET ? IPPROTO_ICMP : IPPROTO_ICMPV6);
    load_payload(NFT_PAYLOAD_TRANSPORT_HEADER, 0, 1);
    match_byte(NFT_CMP_EQ, family == AF_INET ? ICMP_ECHO : ICMP6_ECHO_REQUEST);
    if (family == AF_INET) {
        match_destination(NFT_CMP_NEQ, &(struct end_point){ .family = AF_INET, .address = { 127 } }, 1);
    } else {
        match_destination(NFT_CMP_NEQ, &(struct end_point){ .family = AF_INET6, .address = { [15] = 1 } }, 16);
    }
    for (unsigned i = 0; i < wanted->address_count; i++)
        if (wanted->addresses[i].family == family)
            match_destination(NFT_CMP_NEQ, &wanted->addresses[i], family == AF_INET ? 4 : 16);
    reject(NFT_REJECT_ICMPX_UNREACH, NFT_REJECT_ICMPX_ADMIN_PROHIBITED);
    rule_end();
}

static void refuse_rules(const struct wanted *wanted)
{
    static const struct { enum mark mark; uint32_t type; uint8_t code; } refusals[] = {
        { MARK_RESET, NFT_REJECT_TCP_RST, 0 },
        { MARK_NO_HOST, NFT_REJECT_ICMPX_UNREACH, NFT_REJECT_ICMPX_HOST_UNREACH },
        { MARK_NO_NETWORK, NFT_REJECT_ICMPX_UNREACH, NFT_REJECT_ICMPX_NO_ROUTE },
    };

    for (unsigned i = 0; i < sizeof(refusals) / sizeof(refusals[0]); i++) {
        rule_begin("refuse");
        match_mark(NFT_CMP_EQ, refusals[i].mark);
        if (refusals[i].type == NFT_REJECT_TCP_RST)
            match_protocol(IPPROTO_TCP);
        reject(refusals[i].type, refusals[i].code);
        rule_end();
    }
    if (wanted->machine) {
        refuse_others();
    } else {
        refuse_echo(wanted, AF_INET);
        refuse_echo(wanted, AF_INET6);
    }
}

static void add_plain_chain(const char *name)
{
    nft_begin(NFT_MSG_NEWCHAIN, NLM_F_CREATE | NLM_F_ACK);
    attribute_text(&batch, NFTA_CHAIN_TABLE, TABLE);
    attribute_text(&batch, NFTA_CHAIN_NAME, name);
    message_end(&batch);
}

/**
 * make_table() - Makes the table, all of it or nothing
 * @fd:		Netlink socket
 * @wanted:	The addresses of the inside
 * @sockets:	The gates
 * @queue:	Writes the expression that holds a packet; NULL holds none
 * @owned:	Whether the table is to go with the socket
 *
 * Return: 0, or -1 with errno
 */
static int make_table(int fd, const struct wanted *wanted, const struct sockets *sockets, void (*queue)(uint16_t number),
                      bool owned)
{
    batch_edge(NFNL_MSG_BATCH_BEGIN);
    nft_begin(NFT_MSG_NEWTABLE, NLM_F_CREATE | NLM_F_EXCL | NLM_F_ACK);
    attribute_text(&batch, NFTA_TABLE_NAME, TABLE);
    if (owned)
        attribute_be32(&batch, NFTA_TABLE_FLAGS, TABLE_OWNED);
    message_end(&batch);
    for (unsigned i = 0; wanted->machine && i < 3; i++)
        add_plain_chain((const char *const[]){ "names", "own", "wanted" }[i]);
    add_chain("judge", NF_INET_PRE_ROUTING, -160);
    add_chain("steer", NF_INET_PRE_ROUTING, -150);
    add_chain("refuse", NF_INET_LOCAL_IN, 0);
    judge_rules(wanted, queue);
    steer_rules(wanted, sockets);
    refuse_rules(wanted);
    batch_edge(NFNL_MSG_BATCH_END);
    made = 0;
    return send_rules(fd) < 0 ? -1 : 0;
}

/**
 * make_some_table() - Makes it with what this kernel has to hold packets
 * @fd:		Netlink socket
 * @wanted:	The addresses of the inside
 * @sockets:	The gates; the queue is closed where no rule can use it
 * @owned:	Whether the table is to go with the socket
 *
 * Return: 0, or -1 with errno
 */
static int make_some_table(int fd, const struct wanted *wanted, struct sockets *sockets, bool owned)
{
    is_owned = owned;
    if (sockets->queue >= 0 && (!make_table(fd, wanted, sockets, queue_native, owned) ||
                                !make_table(fd, wanted, sockets, queue_compatible, owned)))
        return 0;
    if (make_table(fd, wanted, sockets, NULL, owned))
        return -1;
    if (sockets->queue >= 0)
        close(sockets->queue);
    sockets->queue = -1;
    return 0;
}

/**
 * set_up_rules() - Makes the rules
 * @wanted:	The addresses of the inside
 * @sockets:	The gates; the queue is closed where no rule can use it
 *
 * The socket to a machine's rules stays open, as they belong to it.
 */
void set_up_rules(const struct wanted *wanted, struct sockets *sockets)
{
    int fd = netlink_open(NETLINK_NETFILTER);

    if (wanted->iptables || (fd < 0 && wanted->machine) ||
        ((!wanted->machine || make_some_table(fd, wanted, sockets, true)) &&
         make_some_table(fd, wanted, sockets, false))) {
        int why = wanted->iptables ? EOPNOTSUPP : errno;

        if (!wanted->machine || why == EEXIST || why == EPERM)
            die("nftables");
        note_iptables();
        by_iptables = true;
        if (iptables_set_up(sockets)) {
            errno = why;
            die("nftables, iptables");
        }
    }
    if (wanted->machine)
        machine_fd = fd;
    else
        close(fd);
}

/* Goes on for what goes to a range. */
static void match_range(const struct range *range)
{
    uint8_t mask[16] = { 0 }, masked[16];
    size_t bytes = (range->bits + 7) / 8;

    for (size_t i = 0; i < bytes; i++) {
        mask[i] = range->bits >= 8 * (i + 1) ? 0xff : (uint8_t)(0xff << (8 * (i + 1) - range->bits));
        masked[i] = range->base.address[i] & mask[i];
    }
    match_family(range->base.family);
    if (bytes > 0) {
        load_payload(NFT_PAYLOAD_NETWORK_HEADER, range->base.family == AF_INET ? V4_DESTINATION : V6_DESTINATION,
                     (uint32_t)bytes);
        mask_bytes(mask, bytes);
        compare(NFT_CMP_EQ, masked, bytes);
    }
}

static void count_own(int count)
{
    made_own += count < 0 ? 0 : (unsigned)count;
}

/**
 * leave_own_alone() - Has what goes to the machine's own addresses left alone, those that it has now
 */
void leave_own_alone(void)
{
    static struct range own[MOST_OWN];
    unsigned count = own_addresses(own, MOST_OWN);

    if (by_iptables) {
        iptables_leave_alone(own, count);
        return;
    }
    batch_edge(NFNL_MSG_BATCH_BEGIN);
    nft_begin(NFT_MSG_DELRULE, NLM_F_ACK); /* All of the chain */
    attribute_text(&batch, NFTA_RULE_TABLE, TABLE);
    attribute_text(&batch, NFTA_RULE_CHAIN, "own");
    message_end(&batch);
    made -= made_own;
    made_own = 0;
    for (unsigned i = 0; i < count; i++) {
        rule_begin("own");
        match_range(&own[i]);
        verdict(NF_ACCEPT);
        rule_end();
        if (batch.length < BATCH_BYTES - 1024)
            continue;
        batch_edge(NFNL_MSG_BATCH_END);
        count_own(send_rules(machine_fd));
        batch_edge(NFNL_MSG_BATCH_BEGIN);
    }
    batch_edge(NFNL_MSG_BATCH_END);
    count_own(send_rules(machine_fd));
}

/**
 * add_range_rule() - Has what goes to a range marked as ours
 * @range:	The range; with a port, only that one of TCP and UDP
 *
 * Return: 0, or -1 with errno
 */
int add_range_rule(const struct range *range)
{
    if (by_iptables)
        return iptables_add_range(range);
    batch_edge(NFNL_MSG_BATCH_BEGIN);
    rule_begin(range->base.port ? "names" : "wanted");
    match_range(range);
    if (range->base.port) {
        load_meta(NFT_META_L4PROTO);
        match_byte(NFT_CMP_NEQ, range->base.family == AF_INET ? IPPROTO_ICMP : IPPROTO_ICMPV6);
        load_payload(NFT_PAYLOAD_TRANSPORT_HEADER, 2, sizeof(range->base.port));
        compare(NFT_CMP_EQ, &range->base.port, sizeof(range->base.port));
    }
    set_mark(MARK_OURS);
    rule_end();
    batch_edge(NFNL_MSG_BATCH_END);
    return send_rules(machine_fd) < 0 ? -1 : 0;
}

static void count_rule(struct nlmsghdr *message, void *count)
{
    struct nlattr *first = (struct nlattr *)((char *)NLMSG_DATA(message) + NLMSG_ALIGN(sizeof(struct nfgenmsg)));

    /* The kernel begins with the table's name; older ones give the rules of all tables. */
    if (message->nlmsg_len >= NLMSG_LENGTH(NLMSG_ALIGN(sizeof(struct nfgenmsg))) + NLA_HDRLEN + sizeof(TABLE) &&
        first->nla_type == NFTA_RULE_TABLE && !strcmp((char *)first + NLA_HDRLEN, TABLE))
        ++*(unsigned *)count;
}

/**
 * has_table() - Whether nobody has taken the table or a rule of it away; where the kernel does not say, nobody has
 */
bool has_table(void)
{
    unsigned count = 0;
    bool known;
    int fd;

    if (by_iptables)
        return iptables_is_there();
    if (is_owned)
        return true;
    fd = netlink_open(NETLINK_NETFILTER);
    if (fd < 0)
        return true;
    nft_begin(NFT_MSG_GETRULE, NLM_F_DUMP);
    attribute_text(&batch, NFTA_RULE_TABLE, TABLE);
    message_end(&batch);
    known = !netlink_dump(fd, &batch, count_rule, &count);
    close(fd);
    return !known || count >= made;
}

static int send_deletion(int fd)
{
    batch_edge(NFNL_MSG_BATCH_BEGIN);
    nft_begin(NFT_MSG_DELTABLE, NLM_F_ACK);
    attribute_text(&batch, NFTA_TABLE_NAME, TABLE);
    message_end(&batch);
    batch_edge(NFNL_MSG_BATCH_END);
    return netlink_send(fd, &batch) && errno != ENOENT && errno != EOPNOTSUPP ? -1 : 0;
}

/**
 * restore_table() - Makes the table anew, without the rules for ranges
 * @wanted:	What the session wants
 * @sockets:	The gates
 *
 * Return: 0, or -1 with errno
 */
int restore_table(const struct wanted *wanted, struct sockets *sockets)
{
    if (by_iptables) {
        if (iptables_undo() || iptables_set_up(sockets)) {
            errno = EIO;
            return -1;
        }
    } else if (send_deletion(machine_fd) || make_some_table(machine_fd, wanted, sockets, false)) {
        return -1;
    }
    made_own = 0;
    leave_own_alone();
    return 0;
}

/**
 * delete_table() - Takes a machine's table away, whoever made it
 *
 * Return: 0 when there is none any more, or -1 with errno
 */
int delete_table(void)
{
    int fd = netlink_open(NETLINK_NETFILTER), refused, why;

    if (machine_fd >= 0)
        close(machine_fd);
    machine_fd = -1;
    if (fd < 0)
        return errno == EPROTONOSUPPORT ? 0 : -1; /* A kernel without it has none */
    refused = send_deletion(fd);
    why = errno;
    close(fd);
    errno = why;
    return refused;
}
