/*
 * byte_delay - a long path for bytes: a TCP relay on the loopback that passes on what comes, later by MS each way.
 *
 *   byte_delay TARGET_ADDRESS TARGET_PORT MS
 *
 * Theory of operation: it prints the port on which it listens. Each direction of a connection is a ring of bytes and a
 * ring of marks (up to where the bytes are due at what time), between a thread that reads into it and one that writes
 * out of it what is due. TCP sees two short paths, so nothing is bound by its windows here: what carriers and windows
 * do on a long path is packet_delay.c's to show. It is C and has no loop in common, so that it is as little as possible
 * of what is measured.
 * A full ring waits. An end is passed on as an end, behind the bytes before it; a broken connection closes its twin.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

/* RING is a power of two; a mark covers one read. */
enum { RING = 64 << 20, MARKS = 1 << 14, ONCE = 256 << 10 };

struct mark {
	struct timespec due;
	size_t upto; /* all bytes before this count are due then */
};

struct connection;

/* One direction. `read` and `written` count its bytes from its beginning; `head` and `tail` its marks. */
struct way {
	struct connection *of;
	int from, to;
	pthread_mutex_t lock;
	pthread_cond_t changed;
	size_t read, written;
	unsigned head, tail;
	int ended, broken;
	char *bytes;
	struct mark *marks;
};

struct connection {
	struct way ways[2];
	atomic_int threads; /* the last one closes */
};

static long delay_ns;
static struct sockaddr_in target;

static void die(const char *what)
{
	perror(what);
	exit(1);
}

static void *map(size_t length)
{
	void *at = mmap(NULL, length, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (at == MAP_FAILED)
		die("mmap");
	return at;
}

static void let_go(struct connection *connection)
{
	if (atomic_fetch_sub(&connection->threads, 1) > 1)
		return;
	close(connection->ways[0].from);
	close(connection->ways[0].to);
	for (int i = 0; i < 2; i++) {
		munmap(connection->ways[i].bytes, RING);
		munmap(connection->ways[i].marks, MARKS * sizeof(struct mark));
	}
	free(connection);
}

/* take() - reads into the ring what comes, and marks when it is due. */
static void *take(void *arg)
{
	struct way *way = arg;
	for (;;) {
		pthread_mutex_lock(&way->lock);
		while (!way->broken && (way->read - way->written == RING || way->head - way->tail == MARKS))
			pthread_cond_wait(&way->changed, &way->lock);
		size_t room = RING - (way->read - way->written);
		int broken = way->broken;
		pthread_mutex_unlock(&way->lock);
		size_t at = way->read % RING;
		size_t length = room < RING - at ? room : RING - at;
		ssize_t count = broken ? 0 : read(way->from, way->bytes + at, length < ONCE ? length : ONCE);
		if (count < 0 && errno == EINTR)
			continue;
		pthread_mutex_lock(&way->lock);
		if (count > 0) {
			struct mark *mark = &way->marks[way->head % MARKS];
			clock_gettime(CLOCK_MONOTONIC, &mark->due);
			mark->due.tv_nsec += delay_ns;
			mark->due.tv_sec += mark->due.tv_nsec / 1000000000;
			mark->due.tv_nsec %= 1000000000;
			way->read += count;
			mark->upto = way->read;
			way->head++;
		} else {
			way->ended = 1;
		}
		pthread_cond_broadcast(&way->changed);
		pthread_mutex_unlock(&way->lock);
		if (count <= 0)
			break;
	}
	let_go(way->of);
	return NULL;
}

/* give() - writes what is due, in order; a peer that takes no more ends both directions. */
static void *give(void *arg)
{
	struct way *way = arg;
	for (;;) {
		pthread_mutex_lock(&way->lock);
		while (way->head == way->tail && !way->ended)
			pthread_cond_wait(&way->changed, &way->lock);
		int empty = way->head == way->tail;
		pthread_mutex_unlock(&way->lock);
		if (empty)
			break;
		struct mark *mark = &way->marks[way->tail % MARKS];
		clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &mark->due, NULL);
		ssize_t count = 0;
		for (size_t done = way->written; done < mark->upto && count >= 0; done += count) {
			count = send(way->to, way->bytes + done % RING, mark->upto - done, MSG_NOSIGNAL);
			if (count < 0 && errno == EINTR)
				count = 0;
		}
		pthread_mutex_lock(&way->lock);
		way->written = mark->upto;
		way->tail++;
		way->broken = count < 0;
		pthread_cond_broadcast(&way->changed);
		pthread_mutex_unlock(&way->lock);
		if (count < 0) {
			shutdown(way->from, SHUT_RDWR);
			break;
		}
	}
	shutdown(way->to, SHUT_WR);
	let_go(way->of);
	return NULL;
}

static void carry(int near)
{
	int far = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1;
	if (far < 0 || connect(far, (struct sockaddr *)&target, sizeof target)) {
		close(far);
		close(near);
		return;
	}
	setsockopt(near, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
	setsockopt(far, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
	struct connection *connection = calloc(1, sizeof *connection);
	if (!connection)
		die("calloc");
	connection->threads = 4;
	for (int i = 0; i < 2; i++) {
		struct way *way = &connection->ways[i];
		way->of = connection;
		way->from = i ? far : near;
		way->to = i ? near : far;
		way->bytes = map(RING);
		way->marks = map(MARKS * sizeof(struct mark));
		pthread_mutex_init(&way->lock, NULL);
		pthread_cond_init(&way->changed, NULL);
	}
	for (int i = 0; i < 4; i++) {
		pthread_t thread;
		if (pthread_create(&thread, NULL, i % 2 ? give : take, &connection->ways[i / 2]))
			die("pthread_create");
		pthread_detach(thread);
	}
}

int main(int argc, char **argv)
{
	if (argc != 4) {
		fprintf(stderr, "usage: byte_delay TARGET_ADDRESS TARGET_PORT MS\n");
		return 2;
	}
	target.sin_family = AF_INET;
	target.sin_port = htons(atoi(argv[2]));
	if (inet_pton(AF_INET, argv[1], &target.sin_addr) != 1) {
		fprintf(stderr, "byte_delay: not an IPv4 address: %s\n", argv[1]);
		return 2;
	}
	delay_ns = atof(argv[3]) * 1e6;
	prctl(PR_SET_TIMERSLACK, 1);
	struct sockaddr_in here = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t length = sizeof here;
	int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (listener < 0 || bind(listener, (struct sockaddr *)&here, sizeof here) || listen(listener, 128))
		die("listen");
	if (getsockname(listener, (struct sockaddr *)&here, &length))
		die("getsockname");
	printf("%d\n", ntohs(here.sin_port));
	fflush(stdout);
	for (;;) {
		int near = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
		if (near < 0) {
			if (errno == EINTR || errno == ECONNABORTED)
				continue;
			die("accept");
		}
		carry(near);
	}
}
