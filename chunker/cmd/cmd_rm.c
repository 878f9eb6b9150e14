/* SPDX-License-Identifier: BSD-3-Clause */
/* smr rm NAME...: take images out of a store. Their chunks stay: other images may have them. */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../core/cleanup.h"
#include "../core/idmap.h"
#include "../core/units.h"
#include "args.h"
#include "output.h"
#include "refs.h"

struct values {
	bool dry_run;
};

static const struct args_option options[] = {
	ARGS_FLAG("dry-run", 0, struct values, dry_run, "say what would go, remove nothing"),
	ARGS_END,
};

struct target {
	char name[NAME_LEN_MAX + 1];
	struct recipe *recipe; /* NULL: damaged; it can be removed all the same */
};

/* The images to remove. They are all opened first, so that a name that is not there removes nothing. */
struct removal {
	struct store *store;
	struct target *targets;
	size_t n;
	bool counted; /* `orphans` is known */
	struct refs_own orphans;
};

static bool is_listed(const struct removal *m, const char *name)
{
	for (size_t i = 0; i < m->n; i++)
		if (strcmp(m->targets[i].name, name) == 0)
			return true;
	return false;
}

static int open_target(struct removal *m, const char *arg, struct smr_error *err)
{
	struct target *t = &m->targets[m->n];
	struct chunkid pin;
	bool pinned;
	int r = name_parse_pinned(arg, t->name, &pin, &pinned, err);
	if (r < 0 || is_listed(m, t->name))
		return r;
	r = cmd_open_image(m->store, arg, &t->recipe, err);
	if (cmd_recipe_is_bad(r) && !pinned)
		r = 0;
	if (r == 0)
		m->n++;
	return r;
}

static int open_all(struct removal *m, const struct args *args, struct smr_error *err)
{
	int r = 0;
	m->targets = calloc((size_t)args->n_operands, sizeof(*m->targets));
	if (!m->targets)
		return -ENOMEM;
	for (int i = 0; i < args->n_operands && r == 0; i++)
		r = open_target(m, args->operand[i], err);
	return r;
}

/* Chunks that only the images to remove have: all of those are one owner. */
static int count_orphans(struct removal *m, struct smr_error *err)
{
	struct store_list list;
	int r = store_list(m->store, NULL, &list, err);
	if (r == -EOPNOTSUPP)
		return 0;
	if (r < 0)
		return r;
	/* What stays is moved together; the rest of the list is not looked at. */
	size_t n = 0;
	for (size_t i = 0; i < list.n; i++)
		if (!is_listed(m, list.images[i].name))
			list.images[n++] = list.images[i];
	size_t all = list.n;
	list.n = n;
	struct refs *refs = refs_new();
	auto_free struct refs_own *own = calloc(n + 1, sizeof(*own));
	r = refs && own ? refs_add_list(refs, m->store, &list, err) : -ENOMEM;
	m->counted = true;
	for (size_t i = 0; i < m->n && r == 0; i++) {
		if (m->targets[i].recipe)
			r = refs_add(refs, m->targets[i].recipe, n);
		else
			m->counted = false; /* nobody knows what it referred to */
	}
	if (r == 0)
		r = refs_own(refs, m->store, own, n + 1, err);
	if (r == 0)
		m->orphans = own[n];
	refs_free(refs);
	list.n = all;
	store_list_done(&list);
	return r;
}

static int print_json(const struct removal *m, bool dry_run)
{
	json_t *images = json_array();
	for (size_t i = 0; i < m->n && images; i++) {
		const struct target *t = &m->targets[i];
		json_t *digest =
			t->recipe ? output_json_id(&recipe_info(t->recipe)->digest) : json_null();
		if (json_array_append_new(images,
			    json_pack("{s:s, s:o}", "name", t->name, "digest", digest)) < 0) {
			json_decref(images);
			images = NULL;
		}
	}
	return output_json(json_pack("{s:o, s:b, s:o, s:o, s:o}", "store",
		output_json_store(m->store), "dry_run", dry_run, "images", images,
		"unreferenced_chunks", output_json_number(m->orphans.chunks, m->counted),
		"unreferenced_size", output_json_number(m->orphans.bytes, m->counted)));
}

static void print_text(const struct removal *m, bool dry_run)
{
	char n[UNITS_TEXT_MAX + 4], size[UNITS_TEXT_MAX], digest[OUTPUT_DIGEST_MAX];
	const char *what = dry_run ? "would remove" : "removed";
	for (size_t i = 0; i < m->n; i++) {
		const struct target *t = &m->targets[i];
		if (!t->recipe) {
			printf("%s %s, a damaged recipe\n", what, t->name);
			continue;
		}
		const struct recipe_info *info = recipe_info(t->recipe);
		printf("%s %s@%s, an image of %s\n", what, t->name,
			output_short_digest(&info->digest, digest),
			units_format_size(info->image_size, size));
	}
	if (m->counted && m->orphans.chunks > 0)
		printf("%s chunk%s, %s, %s in the store without an image\n",
			units_format_count(m->orphans.chunks, n), m->orphans.chunks == 1 ? "" : "s",
			units_format_size(m->orphans.bytes, size),
			dry_run                  ? "would stay"
			: m->orphans.chunks == 1 ? "stays"
						 : "stay");
	else if (m->counted)
		printf("all chunks belong to other images too\n");
}

static int rm(
	const struct cmd *c, const struct values *v, const struct args *args, struct smr_error *err)
{
	struct removal m = {0};
	int r = cmd_open_store(c, false, 0, &m.store, err);
	if (r == 0)
		r = open_all(&m, args, err);
	if (r == 0)
		r = count_orphans(&m, err);
	for (size_t i = 0; i < m.n && r == 0 && !v->dry_run; i++)
		r = store_remove_recipe(m.store, m.targets[i].name, err);
	if (r == 0 && c->json)
		r = print_json(&m, v->dry_run);
	else if (r == 0 && !c->quiet)
		print_text(&m, v->dry_run);
	for (size_t i = 0; i < m.n; i++)
		recipe_free(m.targets[i].recipe);
	free(m.targets);
	store_free(m.store);
	return r;
}

static int run(struct cmd *c, int argc, char **argv)
{
	struct values v = {0};
	struct args args;
	struct smr_error err = {0};
	int code = args_parse(c, argc, argv, &v, 1, INT_MAX, &args);
	if (code != ARGS_RUN)
		return code;
	int r = rm(c, &v, &args, &err);
	return r < 0 ? cmd_fail(c, r, &err) : 0;
}

const struct cmd_verb cmd_rm = {
	.name = "rm",
	.operands = "NAME...",
	.summary = "Remove images; their chunks stay, as other images may have them",
	.options = options,
	.example = "rm --dry-run debian",
	.run = run,
	.trouble = 1,
};
