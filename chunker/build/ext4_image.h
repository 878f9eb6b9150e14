/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A tree as an ext4 image of layout 1 that is never written anywhere as a whole: its metadata is put into the spool where
 * the file contents are, and the image is a map of both. The same tree gives the same bytes, on every machine.
 *
 * An image borrows the spool, and nobody may write to that as long as the image lives; the tree may go once it is made. Any
 * number of threads may read it.
 */
#ifndef BUILD_EXT4_IMAGE_H
#define BUILD_EXT4_IMAGE_H

#include <stddef.h>
#include <stdint.h>

#include "../core/chunkid.h"
#include "../core/error.h"
#include "imgsource.h"
#include "spool.h"
#include "tree.h"

struct ext4_options {
	uint32_t chunk_size; /* bytes; a power of two, 64 KiB..4 MiB */
	uint64_t free_bytes; /* free space to add, for whoever copies the image to write to it */
};

struct ext4_info {
	uint64_t size;       /* bytes; a multiple of the chunk size and of 512 KiB */
	uint64_t meta_end;   /* bytes: the metadata region, a multiple of the chunk size */
	uint64_t data_bytes; /* bytes of blocks that hold contents of files */
	uint32_t n_inodes;   /* in use, the root included, the reserved ones not */
	uint32_t n_entries;
	uint64_t
		n_dropped_xattrs; /* in namespaces that Linux does not have on ext4, as com.apple.*: not in the image */
	struct chunkid
		tree_digest; /* its first 16 bytes are the file system's UUID, but for the bits of version 8 */
};

struct ext4_image;

/* -EFBIG: beyond 64 TiB, or a directory beyond two levels of index; -EMLINK: more than 65,000 names of a file; -E2BIG: xattrs
 * that do not fit; -EINVAL: a malformed ACL; each names the path. -ENOMEM; what writing the spool gives. */
int ext4_image_new(const struct tree *t, struct spool *s, const struct ext4_options *opts,
	struct ext4_image **ret, struct smr_error *err);
void ext4_image_free(struct ext4_image *img);

const struct ext4_info *ext4_image_info(const struct ext4_image *img);

/* The first data at or behind `offset`, as bytes [*ret_start, *ret_end), start >= offset. -ENXIO: only zeros up to the
 * end. */
int ext4_image_next_data(
	const struct ext4_image *img, uint64_t offset, uint64_t *ret_start, uint64_t *ret_end);

/* Reads `n` bytes at `offset`; zeros behind the image's end. What spool_read gives. */
int ext4_image_read(
	const struct ext4_image *img, void *data, size_t n, uint64_t offset, struct smr_error *err);

/* The image for whoever takes any; `name` is for messages. Valid as long as both. */
struct imgsource ext4_image_source(const struct ext4_image *img, const char *name);

/* Writes the image to an empty file, with holes where it has no data. `progress` gets how many bytes of data it was given
 * since the last call; may be NULL; a negative return value ends it. */
int ext4_image_write(const struct ext4_image *img, int fd, int (*progress)(void *user, uint64_t n),
	void *user, struct smr_error *err);

#endif
