// SPDX-License-Identifier: BSD-3-Clause
#include "ahead.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>

#include "../core/cleanup.h"

#define BUFFERS      4u
#define BUFFER_BYTES (256u << 10)

/* Buffers [taken, filled) are for the reader, the others for the thread; both only grow. */
struct ahead {
	ahead_produce_fn *produce;
	void *user;
	unsigned char *bytes; /* BUFFERS of BUFFER_BYTES */

	pthread_t thread;
	pthread_mutex_t lock; /* guards all below */
	pthread_cond_t changed;
	size_t n[BUFFERS];
	unsigned long filled, taken;
	bool reading; /* buffer `taken` is in the reader's hands */
	bool stop, ended;
	int result;
	struct smr_error err;
};

/* -- call with a->lock held -- */
static bool wait_for_room(struct ahead *a)
{
	while (!a->stop && a->filled - a->taken == BUFFERS)
		pthread_cond_wait(&a->changed, &a->lock);
	return !a->stop;
}

static void *run(void *arg)
{
	struct ahead *a = arg;
	struct smr_error err = {0};
	size_t n = BUFFER_BYTES;
	int r = 0;

	while (r == 0 && n == BUFFER_BYTES) {
		unsigned long i;
		{
			locked(&a->lock);
			if (!wait_for_room(a))
				return NULL;
			i = a->filled % BUFFERS;
		}
		r = a->produce(a->user, a->bytes + i * BUFFER_BYTES, BUFFER_BYTES, &n, &err);
		locked(&a->lock);
		if (r == 0 && n > 0) {
			a->n[i] = n;
			a->filled++;
		}
		if (r < 0) {
			a->result = r;
			a->err = err;
		}
		a->ended = r < 0 || n < BUFFER_BYTES;
		pthread_cond_signal(&a->changed);
	}
	return NULL;
}

int ahead_new(ahead_produce_fn *produce, void *user, struct ahead **ret)
{
	struct ahead *a = calloc(1, sizeof(*a));
	sigset_t all, old;
	int r;

	if (!a)
		return -ENOMEM;
	a->produce = produce;
	a->user = user;
	a->bytes = malloc(BUFFERS * BUFFER_BYTES);
	if (!a->bytes) {
		free(a);
		return -ENOMEM;
	}
	pthread_mutex_init(&a->lock, NULL);
	pthread_cond_init(&a->changed, NULL);
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	r = pthread_create(&a->thread, NULL, run, a);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (r != 0) {
		pthread_cond_destroy(&a->changed);
		pthread_mutex_destroy(&a->lock);
		free(a->bytes);
		free(a);
		return -r;
	}
	*ret = a;
	return 0;
}

int ahead_read(struct ahead *a, const void **ret_data, size_t *ret_n, struct smr_error *err)
{
	locked(&a->lock);
	if (a->reading) {
		a->taken++;
		a->reading = false;
		pthread_cond_signal(&a->changed);
	}
	while (a->taken == a->filled && !a->ended)
		pthread_cond_wait(&a->changed, &a->lock);
	if (a->taken < a->filled) {
		unsigned long i = a->taken % BUFFERS;
		*ret_data = a->bytes + i * BUFFER_BYTES;
		*ret_n = a->n[i];
		a->reading = true;
		return 0;
	}
	if (a->result < 0) {
		if (err)
			*err = a->err;
		return a->result;
	}
	*ret_data = NULL;
	*ret_n = 0;
	return 0;
}

void ahead_free(struct ahead *a)
{
	if (!a)
		return;
	{
		locked(&a->lock);
		a->stop = true;
		pthread_cond_signal(&a->changed);
	}
	pthread_join(a->thread, NULL);
	pthread_cond_destroy(&a->changed);
	pthread_mutex_destroy(&a->lock);
	free(a->bytes);
	free(a);
}
