/* SPDX-License-Identifier: BSD-3-Clause */
#include "recipe.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "codec.h"
#include "le.h"
#include "recipe_format.h"

static int check_spec(const struct recipe_spec *spec, size_t source_len, struct smr_error *err)
{
	if (!spec->name || !name_valid(spec->name))
		return error_set(err, -EINVAL, "recipe: \"%.220s\" is not a valid image name",
			spec->name ? spec->name : "");
	if (spec->image_size == 0 || spec->image_size > RECIPE_IMAGE_MAX)
		return error_set(err, -EINVAL,
			"recipe: an image of %" PRIu64 " bytes, 1 to %llu are allowed",
			spec->image_size, RECIPE_IMAGE_MAX);
	if (!codec_chunk_size_valid(spec->chunk_size))
		return error_set(err, -EINVAL,
			"recipe: a chunk size of %" PRIu32
			" is not a power of two from 64 KiB to 4 MiB",
			spec->chunk_size);
	if (spec->meta_end > spec->image_size)
		return error_set(
			err, -EINVAL, "recipe: the metadata region ends behind the image's end");
	if (spec->config_len > RECIPE_CONFIG_MAX || (spec->config_len > 0 && !spec->config))
		return error_set(err, -EINVAL, "recipe: a config of %zu bytes, the limit is %u",
			spec->config_len, RECIPE_CONFIG_MAX);
	if (source_len > RECIPE_SOURCE_MAX)
		return error_set(err, -EINVAL, "recipe: a source of %zu bytes, the limit is %u",
			source_len, RECIPE_SOURCE_MAX);
	if (!recipe_source_valid(spec->source, source_len))
		return error_set(err, -EINVAL, "recipe: the source is not printable UTF-8");
	return 0;
}

static int check_entries(const struct recipe_spec *spec, struct smr_error *err)
{
	uint64_t slots = recipe_slots(spec->image_size, spec->chunk_size);
	uint64_t least = 0;
	if (spec->n_entries > slots)
		return error_set(err, -EINVAL, "recipe: %" PRIu64 " entries for %" PRIu64 " chunks",
			spec->n_entries, slots);
	for (uint64_t i = 0; i < spec->n_entries; i++) {
		uint32_t index = spec->entries[i].index;
		if (index < least)
			return error_set(err, -EINVAL,
				"recipe: entry %" PRIu64 " is not after entry %" PRIu64, i, i - 1);
		if (index >= slots)
			return error_set(err, -EINVAL,
				"recipe: entry %" PRIu64 ": chunk %" PRIu32
				" of an image with %" PRIu64,
				i, index, slots);
		least = (uint64_t)index + 1;
	}
	return 0;
}

/* `p` points to zeros. */
static void put_header(uint8_t *p, const struct recipe_spec *spec, const struct recipe_sections *at,
	size_t name_len, size_t source_len)
{
	memcpy(p + RECIPE_AT_MAGIC, RECIPE_MAGIC, strlen(RECIPE_MAGIC));
	le_put32(p + RECIPE_AT_VERSION, RECIPE_VERSION);
	le_put64(p + RECIPE_AT_FILE_SIZE, at->file_size);
	le_put64(p + RECIPE_AT_IMAGE_SIZE, spec->image_size);
	le_put32(p + RECIPE_AT_CHUNK_SIZE, spec->chunk_size);
	le_put32(p + RECIPE_AT_LAYOUT, spec->layout);
	le_put64(p + RECIPE_AT_META_END, spec->meta_end);
	le_put64(p + RECIPE_AT_NAME, at->name);
	le_put32(p + RECIPE_AT_NAME_LEN, (uint32_t)name_len);
	le_put64(p + RECIPE_AT_TABLE, at->table);
	le_put64(p + RECIPE_AT_ENTRIES, spec->n_entries);
	le_put64(p + RECIPE_AT_CONFIG, at->config);
	le_put64(p + RECIPE_AT_CONFIG_LEN, spec->config_len);
	le_put64(p + RECIPE_AT_SOURCE, at->source);
	le_put32(p + RECIPE_AT_SOURCE_LEN, (uint32_t)source_len);
	if (spec->manifest_digest)
		memcpy(p + RECIPE_AT_MANIFEST, spec->manifest_digest->b, CHUNKID_BYTES);
}

static void put_table(uint8_t *p, const struct recipe_entry *entries, uint64_t n)
{
	for (uint64_t i = 0; i < n; i++, p += RECIPE_ENTRY_BYTES) {
		le_put32(p + RECIPE_ENTRY_INDEX, entries[i].index);
		le_put32(p + RECIPE_ENTRY_WIRE, 0);
		memcpy(p + RECIPE_ENTRY_ID, entries[i].id.b, CHUNKID_BYTES);
	}
}

int recipe_encode(const struct recipe_spec *spec, struct buf *out, struct smr_error *err)
{
	const size_t source_len = spec->source ? strlen(spec->source) : 0;
	int r = check_spec(spec, source_len, err);
	if (r == 0)
		r = check_entries(spec, err);
	if (r < 0)
		return r;
	const size_t name_len = strlen(spec->name);
	const struct recipe_sections at =
		recipe_layout(name_len, spec->n_entries, spec->config_len, source_len);
	if (at.file_size > RECIPE_FILE_MAX)
		return error_set(err, -EINVAL,
			"recipe: %" PRIu64 " entries need %" PRIu64
			" bytes, the limit is %llu: use larger chunks",
			spec->n_entries, at.file_size, RECIPE_FILE_MAX);
	r = buf_reserve(out, (size_t)at.file_size);
	if (r < 0)
		return error_set_errno(err, r, "recipe: %" PRIu64 " bytes", at.file_size);

	uint8_t *p = out->data + out->len;
	memset(p, 0, (size_t)at.file_size);
	put_header(p, spec, &at, name_len, source_len);
	memcpy(p + at.name, spec->name, name_len);
	put_table(p + at.table, spec->entries, spec->n_entries);
	if (spec->config_len > 0)
		memcpy(p + at.config, spec->config, spec->config_len);
	if (source_len > 0)
		memcpy(p + at.source, spec->source, source_len);
	struct chunkid digest;
	chunkid_hash(p, (size_t)at.digest, &digest);
	memcpy(p + at.digest, digest.b, CHUNKID_BYTES);
	out->len += (size_t)at.file_size;
	return 0;
}
