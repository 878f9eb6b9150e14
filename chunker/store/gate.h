/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A gate that one thread waits at until another opens it, once: what turns a callback into a
 * blocking call. Lives on the waiter's stack; the opener must not touch it (or anything else of the
 * waiter's) afterwards.
 */
#ifndef STORE_GATE_H
#define STORE_GATE_H

#include <pthread.h>
#include <stdbool.h>

struct gate {
	pthread_mutex_t lock;
	pthread_cond_t cond;
	bool open;
};

static inline void gate_init(struct gate *g)
{
	pthread_mutex_init(&g->lock, NULL);
	pthread_cond_init(&g->cond, NULL);
	g->open = false;
}

/* Signals under the lock: the waiter may be gone the moment it is released. */
static inline void gate_open(struct gate *g)
{
	pthread_mutex_lock(&g->lock);
	g->open = true;
	pthread_cond_signal(&g->cond);
	pthread_mutex_unlock(&g->lock);
}

/* Waits, then destroys the gate. */
static inline void gate_wait(struct gate *g)
{
	pthread_mutex_lock(&g->lock);
	while (!g->open)
		pthread_cond_wait(&g->cond, &g->lock);
	pthread_mutex_unlock(&g->lock);
	pthread_cond_destroy(&g->cond);
	pthread_mutex_destroy(&g->lock);
}

#endif
