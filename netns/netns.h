/*
 * netns.h - what the parts of the namespace helper share
 *
 * DOC: Theory of Operation
 *
 * The helper starts one command in a network namespace of its own, without root. Nothing leaves that namespace but
 * through the host process ("the session"), so a program cannot go around the pod, whatever it is made with. The helper
 * holds no policy: which connection goes where, and what a name means, the session says over Unix sockets. README.md
 * beside this file is the contract of both sides.
 *
 * Life
 *
 *   session starts us --> namespaces, mounts, addresses, rules, sockets (enter.c, rules.c)
 *                         |
 *                         +--> the relay: a grandchild in a session of its own, which has the sockets (relay.c). It ends
 *                         |    when the session does: its first connection to the session is its life line
 *                         +--> we become the command: same process id, terminal, descriptors, signals, exit status
 *
 * Every address is local
 *
 * The namespace has the interface lo alone. A route in the table "local" makes each address of the world one of our
 * own, so that what a program sends arrives at once in prerouting, and what the relay sends may come from any address.
 *
 * How a connection is made
 *
 *   program            kernel                        relay                           session
 *   connect() -------> SYN, held by NFQUEUE -------> "tcp 10.96.7.7 80 ..." -------> policy, then dial
 *                      verdict: go on, TPROXY <----- "ok" <------------------------- the pod has connected
 *   0 <--------------- SYN-ACK from our socket       accept(), found by both ends    bytes, both ways
 *
 * Held like this, connect() takes as long as the pod takes, and fails as it fails there: for "ECONNREFUSED" the verdict
 * lets the packet go on with a mark, at which a later chain sends a reset, or an ICMP error for an unreachable host.
 * Where the kernel has no NFQUEUE, connections are accepted first and reset when the pod says no.
 *
 * Datagrams come by TPROXY too, which keeps their destination. Each pair of ends is a flow: a socket that is bound to
 * the destination and connected to the program, and a Unix connection with framed datagrams (flow_udp.c).
 *
 * A destination inside (loopback, the pod's own address) is left to the kernel where a socket of the inside wants the
 * packet; else it is treated like all others, and for loopback the session connects to the host's.
 *
 * What must hold everywhere
 *
 *  - The relay never waits for one flow while others could go on. The only blocking call to the session is connect() on
 *    its Unix socket, which the kernel answers.
 *  - No more is read from one side than the other side takes: a direction holds at most one read's bytes.
 *  - Packets and connections of the relay itself carry MARK_RELAY, and rules leave them alone.
 *  - An error in setting up ends the helper with a line on standard error, before the command has started.
 *
 * The whole machine
 *
 * With --machine the same relay works in the namespace in which it was started, as root, for every program of the
 * machine, and for the ranges that the session names alone. machine.c tells what is changed there, and how it is given
 * back whatever ends.
 */
#ifndef TELEPRESENCE_NETNS_H
#define TELEPRESENCE_NETNS_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

/* Where the gates are bound and the session's name server is: the dummy address of RFC 7600, and one of RFC 6666. */
#define GATE4 "192.0.0.8"
#define GATE6 "100::8"

#define MOST_ADDRESSES 8
#define MOST_OWN 256
#define MOST_BINDS 16
#define MOST_SHOWS 64

/*
 * Marks on packets. Nothing of the program carries one, as setting it needs a capability. On a machine others use marks
 * as well, of some bits each: ours keep clear of those of kube-proxy (0xc000), Tailscale (0xff0000) and wg-quick.
 */
enum mark {
    MARK_NONE,
    MARK_RELAY = 0x74000001, /* Sent by the relay: leave it alone */
    MARK_INSIDE,        /* A socket of the inside wants it: leave it alone */
    MARK_RESET,         /* Refused: answer with a reset */
    MARK_NO_HOST,       /* Refused: answer with "host unreachable" */
    MARK_NO_NETWORK,    /* Refused: answer with "no route" */
    MARK_OURS,          /* Of the machine's, and to a range that the session names */
};

/* Queues of the machine are everybody's: 0 is what others take. */
#define QUEUE_INSIDE 0
#define QUEUE_MACHINE 29808

/* An address of either family and a port, both in network order; IPv4 in the first four bytes. */
struct end_point {
    uint8_t family;
    uint16_t port;
    uint8_t address[16];
};

