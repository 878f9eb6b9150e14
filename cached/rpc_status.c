/* SPDX-License-Identifier: BSD-3-Clause */
#include "rpc_impl.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "../chunker/core/cleanup.h"
#include "status.h"

struct gathering {
	struct status *status;
	int r;
};

static void count_mounted(struct status *s, const struct rpc_client_info *info)
{
	for (size_t i = 0; i < s->n_images; i++)
		for (size_t k = 0; k < info->n_images; k++)
			s->images[i].mounted +=
				chunkid_equal(&s->images[i].digest, &info->images[k]);
}

static void add_client(void *user, const struct rpc_client_info *info)
{
	struct gathering *g = user;
	struct status_client *c = status_add_client(g->status);

	if (!c) {
		g->r = -ENOMEM;
		return;
	}
	snprintf(c->name, sizeof(c->name), "%s", info->name);
	c->pid = (uint64_t)info->pid;
	c->uid = info->uid;
	c->in_flight = info->gets;
	c->answered = info->answered_gets;
	count_mounted(g->status, info);
}

int rpc_status(struct rpc_server *s, struct buf *json, struct smr_error *err)
{
	struct buf caches auto_with(buf_done);
	struct status status auto_with(status_done) = {0};
	struct gathering g = {.status = &status};
	int r;

	buf_init(&caches, STATUS_MAX);
	r = cache_status(s->cache, &caches, err);
	if (r == 0)
		r = status_json_decode((const char *)caches.data, caches.len, &status, err);
	if (r < 0)
		return r;
	rpc_server_clients(s, add_client, &g);
	if (g.r == 0)
		g.r = status_json_encode(&status, json);
	return g.r < 0 ? error_set_errno(err, g.r, "the status") : 0;
}
