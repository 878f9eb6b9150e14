/* SPDX-License-Identifier: BSD-3-Clause */
#include "roots.h"

#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../core/cleanup.h"
#include "../core/codec.h"

#define ROOTS_VERSION 1

static const char *const state_names[] = {
	[ROOTS_ACTIVE] = "active",
	[ROOTS_RETIRED] = "retired",
	[ROOTS_EXPIRED] = "expired",
};

bool roots_name_valid(const char *s)
{
	size_t n = strlen(s);

	if (n == 0 || n > ROOTS_NAME_MAX || s[0] == '-')
		return false;
	return strspn(s, "abcdefghijklmnopqrstuvwxyz0123456789-") == n;
}

static struct roots *roots_alloc(void)
{
	struct roots *r = calloc(1, sizeof(*r));

	if (r)
		r->refs = 1;
	return r;
}

/* Fills live[] from root[]. -EBADMSG unless exactly one root is active. */
static int order_live(struct roots *r, struct smr_error *err)
{
	unsigned n_active = 0;

	for (unsigned i = 0; i < r->n; i++) {
		if (r->root[i].state == ROOTS_ACTIVE) {
			r->live[0] = i;
			n_active++;
		}
	}
	if (n_active != 1)
		return error_set(err, -EBADMSG, "%u active roots, there must be one", n_active);
	r->n_live = 1;
	for (unsigned i = 0; i < r->n; i++) {
		if (r->root[i].state == ROOTS_RETIRED)
			r->live[r->n_live++] = i;
	}
	return 0;
}

static int parse_root(struct roots *r, const json_t *item, struct smr_error *err)
{
	const char *name = json_string_value(json_object_get(item, "name"));
	const char *state = json_string_value(json_object_get(item, "state"));
	struct roots_one *one = &r->root[r->n];

	if (!name || !roots_name_valid(name))
		return error_set(err, -EBADMSG, "root %u has no valid name", r->n);
	for (unsigned i = 0; i < r->n; i++) {
		if (strcmp(r->root[i].name, name) == 0)
			return error_set(err, -EBADMSG, "root %s is there twice", name);
	}
	for (unsigned i = 0; state && i < sizeof(state_names) / sizeof(state_names[0]); i++) {
		if (strcmp(state, state_names[i]) != 0)
			continue;
		one->state = (enum roots_state)i;
		strcpy(one->name, name);
		r->n++;
		return 0;
	}
	return error_set(err, -EBADMSG, "root %s has no valid state", name);
}

static int parse_members(struct roots *r, const json_t *doc, struct smr_error *err)
{
	const json_t *version = json_object_get(doc, "version");
	const json_t *chunk_size = json_object_get(doc, "chunk_size");
	const json_t *list = json_object_get(doc, "roots");
	int rc;

	if (!json_is_integer(version) || json_integer_value(version) < 1)
		return error_set(err, -EBADMSG, "no version in it");
	if (json_integer_value(version) > ROOTS_VERSION)
		return error_set(err, -ENOTSUP, "store format %lld is newer than this program",
			(long long)json_integer_value(version));
	if (!json_is_integer(chunk_size) || json_integer_value(chunk_size) < 0 ||
		!codec_chunk_size_valid((uint64_t)json_integer_value(chunk_size)))
		return error_set(err, -EBADMSG, "no valid chunk_size in it");
	r->chunk_size = (uint32_t)json_integer_value(chunk_size);
	if (!json_is_array(list) || json_array_size(list) > ROOTS_MAX)
		return error_set(err, -EBADMSG, "no valid list of roots in it");
	for (size_t i = 0; i < json_array_size(list); i++) {
		rc = parse_root(r, json_array_get(list, i), err);
		if (rc < 0)
			return rc;
	}
	return order_live(r, err);
}

