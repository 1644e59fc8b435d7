/*
 * iptables.c - the same of rules.c for a machine whose kernel has no nftables, by the programs of iptables
 *
 * Three chains of our own in the table mangle, and one rule that leads there:
 *
 *   PREROUTING          over the loopback, not the relay's: telepresence
 *   telepresence        TCP that opens nothing: back; telepresence-names; telepresence-to; not marked as ours: back;
 *                       TPROXY; the rest: drop
 *   telepresence-names  a rule for each name server, which marks
 *   telepresence-to     to the machine's own addresses: back; a rule for each range, which marks
 *
 * No packet is held: a connection is accepted first, and reset when the pod says no. Only the older programs
 * (iptables-legacy, or those from before there were two) speak to such a kernel. That they were used stands in the state
 * file, so that giving back asks them alone then.
 */
#include "netns.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define CHAIN "telepresence"
#define RANGES "telepresence-to"
#define NAMES "telepresence-names"
#define FROM_HERE "-i", "lo", "-m", "mark", "!", "--mark", relay_mark, "-j", CHAIN
#define MOST_WORDS 20
#define RANGE_BYTES (INET6_ADDRSTRLEN + 8)

static const char *const families[] = { "iptables", "ip6tables" };
static char relay_mark[16], our_mark[16];
static bool has_chains[2];
/* The machine's own addresses that are left alone. */
static struct range left_alone[MOST_OWN];
static unsigned left_alone_count;

static void write_marks(void)
{
    snprintf(relay_mark, sizeof(relay_mark), "%#x", MARK_RELAY);
    snprintf(our_mark, sizeof(our_mark), "%#x", MARK_OURS);
}

/**
 * run() - Runs a program of iptables on the table mangle, without its words to anybody
 * @family:	0 for IPv4, 1 for IPv6
 * @waits:	Whether it waits for others that are at work there
 * @words:	What is said behind the table, ended by NULL
 *
 * Return: its exit status, or -1 where there is none
 */
static int run(unsigned family, bool waits, const char *const *words)
{
    static const char *const endings[] = { "-legacy", "" };

    for (unsigned i = 0; i < 2; i++) {
        char name[32], *all[MOST_WORDS] = { name, "-t", "mangle", "-w", "5" };
        unsigned count = waits ? 5 : 3;
        int status = 0;
        pid_t child;

        snprintf(name, sizeof(name), "%s%s", families[family], endings[i]);
        for (const char *const *word = words; *word && count < MOST_WORDS - 1; word++)
            all[count++] = (char *)*word;
        child = fork();
        if (child < 0)
            return -1;
        if (!child) {
            int null = open("/dev/null", O_RDWR);

            for (int fd = 0; fd < 3; fd++)
                dup2(null, fd);
            /* sudo may have left us less of a path than root has. */
            setenv("PATH", "/usr/sbin:/sbin:/usr/bin:/bin", 1);
            execvp(name, all);
            _exit(127);
        }
        while (waitpid(child, &status, 0) < 0 && errno == EINTR)
            ;
        if (!WIFEXITED(status) || WEXITSTATUS(status) != 127)
            return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
    }
    return -1;
}

#define RUN(family, ...) run(family, true, (const char *const[]){ __VA_ARGS__, NULL })
#define LOOK(family, ...) run(family, false, (const char *const[]){ __VA_ARGS__, NULL })
/* Its status when a rule is not there. */
#define NOT_THERE 1

static int steer(unsigned family, const char *protocol, int gate)
{
    struct sockaddr_storage bound;
    socklen_t size = sizeof(bound);
    char port[8];

    getsockname(gate, (struct sockaddr *)&bound, &size);
    snprintf(port, sizeof(port), "%u", ntohs(from_sockaddr(&bound).port));
    return RUN(family, "-A", CHAIN, "-p", protocol, "-j", "TPROXY", "--on-ip", family ? "::1" : "127.0.0.1", "--on-port",
               port, "--tproxy-mark", our_mark);
}

static int make_chains(unsigned family, const struct sockets *sockets)
{
    return RUN(family, "-N", CHAIN) || RUN(family, "-N", RANGES) || RUN(family, "-N", NAMES) ||
                   RUN(family, "-A", CHAIN, "-p", "tcp", "!", "--syn", "-j", "RETURN") ||
                   RUN(family, "-A", CHAIN, "-j", NAMES) || RUN(family, "-A", CHAIN, "-j", RANGES) ||
                   RUN(family, "-A", CHAIN, "-m", "mark", "!", "--mark", our_mark, "-j", "RETURN") ||
                   steer(family, "tcp", sockets->tcp[family]) || steer(family, "udp", sockets->udp[family]) ||
                   RUN(family, "-A", CHAIN, "-j", "DROP") || RUN(family, "-A", "PREROUTING", FROM_HERE)
               ? -1
               : 0;
}

