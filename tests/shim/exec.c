/*
 * exec.c - starts a program in one of the ways that there are, with an environment that is empty
 *
 * exec HOW PATH WORD: the program gets WORD; HOW is the name of the function.
 */
#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static char *nothing[] = { NULL };

/* By a shell, after the program has cleaned its environment */
static int shell(const char *how, const char *path, const char *word)
{
    char command[1024], line[256] = "";
    FILE *stream, *other;
    int status;

    clearenv();
    snprintf(command, sizeof(command), "%s -sS %s; exit 3", path, word);
    if (!strcmp(how, "system")) {
        status = system(command);
        exit(WIFEXITED(status) && WEXITSTATUS(status) == 3 && system("kill -9 $$") == 9 ? 0 : 1);
    }
    if (!strcmp(how, "popen")) {
        other = popen("cat >/dev/null", "we");
        stream = popen(command, "r");
        if (!stream || !other || !fgets(line, sizeof(line), stream))
            return -1;
        fputs(line, stdout);
        status = pclose(stream);
        exit(WEXITSTATUS(status) == 3 && pclose(other) == 0 ? 0 : 1);
    }
    errno = ENOSYS;
    return -1;
}

static int start(const char *how, const char *path, char *word)
{
    char name[] = "program";
    char *words[] = { name, word, NULL };
    const char *file = strrchr(path, '/') + 1;
    pid_t pid;
    int status;

    if (!strcmp(how, "execve"))
        return execve(path, words, nothing);
    if (!strcmp(how, "execve-null"))
        return execve(path, words, NULL);
    if (!strcmp(how, "execvpe"))
        return execvpe(file, words, nothing);
    if (!strcmp(how, "execle"))
        return execle(path, name, word, (char *)NULL, nothing);
    if (!strcmp(how, "fexecve"))
        return fexecve(open(path, O_RDONLY), words, nothing);
    if (!strcmp(how, "execveat"))
        return execveat(-1, path, words, nothing, 0);
    if (!strcmp(how, "posix_spawn") || !strcmp(how, "posix_spawnp")) {
        errno = how[11] ? posix_spawnp(&pid, file, NULL, NULL, words, nothing)
                        : posix_spawn(&pid, path, NULL, NULL, words, nothing);
        if (errno)
            return -1;
        waitpid(pid, &status, 0);
        exit(WEXITSTATUS(status));
    }
    if (!strcmp(how, "vfork")) {
        pid = vfork();
        if (!pid) {
            execve(path, words, nothing);
            _exit(127);
        }
        waitpid(pid, &status, 0);
        exit(WEXITSTATUS(status));
    }
    /* The rest take the environment of this process. */
    unsetenv("LD_PRELOAD");
    unsetenv("TELEPRESENCE_SHIM_SOCKET");
    if (!strcmp(how, "execv"))
        return execv(path, words);
    if (!strcmp(how, "execvp"))
        return execvp(file, words);
    if (!strcmp(how, "execl"))
        return execl(path, name, word, (char *)NULL);
    if (!strcmp(how, "execlp"))
        return execlp(file, name, word, (char *)NULL);
    return shell(how, path, word);
}

int main(int count, char **words)
{
    if (count != 4)
        return 2;
    start(words[1], words[2], words[3]);
    perror(words[1]);
    return 1;
}
