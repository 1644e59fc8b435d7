/*
 * stopped.c - names of a machine whose session is stopped (Ctrl-Z, SIGSTOP)
 *
 * DOC: Theory of operation
 *
 * Every question for a name comes to the session, so while that is stopped no program of the machine would resolve any.
 * By then questions go around it, to the very server that was asked: as flows of the relay's own, which connects to
 * itself (README.md, "To the inside"). What the session has said to be the cluster's alone is answered "server failure",
 * since the machine's servers would deny it, and a denial is kept. Nothing of the machine is changed for that, so
 * nothing is given back: when the session goes on, the next question is the session's again.
 *
 * Whether it is stopped, /proc says at each question. That needs no patience, and takes no session that is busy for a
 * stopped one. A debugger's stops ('t') do not count: strace makes thousands of them, of a moment each.
 */
#include "flow.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MOST_SERVERS 64
#define MOST_WITHHELD 64
/* Longest name as text, with the terminating zero (RFC 1035, section 2.3.4). */
#define NAME_BYTES 256

/* RFC 1035, section 4.1.1 */
#define HEADER_BYTES 12
#define IS_RESPONSE 0x80
#define OPCODE_AND_RECURSION 0x79
#define RECURSION_AVAILABLE 0x80
#define SERVER_FAILURE 2

static int session_line = -1;
static pid_t session;
static struct end_point servers[MOST_SERVERS];
static unsigned server_count;
static char *withheld[MOST_WITHHELD];
static unsigned withheld_count;
static bool told;

/**
 * know_session() - Learns which process the session is
 * @life:	The life line, whose other end listens
 */
void know_session(int life)
{
    struct ucred peer;
    socklen_t size = sizeof(peer);

    session_line = life;
    if (!getsockopt(life, SOL_SOCKET, SO_PEERCRED, &peer, &size))
        session = peer.pid; /* 0 when it is in a PID namespace that we do not see: then it is never stopped for us */
}

/**
 * know_server() - Notes a name server whose questions come here
 * @server:	Its address, with the port
 */
void know_server(const struct end_point *server)
{
    for (unsigned i = 0; i < server_count; i++)
        if (!memcmp(&servers[i], server, sizeof(*server)))
            return;
    if (server_count < MOST_SERVERS)
        servers[server_count++] = *server;
}

/**
 * withhold() - Notes a domain of which the machine's servers are never asked
 * @domain:	Its name, in lower case
 *
 * Return: 0, or -1 with errno
 */
int withhold(const char *domain)
{
    errno = ENOSPC;
    if (withheld_count == MOST_WITHHELD)
        return -1;
    withheld[withheld_count] = strdup(domain);
    return withheld[withheld_count++] ? 0 : -1;
}

/**
 * session_is_stopped() - Whether the session is stopped at this moment
 *
 * Return: that; false as well when it cannot be told
 */
bool session_is_stopped(void)
{
    char path[32], text[512], *state;
    ssize_t size;
    int fd;
    bool stopped;

    if (session <= 0)
        return false;
    snprintf(path, sizeof(path), "/proc/%d/stat", (int)session);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return false;
    size = read(fd, text, sizeof(text) - 1);
    close(fd);
    text[size < 0 ? 0 : size] = '\0';
    state = strrchr(text, ')'); /* The program's name before it may hold anything */
    stopped = state && state[1] == ' ' && state[2] == 'T';
    if (!stopped)
        told = false;
    return stopped;
}

/**
 * is_server() - Whether somewhere is a name server whose questions come here
 * @to:		Where a program sends
 */
bool is_server(const struct end_point *to)
{
    for (unsigned i = 0; i < server_count; i++)
        if (!memcmp(&servers[i], to, sizeof(*to)))
            return true;
    return false;
}

/**
 * tell_around() - Tells the session, once for each time that it is stopped, what it will read when it goes on
 */
void tell_around(void)
{
    static const char news[] = "stopped\n";

    if (!told && send(session_line, news, sizeof(news) - 1, MSG_NOSIGNAL | MSG_DONTWAIT) == sizeof(news) - 1)
        told = true;
}

/**
 * read_name() - The name of a question, as text
 * @query:	A message
 * @size:	Its size
 * @name:	NAME_BYTES, filled: in lower case, each label with a dot before it
 *
 * Return: where the question ends; 0 when this is no question about one name
 */
static size_t read_name(const uint8_t *query, size_t size, char *name)
{
    size_t at = HEADER_BYTES, length = 0;

    if (size < HEADER_BYTES || query[2] & IS_RESPONSE || query[4] || query[5] != 1)
        return 0;
    while (at < size && query[at]) {
        uint8_t label = query[at++];

        if (label > 63 || at + label > size || length + label + 2 > NAME_BYTES)
            return 0;
        name[length++] = '.';
        for (; label; label--)
            name[length++] = (char)tolower(query[at++]);
    }
    name[length] = '\0';
    at += 1 + 4; /* The root, type and class */
    return at <= size ? at : 0;
}

static bool is_below(const char *name, const char *domain)
{
    size_t length = strlen(name), end = strlen(domain);

    return length > end && name[length - end - 1] == '.' && !strcmp(name + length - end, domain);
}

/**
 * fail_withheld() - Makes a question for a name that is withheld its own answer: "server failure"
 * @query:	The question, changed if it is one
 * @size:	Its size
 *
 * Return: the size of the answer, or 0 for every other message
 */
size_t fail_withheld(uint8_t *query, size_t size)
{
    char name[NAME_BYTES];
    size_t end = read_name(query, size, name);

    for (unsigned i = 0; end && i < withheld_count; i++) {
        if (!is_below(name, withheld[i]))
            continue;
        query[2] = (uint8_t)(IS_RESPONSE | (query[2] & OPCODE_AND_RECURSION));
        query[3] = RECURSION_AVAILABLE | SERVER_FAILURE;
        memset(query + 6, 0, HEADER_BYTES - 6); /* No records: what follows the question is cut off */
        return end;
    }
    return 0;
}
