/*
 * hosts.c - the gethostby family and getnameinfo(): the older ways to ask for names and addresses
 */
#include "shim.h"

#include <arpa/inet.h>
#include <errno.h>
#include <string.h>

/**
 * h_errno_of() - The error of the gethostby family that an EAI code stands for
 * @code:	EAI code
 *
 * Return: the error
 */
static int h_errno_of(int code)
{
    switch (code) {
    case EAI_AGAIN:
        return TRY_AGAIN;
    case EAI_NONAME:
        return HOST_NOT_FOUND;
    default:
        return NO_RECOVERY;
    }
}

/**
 * fill_host() - Puts the result of a lookup into a struct hostent
 * @host:	Result
 * @buffer:	Where its names and addresses are kept
 * @size:	Size of @buffer
 * @name:	Name that was asked for
 * @family:	AF_INET or AF_INET6
 * @found:	Addresses; those of another family are left out
 *
 * Return: whether @buffer was large enough
 */
static bool fill_host(struct hostent *host, char *buffer, size_t size, const char *name, int family,
                      const struct found *found)
{
    size_t each = family == AF_INET6 ? sizeof(struct in6_addr) : sizeof(struct in_addr);
    size_t skip = (size_t)(-(uintptr_t)buffer % sizeof(char *));
    size_t pointers = (found->count + 2) * sizeof(char *);
    size_t need = skip + pointers + found->count * each + strlen(name) + 1;
    char **list, *bytes;
    size_t count = 0;

    if (size < need)
        return false;
    list = (char **)(void *)(buffer + skip);
    bytes = buffer + skip + pointers;
    *host = (struct hostent){ .h_addrtype = family, .h_length = (int)each, .h_aliases = list, .h_addr_list = list + 1 };
    list[0] = NULL;
    for (size_t i = 0; i < found->count; i++) {
        if (inet_pton(family, found->text[i], bytes) != 1)
            continue;
        host->h_addr_list[count++] = bytes;
        bytes += each;
    }
    host->h_addr_list[count] = NULL;
    host->h_name = memcpy(bytes, name, strlen(name) + 1);
    return true;
}

/**
 * is_literal() - Whether the gethostby family takes a name as the literal form of an address
 * @name:	Name
 *
 * Return: true for a literal
 */
static bool is_literal(const char *name)
{
    struct in_addr room4;
    struct in6_addr room6;

    return inet_aton(name, &room4) || inet_pton(AF_INET6, name, &room6) == 1;
}

/**
 * is_ours() - Whether the pod may know a name
 * @name:	Name
 * @family:	Family that is wanted
 *
 * Return: false for what libc judges: nothing, literals, families that are none
 */
static bool is_ours(const char *name, int family)
{
    return name && *name && (family == AF_INET || family == AF_INET6) && !is_literal(name);
}

/**
 * host_in_pod() - Resolves into a buffer
 * @call:	Function that the program called, for the log
 * @name:	Name
 * @family:	AF_INET or AF_INET6
 * @host:	Result
 * @buffer:	Where its names and addresses are kept
 * @size:	Size of @buffer
 * @result:	Set to @host, or NULL
 * @error:	Set to the error of the gethostby family
 *
 * Return: as libc's functions of this kind: 0, also when the name is not known; ERANGE for a small buffer, EAGAIN or EIO
 *	   for a lookup that failed. -1 when the host resolves the name
 */
static int host_in_pod(const char *call, const char *name, int family, struct hostent *host, char *buffer, size_t size,
                       struct hostent **result, int *error)
{
    struct found found;
    int saved = errno, code = lookup(call, name, family, &found);

    *result = NULL;
    if (code == LOOKUP_LOCAL)
        return -1;
    if (!code && !fill_host(host, buffer, size, name, family, &found)) {
        *error = NETDB_INTERNAL;
        errno = ERANGE;
        return ERANGE;
    }
    errno = saved;
    *error = code ? h_errno_of(code) : NETDB_SUCCESS;
    if (!code)
        *result = host;
    if (!code || code == EAI_NONAME)
        return 0;
    errno = code == EAI_AGAIN ? EAGAIN : EIO;
    return errno;
}

/* Static results, as libc has them: these functions are not for programs with threads. */
static char static_buffer[8192];
static struct hostent static_host;

