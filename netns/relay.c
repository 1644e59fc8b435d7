/*
 * relay.c - the process that stands between the namespace and the session
 *
 * One thread, one epoll, edge-triggered: an event on either side of a flow makes it go on as far as it can, whatever it
 * waits for (enum state). A flow that ends is freed after the turn, because events of the same turn may point to it.
 */
#include "flow.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/ip_icmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <unistd.h>

#define BUCKETS 4096
#define MOST_EVENTS 256

/* How long a connection that was let through may take to come: it is on its way on loopback. */
#define ACCEPT_SECONDS 5
/*
 * A program that still connects sends its packet again: a second after the first one, and each time after twice the
 * time so far at most (RFC 6298, section 5). When it is later than that by this, it has given up.
 */
#define GIVEN_UP_SECONDS 3
/* How long a flow of datagrams may be silent: RFC 4787, section 4.3, wants two minutes at least. */
#define SILENT_SECONDS 125
/* How many flows there may be, and a bound for what a program that scans the world can take. */
#define MOST_FLOWS 65536

/* The only state of the process: the helper has become the relay, and is nothing else. */
static const struct wanted *wanted;
static const struct sockets *sockets;
static struct flow *buckets[BUCKETS];
static struct flow all = { .next = &all, .previous = &all };
static struct flow *graveyard;
static unsigned flow_count;
static bool any_again; /* Whether some flow has `again` set */
static int events = -1;

static time_t now(void)
{
    struct timespec time;

    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec;
}

static unsigned bucket_of(int protocol, const struct end_point *from, const struct end_point *to)
{
    uint32_t hash = 2166136261u ^ (uint32_t)protocol; /* FNV-1a */
    const uint8_t *halves[] = { (const uint8_t *)from, (const uint8_t *)to };

    for (unsigned half = 0; half < 2; half++)
        for (size_t i = 0; i < sizeof(*from); i++)
            hash = (hash ^ halves[half][i]) * 16777619u;
    return hash % BUCKETS;
}

/**
 * flow_find() - Finds a flow by both of its ends
 * @protocol:	Its protocol
 * @from:	The program's end
 * @to:		Where it goes
 *
 * Return: the flow, or NULL
 */
struct flow *flow_find(int protocol, const struct end_point *from, const struct end_point *to)
{
    struct flow *flow = buckets[bucket_of(protocol, from, to)];

    while (flow && (flow->protocol != protocol || memcmp(&flow->from, from, sizeof(*from)) ||
                    memcmp(&flow->to, to, sizeof(*to))))
        flow = flow->next_in_bucket;
    return flow;
}

/**
 * flow_begin() - Makes a flow, with neither side
 * @protocol:	Its protocol
 * @from:	The program's end, or NULL for a connection to the inside
 * @to:		Where it goes, or NULL while that is not known
 *
 * Return: the flow, or NULL where there are too many
 */
struct flow *flow_begin(int protocol, const struct end_point *from, const struct end_point *to)
{
    struct flow *flow = flow_count < MOST_FLOWS ? calloc(1, sizeof(*flow)) : NULL;

    if (!flow)
        return NULL;
    flow_count++;
    flow->inner = flow->outer = (struct end){ .flow = flow, .fd = -1 };
    flow->protocol = protocol;
    flow->began = flow->touched = now();
    if (from && to) {
        struct flow **bucket = &buckets[bucket_of(protocol, from, to)];

        flow->from = *from;
        flow->to = *to;
        flow->next_in_bucket = *bucket;
        *bucket = flow;
    }
    flow->next = all.next;
    flow->previous = &all;
    all.next->previous = flow;
    all.next = flow;
    return flow;
}

/**
 * flow_end() - Closes both sides; the flow itself is freed after the turn
 * @flow:	Flow
 * @abruptly:	Whether the program's connection is reset
 */
