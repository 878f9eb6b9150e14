/* SPDX-License-Identifier: BSD-3-Clause */
/* Reads: from a range of bytes to mapped memory and zeros, at once or when the missing chunks have
 * come. */
#include <errno.h>
#include <string.h>

#include "../chunker/core/cleanup.h"
#include "../chunker/core/clock.h"
#include "image_set.h"

/* Between one time that all metadata is asked for and the next. */
#define META_INTERVAL_NS CLOCK_NS_PER_S

/* The range as segments: zeros are filled in, chunks become slots. Needs no lock: recipes do not
 * change. */
static void lay_out(struct image_read *rd, const struct recipe *recipe)
{
	uint64_t size = recipe_info(recipe)->chunk_size, n = recipe_info(recipe)->n_chunks;
	uint64_t offset = rd->offset, end = rd->offset + rd->length;
	uint64_t p = recipe_lower_bound(recipe, offset / size);
	bool last_zero = false;

	rd->n_iov = rd->n_slots = rd->pending = 0;
	while (offset < end) {
		uint64_t index = offset / size, skip = offset % size;
		size_t length = size - skip < end - offset ? size - skip : end - offset;
		bool stored = p < n && recipe_entry(recipe, p).index == index;

		offset += length;
		if (!stored && last_zero) {
			rd->iov[rd->n_iov - 1].iov_len += length;
			continue;
		}
		if (stored) {
			rd->slots[rd->n_slots++] =
				(struct image_read_slot){.id = recipe_find(recipe, index),
					.skip = (uint32_t)skip,
					.iov = rd->n_iov};
			p++;
		}
		rd->iov[rd->n_iov++] = (struct iovec){
			.iov_base = stored ? NULL : (void *)(uintptr_t)rd->image->set->zeros,
			.iov_len = length};
		last_zero = !stored;
	}
}

/* What a sequential reader will want next. Call with set->lock held. */
static void read_ahead(
	struct image_read *rd, const struct recipe *recipe, struct image_set_todo *todo)
{
	struct image *img = rd->image;
	const struct recipe_info *info = recipe_info(recipe);
	uint64_t end = rd->offset + rd->length, from, to;
	uint64_t first =
		recipe_lower_bound(recipe, (end + info->chunk_size - 1) / info->chunk_size);
	uint64_t window = img->set->read_ahead / info->chunk_size, n = info->n_chunks;

	/* Who walks through the metadata does not go on to the data behind it. */
	if (end < info->meta_end)
		n = recipe_lower_bound(recipe, info->meta_end / info->chunk_size);
	if (!readahead_feed(&img->readahead, rd->offset, rd->length, first, n, (uint32_t)window,
		    &from, &to))
		return;
	for (; from < to; from++) {
		struct recipe_entry entry = recipe_entry(recipe, from);
		image_set_want(img, &entry.id, STORE_AHEAD, todo);
	}
}

/* Mounting and walking the tree reads the metadata region; the first to look at it asks for all of
 * it. So does, later, who finds a part missing: the store may have been away then, or the chunks have
 * been evicted. Call with set->lock held. */
static void fetch_metadata(
	struct image_read *rd, const struct recipe *recipe, struct image_set_todo *todo)
{
	struct image *img = rd->image;
	uint64_t end = recipe_info(recipe)->meta_end, now;

	if (rd->offset >= end || (img->meta_asked_ns && rd->pending == 0))
		return;
	now = clock_ns();
	if (img->meta_asked_ns && now - img->meta_asked_ns < META_INTERVAL_NS)
		return;
	img->meta_asked_ns = now;
	image_want_range(img, 0, end, STORE_AHEAD, todo);
}

/* Takes or waits for the slots' chunks. 0: iov is complete. -EINPROGRESS: the read is among the
 * pending ones. Call with set->lock held. */
