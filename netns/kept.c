/*
 * kept.c - what the session has ordered for a machine, so that it is seen when others take it away, and made again
 *
 * A firewall that is loaded anew empties all tables; networkd takes away rules and routes that are not in its files; routes
 * of an interface that is taken down go without a word of the kernel's. So nothing is waited for: the session has us look
 * every few seconds, and says whether what is gone is to be made again. What is looked for is how much of ours there is,
 * by the numbers and names that undo() goes by; what others have made is not touched.
 */
#include "netns.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* An order: its range, and whether that leads here or is left alone. A later one about the same range replaces it. */
struct kept {
    struct range range;
    bool is_led_here;
};

static struct kept *kept;
static unsigned kept_count, kept_room;
static const struct wanted *wanted;
static struct sockets *sockets;

/**
 * keep_set_up() - Remembers what the rules were made with
 * @for_whom:	What the session wants
 * @with:	The gates
 */
void keep_set_up(const struct wanted *for_whom, struct sockets *with)
{
    wanted = for_whom;
    sockets = with;
}

/**
 * keep() - Remembers an order that was obeyed
 * @range:	Its range
 * @is_led_here: Whether that leads here, or is left alone
 *
 * Return: whether there was room for it
 */
bool keep(const struct range *range, bool is_led_here)
{
    for (unsigned i = 0; i < kept_count; i++) {
        if (memcmp(&kept[i].range, range, sizeof(*range)))
            continue;
        kept[i].is_led_here = is_led_here;
        return true;
    }
    if (kept_count == kept_room) {
        struct kept *more = realloc(kept, (kept_room * 2 + 16) * sizeof(*kept));

        if (!more)
            return false;
        kept = more;
        kept_room = kept_room * 2 + 16;
    }
    kept[kept_count++] = (struct kept){ .range = *range, .is_led_here = is_led_here };
    return true;
}

/**
 * what_is_gone() - Looks whether all of it is there
 *
 * Return: an answer to the session (README.md, "The machine")
 */
const char *what_is_gone(void)
{
    static char answer[64];

    snprintf(answer, sizeof(answer), "gone%s%s%s", has_table() ? "" : by_iptables ? " chains" : " table",
             has_all_rules() ? "" : " rules", has_routes(kept_count) ? "" : " routes");
    return strcmp(answer, "gone") ? answer : "ok";
}

/**
 * restore() - Makes what is gone again; first the table, as what comes here without it would find other listeners
 *
 * Return: 0, or -1 with errno
 */
int restore(void)
{
    bool had_table = has_table();

    if (!had_table && restore_table(wanted, sockets))
        return -1;
    for (unsigned i = 0; !had_table && i < kept_count; i++)
        if (kept[i].is_led_here && add_range_rule(&kept[i].range))
            return -1;
    for (unsigned i = 0; i < kept_count; i++)
        if (kept[i].is_led_here ? route_here(&kept[i].range) : route_as_before(&kept[i].range))
            return -1;
    return restore_rules();
}
