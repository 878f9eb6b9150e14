/* SPDX-License-Identifier: BSD-3-Clause */
#include "cutter.h"

#include <errno.h>
#include <stdlib.h>

#include "../core/cleanup.h"
#include "../core/codec.h"
#include "../core/idmap.h"
#include "../core/recipe.h"
#include "../core/workers.h"

/* What a recipe leaves for its table at the least: everything else in it is shorter than this. */
#define OTHER_BYTES_MAX                                                                       \
	(RECIPE_HEADER_BYTES + NAME_LEN_MAX + RECIPE_CONFIG_MAX + RECIPE_SOURCE_MAX + 3 * 8 + \
		CHUNKID_BYTES)
#define ENTRIES_MAX ((RECIPE_FILE_MAX - OTHER_BYTES_MAX) / RECIPE_ENTRY_BYTES)

struct cutter {
	struct store *store;
	const struct imgsource *img;
	const struct cutter_options *opts;
	uint32_t chunk_size;
	int level;

	pthread_mutex_t lock;          /* guards all below, never held across I/O on data */
	uint64_t next;                 /* chunk index to look at next */
	uint64_t data_start, data_end; /* the extent that `next` was found in, bytes */
	struct idmap *claimed;         /* ids some thread has put or is putting */
	struct recipe_entry *entries;
	size_t n_entries, cap_entries;
	uint64_t n_new, n_repaired, new_bytes;
	int result; /* the first failure */
	struct smr_error err;
};

struct cutter_thread {
	struct work work; /* first: the job is the thread */
	struct cutter *c;
	void *pool, *wire;
};

static bool cancelled(const struct cutter *c)
{
	return c->opts->cancel && atomic_load_explicit(c->opts->cancel, memory_order_relaxed);
}

/* The next chunk that holds data. 0 and its index; -ENXIO at the end; the first failure otherwise.
 */
static int take_chunk(struct cutter *c, uint64_t *ret_index, struct smr_error *err)
{
	locked(&c->lock);
	if (c->result < 0)
		return -ENXIO;
	if (cancelled(c))
		return -ECANCELED;

	uint64_t at = c->next * c->chunk_size;
	if (at >= c->data_end) {
		int r = c->img->next_data(c->img->of, at, &c->data_start, &c->data_end, err);
		if (r < 0)
			return r;
	}
	if (at < c->data_start)
		at = c->data_start;
	*ret_index = at / c->chunk_size;
	c->next = *ret_index + 1;
	return 0;
}

/* -- call with c->lock held -- */
static int add_entry(
	struct cutter *c, uint64_t index, const struct chunkid *id, struct smr_error *err)
{
	if (c->n_entries == ENTRIES_MAX)
		return error_set(err, -EFBIG,
			"%s has more than %llu chunks with data; use a larger --chunk-size",
			c->img->name, (unsigned long long)ENTRIES_MAX);
	if (c->n_entries == c->cap_entries) {
		size_t cap = c->cap_entries ? c->cap_entries * 2 : 1024;
		struct recipe_entry *p = realloc(c->entries, cap * sizeof(*p));
		if (!p)
			return error_set_errno(err, -ENOMEM, "%s", c->img->name);
		c->entries = p;
		c->cap_entries = cap;
	}
	c->entries[c->n_entries++] = (struct recipe_entry){.index = (uint32_t)index, .id = *id};
	return 0;
}

/* Notes the chunk. 1: this thread must see to it that the store has it; 0: another one does. */
static int claim(struct cutter *c, uint64_t index, const struct chunkid *id, struct smr_error *err)
{
	locked(&c->lock);
	int r = add_entry(c, index, id, err);
	if (r < 0)
		return r;
	r = idmap_put(c->claimed, id, 0);
	return r < 0 ? error_set_errno(err, r, "%s", c->img->name) : r;
}

