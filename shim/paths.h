/*
 * paths.h - paths of the pod's volumes, and where they are on the host
 *
 * Pure: no system calls, no libc state, so that it is tested and fuzzed alone.
 */
#ifndef TELEPRESENCE_PATHS_H
#define TELEPRESENCE_PATHS_H

#include <stdbool.h>
#include <stddef.h>

/* struct mount - a directory or file of the pod that is somewhere else on the host; both paths are canonical
 * @pod:	Where a program looks for it
 * @host:	Where it is
 */
struct mount {
    const char *pod;
    size_t pod_length;
    const char *host;
    size_t host_length;
};

/* enum side - whose paths are looked at */
enum side { SIDE_POD, SIDE_HOST };

size_t mounts_parse(char *words, struct mount *mounts, size_t most);
const struct mount *mount_of(const struct mount *mounts, size_t count, enum side side, const char *path);
size_t mount_swap(const struct mount *mount, enum side side, char *path, size_t size);
bool path_is_plain(const char *path);
bool path_climbs(const char *path);
bool path_append(char *directory, size_t size, const char *path);

#endif
