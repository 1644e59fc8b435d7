/*
 * musl_names.c - all addresses of each name, as musl's resolver finds them: it asks for both families at once, from one
 * socket; or why there is none
 */
#include <arpa/inet.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <sys/socket.h>

static void print_addresses(const struct addrinfo *found)
{
    for (; found; found = found->ai_next) {
        char address[INET6_ADDRSTRLEN];
        const void *bytes = found->ai_family == AF_INET6
            ? (const void *)&((struct sockaddr_in6 *)found->ai_addr)->sin6_addr
            : (const void *)&((struct sockaddr_in *)found->ai_addr)->sin_addr;

        printf(" %s", inet_ntop(found->ai_family, bytes, address, sizeof(address)));
    }
}

int main(int count, char **names)
{
    for (int i = 1; i < count; i++) {
        struct addrinfo wanted = { .ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM }, *found;
        int why = getaddrinfo(names[i], NULL, &wanted, &found);

        printf("%s:", names[i]);
        if (why) {
            printf(" %s\n", gai_strerror(why));
            continue;
        }
        print_addresses(found);
        printf("\n");
        freeaddrinfo(found);
    }
    return 0;
}
