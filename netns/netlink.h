/*
 * netlink.h - messages to the kernel, built in place and sent as one batch
 */
#ifndef TELEPRESENCE_NETLINK_H
#define TELEPRESENCE_NETLINK_H

#include <linux/netlink.h>
#include <stddef.h>
#include <stdint.h>

/* Enough for all rules: each is below 600 bytes. */
#define BATCH_BYTES 32768

/**
 * struct batch - Messages that go out together
 * @bytes:	The messages
 * @length:	How much of it is used
 * @message:	Offset of the one that is being built
 * @wanted:	How many answers will come
 */
struct batch {
    union {
        char bytes[BATCH_BYTES];
        struct nlmsghdr align;
    };
    size_t length;
    size_t message;
    unsigned wanted;
};

void message_begin(struct batch *batch, uint16_t type, uint16_t flags, const void *head, size_t size);
void message_end(struct batch *batch);
void attribute(struct batch *batch, uint16_t type, const void *value, size_t size);
void attribute_text(struct batch *batch, uint16_t type, const char *value);
void attribute_be32(struct batch *batch, uint16_t type, uint32_t value);
size_t nest_begin(struct batch *batch, uint16_t type);
void nest_end(struct batch *batch, size_t nest);
int netlink_open(int protocol);
int netlink_send(int fd, struct batch *batch);
int netlink_dump(int fd, struct batch *request, void (*each)(struct nlmsghdr *message, void *context), void *context);

#endif
