/* SPDX-License-Identifier: BSD-3-Clause */
#include "against.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "../core/cleanup.h"
#include "../core/codec.h"
#include "gather.h"

struct comparing {
	struct store *store;
	const struct recipe *recipe;
	struct imgfile *file;
	const atomic_bool *cancel;
	struct progress *progress;
	uint32_t chunk_size;
	uint64_t common; /* bytes that both have */

	pthread_mutex_t lock; /* guards all below */
	struct against found;
	int result; /* the first failure */
	struct smr_error err;
};

/* How much of chunk `index` is in both. */
static size_t common_bytes(const struct comparing *k, uint64_t index)
{
	uint64_t offset = index * k->chunk_size;
	if (offset >= k->common)
		return 0;
	uint64_t left = k->common - offset;
	return left < k->chunk_size ? (size_t)left : k->chunk_size;
}

static void differs(
	struct comparing *k, uint64_t index, const unsigned char *a, const unsigned char *b)
{
	uint64_t at = 0;
	while (a[at] == b[at])
		at++;
	at += index * k->chunk_size;
	locked(&k->lock);
	if (k->found.n_differ == 0 || at < k->found.first)
		k->found.first = at;
	k->found.n_differ++;
}

static int failed(struct comparing *k, int code, const struct smr_error *err)
{
	locked(&k->lock);
	if (k->result == 0) {
		k->result = code;
		k->err = *err;
	}
	return code;
}

static struct gather_want want(void *user, uint64_t i)
{
	const struct comparing *k = user;
	return (struct gather_want){recipe_entry(k->recipe, i).id, k->chunk_size};
}

static int got(void *user, uint64_t i, int r, const struct gather_data *data,
	const struct smr_error *cause)
{
	struct comparing *k = user;
	struct recipe_entry e = recipe_entry(k->recipe, i);
	struct smr_error err = {0};
	if (r < 0) {
		gather_error(
			&err, r, k->store, recipe_info(k->recipe)->name, e.index, &e.id, cause);
		return failed(k, r, &err);
	}
	size_t n = common_bytes(k, e.index);
	auto_free unsigned char *plain = malloc(n ? n : 1);
	r = plain ? 0 : -ENOMEM;
	if (r == 0)
		r = imgfile_read(k->file, plain, n, (uint64_t)e.index * k->chunk_size, &err);
	if (r < 0)
		return failed(k, r, &err);
	if (memcmp(plain, data->pool, n) != 0)
		differs(k, e.index, plain, data->pool);
	progress_add(k->progress, n, n);
	return 0;
}

/* Chunks that the recipe leaves out are zeros: is the file's data there zeros too? */
static int compare_zero_chunk(struct comparing *k, uint64_t index, unsigned char *plain,
	const unsigned char *zeros, struct smr_error *err)
{
	size_t n = common_bytes(k, index);
	int r = imgfile_read(k->file, plain, n, index * k->chunk_size, err);
	if (r == 0 && !codec_is_zero(plain, n))
		differs(k, index, plain, zeros);
	return r;
}

static int compare_zeros(struct comparing *k, struct smr_error *err)
{
	auto_free unsigned char *plain = malloc(k->chunk_size);
	auto_free unsigned char *zeros = calloc(1, k->chunk_size);
	if (!plain || !zeros)
		return error_set_errno(err, -ENOMEM, "%s", k->file->path);
	uint64_t next = 0;
	int r = 0;
	while (r == 0) {
		uint64_t start, end;
		r = imgfile_next_data(k->file, next * k->chunk_size, &start, &end, err);
		if (r < 0)
			break;
		if (end > k->common)
			end = k->common;
		if (start / k->chunk_size > next)
			next = start / k->chunk_size;
		for (; next * k->chunk_size < end && r == 0; next++) {
			if (k->cancel && atomic_load(k->cancel))
				r = -ECANCELED;
			else if (!recipe_find(k->recipe, next))
				r = compare_zero_chunk(k, next, plain, zeros, err);
		}
		if (end >= k->common)
			break;
	}
	return r == -ENXIO ? 0 : r;
}

static int compare(struct comparing *k, struct smr_error *err)
{
	struct gather g = {
		.store = k->store,
		.n = recipe_info(k->recipe)->n_chunks,
		.cancel = k->cancel,
		.want = want,
		.got = got,
		.user = k,
	};
	int r = gather_run(&g);
	if (k->result < 0) {
		if (err)
			*err = k->err;
		return k->result;
	}
	if (r == 0)
		r = compare_zeros(k, err);
	if (r == 0)
		r = imgfile_check(k->file, err);
	return r;
}

int against_compare(struct store *s, const struct recipe *r, struct imgfile *file,
	const atomic_bool *cancel, struct progress *progress, struct against *ret,
	struct smr_error *err)
{
	const struct recipe_info *info = recipe_info(r);
	struct comparing k = {
		.store = s,
		.recipe = r,
		.file = file,
		.cancel = cancel,
		.progress = progress,
		.chunk_size = info->chunk_size,
		.common = info->image_size < file->size ? info->image_size : file->size,
		.found = {.image_size = info->image_size, .file_size = file->size},
	};
	pthread_mutex_init(&k.lock, NULL);
	int code = compare(&k, err);
	pthread_mutex_destroy(&k.lock);
	if (code == 0)
		*ret = k.found;
	return code;
}
