/*
 * load - what `make bench` measures with: a server for the pod and a client for whatever leads there.
 *
 *   load serve PORT                 echoes, sends or swallows, as the first byte of a connection says
 *   load METRIC HOST PORT [NUMBER]  prints one number
 *
 * METRIC   NUMBER        prints
 * down     MiB           MB/s from the pod over one connection
 * up       MiB           MB/s to the pod, until the pod has read all of it
 * down8    MiB each      MB/s over eight connections in sum
 * ping     rounds        ms: p50 and p99 of 64 bytes there and back
 * beside   rounds        ms: p50 and p99 beside a download, and MB/s of that
 * burst    connections   connects per second, 50 at a time, until the first byte is back
 * row      connections   connects per second, one after another, until the first byte is back
 * end      connections   ms: median from the last byte of a connection until its end is seen
 * stopped  MiB           MB/s of a download alone and beside eight connections whose reader has stopped
 * many     connections   echoes per second over so many open connections, which stay open for ten seconds more
 * pattern  MiB each      MB/s in sum over two downloads and two uploads at once, every byte of which is checked
 *
 * In C, so that it is not what is measured.
 */
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { BUFFER = 256 * 1024, PING = 64, AT_ONCE = 50 };

static struct sockaddr_in peer;

/* fill() - bytes of the pattern from an offset that is a multiple of eight: no two words of it are alike. */
static void fill(uint64_t *words, size_t count, uint64_t offset)
{
	for (size_t i = 0; i < count / 8; i++)
		words[i] = (offset / 8 + i) * UINT64_C(0x9e3779b97f4a7c15);
}

static void die(const char *what)
{
	perror(what);
	exit(1);
}

static double now(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec + t.tv_nsec / 1e9;
}

static int write_all(int fd, const void *bytes, size_t count)
{
	for (size_t done = 0; done < count;) {
		ssize_t n = write(fd, (const char *)bytes + done, count - done);
		if (n <= 0)
			return -1;
		done += n;
	}
	return 0;
}

static int read_all(int fd, void *bytes, size_t count)
{
	for (size_t done = 0; done < count;) {
		ssize_t n = read(fd, (char *)bytes + done, count - done);
		if (n <= 0)
			return -1;
		done += n;
	}
	return 0;
}

static void no_delay(int fd)
{
	int on = 1;
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
}

/* serve_one() - does what the first nine bytes of a connection ask for: a kind and a count of bytes. */
static void *serve_one(void *arg)
{
	int fd = (int)(intptr_t)arg;
	char *buffer = calloc(1, BUFFER);
	char kind;
	uint64_t count;
	no_delay(fd);
	if (!buffer || read_all(fd, &kind, 1) || read_all(fd, &count, sizeof count))
		goto end;
	if (kind == 'p') {
		for (uint64_t at = 0; at < count; at += BUFFER) {
			fill((uint64_t *)buffer, BUFFER, at);
			if (write_all(fd, buffer, BUFFER))
				break;
		}
	} else if (kind == 'v') {
		char *want = calloc(1, BUFFER);
		int right = want != NULL;
		for (uint64_t at = 0; right && at < count; at += BUFFER) {
			fill((uint64_t *)want, BUFFER, at);
			right = !read_all(fd, buffer, BUFFER) && !memcmp(buffer, want, BUFFER);
		}
		free(want);
		write_all(fd, right ? "!" : "?", 1);
	} else if (kind == 'd') {
		for (uint64_t left = count; left > 0;) {
			size_t part = left < BUFFER ? left : BUFFER;
			if (write_all(fd, buffer, part))
				break;
			left -= part;
		}
	} else if (kind == 'u') {
		for (uint64_t left = count; left > 0;) {
			ssize_t n = read(fd, buffer, left < BUFFER ? left : BUFFER);
			if (n <= 0)
				goto end;
			left -= n;
		}
		write_all(fd, "!", 1);
	} else {
		for (ssize_t n; (n = read(fd, buffer, BUFFER)) > 0;)
			if (write_all(fd, buffer, n))
				break;
	}
end:
	free(buffer);
	close(fd);
	return NULL;
}

static void serve(int port)
{
	int on = 1, listener = socket(AF_INET, SOCK_STREAM, 0);
	struct sockaddr_in any = { .sin_family = AF_INET, .sin_port = htons(port) };
	setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
	if (bind(listener, (struct sockaddr *)&any, sizeof any) || listen(listener, 1024))
		die("listen");
	for (;;) {
		pthread_t thread;
		int fd = accept(listener, NULL, NULL);
		if (fd < 0)
			die("accept");
		if (pthread_create(&thread, NULL, serve_one, (void *)(intptr_t)fd))
			close(fd);
		else
			pthread_detach(thread);
	}
}

