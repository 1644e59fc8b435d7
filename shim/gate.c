/*
 * gate.c - the program's descriptor at the session's gate
 *
 * DOC: How a non-blocking connect stays under way
 *
 * connect() on a non-blocking descriptor has to return at once with EINPROGRESS, and the descriptor must neither become
 * writable nor fail until the pod has an answer. The descriptor is the program's own (it may be in an epoll set before
 * connect() is called, as nginx has it), so it cannot be replaced, and nothing on loopback keeps a TCP socket in
 * SYN_SENT. What can be kept is a connection that is established and not writable:
 *
 *   1. The descriptor is connected to the gate, which the session does not read.
 *   2. The connection is plugged: it is sent more bytes than the receiver can hold, so that at least PLUG_BYTES wait
 *      unsent, and TCP_NOTSENT_LOWAT of PLUG_BYTES makes the kernel say that it is not writable. MSG_EOR keeps it from
 *      putting the program's bytes into the last packet of the plug, for which it would not ask.
 *   3. The claim tells the session how many bytes the plug has.
 *   4. The pod connected: the session reads exactly the plug, the rest of it is sent, the kernel says writable. The
 *      program's first byte follows the last of the plug.
 *      The pod failed: the session closes a connection with unread bytes, which makes the kernel send RST. The program
 *      sees POLLERR and POLLHUP as after a refused connect; SO_ERROR is hooked and asks the session for the true errno.
 *      (The session's runtime sends FIN before, in the same moment: a program can see POLLIN and POLLRDHUP first.)
 *
 * How much a receiver can hold is a setting of the machine, which the session knows and tells (plug.ts). What waits unsent
 * at one moment does not tell it: a receiver with a large buffer opens its window bit by bit. Where it is very large the
 * session has every connect wait instead.
 *
 * How long the call takes is how long the session takes for a word, and the kernel for the plug. A session that is busy
 * must not hold up an event loop, so a connect to an address that was the pod's before goes on after 40 ms without that
 * word (connect.c): gates and plug are known, the claim is behind the connect on the same control connection, and what
 * the session says is dropped.
 *
 * Edge-triggered users are right as well. The kernel looks at a descriptor again when it hands out an event, so the
 * wake-up from step 1 is dropped unless another thread waits on the same epoll set in the microseconds between 1 and 2,
 * and being not writable is what arms the edge of step 4.
 *
 * For the socket layer the connect is still under way until the program calls connect() again: it gives 0 then and
 * EISCONN after that, or the error once, as Linux does for a true one.
 */
#include "shim.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdatomic.h>
#include <string.h>

/* How many bytes wait unsent behind a plug. */
#define PLUG_BYTES 65536
/* How long the kernel may be busy with moving a plug from the sender to the receiver, longer than a delayed ACK waits. */
#define SETTLE_MS 50

/* The ports of the gates as @port4 << 16 | @port6; 0 as long as this process has not been told. */
static _Atomic uint32_t known_gates;

/**
 * gates_learned() - Keeps the ports that an answer told
 * @gates:	The ports
 */
void gates_learned(struct gates gates)
{
    atomic_store_explicit(&known_gates, (uint32_t)gates.port4 << 16 | gates.port6, memory_order_relaxed);
}

/**
 * take_gates() - Reads the two ports at the end of an answer
 * @cursor:	Rest of the answer
 * @gates:	Set to the ports
 *
 * Return: whether they are there
 */
bool take_gates(char **cursor, struct gates *gates)
{
    uint32_t port4, port6;

    if (!answer_number(answer_word(cursor), UINT16_MAX, &port4) ||
        !answer_number(answer_word(cursor), UINT16_MAX, &port6))
        return false;
    *gates = (struct gates){ (uint16_t)port4, (uint16_t)port6 };
    gates_learned(*gates);
    return true;
}

/**
 * gates_known() - The ports of the gates, where an answer told them before
 * @gates:	Set to the ports
 *
 * Return: whether one did
 */
bool gates_known(struct gates *gates)
{
    uint32_t known = atomic_load_explicit(&known_gates, memory_order_relaxed);

    *gates = (struct gates){ (uint16_t)(known >> 16), (uint16_t)known };
    return known;
}

/**
 * find_gates() - The ports of the gates, asked for once in a process
 * @gates:	Set to the ports
 *
 * Return: whether they are known
 */
static bool find_gates(struct gates *gates)
{
    return gates_known(gates) || (be_known() && gates_known(gates));
}

/**
 * at_gate() - Whether a descriptor is connected to a gate
 * @fd:		Descriptor
 *
 * Only a TCP socket with a peer on loopback can be; for others nobody is asked.
 *
 * Return: true when it is
 */
