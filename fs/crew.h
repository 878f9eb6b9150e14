/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * How many of the loop's threads read from /dev/fuse: one, or all.
 *
 * The kernel hands a request to the thread that has waited longest, so with several of them every
 * small request wakes another thread, on another CPU, which costs more than the request itself. One
 * thread that takes request after request is faster for as long as requests are fast, whether one
 * program waits for each answer or many keep the queue filled. Requests that take long, because a
 * page of the pool has to come from its disk, or because they are large and there are CPUs to
 * spare, are for all threads.
 *
 *     crew_join ──► read, process, crew_report ─┬─ crew_stays ──► read, ...
 *                                               └─ too many ────► crew_join, which waits
 *
 * A run of slow requests calls all threads up; after a run of fast ones each of them steps back
 * when it has processed its next request. Any thread.
 */
#ifndef FS_CREW_H
#define FS_CREW_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct crew {
	pthread_mutex_t lock;
	pthread_cond_t changed;
	bool stop;
	bool is_full;         /* no CPU to spare */
	atomic_uint n_active; /* written with the lock held */
	atomic_uint strain;   /* see crew.c; lost updates do no harm */
};

/* Of one thread; zeros at first. */
struct crew_seat {
	long major_faults;
};

void crew_init(struct crew *c, unsigned n_cpus);
/* No thread may be in crew_join. */
void crew_done(struct crew *c);
/* Waits until the caller is needed. false after crew_stop. */
bool crew_join(struct crew *c);
/* The caller, who joined, reads no more: another takes the place of the last one. */
void crew_leave(struct crew *c);
/* A request that the calling thread processed took this long from when it was read. `alone`: it
 * came, like the one before, from a thread that asks for little at a time. */
void crew_report(struct crew *c, struct crew_seat *seat, bool alone, uint64_t took_ns);
/* Is one thread enough now? */
bool crew_is_one(struct crew *c);
/* false: the caller should leave and join again. */
bool crew_stays(struct crew *c);
void crew_stop(struct crew *c);

#endif