static int dial(char kind, uint64_t count)
{
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	char head[9] = { kind };
	memcpy(head + 1, &count, sizeof count);
	if (fd < 0 || connect(fd, (struct sockaddr *)&peer, sizeof peer))
		die("connect");
	no_delay(fd);
	if (write_all(fd, head, sizeof head))
		die("write");
	return fd;
}

static atomic_int stop;

/* download() - reads `count` bytes, or until it is told to stop; gives back how many came. */
static uint64_t download(uint64_t count)
{
	char *buffer = malloc(BUFFER);
	int fd = dial('d', count);
	uint64_t got = 0;
	while (got < count && !stop) {
		ssize_t n = read(fd, buffer, BUFFER);
		if (n <= 0)
			die("read");
		got += n;
	}
	close(fd);
	free(buffer);
	return got;
}

static void *download_thread(void *arg)
{
	return (void *)(uintptr_t)download((uintptr_t)arg);
}

static double upload(uint64_t count)
{
	static char buffer[BUFFER];
	double start = now();
	char answer;
	int fd = dial('u', count);
	for (uint64_t left = count; left > 0;) {
		size_t part = left < BUFFER ? left : BUFFER;
		if (write_all(fd, buffer, part))
			die("write");
		left -= part;
	}
	if (read_all(fd, &answer, 1))
		die("read");
	close(fd);
	return count / (now() - start) / 1e6;
}

static int by_size(const void *a, const void *b)
{
	double d = *(const double *)a - *(const double *)b;
	return d < 0 ? -1 : d > 0;
}

static void ping(int rounds)
{
	double *times = calloc(rounds, sizeof *times);
	char bytes[PING] = { 0 };
	int fd = dial('e', 0);
	for (int i = -20; i < rounds; i++) {
		double start = now();
		if (write_all(fd, bytes, PING) || read_all(fd, bytes, PING))
			die("ping");
		if (i >= 0)
			times[i] = (now() - start) * 1e3;
	}
	close(fd);
	qsort(times, rounds, sizeof *times, by_size);
	printf("%.3f %.3f", times[rounds / 2], times[rounds * 99 / 100]);
	free(times);
}

/* end_seen() - how much later than its last byte the end of a connection comes, which the pod sends with it */
static void end_seen(int rounds)
{
	double *times = calloc(rounds, sizeof *times);
	char byte;
	for (int i = 0; i < rounds; i++) {
		int fd = dial('d', 1);
		if (read_all(fd, &byte, 1))
			die("read");
		double start = now();
		if (read(fd, &byte, 1) != 0)
			die("end");
		times[i] = (now() - start) * 1e3;
		close(fd);
	}
	qsort(times, rounds, sizeof *times, by_size);
	printf("%.3f", times[rounds / 2]);
	free(times);
}

static void connect_once(void)
{
	char byte = 'x';
	int fd = dial('e', 0);
	if (write_all(fd, &byte, 1) || read_all(fd, &byte, 1))
		die("echo");
	close(fd);
}

/* stopped() - a download that a stopped reader holds up counts as none: ten seconds without a byte end it. */
static void stopped(uint64_t bytes)
{
	static char byte[65536];
	struct timeval patience = { .tv_sec = 10 };
	double rates[2];
	for (int round = 0; round < 2; round++) {
		for (int i = 0; round == 1 && i < 8; i++)
			if (read_all(dial('d', UINT64_C(1) << 40), byte, sizeof byte))
				die("read");
		if (round == 1)
			sleep(1);
		double start = now();
		uint64_t got = 0;
		int fd = dial('d', bytes);
		setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
		for (ssize_t n; got < bytes && (n = read(fd, byte, sizeof byte)) > 0;)
			got += n;
		close(fd);
		rates[round] = got / (now() - start) / 1e6;
	}
	printf("%.1f %.1f %.2f", rates[0], rates[1], rates[1] / rates[0]);
}

/* many() - the child keeps the connections open, so that memory can be looked at. */
static void many(int count)
{
	enum { ROUNDS = 10 };
	char bytes[PING] = { 0 };
	int *fds = calloc(count, sizeof *fds);
	for (int i = 0; i < count; i++)
		fds[i] = dial('e', 0);
	double start = now();
	for (int round = 0; round < ROUNDS; round++) {
		for (int i = 0; i < count; i++)
			if (write_all(fds[i], bytes, PING))
				die("write");
		for (int i = 0; i < count; i++)
			if (read_all(fds[i], bytes, PING))
				die("read");
	}
	printf("%.0f", count * ROUNDS / (now() - start));
	fflush(stdout);
	if (fork() > 0)
		return;
	close(STDOUT_FILENO);
	sleep(10);
	_exit(0);
}

