/* SPDX-License-Identifier: BSD-3-Clause */
/* An image: its recipe, loaded on first use, and what the recipe alone can answer. */
#include <errno.h>
#include <stdlib.h>
#include <time.h>

#include "../chunker/core/cleanup.h"
#include "../chunker/core/clock.h"
#include "../chunker/core/log.h"
#include "image_set.h"

#define LOAD_RETRY_NS (500 * CLOCK_NS_PER_MS)

int image_new(struct image_set *set, struct cache_store *store, const struct store_image *info,
	struct image **ret)
{
	struct image *img = calloc(1, sizeof(*img));

	if (!img)
		return -ENOMEM;
	atomic_init(&img->refs, 1);
	img->set = set;
	img->store = store;
	img->info = *info;
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

const struct store_image *image_info(const struct image *img)
{
	return &img->info;
}

const struct recipe *image_recipe(const struct image *img)
{
	return atomic_load_explicit(&img->recipe, memory_order_acquire);
}

/* With no deadline a read waits for ever, for its recipe too. */
static int fetch_recipe(struct image *img, struct recipe **ret)
{
	struct image_set *set = img->set;
	struct smr_error err = {0};
	struct timespec pause = {.tv_nsec = LOAD_RETRY_NS};
	bool stopped = false;
	int r;

	for (;;) {
		r = cache_recipe(
			set->cache, img->store, img->info.name, &img->info.digest, ret, &err);
		if (r >= 0 || !store_error_is_transient(r) || set->timeout_ns)
			break;
		{
			locked(&set->lock);
			stopped = set->stopped;
		}
		if (stopped)
			break;
		nanosleep(&pause, NULL);
	}
	if (r < 0 && r != -ECANCELED)
		log_warn("%s: cannot load its recipe: %s", img->info.name, error_text(&err, r));
	return r;
}

/* Listings of flat stores know names only. */
static void complete_info(struct image *img, const struct recipe *recipe)
{
	const struct recipe_info *info = recipe_info(recipe);

	img->info.digest = info->digest;
	img->info.recipe_size = info->file_size;
	img->info.image_size = info->image_size;
	img->info.data_size = recipe_data_bytes(recipe);
	img->info.chunk_size = info->chunk_size;
	img->info.n_chunks = info->n_chunks;
}

static void load_work(struct work *w)
{
	struct image *img = (struct image *)((char *)w - offsetof(struct image, load_work));
	struct image_set *set = img->set;
	struct recipe *recipe = NULL;
	int r = fetch_recipe(img, &recipe);

	if (r == 0 && img->info.image_size &&
		recipe_info(recipe)->image_size != img->info.image_size) {
		log_warn("%s: its recipe is not the one that was listed", img->info.name);
		recipe_free(take_ptr(recipe));
		r = -ESTALE;
	}
	if (r == 0 && img->info.image_size == 0)
		complete_info(img, recipe);
	for (;;) {
		struct image_wait *wait;
		{
			locked(&set->lock);
			if (r == 0 && recipe) {
				atomic_store_explicit(&img->recipe, recipe, memory_order_release);
				recipe = NULL;
			}
			wait = img->waits;
			if (!wait) {
				img->loading = false;
				break;
			}
			img->waits = wait->next;
			/* From here on neither its deadline nor a cancellation can end the read. */
			if (wait->done == image_read_loaded) {
				struct image_read *rd =
					(struct image_read *)((char *)wait -
							      offsetof(struct image_read, load));
				image_set_unpend(set, rd);
				rd->state = IMAGE_READ_RESOLVING;
			}
		}
		wait->done(wait, r);
	}
	image_unref(img);
}

int image_load(struct image *img, struct image_wait *w)
{
	struct image_set *set = img->set;
	bool start;

	if (image_recipe(img))
		return 0;
	{
		locked(&set->lock);
		if (image_recipe(img))
			return 0;
		if (set->stopped)
			return -EIO;
		w->next = img->waits;
		img->waits = w;
		start = !img->loading;
		img->loading = true;
		if (w->done == image_read_loaded) {
			struct image_read *rd =
				(struct image_read *)((char *)w -
						      offsetof(struct image_read, load));
			rd->state = IMAGE_READ_LOADING;
			image_set_pend(set, rd);
		}
	}
	if (start) {
		image_ref(img);
		img->load_work.run = load_work;
		workers_add(set->loaders, &img->load_work, WORKERS_DEMAND);
	}
	return -EINPROGRESS;
}

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

void image_prefetch(struct image *img, uint64_t offset, uint64_t length, enum store_priority prio)
{
	const struct recipe *recipe = image_recipe(img);
	struct image_set *set = img->set;
	struct image_set_todo todo = {0};
	uint64_t end, size;

	if (!recipe || length == 0)
		return;
	size = recipe_info(recipe)->chunk_size;
	if (__builtin_add_overflow(offset, length, &end) || end > recipe_info(recipe)->image_size)
		end = recipe_info(recipe)->image_size;
	{
		locked(&set->lock);
		for (uint64_t p = recipe_lower_bound(recipe, offset / size);
			!set->stopped && p < recipe_info(recipe)->n_chunks; p++) {
			struct recipe_entry entry = recipe_entry(recipe, p);
			if (entry.index * size >= end)
				break;
			image_set_want(set, &entry.id, (uint32_t)size, img->store, prio, &todo);
		}
	}
	image_set_do(set, &todo);
}
