/* SPDX-License-Identifier: BSD-3-Clause */
#include "holders.h"

#include <errno.h>
#include <stdlib.h>

#include "../chunker/core/idmap.h"

struct holders {
	struct idmap *counts; /* never 0 */
	uint64_t total;
};

struct holders *holders_new(void)
{
	struct holders *h = calloc(1, sizeof(*h));

	if (h && !(h->counts = idmap_new())) {
		free(h);
		return NULL;
	}
	return h;
}

void holders_free(struct holders *h)
{
	if (!h)
		return;
	idmap_free(h->counts);
	free(h);
}

int holders_add(struct holders *h, const struct chunkid *id)
{
	uint64_t n = 0;
	int r;

	idmap_get(h->counts, id, &n);
	r = idmap_put(h->counts, id, n + 1);
	if (r < 0)
		return r;
	h->total++;
	return 0;
}

bool holders_drop(struct holders *h, const struct chunkid *id)
{
	uint64_t n;

	if (!idmap_get(h->counts, id, &n))
		return false;
	h->total--;
	if (n == 1) {
		idmap_del(h->counts, id, NULL);
		return true;
	}
	idmap_put(h->counts, id, n - 1); /* it is there: nothing is allocated */
	return false;
}

bool holders_has(const struct holders *h, const struct chunkid *id)
{
	return idmap_get(h->counts, id, NULL);
}

size_t holders_chunks(const struct holders *h)
{
	return idmap_count(h->counts);
}

uint64_t holders_total(const struct holders *h)
{
	return h->total;
}
