/*
 * places.c - connects and lookups from the odd places of a process: constructors, signal and fork handlers, dlopened
 * libraries, threads with little stack, after a longjmp out of a lookup
 *
 * Made twice: as a program, and with -DLIBRARY as a library whose constructor connects.
 */
#include "errno_name.h"

#include <arpa/inet.h>
#include <dlfcn.h>
#include <limits.h>
#include <netdb.h>
#include <netinet/in.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

/* Connects to port 7 of the pod's 10.96.7.7 and has a word echoed; uses no stdio, for signal handlers */
static void talk(const char *place)
{
    struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons(7) };
    char line[128] = "", back[8] = "";
    int fd = socket(AF_INET, SOCK_STREAM, 0);

    inet_pton(AF_INET, "10.96.7.7", &to.sin_addr);
    if (connect(fd, (struct sockaddr *)&to, sizeof(to)))
        strcpy(back, "failed");
    else if (write(fd, "hello", 5) != 5 || recv(fd, back, 5, MSG_WAITALL) != 5)
        strcpy(back, "broken");
    close(fd);
    strcat(strcat(strcat(strcat(line, place), ": "), back), "\n");
    if (write(STDOUT_FILENO, line, strlen(line)) < 0)
        _exit(1);
}

#ifdef LIBRARY

__attribute__((constructor)) static void begin(void)
{
    struct addrinfo *list;

    talk("constructor");
    if (getenv("RESOLVE") && !getaddrinfo("echo", "7", NULL, &list))
        freeaddrinfo(list);
}

void from_library(void)
{
    talk("function of a dlopened library");
}

#else

static sigjmp_buf out;

static void on_signal(int number)
{
    if (number == SIGALRM)
        siglongjmp(out, 1);
    talk("signal handler");
}

static void before_fork(void)
{
    talk("fork handler, before");
}

static void in_parent(void)
{
    talk("fork handler, parent");
}

static void in_child(void)
{
    talk("fork handler, child");
}

static void *in_thread(void *place)
{
    talk(place);
    return NULL;
}

static void six(const char *title, const char *own, const char *to, int only)
{
    struct sockaddr_in6 source = { .sin6_family = AF_INET6 };
    struct sockaddr_in6 target = { .sin6_family = AF_INET6, .sin6_port = htons(7) };
    struct sockaddr_in6 peer, here;
    char text[INET6_ADDRSTRLEN], mine[INET6_ADDRSTRLEN];
    socklen_t length = sizeof(peer);
    int fd = socket(AF_INET6, SOCK_STREAM, 0);

    setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &only, sizeof(only));
    inet_pton(AF_INET6, to, &target.sin6_addr);
    if (*own && (inet_pton(AF_INET6, own, &source.sin6_addr) != 1 ||
                 bind(fd, (struct sockaddr *)&source, sizeof(source)))) {
        printf("%s: bind: %s\n", title, name(errno));
    } else if (connect(fd, (struct sockaddr *)&target, sizeof(target))) {
        printf("%s: %s\n", title, name(errno));
    } else {
        getpeername(fd, (struct sockaddr *)&peer, &length);
        getsockname(fd, (struct sockaddr *)&here, &length);
        printf("%s: from %s to %s\n", title, inet_ntop(AF_INET6, &here.sin6_addr, mine, sizeof(mine)),
               inet_ntop(AF_INET6, &peer.sin6_addr, text, sizeof(text)));
    }
    fflush(stdout);
    close(fd);
}

int main(int count, char **words)
{
    pthread_attr_t small;
    pthread_t thread;
    void *library;

    if (count != 2)
        return 2;

    library = dlopen(words[1], RTLD_NOW);
    if (library) {
        void (*function)(void) = NULL;
        void *symbol = dlsym(library, "from_library");

        memcpy(&function, &symbol, sizeof(symbol));
        function();
        dlclose(library);
    }

    pthread_attr_init(&small);
    pthread_attr_setstacksize(&small, 32768);
    pthread_create(&thread, &small, in_thread, "thread with 32 KiB of stack");
    pthread_join(thread, NULL);

    signal(SIGUSR1, on_signal);
    raise(SIGUSR1);

    /* As programs do that put a limit to a lookup by alarm(). */
    signal(SIGALRM, on_signal);
    struct itimerval soon = { .it_value.tv_usec = 100 * 1000 };

    if (!sigsetjmp(out, 1)) {
        setitimer(ITIMER_REAL, &soon, NULL);
        gethostbyname("silent");
        printf("not interrupted\n");
    }
    talk("after a longjmp out of a lookup");

    six("IPv6", "", "2001:db8::7", 0);
    six("IPv6 alone", "", "2001:db8::7", 1);
    six("v4-mapped", "", "::ffff:10.96.7.7", 0);
    six("v4-mapped on IPv6 alone", "", "::ffff:10.96.7.7", 1);
    six("IPv6, bound", "::1", "2001:db8::7", 0);
    six("IPv6, bound to a v4-mapped address", "::ffff:127.0.0.1", "::ffff:10.96.7.7", 0);

    pthread_atfork(before_fork, in_parent, in_child);
    if (!fork())
        _exit(0);
    wait(NULL);
    return 0;
}

#endif
