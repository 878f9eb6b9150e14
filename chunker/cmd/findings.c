/* SPDX-License-Identifier: BSD-3-Clause */
#include "findings.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../core/log.h"
#include "../core/units.h"
#include "gather.h"
#include "output.h"

/* Damaged chunks of one image that are told one by one. */
#define LINES_MAX 10

int findings_init(struct findings *f, struct store *s)
{
	*f = (struct findings){.store = s, .check = check_new(s)};
	return f->check ? 0 : -ENOMEM;
}

void findings_done(struct findings *f)
{
	for (size_t i = 0; i < f->n; i++)
		recipe_free(f->images[i].recipe);
	free(f->images);
	check_free(f->check);
}

static int append(
	struct findings *f, const char *name, struct recipe *recipe, const struct smr_error *why)
{
	if (f->n == f->cap) {
		size_t cap = f->cap ? f->cap * 2 : 16;
		struct finding *p = realloc(f->images, cap * sizeof(*p));
		if (!p)
			return -ENOMEM;
		f->images = p;
		f->cap = cap;
	}
	struct finding *i = &f->images[f->n++];
	*i = (struct finding){.recipe = recipe, .err = *why};
	snprintf(i->name, sizeof(i->name), "%s", name);
	return recipe ? check_add(f->check, recipe) : 0;
}

int findings_add(struct findings *f, const char *arg, struct smr_error *err)
{
	char name[NAME_LEN_MAX + 1];
	struct chunkid pin;
	bool pinned;
	struct recipe *recipe = NULL;
	struct smr_error why = {0};
	int r = name_parse_pinned(arg, name, &pin, &pinned, err);
	if (r < 0)
		return r;
	r = cmd_open_image(f->store, arg, &recipe, &why);
	if (r < 0 && !cmd_recipe_is_bad(r))
		return error_set(err, r, "%s", error_text(&why, r));
	r = append(f, name, recipe, &why);
	if (r < 0 && (f->n == 0 || f->images[f->n - 1].recipe != recipe))
		recipe_free(recipe);
	return r;
}

int findings_add_all(struct findings *f, struct smr_error *err)
{
	struct store_list list;
	int r = store_list(f->store, NULL, &list, err);
	if (r < 0)
		return r;
	for (size_t i = 0; i < list.n && r == 0; i++) {
		r = findings_add(f, list.images[i].name, err);
		if (r == -ENOENT) /* removed since the list was made */
			r = 0;
	}
	for (size_t i = 0; i < list.n_damaged && r == 0; i++) {
		r = findings_add(f, list.damaged[i], err);
		if (r == -ENOENT)
			r = 0;
	}
	store_list_done(&list);
	f->every = true;
	return r;
}

static void count(struct findings *f, struct finding *image)
{
	const struct recipe_info *info = recipe_info(image->recipe);
	for (uint64_t i = 0; i < info->n_chunks; i++) {
		struct recipe_entry e = recipe_entry(image->recipe, i);
		int r = check_result(f->check, &e.id, info->chunk_size);
		image->missing += r == -ENOENT;
		image->damaged += r < 0 && r != -ENOENT;
	}
}

int findings_look(
	struct findings *f, bool data, bool quiet, const atomic_bool *cancel, struct smr_error *err)
{
	f->data = data;
	int r = check_run(f->check, data, quiet, cancel, &f->totals, err);
	if (r < 0)
		return r;
	for (size_t i = 0; i < f->n; i++)
		if (f->images[i].recipe)
			count(f, &f->images[i]);
	if (!f->every)
		return 0;
	f->unreferenced_result = check_unreferenced(f->check, &f->unreferenced, err);
	return f->unreferenced_result == -EOPNOTSUPP ? 0 : f->unreferenced_result;
}

static bool is_damaged(const struct finding *i)
{
	return !i->recipe || i->missing + i->damaged > 0;
}

size_t findings_count(const struct findings *f)
{
	size_t n = 0;
	for (size_t i = 0; i < f->n; i++)
		n += is_damaged(&f->images[i]);
	return n;
}

