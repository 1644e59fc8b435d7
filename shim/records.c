/*
 * records.c - the res_ functions of libc and libresolv: records of every type are asked of the pod
 *
 * A query goes to the session as a message of DNS (RFC 1035), over a control connection that becomes a stream of such
 * messages after one line. The search list is the pod's, and the session applies it, so there is none here.
 */
#include "shim.h"

#include <errno.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

/* RFC 1035, section 2.3.4, and 4.1.1: a name in wire form, and the header of a message. */
#define NAME_BYTES 255
#define HEADER_BYTES 12
/* Bits of the header's third and fourth byte. */
#define FLAG_TRUNCATED 0x02
#define FLAG_RECURSION_DESIRED 0x01
#define RCODE_BITS 0x0f

/**
 * put_name() - Writes a name in wire form
 * @name:	Name as text; a backslash makes the next byte, or three digits of one, a part of its label
 * @into:	Room of NAME_BYTES
 *
 * Return: number of bytes, 0 for what is no name
 */
static size_t put_name(const char *name, uint8_t *into)
{
    size_t length = 0;

    if (!strcmp(name, "."))
        name++;
    while (*name) {
        size_t start = length++;

        if (start >= NAME_BYTES)
            return 0;
        for (; *name && *name != '.'; name++) {
            unsigned int byte = (unsigned char)*name;

            if (byte == '\\') {
                byte = (unsigned char)*++name;
                if (byte >= '0' && byte <= '9') {
                    if (name[1] < '0' || name[1] > '9' || name[2] < '0' || name[2] > '9')
                        return 0;
                    byte = (byte - '0') * 100 + (unsigned int)(name[1] - '0') * 10 + (unsigned int)(name[2] - '0');
                    name += 2;
                }
                if (!*name || byte > 255)
                    return 0;
            }
            if (length >= NAME_BYTES)
                return 0;
            into[length++] = (uint8_t)byte;
        }
        if (length - start - 1 < 1 || length - start - 1 > 63)
            return 0;
        into[start] = (uint8_t)(length - start - 1);
        if (*name == '.')
            name++;
    }
    if (length >= NAME_BYTES)
        return 0;
    into[length++] = 0;
    return length;
}

/**
 * make_query() - Makes a question
 * @name:	Name that is asked for
 * @class:	Class
 * @type:	Type
 * @into:	Room of HEADER_BYTES + NAME_BYTES + 4
 *
 * Return: size of the message, 0 for what is no name
 */
static size_t make_query(const char *name, int class, int type, uint8_t *into)
{
    size_t length = HEADER_BYTES;

    memset(into, 0, HEADER_BYTES);
    into[0] = (uint8_t)(getpid() >> 8); /* nobody else is on the connection: any id will do */
    into[1] = (uint8_t)getpid();
    into[2] = FLAG_RECURSION_DESIRED;
    into[5] = 1;
    length += put_name(name, into + length);
    if (length == HEADER_BYTES)
        return 0;
    into[length++] = (uint8_t)(type >> 8);
    into[length++] = (uint8_t)type;
    into[length++] = (uint8_t)(class >> 8);
    into[length++] = (uint8_t)class;
    return length;
}

/**
 * write_all() - Writes two parts to the control connection
 * @fd:		Control connection
 * @head:	Two bytes
 * @bytes:	What follows
 * @size:	Its size
 *
 * Return: whether all of it went
 */
static bool write_all(int fd, const uint8_t head[2], const uint8_t *bytes, size_t size)
{
    size_t done = 0;

    while (done < size + 2) {
        ssize_t count = done < 2 ? send(fd, head + done, 2 - done, MSG_NOSIGNAL | MSG_MORE)
                                 : send(fd, bytes + done - 2, size + 2 - done, MSG_NOSIGNAL);

        if (count < 0 && errno != EINTR)
            return false;
        if (count > 0)
            done += (size_t)count;
    }
    return true;
}

/**
 * read_all() - Reads from the control connection
 * @fd:		Control connection
 * @into:	Room
 * @size:	How much to read
 *
 * Return: whether all of it came
 */
static bool read_all(int fd, uint8_t *into, size_t size)
{
    while (size) {
        ssize_t count = recv(fd, into, size, 0);

        if (count < 0 && errno == EINTR)
            continue;
        if (count <= 0)
            return false;
        into += count;
        size -= (size_t)count;
    }
    return true;
}

/**
 * exchange() - Sends a query and reads its answer
 * @fd:		Control connection, on which nothing was said
 * @query:	The query
 * @query_size:	Its size
 * @answer:	Room for the answer
 * @room:	Its size; an answer that is larger is cut, and says so
 *
 * Return: size of the answer, before it was cut; -1 when there is none
 */
static int exchange(int fd, const uint8_t *query, size_t query_size, uint8_t *answer, size_t room)
{
    uint8_t head[2] = { (uint8_t)(query_size >> 8), (uint8_t)query_size }, rest[256];
    char said[SHORT_ANSWER_BYTES], *cursor = said;
    const char *verb;
    struct line line;
    size_t size, kept;

    line_begin(&line, "dns");
    if (control_send(fd, &line) || control_receive(fd, said, sizeof(said), TELL) < 0)
        return -1;
    verb = answer_word(&cursor);
    if (!verb || strcmp(verb, "dns") || !write_all(fd, head, query, query_size) || !read_all(fd, head, 2))
        return -1;
    size = (size_t)head[0] << 8 | head[1];
    kept = size < room ? size : room;
    if (!read_all(fd, answer, kept))
        return -1;
    for (size_t left = size - kept; left;) {
        size_t part = left < sizeof(rest) ? left : sizeof(rest);

        if (!read_all(fd, rest, part))
            return -1;
        left -= part;
    }
    if (kept < size && kept > 2)
        answer[2] |= FLAG_TRUNCATED;
    return (int)size;
}

