/*
 * copy.c - carries bytes between the two sides of a flow
 *
 * One scratch buffer serves all flows. What a side does not take is kept with it, and nothing more is read for it until
 * it has taken that: so a reader that stops is felt by its writer, and memory is bounded by READ_BYTES a direction.
 */
#include "flow.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* How many reads a direction gets before the others have their turn. */
#define TURN 8

uint8_t scratch[READ_BYTES];

static bool is_transient(int error)
{
    return error == EAGAIN || error == EWOULDBLOCK || error == EINTR;
}

/**
 * flush() - Writes what is held for a side
 * @to:		The side
 *
 * Return: 1 when nothing is held any more, 0 when it takes no more now, -1 when it is broken
 */
static int flush(struct end *to)
{
    while (to->held_at < to->held_end) {
        ssize_t count = send(to->fd, to->held + to->held_at, to->held_end - to->held_at, MSG_NOSIGNAL);

        if (count < 0)
            return is_transient(errno) ? 0 : -1;
        to->held_at += (size_t)count;
    }
    free(to->held);
    to->held = NULL;
    to->held_at = to->held_end = 0;
    return 1;
}

/**
 * is_given_up() - Whether the session has closed its connection, rather than ended its direction
 * @end:	The side whose end of stream was read
 */
static bool is_given_up(const struct end *end)
{
    struct pollfd look = { .fd = end->fd };

    return poll(&look, 1, 0) == 1 && (look.revents & POLLHUP);
}

/**
 * carry() - Carries what there is from one side to the other, for a turn
 * @from:	Whence
 * @to:		Where to
 *
 * Return: false when the flow is broken and has been ended
 */
static bool carry(struct end *from, struct end *to)
{
    struct flow *flow = from->flow;

    for (unsigned turn = 0; turn < TURN; turn++) {
        int flushed = flush(to);
        ssize_t count, written;

        if (flushed < 0)
            return flow_end(flow, true), false;
        if (!flushed)
            return true;
        if (from->ended) {
            if (!to->told)
                shutdown(to->fd, SHUT_WR);
            to->told = true;
            return true;
        }
        count = read(from->fd, scratch, sizeof(scratch));
        if (count < 0) {
            if (is_transient(errno))
                return true;
            return flow_end(flow, true), false;
        }
        if (!count) {
            from->ended = true;
            /* It has not heard our end and is gone all the same: a reset in the pod, and so one here. */
            if (from == &flow->outer && !from->told && is_given_up(from))
                return flow_end(flow, true), false;
            continue;
        }
        written = send(to->fd, scratch, (size_t)count, MSG_NOSIGNAL);
        if (written < 0 && !is_transient(errno))
            return flow_end(flow, true), false;
        if (written < count) {
            size_t done = written < 0 ? 0 : (size_t)written;

            to->held = malloc((size_t)count - done);
            if (!to->held)
                return flow_end(flow, true), false;
            to->held_end = (size_t)count - done;
            memcpy(to->held, scratch + done, to->held_end);
        }
    }
    flow->again = true;
    return true;
}

/**
 * flow_copy() - Carries bytes both ways, and ends the flow when both ends of stream were passed on
 * @flow:	A joined flow
 */
void flow_copy(struct flow *flow)
{
    if (!carry(&flow->inner, &flow->outer) || !carry(&flow->outer, &flow->inner))
        return;
    if (flow->inner.told && flow->outer.told)
        flow_end(flow, false);
}
