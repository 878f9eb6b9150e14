/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Which client has which chunk: what a server must know to tell those, and only those, that a chunk was evicted, and
 * to give back what a client had that is gone.
 *
 *     claim = one client and one id:
 *       asked    GETs of it that are not answered yet
 *       held     descriptors that were sent and not dropped since
 *       told     of these: the client was told that the chunk is gone, and must drop them soon
 *
 * An answer that is on its way when the chunk is evicted carries the file that is gone: its client is told after the answer,
 * since before it there was nothing to drop.
 *
 * Pure: no I/O, no clock; the owner serialises. O(clients that have the chunk) for an eviction, O(1) for all else.
 */
#ifndef CACHED_CLAIMS_H
#define CACHED_CLAIMS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include "../chunker/core/chunkid.h"

struct claims;
struct claim;
struct idmap;

/* A client's part; zeroed at first, done with claims_leave. */
struct claimant {
	struct idmap *by_id;                  /* NULL: nothing yet */
	TAILQ_HEAD(, claim) to_tell, awaited; /* valid once by_id is */
};

struct claims *claims_new(void);    /* NULL: no memory */
void claims_free(struct claims *t); /* nobody may have a claim; NULL is fine */

/* The client asks for a chunk. 0 or -ENOMEM. */
int claims_ask(struct claims *t, struct claimant *who, const struct chunkid *id);
/* It is answered, with a descriptor or without. true: and must be told (claims_tell) after that. */
bool claims_answer(struct claims *t, struct claimant *who, const struct chunkid *id, bool got);
/* It has a descriptor that an earlier owner sent. 0 or -ENOMEM. */
int claims_hold(struct claims *t, struct claimant *who, const struct chunkid *id);
/* The client dropped one descriptor. false: it had none. */
bool claims_drop(struct claims *t, struct claimant *who, const struct chunkid *id);
bool claims_holds(const struct claimant *who, const struct chunkid *id);

/* The chunk is gone: tell() is called for everybody who is to be told now. */
void claims_evicted(struct claims *t, const struct chunkid *id,
	void (*tell)(void *user, struct claimant *who), void *user);
/* Up to `max` ids to tell the client now; it is expected to drop them from `now` on. */
unsigned claims_tell(struct claimant *who, struct chunkid *ret_ids, unsigned max, uint64_t now);
/* When the client was told of what it has not dropped yet; 0: it owes nothing. */
uint64_t claims_owes_since(const struct claimant *who);

/* The client is gone: calls gone() once for each descriptor that it held, and forgets it. */
void claims_leave(struct claims *t, struct claimant *who,
	void (*gone)(void *user, const struct chunkid *id), void *user);

#endif
