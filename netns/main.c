/*
 * main.c - one command in a network namespace of its own, or the machine: from the words to the work
 */
#include "netns.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

static void usage(void)
{
    fprintf(stderr, "netns: usage: README.md, \"Words\"\n");
    _exit(126);
}

/**
 * read_words() - Reads the command line
 * @words:	Its words, ended by NULL
 * @wanted:	Filled
 */
static void read_words(char **words, struct wanted *wanted)
{
    for (words++; *words; words += 2) {
        const char *word = *words;
        char *value = words[1], *equals;

        if (!strcmp(word, "--")) {
            wanted->command = words + 1;
            break;
        }
        if (!strcmp(word, "--machine") || !strcmp(word, "--iptables")) {
            wanted->machine = true;
            wanted->iptables |= !strcmp(word, "--iptables");
            words--;
            continue;
        }
        if (!value)
            usage();
        if (!strcmp(word, "--control")) {
            wanted->control = value;
        } else if (!strcmp(word, "--inside")) {
            wanted->inside = value;
        } else if (!strcmp(word, "--address") && wanted->address_count < MOST_ADDRESSES) {
            if (!parse_address(value, &wanted->addresses[wanted->address_count++]))
                usage();
        } else if (!strcmp(word, "--bind") && wanted->bind_count < MOST_BINDS && (equals = strrchr(value, '='))) {
            *equals = '\0';
            wanted->binds[wanted->bind_count].from = value;
            wanted->binds[wanted->bind_count++].to = equals + 1;
        } else if (!strcmp(word, "--show") && wanted->show_count < MOST_SHOWS) {
            wanted->shows[wanted->show_count].from = value;
        } else if (!strcmp(word, "--at") && wanted->show_count < MOST_SHOWS && wanted->shows[wanted->show_count].from &&
                   value[0] == '/') {
            wanted->shows[wanted->show_count++].to = value;
        } else if (!strcmp(word, "--scratch")) {
            wanted->scratch = value;
        } else {
            usage();
        }
    }
    if (wanted->show_count && !wanted->scratch)
        usage();
    if ((wanted->command || wanted->machine) && (!wanted->control || !wanted->inside))
        usage();
    if (wanted->command && (!wanted->command[0] || wanted->machine))
        usage();
}

/**
 * start_relay() - Makes the relay: a grandchild, so that the command has no child that it did not start
 * @wanted:	What the session wants
 * @sockets:	The sockets
 *
 * It is in a session of its own, so that no key on the terminal reaches it, and holds nothing of the command's: not its
 * terminal, pipes, or directory.
 */
static void start_relay(const struct wanted *wanted, const struct sockets *sockets)
{
    pid_t between = fork();
    int null;

    if (between < 0)
        die("fork");
    if (between > 0) {
        int status;

        while (waitpid(between, &status, 0) < 0 && errno == EINTR)
            ;
        return;
    }
    setsid();
    if (fork())
        _exit(0);
    signal(SIGPIPE, SIG_IGN);
    null = open("/dev/null", O_RDWR);
    for (int fd = 0; fd < 3; fd++)
        dup2(null, fd);
    if (null > 2)
        close(null);
    if (chdir("/"))
        _exit(1);
    prctl(PR_SET_NAME, "telepresence-ns");
    run_relay(wanted, sockets);
}

int main(int count, char **words)
{
    static struct wanted wanted;
    static struct sockets sockets = { .inside = -1 };
    const char *program;
    int failure;

    if (count == 2 && !strcmp(words[1], "--give-back"))
        return give_back();
    if (count == 2 && !strcmp(words[1], "--routes"))
        return print_routes();
    read_words(words, &wanted);
    if (wanted.machine)
        return run_machine(&wanted);
    /* The session's socket directory is made by now, whatever the mounts will be. */
    if (wanted.command) {
        sockets.inside = listen_unix(wanted.inside);
        if (sockets.inside < 0)
            die("inside");
    }
    enter_namespaces();
    set_up_mounts(&wanted);
    set_up_addresses(&wanted);
    open_gates(&wanted, &sockets);
    sockets.queue = open_queue(QUEUE_INSIDE);
    set_up_rules(&wanted, &sockets);
    if (!wanted.command) {
        printf("%s\n", sockets.queue < 0 ? "ok without-queue" : "ok");
        return 0;
    }
    start_relay(&wanted, &sockets);
    program = wanted.command[0];
    execvp(program, wanted.command); /* Every descriptor of ours is closed by it */
    failure = errno;
    fprintf(stderr, "%s: %s\n", program, failure == ENOENT ? "command not found" : strerror(failure));
    return failure == ENOENT ? 127 : 126;
}
