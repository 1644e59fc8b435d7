/*
 * init.c - finds the real functions, reads the environment, guards against re-entry
 */
#include "shim.h"

#include <dlfcn.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>

#ifdef OLD_DLSYM
/* glibc 2.34 moved these into libc under a new version; the old version's name is understood by all. */
__asm__(".symver dlsym, dlsym@" OLD_DLSYM);
__asm__(".symver dladdr, dladdr@" OLD_DLSYM);
#endif

struct real real;

static char socket_path[sizeof(((struct sockaddr_un *)0)->sun_path)];

/* Where the loader found us. */
static const char *own_path = "";

/* Where libc was entered by us: shim_enter(). Initial-exec: a preloaded library has its place in the static block, where access never allocates. */
static __thread const char *libc_frame __attribute__((tls_model("initial-exec")));

/* How far set_up() is. */
enum { FRESH, RUNNING, DONE };
static _Atomic int state = FRESH;

/* Whether this thread is in set_up(). */
static __thread bool setting_up __attribute__((tls_model("initial-exec")));

/**
 * find() - Looks a real function up
 * @name:	Name of the function
 * @ours:	Our own hook, which must not come back
 * @place:	Set to the function; a void pointer and a function pointer have the same form on POSIX systems
 *
 * On 64-bit machines the functions for large files are the plain ones, and a libc may have those alone.
 */
static void find(const char *name, const void *ours, void *place)
{
    size_t length = strlen(name);
    void *found = dlsym(RTLD_NEXT, name);
    char plain[32];

    if (found == ours)
        found = NULL;
    if (!found && length > 2 && length < sizeof(plain) && !strcmp(name + length - 2, "64")) {
        memcpy(plain, name, length - 2);
        plain[length - 2] = '\0';
        found = dlsym(RTLD_NEXT, plain);
    }
    memcpy(place, &found, sizeof(found));
}

/**
 * find_early() - Looks a real function up for a hook that is called before set_up() is done
 * @name:	Name of the function
 * @place:	Set to the function
 *
 * Hooks of files never run set_up(): an allocator may read a file with its lock held (jemalloc does, for its settings),
 * and dlsym() allocates where it finds nothing. Finding one function that is there does not.
 */
void find_early(const char *name, void *place)
{
    if (!shim_is_ready())
        find(name, NULL, place);
}

/**
 * address_of() - A function as a data pointer, to compare with what dlsym() gives
 * @function:	Address of the function pointer
 *
 * Return: the pointer
 */
static const void *address_of(const void *function)
{
    const void *address;

    memcpy(&address, function, sizeof(address));
    return address;
}

/**
 * set_up() - Fills what the hooks read; runs once
 */
static void set_up(void)
{
    const char *path = getenv(SOCKET_VARIABLE);
    const char *wanted = getenv(LOG_VARIABLE);
    Dl_info us;

#define HOOK(type, name, parameters, ...) \
    { \
        type(*ours) parameters = name; \
        find(#name, address_of(&ours), &real.name); \
    }
    HOOKS(HOOK)
#undef HOOK
    if (path && strlen(path) < sizeof(socket_path))
        for (size_t i = 0; path[i]; i++)
            socket_path[i] = path[i];
    if (dladdr(&real, &us) && us.dli_fname)
        own_path = us.dli_fname;
    log_verdicts = wanted && !strcmp(wanted, "1");
}

/**
 * shim_is_ready() - Whether set_up() has run
 *
 * Return: true when it has
 */
bool shim_is_ready(void)
{
    return atomic_load_explicit(&state, memory_order_acquire) == DONE;
}

/**
 * shim_ready() - Makes sure that set_up() has run
 *
 * Called by the loader, and by each hook, since a constructor of another library can come before ours. No pthread_once:
 * its symbol changed its version, and this needs no more than two flags.
 *
 * Return: false in the middle of set_up() alone
 */
bool shim_ready(void)
{
    int expected = FRESH;

    if (shim_is_ready())
        return true;
    if (setting_up)
        return false;
    if (atomic_compare_exchange_strong(&state, &expected, RUNNING)) {
        setting_up = true;
        set_up();
        setting_up = false;
        atomic_store_explicit(&state, DONE, memory_order_release);
        return true;
    }
    while (atomic_load_explicit(&state, memory_order_acquire) != DONE)
        sched_yield();
    return true;
}

/**
 * loaded() - Has the loader run set_up()
 */
__attribute__((constructor)) static void loaded(void)
{
    shim_ready();
}

/**
 * shim_enter() - Begins the work of a hook
 *
 * The guard against re-entry is the place on the stack from which libc was called by us, not a flag: a program that
 * leaves a resolver call by longjmp() (time-outs by alarm() do that) would leave a flag set, and everything after it
 * would go around the pod. A mark that is deeper than the caller is such a left one.
 *
 * Return: false when the call comes from inside libc (a resolver module that connects to its server, say) and has to go
 *	   to the real function
 */
bool shim_enter(void)
{
    const char *here = __builtin_frame_address(0);

    if (!shim_ready())
        return false;
    if (libc_frame && here > libc_frame)
        libc_frame = NULL;
    return !libc_frame;
}

/**
 * libc_begin() - Marks what follows as the work of libc, whose calls are not the program's
 */
void libc_begin(void)
{
    libc_frame = __builtin_frame_address(0);
}

/**
 * libc_end() - Takes the mark away
 */
void libc_end(void)
{
    libc_frame = NULL;
}

/**
 * shim_socket_path() - Where the session listens
 *
 * Return: path of the control socket; empty when the environment does not tell it
 */
const char *shim_socket_path(void)
{
    return socket_path;
}

/**
 * shim_path() - The file that this library was loaded from, as LD_PRELOAD names it
 *
 * Return: path, or an empty text
 */
const char *shim_path(void)
{
    return own_path;
}
