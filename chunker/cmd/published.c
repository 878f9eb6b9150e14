/* SPDX-License-Identifier: BSD-3-Clause */
#include "published.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../core/units.h"
#include "ociconfig.h"
#include "output.h"

static int add_build(json_t *object, const struct published_build *b)
{
	return json_object_update_new(
		object, json_pack("{s:o, s:I, s:I, s:I, s:i}", "source",
				output_json_text(b->source, strlen(b->source)), "layers",
				(json_int_t)b->n_layers, "kept_layers", (json_int_t)b->n_cached,
				"entries", (json_int_t)b->n_entries, "layout", (int)b->layout));
}

/* Different chunks that were in the store before. */
static uint64_t n_shared(const struct cutter_result *r)
{
	return r->n_distinct - r->n_new - r->n_repaired;
}

static int print_json(const struct store *s, const char *name, uint32_t chunk_size,
	const struct cutter_result *r, const struct published_build *b)
{
	json_t *object = json_pack(
		"{s:o, s:s, s:o, s:I, s:I, s:i, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:b, s:b, s:o}",
		"store", output_json_store(s), "name", name, "digest", output_json_id(&r->digest),
		"image_size", (json_int_t)r->image_size, "data_size", (json_int_t)r->data_bytes,
		"chunk_size", (int)chunk_size, "chunks", (json_int_t)r->n_chunks, "distinct_chunks",
		(json_int_t)r->n_distinct, "new_chunks", (json_int_t)r->n_new, "repaired_chunks",
		(json_int_t)r->n_repaired, "new_bytes", (json_int_t)r->new_bytes, "shared_chunks",
		(json_int_t)n_shared(r), "shared_bytes", (json_int_t)(n_shared(r) * chunk_size),
		"unchanged", r->same, "replaced", r->replaced, "replaced_digest",
		r->replaced ? output_json_id(&r->old_digest) : json_null());
	if (object && b && add_build(object, b) < 0) {
		json_decref(object);
		return -ENOMEM;
	}
	return output_json(object);
}

static void print_chunks(const struct cutter_result *r, uint32_t chunk_size)
{
	char n[UNITS_TEXT_MAX + 4], size[UNITS_TEXT_MAX];
	printf("  chunks  %s: ", units_format_count(r->n_chunks, n));
	if (r->n_new > 0)
		printf("%s new", units_format_count(r->n_new, n));
	else
		printf("nothing new");
	if (r->n_repaired > 0)
		printf(", %s repaired", units_format_count(r->n_repaired, n));
	if (r->new_bytes > 0)
		printf(", %s stored", units_format_size(r->new_bytes, size));
	if (n_shared(r) > 0)
		printf("; %s already here, %s", units_format_count(n_shared(r), n),
			units_format_size(n_shared(r) * chunk_size, size));
	if (r->n_chunks > r->n_distinct)
		printf("; %s repeated", units_format_count(r->n_chunks - r->n_distinct, n));
	putchar('\n');
}

/* "  runs    python3 -m http.server   (smr run-config NAME)" */
static int print_runs(const char *name, const struct published_build *b)
{
	char *command = NULL;
	int r = b->config ? ociconfig_command(b->config, b->config_len, &command) : -ENOENT;
	if (r == 0)
		printf("  runs    %s   (smr run-config %s)\n", command, name);
	free(command);
	return r == -ENOMEM ? r : 0;
}

static void print_built(const struct published_build *b)
{
	char n[UNITS_TEXT_MAX + 4];
	if (b->n_layers) {
		printf("  layers  %llu", (unsigned long long)b->n_layers);
		if (b->n_cached)
			printf(" (%llu kept from before)", (unsigned long long)b->n_cached);
		printf(", %s files\n", units_format_count(b->n_entries, n));
	} else if (b->n_entries) {
		printf("  files   %s\n", units_format_count(b->n_entries, n));
	}
}

static int print_text(const char *name, uint32_t chunk_size, const struct cutter_result *r,
	const struct published_build *b)
{
	char digest[OUTPUT_DIGEST_MAX], old[OUTPUT_DIGEST_MAX];
	char size[UNITS_TEXT_MAX], data[UNITS_TEXT_MAX];
	printf("%s@%s%s\n", name, output_short_digest(&r->digest, digest),
		r->same ? ": unchanged, it was here already" : "");
	if (r->replaced)
		printf("  note    %s existed with other content (%s): replaced\n", name,
			output_short_digest(&r->old_digest, old));
	if (b)
		print_built(b);
	printf("  image   %s (%s data)", units_format_size(r->image_size, size),
		units_format_size(r->data_bytes, data));
	if (b && b->layout)
		printf(", ext4 layout %u", b->layout);
	putchar('\n');
	print_chunks(r, chunk_size);
	return b ? print_runs(name, b) : 0;
}

int published_print(const struct cmd *c, const struct store *s, const char *name,
	uint32_t chunk_size, const struct cutter_result *r, const struct published_build *built)
{
	if (c->json)
		return print_json(s, name, chunk_size, r, built);
	return c->quiet ? 0 : print_text(name, chunk_size, r, built);
}
