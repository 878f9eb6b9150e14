/* SPDX-License-Identifier: BSD-3-Clause */
#include "rpc_impl.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "../chunker/core/cleanup.h"
#include "../chunker/core/fd.h"
#include "../chunker/store/listing.h"
#include "status.h"

struct rpc_task {
	struct rpc_job job;
	struct rpc_client *client;
	struct cache_store *store;
	bool slow;
	STAILQ_ENTRY(rpc_task) next;
	struct proto_message m; /* of `packet` */
	unsigned char packet[];
};

/* What a task has to say. */
struct outcome {
	struct proto_message m;
	int fd;
	struct buf data;
	struct smr_error err;
};

/* JSON or a recipe, in memory that nobody can change. */
static int into_memfd(const char *name, const struct buf *b, int *ret_fd)
{
	int fd = fd_sealed_memfd(name, b->data, b->len);

	if (fd < 0)
		return fd;
	*ret_fd = fd;
	return 0;
}

static const struct rpc_store *configured(const struct rpc_server *s, const char *text)
{
	for (unsigned i = 0; i < s->n_stores; i++)
		if (strcmp(s->stores[i].name, text) == 0 || strcmp(s->stores[i].url, text) == 0)
			return &s->stores[i];
	return NULL;
}

static int hand_out(struct rpc_client *c, struct cache_store *store, struct outcome *out)
{
	unsigned i = 0;
	locked(&c->lock);

	while (i < c->n_stores && c->stores[i] != store)
		i++;
	if (i == RPC_STORES_MAX)
		return error_set(&out->err, -EMFILE, "%u stores are open already", i);
	if (i == c->n_stores)
		c->stores[c->n_stores++] = store;
	out->m.value = i + 1;
	return 0;
}

static int do_open(struct rpc_task *t, struct outcome *out)
{
	struct rpc_client *c = t->client;
	char text[PROTO_TEXT_MAX + 1], ca_file[PROTO_TEXT_MAX + 1];
	struct store_options options = {
		.timeout_ms = t->m.timeout_ms, .insecure = t->m.flags & PROTO_OPEN_INSECURE};
	const struct rpc_store *known;
	struct cache_store *store;
	int r;

	proto_text_copy(&t->m.text, text, sizeof(text));
	proto_text_copy(&t->m.text2, ca_file, sizeof(ca_file));
	known = configured(c->server, text);
	if (!known && !c->may_open_urls)
		return error_set(&out->err, -EPERM,
			"%.200s is not a store that this cache is configured for; ask its owner to "
			"add it",
			text);
	if (ca_file[0])
		options.ca_file = ca_file;
	r = cache_open_store(c->server->cache, known ? known->url : text,
		known ? &known->options : &options, &store, &out->err);
	return r < 0 ? r : hand_out(c, store, out);
}

static int do_list(struct rpc_task *t, struct outcome *out)
{
	struct store_list list = {0};
	struct buf json auto_with(buf_done) = {0};
	char tag[PROTO_TAG];
	int r;

	memcpy(tag, t->m.tag, sizeof(tag));
	r = cache_list(t->client->server->cache, t->store, tag, &list, &out->err);
	if (r < 0)
		return r;
	buf_init(&json, LISTING_FILE_MAX);
	r = listing_format(&list, &json);
	store_list_done(&list);
	if (r == 0)
		r = into_memfd("smr-list", &json, &out->fd);
	return r < 0 ? r : buf_append(&out->data, tag, sizeof(tag));
}

/* For the status. Without memory, or with too many, it is not counted. */
static void note_image(struct rpc_client *c, const struct chunkid *digest)
{
	const struct chunkid *known;
	size_t n;
	locked(&c->lock);

	known = (const struct chunkid *)c->images.data;
	n = c->images.len / sizeof(*known);
	for (size_t i = 0; i < n; i++)
		if (chunkid_equal(&known[i], digest))
			return;
	buf_append(&c->images, digest, sizeof(*digest));
}

static int do_recipe(struct rpc_task *t, struct outcome *out)
{
	char name[PROTO_TEXT_MAX + 1];
	struct recipe *recipe;
	const void *bytes;
	size_t n;
	int r;

	proto_text_copy(&t->m.text, name, sizeof(name));
	r = cache_recipe(t->client->server->cache, t->store, name, &t->m.id, &recipe, &out->err);
	if (r < 0)
		return r;
	bytes = recipe_bytes(recipe, &n);
	r = fd_sealed_memfd("smr-recipe", bytes, n);
	if (r >= 0)
		note_image(t->client, &recipe_info(recipe)->digest);
	recipe_free(recipe);
	if (r < 0)
		return r;
	out->fd = r;
	return 0;
}

static int do_status(struct rpc_task *t, struct outcome *out)
{
	struct buf json auto_with(buf_done);
	int r;

	buf_init(&json, STATUS_MAX);
	r = rpc_status(t->client->server, &json, &out->err);
	return r < 0 ? r : into_memfd("smr-status", &json, &out->fd);
}

