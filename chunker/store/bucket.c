/* SPDX-License-Identifier: BSD-3-Clause */
#include "bucket.h"

#include <stdio.h>
#include <string.h>

#include "gate.h"

struct reading {
	struct bucket_get get;
	struct gate gate;
	struct buf *body;
	struct smr_error *err;
	int result;
};

static void reading_done(struct bucket_get *g, int r, struct buf *body, const struct smr_error *err)
{
	struct reading *rd = (struct reading *)g;

	rd->result = r;
	if (r == 0) {
		size_t max = rd->body->max;

		buf_done(rd->body);
		buf_move(rd->body, body);
		rd->body->max = max;
	} else if (rd->err) {
		*rd->err = *err;
	}
	gate_open(&rd->gate);
}

int bucket_read(
	struct bucket *b, const char *key, char *etag, struct buf *body, struct smr_error *err)
{
	struct reading rd = {
		.get = {.key = key,
			.max_bytes = body->max,
			.impatient = true,
			.done = reading_done},
		.body = body,
		.err = err,
	};

	if (etag)
		snprintf(rd.get.etag, sizeof(rd.get.etag), "%s", etag);
	gate_init(&rd.gate);
	b->ops->get(b, &rd.get);
	gate_wait(&rd.gate);
	if (etag && rd.result == 0)
		memcpy(etag, rd.get.etag, BUCKET_ETAG_MAX);
	return rd.result;
}
