/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A disk image as a file of this machine: a regular file with its holes, or a block device. It is
 * read while others could write to it, so what was read counts only after imgfile_check.
 *
 * Owned by whoever opened it. imgfile_read may be called from any thread; imgfile_next_data moves
 * the file offset, so one thread at a time.
 */
#ifndef BUILD_IMGFILE_H
#define BUILD_IMGFILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>

#include "../core/error.h"
#include "imgsource.h"

struct imgfile {
	int fd;
	const char *path; /* the caller's */
	uint64_t size;    /* bytes, > 0 */
	bool has_holes;   /* SEEK_DATA works */
	struct stat st;   /* at open */
};

/* -EINVAL: empty, or neither a regular file nor a block device; otherwise what open(2) gives.
 * `path` must live as long as `ret`. */
int imgfile_open(struct imgfile *ret, const char *path, struct smr_error *err);
void imgfile_close(struct imgfile *f);

/* The first data at or behind `offset`, as bytes [*ret_start, *ret_end), start >= offset. -ENXIO:
 * only holes up to the end. Without SEEK_DATA all of the file is data. */
int imgfile_next_data(struct imgfile *f, uint64_t offset, uint64_t *ret_start, uint64_t *ret_end,
	struct smr_error *err);

/* Reads `n` bytes at `offset`, zeros for what lies behind the image's end. -ESTALE: the file has
 * shrunk. */
int imgfile_read(
	const struct imgfile *f, void *data, size_t n, uint64_t offset, struct smr_error *err);

/* -ESTALE: it is not the same as when it was opened (size, mtime, ctime). A block device shows only
 * its size. */
int imgfile_check(const struct imgfile *f, struct smr_error *err);

/* The file for whoever takes any image; valid as long as it is open. */
struct imgsource imgfile_source(struct imgfile *f);

#endif
