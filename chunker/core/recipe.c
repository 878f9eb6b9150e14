/* SPDX-License-Identifier: BSD-3-Clause */
#include "recipe.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "cleanup.h"
#include "codec.h"
#include "le.h"
#include "recipe_format.h"

struct recipe {
	struct recipe_info info;
	struct recipe_sections at;
	size_t config_len;
	size_t source_len;
	const uint8_t *bytes;
	bool mapped; /* bytes: munmap, not free */
};

bool recipe_source_valid(const char *s, size_t n)
{
	static const uint32_t least[] = {0, 0x80, 0x800, 0x10000};
	const unsigned char *p = (const unsigned char *)s;
	for (size_t i = 0; i < n;) {
		unsigned char c = p[i++];
		unsigned follow = c < 0x80   ? 0
				  : c < 0xc0 ? 4
				  : c < 0xe0 ? 1
				  : c < 0xf0 ? 2
				  : c < 0xf8 ? 3
					     : 4;
		if (follow == 4 || n - i < follow)
			return false;
		uint32_t v = follow == 0 ? c : c & (0x3fu >> follow);
		for (unsigned k = 0; k < follow; k++, i++) {
			if ((p[i] & 0xc0) != 0x80)
				return false;
			v = v << 6 | (p[i] & 0x3fu);
		}
		if (v < least[follow] || v > 0x10ffff || (v >= 0xd800 && v < 0xe000))
			return false;
		if (v < 0x20 || (v >= 0x7f && v < 0xa0))
			return false;
	}
	return true;
}

/* ---- header ---- */

/* What recipe_parse_header finds beside the info. */
struct header {
	struct recipe_info info;
	struct recipe_sections at;
	size_t name_len;
	size_t config_len;
	size_t source_len;
};

static int check_preamble(const uint8_t *p, size_t n, struct smr_error *err)
{
	size_t magic = strlen(RECIPE_MAGIC);
	if (n < magic || memcmp(p, RECIPE_MAGIC, magic) != 0)
		return error_set(err, -EBADMSG,
			"recipe: not a recipe: it does not start with \"%s\"", RECIPE_MAGIC);
	if (n < RECIPE_HEADER_BYTES)
		return error_set(err, -EBADMSG,
			"recipe: truncated: %zu bytes, the header alone has %d", n,
			RECIPE_HEADER_BYTES);
	uint32_t version = le_get32(p + RECIPE_AT_VERSION);
	if (version > RECIPE_VERSION)
		return error_set(err, -ENOTSUP,
			"recipe: format version %" PRIu32 ", this program knows up to %u", version,
			RECIPE_VERSION);
	if (version != RECIPE_VERSION)
		return error_set(err, -EBADMSG, "recipe: no format has version %" PRIu32, version);
	uint32_t flags = le_get32(p + RECIPE_AT_FLAGS);
	if (flags & ~RECIPE_FLAG_SEALED)
		return error_set(err, -EBADMSG, "recipe: unknown flags 0x%" PRIx32, flags);
	if (flags & RECIPE_FLAG_SEALED)
		return error_set(err, -ENOTSUP, "recipe: sealed, which this program does not read");
	return 0;
}

static int check_geometry(const uint8_t *p, struct recipe_info *info, struct smr_error *err)
{
	info->file_size = le_get64(p + RECIPE_AT_FILE_SIZE);
	info->image_size = le_get64(p + RECIPE_AT_IMAGE_SIZE);
	info->chunk_size = le_get32(p + RECIPE_AT_CHUNK_SIZE);
	info->layout = le_get32(p + RECIPE_AT_LAYOUT);
	info->meta_end = le_get64(p + RECIPE_AT_META_END);
	info->n_chunks = le_get64(p + RECIPE_AT_ENTRIES);
	memcpy(info->manifest_digest.b, p + RECIPE_AT_MANIFEST, CHUNKID_BYTES);
	if (info->file_size > RECIPE_FILE_MAX)
		return error_set(err, -EFBIG, "recipe: %" PRIu64 " bytes, the limit is %llu",
			info->file_size, RECIPE_FILE_MAX);
	if (info->image_size == 0)
		return error_set(err, -EBADMSG, "recipe: the image size is 0");
	if (info->image_size > RECIPE_IMAGE_MAX)
		return error_set(err, -EFBIG,
			"recipe: an image of %" PRIu64 " bytes, the limit is %llu",
			info->image_size, RECIPE_IMAGE_MAX);
	if (!codec_chunk_size_valid(info->chunk_size))
		return error_set(err, -EBADMSG,
			"recipe: a chunk size of %" PRIu32
			" is not a power of two from 64 KiB to 4 MiB",
			info->chunk_size);
	if (info->meta_end > info->image_size)
		return error_set(err, -EBADMSG,
			"recipe: the metadata region ends at %" PRIu64
			", behind the image's end at %" PRIu64,
			info->meta_end, info->image_size);
	uint64_t slots = recipe_slots(info->image_size, info->chunk_size);
	if (info->n_chunks > slots)
		return error_set(err, -EBADMSG,
			"recipe: %" PRIu64 " table entries for %" PRIu64 " chunks", info->n_chunks,
			slots);
	return 0;
}

