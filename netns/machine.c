/*
 * machine.c - the machine itself is carried, and given back
 *
 * DOC: Theory of operation
 *
 * Two processes of root's. The guardian, whom sudo waits for, changes nothing; its child is the relay, which has the
 * sockets and makes the changes. The relay gives back and ends when the session has ended (its life line), or when the
 * guardian has died (a pipe between the two); the guardian gives back what is left when the relay has ended, however that
 * ended. So nothing stays when the session is killed, nor when one of these two is, nor when the session and one of them
 * are at once.
 *
 *   session ====== life line ====== relay ---- pipe ---- guardian
 *      |   "capture 10.96.0.0/16"     |                      |
 *   killed ---------------------->  gives back, exit ---->  exit
 *                                   killed -------------->  gives back, exit
 *
 * Whether it was given back, the state file tells: it is taken away at last. From then on the machine may be another
 * session's, so who finds it gone touches nothing.
 *
 * What there can be to give back: the table of rules.c or the chains of iptables.c, the rules and routes of routing.c,
 * and files that were laid over others. All but the last are known by their names. Of the files, and of iptables, the
 * state file tells, one line each, written before the change. None of them survives the machine, and neither does the file, which is on /run; so after a power cut
 * nothing is left, and when both processes were killed `--give-back` does what they could not.
 *
 * The state file is locked as long as one of the two lives: that is what makes us the only one of the machine, and tells
 * what was left from what is at work. Its name has the number of the network namespace, as several may share a /run.
 */
#include "flow.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

/* Longest line of the session: two paths. */
#define COMMAND_BYTES (2 * PATH_MAX + 16)

/* How long one that ends may take: a second. */
#define ENDING_ROUNDS 20
#define ENDING_USECONDS 50000

/* The relay's end of the pipe to the guardian: readable when that one has died. */
int guardian = -1;

static char state_path[64];
static int state = -1;

static void name_state(void)
{
    struct stat own;

    if (stat("/proc/self/ns/net", &own))
        die("/proc/self/ns/net");
    snprintf(state_path, sizeof(state_path), "/run/telepresence-vpn-%lu", (unsigned long)own.st_ino);
}

/**
 * lock_state() - Becomes the only one of this machine
 *
 * Ends the helper where there is one, with its process id; one that is about to end has a moment for that.
 */
static void lock_state(void)
{
    struct stat opened, named;

    for (unsigned round = 0;; round++) {
        char text[32] = "";

        state = open(state_path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0644);
        if (state < 0)
            die(state_path);
        if (flock(state, LOCK_EX | LOCK_NB)) {
            if (errno != EWOULDBLOCK)
                die(state_path);
            if (round < ENDING_ROUNDS) {
                close(state);
                usleep(ENDING_USECONDS);
                continue;
            }
            if (read(state, text, sizeof(text) - 1) < 0)
                text[0] = '\0';
            fprintf(stderr, "netns: busy: EBUSY: %s\n", strtok(text, "\n") ? text : "pid ?");
            _exit(126);
        }
        /* Whoever had it before may have taken the file away between our two calls. */
        if (!fstat(state, &opened) && !stat(state_path, &named) && opened.st_ino == named.st_ino)
            return;
        close(state);
    }
}

/* Whether a line of mountinfo(5) is of the file `from`, laid over `to`. */
static bool is_our_mount(const char *line, const char *from, const char *to)
{
    char root[PATH_MAX], point[PATH_MAX];
    const char *file = strrchr(from, '/'), *directory = file;
    char gone[NAME_MAX * 2 + 16];
    size_t length, size;

    if (!file || sscanf(line, "%*s %*s %*s %4095s %4095s", root, point) != 2 || strcmp(point, to))
        return false;
    while (directory > from && directory[-1] != '/')
        directory--;
    /* The session's own directory and the file in it: what is above may be a mount. */
    size = strlen(directory);
    length = strlen(root);
    snprintf(gone, sizeof(gone), "%s//deleted", directory);
    return (length >= size && !strcmp(root + length - size, directory)) ||
           (length >= strlen(gone) && !strcmp(root + length - strlen(gone), gone));
}

static int undo_mount(const char *from, const char *to)
{
    for (unsigned round = 0; round < 16; round++) {
        FILE *mounts = fopen("/proc/self/mountinfo", "re");
        char *line = NULL;
        size_t size = 0;
        bool there = false;

        if (!mounts)
            return -1;
        while (!there && getline(&line, &size, mounts) > 0)
            there = is_our_mount(line, from, to);
        free(line);
        fclose(mounts);
        if (!there)
            return 0;
        if (umount2(to, MNT_DETACH))
            return -1;
    }
    return -1;
}

