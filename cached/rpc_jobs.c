/* SPDX-License-Identifier: BSD-3-Clause */
#include "rpc_jobs.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>

#include "../chunker/core/cleanup.h"
#include "../chunker/core/clock.h"

#define IDLE_NS (5 * CLOCK_NS_PER_S)

struct queue {
	struct rpc_job *first, **tail;
};

struct rpc_jobs {
	pthread_mutex_t lock;
	/* under lock */
	pthread_cond_t wake; /* a job was queued, a slow one ended, or stop */
	pthread_cond_t gone; /* a thread has ended */
	struct queue quick, slow;
	unsigned n_threads, n_idle, n_slow, n_queued;
	bool stop;
};

/* ---- call with j->lock held ---- */

static struct rpc_job *pop(struct rpc_jobs *j, struct queue *q)
{
	struct rpc_job *job = q->first;

	q->first = job->next;
	if (!q->first)
		q->tail = &q->first;
	j->n_queued--;
	return job;
}

static struct rpc_job *take(struct rpc_jobs *j, bool *ret_slow)
{
	*ret_slow = false;
	if (j->quick.first)
		return pop(j, &j->quick);
	if (!j->slow.first || j->n_slow == RPC_JOBS_SLOW)
		return NULL;
	*ret_slow = true;
	j->n_slow++;
	return pop(j, &j->slow);
}

/* false: there was nothing to do for a while, and others are there. */
static bool wait_for_job(struct rpc_jobs *j)
{
	struct timespec until = clock_timespec(clock_ns() + IDLE_NS);
	int r;

	if (j->stop)
		return false;
	j->n_idle++;
	if (j->n_threads > 1)
		r = pthread_cond_timedwait(&j->wake, &j->lock, &until);
	else
		r = pthread_cond_wait(&j->wake, &j->lock);
	j->n_idle--;
	return r != ETIMEDOUT || j->n_queued || j->n_threads == 1;
}

/* ---- */

static void *jobs_main(void *arg)
{
	struct rpc_jobs *j = arg;
	bool slow;
	locked(&j->lock);

	for (;;) {
		struct rpc_job *job = take(j, &slow);

		if (!job && !wait_for_job(j))
			break;
		if (!job)
			continue;
		pthread_mutex_unlock(&j->lock);
		job->run(job);
		pthread_mutex_lock(&j->lock);
		if (slow && j->n_slow-- == RPC_JOBS_SLOW)
			pthread_cond_signal(&j->wake);
	}
	j->n_threads--;
	pthread_cond_broadcast(&j->gone);
	return NULL;
}

/* Call with the lock held: the thread counts before it runs. */
static int add_thread(struct rpc_jobs *j)
{
	pthread_t thread;
	sigset_t all, before;
	int r;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	r = pthread_create(&thread, NULL, jobs_main, j);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (r != 0)
		return -r;
	pthread_setname_np(thread, "smr-rpc-job");
	pthread_detach(thread);
	j->n_threads++;
	return 0;
}

int rpc_jobs_new(struct rpc_jobs **ret)
{
	struct rpc_jobs *j = calloc(1, sizeof(*j));
	pthread_condattr_t monotonic;
	int r;

	if (!j)
		return -ENOMEM;
	pthread_mutex_init(&j->lock, NULL);
	pthread_condattr_init(&monotonic);
	pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	pthread_cond_init(&j->wake, &monotonic);
	pthread_condattr_destroy(&monotonic);
	pthread_cond_init(&j->gone, NULL);
	j->quick.tail = &j->quick.first;
	j->slow.tail = &j->slow.first;
	{
		locked(&j->lock);
		r = add_thread(j);
	}
	if (r < 0) {
		rpc_jobs_free(j);
		return r;
	}
	*ret = j;
	return 0;
}

void rpc_jobs_add(struct rpc_jobs *j, struct rpc_job *job, bool slow)
{
	struct queue *q = slow ? &j->slow : &j->quick;
	locked(&j->lock);

	job->next = NULL;
	*q->tail = job;
	q->tail = &job->next;
	j->n_queued++;
	pthread_cond_signal(&j->wake);
	/* Who is idle may have been woken for another one already. If no thread can be had, it waits for one of those that are
	 * there. */
	if (j->n_queued > j->n_idle && j->n_threads < RPC_JOBS_THREADS)
		add_thread(j);
}

void rpc_jobs_free(struct rpc_jobs *j)
{
	if (!j)
		return;
	pthread_mutex_lock(&j->lock);
	j->stop = true;
	pthread_cond_broadcast(&j->wake);
	while (j->n_threads)
		pthread_cond_wait(&j->gone, &j->lock);
	pthread_mutex_unlock(&j->lock);
	pthread_cond_destroy(&j->wake);
	pthread_cond_destroy(&j->gone);
	pthread_mutex_destroy(&j->lock);
	free(j);
}
