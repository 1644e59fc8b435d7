/*
 * files.c - paths of the pod's volumes: what a program opens, looks at or changes there is where the volume is on the host
 *
 * Most of it is the table PATH_HOOKS: the path that the program names has to name another place, and that is all. A
 * symbolic link keeps its text: a target in a volume is for those who follow it in the pod as well.
 */
#undef _FORTIFY_SOURCE /* its inline functions stand in the place of ours */
#include "shim.h"

#include <errno.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>

/* Numbers that all machines share, younger than the oldest headers that we build with. */
#ifndef SYS_io_uring_setup
#define SYS_io_uring_setup 425
#endif
#ifndef SYS_faccessat2
#define SYS_faccessat2 439
#endif

/* What a function returns that this libc does not have; only who looks it up by its name can have called it. */
#define LACKING(type) \
    (errno = ENOSYS, _Generic((type)0, FILE *: NULL, DIR *: NULL, char *: NULL, default: -1))

/* The real function, also when we are called before all of them are known. */
#define REAL(name) (real.name ? real.name : (find_early(#name, &real.name), real.name))

#define HOOK(type, name, parameters, arguments, directory) \
    EXPORT type name parameters \
    { \
        AT(directory, path); \
        return REAL(name) ? real.name arguments : LACKING(type); \
    }
PATH_HOOKS(HOOK)
#undef HOOK

/* Declares `mode`, which is an argument of open() only where a file may be made. */
#define TAKE_MODE(flags) \
    mode_t mode = 0; \
\
    if (((flags) & O_CREAT) || ((flags) & O_TMPFILE) == O_TMPFILE) { \
        va_list list; \
\
        va_start(list, flags); \
        mode = va_arg(list, mode_t); \
        va_end(list); \
    }

#define OPEN(name) \
    EXPORT int name(const char *path, int flags, ...) \
    { \
        TAKE_MODE(flags) \
        AT(AT_FDCWD, path); \
        return REAL(name) ? real.name(path, flags, mode) : LACKING(int); \
    }
OPEN(open)
OPEN(open64)

#define OPENAT(name) \
    EXPORT int name(int directory, const char *path, int flags, ...) \
    { \
        TAKE_MODE(flags) \
        AT(directory, path); \
        return REAL(name) ? real.name(directory, path, flags, mode) : LACKING(int); \
    }
OPENAT(openat)
OPENAT(openat64)

/* Functions with two paths. */
#define TWO(name, parameters, arguments, first, second) \
    EXPORT int name parameters \
    { \
        AT(first, path); \
        AT(second, other); \
        return REAL(name) ? real.name arguments : LACKING(int); \
    }
TWO(rename, (const char *path, const char *other), (path, other), AT_FDCWD, AT_FDCWD)
TWO(renameat, (int directory, const char *path, int other_directory, const char *other),
    (directory, path, other_directory, other), directory, other_directory)
TWO(renameat2, (int directory, const char *path, int other_directory, const char *other, unsigned int flags),
    (directory, path, other_directory, other, flags), directory, other_directory)
TWO(link, (const char *path, const char *other), (path, other), AT_FDCWD, AT_FDCWD)
TWO(linkat, (int directory, const char *path, int other_directory, const char *other, int flags),
    (directory, path, other_directory, other, flags), directory, other_directory)

/**
 * tell_io_uring() - Tells the user that what the kernel does for a program by io_uring is not caught; once in a process
 */
static void tell_io_uring(void)
{
    static atomic_flag told = ATOMIC_FLAG_INIT;

    if (shim_is_ready() && *shim_socket_path() && !atomic_flag_test_and_set(&told))
        log_line("this program uses io_uring: what it connects or opens by it goes around the pod");
}

/* Has an argument of syscall() that is a path name the file on the host. */
#define AT_ARGUMENT(directory, argument) \
    do { \
        const char *path = (const char *)(argument); \
\
        AT((int)(directory), path); \
        (argument) = (long)path; \
    } while (0)

/**
 * syscall() - The kernel's, as it is; but libuv looks at files by it (statx), and others open them
 * @number:	What is called
 *
 * Return: what the real one does
 */
