/* SPDX-License-Identifier: BSD-3-Clause */
/* smr ls: the images of a store. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "../core/cleanup.h"
#include "../core/log.h"
#include "../core/units.h"
#include "args.h"
#include "output.h"
#include "refs.h"
#include "table.h"

/* What each image would free. Asking a remote store for the size of every chunk costs more than a
 * list may. NULL in *ret: not told. */
static int own_sizes(
	struct store *s, const struct store_list *l, struct refs_own **ret, struct smr_error *err)
{
	*ret = NULL;
	if (!store_is_local(s) || l->n == 0)
		return 0;
	struct refs *refs = refs_new();
	struct refs_own *own = calloc(l->n, sizeof(*own));
	int r = refs && own ? refs_add_list(refs, s, l, err) : -ENOMEM;
	if (r == 0)
		r = refs_own(refs, s, own, l->n, err);
	if (r == 0)
		*ret = take_ptr(own);
	refs_free(refs);
	free(own);
	return r;
}

static json_t *image_json(const struct store_image *i, const struct refs_own *own)
{
	return json_pack("{s:s, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "name", i->name, "digest",
		output_json_id(&i->digest), "image_size",
		output_json_number(i->image_size, i->image_size > 0), "data_size",
		output_json_number(i->data_size, i->image_size > 0), "chunk_size",
		output_json_number(i->chunk_size, i->chunk_size > 0), "chunks",
		output_json_number(i->n_chunks, i->image_size > 0), "own_size",
		output_json_number(own ? own->bytes : 0, own), "created",
		output_json_time(i->created), "source",
		output_json_text(i->source, strlen(i->source)));
}

static int print_json(struct store *s, const struct store_list *l, const struct refs_own *own)
{
	json_t *images = json_array();
	for (size_t i = 0; i < l->n && images; i++)
		if (json_array_append_new(images, image_json(&l->images[i], own ? &own[i] : NULL)) <
			0) {
			json_decref(images);
			images = NULL;
		}
	return output_json(
		json_pack("{s:o, s:o}", "store", output_json_store(s), "images", images));
}

static void size_cell(struct table *t, uint64_t n, bool known)
{
	char text[UNITS_TEXT_MAX] = "";
	table_cell(t, "%s", known ? units_format_size(n, text) : "");
}

static void image_row(struct table *t, const struct store_image *i, const struct refs_own *own)
{
	char text[UNITS_TEXT_MAX + 4] = "", when[32] = "";
	bool known = i->image_size > 0;
	time_t created = (time_t)i->created;
	struct tm tm;

	table_cell(t, "%s", i->name);
	size_cell(t, i->image_size, known);
	size_cell(t, i->data_size, known);
	table_cell(t, "%s", known ? units_format_count(i->n_chunks, text) : "");
	size_cell(t, own ? own->bytes : 0, own);
	if (created && localtime_r(&created, &tm))
		strftime(when, sizeof(when), "%Y-%m-%d %H:%M", &tm);
	table_cell(t, "%s", when);
	table_cell(t, "%s", i->source);
}

static int print_text(const struct cmd *c, struct store *s, const struct store_list *l,
	const struct refs_own *own)
{
	static const char *const heads[] = {
		"NAME", "SIZE", "DATA", "CHUNKS", "OWN", "CREATED", "SOURCE"};
	if (l->n == 0) {
		if (!c->quiet)
			log_info("%s: no images", store_url(s));
		return 0;
	}
	struct table *t = table_new(7, "lllllll");
	if (!t)
		return -ENOMEM;
	for (size_t i = 0; i < 7; i++)
		table_cell(t, "%s", heads[i]);
	for (size_t i = 0; i < l->n; i++)
		image_row(t, &l->images[i], own ? &own[i] : NULL);
	int r = table_print(t, stdout);
	table_free(t);
	return r;
}

static int ls(const struct cmd *c, struct smr_error *err)
{
	struct store *s = NULL;
	struct store_list list = {0};
	struct refs_own *own = NULL;
	int r = cmd_open_store(c, false, 0, &s, err);
	if (r == 0)
		r = store_list(s, NULL, &list, err);
	if (r == 0)
		r = own_sizes(s, &list, &own, err);
	if (r == 0)
		r = c->json ? print_json(s, &list, own) : print_text(c, s, &list, own);
	free(own);
	store_list_done(&list);
	store_free(s);
	return r;
}

static int run(struct cmd *c, int argc, char **argv)
{
	struct args args;
	struct smr_error err = {0};
	int code = args_parse(c, argc, argv, NULL, 0, 0, &args);
	if (code != ARGS_RUN)
		return code;
	int r = ls(c, &err);
	return r < 0 ? cmd_fail(c, r, &err) : 0;
}

const struct cmd_verb cmd_ls = {
	.name = "ls",
	.operands = "",
	.summary = "List the images of a store",
	.example = "ls",
	.run = run,
	.trouble = 1,
};
