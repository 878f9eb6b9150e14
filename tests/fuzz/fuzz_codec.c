/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The wire form of a chunk. The first byte chooses the chunk size, the rest is the object. Nothing may be
 * written behind the chunk, and what decodes must survive a round trip.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../chunker/core/cleanup.h"
#include "../../chunker/core/codec.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

#define GUARD 64 /* bytes behind the chunk: zstd itself may not be instrumented */

static void fail(const char *what)
{
	fprintf(stderr, "%s\n", what);
	abort();
}

static void round_trip(const uint8_t *pool, size_t chunk_size)
{
	uint8_t *wire auto_free = malloc(codec_wire_max(chunk_size));
	uint8_t *back auto_free = malloc(chunk_size);
	struct chunkid id;
	size_t wire_len;
	if (!wire || !back)
		fail("no memory");
	chunkid_hash(pool, chunk_size, &id);
	if (codec_encode(pool, chunk_size, 1, wire, &wire_len) < 0)
		fail("what was decoded cannot be encoded");
	if (codec_decode_verify(wire, wire_len, &id, back, chunk_size) < 0)
		fail("what was encoded is not decoded");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	if (n == 0)
		return codec_decode(data, 0, NULL, CODEC_CHUNK_MIN) == 0;
	size_t chunk_size = (size_t)CODEC_CHUNK_MIN << data[0] % 2;
	uint8_t guard[GUARD];
	uint8_t *pool auto_free = malloc(chunk_size + GUARD);
	if (!pool)
		fail("no memory");
	memset(guard, 0xa5, GUARD);
	memset(pool, 0xa5, chunk_size + GUARD);
	int r = codec_decode(data + 1, n - 1, pool, chunk_size);
	if (memcmp(pool + chunk_size, guard, GUARD) != 0)
		fail("wrote behind the chunk");
	if (r == 0)
		round_trip(pool, chunk_size);
	return 0;
}
