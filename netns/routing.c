/*
 * routing.c - how a machine's own packets for our ranges come to us, and what routes it has (rtnetlink(7))
 *
 * Rules of our own, before all but the kernel's table "local", and two tables:
 *
 *   1741  what carries the relay's mark                  go to 1744
 *   1742  of this machine's own, to port 53, TCP or UDP  table 29809: the name servers
 *   1743  of this machine's own                          table 29808: the ranges
 *   1744  nothing: a place to go to
 *
 * A route of type "local" has the machine take what goes there for its own, so that it arrives at once over the
 * loopback, where rules.c waits; of type "throw", that the lookup goes on as if we were not there. What other machines
 * send through this one is not looked up here. Programs send from the loopback's address, which stays when the machine
 * moves to another network.
 *
 * Everything of ours is told by these numbers, so that any process can give it back.
 */
#include "netns.h"
#include "netlink.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/fib_rules.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

enum { PREF_RELAY = 1741, PREF_NAMES, PREF_RANGES, PREF_END };
enum { TABLE_RANGES = 29808, TABLE_NAMES };
#define DNS_PORT 53
#define LOOPBACK_INDEX 1

static struct batch batch;

static const uint8_t families[] = { AF_INET, AF_INET6 };

/**
 * add_rule() - Adds a rule
 * @fd:		Netlink socket
 * @family:	AF_INET or AF_INET6
 * @pref:	Its place
 * @table:	The table to look into; 0 where there is none
 * @protocol:	IPPROTO_ for port 53 of it alone; 0 for all
 *
 * Return: 0, or -1 with errno
 */
static int add_rule(int fd, uint8_t family, uint32_t pref, uint32_t table, uint8_t protocol)
{
    struct fib_rule_hdr head = {
        .family = family,
        .action = pref == PREF_RELAY ? FR_ACT_GOTO : pref == PREF_END ? FR_ACT_NOP : FR_ACT_TO_TBL,
    };

    message_begin(&batch, RTM_NEWRULE, NLM_F_CREATE | NLM_F_EXCL | NLM_F_ACK, &head, sizeof(head));
    attribute(&batch, FRA_PRIORITY, &pref, sizeof(pref));
    if (pref == PREF_RELAY) {
        attribute(&batch, FRA_FWMARK, &(uint32_t){ MARK_RELAY }, sizeof(uint32_t));
        attribute(&batch, FRA_FWMASK, &(uint32_t){ UINT32_MAX }, sizeof(uint32_t));
        attribute(&batch, FRA_GOTO, &(uint32_t){ PREF_END }, sizeof(uint32_t));
    }
    if (table) {
        attribute(&batch, FRA_TABLE, &table, sizeof(table));
        attribute_text(&batch, FRA_IIFNAME, "lo");
    }
    if (protocol) {
        struct fib_rule_port_range port = { DNS_PORT, DNS_PORT };

        attribute(&batch, FRA_IP_PROTO, &protocol, sizeof(protocol));
        attribute(&batch, FRA_DPORT_RANGE, &port, sizeof(port));
    }
    message_end(&batch);
    return netlink_send(fd, &batch);
}

static const struct { uint32_t pref, table; uint8_t protocol; } rules[] = {
    { PREF_END, 0, 0 },
    { PREF_RELAY, 0, 0 },
    { PREF_NAMES, TABLE_NAMES, IPPROTO_UDP },
    { PREF_NAMES, TABLE_NAMES, IPPROTO_TCP },
    { PREF_RANGES, TABLE_RANGES, 0 },
};
#define RULES (sizeof(rules) / sizeof(rules[0]))

/* Whether the rules of a family were made. */
static bool has_rules[sizeof(families)];

/**
 * add_rules() - Adds the rules of a family
 * @fd:		Netlink socket
 * @family:	AF_INET or AF_INET6
 * @again:	Whether some of them may be there
 *
 * Return: 0, or -1 with errno
 */
static int add_rules(int fd, uint8_t family, bool again)
{
    for (unsigned i = 0; i < RULES; i++)
        if (add_rule(fd, family, rules[i].pref, rules[i].table, rules[i].protocol) && !(again && errno == EEXIST))
            return -1;
    return 0;
}