/* Is what the store has under this id really the chunk? 0, -EBADMSG, -ENOENT, or another errno. */
static int check_stored(struct cutter *c, const struct chunkid *id, struct smr_error *err)
{
	void *scratch = malloc(c->chunk_size);
	struct buf body;
	buf_init(&body, codec_wire_max(c->chunk_size));
	int r = scratch ? store_get_wait(c->store, id, &body, err) : -ENOMEM;
	if (r == 0)
		r = codec_decode_verify(body.data, body.len, id, scratch, c->chunk_size);
	buf_done(&body);
	free(scratch);
	return r;
}

/* Puts the chunk unless the store has it. */
static int put_chunk(
	struct cutter *c, struct cutter_thread *t, const struct chunkid *id, struct smr_error *err)
{
	uint64_t stored;
	int r = store_has(c->store, id, &stored, err);
	bool had = r == 0;
	if (r == 0 && c->opts->repair)
		r = check_stored(c, id, err);
	if (r == 0 || (r != -ENOENT && r != -EBADMSG))
		return r;

	size_t n;
	r = codec_encode(t->pool, c->chunk_size, c->level, t->wire, &n);
	if (r < 0)
		return error_set_errno(err, r, "cannot compress at level %d", c->level);
	r = store_put(c->store, id, t->wire, n, err);
	if (r < 0)
		return r;

	locked(&c->lock);
	c->n_new += !had;
	c->n_repaired += had;
	c->new_bytes += n;
	return 0;
}

static int cut_chunk(
	struct cutter *c, struct cutter_thread *t, uint64_t index, struct smr_error *err)
{
	uint64_t offset = index * c->chunk_size;
	int r = c->img->read(c->img->of, t->pool, c->chunk_size, offset, err);
	if (r < 0)
		return r;

	if (!codec_is_zero(t->pool, c->chunk_size)) {
		struct chunkid id;
		chunkid_hash(t->pool, c->chunk_size, &id);
		r = claim(c, index, &id, err);
		if (r == 1)
			r = put_chunk(c, t, &id, err);
		if (r < 0)
			return r;
	}
	if (c->opts->progress) {
		uint64_t left = c->img->size - offset;
		uint64_t n = left < c->chunk_size ? left : c->chunk_size;
		c->opts->progress(c->opts->user, offset + n, n);
	}
	return 0;
}

static void cutter_thread_run(struct work *w)
{
	struct cutter_thread *t = (struct cutter_thread *)w;
	struct cutter *c = t->c;
	struct smr_error err = {0};
	uint64_t index;
	int r;

	do {
		r = take_chunk(c, &index, &err);
		if (r == 0)
			r = cut_chunk(c, t, index, &err);
	} while (r == 0);

	locked(&c->lock);
	if (r != -ENXIO && c->result == 0) {
		c->result = r;
		c->err = err;
	}
}

static int cut_all(struct cutter *c, unsigned n_threads, struct smr_error *err)
{
	struct cutter_thread *threads = calloc(n_threads, sizeof(*threads));
	struct workers *workers = NULL;
	int r = threads ? 0 : -ENOMEM;
	for (unsigned i = 0; i < n_threads && r == 0; i++) {
		threads[i].work.run = cutter_thread_run;
		threads[i].c = c;
		threads[i].pool = malloc(c->chunk_size);
		threads[i].wire = malloc(codec_wire_max(c->chunk_size));
		if (!threads[i].pool || !threads[i].wire)
			r = -ENOMEM;
	}
	if (r == 0)
		r = workers_new("cut", n_threads, &workers);
	for (unsigned i = 0; i < n_threads && r == 0; i++)
		workers_add(workers, &threads[i].work, WORKERS_DEMAND);
	workers_free(workers);
	for (unsigned i = 0; i < n_threads && threads; i++) {
		free(threads[i].pool);
		free(threads[i].wire);
	}
	free(threads);
	if (r < 0)
		return error_set_errno(err, r, "cannot start %u threads", n_threads);
	if (c->result < 0 && err)
		*err = c->err;
	return c->result;
}

