/*
 * judge.c - what can be decided without asking the session
 *
 * Few rules, all of which hold on every machine: what never leaves a machine is not asked about. The rest (own
 * addresses, own name, what the user excluded) is policy, and policy is the session's.
 */
#include "shim.h"

#include <arpa/inet.h>
#include <errno.h>
#include <string.h>
#include <strings.h>

/**
 * endpoint_from() - Reads the address of an AF_INET or AF_INET6 socket call
 * @endpoint:	Set to the address and port
 * @address:	Address as the program gave it
 * @length:	Its length
 *
 * Return: whether it is such an address, complete
 */
bool endpoint_from(struct endpoint *endpoint, const struct sockaddr *address, socklen_t length)
{
    static const uint8_t mapped[12] = { [10] = 0xff, [11] = 0xff };

    memset(endpoint, 0, sizeof(*endpoint));
    if (!address || length < sizeof(address->sa_family))
        return false;
    if (address->sa_family == AF_INET && length >= sizeof(struct sockaddr_in)) {
        struct sockaddr_in in;

        memcpy(&in, address, sizeof(in));
        memcpy(endpoint->bytes, &in.sin_addr, 4);
        endpoint->port = ntohs(in.sin_port);
        return true;
    }
    /* The kernel takes a sockaddr_in6 without its scope (RFC 2133) too: 24 bytes. */
    if (address->sa_family == AF_INET6 && length >= offsetof(struct sockaddr_in6, sin6_scope_id)) {
        struct sockaddr_in6 in6 = { 0 };

        memcpy(&in6, address, length < sizeof(in6) ? length : sizeof(in6));
        endpoint->port = ntohs(in6.sin6_port);
        if (!memcmp(&in6.sin6_addr, mapped, sizeof(mapped))) {
            endpoint->mapped = true;
            memcpy(endpoint->bytes, in6.sin6_addr.s6_addr + 12, 4);
            return true;
        }
        endpoint->v6 = true;
        memcpy(endpoint->bytes, &in6.sin6_addr, 16);
        return true;
    }
    return false;
}

/**
 * endpoint_text() - Writes the address as text
 * @endpoint:	Address to write
 * @text:	Room for it
 *
 * Return: whether it could be written
 */
bool endpoint_text(const struct endpoint *endpoint, char text[INET6_ADDRSTRLEN])
{
    return inet_ntop(endpoint->v6 ? AF_INET6 : AF_INET, endpoint->bytes, text, INET6_ADDRSTRLEN) != NULL;
}

/**
 * judge_endpoint() - Says where a connection to an address goes
 * @endpoint:	Address
 * @reason:	Set to why it stays on the host
 *
 * Return: VERDICT_LOCAL for what never leaves a machine, VERDICT_ASK for everything else
 */
enum verdict judge_endpoint(const struct endpoint *endpoint, const char **reason)
{
    static const uint8_t loopback[16] = { [15] = 1 };
    static const uint8_t any[16] = { 0 };
    const uint8_t *bytes = endpoint->bytes;

    if (!memcmp(bytes, any, endpoint->v6 ? 16 : 4)) {
        *reason = "unspecified address means this host";
        return VERDICT_LOCAL;
    }
    if (endpoint->v6 ? !memcmp(bytes, loopback, 16) : bytes[0] == 127) {
        *reason = "loopback";
        return VERDICT_LOCAL;
    }
    if (endpoint->v6 && bytes[0] == 0xfe && (bytes[1] & 0xc0) == 0x80) {
        *reason = "link-local address names an interface of this host";
        return VERDICT_LOCAL;
    }
    if (endpoint->v6 ? bytes[0] == 0xff : bytes[0] >= 224) {
        *reason = "multicast and broadcast reach the host's own networks";
        return VERDICT_LOCAL;
    }
    return VERDICT_ASK;
}

/**
 * judge_name() - Says who resolves a name that is not the literal form of an address
 * @name:	Name
 * @reason:	Set to why it stays on the host
 *
 * Return: VERDICT_LOCAL for localhost, VERDICT_ASK for everything else
 */
enum verdict judge_name(const char *name, const char **reason)
{
    if (!strcasecmp(name, "localhost") || !strcasecmp(name, "localhost.") ||
        !strcasecmp(name, "localhost.localdomain")) {
        *reason = "localhost";
        return VERDICT_LOCAL;
    }
    return VERDICT_ASK;
}

#define ENTRY(value) { #value, value }

/* struct code - an error code that travels by its name, since values differ between machines */
struct code {
    char name[16];
    int value;
};

static const struct code errnos[] = {
    ENTRY(EACCES),       ENTRY(EADDRINUSE),  ENTRY(EADDRNOTAVAIL), ENTRY(EAFNOSUPPORT), ENTRY(ECONNABORTED),
    ENTRY(ECONNREFUSED), ENTRY(ECONNRESET),  ENTRY(EHOSTUNREACH),  ENTRY(EINVAL),       ENTRY(EMFILE),
    ENTRY(EINPROGRESS),  ENTRY(ENETUNREACH), ENTRY(EPERM),         ENTRY(EPIPE),        ENTRY(ETIMEDOUT),
};

static const struct code eais[] = { ENTRY(EAI_NONAME), ENTRY(EAI_AGAIN), ENTRY(EAI_FAIL), ENTRY(EAI_FAMILY) };

#define COUNT(table) (sizeof(table) / sizeof(*(table)))

/**
 * value_of() - Finds a code by its name
 * @table:	Codes
 * @count:	Number of codes
 * @name:	Name, or NULL
 * @other:	What stands for a name that is not there
 *
 * Return: the value here
 */
static int value_of(const struct code *table, size_t count, const char *name, int other)
{
    for (size_t i = 0; name && i < count; i++)
        if (!strcmp(name, table[i].name))
            return table[i].value;
    return other;
}

/**
 * name_of() - Finds a code by its value
 * @table:	Codes
 * @count:	Number of codes
 * @value:	Value
 *
 * Return: the name, or "error" for a code that does not travel
 */
static const char *name_of(const struct code *table, size_t count, int value)
{
    for (size_t i = 0; i < count; i++)
        if (value == table[i].value)
            return table[i].name;
    return "error";
}

/**
 * errno_of() - Value of an errno that travelled
 * @name:	Its name, or NULL
 *
 * Return: the value here, EIO for a name that does not travel
 */
int errno_of(const char *name)
{
    return value_of(errnos, COUNT(errnos), name, EIO);
}

/**
 * errno_name() - Name of an errno, for the log: strerror() may translate and allocate
 * @value:	The errno
 *
 * Return: its name
 */
const char *errno_name(int value)
{
    return name_of(errnos, COUNT(errnos), value);
}

/**
 * eai_of() - Value of an error of getaddrinfo() that travelled
 * @name:	Its name, or NULL
 *
 * Return: the value here, EAI_FAIL for a name that does not travel
 */
int eai_of(const char *name)
{
    return value_of(eais, COUNT(eais), name, EAI_FAIL);
}

/**
 * eai_name() - Name of an error of getaddrinfo(), for the log
 * @value:	The code
 *
 * Return: its name
 */
const char *eai_name(int value)
{
    return name_of(eais, COUNT(eais), value);
}
