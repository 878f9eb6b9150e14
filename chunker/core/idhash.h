/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The hash of tables of chunk ids. Ids are SHA-256 outputs, yet a publisher may choose them, so each table
 * hashes with a key of its own, drawn at random.
 *
 * NH of UMAC (Black et al., CRYPTO '99) over the four words of the id: two ids chosen without the key collide
 * with probability 2^-64; then multiplied and cut to 32 bits.
 */
#ifndef CORE_IDHASH_H
#define CORE_IDHASH_H

#include "chunkid.h"

struct idhash {
	uint64_t key[5];
};

void idhash_init(struct idhash *h);

static inline uint32_t idhash_of(const struct idhash *h, const struct chunkid *id)
{
	uint64_t w[4];
	unsigned __int128 nh;

	memcpy(w, id->b, sizeof(w));
	nh = (unsigned __int128)(w[0] + h->key[0]) * (w[1] + h->key[1]);
	nh += (unsigned __int128)(w[2] + h->key[2]) * (w[3] + h->key[3]);
	return (uint32_t)((((uint64_t)nh ^ (uint64_t)(nh >> 64)) * (h->key[4] | 1)) >> 32);
}

#endif
