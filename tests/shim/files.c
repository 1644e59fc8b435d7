/*
 * files.c - what a program sees of a volume at its path in the pod
 *
 * files VOLUME: VOLUME is not on this machine; it holds `file` ("hello\n"), `link` (to file), `sub/deep`, and is writable.
 * One line for each function: what it gave. The same calls on any directory print the same.
 */
#undef _FORTIFY_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <limits.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>
#include <utime.h>

#include "errno_name.h"

#ifdef __GLIBC__
int __open_2(const char *, int);
int __open64_2(const char *, int);
int __openat_2(int, const char *, int);
int __openat64_2(int, const char *, int);
int __xstat(int, const char *, struct stat *);
int __xstat64(int, const char *, struct stat64 *);
int __lxstat(int, const char *, struct stat *);
int __lxstat64(int, const char *, struct stat64 *);
int __fxstatat(int, int, const char *, struct stat *, int);
int __fxstatat64(int, int, const char *, struct stat64 *, int);
ssize_t __readlink_chk(const char *, char *, size_t, size_t);
ssize_t __readlinkat_chk(int, const char *, char *, size_t, size_t);
char *__realpath_chk(const char *, char *, size_t);
char *__getcwd_chk(char *, size_t, size_t);
#endif

static const char *volume;
static char room[8][PATH_MAX];
static int next;

/* A path in the volume */
static const char *in(const char *rest)
{
    char *path = room[next++ % 8];

    snprintf(path, PATH_MAX, "%s%s", volume, rest);
    return path;
}

static void say(const char *what, long result)
{
    printf("%s: %s\n", what, result < 0 ? name(errno) : "ok");
}

/* What a descriptor reads */
static void reads(const char *what, int fd)
{
    char text[64] = "";

    if (fd < 0 || read(fd, text, sizeof(text) - 1) < 0)
        say(what, -1);
    else
        printf("%s: %.*s\n", what, (int)strcspn(text, "\n"), text);
    close(fd);
}

static void streams(const char *what, FILE *file)
{
    char text[64] = "";

    if (!file || !fgets(text, sizeof(text), file))
        say(what, -1);
    else
        printf("%s: %.*s\n", what, (int)strcspn(text, "\n"), text);
    if (file)
        fclose(file);
}

static void kind(const char *what, int result, mode_t mode)
{
    printf("%s: %s\n", what, result ? name(errno) : S_ISLNK(mode) ? "link" : S_ISDIR(mode) ? "directory" : "file");
}

static void text(const char *what, const char *found)
{
    size_t length = strlen(volume);

    if (!found)
        say(what, -1);
    else if (!strncmp(found, volume, length))
        printf("%s: VOLUME%s\n", what, found + length);
    else
        printf("%s: %s\n", what, found);
}

static void entries(const char *what, DIR *directory)
{
    int count = 0;

    if (!directory) {
        say(what, -1);
        return;
    }
    while (readdir(directory))
        count++;
    printf("%s: %d entries\n", what, count);
    closedir(directory);
}

static void spawned(const char *what, int error, pid_t child)
{
    int status = -1;

    if (!error)
        waitpid(child, &status, 0);
    printf("%s: %s %d\n", what, error ? name(error) : "ended with", error ? 0 : WEXITSTATUS(status));
}

static void opens(int top)
{
    reads("open", open(in("/file"), O_RDONLY));
    reads("open64", open64(in("/file"), O_RDONLY));
    reads("openat, absolute", openat(AT_FDCWD, in("/file"), O_RDONLY));
    reads("openat64, by the directory", openat64(top, "file", O_RDONLY));
    reads("openat, above", openat(top, "sub/../file", O_RDONLY));
    reads("open, doubled slashes and dots", open(in("//./sub/..//file"), O_RDONLY));
    reads("open, a link", open(in("/link"), O_RDONLY));
    reads("open, absent", open(in("/absent"), O_RDONLY));
    reads("open, a file as a directory", open(in("/file/"), O_RDONLY));
    reads("open, a name that goes on", open(in("-other/file"), O_RDONLY));
    reads("creat", creat(in("/new"), 0640));
    reads("creat64", creat64(in("/new"), 0640));
    streams("fopen", fopen(in("/file"), "r"));
    streams("fopen64", fopen64(in("/file"), "r"));
    streams("freopen", freopen(in("/file"), "r", fopen("/dev/null", "r")));
    streams("freopen64", freopen64(in("/file"), "r", fopen("/dev/null", "r")));
#ifdef __GLIBC__
    reads("__open_2", __open_2(in("/file"), O_RDONLY));
    reads("__open64_2", __open64_2(in("/file"), O_RDONLY));
    reads("__openat_2", __openat_2(top, in("/file"), O_RDONLY));
    reads("__openat64_2", __openat64_2(top, in("/file"), O_RDONLY));
#endif
}

