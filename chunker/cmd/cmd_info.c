/* SPDX-License-Identifier: BSD-3-Clause */
/* smr info NAME: all that a recipe says. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "../core/cleanup.h"
#include "../core/units.h"
#include "args.h"
#include "ociconfig.h"
#include "output.h"
#include "refs.h"
#include "table.h"

/* What is not in the recipe itself. */
struct around {
	int64_t created;     /* 0: not known */
	bool sized;          /* the two below are known */
	struct refs_own all; /* distinct chunks and their wire form */
	struct refs_own own; /* of those that no other image has */
};

static int look_around(
	struct store *s, const struct recipe *recipe, struct around *ret, struct smr_error *err)
{
	struct store_list list = {0};
	struct refs *one = NULL, *every = NULL;
	struct around a = {0};
	int r = store_list(s, NULL, &list, err);
	if (r == -EOPNOTSUPP) {
		*ret = a;
		return 0;
	}
	size_t at = list.n;
	for (size_t i = 0; i < list.n; i++)
		if (strcmp(list.images[i].name, recipe_info(recipe)->name) == 0)
			at = i;
	if (at < list.n)
		a.created = list.images[at].created;
	if (r == 0 && store_is_local(s) && at < list.n) {
		auto_free struct refs_own *own = calloc(list.n, sizeof(*own));
		one = refs_new();
		every = refs_new();
		r = own && one && every ? refs_add(one, recipe, 0) : -ENOMEM;
		if (r == 0)
			r = refs_own(one, s, &a.all, 1, err);
		if (r == 0)
			r = refs_add_list(every, s, &list, err);
		if (r == 0)
			r = refs_own(every, s, own, list.n, err);
		if (r == 0)
			a.own = own[at];
		a.sized = true;
	}
	refs_free(one);
	refs_free(every);
	store_list_done(&list);
	if (r == 0)
		*ret = a;
	return r;
}

static json_t *source_json(const struct recipe *r)
{
	size_t n;
	const char *source = recipe_source(r, &n);
	return n ? output_json_text(source, n) : json_null();
}

static json_t *config_json(const struct recipe *r)
{
	size_t n;
	const char *config = recipe_config(r, &n);
	json_t *object = n ? json_loadb(config, n, JSON_REJECT_DUPLICATES, NULL) : NULL;
	return object ? object : json_null();
}

static int print_json(struct store *s, const struct recipe *recipe, const struct around *a)
{
	const struct recipe_info *i = recipe_info(recipe);
	return output_json(json_pack("{s:o, s:s, s:o, s:I, s:I, s:I, s:I, s:I, s:I, s:o, s:I, s:o, "
				     "s:o, s:o, s:o, s:o, s:o}",
		"store", output_json_store(s), "name", i->name, "digest",
		output_json_id(&i->digest), "image_size", (json_int_t)i->image_size, "data_size",
		(json_int_t)recipe_data_bytes(recipe), "chunk_size", (json_int_t)i->chunk_size,
		"chunks", (json_int_t)i->n_chunks, "slots", (json_int_t)recipe_n_slots(recipe),
		"layout", (json_int_t)i->layout, "metadata_end",
		output_json_number(i->meta_end, i->meta_end > 0), "recipe_size",
		(json_int_t)i->file_size, "stored_size", output_json_number(a->all.bytes, a->sized),
		"own_size", output_json_number(a->own.bytes, a->sized), "created",
		output_json_time(a->created), "source", source_json(recipe), "manifest_digest",
		output_json_id(&i->manifest_digest), "config", config_json(recipe)));
}

static void line(struct table *t, const char *key, const char *value)
{
	table_cell(t, "%s", key);
	table_cell(t, "%s", value);
}

static void size_lines(struct table *t, const struct recipe *recipe, const struct around *a)
{
	const struct recipe_info *i = recipe_info(recipe);
	char text[UNITS_TEXT_MAX], other[UNITS_TEXT_MAX], n[UNITS_TEXT_MAX + 4];

	table_cell(t, "image");
	table_cell(t, "%s (%" PRIu64 " bytes), %s", units_format_size(i->image_size, text),
		i->image_size, i->layout ? "built by smr" : "as it was given");
	if (i->layout)
		line(t, "layout", i->layout == 1 ? "1" : "newer than this program");
	if (i->meta_end) {
		table_cell(t, "metadata");
		table_cell(t, "the first %s", units_format_size(i->meta_end, text));
	}
	table_cell(t, "data");
	table_cell(t, "%s in %s chunks of %u KiB",
		units_format_size(recipe_data_bytes(recipe), text),
		units_format_count(i->n_chunks, n), i->chunk_size >> 10);
	if (a->sized) {
		table_cell(t, "stored");
		table_cell(t, "%s, %s of it in no other image",
			units_format_size(a->all.bytes, text),
			units_format_size(a->own.bytes, other));
	}
	table_cell(t, "recipe");
	table_cell(t, "%s", units_format_size(i->file_size, text));
}

static void origin_lines(struct table *t, const struct recipe *recipe, const struct around *a)
{
	static const struct chunkid none;
	const struct recipe_info *i = recipe_info(recipe);
	size_t n;
	const char *source = recipe_source(recipe, &n);
	if (n) {
		table_cell(t, "source");
		table_cell(t, "%.*s", (int)n, source);
	}
	if (!chunkid_equal(&i->manifest_digest, &none)) {
		char hex[CHUNKID_HEX + 1];
		chunkid_format(&i->manifest_digest, hex);
		table_cell(t, "manifest");
		table_cell(t, "sha256:%s", hex);
	}
	time_t created = (time_t)a->created;
	struct tm tm;
	char when[32];
	if (created && localtime_r(&created, &tm)) {
		strftime(when, sizeof(when), "%Y-%m-%d %H:%M", &tm);
		line(t, "created", when);
	}
}

static int print_text(const struct recipe *recipe, const struct around *a)
{
	const struct recipe_info *i = recipe_info(recipe);
	char hex[CHUNKID_HEX + 1];
	struct table *t = table_new(2, "ll");
	if (!t)
		return -ENOMEM;
	chunkid_format(&i->digest, hex);
	line(t, "name", i->name);
	table_cell(t, "pin");
	table_cell(t, "%s@sha256:%s", i->name, hex);
	size_lines(t, recipe, a);
	origin_lines(t, recipe, a);
	size_t n;
	const char *config = recipe_config(recipe, &n);
	if (n)
		ociconfig_lines(t, config, n);
	int r = table_print(t, stdout);
	table_free(t);
	return r;
}

static int info(const struct cmd *c, const char *image, struct smr_error *err)
{
	struct store *s = NULL;
	struct recipe *recipe = NULL;
	struct around around = {0};
	int r = cmd_open_store(c, false, 0, &s, err);
	if (r == 0)
		r = cmd_open_image(s, image, &recipe, err);
	if (r == 0)
		r = look_around(s, recipe, &around, err);
	if (r == 0)
		r = c->json ? print_json(s, recipe, &around) : print_text(recipe, &around);
	recipe_free(recipe);
	store_free(s);
	return r;
}

static int run(struct cmd *c, int argc, char **argv)
{
	struct args args;
	struct smr_error err = {0};
	int code = args_parse(c, argc, argv, NULL, 1, 1, &args);
	if (code != ARGS_RUN)
		return code;
	int r = info(c, args.operand[0], &err);
	return r < 0 ? cmd_fail(c, r, &err) : 0;
}

const struct cmd_verb cmd_info = {
	.name = "info",
	.operands = "NAME",
	.summary = "Show what is known about an image",
	.example = "info debian",
	.run = run,
	.trouble = 1,
};