/**
 * gethostbyname() - Resolves in the pod
 * @name:	Name or literal
 *
 * Return: result in static memory, as libc's; NULL with h_errno set
 */
EXPORT struct hostent *gethostbyname(const char *name)
{
    struct hostent *result;

    if (!shim_enter() || !is_ours(name, AF_INET))
        return real.gethostbyname(name);
    if (host_in_pod(__func__, name, AF_INET, &static_host, static_buffer, sizeof(static_buffer), &result, &h_errno) < 0) {
        libc_begin();
        result = real.gethostbyname(name);
        libc_end();
    }
    return result;
}

/**
 * gethostbyname2() - Resolves in the pod, for one family
 * @name:	Name or literal
 * @family:	AF_INET or AF_INET6
 *
 * Return: as gethostbyname()
 */
EXPORT struct hostent *gethostbyname2(const char *name, int family)
{
    struct hostent *result;

    if (!shim_enter() || !is_ours(name, family))
        return real.gethostbyname2(name, family);
    if (host_in_pod(__func__, name, family, &static_host, static_buffer, sizeof(static_buffer), &result, &h_errno) < 0) {
        libc_begin();
        result = real.gethostbyname2(name, family);
        libc_end();
    }
    return result;
}

/**
 * gethostbyname_r() - Resolves in the pod, into the caller's memory
 * @name:	Name or literal
 * @host:	Result
 * @buffer:	Where its names and addresses are kept
 * @size:	Size of @buffer
 * @result:	Set to @host, or NULL
 * @error:	Set to the error of the gethostby family
 *
 * Return: 0, also when the name is not known; ERANGE, EAGAIN or EIO
 */
EXPORT int gethostbyname_r(const char *name, struct hostent *host, char *buffer, size_t size, struct hostent **result,
                           int *error)
{
    int code;

    if (!shim_enter() || !is_ours(name, AF_INET))
        return real.gethostbyname_r(name, host, buffer, size, result, error);
    code = host_in_pod(__func__, name, AF_INET, host, buffer, size, result, error);
    if (code < 0) {
        libc_begin();
        code = real.gethostbyname_r(name, host, buffer, size, result, error);
        libc_end();
    }
    return code;
}

/**
 * gethostbyname2_r() - gethostbyname_r() for one family
 * @name:	Name or literal
 * @family:	AF_INET or AF_INET6
 * @host:	Result
 * @buffer:	Where its names and addresses are kept
 * @size:	Size of @buffer
 * @result:	Set to @host, or NULL
 * @error:	Set to the error of the gethostby family
 *
 * Return: as gethostbyname_r()
 */
EXPORT int gethostbyname2_r(const char *name, int family, struct hostent *host, char *buffer, size_t size,
                            struct hostent **result, int *error)
{
    int code;

    if (!shim_enter() || !is_ours(name, family))
        return real.gethostbyname2_r(name, family, host, buffer, size, result, error);
    code = host_in_pod(__func__, name, family, host, buffer, size, result, error);
    if (code < 0) {
        libc_begin();
        code = real.gethostbyname2_r(name, family, host, buffer, size, result, error);
        libc_end();
    }
    return code;
}

/**
 * reverse_bytes() - reverse() for an address as the gethostby family has it
 * @address:	The address
 * @length:	Its length
 * @family:	AF_INET or AF_INET6
 * @name:	Set to the name, of NAME_TEXT_BYTES
 *
 * Return: as reverse(); LOOKUP_LOCAL also for what libc refuses
 */
static int reverse_bytes(const void *address, socklen_t length, int family, char *name)
{
    struct sockaddr_in6 in6 = { .sin6_family = AF_INET6 };
    struct endpoint endpoint = { 0 };

    if (family == AF_INET && length == 4) {
        memcpy(endpoint.bytes, address, 4);
    } else if (family == AF_INET6 && length == 16) {
        memcpy(&in6.sin6_addr, address, 16);
        endpoint_from(&endpoint, (struct sockaddr *)&in6, sizeof(in6));
    } else {
        return LOOKUP_LOCAL;
    }
    return reverse(&endpoint, name);
}

/**
 * fill_reverse() - Puts the name of an address into a struct hostent
 * @host:	Result
 * @buffer:	Where its name and address are kept
 * @size:	Size of @buffer
 * @address:	The address
 * @family:	AF_INET or AF_INET6
 * @name:	Its name
 *
 * Return: whether @buffer was large enough
 */
