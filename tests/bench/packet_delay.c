/*
 * packet_delay - a long path: packets between this machine and a network namespace, each later by MS.
 *
 *   packet_delay NETNS MS
 *
 * Theory of operation: a TUN device here (10.213.77.1) and one in the namespace (10.213.77.2, which has its default route
 * there). What the kernel sends into one is written into the other when its time has come, so real TCP at both ends sees
 * a round trip of twice MS, with its windows and its congestion control; nothing is lost here and nothing re-ordered.
 * Segments come and go in one piece of up to 64 KiB, as to a network card that cuts them itself (virtio_net.h: each piece
 * has a header that says how): packet by packet, this program was the path's bound, at 25 MB/s.
 * Prints "ready"; the devices go with the process. To forward between them and a cluster is the caller's business.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <linux/if_tun.h>
#include <linux/virtio_net.h>
#include <net/if.h>
#include <pthread.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

enum { PIECE = sizeof(struct virtio_net_hdr) + 65536, SLOTS = 1 << 15 };

/* One direction: a ring of packets with the time at which each is due. */
struct way {
	int from, to;
	pthread_mutex_t lock;
	pthread_cond_t changed;
	unsigned head, tail;
	struct {
		struct timespec due;
		int length;
		unsigned char *bytes;
	} slots[SLOTS];
};

static long delay_ns;

static void die(const char *what)
{
	perror(what);
	exit(1);
}

static void run(const char *command)
{
	if (system(command)) {
		fprintf(stderr, "packet_delay: failed: %s\n", command);
		exit(1);
	}
}

/* run_in() - runs `ip` with these words in the namespace. */
static void run_in(const char *netns, const char *words)
{
	char command[512];
	snprintf(command, sizeof command, "ip -n %s %s", netns, words);
	run(command);
}

static int open_tun(const char *name)
{
	struct ifreq request = { .ifr_flags = IFF_TUN | IFF_NO_PI | IFF_VNET_HDR };
	int fd = open("/dev/net/tun", O_RDWR);
	strncpy(request.ifr_name, name, IFNAMSIZ - 1);
	if (fd < 0 || ioctl(fd, TUNSETIFF, &request))
		die("tun");
	if (ioctl(fd, TUNSETOFFLOAD, TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6))
		die("tun offload");
	return fd;
}

static int open_tun_in(const char *netns, const char *name)
{
	char path[256];
	int here = open("/proc/self/ns/net", O_RDONLY);
	snprintf(path, sizeof path, "/run/netns/%s", netns);
	int there = open(path, O_RDONLY);
	if (here < 0 || there < 0 || setns(there, CLONE_NEWNET))
		die(path);
	int fd = open_tun(name);
	if (setns(here, CLONE_NEWNET))
		die("setns");
	close(here);
	close(there);
	return fd;
}

/* take() - reads packets into the ring; with a full ring the kernel's queue waits. */
static void *take(void *arg)
{
	struct way *way = arg;
	unsigned char packet[PIECE];
	for (;;) {
		int length = read(way->from, packet, sizeof packet);
		if (length < 0)
			die("read");
		pthread_mutex_lock(&way->lock);
		while (way->head - way->tail == SLOTS)
			pthread_cond_wait(&way->changed, &way->lock);
		unsigned at = way->head % SLOTS;
		struct timespec *due = &way->slots[at].due;
		clock_gettime(CLOCK_MONOTONIC, due);
		due->tv_nsec += delay_ns;
		due->tv_sec += due->tv_nsec / 1000000000;
		due->tv_nsec %= 1000000000;
		way->slots[at].length = length;
		way->slots[at].bytes = malloc(length);
		if (!way->slots[at].bytes)
			die("malloc");
		memcpy(way->slots[at].bytes, packet, length);
		way->head++;
		pthread_cond_broadcast(&way->changed);
		pthread_mutex_unlock(&way->lock);
	}
	return NULL;
}

/* give() - writes each packet when it is due. */
static void *give(void *arg)
{
	struct way *way = arg;
	for (;;) {
		pthread_mutex_lock(&way->lock);
		while (way->head == way->tail)
			pthread_cond_wait(&way->changed, &way->lock);
		unsigned at = way->tail % SLOTS;
		pthread_mutex_unlock(&way->lock);
		clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &way->slots[at].due, NULL);
		if (write(way->to, way->slots[at].bytes, way->slots[at].length) < 0) {
			/* An interface that is going down: what it does not take is lost, as on any wire. */
		}
		free(way->slots[at].bytes);
		pthread_mutex_lock(&way->lock);
		way->tail++;
		pthread_cond_broadcast(&way->changed);
		pthread_mutex_unlock(&way->lock);
	}
	return NULL;
}

static struct way there = { .lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER };
static struct way back = { .lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER };

int main(int argc, char **argv)
{
	pthread_t threads[4];
	if (argc != 3) {
		fprintf(stderr, "usage: packet_delay NETNS MS\n");
		return 2;
	}
	delay_ns = atof(argv[2]) * 1e6;
	there.to = back.from = open_tun("tp-delay0");
	there.from = back.to = open_tun_in(argv[1], "tp-delay1");
	run("ip addr add 10.213.77.1/30 dev tp-delay0");
	run("ip link set tp-delay0 mtu 9000 txqueuelen 30000 up");
	run_in(argv[1], "link set lo up");
	run_in(argv[1], "addr add 10.213.77.2/30 dev tp-delay1");
	run_in(argv[1], "link set tp-delay1 mtu 9000 txqueuelen 30000 up");
	run_in(argv[1], "route add default via 10.213.77.1");
	pthread_create(&threads[0], NULL, take, &there);
	pthread_create(&threads[1], NULL, give, &there);
	pthread_create(&threads[2], NULL, take, &back);
	pthread_create(&threads[3], NULL, give, &back);
	printf("ready\n");
	fflush(stdout);
	pthread_join(threads[0], NULL);
	return 0;
}