void flow_end(struct flow *flow, bool abruptly)
{
    struct linger reset = { .l_onoff = 1 };

    if (flow->dead)
        return;
    flow->dead = true;
    if (flow->held)
        answer_queue(sockets->queue, flow->packet, true, MARK_RESET);
    if (abruptly && flow->inner.fd >= 0 && flow->protocol == IPPROTO_TCP)
        setsockopt(flow->inner.fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
    if (flow->inner.fd >= 0)
        close(flow->inner.fd);
    if (flow->outer.fd >= 0)
        close(flow->outer.fd);
    for (struct flow **at = &buckets[bucket_of(flow->protocol, &flow->from, &flow->to)]; *at;
         at = &(*at)->next_in_bucket) {
        if (*at == flow) {
            *at = flow->next_in_bucket;
            break;
        }
    }
    flow->previous->next = flow->next;
    flow->next->previous = flow->previous;
    flow->next = graveyard;
    graveyard = flow;
}

static void bury(void)
{
    while (graveyard) {
        struct flow *flow = graveyard;

        graveyard = flow->next;
        free(flow->inner.held);
        free(flow->outer.held);
        free(flow);
        flow_count--;
    }
}

/**
 * flow_watch() - Gives a side its descriptor, and has us told what happens there
 * @end:	The side
 * @fd:		The descriptor; -1 does nothing
 */
void flow_watch(struct end *end, int fd)
{
    struct epoll_event event = { .events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, .data.ptr = end };

    end->fd = fd;
    if (fd >= 0)
        epoll_ctl(events, EPOLL_CTL_ADD, fd, &event);
}

/**
 * flow_goes_around() - Whether a flow is one of questions for names that a stopped session would not answer
 * @flow:	A flow: one without a program's end is the way around itself
 */
bool flow_goes_around(const struct flow *flow)
{
    return wanted->machine && flow->from.family && is_server(&flow->to) && session_is_stopped();
}

/**
 * flow_ask() - Opens the session's side and says where the flow goes
 * @flow:	A flow with both ends known
 *
 * A flow that goes around the session has ourselves on that side. Neither we nor a stopped session would make room where
 * too many wait already: that is not waited for.
 *
 * Return: false when the session cannot be reached
 */
bool flow_ask(struct flow *flow)
{
    char line[LINE_BYTES] = "";
    const char *kind = flow->protocol == IPPROTO_TCP ? "tcp" : "udp";
    bool stopped = wanted->machine && session_is_stopped();
    int at, fd;

    flow->around = stopped && is_server(&flow->to);
    if (flow->around && flow->protocol == IPPROTO_TCP)
        kind = "connect";
    if (flow->around)
        tell_around();
    fd = connect_unix(flow->around ? wanted->inside : wanted->control, !stopped);
    at = snprintf(line, sizeof(line), "%s ", kind);
    at += format_point(&flow->to, line + at, sizeof(line) - (size_t)at);
    if (!flow->around) {
        line[at++] = ' ';
        at += format_point(&flow->from, line + at, sizeof(line) - (size_t)at);
    }
    line[at++] = '\n';
    flow->state = AWAITS_ANSWER;
    if (fd < 0)
        return false;
    flow_watch(&flow->outer, fd);
    return send(fd, line, (size_t)at, MSG_NOSIGNAL) == at;
}

/**
 * flow_ask_again() - Asks anew for a flow of datagrams, with nothing left of what was said so far
 * @flow:	The flow
 *
 * Return: as flow_ask() does
 */
bool flow_ask_again(struct flow *flow)
{
    close(flow->outer.fd);
    flow->outer.fd = -1;
    free(flow->outer.held);
    flow->outer.held = NULL;
    flow->outer.held_at = flow->outer.held_end = 0;
    flow->inner.held_end = 0;
    flow->line_length = 0;
    return flow_ask(flow);
}

/**
 * read_line() - Reads a line of the session, and not a byte more
 * @flow:	The flow
 *
 * Return: 1 when flow->line has it (without its newline), 0 when it is not complete, -1 when none will come
 */
static int read_line(struct flow *flow)
{
    for (;;) {
        char *at = flow->line + flow->line_length;
        ssize_t count = flow->line_length < sizeof(flow->line) - 1 ? read(flow->outer.fd, at, 1) : 0;

        if (count < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR))
            return 0;
        if (count <= 0)
            return -1;
        if (*at == '\n') {
            *at = '\0';
            return 1;
        }
        flow->line_length++;
    }
}

