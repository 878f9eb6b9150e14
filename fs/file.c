/* SPDX-License-Identifier: BSD-3-Clause */
#include "file.h"

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "../chunker/core/clock.h"
#include "../chunker/core/log.h"
#include "entry.h"

#define REPORT_EVERY_NS CLOCK_NS_PER_S

/* The node, or NULL when the request was answered with what is wrong. */
static const struct node *get_node(fuse_req_t req, fuse_ino_t ino, int root_errno)
{
	struct server *s = fuse_req_userdata(req);
	const struct node *node = nodes_get(s->nodes, ino);
	if (!node)
		fuse_reply_err(req, ino == NODE_ROOT ? root_errno : ESTALE);
	return node;
}

void file_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	if (!get_node(req, ino, EISDIR))
		return;
	if ((fi->flags & O_ACCMODE) != O_RDONLY) {
		fuse_reply_err(req, EROFS);
		return;
	}
	struct server *s = fuse_req_userdata(req);
	if (s->no_open) {
		fuse_reply_err(req, ENOSYS);
		return;
	}
	fi->keep_cache = 1;
	fuse_reply_open(req, fi);
}

/* ---- read ---- */

/* A disk that fails makes many reads fail: one line a second. */
static void report_failure(struct server *s, const struct image_read *rd, const char *why)
{
	uint64_t now = clock_ns(), next = atomic_load_explicit(&s->report_ns, memory_order_relaxed);
	if (now < next ||
		!atomic_compare_exchange_strong(&s->report_ns, &next, now + REPORT_EVERY_NS))
		return;
	log_warn("%s" ENTRY_SUFFIX ": a read of %u bytes at %llu failed: %s",
		image_info(rd->image)->name, rd->length, (unsigned long long)rd->offset, why);
}

static void read_finish(struct request *rq, int r)
{
	struct image_read *rd = &rq->read;
	if (r < 0) {
		if (r == -EIO)
			report_failure(rq->server, rd, "its chunks did not come");
		fuse_reply_err(rq->req, entry_errno(r));
		return;
	}
	if (fuse_reply_iov(rq->req, rd->iov, (int)rd->n_iov) != -EFAULT)
		return;
	/* A page of the pool's file could not be read. The kernel has failed this read with EIO by
	 * now, it takes no second answer; the next one fetches the chunk anew. */
	report_failure(rq->server, rd, "a chunk in the cache is damaged, it is fetched again");
	image_read_bad(rd);
}

static void read_cancel(struct request *rq)
{
	image_read_cancel(&rq->read);
}

static void read_release(struct request *rq)
{
	image_read_end(&rq->read);
}

static const struct request_ops read_ops = {
	.finish = read_finish, .cancel = read_cancel, .release = read_release};

static void on_read(struct image_read *rd, int r)
{
	request_done((struct request *)((char *)rd - offsetof(struct request, read)), r);
}

void file_read(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset, struct fuse_file_info *fi)
{
	const struct node *node = get_node(req, ino, EISDIR);
	(void)fi;
	if (!node)
		return;
	uint64_t at = (uint64_t)offset;
	if (at >= node->info.size || size == 0) {
		fuse_reply_buf(req, NULL, 0);
		return;
	}
	if (size > node->info.size - at)
		size = (size_t)(node->info.size - at);
	if (size > IMAGE_READ_MAX) {
		/* max_pages of the INIT answer excludes it */
		fuse_reply_err(req, EIO);
		return;
	}
	struct request *rq = request_begin(req, &read_ops);
	/* Once it was answered the kernel may forget the node, while the read is yet to be ended. */
	rq->image = image_ref(node->image);
	rq->read.image = node->image;
	rq->read.offset = at;
	rq->read.length = (uint32_t)size;
	rq->read.done = on_read;
	int r = image_read(&rq->read);
	if (r == -EINPROGRESS) {
		request_wait(rq);
		return;
	}
	read_finish(rq, r);
	request_end(rq);
}

/* ---- what needs the recipe ---- */

static void on_loaded(struct image_wait *w, int r)
{
	request_done((struct request *)((char *)w - offsetof(struct request, load)), r);
}

/* Calls finish() once the recipe is there, or cannot be had. */
static void with_recipe(struct request *rq, struct image *image)
{
	rq->image = image_ref(image);
	rq->load.done = on_loaded;
	int r = image_load(image, &rq->load);
	if (r == -EINPROGRESS) {
		request_wait(rq);
		return;
	}
	rq->ops->finish(rq, r);
	request_end(rq);
}

