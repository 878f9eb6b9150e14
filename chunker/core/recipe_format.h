/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Where the fields of a recipe's header are: shared by the reader (recipe.c) and the writer
 * (recipe_encode.c), and nobody else's business. The grammar is in recipe.h.
 */
#ifndef CORE_RECIPE_FORMAT_H
#define CORE_RECIPE_FORMAT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define RECIPE_MAGIC       "smrrecip"
#define RECIPE_VERSION     1u
#define RECIPE_FLAG_SEALED 1u

enum recipe_offset {
	RECIPE_AT_MAGIC = 0,
	RECIPE_AT_VERSION = 8,
	RECIPE_AT_FLAGS = 12,
	RECIPE_AT_FILE_SIZE = 16,
	RECIPE_AT_IMAGE_SIZE = 24,
	RECIPE_AT_CHUNK_SIZE = 32,
	RECIPE_AT_LAYOUT = 36,
	RECIPE_AT_META_END = 40,
	RECIPE_AT_NAME = 48,
	RECIPE_AT_NAME_LEN = 56,
	RECIPE_AT_ZERO_1 = 60,
	RECIPE_AT_TABLE = 64,
	RECIPE_AT_ENTRIES = 72,
	RECIPE_AT_CONFIG = 80,
	RECIPE_AT_CONFIG_LEN = 88,
	RECIPE_AT_SOURCE = 96,
	RECIPE_AT_SOURCE_LEN = 104,
	RECIPE_AT_ZERO_2 = 108,
	RECIPE_AT_MANIFEST = 112,
	RECIPE_AT_SEALED =
		144, /* everything from here to the end of the header is zero in version 1 */
};

/* Within an entry of the table. */
enum recipe_entry_offset { RECIPE_ENTRY_INDEX = 0, RECIPE_ENTRY_WIRE = 4, RECIPE_ENTRY_ID = 8 };

/* Where the sections begin: it follows from their lengths, since there are no gaps. */
struct recipe_sections {
	uint64_t name;
	uint64_t table;
	uint64_t config;
	uint64_t source;
	uint64_t digest;
	uint64_t file_size;
};

/* The lengths must be within the limits of recipe.h (n_entries: any number of slots), so that
 * nothing overflows. */
static inline struct recipe_sections recipe_layout(
	uint64_t name_len, uint64_t n_entries, uint64_t config_len, uint64_t source_len)
{
	struct recipe_sections s;
	s.name = RECIPE_HEADER_BYTES;
	s.table = (s.name + name_len + 7) & ~7ull;
	s.config = s.table + n_entries * RECIPE_ENTRY_BYTES;
	s.source = (s.config + config_len + 7) & ~7ull;
	s.digest = (s.source + source_len + 7) & ~7ull;
	s.file_size = s.digest + CHUNKID_BYTES;
	return s;
}

static inline uint64_t recipe_slots(uint64_t image_size, uint32_t chunk_size)
{
	return image_size / chunk_size + (image_size % chunk_size != 0);
}

/* A source reference is printed to terminals and put into xattrs: UTF-8 (RFC 3629) without control
 * characters. */
bool recipe_source_valid(const char *s, size_t n);

#endif
