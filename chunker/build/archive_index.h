/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A tar archive as files by name: where each one's bytes lie, so that they can be read in any order. An archive that is
 * compressed as a whole is decompressed into an unlinked file first.
 *
 * Owned by whoever opened it; nothing changes it after that, so any number of threads may read.
 */
#ifndef BUILD_ARCHIVE_INDEX_H
#define BUILD_ARCHIVE_INDEX_H

#include <stddef.h>
#include <stdint.h>

#include "../core/buf.h"
#include "../core/error.h"
#include "source.h"

#define ARCHIVE_MEMBERS_MAX 100000u

struct archive_member {
	char *path;   /* without a "./" in front */
	char *target; /* of a link of either kind; else NULL */
	uint64_t data, size;
};

struct archive_index {
	int fd;
	uint64_t size; /* bytes of the tar */
	struct archive_member *members;
	size_t n_members, cap_members;
};

/* Of opts: temp_dir, cancel, limits. -EINVAL: no regular file; -EBADMSG: no archive, or a damaged one; -EFBIG: a limit, or more
 * than ARCHIVE_MEMBERS_MAX files; what reading gives. */
int archive_index_open(struct archive_index *a, const char *path, const struct source_options *opts,
	struct smr_error *err);
void archive_index_done(struct archive_index *a);

/* The only one of that name; -EBADMSG: none, or several. */
int archive_index_find(const struct archive_index *a, const char *path,
	const struct archive_member **ret, struct smr_error *err);
/* The bytes of a regular file of at most `max`, into an initialised buffer. -EFBIG, -EBADMSG. */
int archive_index_read(
	const struct archive_index *a, const char *path, struct buf *ret, struct smr_error *err);

#endif
