/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Are the chunks of some images there, and what they should be? Every distinct chunk is looked at
 * once, however many images have it; afterwards the check answers for each.
 *
 * Owned by the caller; check_run uses threads of its own, the rest is for one thread at a time.
 */
#ifndef CMD_CHECK_H
#define CMD_CHECK_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "../core/recipe.h"
#include "../store/store.h"

struct check;

struct check *check_new(struct store *s); /* NULL: no memory */
void check_free(struct check *c);
/* The chunks of one more image. 0 or -ENOMEM. */
int check_add(struct check *c, const struct recipe *r);

struct check_totals {
	uint64_t chunks;     /* distinct ones looked at */
	uint64_t wire_bytes; /* of those that are there */
	uint64_t damaged;    /* missing or wrong */
};

/* Asks for every chunk; with `data` fetches, decodes and rehashes it. What is found is remembered
 * and no error; an error is what keeps the question from being answered: -ECANCELED, or a store
 * that cannot be reached. */
int check_run(struct check *c, bool data, bool quiet, const atomic_bool *cancel,
	struct check_totals *ret, struct smr_error *err);

/* 0: as it should be; -ENOENT: missing; -EBADMSG: damaged; others: unreadable. */
int check_result(const struct check *c, const struct chunkid *id, uint32_t chunk_size);

struct check_unreferenced {
	uint64_t chunks, bytes; /* bytes of wire form */
};
/* Objects of the store that no image added here has. -EOPNOTSUPP: the store cannot list its
 * objects. */
int check_unreferenced(
	const struct check *c, struct check_unreferenced *ret, struct smr_error *err);

#endif
