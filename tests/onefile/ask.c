/*
 * ask - asks a web server for its page and writes it, head and all: a program that uses libc for names and connections.
 *
 *	ask NAME
 */
#include <netdb.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	const struct addrinfo hints = { .ai_family = AF_INET, .ai_socktype = SOCK_STREAM };
	struct addrinfo *found = NULL;
	char buffer[4096];
	int failed = argc == 2 ? getaddrinfo(argv[1], "80", &hints, &found) : EAI_NONAME;

	if (failed != 0) {
		fprintf(stderr, "ask: %s\n", gai_strerror(failed));
		return 1;
	}
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	int length = snprintf(buffer, sizeof(buffer), "GET / HTTP/1.0\r\nHost: %s\r\n\r\n", argv[1]);
	if (connect(fd, found->ai_addr, found->ai_addrlen) != 0 || write(fd, buffer, (size_t)length) != length) {
		perror("ask");
		return 1;
	}
	for (ssize_t count; (count = read(fd, buffer, sizeof(buffer))) > 0;)
		fwrite(buffer, 1, (size_t)count, stdout);
	freeaddrinfo(found);
	return close(fd);
}
