/*
 * shim.h - what the parts of the shim share
 *
 * DOC: Theory of Operation
 *
 * The shim is a preloaded library. It stands between a program on the host and its libc, and makes the program's TCP
 * connections and its name lookups happen in a pod. It holds no policy: it asks the host process ("the session") over a
 * private Unix socket and does what the answer says. README.md beside this file is the contract of both sides.
 *
 * A call goes through three layers:
 *
 *   exported symbol    passes the guard: what libc does on our behalf is not caught (hooks.h, connect.c, resolve.c)
 *   judge              what can be decided without asking: loopback, Unix sockets, datagrams (judge.c)
 *   control            everything else is a line of text to the session and a line back (control.c, line.c)
 *
 * How a connect reaches the pod
 *
 *   program          shim                          session                        pod
 *   connect(fd) ---> "connect 10.96.7.7 80" -----> policy, then dial -----------> connect()
 *                    "connected 41001 41002" <---- the ports of its gates <------ connected
 *                    connect(fd, 127.0.0.1:41001)  accepts, holds
 *                    "claim 127.0.0.1 55555" ----> joins the held connection
 *   0 <------------- closes the control socket     that came from 55555 to the pod's
 *
 * The program keeps its own descriptor, so that everything it did to it (options, epoll, dup, fork) stays true. Where
 * the pod says no, the descriptor was never touched: the program may connect it again, as after a refused connect.
 * The gates are loopback listeners, reachable by every user of the machine, so a connection that nobody claims over the
 * private socket within a short time gets nothing and is closed.
 *
 * A non-blocking connect does not wait for the pod: "begin" takes the place of "connect", and the connection at the gate
 * is kept from becoming writable until the pod has connected (gate.c, "How a non-blocking connect stays under way").
 *
 * What must hold everywhere
 *
 *  - No state per descriptor: a program may dup, close, pass and inherit descriptors as it likes. What has to be known
 *    of one is asked by its own end, the source address and port that the session sees.
 *  - errno stays as it was when a call succeeds.
 *  - No malloc but for what the API hands to the program; stack and static memory with stated sizes.
 *  - Never exit, never abort, never block but for the answer to the call that was made.
 *  - Never around the cluster in silence: where the session cannot be asked, the call fails, and one line on standard
 *    error says why (once in a process).
 */
#ifndef TELEPRESENCE_SHIM_H
#define TELEPRESENCE_SHIM_H

#include <alloca.h>
#include <arpa/nameser.h>
#include <dirent.h>
#include <fcntl.h>
#include <glob.h>
#include <netdb.h>
#include <netinet/in.h>
#include <resolv.h>
#include <signal.h>
#include <spawn.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/inotify.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/statvfs.h>
#include <sys/time.h>
#include <sys/types.h>
#include <sys/xattr.h>
#include <unistd.h>
#include <utime.h>

#include "hooks.h"
#include "line.h"
#include "paths.h"

#define EXPORT __attribute__((visibility("default")))

/* Where the session listens; set by it in the environment of the program it starts. */
#define SOCKET_VARIABLE "TELEPRESENCE_SHIM_SOCKET"
/* "1": one line on standard error for each verdict, with its reason. */
#define LOG_VARIABLE "TELEPRESENCE_SHIM_LOG"

/* What only younger libcs declare, only older ones, or no header of theirs. */
int __open_2(const char *path, int flags);
int __open64_2(const char *path, int flags);
int __openat_2(int directory, const char *path, int flags);
int __openat64_2(int directory, const char *path, int flags);
int __xstat(int version, const char *path, struct stat *into);
int __xstat64(int version, const char *path, struct stat64 *into);
int __lxstat(int version, const char *path, struct stat *into);
int __lxstat64(int version, const char *path, struct stat64 *into);
int __fxstatat(int version, int directory, const char *path, struct stat *into, int flags);
int __fxstatat64(int version, int directory, const char *path, struct stat64 *into, int flags);
ssize_t __readlink_chk(const char *path, char *room, size_t size, size_t all);
ssize_t __readlinkat_chk(int directory, const char *path, char *room, size_t size, size_t all);
int __res_query(const char *name, int class, int type, unsigned char *answer, int room);
int __res_search(const char *name, int class, int type, unsigned char *answer, int room);
int __res_querydomain(const char *name, const char *domain, int class, int type, unsigned char *answer, int room);
int __res_send(const unsigned char *query, int size, unsigned char *answer, int room);
int __res_nquery(res_state state, const char *name, int class, int type, unsigned char *answer, int room);
int __res_nsearch(res_state state, const char *name, int class, int type, unsigned char *answer, int room);
int __res_nquerydomain(res_state state, const char *name, const char *domain, int class, int type, unsigned char *answer, int room);
int __res_nsend(res_state state, const unsigned char *query, int size, unsigned char *answer, int room);
ssize_t __recvfrom_chk(int fd, void *bytes, size_t size, size_t all, int flags, struct sockaddr *address,
                       socklen_t *length);
char *__getcwd_chk(char *room, size_t size, size_t all);
char *__realpath_chk(const char *path, char *room, size_t size);
int statx(int directory, const char *path, int flags, unsigned int mask, struct statx *into);
int renameat2(int directory, const char *path, int other_directory, const char *other, unsigned int flags);
int execveat(int fd, const char *path, char *const words[], char *const environment[], int flags);

