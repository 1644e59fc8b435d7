/*
 * own.c - the machine's own addresses (rtnetlink(7), getifaddrs(3))
 *
 * What programs of a machine say to each other goes over the loopback, as what comes to us does, and its addresses may be
 * in a range of the session's (10.0.0.0/8, say). They stay the machine's, but for a name server there (127.0.0.53).
 */
#include "netns.h"
#include "netlink.h"

#include <fcntl.h>
#include <ifaddrs.h>
#include <linux/rtnetlink.h>
#include <string.h>
#include <unistd.h>

/**
 * open_news() - Has us told when the machine gets or loses an address
 *
 * Return: a socket that is readable then, or -1
 */
int open_news(void)
{
    struct sockaddr_nl groups = { .nl_family = AF_NETLINK, .nl_groups = RTMGRP_IPV4_IFADDR | RTMGRP_IPV6_IFADDR };
    int fd = netlink_open(NETLINK_ROUTE);

    if (fd < 0)
        return -1;
    fcntl(fd, F_SETFL, O_NONBLOCK);
    if (!bind(fd, (struct sockaddr *)&groups, sizeof(groups)))
        return fd;
    close(fd);
    return -1;
}

/**
 * hear_news() - Leaves the addresses that the machine has now alone
 * @news:	The socket
 */
void hear_news(int news)
{
    char text[4096];

    /* What they say does not matter, nor whether some were lost: all addresses are read anew. */
    while (recv(news, text, sizeof(text), 0) > 0)
        ;
    leave_own_alone();
}

/**
 * own_addresses() - The addresses that the machine has now, and all that are its own by their meaning
 * @into:	Filled with ranges
 * @most:	How many there is room for
 *
 * Return: how many there are
 */
unsigned own_addresses(struct range *into, unsigned most)
{
    struct ifaddrs *all = NULL;
    unsigned count = 0;

    parse_range("127.0.0.0/8", &into[count++]);
    parse_range("::1/128", &into[count++]);
    if (getifaddrs(&all))
        return count;
    for (struct ifaddrs *each = all; each && count < most; each = each->ifa_next) {
        struct sockaddr_storage address = { 0 };

        if (!each->ifa_addr || (each->ifa_addr->sa_family != AF_INET && each->ifa_addr->sa_family != AF_INET6))
            continue;
        memcpy(&address, each->ifa_addr,
               each->ifa_addr->sa_family == AF_INET ? sizeof(struct sockaddr_in) : sizeof(struct sockaddr_in6));
        into[count].base = from_sockaddr(&address);
        into[count].base.port = 0;
        into[count++].bits = address.ss_family == AF_INET ? 32 : 128;
    }
    freeifaddrs(all);
    return count;
}