static void stats(int top)
{
    struct stat s;
    struct stat64 s64;
    struct statfs f;
    struct statvfs v;
    int result;

    result = stat(in("/link"), &s);
    kind("stat", result, s.st_mode);
    result = lstat(in("/link"), &s);
    kind("lstat", result, s.st_mode);
    result = stat64(in(""), &s64);
    kind("stat64", result, s64.st_mode);
    result = lstat64(in("/link"), &s64);
    kind("lstat64", result, s64.st_mode);
    result = fstatat(AT_FDCWD, in("/link"), &s, AT_SYMLINK_NOFOLLOW);
    kind("fstatat", result, s.st_mode);
    result = fstatat64(top, "sub", &s64, 0);
    kind("fstatat64", result, s64.st_mode);
    result = stat(in("/absent"), &s);
    kind("stat, absent", result, s.st_mode);
#ifdef __GLIBC__
    struct statx x;

    result = statx(AT_FDCWD, in("/sub"), 0, STATX_TYPE, &x);
    kind("statx", result, x.stx_mode);
    result = statx(top, "", AT_EMPTY_PATH, STATX_TYPE, &x);
    kind("statx, of the descriptor", result, x.stx_mode);
    int version = sizeof(long) == 8 && __x86_64__ ? 1 : 0;

    result = __xstat(version, in("/file"), &s);
    kind("__xstat", result, s.st_mode);
    result = __xstat64(version, in("/file"), &s64);
    kind("__xstat64", result, s64.st_mode);
    result = __lxstat(version, in("/link"), &s);
    kind("__lxstat", result, s.st_mode);
    result = __lxstat64(version, in("/link"), &s64);
    kind("__lxstat64", result, s64.st_mode);
    result = __fxstatat(version, top, in("/file"), &s, 0);
    kind("__fxstatat", result, s.st_mode);
    result = __fxstatat64(version, top, in("/file"), &s64, 0);
    kind("__fxstatat64", result, s64.st_mode);
#endif
    say("syscall, openat", syscall(SYS_openat, AT_FDCWD, in("/file"), O_RDONLY | O_CLOEXEC));
    say("syscall, faccessat", syscall(SYS_faccessat, AT_FDCWD, in("/file"), R_OK));
    say("syscall, newfstatat", syscall(SYS_newfstatat, AT_FDCWD, in("/link"), &s, AT_SYMLINK_NOFOLLOW));
    kind("syscall, newfstatat, its kind", 0, s.st_mode);
    say("syscall, getpid", syscall(SYS_getpid) == getpid() ? 0 : -1);
    say("statfs", statfs(in("/file"), &f));
    say("statvfs", statvfs(in("/file"), &v));
    say("pathconf", pathconf(in("/file"), _PC_NAME_MAX));
    say("access", access(in("/file"), R_OK));
    say("access, absent", access(in("/absent"), R_OK));
    say("eaccess", eaccess(in("/file"), R_OK));
    say("euidaccess", euidaccess(in("/file"), R_OK));
    say("faccessat", faccessat(top, in("/file"), R_OK, 0));
}

static int all(const struct dirent *entry)
{
    return entry->d_name[0] != '.';
}