/**
 * iptables_set_up() - Makes the chains
 * @sockets:	The gates
 *
 * Return: 0, or -1 where that cannot be either
 */
int iptables_set_up(const struct sockets *sockets)
{
    write_marks();
    left_alone_count = 0;
    for (unsigned family = 0; family < 2; family++) {
        has_chains[family] = family == 0 || sockets->tcp[1] >= 0;
        if (has_chains[family] && make_chains(family, sockets))
            return -1;
    }
    return 0;
}

/**
 * iptables_is_there() - Whether the rule that leads to our chains, and the last one of them, are there
 *
 * Who empties the table takes both. While somebody else is at work there nobody knows, so nothing is missed then.
 */
bool iptables_is_there(void)
{
    for (unsigned family = 0; family < 2; family++)
        if (has_chains[family] && (LOOK(family, "-C", "PREROUTING", FROM_HERE) == NOT_THERE ||
                                   LOOK(family, "-C", CHAIN, "-j", "DROP") == NOT_THERE))
            return false;
    return true;
}

static void write_range(const struct range *range, char *text, size_t size)
{
    char address[INET6_ADDRSTRLEN];

    inet_ntop(range->base.family, range->base.address, address, sizeof(address));
    snprintf(text, size, "%s/%u", address, range->bits);
}

/* Whether a range is one of some. */
static bool is_one_of(const struct range *range, const struct range *some, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        if (!memcmp(range, &some[i], sizeof(*range)))
            return true;
    return false;
}

/**
 * iptables_leave_alone() - Has what goes to the machine's own addresses left alone
 * @own:	Them
 * @count:	How many there are
 */
void iptables_leave_alone(const struct range *own, unsigned count)
{
    char text[RANGE_BYTES];

    for (unsigned i = 0; i < count; i++) {
        write_range(&own[i], text, sizeof(text));
        if (!is_one_of(&own[i], left_alone, left_alone_count))
            RUN(own[i].base.family == AF_INET6, "-I", RANGES, "-d", text, "-j", "RETURN");
    }
    for (unsigned i = 0; i < left_alone_count; i++) {
        write_range(&left_alone[i], text, sizeof(text));
        if (!is_one_of(&left_alone[i], own, count))
            RUN(left_alone[i].base.family == AF_INET6, "-D", RANGES, "-d", text, "-j", "RETURN");
    }
    memcpy(left_alone, own, count * sizeof(*own));
    left_alone_count = count;
}

/**
 * iptables_add_range() - Has what goes to a range marked as ours
 * @range:	The range; with a port, only that one of TCP and UDP
 *
 * Return: 0, or -1 with errno
 */
int iptables_add_range(const struct range *range)
{
    unsigned family = range->base.family == AF_INET6;
    char text[RANGE_BYTES], port[8];
    int failed = 0;

    write_range(range, text, sizeof(text));
    snprintf(port, sizeof(port), "%u", ntohs(range->base.port));
    if (!range->base.port)
        failed = RUN(family, "-A", RANGES, "-d", text, "-j", "MARK", "--set-mark", our_mark);
    for (unsigned i = 0; range->base.port && i < 2; i++)
        failed |= RUN(family, "-A", NAMES, "-d", text, "-p", i ? "tcp" : "udp", "--dport", port, "-j", "MARK",
                      "--set-mark", our_mark);
    errno = EIO;
    return failed;
}

/**
 * iptables_undo() - Takes the chains away, as far as they are there
 *
 * Return: 0 when none is left
 */
int iptables_undo(void)
{
    int left = 0;

    write_marks();
    for (unsigned family = 0; family < 2; family++) {
        while (!RUN(family, "-D", "PREROUTING", FROM_HERE))
            ;
        for (unsigned i = 0; i < 3; i++) {
            const char *chain = (const char *const[]){ CHAIN, RANGES, NAMES }[i];

            if (RUN(family, "-F", chain))
                continue; /* It is not there */
            left |= RUN(family, "-X", chain);
        }
    }
    return left;
}
