/*
 * datagrams.c - UDP: datagrams to the pod's world go through relays of the session
 *
 * DOC: How a datagram reaches the pod
 *
 *   program                    shim                           session                      pod
 *   sendto(fd, 10.96.0.9 53)   "relay 10.96.0.9 53 4" ------> policy, then a socket of
 *                              "relay 40001" <--------------- its own for that peer
 *                              sendto(fd, 127.84.80.1 40001)  a flow for each source ----> socket
 *   recvfrom(fd): 10.96.0.9    from 127.84.80.1 40001 <------ what comes back <----------- datagrams
 *
 * There is one relay for each peer, and its port stands for the peer as long as the session lives. So nothing has to be
 * known of a descriptor: connect() connects it to the relay, sends name the relay in the peer's place, and what comes from
 * a relay is from its peer. The address is one of the loopback's 16 million that nothing else uses, so whatever comes from
 * it came through a relay. An IPv6 socket uses it in the v4-mapped form; one that speaks IPv6 alone gets a relay on ::1.
 *
 * Peers and ports are kept in two small tables, so that the session is asked once about each peer. Entries have a counter
 * that is odd while they are written: a reader that meets one, or a writer that meets another (a signal handler, a child
 * that was forked in between), goes without the table.
 */
#undef _FORTIFY_SOURCE /* its inline functions stand in the place of ours */
#include "shim.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdatomic.h>
#include <string.h>
#include <unistd.h>

/* The address of all relays: README.md, "Relays". */
static const uint8_t relay_address[4] = { 127, 84, 80, 1 };

#define ENTRIES 256

/* struct entry - a peer and its relay
 * @turn:	Odd while the entry is written
 * @family:	AF_INET or AF_INET6, that of the relay; 0 for an entry that is not used
 * @relay:	Port of the relay, 0 for a peer whose datagrams stay on the host
 * @peer:	The peer
 */
struct entry {
    _Atomic unsigned int turn;
    int family;
    uint16_t relay;
    struct endpoint peer;
};

static struct entry by_peer[ENTRIES];
static struct entry by_relay[ENTRIES];

/**
 * place_of() - Where a peer is in its table
 * @peer:	The peer
 *
 * Return: the place (FNV-1a)
 */
static struct entry *place_of(const struct endpoint *peer)
{
    uint32_t hash = 2166136261u ^ peer->port;

    for (size_t i = 0; i < sizeof(peer->bytes); i++)
        hash = (hash ^ peer->bytes[i]) * 16777619u;
    return by_peer + (hash ^ hash >> 16) % ENTRIES;
}

/**
 * entry_read() - Copies an entry
 * @from:	The entry
 * @into:	Set to it
 *
 * Return: whether it was whole
 */
static bool entry_read(struct entry *from, struct entry *into)
{
    unsigned int turn = atomic_load_explicit(&from->turn, memory_order_acquire);

    if (turn & 1)
        return false;
    memcpy(&into->family, &from->family, sizeof(*into) - offsetof(struct entry, family));
    atomic_thread_fence(memory_order_acquire);
    return atomic_load_explicit(&from->turn, memory_order_relaxed) == turn && into->family;
}

/**
 * entry_write() - Keeps an entry, in the place of what was there
 * @into:	The entry
 * @from:	What to keep
 */
static void entry_write(struct entry *into, const struct entry *from)
{
    unsigned int turn = atomic_load_explicit(&into->turn, memory_order_relaxed);

    if ((turn & 1) ||
        !atomic_compare_exchange_strong_explicit(&into->turn, &turn, turn + 1, memory_order_acquire, memory_order_relaxed))
        return;
    atomic_thread_fence(memory_order_release);
    memcpy(&into->family, &from->family, sizeof(*into) - offsetof(struct entry, family));
    atomic_store_explicit(&into->turn, turn + 2, memory_order_release);
}

/**
 * keep() - Keeps what the session said of a peer
 * @entry:	Peer and relay
 */