bool at_gate(int fd)
{
    struct sockaddr_storage address;
    socklen_t length = sizeof(address);
    struct endpoint peer;
    struct gates gates;
    const char *reason;

    if (real.getpeername(fd, (struct sockaddr *)&address, &length) ||
        !endpoint_from(&peer, (struct sockaddr *)&address, length) || !is_tcp(fd) ||
        judge_endpoint(&peer, &reason) != VERDICT_LOCAL || !find_gates(&gates))
        return false;
    return peer.port == (peer.v6 ? gates.port6 : gates.port4);
}

/* IPPROTO_MPTCP, younger than the oldest headers that we build with. */
#define MULTIPATH 262

/**
 * protocol_of() - The protocol of a stream socket
 * @fd:		Descriptor
 *
 * Return: the protocol, -1 for a socket of another type and for what is no socket
 */
static int protocol_of(int fd)
{
    int type, protocol;
    socklen_t length = sizeof(type);

    if (real.getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &length) || type != SOCK_STREAM)
        return -1;
    length = sizeof(protocol);
    return real.getsockopt(fd, SOL_SOCKET, SO_PROTOCOL, &protocol, &length) ? -1 : protocol;
}

/**
 * is_tcp() - Whether a descriptor is a TCP socket
 * @fd:		Descriptor
 *
 * Return: true for TCP and MPTCP, false for datagrams, SCTP, raw sockets and what is no socket
 */
bool is_tcp(int fd)
{
    int protocol = protocol_of(fd);

    return protocol == IPPROTO_TCP || protocol == MULTIPATH;
}

/**
 * is_multipath() - Whether a TCP socket is one of MPTCP
 * @fd:		Descriptor
 *
 * Return: true when it is
 */
bool is_multipath(int fd)
{
    return protocol_of(fd) == MULTIPATH;
}

/**
 * own_endpoint() - The program's end of a connection, by which the session knows it
 * @fd:		Descriptor
 * @own:	Set to address and port
 * @text:	Set to the address as text
 *
 * Return: whether it has one
 */
static bool own_endpoint(int fd, struct endpoint *own, char text[INET6_ADDRSTRLEN])
{
    struct sockaddr_storage address;
    socklen_t length = sizeof(address);

    return !real.getsockname(fd, (struct sockaddr *)&address, &length) &&
           endpoint_from(own, (struct sockaddr *)&address, length) && own->port && endpoint_text(own, text);
}

/**
 * ask_about() - Asks the session what it knows of a connection at its gate
 * @fd:		The program's descriptor, which has or had such a connection
 * @about:	Set to the answer
 *
 * Return: whether it knows one
 */
bool ask_about(int fd, struct about *about)
{
    char text[INET6_ADDRSTRLEN], answer[SHORT_ANSWER_BYTES], *cursor = answer;
    struct endpoint own;
    struct line line;
    const char *verb, *word;
    uint32_t port;

    if (!own_endpoint(fd, &own, text))
        return false;
    line_begin(&line, "about");
    line_word(&line, text);
    line_number(&line, own.port);
    if (control_ask(&line, answer, sizeof(answer)) || !(verb = answer_word(&cursor)))
        return false;
    word = answer_word(&cursor);
    if (!strcmp(verb, "failed")) {
        *about = (struct about){ .state = ABOUT_FAILED, .code = errno_of(word) };
        return true;
    }
    *about = (struct about){ .state = !strcmp(verb, "pending") ? ABOUT_PENDING : ABOUT_CONNECTED };
    if ((about->state == ABOUT_CONNECTED && strcmp(verb, "connected")) || !word ||
        !answer_number(answer_word(&cursor), UINT16_MAX, &port))
        return false;
    about->peer.port = (uint16_t)port;
    about->peer.v6 = strchr(word, ':');
    return inet_pton(about->peer.v6 ? AF_INET6 : AF_INET, word, about->peer.bytes) == 1;
}

/**
 * speaks_ipv4() - Whether an IPv6 socket has to (or had better) reach the gate over IPv4
 * @fd:		AF_INET6 socket
 * @to:		Where the program connects
 * @gates:	What there is
 *
 * A v4-mapped target stays one, so that getsockname() has the form the program expects. A socket that is bound to an
 * address has no choice left.
 *
 * Return: true for IPv4
 */
static bool speaks_ipv4(int fd, const struct endpoint *to, struct gates gates)
{
    struct sockaddr_in6 bound = { 0 };
    socklen_t length = sizeof(bound);

    if (!real.getsockname(fd, (struct sockaddr *)&bound, &length) && !IN6_IS_ADDR_UNSPECIFIED(&bound.sin6_addr))
        return IN6_IS_ADDR_V4MAPPED(&bound.sin6_addr);
    return to->mapped || !gates.port6;
}

/**
 * gate_address() - The gate's address in the form that a socket takes
 * @fd:		Descriptor that will be connected
 * @to:		Where the program connects
 * @gates:	What there is
 * @gate:	Set to the address
 *
 * Return: length of the address, 0 with errno set when @fd is no socket
 */
