/*
 * mounts.c - which paths are the pod's: asked of the session once in a process, and where a path of the program leads
 *
 * DOC: When the session is asked
 *
 * By the first call that names a file (or that has to know the gates): not at the start, so that programs that name none
 * start as fast as ever. Such a call may come from a signal handler, a constructor, an allocator's first breath or a
 * child of vfork(), so the state is a few words of static memory, all signals are held back while the answer is under
 * way, and nobody waits for another thread without an end. A child that was forked in the middle of it asks anew.
 */
#include "shim.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/time.h>

/* Longest answer to "hello", newline included, and most mounts in it: README.md, "Requests". */
#define HELLO_BYTES 16384
#define MOST_MOUNTS 256

/* How long the session may take: one that is stopped must not stop what only wants to open a file. */
#define HELLO_SECONDS 10

static char answer[HELLO_BYTES];
static struct endpoint own4, own6; /* the pod's addresses; without one the family's bytes are zero */
static struct mount mounts[MOST_MOUNTS];
static size_t mount_count;

/* UNKNOWN, KNOWN, or the id of the process that is asking. */
static _Atomic int state;
#define UNKNOWN 0
#define KNOWN (-1)

/**
 * take_own() - Reads the pod's own addresses
 * @cursor:	Rest of the answer
 *
 * Return: whether both words are there; "-" is none
 */
static bool take_own(char **cursor)
{
    const char *v4 = answer_word(cursor), *v6 = v4 ? answer_word(cursor) : NULL;

    if (!v6)
        return false;
    own6.v6 = true;
    inet_pton(AF_INET, v4, own4.bytes);
    inet_pton(AF_INET6, v6, own6.bytes);
    return true;
}

/**
 * hello() - Asks the session for the gates and the mounts
 *
 * Return: whether the question is settled, with an answer or without; not when there was no descriptor to ask by
 */
static bool hello(void)
{
    const struct timeval limit = { .tv_sec = HELLO_SECONDS };
    char *cursor = answer;
    struct gates gates;
    struct line line;
    const char *verb = NULL;
    int fd = control_open(QUIET);

    if (fd < 0)
        return errno == ECONNREFUSED;
    line_begin(&line, "hello");
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
    if (!control_send(fd, &line) && control_receive(fd, answer, sizeof(answer), QUIET) >= 0)
        verb = answer_word(&cursor);
    close(fd);
    if (verb && !strcmp(verb, "hello") && take_gates(&cursor, &gates) && take_own(&cursor))
        mount_count = mounts_parse(cursor, mounts, MOST_MOUNTS);
    return true;
}

/**
 * be_known() - Sees to it that gates and mounts are known, if they can be
 *
 * Return: whether they are
 */
bool be_known(void)
{
    int saved = errno, self, before;

    if (atomic_load_explicit(&state, memory_order_acquire) == KNOWN)
        return true;
    self = getpid();
    for (int waited = 0; waited < HELLO_SECONDS * 1000; waited++) {
        sigset_t all, mask;

        before = atomic_load_explicit(&state, memory_order_acquire);
        if (before == KNOWN)
            break;
        if (before == self) {
            poll(NULL, 0, 1); /* another thread asks */
            continue;
        }
        sigfillset(&all);
        sigprocmask(SIG_BLOCK, &all, &mask);
        if (atomic_compare_exchange_strong(&state, &before, self))
            atomic_store_explicit(&state, hello() ? KNOWN : UNKNOWN, memory_order_release);
        sigprocmask(SIG_SETMASK, &mask, NULL);
        before = atomic_load_explicit(&state, memory_order_acquire);
        if (before == UNKNOWN || before == KNOWN)
            break;
    }
    errno = saved;
    return before == KNOWN;
}

/**
 * directory_of() - Where a relative path begins
 * @directory:	Descriptor of a directory, or AT_FDCWD
 * @room:	Set to the path of the directory
 * @size:	Its size
 *
 * Return: whether it is known
 */
static bool directory_of(int directory, char *room, size_t size)
{
    char link[] = "/proc/self/fd/2147483647";
    char *digit = link + sizeof("/proc/self/fd/") - 1, digits[11];
    size_t count = 0;
    long length;

    if (directory == AT_FDCWD)
        return real.syscall(SYS_getcwd, room, size) > 0 && *room == '/';
    if (directory < 0)
        return false;
    do
        digits[count++] = (char)('0' + directory % 10);
    while (directory /= 10);
    while (count)
        *digit++ = digits[--count];
    *digit = '\0';
    length = real.syscall(SYS_readlinkat, AT_FDCWD, link, room, size - 1);
    if (length <= 0 || *room != '/')
        return false;
    room[length] = '\0';
    return true;
}