static bool fill_reverse(struct hostent *host, char *buffer, size_t size, const void *address, int family,
                         const char *name)
{
    struct found found = { .count = 1 };

    found.text[0] = inet_ntop(family, address, found.answer, sizeof(found.answer));
    return found.text[0] && fill_host(host, buffer, size, name, family, &found);
}

/**
 * gethostbyaddr() - The name of an address, as the pod knows it
 * @address:	The address
 * @length:	Its length
 * @family:	AF_INET or AF_INET6
 *
 * Return: result in static memory; NULL with h_errno set
 */
EXPORT struct hostent *gethostbyaddr(const void *address, socklen_t length, int family)
{
    char name[NAME_TEXT_BYTES];
    struct hostent *result;
    int code;

    if (!shim_enter())
        return real.gethostbyaddr(address, length, family);
    code = reverse_bytes(address, length, family, name);
    if (!code && fill_reverse(&static_host, static_buffer, sizeof(static_buffer), address, family, name))
        return &static_host;
    if (code != LOOKUP_LOCAL) {
        h_errno = h_errno_of(code);
        return NULL;
    }
    libc_begin();
    result = real.gethostbyaddr(address, length, family);
    libc_end();
    return result;
}

/**
 * gethostbyaddr_r() - gethostbyaddr() into the caller's memory
 * @address:	The address
 * @length:	Its length
 * @family:	AF_INET or AF_INET6
 * @host:	Result
 * @buffer:	Where its name and address are kept
 * @size:	Size of @buffer
 * @result:	Set to @host, or NULL
 * @error:	Set to the error of the gethostby family
 *
 * Return: 0, also when there is no name; ERANGE for a small buffer, else an errno
 */
EXPORT int gethostbyaddr_r(const void *address, socklen_t length, int family, struct hostent *host, char *buffer,
                           size_t size, struct hostent **result, int *error)
{
    char name[NAME_TEXT_BYTES];
    int code;

    if (!shim_enter())
        return real.gethostbyaddr_r(address, length, family, host, buffer, size, result, error);
    code = reverse_bytes(address, length, family, name);
    if (code != LOOKUP_LOCAL) {
        *result = NULL;
        *error = code ? h_errno_of(code) : NETDB_SUCCESS;
        if (!code && !fill_reverse(host, buffer, size, address, family, name)) {
            *error = NETDB_INTERNAL;
            errno = ERANGE;
            return ERANGE;
        }
        if (!code)
            *result = host;
        return code == EAI_AGAIN ? EAGAIN : 0;
    }
    libc_begin();
    code = real.gethostbyaddr_r(address, length, family, host, buffer, size, result, error);
    libc_end();
    return code;
}

/**
 * getnameinfo() - The name of an address as the pod knows it, or its literal
 * @address:	The address
 * @length:	Its length
 * @host:	Room for the name, or NULL
 * @host_size:	Size of @host
 * @service:	Room for the service, or NULL
 * @service_size:	Size of @service
 * @flags:	NI_ flags
 *
 * An address without a name is a literal, unless NI_NAMEREQD asks for a name.
 *
 * Return: 0 or an EAI code
 */
EXPORT int getnameinfo(const struct sockaddr *address, socklen_t length, char *host, socklen_t host_size, char *service,
                       socklen_t service_size, int flags)
{
    char name[NAME_TEXT_BYTES];
    struct endpoint endpoint;
    int code;

    if (!shim_enter() || !host || !host_size || (flags & NI_NUMERICHOST) || !endpoint_from(&endpoint, address, length))
        return real.getnameinfo(address, length, host, host_size, service, service_size, flags);
    code = reverse(&endpoint, name);
    if (!code) {
        if (strlen(name) >= host_size)
            return EAI_OVERFLOW;
        memcpy(host, name, strlen(name) + 1);
        return service && service_size ? real.getnameinfo(address, length, NULL, 0, service, service_size, flags) : 0;
    }
    if (code != LOOKUP_LOCAL) {
        if (flags & NI_NAMEREQD)
            return code;
        flags |= NI_NUMERICHOST;
    }
    libc_begin();
    code = real.getnameinfo(address, length, host, host_size, service, service_size, flags);
    libc_end();
    return code;
}