static void keep(const struct entry *entry)
{
    entry_write(place_of(&entry->peer), entry);
    if (entry->relay)
        entry_write(by_relay + entry->relay % ENTRIES, entry);
}

/**
 * is_udp() - Whether a descriptor is a UDP socket
 * @fd:		Descriptor
 *
 * Return: true for UDP, false for streams, Unix sockets, ICMP and what is no socket; errno stays as it was
 */
bool is_udp(int fd)
{
    int saved = errno, value;
    socklen_t length = sizeof(value);
    bool result = !real.getsockopt(fd, SOL_SOCKET, SO_TYPE, &value, &length) && value == SOCK_DGRAM;

    length = sizeof(value);
    result = result && !real.getsockopt(fd, SOL_SOCKET, SO_PROTOCOL, &value, &length) && value == IPPROTO_UDP;
    errno = saved;
    return result;
}

/**
 * relay_family() - By which family a socket can reach a relay
 * @fd:		UDP socket
 *
 * Return: AF_INET, also for an IPv6 socket that takes v4-mapped addresses, or AF_INET6
 */
static int relay_family(int fd)
{
    struct sockaddr_in6 bound = { 0 };
    int family = AF_INET, only = 0;
    socklen_t length = sizeof(family);

    if (real.getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &family, &length) || family != AF_INET6)
        return AF_INET;
    length = sizeof(only);
    if (!real.getsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &only, &length) && only)
        return AF_INET6;
    length = sizeof(bound);
    if (!real.getsockname(fd, (struct sockaddr *)&bound, &length) && !IN6_IS_ADDR_UNSPECIFIED(&bound.sin6_addr) &&
        !IN6_IS_ADDR_V4MAPPED(&bound.sin6_addr))
        return AF_INET6;
    return AF_INET;
}

/**
 * ask_relay() - Asks the session which relay leads to a peer
 * @call:	Function that the program called, for the log
 * @text:	The peer's address as text
 * @entry:	Its peer and family are known, its relay is set
 *
 * Return: 0, or -1 with errno set
 */
static int ask_relay(const char *call, const char *text, struct entry *entry)
{
    char answer[SHORT_ANSWER_BYTES], *cursor = answer;
    const char *verb = NULL;
    uint32_t port = 0;
    struct line line;
    int control = control_open(TELL);

    if (control < 0)
        return -1;
    line_begin(&line, "relay");
    line_word(&line, text);
    line_number(&line, entry->peer.port);
    line_number(&line, entry->family == AF_INET6 ? 6 : 4);
    if (!control_send(control, &line) && control_receive(control, answer, sizeof(answer), TELL) >= 0)
        verb = answer_word(&cursor);
    close(control);
    if (!verb) {
        errno = ECONNREFUSED;
        return -1;
    }
    entry->relay = 0;
    if (!strcmp(verb, "local")) {
        log_verdict(call, text, "host", cursor);
        return 0;
    }
    if (!strcmp(verb, "relay") && answer_number(answer_word(&cursor), UINT16_MAX, &port) && port) {
        entry->relay = (uint16_t)port;
        log_verdict(call, text, "pod", "datagrams");
        return 0;
    }
    errno = strcmp(verb, "failed") ? EPROTO : errno_of(answer_word(&cursor));
    return -1;
}

/**
 * relay_to() - The address that stands for a peer
 * @call:	Function that the program called, for the log
 * @fd:		The program's descriptor
 * @to:		Where it sends
 * @relay:	Set to the address to use
 *
 * Return: length of @relay; 0 when the datagram stays on the host, -1 with errno set when it can go nowhere. errno stays
 *	   as it was else
 */
