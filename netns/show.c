/*
 * show.c - files of the pod at their paths, in this mount namespace alone
 *
 * A path that is there on the host gets the pod's file laid over it. One that is not there must be made, and nothing may
 * be made on the host's disks: so the nearest directory that is there is covered by one in memory, in which each of its
 * entries is laid where it was, and what is missing is made in that. Covering "/" is another root.
 */
#include "netns.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define OLD_ROOT "/.telepresence-old-root"

/* Directories in memory that are ours, by their devices: in those there may be made what is missing. */
static dev_t covers[MOST_SHOWS];
static unsigned cover_count;

static bool is_cover(const char *path)
{
    struct stat status;

    if (stat(path, &status))
        return false;
    for (unsigned i = 0; i < cover_count; i++)
        if (covers[i] == status.st_dev)
            return true;
    return false;
}

/**
 * mount_cover() - An empty directory in memory over one that is there
 * @path:	The directory
 * @mode:	Its permissions
 *
 * Return: 0, or -1 with errno
 */
static int mount_cover(const char *path, mode_t mode)
{
    struct stat status;
    char options[32];

    if (cover_count == MOST_SHOWS) {
        errno = ENOSPC;
        return -1;
    }
    snprintf(options, sizeof(options), "mode=%o,size=1m", mode & 07777);
    if (mount("telepresence", path, "tmpfs", MS_NOSUID | MS_NODEV, options) || stat(path, &status))
        return -1;
    covers[cover_count++] = status.st_dev;
    return 0;
}

/**
 * lay() - Lays a file or directory over a new one of the same kind
 * @from:	What is there
 * @to:		What is not there yet
 *
 * Return: 0, or -1 with errno
 */
static int lay(const char *from, const char *to)
{
    struct stat status;
    char target[PATH_MAX];
    ssize_t length;
    int fd;

    if (lstat(from, &status))
        return -1;
    if (S_ISLNK(status.st_mode)) {
        length = readlink(from, target, sizeof(target) - 1);
        if (length < 0)
            return -1;
        target[length] = '\0';
        return symlink(target, to);
    }
    if (S_ISDIR(status.st_mode)) {
        if (mkdir(to, 0755))
            return -1;
    } else {
        fd = open(to, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
        if (fd < 0)
            return -1;
        close(fd);
    }
    /* What is mounted below comes with it: without, the kernel refuses to show what that hides. */
    return mount(from, to, NULL, MS_BIND | MS_REC, NULL);
}

/**
 * lay_entries() - Lays each entry of a directory into another one
 * @from:	The directory, opened before anything was mounted over it
 * @to:		The other one's path
 * @besides:	An entry that is left out, or NULL
 *
 * An entry that is not for us (of another user's, gone meanwhile) is not there afterwards.
 *
 * Return: 0, or -1 with errno when the directory cannot be read
 */
static int lay_entries(int from, const char *to, const char *besides)
{
    char source[PATH_MAX], target[PATH_MAX];
    struct dirent *entry;
    DIR *entries;
    int fd = openat(from, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    entries = fd < 0 ? NULL : fdopendir(fd);
    if (!entries)
        return -1;
    while ((entry = readdir(entries))) {
        const char *name = entry->d_name;

        if (!strcmp(name, ".") || !strcmp(name, "..") || (besides && !strcmp(name, besides)))
            continue;
        snprintf(source, sizeof(source), "/proc/self/fd/%d/%s", from, name);
        if (snprintf(target, sizeof(target), "%s/%s", to, name) < (int)sizeof(target))
            lay(source, target);
    }
    closedir(entries);
    return 0;
}

/**
 * cover_root() - Another root in memory, with all that is in the present one
 * @scratch:	An empty directory, where it is for a moment
 *
 * Return: 0, or -1 with errno
 */
static int cover_root(const char *scratch)
{
    char old[PATH_MAX];
    int root = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC), failed;

    if (root < 0)
        return -1;
    if (snprintf(old, sizeof(old), "%s" OLD_ROOT, scratch) >= (int)sizeof(old)) {
        errno = ENAMETOOLONG;
        return -1;
    }
    if (mount_cover(scratch, 0755))
        return -1;
    failed = lay_entries(root, scratch, NULL) || mkdir(old, 0700) || syscall(SYS_pivot_root, scratch, old);
    close(root);
    if (failed)
        return -1;
    umount2(OLD_ROOT, MNT_DETACH);
    rmdir(OLD_ROOT);
    umount2(scratch, MNT_DETACH); /* It came along with the directory that it is in */
    return 0;
}

/**
 * cover() - Covers a directory by one in memory with the same in it
 * @path:	The directory
 * @scratch:	See cover_root()
 *
 * Return: 0, or -1 with errno
 */
static int cover(const char *path, const char *scratch)
{
    struct stat status;
    int fd, failed;

    if (!strcmp(path, "/"))
        return cover_root(scratch);
    fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return -1;
    failed = fstat(fd, &status) || mount_cover(path, status.st_mode) || lay_entries(fd, path, NULL);
    close(fd);
    return failed ? -1 : 0;
}

/**
 * make_room() - Makes a path to lay something over, and nothing on the host's disks
 * @path:	The absolute path; it is changed and changed back
 * @is_dir:	Whether it is to be a directory
 * @scratch:	See cover_root()
 *
 * Return: 0, or -1 with errno
 */
static int make_room(char *path, bool is_dir, const char *scratch)
{
    struct stat status;
    char *slash;
    int fd, failed;

    if (!stat(path, &status)) {
        if (!S_ISDIR(status.st_mode) == !is_dir)
            return 0;
        errno = is_dir ? ENOTDIR : EISDIR;
        return -1;
    }
    if (errno != ENOENT)
        return -1;
    slash = strrchr(path, '/');
    if (slash != path) {
        *slash = '\0';
        failed = make_room(path, true, scratch);
        if (!failed && !is_cover(path))
            failed = cover(path, scratch);
        *slash = '/';
    } else {
        failed = is_cover("/") ? 0 : cover("/", scratch);
    }
    if (failed)
        return -1;
    if (is_dir)
        return mkdir(path, 0755);
    fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
    return fd < 0 ? -1 : close(fd);
}

/**
 * show_files() - Lays the pod's files over their paths
 * @wanted:	The files
 *
 * One that cannot be shown is told, and the command starts without it.
 */
void show_files(const struct wanted *wanted)
{
    char here[PATH_MAX];

    if (!wanted->show_count || !getcwd(here, sizeof(here)))
        return;
    for (unsigned i = 0; i < wanted->show_count; i++) {
        const char *from = wanted->shows[i].from;
        char *to = wanted->shows[i].to;
        struct stat status;

        if (!stat(from, &status) && !make_room(to, S_ISDIR(status.st_mode), wanted->scratch) &&
            !mount(from, to, NULL, MS_BIND | MS_REC, NULL))
            continue;
        fprintf(stderr, "netns: %s is not the pod's: %s\n", to, strerror(errno));
    }
    if (chdir(here)) /* It may be covered by now, and is then another one by the same name */
        die(here);
}
