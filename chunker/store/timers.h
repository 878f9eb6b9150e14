/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A queue of points in time: a pairing heap (Fredman et al., 1986) of nodes that live in their owners' structs, so
 * setting a timer cannot fail. Insert O(1), the rest O(log n) amortised. Pure; not thread-safe.
 */
#ifndef STORE_TIMERS_H
#define STORE_TIMERS_H

#include <stdbool.h>
#include <stdint.h>

struct timer {
	uint64_t at_ns; /* read-only for the owner */
	struct timer *child, *next;
	struct timer **link; /* what points at us; NULL: not set */
};

struct timers {
	struct timer *root;
};

/* Sets or moves. `tm` must be zeroed before its first use. */
void timers_set(struct timers *t, struct timer *tm, uint64_t at_ns);
/* Unset ones are fine. */
void timers_cancel(struct timers *t, struct timer *tm);
/* The earliest, or NULL; it stays set. */
static inline struct timer *timers_first(const struct timers *t)
{
	return t->root;
}

static inline bool timers_is_set(const struct timer *tm)
{
	return tm->link;
}

#endif