/**
 * note_iptables() - Writes down that iptables is about to be used
 */
void note_iptables(void)
{
    if (lseek(state, 0, SEEK_END) < 0 || write(state, "iptables\n", 9) != 9)
        die(state_path);
}

static int undo_iptables(void)
{
    char *line = NULL;
    size_t size = 0;
    bool used = false;
    FILE *steps = fopen(state_path, "re");

    if (!steps)
        return 0;
    while (getline(&line, &size, steps) > 0)
        used |= !strcmp(line, "iptables\n");
    free(line);
    fclose(steps);
    return used ? iptables_undo() : 0;
}

static int undo_mounts(void)
{
    char from[PATH_MAX], to[PATH_MAX], *line = NULL;
    size_t size = 0;
    int failed = 0, copy = open(state_path, O_RDONLY | O_CLOEXEC);
    FILE *steps = copy < 0 ? NULL : fdopen(copy, "re");

    if (!steps)
        return 0;
    while (getline(&line, &size, steps) > 0)
        if (sscanf(line, "bind %4095s %4095s", from, to) == 2 && undo_mount(from, to))
            failed = -1;
    free(line);
    fclose(steps);
    return failed;
}

/**
 * undo() - Gives all of it back: nothing comes here any more, then nothing is taken, then files are as before
 *
 * Return: 0, or 1 when something stayed, of which standard error tells
 */
static int undo(void)
{
    static const struct { int (*part)(void); const char *name; } parts[] = {
        { undo_routing, "routing" }, { delete_table, "nftables" }, { undo_iptables, "iptables" }, { undo_mounts, "mounts" },
    };
    int failed = 0;

    for (unsigned i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
        if (parts[i].part()) {
            fprintf(stderr, "netns: %s: %s\n", parts[i].name, strerror(errno));
            failed = 1;
        }
    }
    /* A file that stays says that something does. */
    if (!failed)
        unlink(state_path);
    return failed;
}

/**
 * give_back() - Gives back what both processes of an earlier session left
 *
 * Return: an exit status
 */
int give_back(void)
{
    name_state();
    lock_state();
    return undo();
}

/**
 * end_machine() - The session has ended, or the guardian has died: gives back, and ends the relay
 */
void end_machine(void)
{
    _exit(undo());
}

/* Whether the state file is still there; another session's may have its name. */
static bool is_left(void)
{
    struct stat own;

    return fstat(state, &own) || own.st_nlink > 0;
}

static int lay_over(const char *from, const char *to)
{
    char real[PATH_MAX], line[COMMAND_BYTES];
    int length;

    if (!realpath(to, real))
        return -1;
    length = snprintf(line, sizeof(line), "bind %s %s\n", from, real);
    if (lseek(state, 0, SEEK_END) < 0 || write(state, line, (size_t)length) != length)
        return -1;
    if (mount(from, real, NULL, MS_BIND, NULL))
        return -1;
    /* What is written there would be lost with us: who tries is told. Where that is forbidden it is as for any file. */
    mount(NULL, real, NULL, MS_REMOUNT | MS_BIND | MS_RDONLY, NULL);
    return 0;
}

/**
 * ask_for() - Sends a question to a name server as any program of this machine would, and does not wait for an answer
 * @server:	The name server
 * @label:	The only label of the name
 *
 * Return: 0, or -1 with errno
 */
static int ask_for(const struct end_point *server, const char *label)
{
    /* RFC 1035, section 4.1: id, recursion desired, one question; the name, type A, class IN */
    uint8_t query[12 + 1 + 63 + 5] = { 0x74, 0x70, 1, 0, 0, 1 };
    struct sockaddr_storage to;
    struct end_point point = *server;
    size_t size = strlen(label);
    int fd = socket(point.family, SOCK_DGRAM | SOCK_CLOEXEC, 0), sent;

    if (fd < 0 || size > 63)
        return -1;
    point.port = htons(53);
    query[12] = (uint8_t)size;
    memcpy(query + 13, label, size);
    query[13 + size + 2] = 1;
    query[13 + size + 4] = 1;
    sent = sendto(fd, query, 13 + size + 5, 0, (struct sockaddr *)&to, to_sockaddr(&point, &to)) < 0 ? -1 : 0;
    close(fd);
    return sent;
}

