// SPDX-License-Identifier: BSD-3-Clause
#include "tar_header.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define SUM      148
#define SUM_LEN  8
#define TYPE     156
#define TARGET   157
#define MAGIC    257
#define PREFIX   345
#define NAME_LEN 100

bool tar_header_is_zero(const uint8_t *block)
{
	static const uint8_t zeros[TAR_BLOCK];

	return memcmp(block, zeros, TAR_BLOCK) == 0;
}

/* Some old programs summed up signed bytes. */
static bool sum_is_right(const uint8_t *b)
{
	int64_t want, sum = 0, signed_sum = 0;

	if (tar_number(b + SUM, SUM_LEN, &want) < 0)
		return false;
	for (size_t i = 0; i < TAR_BLOCK; i++) {
		uint8_t c = i >= SUM && i < SUM + SUM_LEN ? ' ' : b[i];
		sum += c;
		signed_sum += (int8_t)c;
	}
	return want == sum || want == signed_sum;
}

static enum tar_magic magic_of(const uint8_t *b)
{
	if (memcmp(b + MAGIC, "ustar  ", 8) == 0)
		return TAR_GNU;
	if (memcmp(b + MAGIC, "ustar", 6) != 0)
		return TAR_V7;
	return memcmp(b + 508, "tar", 4) == 0 ? TAR_STAR : TAR_USTAR;
}

static int number(const uint8_t *b, size_t at, size_t n, const char *what, int64_t *ret,
	struct smr_error *err)
{
	if (tar_number(b + at, n, ret) < 0)
		return error_set(err, -EBADMSG, "the header of '%.100s' has no valid %s",
			(const char *)b, what);
	return 0;
}

static int unsigned_number(const uint8_t *b, size_t at, size_t n, const char *what, uint64_t *ret,
	struct smr_error *err)
{
	int64_t v;
	int r = number(b, at, n, what, &v, err);

	if (r == 0 && v < 0)
		r = error_set(err, -EBADMSG, "the header of '%.100s' has a negative %s",
			(const char *)b, what);
	if (r == 0)
		*ret = (uint64_t)v;
	return r;
}

int tar_header_parse(const uint8_t *b, struct tar_header *ret, struct smr_error *err)
{
	struct tar_header h = {.magic = magic_of(b), .type = (char)b[TYPE]};
	uint64_t mode = 0;
	int r;

	if (!sum_is_right(b))
		return error_set(err, -EBADMSG, "a header has a wrong sum");
	r = unsigned_number(b, 124, 12, "size", &h.size, err);
	if (r == 0 && !tar_header_is_extension(&h)) {
		r = unsigned_number(b, 100, 8, "mode", &mode, err);
		if (r == 0)
			r = number(b, 108, 8, "uid", &h.uid, err);
		if (r == 0)
			r = number(b, 116, 8, "gid", &h.gid, err);
		if (r == 0)
			r = number(b, 136, 12, "time", &h.mtime, err);
		if (r == 0 && (h.type == '3' || h.type == '4') && h.magic != TAR_V7)
			r = unsigned_number(b, 329, 8, "device number", &h.major, err);
		if (r == 0 && (h.type == '3' || h.type == '4') && h.magic != TAR_V7)
			r = unsigned_number(b, 337, 8, "device number", &h.minor, err);
		if (r == 0 && h.type == 'S')
			r = unsigned_number(b, 483, 12, "size", &h.realsize, err);
	}
	if (r == 0 && h.type == 'S' && h.magic != TAR_GNU)
		r = error_set(err, -EBADMSG, "'%.100s' is a sparse file outside of a GNU archive",
			(const char *)b);
	if (r < 0)
		return r;
	h.mode = (uint32_t)(mode & 07777);
	memcpy(h.block, b, TAR_BLOCK);
	*ret = h;
	return 0;
}

bool tar_header_is_extension(const struct tar_header *h)
{
	/* 'X' is the 'x' of old Suns. */
	return h->type == 'x' || h->type == 'X' || h->type == 'g' || h->type == 'L' ||
	       h->type == 'K';
}

size_t tar_header_path(const struct tar_header *h, char ret[TAR_HEADER_PATH_MAX])
{
	const char *b = (const char *)h->block;
	size_t n_prefix = h->magic == TAR_USTAR ? 155 : h->magic == TAR_STAR ? 131 : 0;

	n_prefix = strnlen(b + PREFIX, n_prefix);
	return (size_t)snprintf(ret, TAR_HEADER_PATH_MAX, "%.*s%s%.*s", (int)n_prefix, b + PREFIX,
		n_prefix ? "/" : "", NAME_LEN, b);
}

size_t tar_header_target(const struct tar_header *h, char ret[TAR_HEADER_TARGET_MAX])
{
	return (size_t)snprintf(
		ret, TAR_HEADER_TARGET_MAX, "%.*s", NAME_LEN, (const char *)h->block + TARGET);
}

int tar_header_mode(const struct tar_header *h, bool slash, uint32_t *ret)
{
	uint32_t type;

	switch (h->type) {
	case 0:
	case '0':
	case '7': /* contiguous */
		/* v7 had no type for directories. */
		type = slash ? S_IFDIR : S_IFREG;
		break;
	case '1': /* hard link: what it links to counts */
	case 'S':
		type = S_IFREG;
		break;
	case '2':
		type = S_IFLNK;
		break;
	case '3':
		type = S_IFCHR;
		break;
	case '4':
		type = S_IFBLK;
		break;
	case '5':
	case 'D':
		type = S_IFDIR;
		break;
	case '6':
		type = S_IFIFO;
		break;
	default:
		return -ENOTSUP;
	}
	/* Linux has no other for symlinks. */
	*ret = type | (type == S_IFLNK ? 0777 : h->mode);
	return 0;
}

int tar_header_gnu_map(
	const uint8_t *block, enum tar_gnu_map kind, struct tar_pax *to, bool *ret_more)
{
	const uint8_t *p = block + (kind == TAR_GNU_MAP_HEADER ? 386 : 0);
	unsigned n = kind == TAR_GNU_MAP_HEADER ? 4 : 21;
	int64_t offset, length;
	int r;

	/* An offset field that is empty ends the map. */
	for (unsigned i = 0; i < n && p[0]; i++, p += 24) {
		if (tar_number(p, 12, &offset) < 0 || tar_number(p + 12, 12, &length) < 0 ||
			offset < 0 || length < 0)
			return -EBADMSG;
		r = tar_pax_region(to, (uint64_t)offset, (uint64_t)length);
		if (r < 0)
			return r;
	}
	*ret_more = block[kind == TAR_GNU_MAP_HEADER ? 482 : 504] != 0;
	return 0;
}
