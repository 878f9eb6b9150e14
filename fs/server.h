/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the operations work on: the store, seen through the cache, and the nodes that the kernel
 * knows.
 *
 * Functions are for one thread unless they say otherwise; the rest of the struct is immutable
 * between start and done, or says how it is shared.
 */
#ifndef FS_SERVER_H
#define FS_SERVER_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "../cached/catalog.h"
#include "../cached/shared.h"
#include "node.h"

struct server {
	struct cache *cache;
	struct image_set *images;
	struct catalog *catalog;
	struct nodes *nodes;
	uid_t uid; /* whose the files are: the mounter's */
	gid_t gid;
	bool no_open;         /* the kernel takes ENOSYS to open for "needs no open"; set by INIT */
	bool parallel_dirops; /* for channel.h: the answer to INIT has to say so */
	/* seconds since the epoch: when a name last appeared, went or changed */
	_Atomic(int64_t) changed;
	_Atomic(uint64_t) report_ns; /* failed reads are logged again from this time on */

	pthread_mutex_t lock;
	struct rootdir *dirs; /* open directories; under lock */
	bool cancelled;       /* by server_cancel; under lock */
};

struct server_options {
	const char *store;
	struct shared_options cache; /* but for cancelled and its user */
	struct store_options store_options;
	uint32_t timeout_ms; /* a read's deadline; 0: for ever */
};

void server_init(struct server *s);
/* Opens cache and store and lists the store, so that what is wrong with them is an error here. Call
 * after fork: it starts threads. -ECANCELED: by server_cancel. After a failure, too, server_stop and server_done. */
int server_start(struct server *s, const struct server_options *opts, struct smr_error *err);
/* Makes a server_start that is running, or is yet to run, fail soon with -ECANCELED. Any thread. */
void server_cancel(struct server *s);
/* For shutdown: every operation that is pending completes soon, without waiting for an origin. */
void server_stop(struct server *s);
/* Frees all. No operation may be pending, no request be processed. */
void server_done(struct server *s);

#endif
