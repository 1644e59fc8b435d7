/*
 * hooks.h - the one table of what is hooked: type, name, parameters, arguments, and for paths where they begin
 *
 * The struct of real functions and the code that finds them are made from it, so that a hook cannot be declared and
 * forgotten. README.md says for each what it does.
 */
#ifndef TELEPRESENCE_HOOKS_H
#define TELEPRESENCE_HOOKS_H

#define HOOKS(HOOK) \
    NETWORK_HOOKS(HOOK) \
    FILE_HOOKS(HOOK) \
    PATH_HOOKS(HOOK)

/* Connections, names and programs. */
#define NETWORK_HOOKS(HOOK) \
    HOOK(int, connect, (int fd, const struct sockaddr *address, socklen_t length), (fd, address, length)) \
    HOOK(ssize_t, sendto, \
         (int fd, const void *bytes, size_t size, int flags, const struct sockaddr *address, socklen_t length), \
         (fd, bytes, size, flags, address, length)) \
    HOOK(ssize_t, sendmsg, (int fd, const struct msghdr *message, int flags), (fd, message, flags)) \
    HOOK(int, sendmmsg, (int fd, struct mmsghdr *messages, unsigned int count, int flags), (fd, messages, count, flags)) \
    HOOK(ssize_t, recvfrom, \
         (int fd, void *bytes, size_t size, int flags, struct sockaddr *address, socklen_t *length), \
         (fd, bytes, size, flags, address, length)) \
    HOOK(ssize_t, __recvfrom_chk, \
         (int fd, void *bytes, size_t size, size_t all, int flags, struct sockaddr *address, socklen_t *length), \
         (fd, bytes, size, all, flags, address, length)) \
    HOOK(ssize_t, recvmsg, (int fd, struct msghdr *message, int flags), (fd, message, flags)) \
    HOOK(int, recvmmsg, \
         (int fd, struct mmsghdr *messages, unsigned int count, int flags, struct timespec *limit), \
         (fd, messages, count, flags, limit)) \
    HOOK(int, bind, (int fd, const struct sockaddr *address, socklen_t length), (fd, address, length)) \
    HOOK(int, getsockname, (int fd, struct sockaddr *address, socklen_t *length), (fd, address, length)) \
    HOOK(int, getpeername, (int fd, struct sockaddr *address, socklen_t *length), (fd, address, length)) \
    HOOK(int, getsockopt, (int fd, int level, int option, void *value, socklen_t *length), \
         (fd, level, option, value, length)) \
    HOOK(int, getaddrinfo, \
         (const char *node, const char *service, const struct addrinfo *hints, struct addrinfo **list), \
         (node, service, hints, list)) \
    HOOK(void, freeaddrinfo, (struct addrinfo *list), (list)) \
    HOOK(int, getnameinfo, \
         (const struct sockaddr *address, socklen_t length, char *host, socklen_t host_size, char *service, \
          socklen_t service_size, int flags), \
         (address, length, host, host_size, service, service_size, flags)) \
    HOOK(int, res_query, (const char *name, int class, int type, unsigned char *answer, int room), \
         (name, class, type, answer, room)) \
    HOOK(int, __res_query, (const char *name, int class, int type, unsigned char *answer, int room), \
         (name, class, type, answer, room)) \
    HOOK(int, res_search, (const char *name, int class, int type, unsigned char *answer, int room), \
         (name, class, type, answer, room)) \
    HOOK(int, __res_search, (const char *name, int class, int type, unsigned char *answer, int room), \
         (name, class, type, answer, room)) \
    HOOK(int, res_querydomain, (const char *name, const char *domain, int class, int type, unsigned char *answer, int room), \
         (name, domain, class, type, answer, room)) \
    HOOK(int, __res_querydomain, (const char *name, const char *domain, int class, int type, unsigned char *answer, int room), \
         (name, domain, class, type, answer, room)) \
    HOOK(int, res_send, (const unsigned char *query, int size, unsigned char *answer, int room), \
         (query, size, answer, room)) \
    HOOK(int, __res_send, (const unsigned char *query, int size, unsigned char *answer, int room), \
         (query, size, answer, room)) \
    HOOK(int, res_nquery, (res_state state, const char *name, int class, int type, unsigned char *answer, int room), \
         (state, name, class, type, answer, room)) \
    HOOK(int, __res_nquery, (res_state state, const char *name, int class, int type, unsigned char *answer, int room), \
         (state, name, class, type, answer, room)) \
    HOOK(int, res_nsearch, (res_state state, const char *name, int class, int type, unsigned char *answer, int room), \
         (state, name, class, type, answer, room)) \
    HOOK(int, __res_nsearch, (res_state state, const char *name, int class, int type, unsigned char *answer, int room), \
         (state, name, class, type, answer, room)) \
    HOOK(int, res_nquerydomain, (res_state state, const char *name, const char *domain, int class, int type, unsigned char *answer, int room), \
         (state, name, domain, class, type, answer, room)) \
    HOOK(int, __res_nquerydomain, (res_state state, const char *name, const char *domain, int class, int type, unsigned char *answer, int room), \
         (state, name, domain, class, type, answer, room)) \
    HOOK(int, res_nsend, (res_state state, const unsigned char *query, int size, unsigned char *answer, int room), \
         (state, query, size, answer, room)) \
    HOOK(int, __res_nsend, (res_state state, const unsigned char *query, int size, unsigned char *answer, int room), \
         (state, query, size, answer, room)) \
    HOOK(int, getaddrinfo_a, (int mode, struct gaicb *list[], int count, struct sigevent *event), \
         (mode, list, count, event)) \
    HOOK(struct hostent *, gethostbyname, (const char *name), (name)) \
    HOOK(struct hostent *, gethostbyname2, (const char *name, int family), (name, family)) \
    HOOK(int, gethostbyname_r, \
         (const char *name, struct hostent *host, char *buffer, size_t size, struct hostent **result, int *error), \
         (name, host, buffer, size, result, error)) \
    HOOK(int, gethostbyname2_r, \
         (const char *name, int family, struct hostent *host, char *buffer, size_t size, struct hostent **result, \
          int *error), \
         (name, family, host, buffer, size, result, error)) \
    HOOK(struct hostent *, gethostbyaddr, (const void *address, socklen_t length, int family), \
         (address, length, family)) \
    HOOK(int, gethostbyaddr_r, \
         (const void *address, socklen_t length, int family, struct hostent *host, char *buffer, size_t size, \
          struct hostent **result, int *error), \
         (address, length, family, host, buffer, size, result, error)) \
    HOOK(int, system, (const char *command), (command)) \
    HOOK(FILE *, popen, (const char *command, const char *mode), (command, mode)) \
    HOOK(int, pclose, (FILE *stream), (stream)) \
    HOOK(int, execve, (const char *path, char *const words[], char *const environment[]), (path, words, environment)) \
    HOOK(int, execvpe, (const char *file, char *const words[], char *const environment[]), (file, words, environment)) \
    HOOK(int, fexecve, (int fd, char *const words[], char *const environment[]), (fd, words, environment)) \
    HOOK(int, execveat, (int fd, const char *path, char *const words[], char *const environment[], int flags), \
         (fd, path, words, environment, flags)) \
    HOOK(int, posix_spawn, \
         (pid_t *pid, const char *path, const posix_spawn_file_actions_t *actions, \
          const posix_spawnattr_t *attributes, char *const words[], char *const environment[]), \
         (pid, path, actions, attributes, words, environment)) \
    HOOK(int, posix_spawnp, \
         (pid_t *pid, const char *file, const posix_spawn_file_actions_t *actions, \
          const posix_spawnattr_t *attributes, char *const words[], char *const environment[]), \
         (pid, file, actions, attributes, words, environment))

