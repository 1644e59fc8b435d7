/*
 * resolve.c - getaddrinfo(), gethostbyname(): names are resolved by the pod
 *
 * What a literal, a service name, a flag or a family means is libc's business and stays there: the session answers with
 * addresses, and each is given to the real getaddrinfo() as a literal, whose results are put in one list. The program
 * frees it with the real freeaddrinfo().
 */
#include "shim.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* More addresses than a program can use; a lookup that gives more is cut. */
#define MOST_ADDRESSES 64

/* struct found - what a name resolves to
 * @count:	Number of addresses
 * @text:	The addresses, words of @answer
 * @answer:	The session's answer, cut into words
 */
struct found {
    size_t count;
    const char *text[MOST_ADDRESSES];
    char answer[ANSWER_BYTES];
};

/* Outcome of lookup() besides 0 and the EAI codes: the session says that the host resolves this name. */
#define LOOKUP_LOCAL 1

/**
 * take_answer() - Reads the answer to a lookup
 * @found:	Its answer is read, the rest set
 *
 * Return: 0, LOOKUP_LOCAL, or an EAI code
 */
static int take_answer(struct found *found)
{
    char *cursor = found->answer;
    const char *verb = answer_word(&cursor);
    const char *word;

    found->count = 0;
    if (verb && !strcmp(verb, "local"))
        return LOOKUP_LOCAL;
    if (verb && !strcmp(verb, "failed"))
        return eai_of(answer_word(&cursor));
    if (!verb || strcmp(verb, "addresses"))
        return EAI_FAIL;
    while (found->count < MOST_ADDRESSES && (word = answer_word(&cursor)))
        found->text[found->count++] = word;
    return found->count ? 0 : EAI_NONAME;
}

/**
 * lookup() - Asks the session for the addresses of a name
 * @call:	Function that the program called, for the log
 * @name:	Name
 * @family:	AF_INET, AF_INET6 or AF_UNSPEC
 * @found:	Set to the addresses
 *
 * Return: 0, LOOKUP_LOCAL, or an EAI code: EAI_AGAIN when the session is gone
 */
static int lookup(const char *call, const char *name, int family, struct found *found)
{
    const char *reason = "policy of the session";
    int control, result = EAI_AGAIN;
    struct line line;

    if (judge_name(name, &reason) == VERDICT_LOCAL) {
        log_verdict(call, name, "host", reason);
        return LOOKUP_LOCAL;
    }
    line_begin(&line, "lookup");
    line_word(&line, family == AF_INET ? "4" : family == AF_INET6 ? "6" : "any");
    line_word(&line, name);
    if (line.broken || strlen(name) > 254) {
        log_verdict(call, "-", "pod", "no name of the DNS");
        return EAI_NONAME;
    }
    control = control_open(TELL);
    if (control < 0)
        return EAI_AGAIN;
    if (!control_send(control, &line) && control_receive(control, found->answer, sizeof(found->answer)) >= 0)
        result = take_answer(found);
    close(control);
    log_verdict(call, name, result == LOOKUP_LOCAL ? "host" : "pod",
                result == LOOKUP_LOCAL ? reason : result ? eai_name(result) : found->text[0]);
    return result;
}

/**
 * name_canonical() - Gives a list the name that was asked for as its canonical name
 * @list:	List that the real getaddrinfo() made with AI_CANONNAME, so that its first entry has a name: the literal
 * @name:	Name to put there; malloc'd, as freeaddrinfo() expects it
 *
 * Return: 0 or EAI_MEMORY
 */
static int name_canonical(struct addrinfo *list, const char *name)
{
    char *copy = strdup(name);

    if (!copy)
        return EAI_MEMORY;
    free(list->ai_canonname);
    list->ai_canonname = copy;
    return 0;
}

/**
 * append_literals() - Makes the list of results out of addresses
 * @found:	Addresses
 * @service:	Service as the program gave it
 * @hints:	Hints as the program gave them, with AI_NUMERICHOST set
 * @list:	Set to the list
 *
 * Return: 0 or an EAI code
 */
static int append_literals(const struct found *found, const char *service, const struct addrinfo *hints,
                           struct addrinfo **list)
{
    struct addrinfo each = *hints;
    struct addrinfo *head = NULL, **tail = &head;
    int result = EAI_NONAME;

