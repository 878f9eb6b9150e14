/* SPDX-License-Identifier: BSD-3-Clause */
#include "rpc_impl.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "../chunker/core/cleanup.h"

/* ---- GET ---- */

struct rpc_get {
	struct cache_get get;
	struct rpc_client *client;
	uint64_t request;
};

/* The store of a handle, or NULL. */
static struct cache_store *store_of(struct rpc_client *c, uint32_t handle)
{
	locked(&c->lock);
	return handle >= 1 && handle <= c->n_stores ? c->stores[handle - 1] : NULL;
}

/* true: it was sent, or will be. Call with c->lock held: so an eviction is told after the descriptor that it is about. */
static bool send_chunk(struct rpc_client *c, const struct rpc_get *g, int r, int fd)
{
	struct proto_message m = {.type = PROTO_ANSWER, .request = g->request, .result = r};

	if (c->fd < 0)
		return false;
	c->gets--;
	c->answered_gets++;
	{
		locked(&c->server->lock);
		if (claims_answer(c->server->claims, &c->claimant, &g->get.id, fd >= 0))
			rpc_server_attend(c);
	}
	rpc_client_send(c, &m, fd);
	return true;
}

static void get_done(struct cache_get *get, int r, int fd)
{
	struct rpc_get *g = (struct rpc_get *)get;
	struct rpc_client *c = g->client;
	bool sent;

	{
		locked(&c->lock);
		sent = send_chunk(c, g, r, fd);
	}
	if (!sent && fd >= 0) {
		close(fd);
		cache_dropped(c->server->cache, &g->get.id, 1);
	}
	free(g);
	rpc_client_unref(c);
}

static void answer_error(struct rpc_client *c, uint64_t request, int r, const char *text)
{
	struct proto_message m = {.type = PROTO_ANSWER,
		.request = request,
		.result = r,
		.data = text,
		.data_len = (uint16_t)strlen(text)};
	locked(&c->lock);

	rpc_client_send(c, &m, -1);
}

static const char *on_get(struct rpc_client *c, const struct proto_message *m)
{
	struct cache_store *store = store_of(c, m->store);
	struct rpc_get *g;
	int r;

	if (!store) {
		answer_error(c, m->request, -EBADF, "no such store was opened");
		return NULL;
	}
	g = calloc(1, sizeof(*g));
	if (!g)
		return "gets no more: no memory";
	{
		locked(&c->lock);
		r = c->gets == PROTO_WINDOW ? -EMLINK : 0;
		if (r == 0) {
			locked(&c->server->lock);
			r = claims_ask(c->server->claims, &c->claimant, &m->id);
		}
		c->gets += r == 0;
	}
	if (r < 0) {
		free(g);
		return r == -EMLINK ? "asks for more chunks at a time than it may"
				    : "gets no more: no memory";
	}
	rpc_client_ref(c);
	*g = (struct rpc_get){.client = c,
		.request = m->request,
		.get = {.id = m->id,
			.chunk_size = m->size,
			.priority = m->priority,
			.image = m->image,
			.store = store,
			.done = get_done}};
	cache_get(c->server->cache, &g->get);
	return NULL;
}

/* ---- lists of ids ---- */

/* Who does not own the cache is believed about what it holds. What is too much is not heard: if it still matters,
 * it will be said again. */
static const char *on_bad(struct rpc_client *c, const struct proto_message *m)
{
	struct chunkid ids[PROTO_IDS_MAX];
	uint32_t n = 0;

	{
		locked(&c->lock);
		if (c->n_bads == RPC_BADS)
			return NULL;
		c->n_bads++;
		locked(&c->server->lock);
		for (uint32_t i = 0; i < m->n_ids; i++)
			if (c->may_open_urls || claims_holds(&c->claimant, &m->ids[i]))
				ids[n++] = m->ids[i];
	}
	return rpc_task_bad(c, ids, n);
}

