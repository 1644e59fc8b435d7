/*
 * hooks.h - the one table of what is hooked: type, name, parameters, arguments
 *
 * The struct of real functions and the code that finds them are made from it, so that a hook cannot be declared and
 * forgotten. README.md says for each what it does.
 */
#ifndef TELEPRESENCE_HOOKS_H
#define TELEPRESENCE_HOOKS_H

#define HOOKS(HOOK) \
    HOOK(int, connect, (int fd, const struct sockaddr *address, socklen_t length), (fd, address, length)) \
    HOOK(ssize_t, sendto, \
         (int fd, const void *bytes, size_t size, int flags, const struct sockaddr *address, socklen_t length), \
         (fd, bytes, size, flags, address, length)) \
    HOOK(ssize_t, sendmsg, (int fd, const struct msghdr *message, int flags), (fd, message, flags)) \
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

#endif