static int check_offset(
	const uint8_t *p, size_t field, uint64_t expected, const char *what, struct smr_error *err)
{
	uint64_t offset = le_get64(p + field);
	if (offset != expected)
		return error_set(err, -EBADMSG,
			"recipe: the %s is said to be at %" PRIu64 ", not at %" PRIu64, what,
			offset, expected);
	return 0;
}

static int check_sections(const uint8_t *p, struct header *h, struct smr_error *err)
{
	uint32_t name_len = le_get32(p + RECIPE_AT_NAME_LEN);
	uint64_t config_len = le_get64(p + RECIPE_AT_CONFIG_LEN);
	uint32_t source_len = le_get32(p + RECIPE_AT_SOURCE_LEN);
	if (name_len < 1 || name_len > NAME_LEN_MAX)
		return error_set(err, -EBADMSG,
			"recipe: a name of %" PRIu32 " bytes, 1 to %d are allowed", name_len,
			NAME_LEN_MAX);
	if (config_len > RECIPE_CONFIG_MAX)
		return error_set(err, -EFBIG,
			"recipe: a config of %" PRIu64 " bytes, the limit is %u", config_len,
			RECIPE_CONFIG_MAX);
	if (source_len > RECIPE_SOURCE_MAX)
		return error_set(err, -EFBIG,
			"recipe: a source of %" PRIu32 " bytes, the limit is %u", source_len,
			RECIPE_SOURCE_MAX);
	h->name_len = name_len;
	h->config_len = (size_t)config_len;
	h->source_len = source_len;
	h->at = recipe_layout(name_len, h->info.n_chunks, config_len, source_len);
	h->info.table_offset = h->at.table;
	h->info.source_offset = h->at.source;
	h->info.source_len = source_len;
	int r = check_offset(p, RECIPE_AT_NAME, h->at.name, "name", err);
	if (r == 0)
		r = check_offset(p, RECIPE_AT_TABLE, h->at.table, "table", err);
	if (r == 0)
		r = check_offset(p, RECIPE_AT_CONFIG, h->at.config, "config", err);
	if (r == 0)
		r = check_offset(p, RECIPE_AT_SOURCE, h->at.source, "source", err);
	if (r < 0)
		return r;
	if (h->info.file_size != h->at.file_size)
		return error_set(err, -EBADMSG,
			"recipe: the header says %" PRIu64
			" bytes, its sections add up to %" PRIu64,
			h->info.file_size, h->at.file_size);
	return 0;
}

static int check_zero(
	const uint8_t *p, uint64_t from, uint64_t to, const char *what, struct smr_error *err)
{
	for (uint64_t i = from; i < to; i++)
		if (p[i] != 0)
			return error_set(err, -EBADMSG, "recipe: byte %" PRIu64 " (%s) is not zero",
				i, what);
	return 0;
}

static int check_name(const uint8_t *p, size_t n, struct header *h, struct smr_error *err)
{
	if (n < h->at.name + h->name_len)
		return error_set(
			err, -EBADMSG, "recipe: truncated: %zu bytes end inside the name", n);
	memcpy(h->info.name, p + h->at.name, h->name_len);
	h->info.name[h->name_len] = '\0';
	/* a NUL inside the name makes it shorter */
	if (strlen(h->info.name) != h->name_len || !name_valid(h->info.name))
		return error_set(
			err, -EBADMSG, "recipe: \"%s\" is not a valid image name", h->info.name);
	return 0;
}

