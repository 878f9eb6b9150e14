/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The recipe of one image, format version 1: which chunk is where. Used in place, mapped read-only,
 * without heap per entry. All numbers little-endian. Offsets are from the start of the file and multiples
 * of 8; sections follow in this order without gaps but zero padding to 8 bytes.
 *
 *     recipe   = header name table config source digest
 *     header   = 256 bytes:
 *          0  u8[8]  magic "smrrecip"
 *          8  u32    version = 1
 *         12  u32    flags: bit 0 sealed (reserved: refused); others must be 0
 *         16  u64    file size in bytes, all of it
 *         24  u64    image size in bytes, > 0
 *         32  u32    chunk size in bytes, power of two, 64 KiB..4 MiB
 *         36  u32    layout version: 0 = foreign image, 1 = layout 1
 *         40  u64    metadata region: its end in bytes, <= image size; 0 = not known
 *         48  u64    name offset      56 u32 name length (1..200)           60 u32 zero
 *         64  u64    table offset     72 u64 entries
 *         80  u64    config offset    88 u64 config length (OCI config JSON, may be 0)
 *         96  u64    source offset   104 u32 source length (image reference, UTF-8, may be 0)  108 u32 zero
 *        112  u8[32] manifest digest (SHA-256), zeros = none
 *        144  u64    sealed key table offset   152 u64 its length     (reserved: 0)
 *        160  u8[32] sealed authentication tag                        (reserved: 0)
 *        192  u8[64] zero
 *     table    = entry*, strictly ascending by chunk index; a chunk without an entry is zeros
 *     entry    = u32 chunk index, u32 flags << 24 | wire length (plain: both 0), u8[32] chunk id
 *     digest   = u8[32], SHA-256 of everything before it: the recipe's digest, NAME@sha256:DIGEST
 *
 * Limits, checked before anything is allocated or followed: file <= 256 MiB, image <= 64 TiB, config <= 4
 * MiB, source <= 4 KiB. A recipe is immutable; any thread may read it.
 */
#ifndef CORE_RECIPE_H
#define CORE_RECIPE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "buf.h"
#include "chunkid.h"
#include "error.h"
#include "name.h"

#define RECIPE_HEADER_BYTES 256
#define RECIPE_ENTRY_BYTES  40
#define RECIPE_FILE_MAX     (256ull << 20)
#define RECIPE_IMAGE_MAX    (64ull << 40)
#define RECIPE_CONFIG_MAX   (4u << 20)
#define RECIPE_SOURCE_MAX   4096u

struct recipe;

/* What a header says, for listings. */
struct recipe_info {
	char name[NAME_LEN_MAX + 1];
	struct chunkid digest;          /* of the recipe; zeros where only a header was parsed */
	uint64_t file_size;             /* bytes of the recipe itself */
	uint64_t image_size;            /* bytes */
	uint32_t chunk_size;            /* bytes */
	uint32_t layout;                /* layout version, 0 = foreign */
	uint64_t meta_end;              /* metadata region, bytes; 0 = not known */
	uint64_t n_chunks;              /* stored (non-zero) chunks */
	struct chunkid manifest_digest; /* zeros = none */
	uint64_t table_offset;          /* bytes into the recipe; listings read only parts of one */
	uint64_t source_offset;
	uint32_t source_len;
};

struct recipe_entry {
	uint32_t index; /* chunk index: the chunk starts at index * chunk_size */
	struct chunkid id;
};

/* The three ways in. All validate everything, the digest included, before they return, and leave an error
 * that says what is wrong. -EBADMSG: not a valid recipe; -ENOTSUP: a newer version or a sealed one;
 * -EFBIG: over a limit. recipe_open_fd maps the file (the descriptor may be closed afterwards; nobody may
 * truncate the file: pass sealed memfds or private files); recipe_from_bytes copies. */
int recipe_open_fd(int fd, struct recipe **ret, struct smr_error *err);
int recipe_from_bytes(const void *data, size_t n, struct recipe **ret, struct smr_error *err);
void recipe_free(struct recipe *r);

/* Header only (the first RECIPE_HEADER_BYTES + NAME_LEN_MAX bytes, or all there are), for listings:
 * validates the header, not the table, not the digest. */
int recipe_parse_header(const void *data, size_t n, struct recipe_info *ret, struct smr_error *err);

const struct recipe_info *recipe_info(const struct recipe *r);
const char *recipe_source(const struct recipe *r, size_t *ret_len); /* not NUL-terminated */
const char *recipe_config(const struct recipe *r, size_t *ret_len);
const void *recipe_bytes(const struct recipe *r, size_t *ret_len);
/* Chunks in the image, stored or not: ceil(image_size / chunk_size). */
uint64_t recipe_n_slots(const struct recipe *r);
/* Bytes of the image inside stored chunks: what st_blocks shows. */
uint64_t recipe_data_bytes(const struct recipe *r);

/* Entry `i` of the table, i < n_chunks. */
struct recipe_entry recipe_entry(const struct recipe *r, uint64_t i);
/* The position of the first entry with index >= chunk_index; n_chunks if there is none. O(log n). */
uint64_t recipe_lower_bound(const struct recipe *r, uint64_t chunk_index);
/* The id of a chunk in place (valid as long as the recipe), or NULL for a chunk of zeros. O(log n). */
const struct chunkid *recipe_find(const struct recipe *r, uint64_t chunk_index);

/* Writing. The entries must be ascending; zero chunks are left out by the caller. The same input gives
 * the same bytes everywhere. */
struct recipe_spec {
	const char *name;
	uint64_t image_size;
	uint32_t chunk_size;
	uint32_t layout;
	uint64_t meta_end;
	const struct recipe_entry *entries;
	uint64_t n_entries;
	const char *config; /* may be NULL */
	size_t config_len;
	const char *source;                    /* may be NULL */
	const struct chunkid *manifest_digest; /* may be NULL */
};
/* Appends the file to `out` (whose maximum should be RECIPE_FILE_MAX). -EINVAL: the spec breaks a rule
 * above. */
int recipe_encode(const struct recipe_spec *spec, struct buf *out, struct smr_error *err);

#endif