static void lseek_finish(struct request *rq, int r)
{
	uint64_t at;
	if (r == 0)
		r = image_seek(rq->image, rq->offset, rq->which == SEEK_HOLE, &at);
	if (r < 0)
		fuse_reply_err(rq->req, entry_errno(r));
	else
		fuse_reply_lseek(rq->req, (off_t)at);
}

static const struct request_ops lseek_ops = {.finish = lseek_finish};

void file_lseek(fuse_req_t req, fuse_ino_t ino, off_t offset, int whence, struct fuse_file_info *fi)
{
	const struct node *node = get_node(req, ino, EINVAL);
	(void)fi;
	if (!node)
		return;
	if (whence != SEEK_DATA && whence != SEEK_HOLE) {
		fuse_reply_err(req, EINVAL);
		return;
	}
	if (offset < 0 || (uint64_t)offset >= node->info.size) {
		fuse_reply_err(req, ENXIO);
		return;
	}
	struct request *rq = request_begin(req, &lseek_ops);
	rq->offset = (uint64_t)offset;
	rq->which = whence;
	with_recipe(rq, node->image);
}

enum xattr { XATTR_DIGEST, XATTR_SOURCE, XATTR_NONE };

static const char *const xattr_names[] = {
	[XATTR_DIGEST] = "user.smr.digest",
	[XATTR_SOURCE] = "user.smr.source",
};

/* A listing cuts a long reference. */
static bool source_is_cut(const struct image *image)
{
	const struct store_image *info = image_info(image);
	return strlen(info->source) == sizeof(info->source) - 1;
}

static const char *image_source(const struct image *image, size_t *ret_len)
{
	const struct recipe *recipe = image_recipe(image);
	if (recipe)
		return recipe_source(recipe, ret_len);
	*ret_len = strlen(image_info(image)->source);
	return image_info(image)->source;
}

/* `size` 0 asks for the length. */
static void reply_xattr(fuse_req_t req, const char *value, size_t n, size_t size)
{
	if (size == 0)
		fuse_reply_xattr(req, n);
	else if (n > size)
		fuse_reply_err(req, ERANGE);
	else
		fuse_reply_buf(req, value, n);
}

static void source_finish(struct request *rq, int r)
{
	size_t n = 0;
	const char *source = r == 0 ? image_source(rq->image, &n) : NULL;
	if (r < 0 || n == 0)
		fuse_reply_err(rq->req, r < 0 ? entry_errno(r) : ENODATA);
	else
		reply_xattr(rq->req, source, n, rq->size);
}

static const struct request_ops source_ops = {.finish = source_finish};

static void reply_digest(fuse_req_t req, const struct node *node, size_t size)
{
	char text[sizeof("sha256:") + CHUNKID_HEX] = "sha256:";
	chunkid_format(&node->info.digest, text + strlen(text));
	reply_xattr(req, text, strlen(text), size);
}

void file_getxattr(fuse_req_t req, fuse_ino_t ino, const char *name, size_t size)
{
	const struct node *node = get_node(req, ino, ENODATA);
	if (!node)
		return;
	int which = XATTR_DIGEST;
	while (which < XATTR_NONE && strcmp(name, xattr_names[which]) != 0)
		which++;
	if (which == XATTR_NONE) {
		fuse_reply_err(req, ENODATA);
		return;
	}
	if (which == XATTR_DIGEST) {
		reply_digest(req, node, size);
		return;
	}
	struct request *rq = request_begin(req, &source_ops);
	rq->size = size;
	if (source_is_cut(node->image)) {
		with_recipe(rq, node->image);
		return;
	}
	rq->image = image_ref(node->image);
	source_finish(rq, 0);
	request_end(rq);
}

void file_listxattr(fuse_req_t req, fuse_ino_t ino, size_t size)
{
	struct server *s = fuse_req_userdata(req);
	const struct node *node = nodes_get(s->nodes, ino);
	char list[128];
	size_t n = 0, source = 0;
	if (node) {
		image_source(node->image, &source);
		n = (size_t)(stpcpy(list, xattr_names[XATTR_DIGEST]) - list) + 1;
		if (source)
			n = (size_t)(stpcpy(list + n, xattr_names[XATTR_SOURCE]) - list) + 1;
	}
	reply_xattr(req, list, n, size);
}
