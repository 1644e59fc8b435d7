/* musl_names.c - the first IPv4 address of each name, as musl's resolver finds it, or why there is none */
#include <arpa/inet.h>
#include <netdb.h>
#include <stdio.h>
#include <sys/socket.h>

int main(int count, char **names)
{
    for (int i = 1; i < count; i++) {
        struct addrinfo wanted = { .ai_family = AF_INET, .ai_socktype = SOCK_STREAM }, *found;
        char address[INET_ADDRSTRLEN];
        int why = getaddrinfo(names[i], NULL, &wanted, &found);

        if (why) {
            printf("%s: %s\n", names[i], gai_strerror(why));
            continue;
        }
        inet_ntop(AF_INET, &((struct sockaddr_in *)found->ai_addr)->sin_addr, address, sizeof(address));
        printf("%s: %s\n", names[i], address);
        freeaddrinfo(found);
    }
    return 0;
}