/**
 * set_up_routing() - Makes the rules; with empty tables they change nothing
 */
void set_up_routing(void)
{
    int fd = netlink_open(NETLINK_ROUTE);

    if (fd < 0)
        die("netlink");
    if (add_rules(fd, AF_INET, false))
        die("rule");
    has_rules[0] = true;
    has_rules[1] = !add_rules(fd, AF_INET6, false);
    /* A machine without IPv6 has no rules for it either. */
    if (!has_rules[1] && errno != EAFNOSUPPORT && errno != EOPNOTSUPP)
        die("rule6");
    close(fd);
}

static int add_route(const struct range *range, uint8_t type)
{
    uint8_t family = range->base.family;
    size_t size = family == AF_INET ? 4 : 16;
    uint32_t table = range->base.port ? TABLE_NAMES : TABLE_RANGES, index = LOOPBACK_INDEX;
    struct rtmsg head = {
        .rtm_family = family,
        .rtm_dst_len = (uint8_t)range->bits,
        .rtm_table = RT_TABLE_UNSPEC,
        .rtm_protocol = RTPROT_STATIC,
        .rtm_scope = type == RTN_LOCAL && family == AF_INET ? RT_SCOPE_HOST : RT_SCOPE_UNIVERSE,
        .rtm_type = type,
    };
    int fd = netlink_open(NETLINK_ROUTE), refused, why;

    if (fd < 0)
        return -1;
    message_begin(&batch, RTM_NEWROUTE, NLM_F_CREATE | NLM_F_REPLACE | NLM_F_ACK, &head, sizeof(head));
    attribute(&batch, RTA_DST, range->base.address, size);
    attribute(&batch, RTA_TABLE, &table, sizeof(table));
    if (type == RTN_LOCAL || family == AF_INET6)
        attribute(&batch, RTA_OIF, &index, sizeof(index));
    if (type == RTN_LOCAL) {
        struct end_point loopback;

        parse_address(family == AF_INET ? "127.0.0.1" : "::1", &loopback);
        attribute(&batch, RTA_PREFSRC, loopback.address, size);
    }
    message_end(&batch);
    refused = netlink_send(fd, &batch);
    why = errno;
    close(fd);
    errno = why;
    return refused;
}

/**
 * route_here() - Leads this machine's packets for a range to us
 * @range:	The range; with a port, what goes to that one alone
 *
 * Return: 0, or -1 with errno
 */
int route_here(const struct range *range)
{
    return add_route(range, RTN_LOCAL);
}

/**
 * route_as_before() - Leaves a range alone, though it is within one that is led to us
 * @range:	The range
 *
 * Return: 0, or -1 with errno
 */
int route_as_before(const struct range *range)
{
    return add_route(range, RTN_THROW);
}

/**
 * dump() - Calls back for each object of a kind
 * @fd:		Netlink socket
 * @type:	RTM_GETRULE or RTM_GETROUTE
 * @family:	AF_INET or AF_INET6; one that this machine does not have has no objects
 * @each:	Called with each message
 * @context:	Passed on
 *
 * Return: 0, or -1 with errno
 */
static int dump(int fd, uint16_t type, uint8_t family, void (*each)(struct nlmsghdr *message, void *context),
                void *context)
{
    struct rtmsg head = { .rtm_family = family };

    message_begin(&batch, type, NLM_F_DUMP, &head, sizeof(head));
    message_end(&batch);
    return netlink_dump(fd, &batch, each, context) && errno != EAFNOSUPPORT && errno != EOPNOTSUPP ? -1 : 0;
}

/* Attributes by their number; those that are not there are NULL. */
static void read_attributes(struct nlmsghdr *message, struct rtattr *into[], unsigned most)
{
    struct rtattr *at = RTM_RTA(NLMSG_DATA(message));
    int left = (int)RTM_PAYLOAD(message);

    memset(into, 0, most * sizeof(*into));
    for (; RTA_OK(at, left); at = RTA_NEXT(at, left))
        if ((at->rta_type & NLA_TYPE_MASK) < most)
            into[at->rta_type & NLA_TYPE_MASK] = at;
}

