/*
 * launcher - stands between telepresence and the user's command.
 *
 *	launcher PROGRAM [ARGUMENT ...]
 *	launcher --pipes BYTES PROGRAM [ARGUMENT ...]
 *
 * Theory of operation
 *
 * The command gets a process group of its own, so that all of it can be ended; the terminal's foreground group when
 * we had that, so that Ctrl-C and Ctrl-Z are the command's, as in a shell; and no descriptor but 0, 1 and 2.
 *
 * We stay as its parent, because a runtime that only knows of ended children would miss that it was stopped: when the
 * command stops (Ctrl-Z), we take the terminal back and stop our own group, so that the user's shell sees its job
 * stopped; when the shell continues us (fg, bg), we hand the terminal over again and continue the command.
 *
 * Signals that we get are passed on to the whole group: SIGTERM, SIGINT, SIGHUP, SIGQUIT. SIGUSR1 stands for SIGKILL,
 * which could not be passed on. When our parent dies, the group ends: SIGTERM, then SIGKILL.
 *
 * We end as the command did, with its exit status or by its signal; what it left of its group ends before.
 *
 * With --pipes it is another service: we make the pipes that we were given at 0 and 1 hold BYTES, or as much as this user
 * may have, and become the program. A runtime gives its children pipes of 64 KiB and has no way to widen them.
 *
 * Linked statically, so that nothing is preloaded into us.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

/* How long the group may take to end after SIGTERM. */
#define PATIENCE_S 2
/* What telepresence itself ends with when it fails. */
#define EXIT_FAILED 255

static const int passed_on[] = { SIGTERM, SIGINT, SIGHUP, SIGQUIT };

/* watched() - every signal that the loop waits for */
static sigset_t watched(void)
{
	static const int others[] = { SIGCHLD, SIGCONT, SIGUSR1, SIGUSR2, SIGALRM, SIGTSTP, SIGTTOU, SIGTTIN };
	sigset_t set;

	sigemptyset(&set);
	for (size_t i = 0; i < sizeof(passed_on) / sizeof(*passed_on); i++)
		sigaddset(&set, passed_on[i]);
	for (size_t i = 0; i < sizeof(others) / sizeof(*others); i++)
		sigaddset(&set, others[i]);
	return set;
}

/* close_others() - leaves the command descriptors 0, 1 and 2; the rest closes when it is executed */
static void close_others(void)
{
#ifdef SYS_close_range
	if (syscall(SYS_close_range, 3u, ~0u, 4u /* CLOSE_RANGE_CLOEXEC */) == 0)
		return;
#endif
	for (int fd = 3; fd < 65536; fd++)
		fcntl(fd, F_SETFD, FD_CLOEXEC);
}

/* execute() - becomes the program; a script without its first line is the shell's, as execvp(3) has it */
static void execute(char **argv)
{
	execvp(argv[0], argv);
	if (errno != ENOEXEC)
		return;
	size_t count = 0;
	while (argv[count] != NULL)
		count++;
	char **longer = calloc(count + 2, sizeof(*longer));
	if (longer == NULL)
		return;
	longer[0] = "sh";
	memcpy(longer + 1, argv, count * sizeof(*longer));
	execv("/bin/sh", longer);
}

/* run() - the child's side: never returns */
static void run(char **argv, bool foreground, const sigset_t *mask, int told)
{
	setpgid(0, 0);
	if (foreground)
		tcsetpgrp(STDIN_FILENO, getpid()); /* SIGTTOU is blocked here */
	for (int sig = 1; sig < NSIG; sig++)
		signal(sig, SIG_DFL);
	sigprocmask(SIG_SETMASK, mask, NULL);
	close_others();
	execute(argv);
	int why = errno;
	(void)!write(told, &why, sizeof(why));
	_exit(EXIT_FAILED);
}

/* to_group() - a signal for the whole group, which may be stopped */
static void to_group(pid_t child, int sig)
{
	kill(-child, sig);
	if (sig != SIGKILL)
		kill(-child, SIGCONT);
}

/* in_front() - whether our own group has the terminal */
static bool in_front(void)
{
	return tcgetpgrp(STDIN_FILENO) == getpgrp();
}

/* hand_over() - gives the command the terminal, if we have it, and lets it go on */
static void hand_over(pid_t child, bool has_terminal)
{
	if (has_terminal && in_front())
		tcsetpgrp(STDIN_FILENO, child);
	kill(-child, SIGCONT);
}

