// SPDX-License-Identifier: BSD-3-Clause
#include "ext4_image.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../core/cleanup.h"
#include "../core/fd.h"
#include "ext4_plan.h"

#define WRITE_BYTES (1u << 20)

struct ext4_image {
	const struct spool *spool;
	struct ext4_run *runs; /* metadata and data, ascending, apart or touching */
	size_t n_runs;
	struct ext4_info info;
};

/* ---- making ---- */

static int write_symlink(
	const struct ext4_plan *p, uint32_t slot, struct spool *out, struct smr_error *err)
{
	const struct tree_node *n = ext4_node(p, slot);
	uint8_t block[EXT4_BLOCK] = {0};

	memcpy(block, tree_target(p->tree, n), n->link.len);
	return spool_write(out, block, sizeof(block), err);
}

static int write_xattrs(
	const struct ext4_plan *p, uint32_t slot, struct spool *out, struct smr_error *err)
{
	struct ext4_xattrs x;
	int r = ext4_xattrs_encode(p->tree, ext4_node(p, slot)->xattrs, &x);

	return r < 0 ? r : spool_write(out, x.block, sizeof(x.block), err);
}

static int write_inodes(const struct ext4_plan *p, struct spool *out, struct smr_error *err)
{
	const uint64_t bytes = (p->geo.behind_tables - p->geo.inode_tables) * EXT4_BLOCK;
	uint8_t inode[EXT4_INODE_BYTES];
	uint64_t at = 0; /* of the tables */
	int r = 0;

	for (uint32_t i = 0; i < p->n_slots && r == 0; i++) {
		uint64_t to = (uint64_t)(ext4_ino(i) - 1) * EXT4_INODE_BYTES;
		ext4_inode_encode(p, i, inode);
		r = spool_skip(out, to - at, err);
		if (r == 0)
			r = spool_write(out, inode, sizeof(inode), err);
		at = to + sizeof(inode);
	}
	/* The reserved ones, where the root is all there is. */
	return r < 0 ? r : spool_skip(out, bytes - at, err);
}

/* All inodes' parts of one area, in their order. */
enum area { DIRS, EXTENTS, XATTRS, SYMLINKS };

static int write_area(
	const struct ext4_plan *p, enum area area, struct spool *out, struct smr_error *err)
{
	int r = 0;

	for (uint32_t i = 0; i < p->n_slots && r == 0; i++) {
		const struct ext4_slot *s = &p->slots[i];
		bool is_dir = S_ISDIR(ext4_node(p, i)->mode);
		if (area == DIRS && is_dir)
			r = ext4_dir_write(p, i, out, err);
		else if (area == EXTENTS && s->extents)
			r = ext4_extents_write(p, i, out, err);
		else if (area == XATTRS && s->xattrs)
			r = write_xattrs(p, i, out, err);
		else if (area == SYMLINKS && s->n_blocks && !is_dir)
			r = write_symlink(p, i, out, err);
	}
	return r;
}

static int write_metadata(
	const struct ext4_plan *p, struct spool *s, struct tree_content *ret, struct smr_error *err)
{
	int r;

	spool_begin(s);
	r = ext4_super_write(p, s, err);
	if (r == 0)
		r = write_inodes(p, s, err);
	for (enum area a = DIRS; a <= SYMLINKS && r == 0; a++)
		r = write_area(p, a, s, err);
	if (r == 0)
		r = spool_finish(s, ret, err);
	if (r == 0)
		r = spool_flush(s, err);
	assert(r < 0 || ret->size == p->geo.meta_used * EXT4_BLOCK);
	return r;
}

/* The metadata's runs in front of the files'. */
static int map_image(struct ext4_image *img, struct ext4_plan *p, const struct tree_content *meta)
{
	size_t n = meta->n_extents + p->n_runs;
	struct ext4_run *runs = realloc(p->runs, n * sizeof(*runs));

	if (!runs)
		return -ENOMEM;
	p->runs = NULL;
	memmove(runs + meta->n_extents, runs, p->n_runs * sizeof(*runs));
	for (uint32_t i = 0; i < meta->n_extents; i++)
		runs[i] = (struct ext4_run){
			.block = meta->extents[i].block,
			.spool = meta->extents[i].spool,
			.n_blocks = meta->extents[i].n_blocks,
		};
	img->runs = runs;
	img->n_runs = n;
	return 0;
}

static struct ext4_info info_of(const struct ext4_plan *p)
{
	return (struct ext4_info){
		.size = p->geo.n_blocks * EXT4_BLOCK,
		.meta_end = p->geo.meta_end * EXT4_BLOCK,
		.data_bytes = p->data_blocks * EXT4_BLOCK,
		.n_inodes = p->n_slots,
		.n_entries = p->order.n_entries,
		.n_dropped_xattrs = p->n_dropped_xattrs,
		.tree_digest = p->digest,
	};
}

