/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Reads a tar archive: v7, ustar, GNU, star and pax (POSIX.1-2001), as layers of images are. Not libarchive: that converts names
 * by the locale of the process and composes their accents (two files become one), cuts names at NULs, and takes wrong lengths
 * and sums for good. Here names are bytes, and whatever is not as it should be is refused. Where archivers disagree, what
 * Go's archive/tar does counts: that is what writes and reads images.
 *
 *     archive = member* end                  end = two blocks of zeros, or nothing (tar_reader_has_end)
 *     member  = extension* header data       extension = 'x' pax records, 'g' (ignored), 'L' 'K' GNU long names
 *
 * Links, directories, devices and fifos have no data, whatever size they claim. Sparse files: GNU old ('S'), pax 0.0, 0.1, 1.0.
 *
 * Pure: input comes from a function. Memory is bounded: 1 MiB of extensions, 16 MiB of a sparse map. One thread.
 */
#ifndef BUILD_TAR_READER_H
#define BUILD_TAR_READER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../core/error.h"
#include "tree.h"

#define TAR_EXTENSION_MAX (1u << 20) /* bytes, of all extensions of a member */
#define TAR_REGIONS_MAX   (1u << 20) /* of a sparse file */
#define TAR_PATH_MAX      4095       /* bytes of a name or a link's target */

struct tar_member {
	const char *
		path; /* as it is in the archive; no NUL in it, NUL-terminated; 1..TAR_PATH_MAX bytes */
	size_t path_len;
	bool hard_link;     /* to `target`; of the rest only the path counts */
	const char *target; /* of a link; NUL-terminated; at least a byte */
	size_t target_len;
	uint32_t mode; /* S_IFMT and 07777 */
	uint32_t uid, gid;
	int64_t mtime;
	uint32_t mtime_ns;
	uint32_t major, minor;
	uint64_t size; /* of a regular file, holes included */
	uint64_t
		data; /* where its data begins in the archive, bytes; a sparse file's is behind its map */
	const struct tree_xattr *xattrs;
	size_t n_xattrs;
};

/* A piece of a file: bytes behind the end of the last one, or, where data is NULL, zeros. */
struct tar_data {
	const void *data;
	uint64_t n;
};

/* The next bytes of the archive, valid until the next call; *ret_n 0 only at the end. */
typedef int tar_read_fn(void *user, const void **ret_data, size_t *ret_n, struct smr_error *err);

typedef int tar_skip_fn(void *user, uint64_t n, struct smr_error *err);

struct tar_reader;

/* `skip`, may be NULL, passes over `n` bytes that nobody wants in place of reading them. NULL: no memory. */
struct tar_reader *tar_reader_new(tar_read_fn *read, tar_skip_fn *skip, void *user);
void tar_reader_free(struct tar_reader *t);

/* The next member; what is left of the last one's data is skipped. 1; 0: the end of the archive. *ret is valid until the next
 * call. -EBADMSG: malformed; the message names the member, or the one before. -ENOTSUP: a type that is no file. -EFBIG.
 * What `read` gives. No call after a failure. */
int tar_reader_next(struct tar_reader *t, const struct tar_member **ret, struct smr_error *err);
/* The next piece of the member's data; ret->n == 0: the end, `size` bytes were given. */
int tar_reader_data(struct tar_reader *t, struct tar_data *ret, struct smr_error *err);

/* After the end: the archive had its end mark. Without, it may have been cut off between two members. */
bool tar_reader_has_end(const struct tar_reader *t);
/* After the end: reads what follows the archive, which must be zeros (-EBADMSG). */
int tar_reader_finish(struct tar_reader *t, struct smr_error *err);

#endif