/* What the session wants, from the command line. */
struct wanted {
    const char *control;                        /* Path of the session's socket */
    const char *inside;                         /* Path where we listen for the session */
    struct end_point addresses[MOST_ADDRESSES]; /* Own addresses of the inside, beside loopback */
    unsigned address_count;
    struct { const char *from, *to; } binds[MOST_BINDS];
    unsigned bind_count;
    struct { const char *from; char *to; } shows[MOST_SHOWS]; /* Files of the pod, and their paths */
    unsigned show_count;
    const char *scratch;                        /* An empty directory for ourselves */
    char **command;                             /* NULL to see only whether all of it is possible */
    bool machine;                               /* Whether the machine is carried, and no command */
    bool iptables;                              /* Whether that is by iptables though nftables may be there */
};

/* A range of addresses. */
struct range {
    struct end_point base; /* With port 0, or the only port that is meant */
    unsigned bits;
};

/* The sockets of the namespace. -1 stands for none. */
struct sockets {
    int tcp[2];         /* Transparent listeners: IPv4, IPv6 */
    int udp[2];         /* Transparent receivers */
    int queue;          /* NFQUEUE, where the kernel has it */
    int inside;         /* Where the session asks for connections to the inside */
    int news;           /* Tells when a machine has other addresses; not there for a namespace */
};

/* enter.c */
void die(const char *step) __attribute__((noreturn));
void enter_namespaces(void);
void set_up_mounts(const struct wanted *wanted);
void set_up_addresses(const struct wanted *wanted);

/* show.c */
void show_files(const struct wanted *wanted);

/* rules.c */
void set_up_rules(const struct wanted *wanted, struct sockets *sockets);
int add_range_rule(const struct range *range);
void leave_own_alone(void);
int delete_table(void);
bool has_table(void);
int restore_table(const struct wanted *wanted, struct sockets *sockets);
extern bool by_iptables;

/* iptables.c */
int iptables_set_up(const struct sockets *sockets);
int iptables_add_range(const struct range *range);
void iptables_leave_alone(const struct range *own, unsigned count);
int iptables_undo(void);
bool iptables_is_there(void);

/* own.c */
int open_news(void);
void hear_news(int news);
unsigned own_addresses(struct range *into, unsigned most);

/* routing.c */
void set_up_routing(void);
int route_here(const struct range *range);
int route_as_before(const struct range *range);
int undo_routing(void);
bool has_all_rules(void);
int restore_rules(void);
bool has_routes(unsigned wanted);
int print_routes(void);

/* kept.c */
bool keep(const struct range *range, bool is_led_here);
void keep_set_up(const struct wanted *wanted, struct sockets *sockets);
const char *what_is_gone(void);
int restore(void);

/* machine.c */
int run_machine(const struct wanted *wanted);
int give_back(void);
void hear_session(int life);
void end_machine(void) __attribute__((noreturn));
void note_iptables(void);
extern int guardian;

/* stopped.c */
void know_session(int life);
void know_server(const struct end_point *server);
int withhold(const char *domain);
bool session_is_stopped(void);
bool is_server(const struct end_point *to);
void tell_around(void);
size_t fail_withheld(uint8_t *query, size_t size);

/* queue.c */
int open_queue(uint16_t number);
bool read_queue(int queue, void (*held)(uint32_t id, const struct end_point *from, const struct end_point *to,
                                        const uint8_t *packet, size_t size));
void answer_queue(int queue, uint32_t id, bool pass, enum mark mark);

/* unreachable.c */
void tell_unreachable(const uint8_t *packet, size_t size, uint8_t code);

/* socket.c */
void open_gates(const struct wanted *wanted, struct sockets *sockets);
int listen_unix(const char *path);
int connect_unix(const char *path, bool waits);
void prepare_socket(int fd);
socklen_t to_sockaddr(const struct end_point *point, struct sockaddr_storage *out);
struct end_point from_sockaddr(const struct sockaddr_storage *in);
int format_point(const struct end_point *point, char *into, size_t size);
bool parse_address(const char *text, struct end_point *point);
bool parse_range(const char *text, struct range *range);

/* relay.c */
void run_relay(const struct wanted *wanted, const struct sockets *sockets) __attribute__((noreturn));

#endif
