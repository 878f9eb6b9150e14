/* SPDX-License-Identifier: BSD-3-Clause */
#include "engine_impl.h"

#include <errno.h>

#include "../chunker/core/units.h"

static int get_recipe(struct engine *e, struct cache_store *s, const char *name,
	struct recipe **ret, struct smr_error *err)
{
	if (!s)
		return error_set(err, -EINVAL, "%s: no store was named to find it in", name);
	if (!name_valid(name))
		return error_set(err, -EINVAL, "\"%.100s\" is not an image name", name);
	return cache_recipe(&e->base, s, name, NULL, ret, err);
}

/* More than the cache holds cannot be kept: it would push itself out. */
static int check_room(
	struct engine *e, const struct recipe *recipe, uint64_t other, struct smr_error *err)
{
	char needs[UNITS_TEXT_MAX], has[UNITS_TEXT_MAX];
	uint64_t bytes = recipe_data_bytes(recipe);
	struct local_usage u;

	local_usage(e->local, &u);
	if (bytes + other <= u.size)
		return 0;
	return error_set(err, -ENOSPC, "%s has %s, which is more than the cache has room for (%s)",
		recipe_info(recipe)->name, units_format_size(bytes, needs),
		units_format_size(u.size > other ? u.size - other : 0, has));
}

struct pinned {
	const char *but; /* this name */
	uint64_t bytes;
};

static void add_pinned(void *user, const struct recipe *recipe)
{
	struct pinned *p = user;

	if (strcmp(recipe_info(recipe)->name, p->but) != 0)
		p->bytes += recipe_data_bytes(recipe);
}

static int pin(struct engine *e, struct cache_store *s, const char *name, struct buf *text,
	struct smr_error *err)
{
	struct pinned others = {.but = name};
	char n[UNITS_TEXT_MAX + 4], size[UNITS_TEXT_MAX];
	struct recipe *recipe;
	uint64_t chunks;
	int r = get_recipe(e, s, name, &recipe, err);

	if (r < 0)
		return r;
	pins_each(e->pins, add_pinned, &others);
	r = check_room(e, recipe, others.bytes, err);
	if (r < 0) {
		recipe_free(recipe);
		return r;
	}
	chunks = recipe_info(recipe)->n_chunks;
	units_format_size(recipe_data_bytes(recipe), size);
	r = pins_add(e->pins, recipe, err);
	return r < 0 ? r
		     : buf_appendf(text, "%s: pinned, %s chunks, %s", name,
			       units_format_count(chunks, n), size);
}

static int unpin(struct engine *e, const char *name, struct buf *text, struct smr_error *err)
{
	int r = pins_remove(e->pins, name, err);

	return r < 0 ? r : buf_appendf(text, "%s: not pinned any more", name);
}

static int hydrate(struct engine *e, struct cache_store *s, const char *name, bool wait,
	struct buf *text, struct smr_error *err)
{
	struct recipe *recipe;
	int r = get_recipe(e, s, name, &recipe, err);

	if (r < 0)
		return r;
	r = check_room(e, recipe, 0, err);
	if (r < 0) {
		recipe_free(recipe);
		return r;
	}
	return engine_ahead_hydrate(e, s, recipe, wait, text, err);
}

int engine_control(struct cache *c, enum cache_verb verb, struct cache_store *s, const char *name,
	bool wait, struct buf *text, struct smr_error *err)
{
	struct engine *e = engine_of(c);

	switch (verb) {
	case CACHE_PIN:
		return pin(e, s, name, text, err);
	case CACHE_UNPIN:
		return unpin(e, name, text, err);
	case CACHE_HYDRATE:
		return hydrate(e, s, name, wait, text, err);
	case CACHE_SCRUB:
		return engine_scrub(e, wait, text, err);
	}
	return -EINVAL;
}
