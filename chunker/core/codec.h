/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The two forms of a plain chunk: pool form (its bytes, chunk_size of them) and wire form (one zstd
 * frame, RFC 8878). An encoder trims nothing; a decoder takes frames whose content is shorter than the
 * chunk (Go stream-my-root trims trailing zeros) and pads with zeros.
 *
 * Thread rule: every thread has its own zstd contexts, made on first use and freed with the thread.
 */
#ifndef CORE_CODEC_H
#define CORE_CODEC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "chunkid.h"

#define CODEC_CHUNK_MIN     (64u << 10)
#define CODEC_CHUNK_MAX     (4u << 20)
#define CODEC_CHUNK_DEFAULT (512u << 10)
#define CODEC_LEVEL_DEFAULT 3

/* A power of two from CODEC_CHUNK_MIN to CODEC_CHUNK_MAX? */
bool codec_chunk_size_valid(uint64_t size);

/* The largest wire form that a chunk of this size may have; what a client accepts for one object. */
size_t codec_wire_max(size_t chunk_size);

/* Encodes `n` bytes into `wire` (room for codec_wire_max(n)). 0, -EINVAL for a level zstd does not have,
 * -ENOMEM. */
int codec_encode(const void *pool, size_t n, int level, void *wire, size_t *ret_wire_len);

/* Decodes one frame into exactly chunk_size bytes, zero-padded. -EBADMSG: not one whole frame, trailing
 * bytes, or more content than a chunk. -ENOMEM. Never writes beyond `pool`[0..chunk_size). */
int codec_decode(const void *wire, size_t wire_len, void *pool, size_t chunk_size);

/* codec_decode, then the id is compared. -EBADMSG also when it differs: the bytes must not be used. */
int codec_decode_verify(
	const void *wire, size_t wire_len, const struct chunkid *id, void *pool, size_t chunk_size);

/* All bytes zero? */
bool codec_is_zero(const void *data, size_t n);

#endif
