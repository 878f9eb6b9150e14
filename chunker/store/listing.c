/* SPDX-License-Identifier: BSD-3-Clause */
#include "listing.h"

#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "../core/cleanup.h"
#include "../core/codec.h"

#define LISTING_VERSION 1

static void freep_str(char **s)
{
	free(*s);
}

/* ---- lists ---- */

int listing_add(struct store_list *l, const struct store_image *img)
{
	/* Room grows at powers of two, so that the list needs no capacity. */
	if ((l->n & (l->n - 1)) == 0 && (l->n == 0 || l->n >= 16)) {
		size_t room = l->n ? l->n * 2 : 16;
		struct store_image *more = reallocarray(l->images, room, sizeof(*more));

		if (!more)
			return -ENOMEM;
		l->images = more;
	}
	l->images[l->n++] = *img;
	return 0;
}

int listing_add_damaged(struct store_list *l, const char *name)
{
	char(*more)[NAME_LEN_MAX + 1] =
		reallocarray(l->damaged, l->n_damaged + 1, sizeof(*l->damaged));

	if (!more)
		return -ENOMEM;
	l->damaged = more;
	strcpy(l->damaged[l->n_damaged++], name);
	return 0;
}

static int compare_names(const void *a, const void *b)
{
	return strcmp(((const struct store_image *)a)->name, ((const struct store_image *)b)->name);
}

void listing_sort(struct store_list *l)
{
	if (l->n)
		qsort(l->images, l->n, sizeof(l->images[0]), compare_names);
}

int listing_merge(struct store_list *l, const struct store_list *more)
{
	size_t sorted = l->n;

	for (size_t i = 0; i < more->n; i++) {
		if (sorted && bsearch(&more->images[i], l->images, sorted, sizeof(l->images[0]),
				      compare_names))
			continue;
		int r = listing_add(l, &more->images[i]);
		if (r < 0)
			return r;
	}
	listing_sort(l);
	for (size_t i = 0; i < more->n_damaged; i++) {
		int r = listing_add_damaged(l, more->damaged[i]);
		if (r < 0)
			return r;
	}
	return 0;
}

void listing_set_source(struct store_image *img, const char *source, size_t n)
{
	if (n >= sizeof(img->source)) {
		n = sizeof(img->source) - 1;
		while (n && ((unsigned char)source[n] & 0xc0) == 0x80)
			n--;
	}
	memcpy(img->source, source, n);
	img->source[n] = '\0';
	error_clean(img->source);
}

/* ---- index.json, reading ---- */

/* An integer member in [0, max]. */
static int get_uint(const json_t *item, const char *key, uint64_t max, uint64_t *ret)
{
	const json_t *v = json_object_get(item, key);

	if (!json_is_integer(v) || json_integer_value(v) < 0 ||
		(uint64_t)json_integer_value(v) > max)
		return -EBADMSG;
	*ret = (uint64_t)json_integer_value(v);
	return 0;
}

static int parse_digest(const json_t *v, struct chunkid *ret)
{
	const char *s = json_string_value(v);

	if (!s || strncmp(s, "sha256:", 7) != 0 || strlen(s) != 7 + CHUNKID_HEX)
		return -EBADMSG;
	return chunkid_parse(s + 7, ret) < 0 ? -EBADMSG : 0;
}

static int parse_sizes(const json_t *item, struct store_image *img)
{
	uint64_t chunk_size, created;

	if (get_uint(item, "recipe_size", RECIPE_FILE_MAX, &img->recipe_size) < 0 ||
		get_uint(item, "image_size", RECIPE_IMAGE_MAX, &img->image_size) < 0 ||
		get_uint(item, "data_size", img->image_size, &img->data_size) < 0 ||
		get_uint(item, "chunk_size", CODEC_CHUNK_MAX, &chunk_size) < 0 ||
		get_uint(item, "created", INT64_MAX, &created) < 0)
		return -EBADMSG;
	if (!codec_chunk_size_valid(chunk_size) || img->image_size == 0)
		return -EBADMSG;
	if (get_uint(item, "chunks", (img->image_size - 1) / chunk_size + 1, &img->n_chunks) < 0)
		return -EBADMSG;
	img->chunk_size = (uint32_t)chunk_size;
	img->created = (int64_t)created;
	return 0;
}

