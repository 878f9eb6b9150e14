/* SPDX-License-Identifier: BSD-3-Clause */
#include "catalog_lister.h"

#include <errno.h>
#include <string.h>

#include "../chunker/core/cleanup.h"
#include "../chunker/core/clock.h"
#include "../chunker/core/log.h"

/* Takes the waits for one name, or all when it is NULL, out of the list. Call with
 * c->lock held. */
static struct catalog_wait *take_waits(struct catalog_wait **list, const char *name)
{
	struct catalog_wait *taken = NULL, *w;

	while ((w = *list)) {
		if (name && strcmp(w->name, name) != 0) {
			list = &w->next;
			continue;
		}
		*list = w->next;
		w->next = taken;
		taken = w;
	}
	return taken;
}

/* ---- answers, without the lock ---- */

/* `r`: how asking the store ended. */
static void answer_finds(struct catalog *c, struct catalog_wait *finds, int r)
{
	struct catalog_wait *w;

	while ((w = finds)) {
		struct image *image = NULL;

		finds = w->next;
		{
			locked(&c->lock);
			const struct catalog_row *row = catalog_rows_find(&c->rows, w->name);
			if (row)
				image = image_ref(row->image);
		}
		w->done(w, image ? 0 : r < 0 ? r : -ENOENT, image);
	}
}

void catalog_lister_answer(struct catalog_wait *waits, int r)
{
	struct catalog_wait *w;

	while ((w = waits)) {
		waits = w->next;
		w->done(w, r, NULL);
	}
}

static void tell_changed(void *user, const char *name)
{
	struct catalog *c = user;

	if (c->opts.changed)
		c->opts.changed(c->opts.user, name);
}

/* ---- a store that can list ---- */

static int take_list(struct catalog *c, const struct store_list *list)
{
	struct catalog_rows old, rows;
	int r;

	{
		locked(&c->lock);
		old = c->rows;
		r = catalog_rows_merge(&old, list, c->set, c->store, &rows);
		if (r < 0)
			return r;
		c->rows = rows;
	}
	/* Only this thread replaces rows, so the new ones stay as they are for now. */
	catalog_rows_compare(&old, &rows, tell_changed, c);
	catalog_rows_done(&old);
	return 0;
}

static void log_outage(struct catalog *c, int r, const struct smr_error *err)
{
	bool failing = r < 0 && r != -EOPNOTSUPP && r != -ECANCELED;

	if (failing && !c->was_failing)
		log_warn("cannot list the store: %s", error_text(err, r));
	else if (c->was_failing && r == 0)
		log_info("the store can be listed again");
	c->was_failing = failing;
}

static int list_store(struct catalog *c, struct smr_error *err)
{
	struct store_list list = {0};
	int r = cache_list(c->cache, c->store, c->tag, &list, err);

	if (r == 0) {
		r = take_list(c, &list);
		store_list_done(&list);
		if (r < 0)
			memset(c->tag, 0, sizeof(c->tag));
	}
	if (r == -EALREADY)
		r = 0;
	log_outage(c, r, err);
	return r;
}

/* Lists, and answers everybody but the finds in a store that cannot list. */
static void refresh(struct catalog *c)
{
	struct smr_error err = {0};
	struct catalog_wait *finds = NULL, *lists;
	uint64_t began = clock_ns();
	int r;

	{
		locked(&c->lock);
		c->listing_ns = began;
		c->begun++;
	}
	r = list_store(c, &err);
	{
		locked(&c->lock);
		c->listing_ns = 0;
		c->ended = c->begun;
		c->tried_ns = clock_ns();
		c->result = r;
		c->error = err;
		if (r == 0)
			c->listed_ns = began;
		if (r == 0 || r == -EOPNOTSUPP)
			c->cannot_list = r != 0;
		/* Who came while it was listing is answered too: the listing was not finished when
		 * they asked. */
		lists = take_waits(&c->lists, NULL);
		if (!c->cannot_list)
			finds = take_waits(&c->finds, NULL);
		c->wanted = c->cannot_list || c->begun < c->needed;
		pthread_cond_broadcast(&c->listed);
	}
	answer_finds(c, finds, r);
	/* A stale list is better than none when the store cannot be asked. */
	catalog_lister_answer(lists, 0);
}

