/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Flights: the first to ask for a chunk starts a flight, everybody else who asks meanwhile waits
 * for it. A flight is keyed by chunk id; it collects the stores of all its waiters as sources and
 * fails only when all are exhausted.
 *
 *     state    who moves it on                  to
 *     LOOKUP   a worker, looking in the pool    LANDED (found), FETCH (absent), LANDED (none left)
 *     FETCH    the store client's done()        STORE (body came), FETCH (next), LANDED (none left)
 *     STORE    a worker: decode, verify, write  LANDED (right), FETCH (wrong: again, or the next)
 *     LANDED   the thread that landed it        freed, after it has answered the waiters
 *
 *     invariant                                   LOOKUP  FETCH  STORE  LANDED
 *     in the table, new waiters join              yes     yes    yes    no
 *     has at least one waiter                     yes     yes    yes    no (the lander took them)
 *     one thread or one client owns the step      yes     yes    yes    yes
 *     `source` is being asked or was asked last   no      yes    yes    -
 *     holds a body                                no      no     yes    no
 *
 * Pure: no I/O, no clock. The engine's lock is held for every call.
 */
#ifndef CACHED_FLIGHT_H
#define CACHED_FLIGHT_H

#include "../chunker/core/workers.h"
#include "cache.h"

enum flight_state { FLIGHT_LOOKUP, FLIGHT_FETCH, FLIGHT_STORE, FLIGHT_LANDED };

/* A source that sent wrong bytes is asked this many times in all: a proxy or a wire may have done
 * it. */
#define FLIGHT_TRIES_CORRUPT 2

struct flight_source {
	struct cache_store *store;
	unsigned corrupt; /* answers with wrong bytes so far */
	int result;       /* 0: may still be asked; else how it ended */
};

struct flight {
	struct chunkid id;
	uint32_t chunk_size;
	enum flight_state state;
	enum store_priority priority; /* the most urgent waiter's */
	struct cache_get *waiters;    /* in order of arrival */
	struct cache_get **waiters_tail;
	struct flight_source *sources;
	unsigned n_sources, source;

	/* the owner of the step's */
	struct flights *table;
	struct work work;
	struct store_get fetch;
	struct buf body;
	void *engine;
};

struct flights;

struct flights *flights_new(void);    /* NULL: no memory */
void flights_free(struct flights *t); /* must be empty; NULL is fine */
size_t flights_count(const struct flights *t);

/* Adds the request as a waiter. 1: the caller leads and must start the LOOKUP of *ret; 0: joined;
 * -ENOMEM: neither. */
int flight_join(struct flights *t, struct cache_get *get, struct flight **ret);

/* To FETCH: the store to ask next, or NULL when all are exhausted (then land it with
 * flight_result). */
struct cache_store *flight_next_source(struct flight *f);
/* What the source asked last did: -EBADMSG counts as corrupt and may be asked again; other errors
 * end it. */
void flight_source_failed(struct flight *f, int r);
/* To STORE. */
void flight_fetched(struct flight *f, struct buf *body);
/* What to tell the waiters when all sources are exhausted: what may work later over what was refused
 * over corrupt over missing. */
int flight_result(const struct flight *f);

/* To LANDED: out of the table; returns its waiters. The caller answers them without the lock, then
 * flight_free. */
struct cache_get *flight_land(struct flights *t, struct flight *f);
void flight_free(struct flight *f);

/* Aborts if an invariant above does not hold; compiled in with NDEBUG unset. */
void flight_check(const struct flight *f);

#endif
