/*
 * enter.c - new namespaces for this process, their files and their addresses
 */
#include "netns.h"
#include "netlink.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <unistd.h>

/* lo is the first interface of each network namespace. */
#define LOOPBACK_INDEX 1

/**
 * die() - Ends the helper before the command has started: README.md, "Failures"
 * @step:	What could not be done; errno says why
 */
void die(const char *step)
{
    const char *name = strerrorname_np(errno);

    fprintf(stderr, "netns: %s: %s: %s\n", step, name ? name : "EIO", strerror(errno));
    _exit(126);
}

/**
 * write_file() - Writes a text to a file that is there
 * @path:	The file
 * @text:	The text, in one write as /proc wants it
 *
 * Return: 0, or -1 with errno
 */
static int write_file(const char *path, const char *text)
{
    int fd = open(path, O_WRONLY | O_CLOEXEC), saved;
    ssize_t written;

    if (fd < 0)
        return -1;
    written = write(fd, text, strlen(text));
    saved = errno;
    close(fd);
    errno = saved;
    return written < 0 ? -1 : 0;
}

/**
 * enter_namespaces() - Leaves the host's network and mounts
 *
 * Who may do so as they are (root) stays in the host's user namespace, where every user and group keeps its meaning.
 * Everybody else gets a user namespace, in which the own user and group are themselves (user_namespaces(7): one line
 * that maps the writer's own id needs no privilege, once setgroups is denied).
 */
void enter_namespaces(void)
{
    uid_t uid = geteuid();
    gid_t gid = getegid();
    char map[64];

    if (!unshare(CLONE_NEWNET | CLONE_NEWNS))
        return;
    if (unshare(CLONE_NEWUSER | CLONE_NEWNET | CLONE_NEWNS))
        die("unshare");
    if (write_file("/proc/self/setgroups", "deny") && errno != ENOENT)
        die("setgroups");
    snprintf(map, sizeof(map), "%u %u 1", uid, uid);
    if (write_file("/proc/self/uid_map", map))
        die("uid_map");
    snprintf(map, sizeof(map), "%u %u 1", gid, gid);
    if (write_file("/proc/self/gid_map", map))
        die("gid_map");
}

/**
 * set_up_mounts() - Lays the session's files over the host's, for this mount namespace alone
 * @wanted:	The files
 *
 * What is mounted outside from now on (a stick, the pod's volumes) appears inside too, and nothing the other way.
 */
void set_up_mounts(const struct wanted *wanted)
{
    if (mount(NULL, "/", NULL, MS_REC | MS_SLAVE, NULL))
        die("mount");
    for (unsigned i = 0; i < wanted->bind_count; i++)
        if (mount(wanted->binds[i].from, wanted->binds[i].to, NULL, MS_BIND, NULL))
            die(wanted->binds[i].to);
    show_files(wanted);
}

/**
 * raise_loopback() - Switches the interface lo on
 */
static void raise_loopback(void)
{
    struct ifreq request = { .ifr_name = "lo" };
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

    if (fd < 0 || ioctl(fd, SIOCGIFFLAGS, &request))
        die("lo");
    request.ifr_flags |= IFF_UP;
    if (ioctl(fd, SIOCSIFFLAGS, &request))
        die("lo");
    close(fd);
}

static size_t address_size(const struct end_point *point)
{
    return point->family == AF_INET ? 4 : 16;
}

/**
 * add_address() - Gives lo an address
 * @batch:	Batch for the request
 * @point:	The address
 */
static void add_address(struct batch *batch, const struct end_point *point)
{
    size_t size = address_size(point);
    struct ifaddrmsg head = {
        .ifa_family = point->family,
        .ifa_prefixlen = (uint8_t)(8 * size),
        .ifa_flags = IFA_F_PERMANENT | IFA_F_NODAD,
        .ifa_scope = RT_SCOPE_UNIVERSE,
        .ifa_index = LOOPBACK_INDEX,
    };

    message_begin(batch, RTM_NEWADDR, NLM_F_CREATE | NLM_F_ACK, &head, sizeof(head));
    attribute(batch, IFA_LOCAL, point->address, size);
    attribute(batch, IFA_ADDRESS, point->address, size);
    message_end(batch);
}

/**
 * add_route() - Makes every address of a family one of our own
 * @batch:	Batch for the request
 * @family:	AF_INET or AF_INET6
 * @source:	What programs are to send from; NULL leaves it to the kernel
 */
static void add_route(struct batch *batch, uint8_t family, const struct end_point *source)
{
    uint32_t index = LOOPBACK_INDEX;
    struct rtmsg head = {
        .rtm_family = family,
        .rtm_table = RT_TABLE_LOCAL,
        .rtm_protocol = RTPROT_BOOT,
        .rtm_scope = family == AF_INET ? RT_SCOPE_HOST : RT_SCOPE_UNIVERSE,
        .rtm_type = RTN_LOCAL,
    };

    message_begin(batch, RTM_NEWROUTE, NLM_F_CREATE | NLM_F_ACK, &head, sizeof(head));
    attribute(batch, RTA_OIF, &index, sizeof(index));
    if (source)
        attribute(batch, RTA_PREFSRC, source->address, address_size(source));
    message_end(batch);
}

static const struct end_point *first_of(const struct wanted *wanted, uint8_t family)
{
    for (unsigned i = 0; i < wanted->address_count; i++)
        if (wanted->addresses[i].family == family)
            return &wanted->addresses[i];
    return NULL;
}

/**
 * set_up_addresses() - lo, its addresses, and the routes by which everything is local
 * @wanted:	The addresses
 *
 * A host without IPv6 has none inside either, which is no failure. Without an address of IPv6 there is no route for it:
 * programs then see at once that it leads nowhere. Low ports are free for everybody, as in a pod.
 */
void set_up_addresses(const struct wanted *wanted)
{
    static struct batch batch;
    int fd = netlink_open(NETLINK_ROUTE);

    raise_loopback();
    if (fd < 0)
        die("netlink");
    for (unsigned i = 0; i < wanted->address_count; i++) {
        add_address(&batch, &wanted->addresses[i]);
        if (netlink_send(fd, &batch) && wanted->addresses[i].family == AF_INET)
            die("address");
    }
    add_route(&batch, AF_INET, first_of(wanted, AF_INET));
    if (netlink_send(fd, &batch))
        die("route");
    if (first_of(wanted, AF_INET6)) {
        add_route(&batch, AF_INET6, first_of(wanted, AF_INET6));
        if (netlink_send(fd, &batch) && errno != EOPNOTSUPP && errno != EAFNOSUPPORT)
            die("route6");
    }
    close(fd);
    write_file("/proc/sys/net/ipv4/ip_unprivileged_port_start", "0");
    write_file("/proc/sys/net/ipv4/tcp_syncookies", "0"); /* A cookie's ACK would not find the gate */
}