static uint32_t number_of(const struct rtattr *attribute, uint32_t otherwise)
{
    if (attribute)
        memcpy(&otherwise, RTA_DATA(attribute), sizeof(otherwise));
    return otherwise;
}

/* Copies of what is to be deleted: the kernel takes back what it gave. */
struct marked {
    struct nlmsghdr *messages[4096];
    unsigned count;
};

static bool is_ours(struct nlmsghdr *message)
{
    struct rtattr *attributes[FRA_MAX + RTA_MAX + 1];
    uint32_t table;

    read_attributes(message, attributes, FRA_MAX + RTA_MAX + 1);
    if (message->nlmsg_type == RTM_NEWRULE) {
        uint32_t pref = number_of(attributes[FRA_PRIORITY], 0);
        struct fib_rule_hdr *head = NLMSG_DATA(message);

        table = number_of(attributes[FRA_TABLE], head->table);
        if (pref == PREF_RELAY)
            return number_of(attributes[FRA_FWMARK], 0) == MARK_RELAY;
        return (pref == PREF_END && head->action == FR_ACT_NOP) || table == TABLE_RANGES || table == TABLE_NAMES;
    }
    table = number_of(attributes[RTA_TABLE], ((struct rtmsg *)NLMSG_DATA(message))->rtm_table);
    return table == TABLE_RANGES || table == TABLE_NAMES;
}

static void mark_ours(struct nlmsghdr *message, void *context)
{
    struct marked *marked = context;

    if (!is_ours(message) || marked->count == sizeof(marked->messages) / sizeof(marked->messages[0]))
        return;
    marked->messages[marked->count] = malloc(message->nlmsg_len);
    if (marked->messages[marked->count])
        memcpy(marked->messages[marked->count++], message, message->nlmsg_len);
}

static int delete_marked(int fd, struct marked *marked)
{
    int failed = 0;

    for (unsigned i = 0; i < marked->count; i++) {
        struct nlmsghdr *message = marked->messages[i];
        uint16_t type = message->nlmsg_type == RTM_NEWRULE ? RTM_DELRULE : RTM_DELROUTE;

        message_begin(&batch, type, NLM_F_ACK, NLMSG_DATA(message), message->nlmsg_len - NLMSG_HDRLEN);
        message_end(&batch);
        if (netlink_send(fd, &batch) && errno != ENOENT && errno != ESRCH)
            failed = -1;
        free(message);
    }
    marked->count = 0;
    return failed;
}

/**
 * undo_routing() - Takes away every rule and route of ours, whoever made them: rules first, so that nothing comes here
 *
 * Return: 0, or -1 with errno
 */
int undo_routing(void)
{
    static const uint16_t kinds[] = { RTM_GETRULE, RTM_GETROUTE };
    static struct marked marked;
    int failed = 0;

    for (unsigned kind = 0; kind < 2; kind++) {
        for (unsigned i = 0; i < sizeof(families); i++) {
            int fd = netlink_open(NETLINK_ROUTE);

            if (fd < 0)
                return -1;
            /* More than fit are deleted in rounds. */
            do {
                if (dump(fd, kinds[kind], families[i], mark_ours, &marked))
                    failed = -1;
            } while (marked.count > 0 && !delete_marked(fd, &marked) && kind == 1);
            close(fd);
        }
    }
    return failed;
}

static void count_ours(struct nlmsghdr *message, void *count)
{
    *(unsigned *)count += is_ours(message);
}

/**
 * has_all_rules() - Whether nobody has taken a rule of ours away; where the kernel does not say, nobody has
 */
bool has_all_rules(void)
{
    int fd = netlink_open(NETLINK_ROUTE);
    bool whole = true;

    for (unsigned i = 0; fd >= 0 && i < sizeof(families); i++) {
        unsigned count = 0;

        if (has_rules[i] && !dump(fd, RTM_GETRULE, families[i], count_ours, &count))
            whole &= count >= RULES;
    }
    if (fd >= 0)
        close(fd);
    return whole;
}

