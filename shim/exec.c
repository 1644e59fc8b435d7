/*
 * exec.c - programs that a program starts: they keep the shim, and the user hears of those that cannot have it
 *
 * Many programs start others with an environment of their own making (`env -i`, servers with workers, test runners). The
 * two variables that make a process ours are put back where they are missing; what is there is never changed, so that a
 * session inside a session stays one.
 *
 * All of it is done with memory of the stack: between vfork() and exec a process has no right to more.
 */
#include "shim.h"

#include <alloca.h>
#include <errno.h>
#include <limits.h>
#include <stdarg.h>
#include <string.h>
#include <unistd.h>

/* An environment with more variables than this is given on as it is. */
#define MOST_VARIABLES 65536

#define PRELOAD_VARIABLE "LD_PRELOAD"

/* struct additions - the variables that an environment lacks
 * @preload:	LD_PRELOAD with the shim, or empty
 * @socket:	Our variable, or empty
 */
struct additions {
    char preload[2 * PATH_MAX];
    char socket[256];
};

/**
 * find_variable() - Finds a variable
 * @environment:	Where to look
 * @name:	Its name
 *
 * Return: its place, or NULL
 */
static char *const *find_variable(char *const environment[], const char *name)
{
    size_t length = strlen(name);

    for (; *environment; environment++)
        if (!strncmp(*environment, name, length) && (*environment)[length] == '=')
            return environment;
    return NULL;
}

/**
 * join() - Puts texts into one
 * @into:	Room
 * @size:	Size of the room
 * @texts:	The texts, ended by NULL
 *
 * Return: whether they fitted; @into is empty where they did not
 */
static bool join(char *into, size_t size, const char *const texts[])
{
    size_t length = 0;

    for (; *texts; texts++) {
        size_t more = strlen(*texts);

        if (more >= size - length) {
            *into = '\0';
            return false;
        }
        memcpy(into + length, *texts, more);
        length += more;
    }
    into[length] = '\0';
    return true;
}

/**
 * find_additions() - Finds what an environment lacks
 * @environment:	The environment of the program to be started
 * @additions:	Set to what is missing
 *
 * Return: whether anything is
 */
static bool find_additions(char *const environment[], struct additions *additions)
{
    char *const *preload = find_variable(environment, PRELOAD_VARIABLE);
    const char *path = shim_path();

    additions->preload[0] = additions->socket[0] = '\0';
    if (!*path || !*shim_socket_path())
        return false;
    if (!preload || (*preload)[sizeof(PRELOAD_VARIABLE)] == '\0')
        join(additions->preload, sizeof(additions->preload), (const char *const[]){ PRELOAD_VARIABLE "=", path, NULL });
    else if (!strstr(*preload, path))
        join(additions->preload, sizeof(additions->preload), (const char *const[]){ *preload, ":", path, NULL });
    if (!find_variable(environment, SOCKET_VARIABLE))
        join(additions->socket, sizeof(additions->socket),
             (const char *const[]){ SOCKET_VARIABLE "=", shim_socket_path(), NULL });
    return additions->preload[0] || additions->socket[0];
}

/**
 * count_words() - Length of an array of texts
 * @words:	Array, ended by NULL
 *
 * Return: how many there are before the NULL
 */
static size_t count_words(char *const words[])
{
    size_t count = 0;

    while (words[count])
        count++;
    return count;
}

/**
 * add() - Makes an environment that has what was missing
 * @into:	Room for two more than @environment has, and the NULL
 * @environment:	The environment of the program to be started
 * @additions:	What it lacks
 */
static void add(char **into, char *const environment[], struct additions *additions)
{
    for (; *environment; environment++)
        if (!additions->preload[0] || strncmp(*environment, PRELOAD_VARIABLE "=", sizeof(PRELOAD_VARIABLE)))
            *into++ = *environment;
    if (additions->preload[0])
        *into++ = additions->preload;
    if (additions->socket[0])
        *into++ = additions->socket;
    *into = NULL;
}

