/*
 * paths.c - compares and changes paths, as texts
 *
 * A path is canonical when it begins with a slash and has no empty component, no "." and no ".."; one slash at the end is
 * kept, since it means something to the kernel. ".." is applied to the text, before any link is followed: so no path
 * that begins in a volume leaves it but for the place that its words name.
 */
#include "paths.h"

#include <string.h>

#include "line.h"

/**
 * hex_digit() - Value of a hexadecimal digit
 * @digit:	The digit
 *
 * Return: 0 to 15, or -1
 */
static int hex_digit(char digit)
{
    if (digit >= '0' && digit <= '9')
        return digit - '0';
    return digit >= 'A' && digit <= 'F' ? digit - 'A' + 10 : -1;
}

/**
 * decode() - Undoes, in place, how a word stands for a path: "%20" is a blank
 * @word:	The word, which is the only copy
 *
 * Return: whether it is an absolute path
 */
static bool decode(char *word)
{
    char *into = word;

    for (const char *from = word; *from; from++) {
        int byte = (unsigned char)*from;

        if (byte == '%') {
            int high = hex_digit(from[1]), low = high < 0 ? -1 : hex_digit(from[2]);

            if (low < 0)
                return false;
            byte = high * 16 + low;
            from += 2;
        }
        if (!byte)
            return false;
        *into++ = (char)byte;
    }
    *into = '\0';
    return *word == '/' && word[1] && into[-1] != '/' && path_is_plain(word);
}

/**
 * mounts_parse() - Reads the mounts out of an answer
 * @words:	Pairs of words, a path of the pod and one of the host; taken apart in place and kept
 * @mounts:	Set to them
 * @most:	Room in @mounts
 *
 * Return: how many there are; a pair that is none ends them
 */
size_t mounts_parse(char *words, struct mount *mounts, size_t most)
{
    size_t count = 0;

    while (count < most) {
        char *pod = answer_word(&words);
        char *host = pod ? answer_word(&words) : NULL;

        if (!host || !decode(pod) || !decode(host))
            break;
        mounts[count++] = (struct mount){ pod, strlen(pod), host, strlen(host) };
    }
    return count;
}

/**
 * mount_of() - The mount that a path is in: the innermost one
 * @mounts:	Mounts
 * @count:	Number of mounts
 * @side:	Which of their paths to look at
 * @path:	Canonical path
 *
 * Return: the mount, NULL when it is in none
 */
const struct mount *mount_of(const struct mount *mounts, size_t count, enum side side, const char *path)
{
    const struct mount *best = NULL;
    size_t best_length = 0;

    for (size_t i = 0; i < count; i++) {
        const char *point = side == SIDE_POD ? mounts[i].pod : mounts[i].host;
        size_t length = side == SIDE_POD ? mounts[i].pod_length : mounts[i].host_length;

        if (length > best_length && !strncmp(path, point, length) && (!path[length] || path[length] == '/')) {
            best = mounts + i;
            best_length = length;
        }
    }
    return best;
}

/**
 * mount_swap() - Turns a path in a mount into the other side's
 * @mount:	The mount that it is in
 * @side:	Whose path it is
 * @path:	The path, changed in place
 * @size:	Room for it
 *
 * Return: its new length; 0 when there is no room, and then it is as it was
 */
size_t mount_swap(const struct mount *mount, enum side side, char *path, size_t size)
{
    const char *into = side == SIDE_POD ? mount->host : mount->pod;
    size_t old = side == SIDE_POD ? mount->pod_length : mount->host_length;
    size_t new = side == SIDE_POD ? mount->host_length : mount->pod_length;
    size_t rest = strlen(path + old);

    if (new + rest >= size)
        return 0;
    memmove(path + new, path + old, rest + 1);
    memcpy(path, into, new);
    return new + rest;
}

/**
 * component() - Length of the first component of a path
 * @path:	Path, behind a slash
 *
 * Return: number of bytes before the next slash or the end
 */
static size_t component(const char *path)
{
    size_t length = 0;

    while (path[length] && path[length] != '/')
        length++;
    return length;
}

/**
 * is_dots() - Whether a component is "." or ".."
 * @name:	The component
 * @length:	Its length
 *
 * Return: 1 or 2, the number of dots; 0 for a name
 */
static size_t is_dots(const char *name, size_t length)
{
    return length && length <= 2 && name[0] == '.' && name[length - 1] == '.' ? length : 0;
}

/**
 * path_is_plain() - Whether a path is canonical as it is
 * @path:	Path
 *
 * Return: true when it is
 */
bool path_is_plain(const char *path)
{
    size_t length;

    if (*path != '/')
        return false;
    for (path++; *path; path += length + (path[length] == '/')) {
        length = component(path);
        if (!length || is_dots(path, length))
            return false;
    }
    return true;
}

/**
 * path_climbs() - Whether a path has a component ".."
 * @path:	Path
 *
 * Return: true when it has
 */
bool path_climbs(const char *path)
{
    for (size_t length; *path; path += length + (path[length] == '/')) {
        length = component(path);
        if (is_dots(path, length) == 2)
            return true;
    }
    return false;
}

/**
 * path_append() - Where a path leads from a directory
 * @directory:	Canonical path of the directory; set to the canonical path of what @path names
 * @size:	Room for it
 * @path:	Absolute or relative path
 *
 * Return: whether there was room
 */
bool path_append(char *directory, size_t size, const char *path)
{
    size_t length = *path == '/' ? 0 : strlen(directory);
    bool slash = true; /* the last component names a directory */

    while (length && directory[length - 1] == '/')
        length--;
    while (*path) {
        size_t more = component(path), dots = is_dots(path, more);

        if (dots == 2) {
            while (length && directory[--length] != '/')
                ;
        } else if (more && !dots) {
            if (length + 1 + more + 2 > size)
                return false;
            directory[length++] = '/';
            memcpy(directory + length, path, more);
            length += more;
        }
        slash = !more || dots;
        path += more;
        while (*path == '/') {
            slash = true;
            path++;
        }
    }
    if (size < 2 || (slash && length + 2 > size))
        return false;
    if (slash || !length)
        directory[length++] = '/';
    directory[length] = '\0';
    return true;
}