static void walks(void)
{
    char link[64] = "";
    struct dirent **list;
    int count;

    say("readlink", readlink(in("/link"), link, sizeof(link) - 1));
    text("readlink, its text", link);
    say("readlinkat", readlinkat(AT_FDCWD, in("/link"), link, sizeof(link)));
#ifdef __GLIBC__
    say("__readlink_chk", __readlink_chk(in("/link"), link, sizeof(link), sizeof(link)));
    say("__readlinkat_chk", __readlinkat_chk(AT_FDCWD, in("/link"), link, sizeof(link), sizeof(link)));
    glob_t found = { 0 };

    say("glob", glob(in("/*in*"), 0, NULL, &found));
    text("glob, the first", found.gl_pathc ? found.gl_pathv[0] : "nothing");
    globfree(&found);
#endif
    entries("opendir", opendir(in("/sub")));
    count = scandir(in("/sub"), &list, all, alphasort);
    printf("scandir: %d %s\n", count, count > 0 ? list[0]->d_name : "-");
    text("realpath", realpath(in("/link"), NULL));
    text("realpath, absent", realpath(in("/absent"), NULL));
#ifdef __GLIBC__
    text("canonicalize_file_name", canonicalize_file_name(in("/sub/../link")));
    text("__realpath_chk", __realpath_chk(in("/link"), room[7], PATH_MAX));
#endif
}