static void on_dropped(struct rpc_client *c, const struct proto_message *m)
{
	struct chunkid ids[PROTO_IDS_MAX];
	unsigned n = 0;

	{
		locked(&c->server->lock);
		for (uint32_t i = 0; i < m->n_ids; i++)
			if (claims_drop(c->server->claims, &c->claimant, &m->ids[i]))
				ids[n++] = m->ids[i];
	}
	if (n)
		cache_dropped(c->server->cache, ids, n);
}

/* It may lie: then bytes of chunks that are evicted count until it has dropped them, as it is told to. */
static const char *on_held(struct rpc_client *c, const struct proto_message *m)
{
	unsigned n = 0;

	c->n_held += m->n_ids;
	if (c->n_held > RPC_HELD_MAX)
		return "holds more chunks than it can";
	{
		locked(&c->server->lock);
		while (n < m->n_ids &&
			claims_hold(c->server->claims, &c->claimant, &m->ids[n]) == 0)
			n++;
	}
	if (n)
		cache_held(c->server->cache, m->ids, n);
	return n < m->n_ids ? "is not served: no memory" : NULL;
}

static const char *on_ping(struct rpc_client *c, const struct proto_message *m)
{
	struct proto_message answer = {.type = PROTO_ANSWER, .request = m->request};
	locked(&c->lock);

	rpc_client_send(c, &answer, -1);
	return NULL;
}

static const char *on_ids(struct rpc_client *c, const struct proto_message *m)
{
	struct cache_store *store;

	switch (m->type) {
	case PROTO_BAD:
		return on_bad(c, m);
	case PROTO_DROPPED:
		on_dropped(c, m);
		return NULL;
	case PROTO_HELD:
		return on_held(c, m);
	case PROTO_TOUCH:
		cache_touch(c->server->cache, m->ids, m->n_ids);
		return NULL;
	default:
		store = store_of(c, m->store);
		if (!store)
			return "prefetches from a store that it has not opened";
		cache_prefetch(c->server->cache, store, m->size, m->priority, m->ids, m->n_ids);
		return NULL;
	}
}

/* ---- */

static const char *on_blocking(
	struct rpc_client *c, const struct proto_message *m, const void *packet, size_t n)
{
	bool needs_store =
		m->type == PROTO_LIST || m->type == PROTO_RECIPE ||
		(m->type == PROTO_CONTROL && m->verb != CACHE_SCRUB && m->verb != CACHE_UNPIN);
	struct cache_store *store = store_of(c, m->store);

	if (!needs_store || store)
		return rpc_task_start(c, m, store, packet, n);
	answer_error(c, m->request, -EBADF, "no such store was opened");
	return NULL;
}

static const char *on_hello(struct rpc_client *c, const struct proto_message *m)
{
	struct proto_message answer = {
		.type = PROTO_ANSWER, .request = m->request, .value = PROTO_WINDOW};
	size_t n = m->text.n < sizeof(c->name) - 1 ? m->text.n : sizeof(c->name) - 1;
	locked(&c->lock);

	if (n)
		memcpy(c->name, m->text.s, n);
	error_clean(c->name);
	c->hello = true;
	rpc_client_send(c, &answer, -1);
	return NULL;
}

const char *rpc_request(struct rpc_client *c, const void *packet, size_t n, struct smr_error *err)
{
	struct proto_message m;

	if (proto_decode(packet, n, &m, err) < 0) {
		error_wrap(err, -EBADMSG, "has sent");
		return err->message;
	}
	if (!proto_is_for_owner(m.type) || c->hello == (m.type == PROTO_HELLO))
		return c->hello ? "has sent what only an owner says, or said hello again"
				: "has sent something before hello";
	switch (m.type) {
	case PROTO_HELLO:
		return on_hello(c, &m);
	case PROTO_GET:
		return on_get(c, &m);
	case PROTO_PREFETCH:
	case PROTO_TOUCH:
	case PROTO_BAD:
	case PROTO_DROPPED:
	case PROTO_HELD:
		return on_ids(c, &m);
	case PROTO_PING:
		return on_ping(c, &m);
	default:
		return on_blocking(c, &m, packet, n);
	}
}
