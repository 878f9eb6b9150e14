/* SPDX-License-Identifier: BSD-3-Clause */
#include "sample.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../chunker/core/cleanup.h"
#include "../../chunker/core/codec.h"

static void *must(void *memory)
{
	if (!memory)
		abort();
	return memory;
}

static void must_do(int r, const struct smr_error *err)
{
	if (r >= 0)
		return;
	fprintf(stderr, "sample: %s\n", error_text(err, r));
	abort();
}

void sample_fill(unsigned content, void *bytes, uint32_t size)
{
	uint64_t x = (content + 1) * 0x9e3779b97f4a7c15ull;

	for (uint32_t i = 0; i < size; i += 8) {
		x ^= x << 13;
		x ^= x >> 7;
		x ^= x << 17;
		memcpy((char *)bytes + i, &x, 8);
	}
}

void sample_id(unsigned content, uint32_t size, struct chunkid *ret)
{
	auto_free void *bytes = must(malloc(size));

	sample_fill(content, bytes, size);
	chunkid_hash(bytes, size, ret);
}

struct recipe *sample_recipe(const struct sample *s)
{
	auto_free struct recipe_entry *entries = must(calloc(s->n_slots + 1, sizeof(*entries)));
	struct recipe_spec spec = {.name = s->name,
		.image_size = s->image_size,
		.chunk_size = s->chunk_size,
		.layout = 1,
		.meta_end = s->meta_end,
		.entries = entries};
	struct buf out auto_with(buf_done);
	struct smr_error err = {0};
	struct recipe *recipe;

	for (unsigned i = 0; i < s->n_slots; i++) {
		if (!s->contents[i])
			continue;
		entries[spec.n_entries].index = i;
		sample_id(s->contents[i], s->chunk_size, &entries[spec.n_entries].id);
		spec.n_entries++;
	}
	buf_init(&out, RECIPE_FILE_MAX);
	must_do(recipe_encode(&spec, &out, &err), &err);
	must_do(recipe_from_bytes(out.data, out.len, &recipe, &err), &err);
	return recipe;
}

unsigned char *sample_bytes(const struct sample *s)
{
	unsigned char *all = must(calloc(s->n_slots + 1, s->chunk_size));

	for (unsigned i = 0; i < s->n_slots; i++)
		if (s->contents[i])
			sample_fill(s->contents[i], all + (size_t)i * s->chunk_size, s->chunk_size);
	return must(realloc(all, s->image_size));
}

void sample_publish(const struct sample *s, struct store *store)
{
	auto_free void *bytes = must(malloc(s->chunk_size));
	auto_free void *wire = must(malloc(codec_wire_max(s->chunk_size)));
	struct recipe *recipe = sample_recipe(s);
	struct smr_error err = {0};
	struct chunkid id;
	size_t n;

	for (unsigned i = 0; i < s->n_slots; i++) {
		if (!s->contents[i])
			continue;
		sample_fill(s->contents[i], bytes, s->chunk_size);
		chunkid_hash(bytes, s->chunk_size, &id);
		must_do(codec_encode(bytes, s->chunk_size, 1, wire, &n), &err);
		must_do(store_put(store, &id, wire, n, &err), &err);
	}
	must_do(store_put_recipe(store, recipe, NULL, &err), &err);
	recipe_free(recipe);
}