static int parse_header(const uint8_t *p, size_t n, struct header *ret, struct smr_error *err)
{
	struct header h = {0};
	int r = check_preamble(p, n, err);
	if (r == 0)
		r = check_geometry(p, &h.info, err);
	if (r == 0)
		r = check_sections(p, &h, err);
	if (r == 0)
		r = check_zero(p, RECIPE_AT_ZERO_1, RECIPE_AT_TABLE, "reserved", err);
	if (r == 0)
		r = check_zero(p, RECIPE_AT_ZERO_2, RECIPE_AT_MANIFEST, "reserved", err);
	if (r == 0)
		r = check_zero(p, RECIPE_AT_SEALED, RECIPE_HEADER_BYTES, "reserved", err);
	if (r == 0)
		r = check_name(p, n, &h, err);
	if (r < 0)
		return r;
	*ret = h;
	return 0;
}

int recipe_parse_header(const void *data, size_t n, struct recipe_info *ret, struct smr_error *err)
{
	struct header h;
	int r = parse_header(data, n, &h, err);
	if (r < 0)
		return r;
	*ret = h.info;
	return 0;
}

/* ---- the whole file ---- */

static const uint8_t *entry_at(const uint8_t *bytes, uint64_t table, uint64_t i)
{
	return bytes + table + i * RECIPE_ENTRY_BYTES;
}

static int check_table(const uint8_t *p, const struct header *h, struct smr_error *err)
{
	uint64_t slots = recipe_slots(h->info.image_size, h->info.chunk_size);
	uint64_t least = 0; /* that the next index may be */
	for (uint64_t i = 0; i < h->info.n_chunks; i++) {
		const uint8_t *entry = entry_at(p, h->at.table, i);
		uint32_t index = le_get32(entry + RECIPE_ENTRY_INDEX);
		uint32_t wire = le_get32(entry + RECIPE_ENTRY_WIRE);
		if (index < least)
			return error_set(err, -EBADMSG,
				"recipe: table entry %" PRIu64 " is not after entry %" PRIu64, i,
				i - 1);
		if (index >= slots)
			return error_set(err, -EBADMSG,
				"recipe: table entry %" PRIu64 ": chunk %" PRIu32
				" of an image with %" PRIu64,
				i, index, slots);
		if (wire != 0)
			return error_set(err, -EBADMSG,
				"recipe: table entry %" PRIu64
				": flags or wire length in a plain recipe",
				i);
		least = (uint64_t)index + 1;
	}
	return 0;
}

/* Everything that has to hold, the cheap first; the digest before whatever costs time per entry. */
static int validate(const uint8_t *p, size_t n, struct header *h, struct smr_error *err)
{
	int r = parse_header(p, n, h, err);
	if (r < 0)
		return r;
	if (n != h->info.file_size)
		return error_set(err, -EBADMSG, "recipe: %s: %zu bytes, the header says %" PRIu64,
			n < h->info.file_size ? "truncated" : "trailing bytes", n,
			h->info.file_size);
	chunkid_hash(p, h->at.digest, &h->info.digest);
	if (memcmp(h->info.digest.b, p + h->at.digest, CHUNKID_BYTES) != 0)
		return error_set(
			err, -EBADMSG, "recipe: damaged: the digest at its end does not match");
	r = check_zero(p, h->at.name + h->name_len, h->at.table, "padding", err);
	if (r == 0)
		r = check_zero(p, h->at.config + h->config_len, h->at.source, "padding", err);
	if (r == 0)
		r = check_zero(p, h->at.source + h->source_len, h->at.digest, "padding", err);
	if (r == 0 && !recipe_source_valid((const char *)p + h->at.source, h->source_len))
		r = error_set(err, -EBADMSG, "recipe: the source is not printable UTF-8");
	if (r == 0)
		r = check_table(p, h, err);
	return r;
}

/* Owns `bytes` from here on, also when it fails. */
static int recipe_new(
	const uint8_t *bytes, size_t n, bool mapped, struct recipe **ret, struct smr_error *err)
{
	struct recipe *r auto_with(cleanup_freep) = NULL;
	struct header h;
	int code = validate(bytes, n, &h, err);
	if (code == 0) {
		r = malloc(sizeof(*r));
		if (!r)
			code = error_set_errno(err, -ENOMEM, "recipe");
	}
	if (code < 0) {
		if (mapped)
			munmap((void *)bytes, n);
		else
			free((void *)bytes);
		return code;
	}
	*r = (struct recipe){.info = h.info,
		.at = h.at,
		.config_len = h.config_len,
		.source_len = h.source_len,
		.bytes = bytes,
		.mapped = mapped};
	*ret = take_ptr(r);
	return 0;
}

