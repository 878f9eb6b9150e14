/* SPDX-License-Identifier: BSD-3-Clause */
#include "request.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "../chunker/core/cleanup.h"
#include "killed.h"

enum { READY = 1, DONE = 2, INTR = 4, REPLIED = 8 };

struct requests {
	struct server *server;
	int memfd;
	unsigned char *slots;
	struct request *all; /* REQUEST_SLOTS */

	pthread_mutex_t lock;
	pthread_cond_t changed; /* one was freed, or stop was set */
	struct request *free;
	unsigned n_used; /* all[1..n_used - 1] were taken at some time; what is behind was never
			    touched */
	unsigned n_out;  /* taken and not given back */
	bool stop;
};

static _Thread_local struct request *current;

static int map_slots(struct requests *t)
{
	size_t n = (size_t)REQUEST_SLOTS * REQUEST_SLOT_BYTES;
	t->memfd = memfd_create("smrfs-requests", MFD_CLOEXEC);
	if (t->memfd < 0 || ftruncate(t->memfd, (off_t)n) < 0)
		return -errno;
	void *p = mmap(NULL, n, PROT_READ | PROT_WRITE, MAP_SHARED, t->memfd, 0);
	if (p == MAP_FAILED)
		return -errno;
	t->slots = p;
	return 0;
}

int request_table_new(struct server *server, struct requests **ret)
{
	struct requests *t = calloc(1, sizeof(*t));
	if (!t)
		return -ENOMEM;
	pthread_mutex_init(&t->lock, NULL);
	pthread_cond_init(&t->changed, NULL);
	t->memfd = -1;
	t->n_used = 1;
	t->server = server;
	t->all = calloc(REQUEST_SLOTS, sizeof(*t->all));
	int r = t->all ? map_slots(t) : -ENOMEM;
	if (r < 0) {
		request_table_free(t);
		return r;
	}
	*ret = t;
	return 0;
}

void request_table_free(struct requests *t)
{
	if (!t)
		return;
	if (t->slots)
		munmap(t->slots, (size_t)REQUEST_SLOTS * REQUEST_SLOT_BYTES);
	if (t->memfd >= 0)
		close(t->memfd);
	free(t->all);
	pthread_cond_destroy(&t->changed);
	pthread_mutex_destroy(&t->lock);
	free(t);
}

struct request *request_table_first(struct requests *t)
{
	t->all[0].table = t;
	return &t->all[0];
}

struct request *request_table_take(struct requests *t)
{
	locked(&t->lock);
	while (!t->free && t->n_used == REQUEST_SLOTS && !t->stop)
		pthread_cond_wait(&t->changed, &t->lock);
	if (t->stop)
		return NULL;
	struct request *rq = t->free;
	if (rq)
		t->free = rq->next_free;
	else
		rq = &t->all[t->n_used++];
	t->n_out++;
	rq->table = t;
	return rq;
}

void request_table_give(struct requests *t, struct request *rq)
{
	locked(&t->lock);
	rq->next_free = t->free;
	t->free = rq;
	t->n_out--;
	pthread_cond_broadcast(&t->changed);
}

void request_table_stop(struct requests *t)
{
	locked(&t->lock);
	t->stop = true;
	pthread_cond_broadcast(&t->changed);
}

void request_table_drain(struct requests *t)
{
	locked(&t->lock);
	while (t->n_out > 0)
		pthread_cond_wait(&t->changed, &t->lock);
}

void *request_slot(const struct request *rq)
{
	return rq->table->slots + (size_t)(rq - rq->table->all) * REQUEST_SLOT_BYTES;
}

void request_set_current(struct request *rq)
{
	current = rq;
}

struct request *request_current(void)
{
	return current;
}

struct request *request_begin(fuse_req_t req, const struct request_ops *ops)
{
	struct request *rq = current;
	rq->req = req;
	rq->ops = ops;
	rq->server = rq->table->server;
	rq->image = NULL;
	rq->dir = NULL;
	atomic_store_explicit(&rq->state, 0, memory_order_relaxed);
	return rq;
}

void request_end(struct request *rq)
{
	if (rq->ops->release)
		rq->ops->release(rq);
	image_unref(rq->image);
	rq->image = NULL;
}

static bool is_due(unsigned state)
{
	return (state & READY) && (state & (DONE | INTR));
}

/* Adds an event. true: the caller is the one to answer. */
static bool request_event(struct request *rq, unsigned event, unsigned *ret_before)
{
	*ret_before = atomic_fetch_or(&rq->state, event);
	return !is_due(*ret_before) && is_due(*ret_before | event);
}

static void request_release(struct request *rq)
{
	request_end(rq);
	request_table_give(rq->table, rq);
}

/* `done`: there is a result. */
static void request_answer(struct request *rq, bool done)
{
	if (done) {
		rq->ops->finish(rq, rq->result);
	} else {
		fuse_reply_err(rq->req, EINTR);
		if (rq->ops->cancel)
			rq->ops->cancel(rq);
	}
	if (atomic_fetch_or(&rq->state, REPLIED) & DONE)
		request_release(rq);
}

/* libfuse calls this with the lock of the fuse_req_t held, either from the thread that processes
 * INTERRUPT or, for one that came earlier, within request_wait. There READY is not set yet, so that
 * nothing is answered before libfuse has let go. */
static void on_interrupt(fuse_req_t req, void *data)
{
	struct request *rq = data;
	unsigned before;
	if (!killed_pending(fuse_req_ctx(req)->pid))
		return;
	if (request_event(rq, INTR, &before))
		request_answer(rq, false);
}

void request_wait(struct request *rq)
{
	unsigned before;
	current = NULL;
	fuse_req_interrupt_func(rq->req, on_interrupt, rq);
	if (!request_event(rq, READY, &before))
		return;
	/* An on_interrupt of another thread may still be looking at rq: this waits for it. */
	fuse_req_interrupt_func(rq->req, NULL, NULL);
	request_answer(rq, before & DONE);
}

void request_done(struct request *rq, int r)
{
	unsigned before;
	rq->result = r;
	if (request_event(rq, DONE, &before)) {
		fuse_req_interrupt_func(rq->req, NULL, NULL);
		request_answer(rq, true);
	} else if (before & REPLIED) {
		request_release(rq);
	}
}
