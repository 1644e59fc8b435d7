/*
 * shell.c - system(), popen() and pclose() of a program that has cleaned its own environment
 *
 * libc starts the shell by a way of its own, which no hook of exec sees. Where the environment has what makes a process
 * ours, libc does all of it. Where it lacks that (clearenv(), a new environ), the shell is started here, by our own
 * posix_spawn(), which puts it back.
 */
#include "shim.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define SHELL "/bin/sh"
/* How many pipes of ours may be open at a time; libc opens those beyond. */
#define MOST_PIPES 64

/* struct pipe - a stream of popen() and the process at its other end; @stream is NULL for one that is not used */
struct pipe {
    FILE *_Atomic stream;
    pid_t child;
};

static struct pipe pipes[MOST_PIPES];

/**
 * is_cleaned() - Whether a program that is started now would not be ours
 *
 * Return: true when the environment lacks one of the variables
 */
static bool is_cleaned(void)
{
    return shim_enter() && *shim_socket_path() && (!getenv("LD_PRELOAD") || !getenv(SOCKET_VARIABLE));
}

/**
 * start_shell() - Starts the shell with a command
 * @command:	The command
 * @actions:	What is done with descriptors, or NULL
 * @attributes:	Signals of the child, or NULL
 *
 * Return: its id, or -1 with errno set
 */
static pid_t start_shell(const char *command, const posix_spawn_file_actions_t *actions,
                         const posix_spawnattr_t *attributes)
{
    union {
        const char *constant[5];
        char *plain[5];
    } words = { { "sh", "-c", "--", command, NULL } }; /* nobody writes to them */
    pid_t child;
    int error = posix_spawn(&child, SHELL, actions, attributes, words.plain, environ);

    if (!error)
        return child;
    errno = error;
    return -1;
}

/**
 * wait_for() - Waits for a child
 * @child:	Its id
 *
 * Return: its status, or -1 with errno set
 */
static int wait_for(pid_t child)
{
    int status;

    while (waitpid(child, &status, 0) < 0)
        if (errno != EINTR)
            return -1;
    return status;
}

/**
 * system() - Runs a command by a shell that keeps the shim
 * @command:	The command; NULL asks whether there is a shell
 *
 * As POSIX has it: SIGCHLD is held back meanwhile, and SIGINT and SIGQUIT are the command's.
 *
 * Return: its status, that of _exit(127) where no shell can be started, or -1 with errno set
 */
EXPORT int system(const char *command)
{
    struct sigaction ignore = { .sa_handler = SIG_IGN }, interrupt, quit;
    posix_spawnattr_t attributes;
    sigset_t held, mask, back;
    pid_t child;
    int status;

    if (!command || !is_cleaned())
        return real.system(command);
    sigemptyset(&ignore.sa_mask);
    sigaction(SIGINT, &ignore, &interrupt);
    sigaction(SIGQUIT, &ignore, &quit);
    sigemptyset(&held);
    sigaddset(&held, SIGCHLD);
    sigprocmask(SIG_BLOCK, &held, &mask);
    sigemptyset(&back);
    if (interrupt.sa_handler != SIG_IGN)
        sigaddset(&back, SIGINT);
    if (quit.sa_handler != SIG_IGN)
        sigaddset(&back, SIGQUIT);
    posix_spawnattr_init(&attributes);
    posix_spawnattr_setsigmask(&attributes, &mask);
    posix_spawnattr_setsigdefault(&attributes, &back);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK);
    child = start_shell(command, NULL, &attributes);
    posix_spawnattr_destroy(&attributes);
    status = child < 0 ? 127 << 8 : wait_for(child);
    sigaction(SIGINT, &interrupt, NULL);
    sigaction(SIGQUIT, &quit, NULL);
    sigprocmask(SIG_SETMASK, &mask, NULL);
    return status;
}

/**
 * take_pipe() - Finds a pipe that is not used, or the one of a stream
 * @from:	NULL, or the stream
 * @into:	What it is from now on
 *
 * Return: the pipe, or NULL
 */
static struct pipe *take_pipe(FILE *from, FILE *into)
{
    for (size_t i = 0; i < MOST_PIPES; i++) {
        FILE *expected = from;

        if (atomic_compare_exchange_strong(&pipes[i].stream, &expected, into))
            return pipes + i;
    }
    return NULL;
}

/**
 * open_pipe() - popen() of a shell that keeps the shim
 * @command:	The command
 * @writes:	Whether the stream is its standard input, else its standard output
 * @close_on_exec:	Whether a program that is started does not get the stream
 *
 * Return: the stream, or NULL with errno set
 */
static FILE *open_pipe(const char *command, bool writes, bool close_on_exec)
{
    posix_spawn_file_actions_t actions;
    struct pipe *place;
    FILE *stream;
    pid_t child;
    int ends[2];

    if (pipe2(ends, O_CLOEXEC))
        return NULL;
    stream = fdopen(ends[writes], writes ? "w" : "r");
    place = stream ? take_pipe(NULL, stream) : NULL;
    if (!place) {
        if (stream)
            fclose(stream);
        else
            close(ends[writes]);
        close(ends[!writes]);
        errno = EMFILE;
        return NULL;
    }
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, ends[!writes], writes ? STDIN_FILENO : STDOUT_FILENO);
    for (size_t i = 0; i < MOST_PIPES; i++) { /* as POSIX has it: the streams of earlier calls are closed */
        FILE *other = atomic_load(&pipes[i].stream);

        if (other && other != stream)
            posix_spawn_file_actions_addclose(&actions, fileno(other));
    }
    child = start_shell(command, &actions, NULL);
    posix_spawn_file_actions_destroy(&actions);
    close(ends[!writes]);
    if (child < 0) {
        int saved = errno;

        atomic_store(&place->stream, NULL);
        fclose(stream);
        errno = saved;
        return NULL;
    }
    place->child = child;
    if (!close_on_exec)
        fcntl(fileno(stream), F_SETFD, 0);
    return stream;
}

/**
 * popen() - Starts a command by a shell that keeps the shim, and opens a stream to it or from it
 * @command:	The command
 * @mode:	"r" or "w", with an "e" for a stream that is closed when a program is started
 *
 * Return: the stream, or NULL with errno set
 */
EXPORT FILE *popen(const char *command, const char *mode)
{
    if (!is_cleaned() || (*mode != 'r' && *mode != 'w') || mode[1 + (mode[1] == 'e')])
        return real.popen(command, mode);
    return open_pipe(command, *mode == 'w', mode[1] == 'e');
}

/**
 * pclose() - Closes a stream of popen()
 * @stream:	The stream
 *
 * Return: the status of its command, or -1 with errno set
 */
EXPORT int pclose(FILE *stream)
{
    struct pipe *place = shim_enter() && stream ? take_pipe(stream, NULL) : NULL;
    pid_t child;

    if (!place)
        return real.pclose(stream);
    child = place->child;
    fclose(stream);
    return wait_for(child);
}