/*
 * Declares `kept`, the environment to start a program with, out of @environment. A macro, since it lives on the stack of
 * the function that starts the program.
 */
#define KEEP(environment) \
    char *none[] = { NULL }; \
    char *const *given = (environment) ? (char *const *)(environment) : none; \
    struct additions additions; \
    char *const *kept = given; \
    if (shim_enter() && find_additions(given, &additions) && count_words(given) < MOST_VARIABLES) { \
        char **room = alloca((count_words(given) + 3) * sizeof(*room)); \
        add(room, given, &additions); \
        kept = room; \
    }

/**
 * warn() - Tells the user that a program will go around the pod, the first time that it is started in the session
 * @path:	Path of the program
 */
static void warn(const char *path)
{
    char answer[ANSWER_BYTES], here[PATH_MAX], full[2 * PATH_MAX];
    struct line line;
    int saved = errno;

    if (shim_enter() && *shim_socket_path() && !access(path, X_OK)) {
        if (*path != '/' && getcwd(here, sizeof(here)) &&
            join(full, sizeof(full), (const char *const[]){ here, "/", path, NULL }))
            path = full;
        line_begin(&line, "program");
        line_word(&line, path);
        if (!line.broken && !control_ask(&line, answer, sizeof(answer)) && !strncmp(answer, "bypass ", 7))
            log_line(answer + 7);
    }
    errno = saved;
}

/**
 * warn_along_path() - warn() for a program that libc will look for
 * @file:	Name of the program, or its path
 */
static void warn_along_path(const char *file)
{
    char *const *variable = find_variable(environ, "PATH");
    const char *directories = variable ? *variable + sizeof("PATH") : "/bin:/usr/bin";
    char directory[PATH_MAX], candidate[PATH_MAX];

    if (strchr(file, '/')) {
        warn(file);
        return;
    }
    for (size_t length;; directories += length + 1) {
        length = strcspn(directories, ":");
        if (length < sizeof(directory)) {
            memcpy(directory, directories, length);
            directory[length] = '\0';
            if (join(candidate, sizeof(candidate), (const char *const[]){ length ? directory : ".", "/", file, NULL }) &&
                !access(candidate, X_OK)) {
                warn(candidate);
                return;
            }
        }
        if (!directories[length])
            return;
    }
}

/**
 * execve() - Starts a program that keeps the shim
 * @path:	Path of the program
 * @words:	Its arguments
 * @environment:	Its environment
 *
 * Return: -1 with errno set, or not at all; as every function of this file that begins with exec
 */
EXPORT int execve(const char *path, char *const words[], char *const environment[])
{
    KEEP(environment)
    AT(AT_FDCWD, path);
    warn(path);
    return real.execve(path, words, kept);
}

/**
 * execv() - execve() with the environment of this process
 * @path:	Path of the program
 * @words:	Its arguments
 */
EXPORT int execv(const char *path, char *const words[])
{
    return execve(path, words, environ);
}

/**
 * execvpe() - execve() along PATH
 * @file:	Name of the program
 * @words:	Its arguments
 * @environment:	Its environment
 */
EXPORT int execvpe(const char *file, char *const words[], char *const environment[])
{
    KEEP(environment)
    if (strchr(file, '/'))
        AT(AT_FDCWD, file);
    warn_along_path(file);
    return real.execvpe(file, words, kept);
}

/**
 * execvp() - execvpe() with the environment of this process
 * @file:	Name of the program
 * @words:	Its arguments
 */
EXPORT int execvp(const char *file, char *const words[])
{
    return execvpe(file, words, environ);
}

/**
 * fexecve() - execve() of an open file
 * @fd:		The file
 * @words:	Its arguments
 * @environment:	Its environment
 */
EXPORT int fexecve(int fd, char *const words[], char *const environment[])
{
    KEEP(environment)
    return real.fexecve(fd, words, kept);
}