    for (size_t i = 0; i < found->count; i++) {
        int code = real.getaddrinfo(found->text[i], service, &each, tail);

        if (code) {
            /* An address of a family that the hints exclude; another may fit. */
            *tail = NULL;
            if (result)
                result = code;
            continue;
        }
        result = 0;
        each.ai_flags &= ~AI_CANONNAME; /* only the first entry has one */
        while (*tail)
            tail = &(*tail)->ai_next;
    }
    *list = head;
    return result;
}

/**
 * resolve() - getaddrinfo() for a name that the pod resolves
 * @name:	Name
 * @service:	Service as the program gave it
 * @hints:	Hints, with AI_NUMERICHOST set and AI_ADDRCONFIG off: which families this host has says nothing of the pod
 * @list:	Set to the list
 *
 * Return: 0, LOOKUP_LOCAL, or an EAI code
 */
static int resolve(const char *name, const char *service, const struct addrinfo *hints, struct addrinfo **list)
{
    bool mapped = hints->ai_family == AF_INET6 && (hints->ai_flags & AI_V4MAPPED);
    struct found found;
    int result;

    result = lookup("getaddrinfo", name, mapped && (hints->ai_flags & AI_ALL) ? AF_UNSPEC : hints->ai_family, &found);
    if (mapped && !(hints->ai_flags & AI_ALL) && result && result != LOOKUP_LOCAL)
        result = lookup("getaddrinfo", name, AF_INET, &found);
    if (result)
        return result;
    *list = NULL;
    result = append_literals(&found, service, hints, list);
    if (!result && (hints->ai_flags & AI_CANONNAME))
        result = name_canonical(*list, name);
    if (result && *list) {
        freeaddrinfo(*list);
        *list = NULL;
    }
    return result;
}

/**
 * getaddrinfo() - Resolves in the pod
 * @node:	Name, literal or NULL
 * @service:	Service name, port or NULL
 * @hints:	What is wanted, or NULL
 * @list:	Set to a list for freeaddrinfo()
 *
 * libc is asked first whether the node is a literal (AI_NUMERICHOST), which also finds every mistake in the other
 * arguments: only where that fails with EAI_NONAME is there a name to resolve.
 *
 * Return: 0 with errno as it was, or an EAI code
 */
EXPORT int getaddrinfo(const char *node, const char *service, const struct addrinfo *hints, struct addrinfo **list)
{
    struct addrinfo numeric = { .ai_flags = AI_V4MAPPED | AI_ADDRCONFIG };
    int saved = errno, result;

    if (!shim_enter() || !node || !*node || (hints && (hints->ai_flags & AI_NUMERICHOST)))
        return real.getaddrinfo(node, service, hints, list);
    if (hints)
        numeric = *hints;
    numeric.ai_flags = (numeric.ai_flags | AI_NUMERICHOST) & ~AI_ADDRCONFIG;
    result = real.getaddrinfo(node, service, &numeric, list);
    if (result == EAI_NONAME)
        result = resolve(node, service, &numeric, list);
    if (result == LOOKUP_LOCAL) {
        libc_begin();
        result = real.getaddrinfo(node, service, hints, list);
        libc_end();
    }
    if (!result)
        errno = saved;
    return result;
}

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
 * is_literal() - Whether gethostbyname() would take a name as the literal form of an address
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
 * gethostbyname() - Resolves in the pod
 * @name:	Name or literal
 *
 * Return: result in static memory, as libc's; NULL with h_errno set
 */
EXPORT struct hostent *gethostbyname(const char *name)
{
    static char buffer[8192];
    static struct hostent host;
    struct found found;
    struct hostent *result;
    int saved = errno, code;

    if (!shim_enter() || !name || !*name || is_literal(name))
        return real.gethostbyname(name);
    code = lookup("gethostbyname", name, AF_INET, &found);
    if (code == LOOKUP_LOCAL) {
        libc_begin();
        result = real.gethostbyname(name);
        libc_end();
        return result;
    }
    if (code || !fill_host(&host, buffer, sizeof(buffer), name, AF_INET, &found)) {
        h_errno = code ? h_errno_of(code) : NO_RECOVERY;
        return NULL;
    }
    errno = saved;
    return &host;
}