/**
 * put() - The path on the host of a path in a mount, or its length alone
 * @mount:	The mount
 * @path:	Canonical path of the pod
 * @into:	Room for the result, or NULL
 *
 * Return: bytes of the result with its zero; 0 for one that is too long, which then stays as it is
 */
static size_t put(const struct mount *mount, const char *path, char *into)
{
    size_t rest = strlen(path + mount->pod_length) + 1;

    if (mount->host_length + rest > PATH_MAX)
        return 0;
    if (into) {
        memcpy(into, mount->host, mount->host_length);
        memcpy(into + mount->host_length, path + mount->pod_length, rest);
    }
    return mount->host_length + rest;
}

/**
 * resolve_words() - host_path() for a path that has to be put together first
 * @directory:	Where it begins
 * @path:	The path
 * @into:	Room for the result, or NULL
 *
 * A directory in a mount is one of the pod to the program, whatever the kernel calls it: what climbs out of it is where
 * the program thinks it is.
 *
 * Return: as host_path()
 */
static __attribute__((noinline)) size_t resolve_words(int directory, const char *path, char *into)
{
    const struct mount *begin = NULL, *end;
    char room[PATH_MAX] = "";
    size_t length;

    if (*path != '/') {
        if (!directory_of(directory, room, sizeof(room)))
            return 0;
        begin = mount_of(mounts, mount_count, SIDE_HOST, room);
        if (begin && (!path_climbs(path) || !mount_swap(begin, SIDE_HOST, room, sizeof(room))))
            return 0;
    }
    if (!path_append(room, sizeof(room), path))
        return 0;
    end = mount_of(mounts, mount_count, SIDE_POD, room);
    if (end)
        return put(end, room, into);
    if (!begin)
        return 0;
    length = strlen(room) + 1;
    if (into)
        memcpy(into, room, length);
    return length;
}

/**
 * host_path() - Where a path that the program names is on the host
 * @directory:	Descriptor of the directory in which a relative path begins, or AT_FDCWD
 * @path:	The path
 * @into:	Room for the result, of the size that a call with NULL gave
 *
 * Return: bytes of the result with its zero; 0 for a path that stays as it is; errno stays as it was
 */
size_t host_path(int directory, const char *path, char *into)
{
    int saved = errno;
    size_t result = 0;

    if (!path || !*path || !host_paths_exist())
        return 0;
    if (path_is_plain(path)) {
        const struct mount *mount = mount_of(mounts, mount_count, SIDE_POD, path);

        result = mount ? put(mount, path, into) : 0;
    } else {
        result = resolve_words(directory, path, into);
    }
    errno = saved;
    if (into && result)
        log_verdict("path", path, "pod", into);
    return result;
}

/**
 * pod_path() - Turns a path on the host that the kernel told back into the one that the program knows
 * @path:	Path, changed in place when it is in a mount; NULL is given back
 *
 * Return: @path
 */
char *pod_path(char *path)
{
    const struct mount *mount = path && host_paths_exist() ? mount_of(mounts, mount_count, SIDE_HOST, path) : NULL;

    /* The text may shrink but not grow: nobody tells the room behind it. */
    if (mount)
        mount_swap(mount, SIDE_HOST, path, strlen(path) + 1);
    return path;
}

/**
 * host_paths_exist() - Whether there is any path that host_path() changes
 *
 * Return: true when there is
 */
bool host_paths_exist(void)
{
    return shim_is_ready() && be_known() && mount_count;
}

/**
 * is_pod_address() - Whether an address is the pod's own
 * @endpoint:	Address; its port does not count
 *
 * Return: true when it is
 */
bool is_pod_address(const struct endpoint *endpoint)
{
    static const uint8_t none[16];
    const struct endpoint *own = endpoint->v6 ? &own6 : &own4;

    return be_known() && memcmp(own->bytes, none, 16) && !memcmp(own->bytes, endpoint->bytes, endpoint->v6 ? 16 : 4);
}

/**
 * pod_address() - Puts the pod's own address in the place of one of this machine
 * @endpoint:	Address, whose family decides; its port stays
 *
 * Return: whether the pod has one
 */
bool pod_address(struct endpoint *endpoint)
{
    static const uint8_t none[16];
    const struct endpoint *own = endpoint->v6 ? &own6 : &own4;

    if (!be_known() || !memcmp(own->bytes, none, 16))
        return false;
    memcpy(endpoint->bytes, own->bytes, sizeof(own->bytes));
    return true;
}