/**
 * execveat() - execve() relative to a directory
 * @fd:		The directory
 * @path:	Path of the program
 * @words:	Its arguments
 * @environment:	Its environment
 * @flags:	AT_ flags
 */
EXPORT int execveat(int fd, const char *path, char *const words[], char *const environment[], int flags)
{
    KEEP(environment)
    AT(fd, path);
    if (real.execveat)
        return real.execveat(fd, path, words, kept, flags);
    errno = ENOSYS; /* glibc has it since 2.34 */
    return -1;
}

/**
 * posix_spawn() - Starts a program that keeps the shim
 * @pid:	Set to its id
 * @path:	Path of the program
 * @actions:	What is done with descriptors
 * @attributes:	Attributes of the process
 * @words:	Its arguments
 * @environment:	Its environment
 *
 * Return: 0 or an errno
 */
EXPORT int posix_spawn(pid_t *pid, const char *path, const posix_spawn_file_actions_t *actions,
                       const posix_spawnattr_t *attributes, char *const words[], char *const environment[])
{
    KEEP(environment)
    AT(AT_FDCWD, path);
    warn(path);
    return real.posix_spawn(pid, path, actions, attributes, words, kept);
}

/**
 * posix_spawnp() - posix_spawn() along PATH
 * @pid:	Set to its id
 * @file:	Name of the program
 * @actions:	What is done with descriptors
 * @attributes:	Attributes of the process
 * @words:	Its arguments
 * @environment:	Its environment
 *
 * Return: 0 or an errno
 */
EXPORT int posix_spawnp(pid_t *pid, const char *file, const posix_spawn_file_actions_t *actions,
                        const posix_spawnattr_t *attributes, char *const words[], char *const environment[])
{
    KEEP(environment)
    if (strchr(file, '/'))
        AT(AT_FDCWD, file);
    warn_along_path(file);
    return real.posix_spawnp(pid, file, actions, attributes, words, kept);
}

/*
 * Declares `words`, the arguments of a function of the execl family as an array. Two passes, as their number is not
 * known; the list is left behind the NULL, where execle() has its environment.
 */
#define COLLECT(list, first) \
    size_t count = 0; \
    va_start(list, first); \
    for (const char *word = first; word; word = va_arg(list, const char *)) \
        count++; \
    va_end(list); \
    char **words = alloca((count + 1) * sizeof(*words)); \
    va_start(list, first); \
    words[0] = drop_const(first); \
    for (size_t i = 1; i <= count; i++) \
        words[i] = va_arg(list, char *);

/**
 * drop_const() - A text in the type that an array of arguments has; nobody writes to it
 * @text:	Text
 *
 * Return: the same text
 */
static char *drop_const(const char *text)
{
    char *plain;

    memcpy(&plain, &text, sizeof(plain));
    return plain;
}

/**
 * execl() - execv() with the arguments one by one
 * @path:	Path of the program
 * @first:	Its first argument; a NULL ends them
 */
EXPORT int execl(const char *path, const char *first, ...)
{
    va_list list;

    COLLECT(list, first)
    va_end(list);
    return execve(path, words, environ);
}

/**
 * execlp() - execvp() with the arguments one by one
 * @file:	Name of the program
 * @first:	Its first argument; a NULL ends them
 */
EXPORT int execlp(const char *file, const char *first, ...)
{
    va_list list;

    COLLECT(list, first)
    va_end(list);
    return execvpe(file, words, environ);
}

/**
 * execle() - execve() with the arguments one by one
 * @path:	Path of the program
 * @first:	Its first argument; a NULL ends them, and the environment follows
 */
EXPORT int execle(const char *path, const char *first, ...)
{
    char *const *environment;
    va_list list;

    COLLECT(list, first)
    environment = va_arg(list, char *const *);
    va_end(list);
    return execve(path, words, environment);
}