int ext4_image_new(const struct tree *t, struct spool *s, const struct ext4_options *opts,
	struct ext4_image **ret, struct smr_error *err)
{
	struct ext4_plan plan auto_with(ext4_plan_done) = {0};
	struct tree_content meta;
	struct ext4_image *img;
	int r = ext4_plan_init(&plan, t, opts, err);

	if (r == 0)
		r = write_metadata(&plan, s, &meta, err);
	if (r < 0)
		return r;
	img = calloc(1, sizeof(*img));
	if (!img)
		return -ENOMEM;
	img->spool = s;
	img->info = info_of(&plan);
	r = map_image(img, &plan, &meta);
	if (r < 0) {
		ext4_image_free(img);
		return r;
	}
	*ret = img;
	return 0;
}

void ext4_image_free(struct ext4_image *img)
{
	if (!img)
		return;
	free(img->runs);
	free(img);
}

/* ---- reading ---- */

const struct ext4_info *ext4_image_info(const struct ext4_image *img)
{
	return &img->info;
}

static uint64_t run_start(const struct ext4_run *r)
{
	return r->block * EXT4_BLOCK;
}

static uint64_t run_end(const struct ext4_run *r)
{
	return (r->block + r->n_blocks) * EXT4_BLOCK;
}

/* The first run that ends behind `offset`; n_runs: none. */
static size_t find_run(const struct ext4_image *img, uint64_t offset)
{
	size_t low = 0, high = img->n_runs;

	while (low < high) {
		size_t mid = low + (high - low) / 2;
		if (run_end(&img->runs[mid]) > offset)
			high = mid;
		else
			low = mid + 1;
	}
	return low;
}

int ext4_image_next_data(
	const struct ext4_image *img, uint64_t offset, uint64_t *ret_start, uint64_t *ret_end)
{
	size_t i = find_run(img, offset);
	uint64_t end;

	if (i == img->n_runs)
		return -ENXIO;
	*ret_start = run_start(&img->runs[i]) > offset ? run_start(&img->runs[i]) : offset;
	end = run_end(&img->runs[i]);
	while (++i < img->n_runs && run_start(&img->runs[i]) == end)
		end = run_end(&img->runs[i]);
	*ret_end = end;
	return 0;
}

int ext4_image_read(
	const struct ext4_image *img, void *data, size_t n, uint64_t offset, struct smr_error *err)
{
	uint64_t at = offset, end = offset + n;
	uint8_t *out = data;

	for (size_t i = find_run(img, offset); at < end; i++) {
		const struct ext4_run *run = i < img->n_runs ? &img->runs[i] : NULL;
		uint64_t from = run && run_start(run) < end ? run_start(run) : end;
		if (from > at) {
			memset(out + (at - offset), 0, from - at);
			at = from;
		}
		if (at == end)
			break;
		uint64_t to = run_end(run) - run->short_by;
		to = to < end ? to : end;
		if (to > at) {
			int r = spool_read(img->spool, out + (at - offset), to - at,
				run->spool + (at - run_start(run)), err);
			if (r < 0)
				return r;
			at = to;
		}
	}
	return 0;
}

static int source_next_data(
	void *of, uint64_t offset, uint64_t *ret_start, uint64_t *ret_end, struct smr_error *err)
{
	(void)err;
	return ext4_image_next_data(of, offset, ret_start, ret_end);
}

static int source_read(void *of, void *data, size_t n, uint64_t offset, struct smr_error *err)
{
	return ext4_image_read(of, data, n, offset, err);
}

struct imgsource ext4_image_source(const struct ext4_image *img, const char *name)
{
	return (struct imgsource){
		.name = name,
		.size = img->info.size,
		.of = (void *)img, /* only to be read */
		.next_data = source_next_data,
		.read = source_read,
	};
}

static int write_range(const struct ext4_image *img, int fd, uint64_t from, uint64_t to,
	unsigned char *buffer, int (*progress)(void *user, uint64_t n), void *user,
	struct smr_error *err)
{
	while (from < to) {
		size_t n = to - from < WRITE_BYTES ? to - from : WRITE_BYTES;
		int r = ext4_image_read(img, buffer, n, from, err);
		if (r < 0)
			return r;
		r = fd_pwrite(fd, buffer, n, from);
		if (r < 0)
			return error_set_errno(err, r, "cannot write the image");
		r = progress ? progress(user, n) : 0;
		if (r < 0)
			return r;
		from += n;
	}
	return 0;
}

int ext4_image_write(const struct ext4_image *img, int fd, int (*progress)(void *user, uint64_t n),
	void *user, struct smr_error *err)
{
	unsigned char *buffer;
	uint64_t from, to = 0;
	int r = 0;

	if (ftruncate(fd, (off_t)img->info.size) < 0)
		return error_set_errno(err, -errno, "cannot make a file of %llu bytes",
			(unsigned long long)img->info.size);
	buffer = malloc(WRITE_BYTES);
	if (!buffer)
		return -ENOMEM;
	while (r == 0 && ext4_image_next_data(img, to, &from, &to) == 0)
		r = write_range(img, fd, from, to, buffer, progress, user, err);
	free(buffer);
	return r;
}