static int compare_index(const void *a, const void *b)
{
	uint32_t x = ((const struct recipe_entry *)a)->index;
	uint32_t y = ((const struct recipe_entry *)b)->index;
	return x < y ? -1 : x > y;
}

/* Which image the name stood for; the answer is for the message only. */
static void look_up_old(struct cutter *c, struct cutter_result *result)
{
	struct recipe *old = NULL;
	if (store_get_recipe(c->store, c->opts->name, &old, NULL) < 0)
		return;
	result->old_digest = recipe_info(old)->digest;
	result->replaced = !chunkid_equal(&result->old_digest, &result->digest);
	recipe_free(old);
}

static int publish(struct cutter *c, struct cutter_result *result, struct smr_error *err)
{
	if (c->n_entries > 0)
		qsort(c->entries, c->n_entries, sizeof(*c->entries), compare_index);
	struct recipe_spec spec = {
		.name = c->opts->name,
		.image_size = c->img->size,
		.chunk_size = c->chunk_size,
		.entries = c->entries,
		.n_entries = c->n_entries,
		.layout = c->opts->layout,
		.meta_end = c->opts->meta_end,
		.config = c->opts->config,
		.config_len = c->opts->config_len,
		.source = c->opts->source,
		.manifest_digest = c->opts->manifest_digest,
	};
	struct recipe *recipe = NULL;
	struct buf b;
	buf_init(&b, RECIPE_FILE_MAX);
	int r = recipe_encode(&spec, &b, err);
	if (r == 0)
		r = recipe_from_bytes(b.data, b.len, &recipe, err);
	buf_done(&b);
	if (r < 0)
		return error_wrap(err, r, "%s", c->img->name);

	result->digest = recipe_info(recipe)->digest;
	result->data_bytes = recipe_data_bytes(recipe);
	look_up_old(c, result);
	/* The last moment to find that what was read is not one state of the image. */
	r = c->img->check ? c->img->check(c->img->of, err) : 0;
	if (r == 0 && cancelled(c))
		r = -ECANCELED;
	if (r == 0)
		r = store_put_recipe(c->store, recipe, &result->same, err);
	recipe_free(recipe);
	return r;
}

int cutter_cut(struct store *store, const struct imgsource *img, const struct cutter_options *opts,
	struct cutter_result *ret, struct smr_error *err)
{
	struct cutter c = {
		.store = store,
		.img = img,
		.opts = opts,
		.chunk_size = opts->chunk_size ? opts->chunk_size : CODEC_CHUNK_DEFAULT,
		.level = opts->level ? opts->level : CODEC_LEVEL_DEFAULT,
	};
	if (!name_valid(opts->name))
		return error_set(err, -EINVAL, "'%s' cannot be the name of an image", opts->name);
	if (!codec_chunk_size_valid(c.chunk_size))
		return error_set(err, -EINVAL,
			"the chunk size must be a power of two from 64 KiB to 4 MiB, not %u",
			c.chunk_size);
	if (img->size > RECIPE_IMAGE_MAX)
		return error_set(err, -EFBIG, "%s is larger than 64 TiB", img->name);
	c.claimed = idmap_new();
	if (!c.claimed)
		return error_set_errno(err, -ENOMEM, "%s", img->name);
	pthread_mutex_init(&c.lock, NULL);

	struct cutter_result result = {.image_size = img->size};
	int r = cut_all(&c, opts->n_threads ? opts->n_threads : workers_cpus(), err);
	if (r == 0)
		r = publish(&c, &result, err);
	if (r == 0) {
		result.n_chunks = c.n_entries;
		result.n_distinct = idmap_count(c.claimed);
		result.n_new = c.n_new;
		result.n_repaired = c.n_repaired;
		result.new_bytes = c.new_bytes;
		*ret = result;
	} else {
		/* The failure is what counts; this only keeps the work done so far. */
		store_flush(store, NULL);
	}
	pthread_mutex_destroy(&c.lock);
	idmap_free(c.claimed);
	free(c.entries);
	return r;
}
