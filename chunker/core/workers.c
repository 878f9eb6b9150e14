/* SPDX-License-Identifier: BSD-3-Clause */
#include "workers.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "cleanup.h"

/* First in, first out; `last` is meaningless while `first` is NULL. */
struct queue {
	struct work *first;
	struct work *last;
};

struct workers {
	pthread_mutex_t lock;
	/* under lock */
	pthread_cond_t wake; /* a job was queued, or stop was set */
	struct queue queues[WORKERS_PRIORITIES];
	bool stop;
	/* immutable once workers_new has returned */
	unsigned n_threads;
	pthread_t threads[];
};

/* ---- call with w->lock held ---- */

static struct work *workers_take(struct workers *w)
{
	for (int prio = 0; prio < WORKERS_PRIORITIES; prio++) {
		struct work *job = w->queues[prio].first;
		if (!job)
			continue;
		w->queues[prio].first = job->next;
		job->next = NULL;
		return job;
	}
	return NULL;
}

/* ---- without it ---- */

/* The next job, or NULL when there will be none. */
static struct work *workers_wait(struct workers *w)
{
	locked(&w->lock);
	for (;;) {
		struct work *job = workers_take(w);
		if (job || w->stop)
			return job;
		pthread_cond_wait(&w->wake, &w->lock);
	}
}

static void *workers_main(void *arg)
{
	struct workers *w = arg;
	struct work *job;
	while ((job = workers_wait(w)))
		job->run(job);
	return NULL;
}

static int workers_start(struct workers *w, const char *name, unsigned n_threads)
{
	char thread_name[16];
	snprintf(thread_name, sizeof(thread_name), "%.12s", name);

	/* A thread inherits the mask: signals stay with whoever waits for them. */
	sigset_t all, before;
	sigfillset(&all);
	int r = pthread_sigmask(SIG_SETMASK, &all, &before);
	if (r != 0)
		return -r;
	while (r == 0 && w->n_threads < n_threads) {
		r = pthread_create(&w->threads[w->n_threads], NULL, workers_main, w);
		if (r == 0)
			pthread_setname_np(w->threads[w->n_threads++], thread_name);
	}
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return -r;
}

int workers_new(const char *name, unsigned n_threads, struct workers **ret)
{
	if (n_threads == 0)
		return -EINVAL;
	struct workers *w = calloc(1, sizeof(*w) + n_threads * sizeof(w->threads[0]));
	if (!w)
		return -ENOMEM;
	pthread_mutex_init(&w->lock, NULL);
	pthread_cond_init(&w->wake, NULL);
	int r = workers_start(w, name, n_threads);
	if (r < 0) {
		workers_free(w);
		return r;
	}
	*ret = w;
	return 0;
}

void workers_add(struct workers *w, struct work *job, enum workers_priority prio)
{
	job->next = NULL;
	locked(&w->lock);
	struct queue *q = &w->queues[prio];
	if (q->first)
		q->last->next = job;
	else
		q->first = job;
	q->last = job;
	pthread_cond_signal(&w->wake);
}

void workers_free(struct workers *w)
{
	if (!w)
		return;
	pthread_mutex_lock(&w->lock);
	w->stop = true;
	pthread_cond_broadcast(&w->wake);
	pthread_mutex_unlock(&w->lock);
	for (unsigned i = 0; i < w->n_threads; i++)
		pthread_join(w->threads[i], NULL);
	pthread_cond_destroy(&w->wake);
	pthread_mutex_destroy(&w->lock);
	free(w);
}

unsigned workers_cpus(void)
{
	cpu_set_t set;
	if (sched_getaffinity(0, sizeof(set), &set) == 0)
		return (unsigned)CPU_COUNT(&set);
	/* more CPUs than a cpu_set_t holds */
	long n = sysconf(_SC_NPROCESSORS_ONLN);
	return n > 0 ? (unsigned)n : 1;
}
