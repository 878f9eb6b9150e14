/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The records of pax extended headers, and the numbers of tar headers. For tar_*.c only. Pure.
 *
 *     records = record*       record = length " " key "=" value "\n"      length: decimal, of all of the record
 *
 * -EBADMSG: malformed.
 */
#ifndef BUILD_TAR_PAX_H
#define BUILD_TAR_PAX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../core/buf.h"
#include "../core/error.h"
#include "tree.h"

struct tar_region {
	uint64_t offset, n; /* of data in a sparse file, bytes */
};

/* Bytes in a struct tar_pax's `bytes`. */
struct tar_text {
	bool set;
	size_t at, len;
};

/* What extensions say about the next member; `bytes` holds the texts. */
struct tar_pax {
	struct buf bytes;
	struct tar_text path, target;
	bool has_size, has_uid, has_gid, has_mtime, has_major, has_minor, has_mode;
	uint64_t size, uid, gid, major, minor;
	int64_t mtime;
	uint32_t mtime_ns;

	struct tar_xattr_text {
		struct tar_text name, value;
	} * xattrs;
	size_t n_xattrs, cap_xattrs;

	/* sparse */
	bool sparse;      /* any of its keys */
	bool has_version; /* 1.0: the map is in the data */
	uint64_t version_major, version_minor;
	bool has_realsize;
	uint64_t realsize;
	struct tar_text sparse_name;
	bool has_offset; /* 0.0: an offset waits for its length */
	struct tar_region *regions;
	size_t n_regions, cap_regions;
};

void tar_pax_init(struct tar_pax *p);
void tar_pax_done(struct tar_pax *p);
/* Forgets everything, keeps the memory. */
void tar_pax_reset(struct tar_pax *p);

/* Later records count. */
int tar_pax_parse(struct tar_pax *p, const char *records, size_t n, struct smr_error *err);
/* Copies `n` bytes and a NUL. -ENOMEM, -EFBIG. */
int tar_pax_text(struct tar_pax *p, const char *s, size_t n, struct tar_text *ret);
static inline const char *tar_pax_bytes(const struct tar_pax *p, const struct tar_text *t)
{
	return (const char *)p->bytes.data + t->at;
}
/* -EFBIG, -ENOMEM. */
int tar_pax_region(struct tar_pax *p, uint64_t offset, uint64_t n);

/* A number of a header's field: octal digits between blanks, or GNU's base 256. */
int tar_number(const void *field, size_t n, int64_t *ret);
/* Decimal digits, nothing else. */
int tar_decimal(const char *s, size_t n, uint64_t *ret);

#endif