/* stop_with() - the command was stopped: so are we, until the shell lets us go on */
static void stop_with(pid_t child, bool has_terminal)
{
	sigset_t stop;

	if (has_terminal)
		tcsetpgrp(STDIN_FILENO, getpgrp());
	sigemptyset(&stop);
	sigaddset(&stop, SIGTSTP);
	kill(0, SIGTSTP); /* telepresence too: it stands still with its command */
	sigprocmask(SIG_UNBLOCK, &stop, NULL); /* here we stop; in a group without a shell nothing happens */
	sigprocmask(SIG_BLOCK, &stop, NULL);
	hand_over(child, has_terminal);
}

/* end_rest() - what the command left of its group ends too */
static void end_rest(pid_t child)
{
	if (kill(-child, 0) != 0)
		return;
	to_group(child, SIGTERM);
	for (int i = 0; i < PATIENCE_S * 100; i++) {
		if (kill(-child, 0) != 0)
			return;
		nanosleep(&(struct timespec){ .tv_nsec = 10 * 1000 * 1000 }, NULL);
	}
	kill(-child, SIGKILL);
}

/* end_as() - ends as the command did: never returns */
static void end_as(int status)
{
	if (WIFSIGNALED(status)) {
		int sig = WTERMSIG(status);
		sigset_t set;

		setrlimit(RLIMIT_CORE, &(struct rlimit){ 0, 0 }); /* the command has left one, if it wanted to */
		signal(sig, SIG_DFL);
		sigemptyset(&set);
		sigaddset(&set, sig);
		sigprocmask(SIG_UNBLOCK, &set, NULL);
		kill(getpid(), sig);
	}
	_exit(WIFEXITED(status) ? WEXITSTATUS(status) : EXIT_FAILED);
}

/* attend() - until the command ends. Return: its status */
static int attend(pid_t child, const sigset_t *set, bool has_terminal)
{
	for (;;) {
		int status;
		int sig = sigwaitinfo(set, NULL);

		switch (sig) {
		case SIGCHLD:
			while (waitpid(child, &status, WNOHANG | WUNTRACED) > 0) {
				if (!WIFSTOPPED(status))
					return status;
				stop_with(child, has_terminal);
			}
			break;
		case SIGCONT: /* fg after bg */
			hand_over(child, has_terminal);
			break;
		case SIGUSR1:
		case SIGALRM:
			to_group(child, SIGKILL);
			break;
		case SIGUSR2: /* our parent is gone */
			to_group(child, SIGTERM);
			alarm(PATIENCE_S);
			break;
		case SIGTERM:
		case SIGINT:
		case SIGHUP:
		case SIGQUIT:
			to_group(child, sig);
			break;
		default: /* SIGTSTP, SIGTTOU, SIGTTIN: blocked, so that we can work on the terminal from behind */
			break;
		}
	}
}

/* widen() - a pipe that holds so much, or the half, and so on; what is no pipe stays as it is */
static void widen(int fd, long bytes)
{
	for (long held = fcntl(fd, F_GETPIPE_SZ); held > 0 && held < bytes; bytes /= 2)
		if (fcntl(fd, F_SETPIPE_SZ, (int)bytes) >= 0)
			return;
}

/* become() - the program itself, with wide pipes. Return: only when it cannot be executed */
static int become(const char *bytes, char **argv)
{
	long wanted = strtol(bytes, NULL, 10);

	if (wanted > INT_MAX)
		wanted = INT_MAX;
	widen(STDIN_FILENO, wanted);
	widen(STDOUT_FILENO, wanted);
	execvp(argv[0], argv);
	fprintf(stderr, "%s: %s\n", argv[0], strerror(errno));
	return EXIT_FAILED;
}

int main(int argc, char **argv)
{
	sigset_t set = watched(), mask;
	int told[2], why = 0;

	if (argc > 3 && strcmp(argv[1], "--pipes") == 0)
		return become(argv[2], argv + 3);
	if (argc < 2 || pipe2(told, O_CLOEXEC) != 0)
		return EXIT_FAILED;
	sigprocmask(SIG_BLOCK, &set, &mask);
	bool has_terminal = isatty(STDIN_FILENO) && in_front();
	prctl(PR_SET_PDEATHSIG, SIGUSR2);

	pid_t child = fork();
	if (child < 0)
		return EXIT_FAILED;
	if (child == 0)
		run(argv + 1, has_terminal, &mask, told[1]);
	setpgid(child, child); /* whichever of us is first */
	close(told[1]);
	bool failed = read(told[0], &why, sizeof(why)) == (ssize_t)sizeof(why);
	close(told[0]);

	int status = attend(child, &set, has_terminal);
	end_rest(child);
	if (has_terminal)
		tcsetpgrp(STDIN_FILENO, getpgrp());
	if (failed)
		fprintf(stderr, "T: Error: %s: %s\n", argv[1], strerror(why));
	end_as(status);
}