/* README.md, "The machine" */
static int obey(char *line)
{
    char *verb = strtok(line, " "), *first = strtok(NULL, " "), *second = strtok(NULL, " ");
    struct range range;

    errno = EINVAL;
    if (verb && !strcmp(verb, "restore"))
        return restore();
    if (!verb || !first)
        return -1;
    if (!strcmp(verb, "bind") && second)
        return lay_over(first, second);
    if (!strcmp(verb, "ask") && second && parse_address(first, &range.base))
        return ask_for(&range.base, second);
    if (!strcmp(verb, "withhold"))
        return withhold(first);
    if (!strcmp(verb, "names") && parse_address(first, &range.base)) {
        range.base.port = htons(53);
        range.bits = range.base.family == AF_INET ? 32 : 128;
        know_server(&range.base);
    } else if (!parse_range(first, &range)) {
        errno = EINVAL;
        return -1;
    }
    if (!strcmp(verb, "except"))
        return route_as_before(&range) || !keep(&range, false) ? -1 : 0;
    if (strcmp(verb, "capture") && strcmp(verb, "names"))
        return -1;
    /* In this order: what comes here without a rule would find other listeners of the machine. */
    return add_range_rule(&range) || route_here(&range) || !keep(&range, true) ? -1 : 0;
}

/**
 * hear_session() - Obeys the session; ends the relay when that has ended
 * @life:	The life line
 */
void hear_session(int life)
{
    static char held[COMMAND_BYTES];
    static size_t length;

    for (;;) {
        ssize_t count = recv(life, held + length, sizeof(held) - length, MSG_DONTWAIT);
        char *end;

        if (count < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR))
            return;
        if (count <= 0)
            end_machine();
        length += (size_t)count;
        while ((end = memchr(held, '\n', length))) {
            char answer[80];
            const char *name = "ok";
            int size;

            *end = '\0';
            if (!strcmp(held, "look"))
                name = what_is_gone();
            else if (obey(held))
                name = strerrorname_np(errno) ? strerrorname_np(errno) : "EIO";
            size = snprintf(answer, sizeof(answer), "%s\n", name);
            if (send(life, answer, (size_t)size, MSG_NOSIGNAL) != size)
                end_machine();
            length -= (size_t)(end + 1 - held);
            memmove(held, end + 1, length);
        }
        if (length == sizeof(held))
            _exit(1);
    }
}

static void become_relay(const struct wanted *wanted, int pipe_end)
{
    static struct sockets sockets;
    int null;

    guardian = pipe_end;
    setsid();
    prctl(PR_SET_NAME, "telepresence-ns");
    sockets.inside = listen_unix(wanted->inside);
    if (sockets.inside < 0 || chmod(wanted->inside, 0666)) /* In a directory that is the user's alone */
        die("inside");
    open_gates(wanted, &sockets);
    sockets.queue = open_queue(QUEUE_MACHINE);
    set_up_rules(wanted, &sockets);
    keep_set_up(wanted, &sockets);
    sockets.news = open_news();
    leave_own_alone();
    set_up_routing();
    if (chdir("/"))
        die("/");
    null = open("/dev/null", O_RDWR);
    for (int fd = 0; fd < 3; fd++)
        dup2(null, fd);
    if (null > 2)
        close(null);
    run_relay(wanted, &sockets);
}

/**
 * run_machine() - Carries the machine until the session ends
 * @wanted:	What the session wants
 *
 * Return: an exit status: 0 when everything was given back
 */
int run_machine(const struct wanted *wanted)
{
    int ends[2], status = 0, length, failed;
    char text[32];
    pid_t relay;

    name_state();
    lock_state();
    if (undo())
        return 126;
    lock_state(); /* It took the file away */
    length = snprintf(text, sizeof(text), "pid %d\n", (int)getpid());
    if (write(state, text, (size_t)length) != length || pipe2(ends, O_CLOEXEC))
        die(state_path);
    /* Keys of the terminal are for the command. SIGTERM ends us by way of the relay. */
    for (int each = 0; each < 3; each++)
        signal((int[]){ SIGINT, SIGQUIT, SIGHUP }[each], SIG_IGN);
    signal(SIGPIPE, SIG_IGN);
    relay = fork();
    if (relay < 0)
        die("fork");
    if (!relay) {
        close(ends[1]);
        become_relay(wanted, ends[0]);
    }
    close(ends[0]);
    while (waitpid(relay, &status, 0) < 0 && errno == EINTR)
        ;
    failed = is_left() && undo();
    return failed ? 126 : WIFEXITED(status) ? WEXITSTATUS(status) : 0;
}