int relay_to(const char *call, int fd, const struct endpoint *to, union gate_sockaddr *relay)
{
    int saved = errno, family = AF_INET;
    socklen_t length = sizeof(family);
    char text[INET6_ADDRSTRLEN];
    const char *reason;
    struct entry entry;

    if (judge_endpoint(to, &reason) == VERDICT_LOCAL || !to->port || !endpoint_text(to, text))
        return 0;
    if (!entry_read(place_of(to), &entry) || entry.peer.port != to->port || entry.peer.v6 != to->v6 ||
        memcmp(entry.peer.bytes, to->bytes, sizeof(to->bytes)) || entry.family != relay_family(fd)) {
        entry = (struct entry){ .family = relay_family(fd), .peer = *to };
        if (ask_relay(call, text, &entry))
            return -1;
        keep(&entry);
    }
    errno = saved;
    if (!entry.relay)
        return 0;
    memset(relay, 0, sizeof(*relay));
    if (!real.getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &family, &length) && family == AF_INET6) {
        relay->in6.sin6_family = AF_INET6;
        relay->in6.sin6_port = htons(entry.relay);
        if (entry.family == AF_INET6) {
            relay->in6.sin6_addr.s6_addr[15] = 1;
        } else {
            relay->in6.sin6_addr.s6_addr[10] = relay->in6.sin6_addr.s6_addr[11] = 0xff;
            memcpy(relay->in6.sin6_addr.s6_addr + 12, relay_address, 4);
        }
        return sizeof(relay->in6);
    }
    errno = saved;
    relay->in.sin_family = AF_INET;
    relay->in.sin_port = htons(entry.relay);
    memcpy(&relay->in.sin_addr, relay_address, 4);
    return sizeof(relay->in);
}

/**
 * peer_of() - The peer that a relay stands for
 * @relay:	Where a datagram came from, or where a socket is connected to
 * @peer:	Set to the peer
 *
 * Return: whether it is a relay; errno stays as it was
 */
bool peer_of(const struct endpoint *relay, struct endpoint *peer)
{
    static const uint8_t loopback[16] = { [15] = 1 };
    char answer[SHORT_ANSWER_BYTES], *cursor = answer;
    int saved = errno, family = relay->v6 ? AF_INET6 : AF_INET;
    const char *verb = NULL, *word;
    struct entry entry;
    struct line line;
    uint32_t port;

    if (relay->v6 ? memcmp(relay->bytes, loopback, 16) : memcmp(relay->bytes, relay_address, 4))
        return false;
    if (entry_read(by_relay + relay->port % ENTRIES, &entry) && entry.relay == relay->port && entry.family == family) {
        *peer = entry.peer;
        return true;
    }
    line_begin(&line, "whose");
    line_number(&line, relay->port);
    line_number(&line, relay->v6 ? 6 : 4);
    if (!control_ask(&line, answer, sizeof(answer)))
        verb = answer_word(&cursor);
    errno = saved;
    if (!verb || strcmp(verb, "whose") || !(word = answer_word(&cursor)) ||
        !answer_number(answer_word(&cursor), UINT16_MAX, &port))
        return false;
    entry = (struct entry){ .family = family, .relay = relay->port, .peer = { .v6 = strchr(word, ':'), .port = (uint16_t)port } };
    if (inet_pton(entry.peer.v6 ? AF_INET6 : AF_INET, word, entry.peer.bytes) != 1) {
        errno = saved;
        return false;
    }
    keep(&entry);
    *peer = entry.peer;
    return true;
}

/**
 * show_peer() - Writes the peer in the place of its relay, where a datagram came from
 * @address:	What the kernel wrote, in the room of the program; NULL when nobody asked
 * @room:	Size of that room
 * @length:	What the kernel wrote as its length; set anew
 */
static void show_peer(void *address, socklen_t room, socklen_t *length)
{
    struct endpoint relay, peer;

    if (address && *length && room >= *length && endpoint_from(&relay, address, *length) && peer_of(&relay, &peer))
        endpoint_write(&peer, ((struct sockaddr *)address)->sa_family, address, room, length);
}

/* How a call with an address goes on: to the relay, to the host, or not at all. */
enum way { WAY_RELAY, WAY_HOST, WAY_NONE };

