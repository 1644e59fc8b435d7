/*
 * unreachable.c - tells a program of this machine that its packet leads nowhere (RFC 792, "Destination Unreachable")
 *
 * The kernel would, by the rule for MARK_NO_HOST, if the packet's destination were an address of its own. In a namespace
 * it is, by the table "local"; on a machine our ranges are in a table beside that, and then the kernel finds no address
 * from which it may send such an answer over IPv4. Over IPv6 it takes another one.
 */
#include "netns.h"

#include <netinet/ip.h>
#include <netinet/ip_icmp.h>
#include <string.h>
#include <unistd.h>

/* What is quoted of the packet: its header with options, and what tells the connection and its sequence number. */
#define QUOTED_BYTES 68

static uint16_t checksum(const uint8_t *bytes, size_t size)
{
    uint32_t sum = 0;

    for (size_t i = 0; i + 1 < size; i += 2)
        sum += (uint32_t)bytes[i] << 8 | bytes[i + 1];
    if (size & 1)
        sum += (uint32_t)bytes[size - 1] << 8;
    while (sum >> 16)
        sum = (sum & 0xffff) + (sum >> 16);
    return htons((uint16_t)~sum);
}

/**
 * tell_unreachable() - Answers a packet with such an error, in the name of its destination
 * @packet:	The packet, of IPv4
 * @size:	How much of it is there
 * @code:	ICMP_HOST_UNREACH or ICMP_NET_UNREACH
 */
void tell_unreachable(const uint8_t *packet, size_t size, uint8_t code)
{
    struct { struct iphdr ip; struct icmphdr icmp; uint8_t quoted[QUOTED_BYTES]; } answer;
    struct sockaddr_in to = { .sin_family = AF_INET };
    int fd = socket(AF_INET, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_RAW), mark = MARK_RELAY;

    if (fd < 0)
        return;
    size = size < QUOTED_BYTES ? size : QUOTED_BYTES;
    memset(&answer, 0, sizeof(answer));
    memcpy(answer.quoted, packet, size);
    answer.icmp.type = ICMP_DEST_UNREACH;
    answer.icmp.code = code;
    answer.icmp.checksum = checksum((uint8_t *)&answer.icmp, sizeof(answer.icmp) + size);
    answer.ip.version = 4;
    answer.ip.ihl = sizeof(answer.ip) / 4;
    answer.ip.ttl = IPDEFTTL;
    answer.ip.protocol = IPPROTO_ICMP;
    memcpy(&answer.ip.saddr, packet + 16, 4);
    memcpy(&answer.ip.daddr, packet + 12, 4);
    to.sin_addr.s_addr = answer.ip.daddr;
    setsockopt(fd, SOL_SOCKET, SO_MARK, &mark, sizeof(mark));
    sendto(fd, &answer, sizeof(answer) - QUOTED_BYTES + size, 0, (struct sockaddr *)&to, sizeof(to));
    close(fd);
}