/* Files, where more is to be done than to have one path name another place. */
#define FILE_HOOKS(HOOK) \
    HOOK(long, syscall, (long number, ...), (number, a, b, c, d, e, f)) \
    HOOK(int, open, (const char *path, int flags, ...), (path, flags, mode)) \
    HOOK(int, open64, (const char *path, int flags, ...), (path, flags, mode)) \
    HOOK(int, openat, (int directory, const char *path, int flags, ...), (directory, path, flags, mode)) \
    HOOK(int, openat64, (int directory, const char *path, int flags, ...), (directory, path, flags, mode)) \
    HOOK(int, rename, (const char *path, const char *other), (path, other)) \
    HOOK(int, renameat, (int directory, const char *path, int other_directory, const char *other), \
         (directory, path, other_directory, other)) \
    HOOK(int, renameat2, \
         (int directory, const char *path, int other_directory, const char *other, unsigned int flags), \
         (directory, path, other_directory, other, flags)) \
    HOOK(int, link, (const char *path, const char *other), (path, other)) \
    HOOK(int, linkat, (int directory, const char *path, int other_directory, const char *other, int flags), \
         (directory, path, other_directory, other, flags)) \
    HOOK(int, mkstemp, (char *template), (template)) \
    HOOK(int, mkstemp64, (char *template), (template)) \
    HOOK(int, mkostemp, (char *template, int flags), (template, flags)) \
    HOOK(int, mkostemp64, (char *template, int flags), (template, flags)) \
    HOOK(int, mkstemps, (char *template, int suffix), (template, suffix)) \
    HOOK(int, mkstemps64, (char *template, int suffix), (template, suffix)) \
    HOOK(int, mkostemps, (char *template, int suffix, int flags), (template, suffix, flags)) \
    HOOK(int, mkostemps64, (char *template, int suffix, int flags), (template, suffix, flags)) \
    HOOK(char *, mkdtemp, (char *template), (template)) \
    HOOK(char *, getcwd, (char *room, size_t size), (room, size)) \
    HOOK(char *, __getcwd_chk, (char *room, size_t size, size_t all), (room, size, all)) \
    HOOK(char *, get_current_dir_name, (void), ()) \
    HOOK(char *, realpath, (const char *path, char *room), (path, room)) \
    HOOK(char *, __realpath_chk, (const char *path, char *room, size_t size), (path, room, size)) \
    HOOK(char *, canonicalize_file_name, (const char *path), (path)) \
    HOOK(int, glob, \
         (const char *pattern, int flags, int (*complain)(const char *path, int code), glob_t *found), \
         (pattern, flags, complain, found)) \
    HOOK(int, glob64, \
         (const char *pattern, int flags, int (*complain)(const char *path, int code), glob64_t *found), \
         (pattern, flags, complain, found))