/* ---- a store that cannot list still has recipes by name ---- */

/* Binds the name of the recipe, unless it is bound to this very one. *ret_old: what it was bound to. */
static int bind_name(struct catalog *c, const struct recipe *recipe, struct image **ret_old)
{
	const struct recipe_info *ri = recipe_info(recipe);
	struct store_image info = {.digest = ri->digest,
		.recipe_size = ri->file_size,
		.image_size = ri->image_size,
		.data_size = recipe_data_bytes(recipe),
		.chunk_size = ri->chunk_size,
		.n_chunks = ri->n_chunks};
	struct catalog_row *row;
	struct image *image;
	int r;

	memcpy(info.name, ri->name, sizeof(info.name));
	locked(&c->lock);
	row = catalog_rows_find(&c->rows, info.name);
	if (row && chunkid_equal(&row->digest, &info.digest))
		return -EALREADY;
	r = image_new(c->set, c->store, &info, &image);
	if (r < 0)
		return r;
	r = catalog_rows_put(&c->rows, &info, image, ret_old);
	if (r < 0)
		image_unref(image);
	return r;
}

/* *ret_old: the name was bound to that one. */
static int unbind_name(struct catalog *c, const char *name, struct image **ret_old)
{
	struct catalog_row *row;

	locked(&c->lock);
	row = catalog_rows_find(&c->rows, name);
	if (!row)
		return -EALREADY;
	*ret_old = catalog_rows_remove(&c->rows, row);
	return 0;
}

/* Asks for the recipe of a name, and answers those who wait for that name. */
static void ask_by_name(struct catalog *c, const char *name)
{
	struct image *old = NULL;
	struct recipe *recipe;
	struct catalog_row *row;
	struct catalog_wait *finds;
	int changed = -EALREADY;
	int r = cache_recipe(c->cache, c->store, name, NULL, &recipe, NULL);

	if (r == 0) {
		changed = bind_name(c, recipe, &old);
		recipe_free(recipe);
		if (changed < 0 && changed != -EALREADY)
			r = changed;
	} else if (r == -ENOENT) {
		changed = unbind_name(c, name, &old);
	}
	if (changed == 0)
		tell_changed(c, name);
	image_unref(old);
	{
		locked(&c->lock);
		row = catalog_rows_find(&c->rows, name);
		if (row) {
			row->asked_ns = clock_ns();
			row->wanted = false;
		}
		finds = take_waits(&c->finds, name);
	}
	answer_finds(c, finds, r);
}

/* The next name to ask for: one that is waited for, or one to look at again. */
static bool next_name(struct catalog *c, char ret[NAME_LEN_MAX + 1])
{
	const char *name = NULL;

	locked(&c->lock);
	if (c->finds)
		name = c->finds->name;
	for (size_t i = 0; !name && i < c->rows.n; i++)
		if (c->rows.row[i].wanted)
			name = c->rows.row[i].name;
	/* Who asks from here on wants the next round. */
	if (!name || c->quit) {
		c->wanted = false;
		return false;
	}
	memcpy(ret, name, NAME_LEN_MAX + 1);
	return true;
}

void *catalog_lister_main(void *arg)
{
	struct catalog *c = arg;
	char name[NAME_LEN_MAX + 1];

	pthread_mutex_lock(&c->lock);
	while (!c->quit) {
		bool list = !c->cannot_list || c->begun < c->needed;

		if (!c->wanted) {
			pthread_cond_wait(&c->work, &c->lock);
			continue;
		}
		pthread_mutex_unlock(&c->lock);
		if (list)
			refresh(c);
		else
			while (next_name(c, name))
				ask_by_name(c, name);
		pthread_mutex_lock(&c->lock);
	}
	pthread_mutex_unlock(&c->lock);
	return NULL;
}
