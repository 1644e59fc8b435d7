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
    HOOK(int, getpeername, (int fd, struct sockaddr *address, socklen_t *length), (fd, address, length)) \
    HOOK(int, getsockopt, (int fd, int level, int option, void *value, socklen_t *length), \
         (fd, level, option, value, length)) \
    HOOK(int, getaddrinfo, \
         (const char *node, const char *service, const struct addrinfo *hints, struct addrinfo **list), \
         (node, service, hints, list)) \
    HOOK(struct hostent *, gethostbyname, (const char *name), (name))

#endif