static int parse_image(const json_t *item, struct store_image *ret, struct smr_error *err)
{
	struct store_image img = {0};
	const char *name = json_string_value(json_object_get(item, "name"));
	const json_t *source = json_object_get(item, "source");

	if (!name || !name_valid(name))
		return error_set(err, -EBADMSG, "an image without a valid name");
	strcpy(img.name, name);
	if (parse_digest(json_object_get(item, "digest"), &img.digest) < 0)
		return error_set(err, -EBADMSG, "%s has no valid digest", name);
	if (parse_sizes(item, &img) < 0 || (source && !json_is_string(source)))
		return error_set(err, -EBADMSG, "%s has impossible numbers", name);
	if (source)
		listing_set_source(&img, json_string_value(source), json_string_length(source));
	*ret = img;
	return 0;
}

static int parse_images(const json_t *images, struct store_list *l, struct smr_error *err)
{
	struct store_image img;
	int r;

	for (size_t i = 0; i < json_array_size(images); i++) {
		r = parse_image(json_array_get(images, i), &img, err);
		if (r == 0)
			r = listing_add(l, &img);
		if (r < 0)
			return r;
	}
	listing_sort(l);
	for (size_t i = 1; i < l->n; i++) {
		if (strcmp(l->images[i - 1].name, l->images[i].name) == 0)
			return error_set(err, -EBADMSG, "%s is there twice", l->images[i].name);
	}
	return 0;
}

int listing_parse(const void *json, size_t n, struct store_list *ret, struct smr_error *err)
{
	struct store_list l auto_with(store_list_done) = {0};
	json_error_t where;
	uint64_t version;
	int r;

	json_t *doc auto_with(json_decrefp) = json_loadb(json, n, JSON_REJECT_DUPLICATES, &where);
	if (!json_is_object(doc))
		return error_set(err, -EBADMSG, "not an index of images (%s)",
			doc ? "not an object" : where.text);
	if (get_uint(doc, "version", INT64_MAX, &version) < 0 || version < 1)
		return error_set(err, -EBADMSG, "not an index of images (no version)");
	if (version > LISTING_VERSION)
		return error_set(err, -ENOTSUP, "index format %llu is newer than this program",
			(unsigned long long)version);
	const json_t *images = json_object_get(doc, "images");
	if (!json_is_array(images))
		return error_set(err, -EBADMSG, "not an index of images (no list)");
	r = parse_images(images, &l, err);
	if (r < 0)
		return r;
	*ret = l;
	l = (struct store_list){0};
	return 0;
}

/* ---- index.json, writing ---- */

static int format_image(const struct store_image *img, struct buf *out)
{
	char hex[CHUNKID_HEX + 1], digest[CHUNKID_HEX + 8] = "sha256:";

	chunkid_format(&img->digest, hex);
	strcat(digest, hex);
	json_t *item auto_with(json_decrefp) = json_pack("{s:s, s:s, s:I, s:I, s:I, s:I, s:I, s:I}",
		"name", img->name, "digest", digest, "recipe_size", (json_int_t)img->recipe_size,
		"image_size", (json_int_t)img->image_size, "data_size", (json_int_t)img->data_size,
		"chunk_size", (json_int_t)img->chunk_size, "chunks", (json_int_t)img->n_chunks,
		"created", (json_int_t)img->created);
	if (!item)
		return -ENOMEM;
	/* A source that is not UTF-8 makes no string and is left out. */
	if (img->source[0])
		json_object_set_new(item, "source", json_string(img->source));
	char *text auto_with(freep_str) = json_dumps(item, 0);
	return text ? buf_append_str(out, text) : -ENOMEM;
}

int listing_format(const struct store_list *l, struct buf *out)
{
	int r = buf_append_str(out, "{\"version\": 1, \"images\": [");

	for (size_t i = 0; r == 0 && i < l->n; i++) {
		r = buf_append_str(out, i ? ",\n  " : "\n  ");
		if (r == 0)
			r = format_image(&l->images[i], out);
	}
	return r < 0 ? r : buf_append_str(out, "\n]}\n");
}
