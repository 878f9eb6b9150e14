/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The recipe reader, on the input as it is and with the digest at its end made right, since no fuzzer
 * finds a SHA-256. What is accepted must come out of the encoder again, byte for byte; what is refused
 * must say why.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../chunker/core/cleanup.h"
#include "../../chunker/core/recipe.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

#define must(condition)                                                                 \
	do {                                                                            \
		if (!(condition)) {                                                     \
			fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition); \
			abort();                                                        \
		}                                                                       \
	} while (0)

static void check_lookup(const struct recipe *r, const struct recipe_entry *entries)
{
	const struct recipe_info *info = recipe_info(r);
	for (uint64_t i = 0; i < info->n_chunks; i++) {
		uint64_t index = entries[i].index;
		must(index < recipe_n_slots(r));
		must(recipe_lower_bound(r, index) == i &&
			recipe_lower_bound(r, index + 1) == i + 1);
		must(chunkid_equal(recipe_find(r, index), &entries[i].id));
	}
	must(!recipe_find(r, recipe_n_slots(r)));
	must(recipe_data_bytes(r) <= info->image_size);
}

static void check_accepted(const struct recipe *r)
{
	const struct recipe_info *info = recipe_info(r);
	struct recipe_entry *entries auto_free = calloc(info->n_chunks + 1, sizeof(*entries));
	must(entries);
	for (uint64_t i = 0; i < info->n_chunks; i++)
		entries[i] = recipe_entry(r, i);
	check_lookup(r, entries);

	size_t source_len, n;
	const char *text = recipe_source(r, &source_len);
	char *source auto_free = strndup(text, source_len);
	struct recipe_spec spec = {.name = info->name,
		.image_size = info->image_size,
		.chunk_size = info->chunk_size,
		.layout = info->layout,
		.meta_end = info->meta_end,
		.entries = entries,
		.n_entries = info->n_chunks,
		.source = source,
		.manifest_digest = &info->manifest_digest};
	spec.config = recipe_config(r, &spec.config_len);
	struct buf again auto_with(buf_done);
	buf_init(&again, RECIPE_FILE_MAX);
	must(recipe_encode(&spec, &again, NULL) == 0);
	const void *bytes = recipe_bytes(r, &n);
	must(again.len == n && memcmp(again.data, bytes, n) == 0);
}

static void run(const uint8_t *data, size_t n)
{
	struct smr_error err = {0};
	struct recipe_info info;
	struct recipe *r = NULL;
	int header = recipe_parse_header(data, n, &info, &err);
	must(header == 0 || err.message[0] != '\0');
	err.message[0] = '\0';
	int code = recipe_from_bytes(data, n, &r, &err);
	must(code == 0 || err.message[0] != '\0');
	if (code < 0)
		return;
	must(header == 0);
	check_accepted(r);
	recipe_free(r);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	run(data, n);
	if (n < CHUNKID_BYTES)
		return 0;
	uint8_t *fixed auto_free = malloc(n);
	must(fixed);
	memcpy(fixed, data, n);
	struct chunkid digest;
	chunkid_hash(fixed, n - CHUNKID_BYTES, &digest);
	memcpy(fixed + n - CHUNKID_BYTES, digest.b, CHUNKID_BYTES);
	run(fixed, n);
	return 0;
}