static void *pattern_down(void *arg)
{
	uint64_t count = (uintptr_t)arg;
	char *buffer = malloc(BUFFER), *want = malloc(BUFFER);
	int fd = dial('p', count);
	for (uint64_t at = 0; at < count; at += BUFFER) {
		fill((uint64_t *)want, BUFFER, at);
		if (read_all(fd, buffer, BUFFER) || memcmp(buffer, want, BUFFER)) {
			fprintf(stderr, "load: wrong or missing bytes after %llu\n", (unsigned long long)at);
			exit(1);
		}
	}
	if (read(fd, buffer, 1) != 0)
		die("more than was asked for");
	close(fd);
	return NULL;
}

static void *pattern_up(void *arg)
{
	uint64_t count = (uintptr_t)arg;
	char *buffer = malloc(BUFFER), answer = 0;
	int fd = dial('v', count);
	for (uint64_t at = 0; at < count; at += BUFFER) {
		fill((uint64_t *)buffer, BUFFER, at);
		if (write_all(fd, buffer, BUFFER))
			die("write");
	}
	if (read_all(fd, &answer, 1) || answer != '!') {
		fprintf(stderr, "load: the other end got wrong bytes\n");
		exit(1);
	}
	close(fd);
	return NULL;
}

static atomic_int left_to_connect;

static void *connect_thread(void *arg)
{
	(void)arg;
	while (atomic_fetch_sub(&left_to_connect, 1) > 0)
		connect_once();
	return NULL;
}

static void burst(int count)
{
	pthread_t threads[AT_ONCE];
	double start = now();
	left_to_connect = count;
	for (int i = 0; i < AT_ONCE; i++)
		if (pthread_create(&threads[i], NULL, connect_thread, NULL))
			die("thread");
	for (int i = 0; i < AT_ONCE; i++)
		pthread_join(threads[i], NULL);
	printf("%.0f", count / (now() - start));
}

int main(int argc, char **argv)
{
	pthread_t threads[8];
	signal(SIGPIPE, SIG_IGN);
	if (argc == 3 && !strcmp(argv[1], "serve"))
		serve(atoi(argv[2]));
	if (argc < 5) {
		fprintf(stderr, "usage: load serve PORT | load METRIC HOST PORT NUMBER\n");
		return 2;
	}
	const char *metric = argv[1];
	uint64_t number = strtoull(argv[4], NULL, 10), bytes = number << 20;
	peer.sin_family = AF_INET;
	peer.sin_port = htons(atoi(argv[3]));
	if (inet_pton(AF_INET, argv[2], &peer.sin_addr) != 1)
		die("address");
	double start = now();
	if (!strcmp(metric, "down")) {
		download(bytes);
		printf("%.1f", bytes / (now() - start) / 1e6);
	} else if (!strcmp(metric, "up")) {
		printf("%.1f", upload(bytes));
	} else if (!strcmp(metric, "down8")) {
		for (int i = 0; i < 8; i++)
			if (pthread_create(&threads[i], NULL, download_thread, (void *)(uintptr_t)bytes))
				die("thread");
		for (int i = 0; i < 8; i++)
			pthread_join(threads[i], NULL);
		printf("%.1f", 8 * bytes / (now() - start) / 1e6);
	} else if (!strcmp(metric, "ping")) {
		ping(number);
	} else if (!strcmp(metric, "beside")) {
		void *got;
		pthread_create(&threads[0], NULL, download_thread, (void *)(uintptr_t)(UINT64_C(1) << 40));
		usleep(300000);
		ping(number);
		double seconds = now() - start;
		stop = 1;
		pthread_join(threads[0], &got);
		printf(" %.1f", (uintptr_t)got / seconds / 1e6);
	} else if (!strcmp(metric, "burst")) {
		burst(number);
	} else if (!strcmp(metric, "end")) {
		end_seen(number);
	} else if (!strcmp(metric, "stopped")) {
		stopped(bytes);
	} else if (!strcmp(metric, "many")) {
		many(number);
	} else if (!strcmp(metric, "pattern")) {
		for (int i = 0; i < 4; i++)
			if (pthread_create(&threads[i], NULL, i % 2 ? pattern_up : pattern_down, (void *)(uintptr_t)bytes))
				die("thread");
		for (int i = 0; i < 4; i++)
			pthread_join(threads[i], NULL);
		printf("%.1f", 4 * bytes / (now() - start) / 1e6);
	} else if (!strcmp(metric, "row")) {
		for (uint64_t i = 0; i < number; i++)
			connect_once();
		printf("%.0f", number / (now() - start));
	} else {
		fprintf(stderr, "load: unknown metric %s\n", metric);
		return 2;
	}
	printf("\n");
	return 0;
}
