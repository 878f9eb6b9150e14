/* SPDX-License-Identifier: BSD-3-Clause */
/* What `smr chunk`, `smr import` and `smr add` say about an image that they have published. */
#ifndef CMD_PUBLISHED_H
#define CMD_PUBLISHED_H

#include "../build/cutter.h"
#include "cmd.h"

/* Of an image that was built from a source. */
struct published_build {
	const char *source; /* its reference */
	uint64_t n_layers;  /* 0: it was no image of layers */
	uint64_t n_cached;  /* of them that were not downloaded, as they had been before */
	uint64_t n_entries; /* names in the tree */
	uint32_t layout;    /* version */
	const char *config; /* OCI config; NULL: none */
	size_t config_len;
};

/* Text, JSON or, with -q, nothing. `built` is NULL for an image that was there as one. 0 or -ENOMEM. */
int published_print(const struct cmd *c, const struct store *s, const char *name,
	uint32_t chunk_size, const struct cutter_result *r, const struct published_build *built);

#endif
