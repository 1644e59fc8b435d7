/*
 * early.c - an allocator that opens a file in the middle of dlsym(), as those do that look for huge pages
 *
 * Preloaded before the shim, so that the shim's own set-up is what allocates for the first time.
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

    if (looking || told)
        return;
    looking = true;
    int fd = open("/proc/self/../self/comm", O_RDONLY);

    if (fd >= 0 && !told && write(STDERR_FILENO, "read the file\n", 14) == 14)
        told = true;
    close(fd);
    looking = false;
}

void *malloc(size_t size)
{
    void *place = memory + used;

    look();
    used += (size + 31) & ~(size_t)15;
    return used <= sizeof(memory) ? place : NULL;
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

void free(void *place)
{
    (void)place;
}