/* struct real - the functions we stand before, as the next library in line has them */
struct real {
#define HOOK(type, name, parameters, ...) type(*name) parameters;
    HOOKS(HOOK)
#undef HOOK
};

/* init.c */
extern struct real real;
bool shim_is_ready(void);
bool shim_ready(void);
void find_early(const char *name, void *place);
bool shim_enter(void);
void libc_begin(void);
void libc_end(void);
const char *shim_socket_path(void);
const char *shim_path(void);

/* log.c */
extern bool log_verdicts;
void log_once(const char *text);
void log_line(const char *text);
void log_verdict(const char *call, const char *subject, const char *verdict, const char *reason);

/* enum verdict - where a call goes; LOCAL always comes with a reason */
enum verdict { VERDICT_LOCAL, VERDICT_ASK };

/* struct endpoint - an address and port of TCP, out of the several forms that sockaddr has for it
 * @v6:     The address is IPv6; a v4-mapped one is not
 * @mapped: The program wrote it as a v4-mapped IPv6 address
 * @bytes:  The address in network order: 4 or 16 bytes
 * @port:   The port in host order
 */
struct endpoint {
    bool v6;
    bool mapped;
    uint8_t bytes[16];
    uint16_t port;
};

/* judge.c */
bool endpoint_from(struct endpoint *endpoint, const struct sockaddr *address, socklen_t length);
bool endpoint_text(const struct endpoint *endpoint, char text[INET6_ADDRSTRLEN]);
enum verdict judge_endpoint(const struct endpoint *endpoint, const char **reason);
enum verdict judge_name(const char *name, const char **reason);
int errno_of(const char *name);
const char *errno_name(int value);
int eai_of(const char *name);
const char *eai_name(int value);

/* struct gates - the ports on which the session takes connections of the program; 0 where there is no gate */
struct gates {
    uint16_t port4;
    uint16_t port6;
};

/* union gate_sockaddr - address of a gate */
union gate_sockaddr {
    struct sockaddr any;
    struct sockaddr_in in;
    struct sockaddr_in6 in6;
};

/* struct about - what the session knows of a connection at its gate
 * @state:	What came of it
 * @code:	The pod's errno, where it failed
 * @peer:	Where the program connected, where it did not fail
 */
struct about {
    enum { ABOUT_PENDING, ABOUT_CONNECTED, ABOUT_FAILED } state;
    int code;
    struct endpoint peer;
};

/* gate.c */
void gates_learned(struct gates gates);
bool take_gates(char **cursor, struct gates *gates);
bool gates_known(struct gates *gates);
bool is_tcp(int fd);
bool is_multipath(int fd);
bool at_gate(int fd);
bool ask_about(int fd, struct about *about);
int enter_gate(int fd, const struct endpoint *to, struct gates gates);
int plug(int fd, uint32_t wanted, uint32_t *bytes);
bool is_plugged(int fd);
int claim(int control, int fd, uint32_t bytes);

/* names.c */
void endpoint_write(const struct endpoint *endpoint, int family, void *address, socklen_t room, socklen_t *length);

/* datagrams.c */
bool is_udp(int fd);
int relay_to(const char *call, int fd, const struct endpoint *to, union gate_sockaddr *relay);
bool peer_of(const struct endpoint *relay, struct endpoint *peer);

/* enum tone - whether the user is told when there is no session to ask */
enum tone { TELL, QUIET };

/* control.c */
int control_open(enum tone tone);
int control_send(int fd, struct line *line);
ssize_t control_receive(int fd, char *answer, size_t size, enum tone tone);
int control_ask(struct line *line, char *answer, size_t size);

/* mounts.c */
bool be_known(void);
bool pod_address(struct endpoint *endpoint);
bool is_pod_address(const struct endpoint *endpoint);
size_t host_path(int directory, const char *path, char *into);
char *pod_path(char *path);
bool host_paths_exist(void);

/*
 * Has @path, a parameter, name the file on the host. A macro, since the text lives on the stack of the function that
 * hands it on, and only where there is one.
 */
#define AT(directory, path) \
    do { \
        size_t at_size = host_path(directory, path, NULL); \
\
        if (at_size) { \
            char *at_host = alloca(at_size); \
\
            if (host_path(directory, path, at_host) == at_size) \
                path = at_host; \
        } \
    } while (0)

/* More addresses than a program can use; a lookup that gives more is cut. */
#define MOST_ADDRESSES 64

/* Longest name that an address may have, as text: 255 bytes on the wire, some of which are written as four. */
#define NAME_TEXT_BYTES 1024

/* Outcome of lookup() and reverse() besides 0 and the EAI codes: the host resolves this. */
#define LOOKUP_LOCAL 1

/* struct found - what a name resolves to
 * @count:	Number of addresses
 * @text:	The addresses, words of @answer
 * @answer:	The session's answer, cut into words
 */
struct found {
    size_t count;
    const char *text[MOST_ADDRESSES];
    char answer[ANSWER_BYTES];
};

/* resolve.c */
int lookup(const char *call, const char *name, int family, struct found *found);
int reverse(const struct endpoint *endpoint, char *name);

#endif