static void print_image(const struct findings *f, const struct finding *image)
{
	if (!image->recipe) {
		log_error("%s", error_text(&image->err, -EBADMSG));
		return;
	}
	const struct recipe_info *info = recipe_info(image->recipe);
	uint64_t left = image->missing + image->damaged;
	unsigned told = 0;
	for (uint64_t i = 0; i < info->n_chunks && left > 0; i++) {
		struct recipe_entry e = recipe_entry(image->recipe, i);
		int r = check_result(f->check, &e.id, info->chunk_size);
		if (r == 0)
			continue;
		if (told++ == LINES_MAX)
			break;
		struct smr_error err = {0};
		gather_error(&err, r, f->store, image->name, e.index, &e.id, NULL);
		log_error("%s", err.message);
		left--;
	}
	if (left > 0) {
		char n[UNITS_TEXT_MAX + 4];
		log_error("%s: %s: and %s more chunks (--json has them all)", store_url(f->store),
			image->name, units_format_count(left, n));
	}
}

static void print_verdict(const struct findings *f)
{
	char chunks[UNITS_TEXT_MAX + 4], images[UNITS_TEXT_MAX + 4], size[UNITS_TEXT_MAX];
	if (f->n == 0) {
		printf("no images\n");
		return;
	}
	printf("%s image%s, %s chunks, %s: %s\n", units_format_count(f->n, images),
		f->n == 1 ? "" : "s", units_format_count(f->totals.chunks, chunks),
		units_format_size(f->totals.wire_bytes, size),
		f->data ? "all there and intact" : "all there");
}

static void print_unreferenced(const struct findings *f)
{
	char n[UNITS_TEXT_MAX + 4], size[UNITS_TEXT_MAX];
	if (f->unreferenced_result < 0)
		printf("the store does not list its chunks, so there may be some that belong to "
		       "no image\n");
	else if (f->unreferenced.chunks > 0)
		printf("%s chunk%s, %s, in no image\n",
			units_format_count(f->unreferenced.chunks, n),
			f->unreferenced.chunks == 1 ? "" : "s",
			units_format_size(f->unreferenced.bytes, size));
}

void findings_print(const struct findings *f, bool quiet)
{
	size_t bad = findings_count(f);
	for (size_t i = 0; i < f->n; i++)
		if (is_damaged(&f->images[i]))
			print_image(f, &f->images[i]);
	if (bad == 0 && !quiet)
		print_verdict(f);
	if (f->every && !quiet)
		print_unreferenced(f);
	if (bad > 0)
		log_error("%zu of %zu image%s %s damaged; `smr chunk --repair` with %s disk image "
			  "puts back what is not as it should be",
			bad, f->n, f->n == 1 ? "" : "s", bad == 1 ? "is" : "are",
			bad == 1 ? "its" : "each");
}

static json_t *chunks_json(const struct findings *f, const struct finding *image)
{
	json_t *list = json_array();
	uint64_t n = image->recipe ? recipe_info(image->recipe)->n_chunks : 0;
	for (uint64_t i = 0; i < n && list; i++) {
		struct recipe_entry e = recipe_entry(image->recipe, i);
		int r = check_result(f->check, &e.id, recipe_info(image->recipe)->chunk_size);
		if (r == 0)
			continue;
		const char *state = r == -ENOENT    ? "missing"
				    : r == -EBADMSG ? "damaged"
						    : "unreadable";
		if (json_array_append_new(
			    list, json_pack("{s:I, s:o, s:s}", "chunk", (json_int_t)e.index, "id",
					  output_json_id(&e.id), "state", state)) < 0) {
			json_decref(list);
			list = NULL;
		}
	}
	return list;
}

static json_t *image_json(const struct findings *f, const struct finding *i)
{
	const struct recipe_info *info = i->recipe ? recipe_info(i->recipe) : NULL;
	return json_pack("{s:s, s:o, s:b, s:o, s:o}", "name", i->name, "digest",
		info ? output_json_id(&info->digest) : json_null(), "damaged", is_damaged(i),
		"recipe_error",
		info ? json_null() : output_json_text(i->err.message, strlen(i->err.message)),
		"damaged_chunks", chunks_json(f, i));
}

int findings_print_json(const struct findings *f)
{
	json_t *images = json_array();
	for (size_t i = 0; i < f->n && images; i++)
		if (json_array_append_new(images, image_json(f, &f->images[i])) < 0) {
			json_decref(images);
			images = NULL;
		}
	bool told = f->every && f->unreferenced_result == 0;
	return output_json(json_pack("{s:o, s:b, s:I, s:I, s:I, s:o, s:o, s:o}", "store",
		output_json_store(f->store), "data", f->data, "chunks",
		(json_int_t)f->totals.chunks, "stored_size", (json_int_t)f->totals.wire_bytes,
		"damaged_images", (json_int_t)findings_count(f), "unreferenced_chunks",
		output_json_number(f->unreferenced.chunks, told), "unreferenced_size",
		output_json_number(f->unreferenced.bytes, told), "images", images));
}
