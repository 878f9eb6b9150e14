/* SPDX-License-Identifier: BSD-3-Clause */
#include "crew.h"

#include <sys/resource.h>

#include "../chunker/core/cleanup.h"

/* About what answering with 64 KiB takes. */
#define SLOW_NS 25000u
/* A program and one of the threads fill these: another thread of ours only takes the program's, so
 * none is called up for requests that are slow by their size, or by a scheduler that lets others
 * run; only for those that waited for the disk. But a request of a program that waits for each
 * answer is mostly slow because the two are on different CPUs: a third thread for a moment makes
 * the scheduler give up spreading them, and is worth a factor of four. */
#define CPUS_FILLED 2u

/* A slow request adds SLOW_STRAIN, a fast one takes 1 off: one in a while, from a thread that lost
 * its CPU, does not call the others up; from the second of two on they stay for up to MAX_STRAIN
 * requests. */
#define SLOW_STRAIN 8u
#define MAX_STRAIN  72u

void crew_init(struct crew *c, unsigned n_cpus)
{
	c->is_full = n_cpus <= CPUS_FILLED;
	pthread_mutex_init(&c->lock, NULL);
	pthread_cond_init(&c->changed, NULL);
	c->stop = false;
	atomic_init(&c->n_active, 0);
	atomic_init(&c->strain, 0);
}

void crew_done(struct crew *c)
{
	pthread_cond_destroy(&c->changed);
	pthread_mutex_destroy(&c->lock);
}

bool crew_is_one(struct crew *c)
{
	return atomic_load_explicit(&c->strain, memory_order_relaxed) <= SLOW_STRAIN;
}

bool crew_join(struct crew *c)
{
	locked(&c->lock);
	while (!c->stop && atomic_load(&c->n_active) > 0 && crew_is_one(c))
		pthread_cond_wait(&c->changed, &c->lock);
	if (c->stop)
		return false;
	atomic_fetch_add(&c->n_active, 1);
	return true;
}

void crew_leave(struct crew *c)
{
	locked(&c->lock);
	if (atomic_fetch_sub(&c->n_active, 1) == 1)
		pthread_cond_signal(&c->changed);
}

static bool is_slow(const struct crew *c, struct crew_seat *seat, bool alone, uint64_t took_ns)
{
	struct rusage use;
	if (took_ns < SLOW_NS)
		return false;
	if (!c->is_full || alone || getrusage(RUSAGE_THREAD, &use) < 0)
		return true;
	long before = seat->major_faults;
	seat->major_faults = use.ru_majflt;
	return use.ru_majflt > before;
}

void crew_report(struct crew *c, struct crew_seat *seat, bool alone, uint64_t took_ns)
{
	unsigned strain = atomic_load_explicit(&c->strain, memory_order_relaxed), next = strain;
	if (is_slow(c, seat, alone, took_ns))
		next = strain + SLOW_STRAIN < MAX_STRAIN ? strain + SLOW_STRAIN : MAX_STRAIN;
	else if (strain > 0)
		next = strain - 1;
	if (next == strain)
		return;
	atomic_store_explicit(&c->strain, next, memory_order_relaxed);
	if (strain > SLOW_STRAIN || next <= SLOW_STRAIN)
		return;
	locked(&c->lock);
	pthread_cond_broadcast(&c->changed);
}

bool crew_stays(struct crew *c)
{
	return !crew_is_one(c) || atomic_load_explicit(&c->n_active, memory_order_relaxed) <= 1;
}

void crew_stop(struct crew *c)
{
	locked(&c->lock);
	c->stop = true;
	pthread_cond_broadcast(&c->changed);
}