static socklen_t gate_address(int fd, const struct endpoint *to, struct gates gates, union gate_sockaddr *gate)
{
    int family = AF_INET;
    socklen_t length = sizeof(family);

    memset(gate, 0, sizeof(*gate));
    if (real.getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &family, &length))
        return 0;
    if (family == AF_INET) {
        gate->in.sin_family = AF_INET;
        gate->in.sin_port = htons(gates.port4);
        gate->in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        return sizeof(gate->in);
    }
    gate->in6.sin6_family = AF_INET6;
    if (speaks_ipv4(fd, to, gates)) {
        gate->in6.sin6_port = htons(gates.port4);
        memcpy(gate->in6.sin6_addr.s6_addr, (const uint8_t[16]){ [10] = 0xff, 0xff, 127, 0, 0, 1 }, 16);
    } else {
        gate->in6.sin6_port = htons(gates.port6);
        gate->in6.sin6_addr.s6_addr[15] = 1;
    }
    return sizeof(gate->in6);
}

/**
 * enter_gate() - Connects the program's descriptor to the session's gate
 * @fd:		The program's descriptor
 * @to:		Where the program connects
 * @gates:	Where the session takes connections
 *
 * A connect to a loopback listener is done when the kernel has had a turn for its three packets, on a non-blocking
 * descriptor too. TCP_FASTOPEN_CONNECT is taken off: it would put the connection off until the first write, and there
 * would be nothing to claim.
 *
 * Return: 0, or -1 with errno set
 */
int enter_gate(int fd, const struct endpoint *to, struct gates gates)
{
    union gate_sockaddr gate;
    socklen_t length = gate_address(fd, to, gates, &gate);
    struct pollfd wait = { .fd = fd, .events = POLLOUT };
    int error = 0, off = 0;

    if (!length)
        return -1;
    setsockopt(fd, IPPROTO_TCP, TCP_FASTOPEN_CONNECT, &off, sizeof(off));
    if (!real.connect(fd, &gate.any, length))
        return 0;
    if (errno != EINPROGRESS && errno != EINTR)
        return -1;
    while (poll(&wait, 1, -1) < 0)
        if (errno != EINTR)
            return -1;
    length = sizeof(error);
    if (real.getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &length))
        return -1;
    errno = error;
    return error ? -1 : 0;
}

/**
 * plug() - Makes a fresh connection at the gate not writable: "How a non-blocking connect stays under way"
 * @fd:		The program's descriptor
 * @wanted:	Size that the session told
 * @bytes:	Set to the size of the plug
 *
 * Return: 0, or -1 with errno set
 */
int plug(int fd, uint32_t wanted, uint32_t *bytes)
{
    static const char zeros[PLUG_BYTES];
    struct pollfd room = { .fd = fd, .events = POLLOUT };
    int limit = PLUG_BYTES;

    *bytes = 0;
    while (*bytes < wanted) {
        ssize_t count = send(fd, zeros, sizeof(zeros), MSG_DONTWAIT | MSG_NOSIGNAL | MSG_EOR);

        if (count > 0)
            *bytes += (uint32_t)count;
        else if (errno != EAGAIN)
            return -1;
        else if (!poll(&room, 1, SETTLE_MS))
            break; /* a small send buffer is full, and so is the receiver */
    }
    return setsockopt(fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, &limit, sizeof(limit));
}

/**
 * is_plugged() - Whether a plug is still in the way; takes back what plug() changed once it is not
 * @fd:		The program's descriptor
 *
 * Return: true while it is
 */
bool is_plugged(int fd)
{
    struct pollfd now = { .fd = fd, .events = POLLOUT };
    int limit = 0;
    socklen_t length = sizeof(limit);

    if (real.getsockopt(fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, &limit, &length) || limit != PLUG_BYTES)
        return false;
    if (poll(&now, 1, 0) == 0 || !(now.revents & POLLOUT))
        return true;
    limit = 0;
    setsockopt(fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, &limit, sizeof(limit));
    return false;
}

/**
 * claim() - Tells the session which connection at its gate is the program's
 * @control:	Control connection over which the pod's connection was asked for
 * @fd:		The program's descriptor, connected to the gate
 * @bytes:	Size of its plug
 *
 * Return: 0, or -1 with errno set
 */
int claim(int control, int fd, uint32_t bytes)
{
    char text[INET6_ADDRSTRLEN];
    struct endpoint own;
    struct line line;

    if (!own_endpoint(fd, &own, text)) {
        errno = ECONNABORTED;
        return -1;
    }
    line_begin(&line, "claim");
    line_word(&line, text);
    line_number(&line, own.port);
    line_number(&line, bytes);
    return control_send(control, &line);
}
