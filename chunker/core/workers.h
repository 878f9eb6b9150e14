/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A fixed set of threads that run jobs, urgent ones first. A job is a struct work embedded in the
 * caller's own object: nothing is allocated, so queueing cannot fail. The pool does not touch the struct
 * after it has called run(), which may therefore free it.
 *
 * workers_add may be called from any thread, jobs included.
 */
#ifndef CORE_WORKERS_H
#define CORE_WORKERS_H

enum workers_priority { WORKERS_DEMAND, WORKERS_AHEAD, WORKERS_IDLE, WORKERS_PRIORITIES };

struct work {
	void (*run)(struct work *);
	struct work *next; /* the pool's, while queued */
};

struct workers;

/* `name` becomes the threads' name (at most 12 characters). 0 or a negative errno. All signals are blocked in
 * the threads. */
int workers_new(const char *name, unsigned n_threads, struct workers **ret);
void workers_add(struct workers *w, struct work *job, enum workers_priority prio);
/* Runs what is queued, joins the threads, frees. NULL is fine. Jobs must not add jobs once this was
 * called. */
void workers_free(struct workers *w);

/* The number of CPUs this process may use, at least 1. */
unsigned workers_cpus(void);

#endif
