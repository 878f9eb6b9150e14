/* SPDX-License-Identifier: BSD-3-Clause */
#include "published.h"

#include <stdio.h>

#include "../core/units.h"
#include "output.h"

static int print_json(
	const struct store *s, const char *name, uint32_t chunk_size, const struct cutter_result *r)
{
	return output_json(json_pack(
		"{s:o, s:s, s:o, s:I, s:I, s:i, s:I, s:I, s:I, s:I, s:I, s:b, s:b, s:o}", "store",
		output_json_store(s), "name", name, "digest", output_json_id(&r->digest),
		"image_size", (json_int_t)r->image_size, "data_size", (json_int_t)r->data_bytes,
		"chunk_size", (int)chunk_size, "chunks", (json_int_t)r->n_chunks, "distinct_chunks",
		(json_int_t)r->n_distinct, "new_chunks", (json_int_t)r->n_new, "repaired_chunks",
		(json_int_t)r->n_repaired, "new_bytes", (json_int_t)r->new_bytes, "unchanged",
		r->same, "replaced", r->replaced, "replaced_digest",
		r->replaced ? output_json_id(&r->old_digest) : json_null()));
}

static void print_chunks(const struct cutter_result *r)
{
	char n[UNITS_TEXT_MAX + 4], size[UNITS_TEXT_MAX];
	printf("  chunks  %s: ", units_format_count(r->n_chunks, n));
	uint64_t had = r->n_distinct - r->n_new - r->n_repaired;
	if (r->n_new > 0)
		printf("%s new", units_format_count(r->n_new, n));
	else
		printf("nothing new");
	if (r->n_repaired > 0)
		printf(", %s repaired", units_format_count(r->n_repaired, n));
	if (r->new_bytes > 0)
		printf(", %s stored", units_format_size(r->new_bytes, size));
	if (had > 0)
		printf("; %s already here", units_format_count(had, n));
	if (r->n_chunks > r->n_distinct)
		printf("; %s repeated", units_format_count(r->n_chunks - r->n_distinct, n));
	putchar('\n');
}

static void print_text(const char *name, const struct cutter_result *r)
{
	char digest[OUTPUT_DIGEST_MAX], old[OUTPUT_DIGEST_MAX];
	char size[UNITS_TEXT_MAX], data[UNITS_TEXT_MAX];
	printf("%s@%s%s\n", name, output_short_digest(&r->digest, digest),
		r->same ? ": unchanged, it was here already" : "");
	if (r->replaced)
		printf("  note    %s existed with other content (%s): replaced\n", name,
			output_short_digest(&r->old_digest, old));
	printf("  image   %s (%s data)\n", units_format_size(r->image_size, size),
		units_format_size(r->data_bytes, data));
	print_chunks(r);
}

int published_print(const struct cmd *c, const struct store *s, const char *name,
	uint32_t chunk_size, const struct cutter_result *r)
{
	if (c->json)
		return print_json(s, name, chunk_size, r);
	if (!c->quiet)
		print_text(name, r);
	return 0;
}