/* What looks at the entries of a directory or compares them, as scandir() takes it. */
#define CHOOSE(entry) int (*choose)(const struct entry *)
#define COMPARE(entry) int (*compare)(const struct entry **, const struct entry **)

/* Functions with one path, and the directory in which it begins when it is relative. */
#define PATH_HOOKS(HOOK) \
    HOOK(int, __open_2, (const char *path, int flags), (path, flags), AT_FDCWD) \
    HOOK(int, __open64_2, (const char *path, int flags), (path, flags), AT_FDCWD) \
    HOOK(int, __openat_2, (int directory, const char *path, int flags), (directory, path, flags), directory) \
    HOOK(int, __openat64_2, (int directory, const char *path, int flags), (directory, path, flags), directory) \
    HOOK(int, creat, (const char *path, mode_t mode), (path, mode), AT_FDCWD) \
    HOOK(int, creat64, (const char *path, mode_t mode), (path, mode), AT_FDCWD) \
    HOOK(FILE *, fopen, (const char *path, const char *mode), (path, mode), AT_FDCWD) \
    HOOK(FILE *, fopen64, (const char *path, const char *mode), (path, mode), AT_FDCWD) \
    HOOK(FILE *, freopen, (const char *path, const char *mode, FILE *stream), (path, mode, stream), AT_FDCWD) \
    HOOK(FILE *, freopen64, (const char *path, const char *mode, FILE *stream), (path, mode, stream), AT_FDCWD) \
    HOOK(int, stat, (const char *path, struct stat *into), (path, into), AT_FDCWD) \
    HOOK(int, stat64, (const char *path, struct stat64 *into), (path, into), AT_FDCWD) \
    HOOK(int, lstat, (const char *path, struct stat *into), (path, into), AT_FDCWD) \
    HOOK(int, lstat64, (const char *path, struct stat64 *into), (path, into), AT_FDCWD) \
    HOOK(int, fstatat, (int directory, const char *path, struct stat *into, int flags), \
         (directory, path, into, flags), directory) \
    HOOK(int, fstatat64, (int directory, const char *path, struct stat64 *into, int flags), \
         (directory, path, into, flags), directory) \
    HOOK(int, __xstat, (int version, const char *path, struct stat *into), (version, path, into), AT_FDCWD) \
    HOOK(int, __xstat64, (int version, const char *path, struct stat64 *into), (version, path, into), AT_FDCWD) \
    HOOK(int, __lxstat, (int version, const char *path, struct stat *into), (version, path, into), AT_FDCWD) \
    HOOK(int, __lxstat64, (int version, const char *path, struct stat64 *into), (version, path, into), AT_FDCWD) \
    HOOK(int, __fxstatat, (int version, int directory, const char *path, struct stat *into, int flags), \
         (version, directory, path, into, flags), directory) \
    HOOK(int, __fxstatat64, (int version, int directory, const char *path, struct stat64 *into, int flags), \
         (version, directory, path, into, flags), directory) \
    HOOK(int, statx, (int directory, const char *path, int flags, unsigned int mask, struct statx *into), \
         (directory, path, flags, mask, into), directory) \
    HOOK(int, statfs, (const char *path, struct statfs *into), (path, into), AT_FDCWD) \
    HOOK(int, statfs64, (const char *path, struct statfs64 *into), (path, into), AT_FDCWD) \
    HOOK(int, statvfs, (const char *path, struct statvfs *into), (path, into), AT_FDCWD) \
    HOOK(int, statvfs64, (const char *path, struct statvfs64 *into), (path, into), AT_FDCWD) \
    HOOK(long, pathconf, (const char *path, int name), (path, name), AT_FDCWD) \
    HOOK(int, access, (const char *path, int mode), (path, mode), AT_FDCWD) \
    HOOK(int, eaccess, (const char *path, int mode), (path, mode), AT_FDCWD) \
    HOOK(int, euidaccess, (const char *path, int mode), (path, mode), AT_FDCWD) \
    HOOK(int, faccessat, (int directory, const char *path, int mode, int flags), \
         (directory, path, mode, flags), directory) \
    HOOK(ssize_t, readlink, (const char *path, char *room, size_t size), (path, room, size), AT_FDCWD) \
    HOOK(ssize_t, __readlink_chk, (const char *path, char *room, size_t size, size_t all), \
         (path, room, size, all), AT_FDCWD) \
    HOOK(ssize_t, readlinkat, (int directory, const char *path, char *room, size_t size), \
         (directory, path, room, size), directory) \
    HOOK(ssize_t, __readlinkat_chk, (int directory, const char *path, char *room, size_t size, size_t all), \
         (directory, path, room, size, all), directory) \
    HOOK(DIR *, opendir, (const char *path), (path), AT_FDCWD) \
    HOOK(int, scandir, (const char *path, struct dirent ***list, CHOOSE(dirent), COMPARE(dirent)), \
         (path, list, choose, compare), AT_FDCWD) \
    HOOK(int, scandir64, (const char *path, struct dirent64 ***list, CHOOSE(dirent64), COMPARE(dirent64)), \
         (path, list, choose, compare), AT_FDCWD) \
    HOOK(int, scandirat, (int directory, const char *path, struct dirent ***list, CHOOSE(dirent), COMPARE(dirent)), \
         (directory, path, list, choose, compare), directory) \
    HOOK(int, scandirat64, \
         (int directory, const char *path, struct dirent64 ***list, CHOOSE(dirent64), COMPARE(dirent64)), \
         (directory, path, list, choose, compare), directory) \
    HOOK(int, chdir, (const char *path), (path), AT_FDCWD) \
    HOOK(int, mkdir, (const char *path, mode_t mode), (path, mode), AT_FDCWD) \
    HOOK(int, mkdirat, (int directory, const char *path, mode_t mode), (directory, path, mode), directory) \
    HOOK(int, rmdir, (const char *path), (path), AT_FDCWD) \
    HOOK(int, unlink, (const char *path), (path), AT_FDCWD) \
    HOOK(int, unlinkat, (int directory, const char *path, int flags), (directory, path, flags), directory) \
    HOOK(int, remove, (const char *path), (path), AT_FDCWD) \
    HOOK(int, symlink, (const char *target, const char *path), (target, path), AT_FDCWD) \
    HOOK(int, symlinkat, (const char *target, int directory, const char *path), (target, directory, path), directory) \
    HOOK(int, mkfifo, (const char *path, mode_t mode), (path, mode), AT_FDCWD) \
    HOOK(int, mkfifoat, (int directory, const char *path, mode_t mode), (directory, path, mode), directory) \
    HOOK(int, chmod, (const char *path, mode_t mode), (path, mode), AT_FDCWD) \
    HOOK(int, fchmodat, (int directory, const char *path, mode_t mode, int flags), \
         (directory, path, mode, flags), directory) \
    HOOK(int, chown, (const char *path, uid_t user, gid_t group), (path, user, group), AT_FDCWD) \
    HOOK(int, lchown, (const char *path, uid_t user, gid_t group), (path, user, group), AT_FDCWD) \
    HOOK(int, fchownat, (int directory, const char *path, uid_t user, gid_t group, int flags), \
         (directory, path, user, group, flags), directory) \
    HOOK(int, utime, (const char *path, const struct utimbuf *times), (path, times), AT_FDCWD) \
    HOOK(int, utimes, (const char *path, const struct timeval times[2]), (path, times), AT_FDCWD) \
    HOOK(int, lutimes, (const char *path, const struct timeval times[2]), (path, times), AT_FDCWD) \
    HOOK(int, futimesat, (int directory, const char *path, const struct timeval times[2]), \
         (directory, path, times), directory) \
    HOOK(int, utimensat, (int directory, const char *path, const struct timespec times[2], int flags), \
         (directory, path, times, flags), directory) \
    HOOK(int, truncate, (const char *path, off_t size), (path, size), AT_FDCWD) \
    HOOK(int, truncate64, (const char *path, off64_t size), (path, size), AT_FDCWD) \
    HOOK(ssize_t, getxattr, (const char *path, const char *name, void *value, size_t size), \
         (path, name, value, size), AT_FDCWD) \
    HOOK(ssize_t, lgetxattr, (const char *path, const char *name, void *value, size_t size), \
         (path, name, value, size), AT_FDCWD) \
    HOOK(ssize_t, listxattr, (const char *path, char *list, size_t size), (path, list, size), AT_FDCWD) \
    HOOK(ssize_t, llistxattr, (const char *path, char *list, size_t size), (path, list, size), AT_FDCWD) \
    HOOK(int, setxattr, (const char *path, const char *name, const void *value, size_t size, int flags), \
         (path, name, value, size, flags), AT_FDCWD) \
    HOOK(int, lsetxattr, (const char *path, const char *name, const void *value, size_t size, int flags), \
         (path, name, value, size, flags), AT_FDCWD) \
    HOOK(int, removexattr, (const char *path, const char *name), (path, name), AT_FDCWD) \
    HOOK(int, lremovexattr, (const char *path, const char *name), (path, name), AT_FDCWD) \
    HOOK(int, inotify_add_watch, (int fd, const char *path, uint32_t mask), (fd, path, mask), AT_FDCWD) \
    HOOK(int, posix_spawn_file_actions_addopen, \
         (posix_spawn_file_actions_t *actions, int fd, const char *path, int flags, mode_t mode), \
         (actions, fd, path, flags, mode), AT_FDCWD)

#endif
