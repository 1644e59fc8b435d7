/*
 * runtime - stands for Deno in the tests of the one file: tells how it was started, or does what it is told.
 *
 *	runtime run FLAG ... SCRIPT (words WORD ... | exit CODE | cat | ignores SIGNAL)
 *
 * Three megabytes of zeros make it large enough for a disk to be too small.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static volatile char padding[3 << 20] = { 1 };

int main(int argc, char **argv)
{
	int told = 1;

	while (told < argc && strstr(argv[told], "/telepresence-") == NULL)
		told++;
	const char *what = told + 1 < argc ? argv[told + 1] : "words", *with = told + 2 < argc ? argv[told + 2] : "0";
	if (strcmp(what, "exit") == 0)
		return atoi(with) + padding[sizeof(padding) - 1];
	if (strcmp(what, "kill") == 0)
		return raise(atoi(with));
	if (strcmp(what, "cat") == 0) {
		static char buffer[65536];
		for (ssize_t count; (count = read(0, buffer, sizeof(buffer))) > 0;)
			if (write(1, buffer, (size_t)count) != count)
				return 1;
		return 0;
	}
	if (strcmp(what, "ignores") == 0) {
		struct sigaction action;
		sigaction(atoi(with), NULL, &action);
		puts(action.sa_handler == SIG_IGN ? "ignored" : "default");
		return 0;
	}
	const char *mark = getenv("DENO_NO_UPDATE_CHECK_BY");
	const char *cache = getenv("DENO_DIR_BY");
	printf("%ld\n%s %s\n", (long)getpid(), getenv("DENO_NO_UPDATE_CHECK"), mark == NULL ? "unmarked" : mark);
	printf("%s %s\n", getenv("DENO_DIR"), cache == NULL ? "unmarked" : cache);
	for (int i = 0; i < argc; i++)
		printf("%s\n", argv[i]);
	return 0;
}