int roots_parse(const void *json, size_t n, struct roots **ret, struct smr_error *err)
{
	struct roots *r auto_with(roots_unrefp) = roots_alloc();
	json_error_t where;
	int rc;

	if (!r)
		return -ENOMEM;
	json_t *doc auto_with(json_decrefp) = json_loadb(json, n, JSON_REJECT_DUPLICATES, &where);
	if (!json_is_object(doc))
		return error_set(err, -EBADMSG, "not a store description (%s)",
			doc ? "not an object" : where.text);
	rc = parse_members(r, doc, err);
	if (rc < 0)
		return rc;
	*ret = take_ptr(r);
	return 0;
}

int roots_new(uint32_t chunk_size, const char *name, struct roots **ret)
{
	struct roots *r;

	if (!codec_chunk_size_valid(chunk_size) || !roots_name_valid(name))
		return -EINVAL;
	r = roots_alloc();
	if (!r)
		return -ENOMEM;
	r->chunk_size = chunk_size;
	r->n = r->n_live = 1;
	strcpy(r->root[0].name, name);
	*ret = r;
	return 0;
}

struct roots *roots_new_flat(void)
{
	struct roots *r = roots_alloc();

	if (r) {
		r->flat = true;
		r->chunk_size = CODEC_CHUNK_DEFAULT;
		r->n = r->n_live = 1;
	}
	return r;
}

int roots_format(const struct roots *r, struct buf *out)
{
	int rc = buf_appendf(out, "{\"version\": %d, \"chunk_size\": %u, \"roots\": [",
		ROOTS_VERSION, r->chunk_size);

	/* Names need no escapes: roots_name_valid. */
	for (unsigned i = 0; rc == 0 && i < r->n; i++)
		rc = buf_appendf(out, "%s\n  {\"name\": \"%s\", \"state\": \"%s\"}", i ? "," : "",
			r->root[i].name, state_names[r->root[i].state]);
	return rc < 0 ? rc : buf_append_str(out, "\n]}\n");
}

struct roots *roots_ref(struct roots *r)
{
	__atomic_fetch_add(&r->refs, 1, __ATOMIC_RELAXED);
	return r;
}

void roots_unref(struct roots *r)
{
	if (r && __atomic_fetch_sub(&r->refs, 1, __ATOMIC_ACQ_REL) == 1)
		free(r);
}

bool roots_equal(const struct roots *a, const struct roots *b)
{
	if (a->flat != b->flat || a->chunk_size != b->chunk_size || a->n != b->n)
		return false;
	for (unsigned i = 0; i < a->n; i++) {
		if (a->root[i].state != b->root[i].state ||
			strcmp(a->root[i].name, b->root[i].name) != 0)
			return false;
	}
	return true;
}

const char *roots_active(const struct roots *r)
{
	return r->root[r->live[0]].name;
}

static const char *live_name(const struct roots *r, unsigned i)
{
	return r->root[r->live[i]].name;
}

void roots_chunk_key(
	const struct roots *r, unsigned i, const struct chunkid *id, char ret[BUCKET_KEY_MAX])
{
	char hex[CHUNKID_HEX + 1];

	chunkid_format(id, hex);
	if (r->flat)
		snprintf(ret, BUCKET_KEY_MAX, "%s.zst", hex);
	else
		snprintf(ret, BUCKET_KEY_MAX, "roots/%s/chunks/%.2s/%s.zst", live_name(r, i), hex,
			hex);
}

void roots_recipe_key(const struct roots *r, unsigned i, const char *name, char ret[BUCKET_KEY_MAX])
{
	snprintf(ret, BUCKET_KEY_MAX, "roots/%s/recipes/%s.recipe", live_name(r, i), name);
}

void roots_index_key(const struct roots *r, unsigned i, char ret[BUCKET_KEY_MAX])
{
	snprintf(ret, BUCKET_KEY_MAX, "roots/%s/recipes/index.json", live_name(r, i));
}

void roots_recipes_prefix(const struct roots *r, unsigned i, char ret[BUCKET_KEY_MAX])
{
	snprintf(ret, BUCKET_KEY_MAX, "roots/%s/recipes/", live_name(r, i));
}

void roots_chunks_prefix(const struct roots *r, unsigned i, char ret[BUCKET_KEY_MAX])
{
	snprintf(ret, BUCKET_KEY_MAX, "roots/%s/chunks/", live_name(r, i));
}