/**
 * restore_rules() - Makes the rules that are not there
 *
 * Return: 0, or -1 with errno
 */
int restore_rules(void)
{
    int fd = netlink_open(NETLINK_ROUTE), failed = fd < 0 ? -1 : 0, why;

    for (unsigned i = 0; !failed && i < sizeof(families); i++)
        if (has_rules[i])
            failed = add_rules(fd, families[i], true);
    why = errno;
    if (fd >= 0)
        close(fd);
    errno = why;
    return failed;
}

/**
 * has_routes() - Whether our tables still have at least so many routes; where the kernel does not say, they have
 * @wanted:	How many were made
 *
 * A kernel that can (4.20 and later) is asked for our tables alone: a router's others may have a million routes.
 */
bool has_routes(unsigned wanted)
{
    static const uint32_t tables[] = { TABLE_RANGES, TABLE_NAMES };
    int fd = netlink_open(NETLINK_ROUTE), strict = 1;
    bool alone, known = fd >= 0;
    unsigned count = 0;

    alone = known && !setsockopt(fd, SOL_NETLINK, NETLINK_GET_STRICT_CHK, &strict, sizeof(strict));
    for (unsigned i = 0; known && i < sizeof(families); i++) {
        struct rtmsg head = { .rtm_family = families[i] };

        for (unsigned each = 0; alone && each < 2; each++) {
            message_begin(&batch, RTM_GETROUTE, NLM_F_DUMP, &head, sizeof(head));
            attribute(&batch, RTA_TABLE, &tables[each], sizeof(tables[each]));
            message_end(&batch);
            /* A table without routes need not be there. */
            if (netlink_dump(fd, &batch, count_ours, &count) && errno != ENOENT && errno != EAFNOSUPPORT &&
                errno != EOPNOTSUPP)
                known = false;
        }
        if (!alone && dump(fd, RTM_GETROUTE, families[i], count_ours, &count))
            known = false;
    }
    if (fd >= 0)
        close(fd);
    return !known || count >= wanted;
}

/* Whether a device has one other end, as those of VPNs have. */
static bool is_tunnel(const char *device)
{
    struct ifreq request = { 0 };
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    bool found;

    snprintf(request.ifr_name, sizeof(request.ifr_name), "%s", device);
    found = fd >= 0 && !ioctl(fd, SIOCGIFFLAGS, &request) && (request.ifr_flags & IFF_POINTOPOINT);
    if (fd >= 0)
        close(fd);
    return found;
}

/* "ADDRESS/BITS TABLE DEVICE link|tunnel|via" */
static void print_route(struct nlmsghdr *message, void *context)
{
    struct rtmsg *head = NLMSG_DATA(message);
    struct rtattr *attributes[RTA_MAX + 1];
    char address[INET6_ADDRSTRLEN], device[IF_NAMESIZE] = "-";
    uint8_t zeros[16] = { 0 };

    (void)context;
    read_attributes(message, attributes, RTA_MAX + 1);
    if (head->rtm_type != RTN_UNICAST || (head->rtm_flags & RTM_F_CLONED) || is_ours(message))
        return;
    inet_ntop(head->rtm_family, attributes[RTA_DST] ? RTA_DATA(attributes[RTA_DST]) : zeros, address, sizeof(address));
    if (attributes[RTA_OIF] && !if_indextoname(number_of(attributes[RTA_OIF], 0), device))
        snprintf(device, sizeof(device), "-");
    printf("%s/%u %u %s %s\n", address, head->rtm_dst_len, number_of(attributes[RTA_TABLE], head->rtm_table), device,
           is_tunnel(device) ? "tunnel" : attributes[RTA_GATEWAY] || attributes[RTA_MULTIPATH] ? "via" : "link");
}

/**
 * print_routes() - Prints where this machine's packets can go, by all of its tables
 *
 * Return: an exit status
 */
int print_routes(void)
{
    for (unsigned i = 0; i < sizeof(families); i++) {
        int fd = netlink_open(NETLINK_ROUTE);

        if (fd < 0 || dump(fd, RTM_GETROUTE, families[i], print_route, NULL))
            die("routes");
        close(fd);
    }
    return 0;
}