/**
 * way_of() - Where the datagrams of a call go
 * @call:	Function that the program called
 * @fd:		Its descriptor
 * @address:	Where to, or NULL
 * @length:	Length of @address
 * @relay:	Set to the address of the relay
 * @relay_length:	Set to its length
 *
 * Return: the way; errno is set for WAY_NONE
 */
static enum way way_of(const char *call, int fd, const void *address, socklen_t length, union gate_sockaddr *relay,
                       socklen_t *relay_length)
{
    struct endpoint to;
    const char *reason;
    int result;

    if (!address || !endpoint_from(&to, address, length) || judge_endpoint(&to, &reason) == VERDICT_LOCAL || !is_udp(fd))
        return WAY_HOST;
    result = relay_to(call, fd, &to, relay);
    *relay_length = result > 0 ? (socklen_t)result : 0;
    return result < 0 ? WAY_NONE : result ? WAY_RELAY : WAY_HOST;
}

/**
 * sendto() - A datagram to the pod's world goes to its relay; MSG_FASTOPEN is a connect and a send in one
 * @fd:		Descriptor
 * @bytes:	What to send
 * @size:	How much of it
 * @flags:	MSG_ flags
 * @address:	Where to
 * @length:	Length of @address
 *
 * Return: number of bytes, or -1 with errno set; EINPROGRESS, with nothing sent, for MSG_FASTOPEN on a non-blocking
 *	   descriptor
 */
EXPORT ssize_t sendto(int fd, const void *bytes, size_t size, int flags, const struct sockaddr *address,
                      socklen_t length)
{
    union gate_sockaddr relay;
    socklen_t relay_length;

    if (!shim_enter() || !address)
        return real.sendto(fd, bytes, size, flags, address, length);
    if ((flags & MSG_FASTOPEN) && is_tcp(fd))
        return connect(fd, address, length) ? -1 : real.sendto(fd, bytes, size, flags & ~MSG_FASTOPEN, NULL, 0);
    switch (way_of(__func__, fd, address, length, &relay, &relay_length)) {
    case WAY_RELAY:
        return real.sendto(fd, bytes, size, flags, &relay.any, relay_length);
    case WAY_HOST:
        return real.sendto(fd, bytes, size, flags, address, length);
    default:
        return -1;
    }
}

/**
 * sendmsg() - As sendto()
 * @fd:		Descriptor
 * @message:	What to send and where to
 * @flags:	MSG_ flags
 *
 * Return: as sendto()
 */
EXPORT ssize_t sendmsg(int fd, const struct msghdr *message, int flags)
{
    struct msghdr changed;
    union gate_sockaddr relay;
    socklen_t relay_length;

    if (!shim_enter() || !message || !message->msg_name)
        return real.sendmsg(fd, message, flags);
    changed = *message;
    if ((flags & MSG_FASTOPEN) && is_tcp(fd)) {
        if (connect(fd, message->msg_name, message->msg_namelen))
            return -1;
        changed.msg_name = NULL;
        changed.msg_namelen = 0;
        return real.sendmsg(fd, &changed, flags & ~MSG_FASTOPEN);
    }
    switch (way_of(__func__, fd, message->msg_name, message->msg_namelen, &relay, &relay_length)) {
    case WAY_RELAY:
        changed.msg_name = &relay;
        changed.msg_namelen = relay_length;
        return real.sendmsg(fd, &changed, flags);
    case WAY_HOST:
        return real.sendmsg(fd, message, flags);
    default:
        return -1;
    }
}

/**
 * sendmmsg() - sendmsg() for several; where any has an address they are sent one by one
 * @fd:		Descriptor
 * @messages:	What to send and where to
 * @count:	How many there are
 * @flags:	MSG_ flags
 *
 * Return: how many were sent, or -1 with errno set when the first was not
 */