static void changes(int top)
{
    struct utimbuf then = { 1, 2 };
    struct timeval times[2] = { { 1, 0 }, { 3, 0 } };
    struct timespec fine[2] = { { 1, 0 }, { 4, 0 } };
    struct stat s = { 0 };
    char template[2 * PATH_MAX];

    say("mkdir", mkdir(in("/made"), 0700));
    say("mkdirat", mkdirat(top, in("/made/more"), 0700));
    say("open, to write", open(in("/made/written"), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
    say("chmod", chmod(in("/made/written"), 0604));
    stat(in("/made/written"), &s);
    printf("its mode: %o\n", s.st_mode & 0777);
    say("fchmodat", fchmodat(top, in("/made/written"), 0600, 0));
    say("chown", chown(in("/made/written"), getuid(), getgid()));
    say("lchown", lchown(in("/made/written"), getuid(), getgid()));
    say("fchownat", fchownat(top, in("/made/written"), getuid(), getgid(), 0));
    say("utime", utime(in("/made/written"), &then));
    say("utimes", utimes(in("/made/written"), times));
    say("lutimes", lutimes(in("/made/written"), times));
    say("futimesat", futimesat(top, in("/made/written"), times));
    say("utimensat", utimensat(top, in("/made/written"), fine, 0));
    stat(in("/made/written"), &s);
    printf("its time: %ld\n", (long)s.st_mtime);
    say("truncate", truncate(in("/made/written"), 10));
    say("truncate64", truncate64(in("/made/written"), 20));
    say("getxattr", getxattr(in("/made/written"), "user.none", NULL, 0));
    say("lgetxattr", lgetxattr(in("/made/absent"), "user.none", NULL, 0));
    say("listxattr", listxattr(in("/made/written"), NULL, 0));
    say("llistxattr", llistxattr(in("/made/written"), NULL, 0));
    say("setxattr", setxattr(in("/made/absent"), "user.none", "", 0, 0));
    say("lsetxattr", lsetxattr(in("/made/absent"), "user.none", "", 0, 0));
    say("removexattr", removexattr(in("/made/absent"), "user.none"));
    say("lremovexattr", lremovexattr(in("/made/absent"), "user.none"));
    say("inotify_add_watch", inotify_add_watch(inotify_init1(IN_CLOEXEC), in("/made"), IN_CREATE));
    say("symlink", symlink("written", in("/made/soft")));
    say("symlinkat", symlinkat("written", top, in("/made/soft2")));
    say("link", link(in("/made/written"), in("/made/hard")));
    say("linkat", linkat(top, in("/made/written"), AT_FDCWD, in("/made/hard2"), 0));
    say("rename", rename(in("/made/hard"), in("/made/renamed")));
    say("renameat", renameat(top, in("/made/hard2"), AT_FDCWD, in("/made/renamed2")));
    say("rename, out of it", rename(in("/made/renamed"), "/dev/shm/files-test"));
    say("mkfifo", mkfifo(in("/made/fifo"), 0600));
    say("mkfifoat", mkfifoat(top, in("/made/fifo2"), 0600));
    snprintf(template, sizeof(template), "%s/made/tempXXXXXX", volume);
    say("mkstemp", mkstemp(template));
    say("mkstemp, unlinked by its name", unlink(template));
    snprintf(template, sizeof(template), "%s/made/tempXXXXXX.txt", volume);
    say("mkostemps", mkostemps(template, 4, O_CLOEXEC));
    say("mkostemps, unlinked by its name", unlink(template));
    snprintf(template, sizeof(template), "%s/made/tempXXXXXX", volume);
    say("mkdtemp", mkdtemp(template) == template ? 0 : -1);
    say("mkdtemp, removed by its name", rmdir(template));
    for (const char *const *each = (const char *const[]){ "soft", "soft2", "renamed", "renamed2", "fifo", "fifo2", NULL };
         *each; each++) {
        snprintf(template, sizeof(template), "%s/made/%s", volume, *each);
        say("unlink", unlink(template));
    }
    say("unlinkat", unlinkat(top, "made/written", 0));
    say("remove", remove(in("/made/more")));
    say("rmdir", rmdir(in("/made")));
}

static void stands(void)
{
    char here[PATH_MAX];
    struct stat s;
    int result;

    say("chdir", chdir(in("/sub")));
    text("getcwd", getcwd(here, sizeof(here)));
    text("getcwd, allocated", getcwd(NULL, 0));
#ifdef __GLIBC__
    text("__getcwd_chk", __getcwd_chk(here, sizeof(here), sizeof(here)));
    text("get_current_dir_name", get_current_dir_name());
#endif
    reads("open, here", open("deep", O_RDONLY));
    reads("open, above", open("../file", O_RDONLY));
    reads("open, the host's by many steps up", open("../../../../../../../../proc/self/comm", O_RDONLY));
    result = stat("../../../../../../../../..", &s);
    kind("stat, far above", result, s.st_mode);
    say("mkdir, out of it", mkdir("../../proc/escape", 0700));
    text("realpath, above", realpath("..", NULL));
    say("chdir, to the root", chdir("/"));
    reads("open, relative to the root", open(in("/file") + 1, O_RDONLY));
}

static void starts(void)
{
    posix_spawn_file_actions_t actions;
    char *words[] = { "true", NULL }, *none[] = { NULL };
    pid_t child = 0;
    int error;

    error = posix_spawn(&child, in("/run"), NULL, NULL, words, none);
    spawned("posix_spawn", error, child);
    error = posix_spawnp(&child, in("/run"), NULL, NULL, words, none);
    spawned("posix_spawnp", error, child);
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, 0, in("/file"), O_RDONLY, 0);
    error = posix_spawn(&child, "/bin/cat", &actions, NULL, words, none);
    spawned("addopen", error, child);
    for (int i = 0; i < 3; i++) {
        child = i == 2 ? vfork() : fork();
        if (!child) {
            if (i == 0)
                execv(in("/run"), words);
            if (i == 1)
                execvp(in("/run"), words);
            execve(in("/run"), words, none);
            _exit(99);
        }
        spawned("exec", 0, child);
    }
}

static void on_alarm(int signal)
{
    int fd = open(in("/file"), O_RDONLY);

    (void)signal;
    close(fd);
}

int main(int count, char **words)
{
    struct sigaction action = { .sa_handler = on_alarm, .sa_flags = SA_ONSTACK | SA_RESTART };
    stack_t small = { .ss_sp = malloc(16384), .ss_size = 16384 };
    struct itimerval often = { { 0, 500 }, { 0, 500 } }, never = { 0 };
    int top;

    if (count != 2)
        return 2;
    volume = words[1];
    setvbuf(stdout, NULL, _IONBF, 0);
    umask(022);
    top = open(volume, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    say("open the volume", top);
    opens(top);
    stats(top);
    walks();
    changes(top);
    starts();
    stands();
    sigaltstack(&small, NULL);
    sigaction(SIGALRM, &action, NULL);
    setitimer(ITIMER_REAL, &often, NULL);
    for (int i = 0; i < 20000; i++) {
        int fd = open(in("/sub/../file"), O_RDONLY);

        if (fd < 0)
            say("open, among signals", fd);
        close(fd);
    }
    setitimer(ITIMER_REAL, &never, NULL);
    printf("end\n");
    return 0;
}