static int do_control(struct rpc_task *t, struct outcome *out)
{
	char name[PROTO_TEXT_MAX + 1];

	proto_text_copy(&t->m.text, name, sizeof(name));
	return cache_control(t->client->server->cache, t->m.verb, t->store, name,
		t->m.flags & PROTO_CONTROL_WAIT, &out->data, &out->err);
}

static int perform(struct rpc_task *t, struct outcome *out)
{
	switch (t->m.type) {
	case PROTO_OPEN:
		return do_open(t, out);
	case PROTO_LIST:
		return do_list(t, out);
	case PROTO_RECIPE:
		return do_recipe(t, out);
	case PROTO_STATUS:
		return do_status(t, out);
	default:
		return do_control(t, out);
	}
}

/* The task's place is free: for one that waited, which is returned. Call with c->lock held. */
static struct rpc_task *next_slow(struct rpc_client *c)
{
	struct rpc_task *next = STAILQ_FIRST(&c->waiting);

	if (next)
		STAILQ_REMOVE_HEAD(&c->waiting, next);
	else
		c->n_jobs--;
	return next;
}

static void run_task(struct rpc_job *job)
{
	struct rpc_task *t = (struct rpc_task *)job, *next = NULL;
	struct rpc_client *c = t->client;
	struct outcome out = {.m = {.type = PROTO_ANSWER, .request = t->m.request}, .fd = -1};

	buf_init(&out.data, PROTO_TEXT_MAX);
	out.m.result = perform(t, &out);
	if (out.m.result < 0) {
		const char *text = out.err.message;

		cleanup_closep(&out.fd);
		out.fd = -1;
		out.m.data = text;
		out.m.data_len = (uint16_t)strlen(text);
	} else {
		out.m.data = out.data.data;
		out.m.data_len = (uint16_t)out.data.len;
	}
	{
		locked(&c->lock);
		if (t->slow)
			next = next_slow(c);
		if (c->fd >= 0) {
			c->requests--;
			rpc_client_send(c, &out.m, take_fd(&out.fd));
		}
	}
	if (next)
		rpc_jobs_add(c->server->jobs, &next->job, true);
	cleanup_closep(&out.fd);
	buf_done(&out.data);
	free(t);
	rpc_client_unref(c);
}

static struct rpc_task *task_new(
	struct rpc_client *c, const struct proto_message *m, const void *packet, size_t n)
{
	struct rpc_task *t = calloc(1, sizeof(*t) + n);

	if (!t)
		return NULL;
	memcpy(t->packet, packet, n);
	if (m->type == PROTO_BAD || proto_decode(t->packet, n, &t->m, NULL) < 0)
		t->m = *m;
	t->client = c;
	t->job.run = run_task;
	rpc_client_ref(c);
	return t;
}

static void task_free(struct rpc_task *t)
{
	rpc_client_unref(t->client);
	free(t);
}

void rpc_task_forget(struct rpc_client *c)
{
	struct rpc_task *t;

	for (;;) {
		{
			locked(&c->lock);
			t = STAILQ_FIRST(&c->waiting);
			if (t)
				STAILQ_REMOVE_HEAD(&c->waiting, next);
		}
		if (!t)
			return;
		task_free(t);
	}
}

const char *rpc_task_start(struct rpc_client *c, const struct proto_message *m,
	struct cache_store *store, const void *packet, size_t n)
{
	struct rpc_task *t = task_new(c, m, packet, n);
	bool now = true;

	if (!t)
		return "is not served: no memory";
	t->store = store;
	t->slow = m->type != PROTO_OPEN && m->type != PROTO_STATUS;
	{
		locked(&c->lock);
		if (c->requests == PROTO_REQUESTS) {
			now = false;
		} else {
			c->requests++;
			if (t->slow && c->n_jobs == RPC_CLIENT_JOBS) {
				STAILQ_INSERT_TAIL(&c->waiting, t, next);
				return NULL;
			}
			c->n_jobs += t->slow;
		}
	}
	if (!now) {
		task_free(t);
		return "has more requests at a time than it may";
	}
	rpc_jobs_add(c->server->jobs, &t->job, t->slow);
	return NULL;
}

/* ---- BAD ---- */

static void run_bad(struct rpc_job *job)
{
	struct rpc_task *t = (struct rpc_task *)job;
	const struct chunkid *ids = (const struct chunkid *)t->packet;

	for (uint32_t i = 0; i < t->m.n_ids; i++)
		cache_bad(t->client->server->cache, &ids[i]);
	{
		locked(&t->client->lock);
		t->client->n_bads--;
	}
	task_free(t);
}

const char *rpc_task_bad(struct rpc_client *c, const struct chunkid *ids, uint32_t n)
{
	struct proto_message m = {.type = PROTO_BAD, .n_ids = n};
	struct rpc_task *t = task_new(c, &m, ids, n * sizeof(*ids));

	if (!t)
		return "is not served: no memory";
	t->job.run = run_bad;
	rpc_jobs_add(c->server->jobs, &t->job, false);
	return NULL;
}
