/*
 * flow.h - what the relay knows of a connection, or of a pair of ends that exchange datagrams
 */
#ifndef TELEPRESENCE_FLOW_H
#define TELEPRESENCE_FLOW_H

#include "netns.h"

#include <time.h>

/* Longest line between us and the session, newline included. */
#define LINE_BYTES 128
/* Largest read, and so the most that a direction ever holds. */
#define READ_BYTES (256 * 1024)
/* What is kept of a packet that is held: enough to quote it in an error. */
#define HEAD_BYTES 68
/* Largest frame: a length of two bytes and a datagram. */
#define FRAME_BYTES (2 + 65535)

struct flow;

/**
 * struct end - One side of a flow
 * @flow:	The flow
 * @fd:		Its descriptor, -1 for none
 * @held:	Bytes that were read from the other side and that this side did not take yet
 * @held_at:	Where they begin
 * @held_end:	Where they end; equal to @held_at when there are none
 * @ended:	Its end of stream was read
 * @told:	The other side's end of stream was passed on to it
 */
struct end {
    struct flow *flow;
    int fd;
    uint8_t *held;
    size_t held_at, held_end;
    bool ended, told;
};

/* What a flow waits for. */
enum state {
    AWAITS_ANSWER,      /* The session's line: "ok" or an errno */
    AWAITS_ACCEPT,      /* The program's connection, whose first packet was let through */
    AWAITS_REQUEST,     /* The session's line: where inside to connect */
    AWAITS_CONNECT,     /* Our connection to the inside */
    JOINED,             /* Bytes, or datagrams, go both ways */
};

/**
 * struct flow - A flow
 * @inner:	Towards the program
 * @outer:	Towards the session
 * @protocol:	IPPROTO_TCP or IPPROTO_UDP
 * @from:	The program's end; family 0 for connections to the inside
 * @to:		Where it goes
 * @packet:	Its first packet in the queue, if @held
 * @held:	Whether the queue holds a packet of it
 * @head:	The beginning of that packet
 * @head_size:	How much of it
 * @around:	Whether it goes around the session, which is stopped, to the name server itself (stopped.c)
 * @again:	Whether there was more to read when its turn was over
 * @dead:	Whether it is to be freed after this turn
 * @began:	When it began (CLOCK_MONOTONIC, seconds)
 * @touched:	When something last happened
 * @line:	What there is of a line of the session
 */
struct flow {
    struct flow *next, *previous, *next_in_bucket;
    struct end inner, outer;
    enum state state;
    int protocol;
    struct end_point from, to;
    uint32_t packet;
    uint8_t head[HEAD_BYTES];
    size_t head_size;
    bool held, around, again, dead;
    time_t began, touched;
    char line[LINE_BYTES];
    size_t line_length;
};

/* relay.c */
struct flow *flow_begin(int protocol, const struct end_point *from, const struct end_point *to);
struct flow *flow_find(int protocol, const struct end_point *from, const struct end_point *to);
void flow_end(struct flow *flow, bool abruptly);
void flow_watch(struct end *end, int fd);
bool flow_ask(struct flow *flow);
bool flow_goes_around(const struct flow *flow);
bool flow_ask_again(struct flow *flow);
extern uint8_t scratch[READ_BYTES];

/* copy.c */
void flow_copy(struct flow *flow);

/* datagram.c */
void receive_datagrams(int gate);
void flow_datagrams(struct flow *flow);

#endif