EXPORT long syscall(long number, ...)
{
    long a, b, c, d, e, f;
    va_list list;

    va_start(list, number);
    a = va_arg(list, long);
    b = va_arg(list, long);
    c = va_arg(list, long);
    d = va_arg(list, long);
    e = va_arg(list, long);
    f = va_arg(list, long);
    va_end(list);
    switch (number) {
    case SYS_statx:
    case SYS_openat:
    case SYS_newfstatat:
    case SYS_faccessat:
    case SYS_faccessat2:
    case SYS_readlinkat:
    case SYS_mkdirat:
    case SYS_unlinkat:
    case SYS_utimensat:
        AT_ARGUMENT(a, b);
        break;
    case SYS_io_uring_setup:
        tell_io_uring();
        break;
    case SYS_renameat2:
        AT_ARGUMENT(a, b);
        AT_ARGUMENT(c, d);
        break;
    }
    return REAL(syscall) ? real.syscall(number, a, b, c, d, e, f) : LACKING(long);
}

/**
 * give_back() - Writes what libc made of a template's last component into the program's own
 * @template:	The program's
 * @host:	The one that libc got
 */
static void give_back(char *template, const char *host)
{
    size_t length = strlen(strrchr(host, '/')), all = strlen(template);

    if (host != template && length <= all + 1)
        memcpy(template + all + 1 - length, host + strlen(host) + 1 - length, length);
}

/* Functions that make a name of a template, in place. */
#define TEMPLATE(type, name, parameters, arguments, result) \
    EXPORT type name parameters \
    { \
        size_t size = host_path(AT_FDCWD, template, NULL); \
        char *own = template; \
        type made; \
\
        if (size && host_path(AT_FDCWD, own, template = alloca(size)) != size) \
            template = own; \
        if (!REAL(name)) \
            return LACKING(type); \
        made = real.name arguments; \
        if (template != own) \
            give_back(own, template); \
        return result; \
    }
TEMPLATE(int, mkstemp, (char *template), (template), made)
TEMPLATE(int, mkstemp64, (char *template), (template), made)
TEMPLATE(int, mkostemp, (char *template, int flags), (template, flags), made)
TEMPLATE(int, mkostemp64, (char *template, int flags), (template, flags), made)
TEMPLATE(int, mkstemps, (char *template, int suffix), (template, suffix), made)
TEMPLATE(int, mkstemps64, (char *template, int suffix), (template, suffix), made)
TEMPLATE(int, mkostemps, (char *template, int suffix, int flags), (template, suffix, flags), made)
TEMPLATE(int, mkostemps64, (char *template, int suffix, int flags), (template, suffix, flags), made)
TEMPLATE(char *, mkdtemp, (char *template), (template), made ? own : NULL)

/* Functions that tell where something is: in a volume, it is where the program looks for it. */
#define TELL_WHERE(name, parameters, arguments) \
    EXPORT char *name parameters \
    { \
        return REAL(name) ? pod_path(real.name arguments) : LACKING(char *); \
    }
TELL_WHERE(getcwd, (char *room, size_t size), (room, size))
TELL_WHERE(__getcwd_chk, (char *room, size_t size, size_t all), (room, size, all))
TELL_WHERE(get_current_dir_name, (void), ())

#define FIND_WHERE(name, parameters, arguments) \
    EXPORT char *name parameters \
    { \
        AT(AT_FDCWD, path); \
        return REAL(name) ? pod_path(real.name arguments) : LACKING(char *); \
    }
FIND_WHERE(realpath, (const char *path, char *room), (path, room))
FIND_WHERE(__realpath_chk, (const char *path, char *room, size_t size), (path, room, size))
FIND_WHERE(canonicalize_file_name, (const char *path), (path))

/*
 * glob() walks with functions of its own unless it is given others: ours, which find volumes; the names in its result are
 * then the program's. musl has no such thing, and finds what is on the host.
 */
#define GLOB(name, type, entry, status, read) \
    EXPORT int name(const char *pattern, int flags, int (*complain)(const char *path, int code), type *found) \
    { \
        if (!REAL(name)) \
            return LACKING(int); \
        if (!(flags & GLOB_ALTDIRFUNC) && found && host_paths_exist()) { \
            found->gl_opendir = walk_open; \
            found->gl_readdir = walk_##read; \
            found->gl_closedir = walk_close; \
            found->gl_stat = stat##status; \
            found->gl_lstat = lstat##status; \
            flags |= GLOB_ALTDIRFUNC; \
        } \
        return real.name(pattern, flags, complain, found); \
    }

static void *walk_open(const char *path)
{
    return opendir(path);
}

static void walk_close(void *directory)
{
    closedir(directory);
}

static struct dirent *walk_readdir(void *directory)
{
    return readdir(directory);
}

static struct dirent64 *walk_readdir64(void *directory)
{
    return readdir64(directory);
}

GLOB(glob, glob_t, dirent, , readdir)
GLOB(glob64, glob64_t, dirent64, 64, readdir64)
