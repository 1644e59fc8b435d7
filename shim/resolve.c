/*
 * resolve.c - getaddrinfo(): names are resolved by the pod
 *
 * What a literal, a service name, a flag or a family means is libc's business and stays there: the session answers with
 * addresses, and each is given to the real getaddrinfo() as a literal, whose results are put in one list.
 */
#include "shim.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

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
    if (verb && !strcmp(verb, "local")) {
        found->text[0] = cursor; /* why */
        return LOOKUP_LOCAL;
    }
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
int lookup(const char *call, const char *name, int family, struct found *found)
{
    const char *reason;
    int control, result = EAI_AGAIN;
    struct line line;

    if (judge_name(name, &reason) == VERDICT_LOCAL) {
        log_verdict(call, name, "host", reason);
        return LOOKUP_LOCAL;
    }
    line_begin(&line, "lookup");
    line_word(&line, family == AF_INET ? "4" : family == AF_INET6 ? "6" : "any");
    line_word(&line, name);
    line_number(&line, (uint32_t)getpid());
    if (line.broken || strlen(name) > 254) {
        log_verdict(call, "-", "pod", "no name of the DNS");
        return EAI_NONAME;
    }
    control = control_open(TELL);
    if (control < 0)
        return EAI_AGAIN;
    if (!control_send(control, &line) && control_receive(control, found->answer, sizeof(found->answer), TELL) >= 0)
        result = take_answer(found);
    close(control);
    if (result == LOOKUP_LOCAL)
        log_verdict(call, name, "host", found->text[0]);
    else
        log_verdict(call, name, "pod", result ? eai_name(result) : found->text[0]);
    return result;
}

/**
 * reverse() - Asks the session for the name of an address
 * @endpoint:	Address; its port does not count
 * @name:	Set to the name, of NAME_TEXT_BYTES
 *
 * Return: 0, LOOKUP_LOCAL when the host knows best, EAI_NONAME when there is no name, EAI_AGAIN when nobody answers
 */
int reverse(const struct endpoint *endpoint, char *name)
{
    char text[INET6_ADDRSTRLEN], answer[ANSWER_BYTES], *cursor = answer;
    const char *reason, *verb, *word;
    int control, result = EAI_AGAIN;
    struct line line;

    if (judge_endpoint(endpoint, &reason) == VERDICT_LOCAL)
        return LOOKUP_LOCAL;
    if (!endpoint_text(endpoint, text))
        return EAI_NONAME;
    control = control_open(TELL);
    if (control < 0)
        return EAI_AGAIN;
    line_begin(&line, "reverse");
    line_word(&line, text);
    line_number(&line, (uint32_t)getpid());
    if (!control_send(control, &line) && control_receive(control, answer, sizeof(answer), TELL) >= 0) {
        verb = answer_word(&cursor);
        word = answer_word(&cursor);
        result = verb && !strcmp(verb, "failed") ? eai_of(word) : EAI_FAIL;
        if (verb && !strcmp(verb, "local"))
            result = LOOKUP_LOCAL;
        if (verb && !strcmp(verb, "name") && word && strlen(word) < NAME_TEXT_BYTES) {
            memcpy(name, word, strlen(word) + 1);
            result = 0;
        }
    }
    close(control);
    log_verdict("reverse", text, result == LOOKUP_LOCAL ? "host" : "pod", result > 0 ? cursor : result ? eai_name(result) : name);
    return result;
}

/*
 * Marks in ai_flags of a result, where both libcs leave nothing of meaning: a part of a list that was allocated alone,
 * and a canonical name that is ours.
 */
#define PART_BEGINS (1 << 29)
#define NAME_IS_OURS (1 << 28)

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

    each.ai_flags &= ~AI_CANONNAME; /* it would be the literal */
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
        (*tail)->ai_flags |= PART_BEGINS;
        for (; *tail; tail = &(*tail)->ai_next)
            (*tail)->ai_canonname = NULL;
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
    if (!result && (hints->ai_flags & AI_CANONNAME)) {
        (*list)->ai_canonname = strdup(name);
        (*list)->ai_flags |= NAME_IS_OURS;
        result = (*list)->ai_canonname ? 0 : EAI_MEMORY;
    }
    if (result && *list) {
        freeaddrinfo(*list);
        *list = NULL;
    }
    return result;
}

/**
 * freeaddrinfo() - Frees a list, ours by its parts: musl frees no list that was put together
 * @list:	List of getaddrinfo()
 */
EXPORT void freeaddrinfo(struct addrinfo *list)
{
    while (list) {
        struct addrinfo *part = list, *last = list;

        while (last->ai_next && !(last->ai_next->ai_flags & PART_BEGINS))
            last = last->ai_next;
        list = last->ai_next;
        last->ai_next = NULL;
        if ((part->ai_flags & PART_BEGINS) && (part->ai_flags & NAME_IS_OURS)) {
            free(part->ai_canonname);
            part->ai_canonname = NULL;
        }
        shim_enter();
        real.freeaddrinfo(part);
    }
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
 * getaddrinfo_a() - Resolves in the pod; libc would ask the host's name server, in a thread of its own
 * @mode:	Whether to wait; all is done before this returns
 * @list:	Requests, with holes
 * @count:	How many there are
 * @event:	What to do then, or NULL
 *
 * Return: 0
 */
EXPORT int getaddrinfo_a(int mode, struct gaicb *list[], int count, struct sigevent *event)
{
    if (!shim_enter())
        return real.getaddrinfo_a ? real.getaddrinfo_a(mode, list, count, event) : EAI_SYSTEM;
    for (int i = 0; i < count; i++)
        if (list[i])
            list[i]->__return =
                getaddrinfo(list[i]->ar_name, list[i]->ar_service, list[i]->ar_request, &list[i]->ar_result);
    if (mode == GAI_NOWAIT && event && event->sigev_notify == SIGEV_SIGNAL)
        sigqueue(getpid(), event->sigev_signo, event->sigev_value);
    if (mode == GAI_NOWAIT && event && event->sigev_notify == SIGEV_THREAD)
        event->sigev_notify_function(event->sigev_value);
    return 0;
}
