/* SPDX-License-Identifier: BSD-3-Clause */
/* What local.c and local_room.c share, and nobody else includes. */
#ifndef CACHED_LOCAL_IMPL_H
#define CACHED_LOCAL_IMPL_H

#include <pthread.h>
#include <stdatomic.h>

#include "index.h"
#include "ledger.h"
#include "local.h"
#include "pool.h"
#include "reclaim.h"

struct scratch;

struct local {
	struct local_options opts;
	char *dir;
	struct pool *pool;
	struct index *index;
	struct reclaim *reclaim;
	int64_t epoch_s; /* of the clock since boot */

	/* Never held across I/O; taken alone. Guards what is below. */
	pthread_mutex_t lock;
	struct ledger *ledger;
	struct scratch *scratch;
	bool complete; /* everything that was in the pool is in the ledger */
	bool lost;     /* a file may have come to the pool that is not */
	bool rebuilding;
	unsigned removing; /* files struck that are still to be unlinked, or to be known as held */
	pthread_cond_t settled; /* one less */

	atomic_bool stop;
	bool scanning;
	pthread_t scanner;
	atomic_uint_fast64_t hits, corrupt, evicted;
};

/* Sets the clock; then starts the thread that evicts. 0 or a negative errno. */
void local_room_init(struct local *l);
int local_room_start(struct local *l);
/* Seconds since the epoch as of the start, plus what went by since: a clock that is set does not change
 * it. */
uint32_t local_room_now(const struct local *l);
/* Removes the chunk, whose record is still there if it was known. */
void local_room_forget(struct local *l, const struct chunkid *id);
/* Call before n bytes are put: makes room where that must be done first. 0 or -ENOSPC. */
int local_room_make(struct local *l, uint32_t n);
/* The disk was full when n bytes were put. true: there is room now, maybe. */
bool local_room_disk_full(struct local *l, uint32_t n);
/* Call after n bytes were put: the bound holds again when it returns. */
void local_room_tidy(struct local *l, uint32_t n);

#endif
