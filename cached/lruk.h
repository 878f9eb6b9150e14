/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * LRU-K with K = 2: which chunk to give up when the cache is full. Source: E. O'Neil, P. O'Neil, G.
 * Weikum, "The LRU-K page replacement algorithm for database disk buffering", SIGMOD '93.
 *
 * The victim is the chunk whose last use but one lies furthest back. One that was used only once has
 * none, so it goes before all that were used twice: a scan over everything pushes out nothing but
 * itself. Two refinements of the paper:
 *
 *   correlated period   Uses that follow one another within it count as one (a boot reads a chunk many times in a second). While it
 *                       runs, the chunk is *recent*: no victim unless everything is, and then the least recently used one is.
 *   retained history    The times of a chunk that was removed are kept for a while, so that one that comes back for its second
 *                       use is known to be one. Bounded by count (the longest removed is forgotten first) and by age.
 *
 * Of what the paper stores for a page, K = 2 needs two times: `last` is LAST(p); and as HIST(p,2)
 * becomes HIST(p,1) plus the length of the burst that HIST(p,1) began, `prev`, which is HIST(p,2), is
 * simply the last use of the burst before.
 *
 *     a use at `now`:   now - last > correlated period:   prev = last, last = now      a new burst
 *                       otherwise:                        last = now                   the same one
 *     victim:           least (prev, last, id) of those with now - last > correlated period; else least recently used
 *
 * A *pinned* chunk is never a victim; an id may be pinned before its chunk is there and after it went.
 * The pin counts as one use that lasts until the unpin: then the chunk is recent.
 *
 * Each chunk that is there has a slot, a small number that stays its own until it is removed: callers
 * keep what they know of it in an array of their own. About 65 bytes a chunk, history included, and no
 * allocation per chunk.
 *
 * Pure: no I/O, no clock, no locks; the caller serialises. Times are in units of the caller's choice,
 * later than 0, and never go back: an earlier one is taken for the latest seen. Bytes are those on
 * disk, in blocks of 512, rounded up. O(log n), n being the number of chunks; a use is amortised O(1)
 * until its correlated period ends.
 */
#ifndef CACHED_LRUK_H
#define CACHED_LRUK_H

#include <stdbool.h>
#include <stdint.h>

#include "../chunker/core/chunkid.h"

struct lruk;

struct lruk_options {
	uint32_t correlated;  /* time units */
	uint32_t history_max; /* chunks; 0: no history */
	uint32_t history_age; /* time units since the last use */
};

struct lruk_times {
	uint32_t last, prev; /* prev 0: used once */
};

struct lruk_usage {
	uint64_t chunks, bytes; /* that are there */
	uint64_t pinned_bytes;  /* of these */
	uint64_t history;       /* chunks that are not there, with their times */
	uint64_t pinned;        /* ids, there or not */
};

struct lruk *lruk_new(const struct lruk_options *opts); /* NULL: no memory */
void lruk_free(struct lruk *l);                         /* NULL is fine */

/* A use of a chunk that is now there, or is with other bytes. 0 or -ENOMEM: then nothing has changed. */
int lruk_add(
	struct lruk *l, const struct chunkid *id, uint64_t bytes, uint32_t now, uint32_t *ret_slot);
/* Adds a chunk with the times of an earlier run, which ended its burst: it is not recent. One that is
 * there already keeps its times and gets the bytes. 0 or -ENOMEM. */
int lruk_load(struct lruk *l, const struct chunkid *id, uint64_t bytes, struct lruk_times times,
	uint32_t now, uint32_t *ret_slot);
/* true, and its slot, if it is there. */
bool lruk_find(const struct lruk *l, const struct chunkid *id, uint32_t *ret_slot);
/* The functions on slots take only those of chunks that are there. */
void lruk_touch(struct lruk *l, uint32_t slot, uint32_t now);
struct lruk_times lruk_times(const struct lruk *l, uint32_t slot);
uint64_t lruk_bytes(const struct lruk *l, uint32_t slot);
const struct chunkid *lruk_id(const struct lruk *l, uint32_t slot); /* until the next change */
/* It is not there any more; its times become history. */
void lruk_remove(struct lruk *l, uint32_t slot);
/* The chunk to give up next; it stays. false: none, or all are pinned. */
bool lruk_victim(struct lruk *l, uint32_t now, uint32_t *ret_slot);

/* Pins are counted. 0, -ENOMEM, or -EOVERFLOW beyond 2^32 - 1. */
int lruk_pin(struct lruk *l, const struct chunkid *id);
/* -ENOENT: it was not pinned. */
int lruk_unpin(struct lruk *l, const struct chunkid *id, uint32_t now);

void lruk_usage(const struct lruk *l, struct lruk_usage *ret);
/* Walks everything and aborts where the invariants of lruk.c do not hold. For tests. */
void lruk_check(const struct lruk *l);

#endif
