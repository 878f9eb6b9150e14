/* SPDX-License-Identifier: BSD-3-Clause */
/* An image: its recipe, loaded on first use, and what the recipe alone can answer. */
#include <errno.h>
#include <stdlib.h>

#include "../chunker/core/cleanup.h"
#include "../chunker/core/clock.h"
#include "../chunker/core/log.h"
#include "image_set.h"

#define RETRY_FIRST_NS     (100 * CLOCK_NS_PER_MS)
#define RETRY_MAX_NS       CLOCK_NS_PER_S
#define REPORT_INTERVAL_NS (10 * CLOCK_NS_PER_S)

int image_new(struct image_set *set, struct cache_store *store, const struct store_image *info,
	struct image **ret)
{
	struct image *img = calloc(1, sizeof(*img));

	if (!img)
		return -ENOMEM;
	atomic_init(&img->refs, 1);
	img->set = set;
	img->store = store;
	img->listed = *info;
	*ret = img;
	return 0;
}

struct image *image_ref(struct image *img)
{
	atomic_fetch_add(&img->refs, 1);
	return img;
}

void image_unref(struct image *img)
{
	if (!img || atomic_fetch_sub(&img->refs, 1) > 1)
		return;
	recipe_free(atomic_load(&img->recipe));
	free(img);
}

const struct recipe *image_recipe(const struct image *img)
{
	return atomic_load_explicit(&img->recipe, memory_order_acquire);
}

const struct store_image *image_info(const struct image *img)
{
	return image_recipe(img) ? &img->loaded : &img->listed;
}

/* ---- loading the recipe ---- */

/* Waits a little before the next try. false: nobody waits for one. */
static bool pause_loading(struct image *img, uint64_t began_ns, unsigned tries)
{
	struct image_set *set = img->set;
	uint64_t now = clock_ns(), pause = RETRY_FIRST_NS << (tries < 5 ? tries : 5);
	struct timespec until = clock_timespec(now + (pause < RETRY_MAX_NS ? pause : RETRY_MAX_NS));
	bool in_time = set->timeout_ns == 0 || now - began_ns < set->timeout_ns;

	locked(&set->lock);
	/* Reads have deadlines of their own. */
	if (!img->reads && !(img->waits && in_time))
		return false;
	while (!set->stopped && pthread_cond_timedwait(&set->idle, &set->lock, &until) != ETIMEDOUT)
		;
	return !set->stopped;
}

static void report(struct image *img, const char *what)
{
	uint64_t now = clock_ns();

	if (img->reported_ns && now - img->reported_ns < REPORT_INTERVAL_NS)
		return;
	img->reported_ns = now;
	log_warn("%s: %s", img->listed.name, what);
}

static int fetch_recipe(struct image *img, struct recipe **ret)
{
	const struct store_image *listed = &img->listed;
	uint64_t began = clock_ns();
	struct smr_error err;
	struct recipe *recipe;
	unsigned tries = 0;
	int r;

	do {
		err = (struct smr_error){0};
		r = cache_recipe(
			img->set->cache, img->store, listed->name, &listed->digest, &recipe, &err);
		if (r < 0 && r != -ECANCELED)
			report(img, error_text(&err, r));
	} while (r < 0 && store_error_is_transient(r) && pause_loading(img, began, tries++));
	if (r < 0)
		return r;
	if (listed->image_size && recipe_info(recipe)->image_size != listed->image_size) {
		report(img, "its recipe is not the one that was listed");
		recipe_free(recipe);
		return -ESTALE;
	}
	*ret = recipe;
	return 0;
}

/* Listings of flat stores know names only. */
static void complete_info(struct image *img, const struct recipe *recipe)
{
	const struct recipe_info *info = recipe_info(recipe);

	img->loaded = img->listed;
	img->loaded.digest = info->digest;
	img->loaded.recipe_size = info->file_size;
	img->loaded.image_size = info->image_size;
	img->loaded.data_size = recipe_data_bytes(recipe);
	img->loaded.chunk_size = info->chunk_size;
	img->loaded.n_chunks = info->n_chunks;
}

static void load_work(struct work *w)
{
	struct image *img = (struct image *)((char *)w - offsetof(struct image, load_work));
	struct image_set *set = img->set;
	struct image_set_todo todo = {0};
	struct image_wait *waits, *wait;
	struct recipe *recipe = NULL;
	int r = fetch_recipe(img, &recipe);

	if (r == 0)
		complete_info(img, recipe);
	{
		locked(&set->lock);
		atomic_store_explicit(&img->recipe, recipe, memory_order_release);
		/* Who asks from now on finds the recipe, or starts another try. */
		img->loading = false;
		waits = take_ptr(img->waits);
		while (img->reads) {
			if (r == 0)
				image_read_resume(img->reads, &todo);
			else
				image_set_finish(set, img->reads, -EIO, &todo);
		}
	}
	image_set_do(set, &todo);
	while ((wait = waits)) {
		waits = wait->next;
		wait->done(wait, r);
	}
	image_unref(img);
}

void image_start_loading(struct image *img)
{
	if (img->loading)
		return;
	img->loading = true;
	image_ref(img);
	img->load_work.run = load_work;
	workers_add(img->set->loaders, &img->load_work, WORKERS_DEMAND);
}

int image_load(struct image *img, struct image_wait *w)
{
	struct image_set *set = img->set;

	if (image_recipe(img))
		return 0;
	locked(&set->lock);
	if (image_recipe(img))
		return 0;
	if (set->stopped)
		return -EIO;
	w->next = img->waits;
	img->waits = w;
	image_start_loading(img);
	return -EINPROGRESS;
}

/* ---- what the recipe tells ---- */

int image_seek(const struct image *img, uint64_t offset, bool hole, uint64_t *ret)
{
	const struct recipe *recipe = image_recipe(img);
	const struct recipe_info *info = recipe_info(recipe);
	uint64_t index = offset / info->chunk_size, at;

	if (offset >= info->image_size)
		return -ENXIO;
	uint64_t p = recipe_lower_bound(recipe, index);
	if (!hole) {
		if (p == info->n_chunks)
			return -ENXIO;
		at = (uint64_t)recipe_entry(recipe, p).index * info->chunk_size;
	} else {
		while (p < info->n_chunks && recipe_entry(recipe, p).index == index) {
			p++;
			index++;
		}
		at = index * info->chunk_size;
	}
	if (at < offset)
		at = offset;
	/* The end of the file is a hole. */
	*ret = at < info->image_size ? at : info->image_size;
	return 0;
}

void image_want_range(struct image *img, uint64_t offset, uint64_t end, enum store_priority prio,
	struct image_set_todo *todo)
{
	const struct recipe *recipe = image_recipe(img);
	uint32_t size = recipe_info(recipe)->chunk_size;

	for (uint64_t p = recipe_lower_bound(recipe, offset / size);
		p < recipe_info(recipe)->n_chunks; p++) {
		struct recipe_entry entry = recipe_entry(recipe, p);
		if (entry.index * (uint64_t)size >= end)
			break;
		image_set_want(img, &entry.id, prio, todo);
	}
}

void image_prefetch(struct image *img, uint64_t offset, uint64_t length, enum store_priority prio)
{
	struct image_set *set = img->set;
	struct image_set_todo todo = {0};
	uint64_t end;

	if (!image_recipe(img) || length == 0)
		return;
	if (__builtin_add_overflow(offset, length, &end))
		end = UINT64_MAX;
	{
		locked(&set->lock);
		if (!set->stopped)
			image_want_range(img, offset, end, prio, &todo);
	}
	image_set_do(set, &todo);
}