/**
 * refuse() - Makes a connect fail as it failed in the pod
 * @flow:	A flow whose connect did
 * @name:	The errno's name
 */
static void refuse(struct flow *flow, const char *name)
{
    enum mark mark = MARK_RESET;

    if (!strcmp(name, "EHOSTUNREACH") || !strcmp(name, "EACCES") || !strcmp(name, "EPERM"))
        mark = MARK_NO_HOST;
    else if (!strcmp(name, "ENETUNREACH") || !strcmp(name, "EAFNOSUPPORT") || !strcmp(name, "EADDRNOTAVAIL"))
        mark = MARK_NO_NETWORK;
    if (flow->held) {
        bool told = wanted->machine && mark != MARK_RESET && flow->to.family == AF_INET;

        /* ETIMEDOUT is what a program sees when nothing answers: so nothing does. */
        answer_queue(sockets->queue, flow->packet, !told && strcmp(name, "ETIMEDOUT") != 0, mark);
        flow->held = false;
        if (told)
            tell_unreachable(flow->head, flow->head_size, mark == MARK_NO_HOST ? ICMP_HOST_UNREACH : ICMP_NET_UNREACH);
    }
    flow_end(flow, true);
}

static void hear_answer(struct flow *flow)
{
    int heard = read_line(flow);

    if (!heard)
        return;
    if (heard < 0 || strcmp(flow->line, "ok")) {
        refuse(flow, heard < 0 ? "ECONNREFUSED" : flow->line);
        return;
    }
    flow->state = flow->inner.fd < 0 ? AWAITS_ACCEPT : JOINED;
    flow->touched = now();
    if (flow->held)
        answer_queue(sockets->queue, flow->packet, true, MARK_NONE);
    flow->held = false;
}

/* "connect ADDRESS PORT" or "udp ADDRESS PORT": README.md, "To the inside" */
static void hear_request(struct flow *flow)
{
    char address[INET6_ADDRSTRLEN], kind[8];
    struct sockaddr_storage to;
    unsigned port;
    int heard = read_line(flow), mark = MARK_RELAY, fd;
    socklen_t size;

    if (!heard)
        return;
    if (heard < 0 || sscanf(flow->line, "%7s %45s %u", kind, address, &port) != 3 || port > 65535 ||
        !parse_address(address, &flow->to) || (strcmp(kind, "connect") && strcmp(kind, "udp"))) {
        flow_end(flow, false);
        return;
    }
    flow->protocol = strcmp(kind, "udp") ? IPPROTO_TCP : IPPROTO_UDP;
    flow->to.port = htons((uint16_t)port);
    size = to_sockaddr(&flow->to, &to);
    fd = socket(flow->to.family, (flow->protocol == IPPROTO_TCP ? SOCK_STREAM : SOCK_DGRAM) | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        flow_end(flow, false);
        return;
    }
    prepare_socket(fd);
    setsockopt(fd, SOL_SOCKET, SO_MARK, &mark, sizeof(mark));
    flow->state = AWAITS_CONNECT;
    connect(fd, (struct sockaddr *)&to, size); /* What comes of it, SO_ERROR says */
    flow_watch(&flow->inner, fd);
}

