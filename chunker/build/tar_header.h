/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A header block of a tar archive. For tar_*.c only. Pure.
 *
 *       0 name[100]  100 mode[8]  108 uid[8]  116 gid[8]  124 size[12]  136 mtime[12]  148 sum[8]  156 type
 *     157 target[100]  257 magic[8]: "ustar\0" "00" or GNU's "ustar  \0"
 *     265 user[32]  297 group[32]  329 major[8]  337 minor[8]
 *     ustar: 345 prefix[155]     star: 345 prefix[131] ... 508 "tar\0"
 *     GNU:   386 region[4], each offset[12] length[12]  482 more  483 real size[12]
 *            continued: region[21]  504 more
 */
#ifndef BUILD_TAR_HEADER_H
#define BUILD_TAR_HEADER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../core/error.h"
#include "tar_pax.h"

#define TAR_BLOCK             512u
#define TAR_HEADER_PATH_MAX   258 /* prefix, '/', name, NUL */
#define TAR_HEADER_TARGET_MAX 101

enum tar_magic { TAR_V7, TAR_USTAR, TAR_STAR, TAR_GNU };
enum tar_gnu_map { TAR_GNU_MAP_HEADER, TAR_GNU_MAP_BLOCK };

struct tar_header {
	uint8_t block[TAR_BLOCK];
	enum tar_magic magic;
	char type;
	uint32_t mode;
	int64_t uid, gid, mtime;
	uint64_t size, realsize;
	uint64_t major, minor;
	bool more; /* old GNU sparse: another block of the map follows */
};

bool tar_header_is_zero(const uint8_t *block);
/* -EBADMSG: the sum or a number is wrong. */
int tar_header_parse(const uint8_t *block, struct tar_header *ret, struct smr_error *err);
bool tar_header_is_extension(const struct tar_header *h);
/* Both NUL-terminated; return the length. */
size_t tar_header_path(const struct tar_header *h, char ret[TAR_HEADER_PATH_MAX]);
size_t tar_header_target(const struct tar_header *h, char ret[TAR_HEADER_TARGET_MAX]);
/* S_IFMT and 07777. `slash`: the path ends with one. -ENOTSUP. */
int tar_header_mode(const struct tar_header *h, bool slash, uint32_t *ret);
/* Adds the regions of an old GNU map. */
int tar_header_gnu_map(
	const uint8_t *block, enum tar_gnu_map kind, struct tar_pax *to, bool *ret_more);

#endif
