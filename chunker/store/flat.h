/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Recipes of Go stream-my-root, which are text:
 *
 *     recipe = line*          lines end with LF or CRLF; empty ones are skipped
 *     line   = INDEX " " ID   chunk INDEX (of 512 KiB, decimal, strictly ascending) has the SHA-256 ID (lower-case hex)
 *            | "size=" BYTES  once, anywhere: the image's size
 *
 * Chunks that are not listed are zeros; zero chunks that are listed are tolerated. Without a size line the size is that of
 * the ext4 in the image. Objects are zstd frames of the chunk without its trailing zeros; the id is of the whole
 * chunk, so the codec reads them as they are.
 *
 * Pure; plain values.
 */
#ifndef STORE_FLAT_H
#define STORE_FLAT_H

#include "../core/recipe.h"

#define FLAT_CHUNK_SIZE (512u << 10)   /* bytes */
#define FLAT_TEXT_MAX   (256ull << 20) /* bytes; what callers should read at most */

struct flat_recipe {
	struct recipe_entry *entries; /* ascending, no zero chunks */
	uint64_t n_entries;
	uint64_t size;  /* of the size line, bytes; 0: there was none */
	uint64_t slots; /* chunks up to the last one listed, zero or not */
};

/* -EBADMSG with the line's number; -EFBIG: an image beyond RECIPE_IMAGE_MAX; -ENOMEM. */
int flat_parse(const char *text, size_t n, struct flat_recipe *ret, struct smr_error *err);
void flat_recipe_done(struct flat_recipe *f);

/* The size in bytes that the ext4 superblock in chunk 0 states. `n`: bytes of the chunk. -EBADMSG: there is no ext4. */
int flat_ext4_size(const void *chunk, size_t n, uint64_t *ret, struct smr_error *err);

/* The same image as a recipe of ours. `size` in bytes: what the caller knows better, else 0; a recipe that has a size line
 * believes that; `ext4_size` (0: not known) comes last, and files that go on behind their ext4 count whole. -EINVAL: none of them is
 * known; -EBADMSG: the size is too small for the chunks. */
int flat_convert(const struct flat_recipe *f, const char *name, uint64_t size, uint64_t ext4_size,
	struct recipe **ret, struct smr_error *err);

#endif
