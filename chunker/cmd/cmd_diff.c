/* SPDX-License-Identifier: BSD-3-Clause */
/* smr diff A B: what two images share. Exit codes as diff(1): 0 the same, 1 they differ, 2 trouble.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "../core/idmap.h"
#include "../core/units.h"
#include "args.h"
#include "output.h"
#include "table.h"

enum side { IN_A = 1, IN_B = 2, IN_BOTH = IN_A | IN_B };

struct amount {
	uint64_t chunks, bytes;
};

struct comparison {
	struct store *store;
	const struct recipe *a, *b;
	struct amount of[IN_BOTH + 1]; /* distinct chunks */
	bool stored;                   /* bytes are of wire form; else of the image */
	bool same_data;                /* same size, and the same chunks at the same places */
	bool same_config;
};

static int add_side(struct idmap *map, const struct recipe *r, enum side side)
{
	for (uint64_t i = 0; i < recipe_info(r)->n_chunks; i++) {
		struct recipe_entry e = recipe_entry(r, i);
		uint64_t seen = 0;
		idmap_get(map, &e.id, &seen);
		int k = idmap_put(map, &e.id, seen | side);
		if (k < 0)
			return k;
	}
	return 0;
}

/* A chunk the store lost still counts, with no bytes; `verify` is where that is told. */
static int add_up(struct comparison *k, const struct idmap *map, struct smr_error *err)
{
	size_t cursor = 0;
	struct chunkid id;
	uint64_t side;
	while (idmap_next(map, &cursor, &id, &side)) {
		uint64_t bytes = recipe_info(side & IN_A ? k->a : k->b)->chunk_size;
		if (k->stored) {
			bytes = 0;
			int r = store_has(k->store, &id, &bytes, err);
			if (r < 0 && r != -ENOENT)
				return r;
		}
		k->of[side].chunks++;
		k->of[side].bytes += bytes;
	}
	return 0;
}

static bool same_data(const struct recipe *a, const struct recipe *b)
{
	const struct recipe_info *x = recipe_info(a), *y = recipe_info(b);
	if (x->image_size != y->image_size || x->chunk_size != y->chunk_size ||
		x->n_chunks != y->n_chunks)
		return false;
	for (uint64_t i = 0; i < x->n_chunks; i++) {
		struct recipe_entry e = recipe_entry(a, i), f = recipe_entry(b, i);
		if (e.index != f.index || !chunkid_equal(&e.id, &f.id))
			return false;
	}
	return true;
}

static bool same_config(const struct recipe *a, const struct recipe *b)
{
	size_t n, m;
	const char *x = recipe_config(a, &n), *y = recipe_config(b, &m);
	return n == m && (n == 0 || memcmp(x, y, n) == 0);
}

static int compare(struct comparison *k, struct smr_error *err)
{
	struct idmap *map = idmap_new();
	int r = map ? add_side(map, k->a, IN_A) : -ENOMEM;
	if (r == 0)
		r = add_side(map, k->b, IN_B);
	if (r == 0)
		r = add_up(k, map, err);
	idmap_free(map);
	k->same_data = same_data(k->a, k->b);
	k->same_config = same_config(k->a, k->b);
	return r;
}

static json_t *amount_json(const struct amount *a)
{
	return json_pack(
		"{s:I, s:I}", "chunks", (json_int_t)a->chunks, "size", (json_int_t)a->bytes);
}

static json_t *image_json(const struct recipe *r)
{
	const struct recipe_info *i = recipe_info(r);
	return json_pack("{s:s, s:o, s:I, s:I}", "name", i->name, "digest",
		output_json_id(&i->digest), "image_size", (json_int_t)i->image_size, "chunk_size",
		(json_int_t)i->chunk_size);
}

static int print_json(const struct comparison *k)
{
	return output_json(json_pack("{s:o, s:o, s:o, s:b, s:b, s:s, s:o, s:o, s:o}", "store",
		output_json_store(k->store), "a", image_json(k->a), "b", image_json(k->b),
		"same_data", k->same_data, "same_config", k->same_config, "size_of",
		k->stored ? "stored" : "data", "shared", amount_json(&k->of[IN_BOTH]), "a_only",
		amount_json(&k->of[IN_A]), "b_only", amount_json(&k->of[IN_B])));
}

static void row(struct table *t, const char *mark, const char *name, const struct amount *a)
{
	char n[UNITS_TEXT_MAX + 4], size[UNITS_TEXT_MAX];
	table_cell(t, "%s%s%s", mark, name, *mark ? " only" : "");
	table_cell(t, "%s", units_format_count(a->chunks, n));
	table_cell(t, "%s", a->chunks == 1 ? "chunk" : "chunks");
	table_cell(t, "%s", units_format_size(a->bytes, size));
}

static int print_text(const struct comparison *k)
{
	const struct recipe_info *a = recipe_info(k->a), *b = recipe_info(k->b);
	if (k->same_data && k->same_config)
		return 0; /* as diff(1) */
	if (k->same_data) {
		printf("%s and %s hold the same data; their configurations differ\n", a->name,
			b->name);
		return 0;
	}
	struct table *t = table_new(4, "lrlr");
	if (!t)
		return -ENOMEM;
	row(t, "", "shared", &k->of[IN_BOTH]);
	row(t, "- ", a->name, &k->of[IN_A]);
	row(t, "+ ", b->name, &k->of[IN_B]);
	int r = table_print(t, stdout);
	table_free(t);
	if (k->of[IN_A].chunks + k->of[IN_B].chunks == 0)
		printf("the same chunks, in other places\n");
	if (a->chunk_size != b->chunk_size)
		printf("%s is cut to %u KiB, %s to %u KiB: nothing can be shared\n", a->name,
			a->chunk_size >> 10, b->name, b->chunk_size >> 10);
	printf("(sizes are %s)\n", k->stored ? "as stored" : "of the data; the store has less");
	return r;
}

static int diff(const struct cmd *c, const struct args *args, bool *ret_same, struct smr_error *err)
{
	struct store *s = NULL;
	struct recipe *a = NULL, *b = NULL;
	int r = cmd_open_store(c, false, 0, &s, err);
	if (r == 0)
		r = cmd_open_image(s, args->operand[0], &a, err);
	if (r == 0)
		r = cmd_open_image(s, args->operand[1], &b, err);
	if (r == 0) {
		/* A remote store would be asked once for every chunk: more than the answer is
		 * worth. */
		struct comparison k = {.store = s, .a = a, .b = b, .stored = store_is_local(s)};
		r = compare(&k, err);
		*ret_same = k.same_data && k.same_config;
		if (r == 0 && c->json)
			r = print_json(&k);
		else if (r == 0 && !c->quiet)
			r = print_text(&k);
	}
	recipe_free(a);
	recipe_free(b);
	store_free(s);
	return r;
}

static int run(struct cmd *c, int argc, char **argv)
{
	struct args args;
	struct smr_error err = {0};
	bool same = false;
	int code = args_parse(c, argc, argv, NULL, 2, 2, &args);
	if (code != ARGS_RUN)
		return code;
	int r = diff(c, &args, &same, &err);
	if (r < 0)
		return cmd_fail(c, r, &err);
	return same ? 0 : 1;
}

const struct cmd_verb cmd_diff = {
	.name = "diff",
	.operands = "A B",
	.summary = "Compare two images: the chunks they share, and those that each has alone",
	.example = "diff debian_12 python_3.12-slim",
	.run = run,
	.trouble = 2,
};