EXPORT int sendmmsg(int fd, struct mmsghdr *messages, unsigned int count, int flags)
{
    unsigned int named = 0, sent;

    if (!shim_enter() || !messages)
        return real.sendmmsg(fd, messages, count, flags);
    while (named < count && !messages[named].msg_hdr.msg_name)
        named++;
    if (named == count)
        return real.sendmmsg(fd, messages, count, flags);
    for (sent = 0; sent < count && sent < 1024 /* UIO_MAXIOV, the kernel's limit */; sent++) {
        ssize_t size = sendmsg(fd, &messages[sent].msg_hdr, flags);

        if (size < 0)
            break;
        messages[sent].msg_len = (unsigned int)size;
    }
    return sent || !count ? (int)sent : -1;
}

/**
 * recvfrom() - A datagram from a relay is from its peer
 * @fd:		Descriptor
 * @bytes:	Room for the datagram
 * @size:	Size of the room
 * @flags:	MSG_ flags
 * @address:	Room for where it came from, or NULL
 * @length:	Size of that room; set to the length of the address
 *
 * Return: number of bytes, or -1 with errno set
 */
EXPORT ssize_t recvfrom(int fd, void *bytes, size_t size, int flags, struct sockaddr *address, socklen_t *length)
{
    bool ours = shim_enter() && address && length;
    socklen_t room = ours ? *length : 0;
    ssize_t result = real.recvfrom(fd, bytes, size, flags, address, length);

    if (ours && result >= 0)
        show_peer(address, room, length);
    return result;
}

/**
 * __recvfrom_chk() - recvfrom(), as a compiler calls it that knows the room
 * @fd:		Descriptor
 * @bytes:	Room for the datagram
 * @size:	Size that was asked for
 * @all:	Size of the room
 * @flags:	MSG_ flags
 * @address:	Room for where it came from, or NULL
 * @length:	Size of that room; set to the length of the address
 *
 * Return: as recvfrom()
 */
EXPORT ssize_t __recvfrom_chk(int fd, void *bytes, size_t size, size_t all, int flags, struct sockaddr *address,
                              socklen_t *length)
{
    bool ours = shim_enter() && address && length;
    socklen_t room = ours ? *length : 0;
    ssize_t result = real.__recvfrom_chk(fd, bytes, size, all, flags, address, length);

    if (ours && result >= 0)
        show_peer(address, room, length);
    return result;
}

/**
 * recvmsg() - As recvfrom()
 * @fd:		Descriptor
 * @message:	Room for the datagram and for where it came from
 * @flags:	MSG_ flags
 *
 * Return: number of bytes, or -1 with errno set
 */
EXPORT ssize_t recvmsg(int fd, struct msghdr *message, int flags)
{
    bool ours = shim_enter() && message && message->msg_name;
    socklen_t room = ours ? message->msg_namelen : 0;
    ssize_t result = real.recvmsg(fd, message, flags);

    if (ours && result >= 0)
        show_peer(message->msg_name, room, &message->msg_namelen);
    return result;
}

/* Most messages of one call whose rooms are remembered on the stack; the call asks for no more. */
#define MOST_AT_ONCE 256

/**
 * recvmmsg() - recvmsg() for several
 * @fd:		Descriptor
 * @messages:	Rooms
 * @count:	How many there are
 * @flags:	MSG_ flags
 * @limit:	How long to wait
 *
 * Return: how many came, or -1 with errno set
 */
EXPORT int recvmmsg(int fd, struct mmsghdr *messages, unsigned int count, int flags, struct timespec *limit)
{
    socklen_t rooms[MOST_AT_ONCE];
    int result;

    if (!shim_enter() || !messages)
        return real.recvmmsg(fd, messages, count, flags, limit);
    if (count > MOST_AT_ONCE)
        count = MOST_AT_ONCE;
    for (unsigned int i = 0; i < count; i++)
        rooms[i] = messages[i].msg_hdr.msg_namelen;
    result = real.recvmmsg(fd, messages, count, flags, limit);
    for (int i = 0; i < result; i++)
        show_peer(messages[i].msg_hdr.msg_name, rooms[i], &messages[i].msg_hdr.msg_namelen);
    return result;
}