static void hear_connect(struct flow *flow)
{
    struct sockaddr_storage peer;
    socklen_t size = sizeof(peer), error_size = sizeof(int);
    int error = 0;
    char line[LINE_BYTES];

    getsockopt(flow->inner.fd, SOL_SOCKET, SO_ERROR, &error, &error_size);
    if (!error && getpeername(flow->inner.fd, (struct sockaddr *)&peer, &size))
        return; /* Still under way */
    if (error) {
        const char *name = strerrorname_np(error);

        send(flow->outer.fd, line, (size_t)snprintf(line, sizeof(line), "%s\n", name ? name : "EIO"), MSG_NOSIGNAL);
        flow_end(flow, false);
        return;
    }
    send(flow->outer.fd, "ok\n", 3, MSG_NOSIGNAL);
    flow->state = JOINED;
}

/**
 * go_on() - Takes a flow as far as it goes now
 * @flow:	The flow
 */
static void go_on(struct flow *flow)
{
    flow->again = false;
    if (!flow->dead && flow->state == AWAITS_ANSWER)
        hear_answer(flow);
    if (!flow->dead && flow->state == AWAITS_REQUEST)
        hear_request(flow);
    if (!flow->dead && flow->state == AWAITS_CONNECT)
        hear_connect(flow);
    if (flow->dead)
        return;
    if (flow->protocol == IPPROTO_UDP) {
        flow->touched = now();
        flow_datagrams(flow);
    } else if (flow->state == JOINED) {
        flow_copy(flow);
    }
    any_again |= flow->again && !flow->dead;
}

/* A connection wants to begin: its packet is held until the session has an answer. */
static void begin_held(uint32_t id, const struct end_point *from, const struct end_point *to, const uint8_t *packet,
                       size_t size)
{
    struct flow *flow = flow_find(IPPROTO_TCP, from, to);

    if (flow && flow->state == JOINED) {
        flow_end(flow, true); /* An end that comes again: its old connection is over, whatever we have heard of it */
        flow = NULL;
    }
    if (flow) {
        answer_queue(sockets->queue, id, false, MARK_NONE); /* Sent again while the first one is still held */
        flow->touched = now();
        return;
    }
    flow = flow_begin(IPPROTO_TCP, from, to);
    if (!flow) {
        answer_queue(sockets->queue, id, true, MARK_RESET);
        return;
    }
    flow->packet = id;
    flow->held = true;
    flow->head_size = size < sizeof(flow->head) ? size : sizeof(flow->head);
    memcpy(flow->head, packet, flow->head_size);
    if (!flow_ask(flow))
        flow_end(flow, false);
}

static void accept_programs(int gate)
{
    for (;;) {
        struct sockaddr_storage source, destination;
        socklen_t source_size = sizeof(source), destination_size = sizeof(destination);
        int fd = accept4(gate, (struct sockaddr *)&source, &source_size, SOCK_CLOEXEC);
        struct end_point from, to;
        struct flow *flow;

        if (fd < 0)
            return;
        prepare_socket(fd);
        getsockname(fd, (struct sockaddr *)&destination, &destination_size);
        from = from_sockaddr(&source);
        to = from_sockaddr(&destination);
        flow = flow_find(IPPROTO_TCP, &from, &to);
        if (flow && flow->state == AWAITS_ACCEPT) {
            flow_watch(&flow->inner, fd);
            flow->state = JOINED;
            go_on(flow);
            continue;
        }
        if (flow)
            flow_end(flow, true);
        flow = flow_begin(IPPROTO_TCP, &from, &to);
        if (!flow) {
            close(fd);
            continue;
        }
        flow_watch(&flow->inner, fd);
        if (!flow_ask(flow))
            flow_end(flow, true);
    }
}

static void accept_session(int inside)
{
    int fd;

    while ((fd = accept4(inside, NULL, NULL, SOCK_CLOEXEC)) >= 0) {
        struct flow *flow = flow_begin(IPPROTO_TCP, NULL, NULL);

        prepare_socket(fd);
        if (!flow) {
            close(fd);
            continue;
        }
        flow->state = AWAITS_REQUEST;
        flow_watch(&flow->outer, fd);
    }
}

