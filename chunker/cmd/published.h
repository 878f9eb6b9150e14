/* SPDX-License-Identifier: BSD-3-Clause */
/* What `smr chunk` and `smr import` say about an image that they have published. */
#ifndef CMD_PUBLISHED_H
#define CMD_PUBLISHED_H

#include "../build/cutter.h"
#include "cmd.h"

/* Text, JSON or, with -q, nothing. 0 or -ENOMEM. */
int published_print(const struct cmd *c, const struct store *s, const char *name,
	uint32_t chunk_size, const struct cutter_result *r);

#endif
