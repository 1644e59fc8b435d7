/*
 * log.c - words on standard error, by write(2) alone: safe in signal handlers and between fork and exec
 */
#include "shim.h"

#include <errno.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

bool log_verdicts;

/**
 * part() - A piece of a line as writev() wants it
 * @text:	Text of the piece
 *
 * Return: the piece
 */
static struct iovec part(const char *text)
{
    union {
        const char *constant;
        void *plain;
    } base = { text }; /* writev() does not write to it */

    return (struct iovec){ base.plain, strlen(text) };
}

/**
 * log_line() - Tells the user something
 * @text:	One sentence without an end
 */
void log_line(const char *text)
{
    struct iovec parts[] = { part("telepresence: "), part(text), part("\n") };
    int saved = errno;

    if (writev(STDERR_FILENO, parts, sizeof(parts) / sizeof(*parts)) < 0) {
        /* Standard error is closed: the error code of the call has to do. */
    }
    errno = saved;
}

/**
 * log_once() - Tells the user what broke; only the first call in a process writes
 * @text:	What broke, one sentence without an end
 */
void log_once(const char *text)
{
    static atomic_flag told = ATOMIC_FLAG_INIT;

    if (!atomic_flag_test_and_set(&told))
        log_line(text);
}

/**
 * log_verdict() - Tells where a call went, when the user asked for that
 * @call:	Function that was called
 * @subject:	Address or name it was called with
 * @verdict:	Where it went
 * @reason:	Why
 */
void log_verdict(const char *call, const char *subject, const char *verdict, const char *reason)
{
    struct iovec parts[] = {
        part("telepresence-shim: "), part(call), part(" "), part(subject ? subject : "-"), part(": "),
        part(verdict), part(" ("), part(reason ? reason : "-"), part(")\n"),
    };
    int saved = errno;

    if (log_verdicts && writev(STDERR_FILENO, parts, sizeof(parts) / sizeof(*parts)) < 0) {
        /* As above. */
    }
    errno = saved;
}