/**
 * send_query() - res_send(): has the pod answer a message
 * @query:	The message
 * @query_size:	Its size
 * @answer:	Room for the answer
 * @room:	Its size
 *
 * Return: size of the answer, or -1 with errno set: ETIMEDOUT when there is none
 */
static int send_query(const uint8_t *query, int query_size, uint8_t *answer, int room)
{
    int saved = errno, fd, result = -1;

    if (query_size < HEADER_BYTES || query_size > UINT16_MAX || room < HEADER_BYTES) {
        errno = EINVAL;
        return -1;
    }
    fd = control_open(TELL);
    if (fd >= 0) {
        result = exchange(fd, query, (size_t)query_size, answer, (size_t)room);
        close(fd);
    }
    errno = result < 0 ? ETIMEDOUT : saved;
    return result;
}

/**
 * query_pod() - res_query(): asks the pod for records
 * @name:	Name
 * @class:	Class
 * @type:	Type
 * @answer:	Room for the answer
 * @room:	Its size
 *
 * Return: size of the answer, or -1 with h_errno set
 */
static int query_pod(const char *name, int class, int type, uint8_t *answer, int room)
{
    uint8_t query[HEADER_BYTES + NAME_BYTES + 4];
    size_t size = make_query(name, class, type, query);
    int result;

    if (!size) {
        h_errno = NO_RECOVERY;
        return -1;
    }
    result = send_query(query, (int)size, answer, room);
    log_verdict("res_query", name, "pod", result < 0 ? "no answer" : "answered");
    if (result < HEADER_BYTES) {
        h_errno = TRY_AGAIN;
        return -1;
    }
    switch (answer[3] & RCODE_BITS) {
    case 0:
        h_errno = answer[6] || answer[7] ? NETDB_SUCCESS : NO_DATA;
        break;
    case 2: /* SERVFAIL */
        h_errno = TRY_AGAIN;
        break;
    case 3: /* NXDOMAIN */
        h_errno = HOST_NOT_FOUND;
        break;
    default:
        h_errno = NO_RECOVERY;
    }
    return h_errno == NETDB_SUCCESS ? result : -1;
}

/**
 * query_domain() - res_querydomain(): query_pod() for a name and its domain
 * @name:	Name
 * @domain:	Domain, or NULL
 * @class:	Class
 * @type:	Type
 * @answer:	Room for the answer
 * @room:	Its size
 *
 * Return: as query_pod()
 */
static int query_domain(const char *name, const char *domain, int class, int type, uint8_t *answer, int room)
{
    char whole[1024]; /* NS_MAXDNAME, of both libcs */
    size_t length = strlen(name), more = domain ? strlen(domain) : 0;

    if (length + more + 2 > sizeof(whole)) {
        h_errno = NO_RECOVERY;
        return -1;
    }
    memcpy(whole, name, length);
    if (domain) {
        whole[length++] = '.';
        memcpy(whole + length, domain, more);
    }
    whole[length + more] = '\0';
    return query_pod(whole, class, type, answer, room);
}

/**
 * note() - Keeps the error of a query where the callers of the res_n functions look for it
 * @state:	Their state
 * @result:	What is returned
 *
 * Return: @result
 */
static int note(res_state state, int result)
{
    state->res_h_errno = h_errno;
    return result;
}

/* Each function under both of its names: programs of glibc before 2.34 know the one with underscores. */
#define BOTH(name, parameters, arguments, call) \
    EXPORT int name parameters \
    { \
        return shim_enter() ? call : real.name arguments; \
    } \
    EXPORT int __##name parameters \
    { \
        return shim_enter() ? call : real.__##name arguments; \
    }
#define ANSWER unsigned char *answer, int room

BOTH(res_query, (const char *name, int class, int type, ANSWER), (name, class, type, answer, room),
     query_pod(name, class, type, answer, room))
BOTH(res_search, (const char *name, int class, int type, ANSWER), (name, class, type, answer, room),
     query_pod(name, class, type, answer, room))
BOTH(res_querydomain, (const char *name, const char *domain, int class, int type, ANSWER),
     (name, domain, class, type, answer, room), query_domain(name, domain, class, type, answer, room))
BOTH(res_send, (const unsigned char *query, int size, ANSWER), (query, size, answer, room),
     send_query(query, size, answer, room))
BOTH(res_nquery, (res_state state, const char *name, int class, int type, ANSWER),
     (state, name, class, type, answer, room), note(state, query_pod(name, class, type, answer, room)))
BOTH(res_nsearch, (res_state state, const char *name, int class, int type, ANSWER),
     (state, name, class, type, answer, room), note(state, query_pod(name, class, type, answer, room)))
BOTH(res_nquerydomain, (res_state state, const char *name, const char *domain, int class, int type, ANSWER),
     (state, name, domain, class, type, answer, room),
     note(state, query_domain(name, domain, class, type, answer, room)))
BOTH(res_nsend, (res_state state, const unsigned char *query, int size, ANSWER), (state, query, size, answer, room),
     ((void)state, send_query(query, size, answer, room)))
