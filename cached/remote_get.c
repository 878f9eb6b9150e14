/* SPDX-License-Identifier: BSD-3-Clause */
/* The GETs of a remote cache: the window of those that were sent, the rest behind it, and the answers. */
#include <string.h>

#include "../chunker/core/cleanup.h"
#include "remote_impl.h"
#include "remote_socket.h"

/* What only demand may use of the window. */
#define WINDOW_DEMAND (PROTO_WINDOW / 4)

/* ---- call with lock held ---- */

static void queue_push(struct remote_queue *q, struct cache_get *g)
{
	g->next = NULL;
	*q->tail = g;
	q->tail = &g->next;
}

static struct cache_get *queue_pop(struct remote_queue *q)
{
	struct cache_get *g = q->first;

	if (g && !(q->first = g->next))
		q->tail = &q->first;
	return g;
}

static struct cache_get *next_get(struct remote *r)
{
	unsigned kept = r->window > 2 * WINDOW_DEMAND ? WINDOW_DEMAND : 0;
	struct cache_get *g = NULL;

	for (unsigned p = 0; !g && p < STORE_PRIORITIES; p++) {
		if (r->n_sent >= r->window - (p == STORE_DEMAND ? 0 : kept))
			break;
		g = queue_pop(&r->waiting[p]);
	}
	return g;
}

static void send_gets(struct remote *r)
{
	struct cache_get *g;
	unsigned slot = 0;

	while (!r->lost && (g = next_get(r))) {
		struct proto_message m = {.type = PROTO_GET,
			.store = g->store->handle,
			.size = g->chunk_size,
			.priority = g->priority,
			.image = g->image,
			.id = g->id};

		while (r->slots[slot].request)
			slot++;
		r->n_sent++;
		r->slots[slot].get = g;
		r->slots[slot].request = remote_send_request(r, &m);
	}
}

static struct cache_get *first_sent(struct remote *r)
{
	struct remote_slot *first = NULL;

	for (unsigned i = 0; i < PROTO_WINDOW; i++)
		if (r->slots[i].request && (!first || r->slots[i].request < first->request))
			first = &r->slots[i];
	if (!first)
		return NULL;
	struct cache_get *g = first->get;
	*first = (struct remote_slot){0};
	r->n_sent--;
	return g;
}

struct cache_get *remote_get_take_all(struct remote *r)
{
	struct remote_queue all = {.tail = &all.first};
	struct cache_get *g;

	while ((g = first_sent(r)))
		queue_push(&all, g);
	for (unsigned p = 0; p < STORE_PRIORITIES; p++)
		while ((g = queue_pop(&r->waiting[p])))
			queue_push(&all, g);
	return all.first;
}

/* ---- answers; call with lock held ---- */

static void count_result(struct cache_counters *count, int result)
{
	if (result == -ENOENT)
		count->missing++;
	else if (result == -EBADMSG)
		count->corrupt++;
	else if (result < 0)
		count->unreachable++;
}

/* What the answer is to whoever asked; closes what is not a chunk. */
static int check_chunk(const struct cache_get *g, const struct proto_message *m, int *fd)
{
	int result = m->result;

	if (result == 0 && *fd == -EMFILE)
		result = -EMFILE;
	else if (result == 0 && (*fd < 0 || !remote_socket_is_chunk(*fd, g->chunk_size)))
		result = -EBADMSG;
	if (result < 0) {
		cleanup_closep(fd);
		*fd = -1;
	}
	return result;
}

bool remote_get_answered(struct remote *r, const struct proto_message *m, int *fd,
	struct cache_get **ret_get, int *ret_result)
{
	struct remote_slot *slot = NULL;

	*ret_get = NULL;
	for (unsigned i = 0; !slot && i < PROTO_WINDOW; i++)
		if (r->slots[i].request == m->request)
			slot = &r->slots[i];
	if (!slot)
		return false;
	/* An owner that ends; what it did not answer is the next one's. */
	if (m->result == -ECANCELED) {
		remote_send_break(r);
		return true;
	}
	*ret_get = slot->get;
	*slot = (struct remote_slot){0};
	r->n_sent--;
	*ret_result = check_chunk(*ret_get, m, fd);
	count_result(&r->count, *ret_result);
	/* The owner takes it for held here. */
	if (*ret_result < 0 && m->result == 0)
		remote_send_drop(r, &(*ret_get)->id, 1);
	send_gets(r);
	return true;
}

/* ---- call without the lock ---- */

void remote_get_fail(struct cache_get *g, int result)
{
	while (g) {
		struct cache_get *next = g->next;
		g->done(g, result, -1);
		g = next;
	}
}

void remote_get_hand_back(struct remote *r, struct cache_get *gets)
{
	if (r->on_lost)
		r->on_lost(r->user, gets);
	else
		remote_get_fail(gets, -ECONNRESET);
}

void remote_get(struct cache *c, struct cache_get *g)
{
	struct remote *r = remote_of(c);
	bool stopped;

	{
		locked(&r->lock);
		stopped = r->stopped;
		if (!stopped && !r->lost) {
			queue_push(&r->waiting[g->priority], g);
			send_gets(r);
			return;
		}
	}
	g->next = NULL;
	if (stopped)
		remote_get_fail(g, -ECANCELED);
	else
		remote_get_hand_back(r, g);
}
