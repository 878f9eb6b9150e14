/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What catalog.c and catalog_lister.c share; frontends include catalog.h.
 *
 * Two threads. The lister asks the store; only it changes rows. The timer answers those who waited too
 * long, whatever the lister is held up by: a wait is in one of the two lists until the moment it is
 * answered.
 */
#ifndef CACHED_CATALOG_LISTER_H
#define CACHED_CATALOG_LISTER_H

#include <pthread.h>

#include "catalog.h"
#include "catalog_rows.h"

struct catalog {
	struct image_set *set;
	struct cache *cache;
	struct cache_store *store;
	struct catalog_options opts;
	uint64_t fresh_ns, wait_ns;
	char tag[128];    /* the lister's */
	bool was_failing; /* the lister's: one log line an outage */

	pthread_mutex_t lock;
	pthread_cond_t work, wake, listed; /* the lister's, the timer's, those of catalog_refresh */
	struct catalog_rows rows;
	uint64_t listed_ns;     /* when the last listing that succeeded began; 0: none */
	uint64_t tried_ns;      /* when the last one ended, however */
	uint64_t listing_ns;    /* when the one under way began; 0: none is */
	uint64_t begun, ended;  /* listings */
	uint64_t needed;        /* listings to be begun, for catalog_refresh */
	int result;             /* of the last one */
	struct smr_error error; /* its message */
	bool wanted, quit, cannot_list;
	struct catalog_wait *finds, *lists;
	bool has_lister, has_timer;
	pthread_t lister, timer;
};

/* The lister; `arg` is the catalog. */
void *catalog_lister_main(void *arg);
/* Answers a list of waits, without an image. Call without the lock. */
void catalog_lister_answer(struct catalog_wait *waits, int r);

#endif
