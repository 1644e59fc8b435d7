/*
 * early.c - an allocator that reads a file for its settings, with its lock held, when it is first used (jemalloc is one)
 *
 * Preloaded beside the shim: before it, so that the shim's own set-up is what allocates for the first time, and behind it.
 */
#include <fcntl.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>
#include <unistd.h>

static char memory[1 << 24];
static size_t used;
static bool told;

static void look(void)
{
    static bool looking;

    if (looking && write(STDERR_FILENO, "allocated with the lock held\n", 29) == 29)
        _exit(3);
    if (told)
        return;
    looking = true;
    int fd = open("/proc/self/../self/comm", O_RDONLY);

    if (fd >= 0 && !told && write(STDERR_FILENO, "read the file\n", 14) == 14)
        told = true;
    close(fd);
    looking = false;
}

void free(void *place)
{
    (void)place;
}

void *malloc(size_t size)
{
    void *place = memory + used;

    look();
    used += (size + 31) & ~(size_t)15;
    return used <= sizeof(memory) ? place : NULL;
}

__attribute__((constructor)) static void allocate(void)
{
    free(malloc(1));
}

void *calloc(size_t count, size_t size)
{
    return malloc(count * size);
}

void *realloc(void *old, size_t size)
{
    void *new = malloc(size);

    if (old && new)
        memmove(new, old, size < (size_t)(memory + used - (char *)old) ? size : 0);
    return new;
}