int recipe_open_fd(int fd, struct recipe **ret, struct smr_error *err)
{
	struct stat st;
	if (fstat(fd, &st) < 0)
		return error_set_errno(err, -errno, "recipe");
	if (!S_ISREG(st.st_mode))
		return error_set(err, -EBADMSG, "recipe: not a regular file");
	if ((uint64_t)st.st_size > RECIPE_FILE_MAX)
		return error_set(err, -EFBIG, "recipe: %lld bytes, the limit is %llu",
			(long long)st.st_size, RECIPE_FILE_MAX);
	/* an empty file cannot be mapped */
	if (st.st_size < RECIPE_HEADER_BYTES)
		return error_set(err, -EBADMSG,
			"recipe: truncated: %lld bytes, the header alone has %d",
			(long long)st.st_size, RECIPE_HEADER_BYTES);
	size_t n = (size_t)st.st_size;
	void *map = mmap(NULL, n, PROT_READ, MAP_PRIVATE, fd, 0);
	if (map == MAP_FAILED)
		return error_set_errno(err, -errno, "recipe: mmap");
	return recipe_new(map, n, true, ret, err);
}

int recipe_from_bytes(const void *data, size_t n, struct recipe **ret, struct smr_error *err)
{
	if (n > RECIPE_FILE_MAX)
		return error_set(
			err, -EFBIG, "recipe: %zu bytes, the limit is %llu", n, RECIPE_FILE_MAX);
	uint8_t *copy = malloc(n > 0 ? n : 1);
	if (!copy)
		return error_set_errno(err, -ENOMEM, "recipe");
	if (n > 0)
		memcpy(copy, data, n);
	return recipe_new(copy, n, false, ret, err);
}

void recipe_free(struct recipe *r)
{
	if (!r)
		return;
	if (r->mapped)
		munmap((void *)r->bytes, (size_t)r->info.file_size);
	else
		free((void *)r->bytes);
	free(r);
}

/* ---- what it says ---- */

const struct recipe_info *recipe_info(const struct recipe *r)
{
	return &r->info;
}

const char *recipe_source(const struct recipe *r, size_t *ret_len)
{
	*ret_len = r->source_len;
	return (const char *)r->bytes + r->at.source;
}

const char *recipe_config(const struct recipe *r, size_t *ret_len)
{
	*ret_len = r->config_len;
	return (const char *)r->bytes + r->at.config;
}

const void *recipe_bytes(const struct recipe *r, size_t *ret_len)
{
	*ret_len = (size_t)r->info.file_size;
	return r->bytes;
}

uint64_t recipe_n_slots(const struct recipe *r)
{
	return recipe_slots(r->info.image_size, r->info.chunk_size);
}

static uint32_t entry_index(const struct recipe *r, uint64_t i)
{
	return le_get32(entry_at(r->bytes, r->at.table, i) + RECIPE_ENTRY_INDEX);
}

uint64_t recipe_data_bytes(const struct recipe *r)
{
	uint64_t n = r->info.n_chunks;
	uint64_t bytes = n * r->info.chunk_size;
	uint64_t tail = r->info.image_size % r->info.chunk_size;
	if (n > 0 && tail != 0 && entry_index(r, n - 1) == recipe_n_slots(r) - 1)
		bytes -= r->info.chunk_size - tail;
	return bytes;
}

struct recipe_entry recipe_entry(const struct recipe *r, uint64_t i)
{
	struct recipe_entry e = {.index = entry_index(r, i)};
	memcpy(e.id.b, entry_at(r->bytes, r->at.table, i) + RECIPE_ENTRY_ID, CHUNKID_BYTES);
	return e;
}

uint64_t recipe_lower_bound(const struct recipe *r, uint64_t chunk_index)
{
	uint64_t low = 0, high = r->info.n_chunks;
	while (low < high) {
		uint64_t mid = low + (high - low) / 2;
		if (entry_index(r, mid) < chunk_index)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

const struct chunkid *recipe_find(const struct recipe *r, uint64_t chunk_index)
{
	uint64_t i = recipe_lower_bound(r, chunk_index);
	if (i == r->info.n_chunks || entry_index(r, i) != chunk_index)
		return NULL;
	/* struct chunkid is an array of bytes: it has no alignment */
	return (const struct chunkid *)(entry_at(r->bytes, r->at.table, i) + RECIPE_ENTRY_ID);
}