static int resolve(struct image_read *rd, const struct recipe *recipe, struct image_set_todo *todo)
{
	struct image_set *set = rd->image->set;
	bool no_memory = false;

	rd->state = IMAGE_READ_DONE;
	if (set->stopped)
		return -EIO;
	for (unsigned i = 0; i < rd->n_slots; i++) {
		struct image_read_slot *slot = &rd->slots[i];
		struct chunkmap_entry *e = image_set_want(rd->image, slot->id, STORE_DEMAND, todo);

		slot->entry = e;
		if (!e) {
			no_memory = true;
		} else if (e->ready) {
			chunkmap_ref(e);
			rd->iov[slot->iov].iov_base = (void *)(uintptr_t)(e->base + slot->skip);
		} else {
			slot->read = rd;
			slot->next = e->waiters;
			e->waiters = slot;
			rd->pending++;
		}
	}
	fetch_metadata(rd, recipe, todo);
	read_ahead(rd, recipe, todo);
	if (rd->pending == 0)
		return no_memory ? -EIO : 0;
	if (set->timeout_ns && rd->deadline_ns == 0)
		rd->deadline_ns = clock_ns() + set->timeout_ns;
	rd->state = IMAGE_READ_WAITING;
	image_set_pend(set, rd);
	if (no_memory)
		image_set_finish(set, rd, -EIO, todo);
	return -EINPROGRESS;
}

/* 0: the recipe has come meanwhile. */
static int wait_for_recipe(struct image_read *rd)
{
	struct image *img = rd->image;
	struct image_set *set = img->set;

	locked(&set->lock);
	if (image_recipe(img))
		return 0;
	if (set->stopped)
		return -EIO;
	if (set->timeout_ns)
		rd->deadline_ns = clock_ns() + set->timeout_ns;
	rd->state = IMAGE_READ_LOADING;
	rd->next_loading = img->reads;
	img->reads = rd;
	image_set_pend(set, rd);
	image_start_loading(img);
	return -EINPROGRESS;
}

int image_read(struct image_read *rd)
{
	struct image_set *set = rd->image->set;
	struct image_set_todo todo = {0};
	const struct recipe *recipe;
	int r;

	rd->state = IMAGE_READ_DONE;
	rd->n_iov = rd->n_slots = 0;
	rd->deadline_ns = 0;
	if (!image_recipe(rd->image)) {
		r = wait_for_recipe(rd);
		if (r < 0)
			return r;
	}
	recipe = image_recipe(rd->image);
	lay_out(rd, recipe);
	{
		locked(&set->lock);
		r = resolve(rd, recipe, &todo);
	}
	image_set_do(set, &todo);
	return r;
}

void image_read_resume(struct image_read *rd, struct image_set_todo *todo)
{
	const struct recipe *recipe = image_recipe(rd->image);
	int r;

	rd->image->reads = rd->next_loading;
	image_set_unpend(rd->image->set, rd);
	lay_out(rd, recipe);
	r = resolve(rd, recipe, todo);
	if (r != -EINPROGRESS)
		image_set_answer(rd->image->set, rd, r, todo);
}

bool image_read_cancel(struct image_read *rd)
{
	struct image_set *set = rd->image->set;
	struct image_set_todo todo = {0};

	{
		locked(&set->lock);
		if (rd->state != IMAGE_READ_LOADING && rd->state != IMAGE_READ_WAITING)
			return false;
		image_set_finish(set, rd, -EINTR, &todo);
	}
	image_set_do(set, &todo);
	return true;
}

void image_read_end(struct image_read *rd)
{
	struct image_set *set = rd->image->set;
	struct chunkmap_entry *release;

	if (rd->n_slots == 0)
		return;
	{
		locked(&set->lock);
		for (unsigned i = 0; i < rd->n_slots; i++)
			if (rd->slots[i].entry)
				chunkmap_unref(set->map, rd->slots[i].entry);
		release = chunkmap_reap(set->map);
	}
	rd->n_slots = 0;
	image_set_release(set, release);
}

void image_read_bad(struct image_read *rd)
{
	struct image_set *set = rd->image->set;

	for (unsigned i = 0; i < rd->n_slots; i++) {
		if (!rd->slots[i].entry)
			continue;
		{
			locked(&set->lock);
			chunkmap_drop(set->map, rd->slots[i].id);
		}
		cache_bad(set->cache, rd->slots[i].id);
	}
}