/**
 * sweep() - Gives a turn to flows whose turn was cut short, and once a second ends those that wait in vain
 *
 * Return: whether some flow wants its next turn at once
 */
static bool sweep(void)
{
    static time_t last;
    time_t time = now();

    if (!any_again && time == last)
        return false;
    any_again = false;
    for (struct flow *flow = all.next, *next; flow != &all; flow = next) {
        next = flow->next;
        if (flow->again)
            go_on(flow);
        if (time == last || flow->dead)
            continue;
        if ((flow->held && time - flow->touched > flow->touched - flow->began + 1 + GIVEN_UP_SECONDS) ||
            (flow->state == AWAITS_ACCEPT && time - flow->touched > ACCEPT_SECONDS) ||
            (flow->protocol == IPPROTO_UDP && time - flow->touched > SILENT_SECONDS))
            flow_end(flow, false);
    }
    last = time;
    return any_again;
}

static void watch(int fd, const int *key)
{
    struct epoll_event event = { .events = EPOLLIN, .data.ptr = (void *)key };

    if (fd >= 0)
        epoll_ctl(events, EPOLL_CTL_ADD, fd, &event);
}

/* What an event of a listening socket points to is its place in struct sockets; of a flow, a struct end. */
static bool hear_socket(const void *key)
{
    if (key == &sockets->tcp[0] || key == &sockets->tcp[1])
        accept_programs(*(const int *)key);
    else if (key == &sockets->udp[0] || key == &sockets->udp[1])
        receive_datagrams(*(const int *)key);
    else if (key == &sockets->queue)
        read_queue(sockets->queue, begin_held);
    else if (key == &sockets->inside)
        accept_session(sockets->inside);
    else if (wanted->machine && key == &sockets->news)
        hear_news(sockets->news);
    else
        return false;
    return true;
}

/**
 * run_relay() - Relays until the session ends
 * @for_whom:	What the session wants
 * @with:	The sockets
 */
void run_relay(const struct wanted *for_whom, const struct sockets *with)
{
    const char *hello = for_whom->machine ? "machine\n" : "life\n";
    struct rlimit files;
    int life;

    wanted = for_whom;
    sockets = with;
    if (!getrlimit(RLIMIT_NOFILE, &files)) {
        files.rlim_cur = files.rlim_max;
        setrlimit(RLIMIT_NOFILE, &files);
    }
    events = epoll_create1(EPOLL_CLOEXEC);
    life = connect_unix(wanted->control, true);
    if (events < 0 || life < 0 || send(life, hello, strlen(hello), MSG_NOSIGNAL) != (ssize_t)strlen(hello)) {
        if (wanted->machine)
            end_machine();
        _exit(1);
    }
    if (wanted->machine)
        know_session(life);
    for (unsigned i = 0; i < 2; i++) {
        watch(sockets->tcp[i], &sockets->tcp[i]);
        watch(sockets->udp[i], &sockets->udp[i]);
    }
    watch(sockets->queue, &sockets->queue);
    watch(sockets->inside, &sockets->inside);
    watch(life, &life);
    watch(guardian, &guardian);
    if (wanted->machine)
        watch(sockets->news, &sockets->news);
    for (bool again = false;;) {
        struct epoll_event happened[MOST_EVENTS];
        int count = epoll_wait(events, happened, MOST_EVENTS, again ? 0 : (all.next == &all ? -1 : 1000));

        for (int i = 0; i < count; i++) {
            if (happened[i].data.ptr == &guardian)
                end_machine();
            if (happened[i].data.ptr == &life) {
                if (!wanted->machine)
                    _exit(0); /* The session says nothing on it: whatever comes is its end */
                hear_session(life);
                continue;
            }
            if (!hear_socket(happened[i].data.ptr))
                go_on(((struct end *)happened[i].data.ptr)->flow);
        }
        again = sweep();
        bury();
    }
}
