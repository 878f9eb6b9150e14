/* SPDX-License-Identifier: BSD-3-Clause */
#include "entry.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>
#include <sys/stat.h>

#include "../chunker/core/cleanup.h"
#include "../chunker/core/name.h"

bool entry_info(const struct image *image, struct node_info *ret)
{
	const struct recipe *recipe = image_recipe(image);
	const struct store_image *listed = image_info(image);
	static const struct chunkid unknown;
	if (recipe) {
		*ret = (struct node_info){.digest = recipe_info(recipe)->digest,
			.size = recipe_info(recipe)->image_size,
			.data_bytes = recipe_data_bytes(recipe),
			.created = listed->created};
		return true;
	}
	if (listed->image_size == 0 || chunkid_equal(&listed->digest, &unknown))
		return false;
	*ret = (struct node_info){.digest = listed->digest,
		.size = listed->image_size,
		.data_bytes = listed->data_size,
		.created = listed->created};
	return true;
}

void entry_stat(const struct server *s, const struct node *node, struct stat *ret)
{
	struct timespec created = {.tv_sec = node->info.created};
	*ret = (struct stat){
		.st_ino = node->id,
		.st_mode = S_IFREG | 0444,
		.st_nlink = 1,
		.st_uid = s->uid,
		.st_gid = s->gid,
		.st_size = (off_t)node->info.size,
		.st_blocks = (blkcnt_t)((node->info.data_bytes + 511) / 512),
		.st_blksize = 4096,
		.st_atim = created,
		.st_mtim = created,
		.st_ctim = created,
	};
}

void entry_stat_root(const struct server *s, struct stat *ret)
{
	struct timespec changed = {
		.tv_sec = atomic_load_explicit(&s->changed, memory_order_relaxed)};
	*ret = (struct stat){
		.st_ino = NODE_ROOT,
		.st_mode = S_IFDIR | 0555,
		.st_nlink = 2,
		.st_uid = s->uid,
		.st_gid = s->gid,
		.st_blksize = 4096,
		.st_atim = changed,
		.st_mtim = changed,
		.st_ctim = changed,
	};
}

int entry_make(struct server *s, struct image *image, const struct node_info *info,
	struct fuse_entry_param *ret)
{
	const struct node *node;
	int r = nodes_lookup(s->nodes, image, info, &node);
	if (r < 0)
		return r;
	*ret = (struct fuse_entry_param){.ino = node->id,
		.entry_timeout = ENTRY_TIMEOUT,
		.attr_timeout = ENTRY_ATTR_TIMEOUT};
	entry_stat(s, node, &ret->attr);
	return 0;
}

int entry_errno(int r)
{
	switch (r) {
	case -ENOENT:
	case -EINTR:
	case -ENOMEM:
	case -ENFILE:
	case -ENXIO:
	case -ENODATA:
	case -ERANGE:
	case -ESTALE: /* the kernel looks the name up again */
		return -r;
	default:
		return EIO;
	}
}

/* ---- lookup: find the image, perhaps load its recipe, answer ---- */

static void reply_absent(fuse_req_t req)
{
	/* node id 0: the kernel remembers that there is none */
	struct fuse_entry_param e = {.entry_timeout = ENTRY_TIMEOUT};
	fuse_reply_entry(req, &e);
}

static void lookup_finish(struct request *rq, int r)
{
	struct server *s = rq->server;
	struct fuse_entry_param e;
	struct node_info info;
	if (r == 0 && !entry_info(rq->image, &info))
		r = -EIO;
	if (r == 0)
		r = entry_make(s, take_ptr(rq->image), &info, &e);
	if (r == 0) {
		/* Nobody will forget what the kernel never heard of. */
		if (fuse_reply_entry(rq->req, &e) < 0)
			nodes_forget(s->nodes, e.ino, 1);
	} else if (r == -ENOENT) {
		reply_absent(rq->req);
	} else {
		fuse_reply_err(rq->req, entry_errno(r));
	}
}

static const struct request_ops lookup_ops = {.finish = lookup_finish};

static void on_loaded(struct image_wait *w, int r)
{
	request_done((struct request *)((char *)w - offsetof(struct request, load)), r);
}

/* Takes the reference. -EINPROGRESS: on_loaded will be called. */
static int lookup_found(struct request *rq, struct image *image)
{
	struct node_info info;
	rq->image = image;
	if (entry_info(image, &info))
		return 0;
	rq->load.done = on_loaded;
	return image_load(image, &rq->load);
}

static void on_found(struct catalog_wait *w, int r, struct image *image)
{
	struct request *rq = (struct request *)((char *)w - offsetof(struct request, find));
	if (r == 0)
		r = lookup_found(rq, image);
	if (r != -EINPROGRESS)
		request_done(rq, r);
}

/* NAME of "NAME.img", or false. */
static bool parse_name(const char *file, char ret[NAME_LEN_MAX + 1])
{
	size_t suffix = strlen(ENTRY_SUFFIX), n = strlen(file);
	if (n <= suffix || n - suffix > NAME_LEN_MAX ||
		strcmp(file + n - suffix, ENTRY_SUFFIX) != 0)
		return false;
	memcpy(ret, file, n - suffix);
	ret[n - suffix] = '\0';
	return name_valid(ret);
}

void entry_lookup(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	if (parent != NODE_ROOT) {
		fuse_reply_err(req, ENOTDIR);
		return;
	}
	struct request *rq = request_begin(req, &lookup_ops);
	struct image *image;
	if (!parse_name(name, rq->find.name)) {
		reply_absent(req);
		return;
	}
	rq->find.done = on_found;
	int r = catalog_find(rq->server->catalog, &rq->find, &image);
	if (r == 0)
		r = lookup_found(rq, image);
	if (r == -EINPROGRESS) {
		request_wait(rq);
		return;
	}
	lookup_finish(rq, r);
	request_end(rq);
}

void entry_getattr(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct server *s = fuse_req_userdata(req);
	const struct node *node = nodes_get(s->nodes, ino);
	struct stat st;
	(void)fi;
	if (ino == NODE_ROOT) {
		entry_stat_root(s, &st);
		fuse_reply_attr(req, &st, ENTRY_TIMEOUT);
	} else if (node) {
		entry_stat(s, node, &st);
		fuse_reply_attr(req, &st, ENTRY_ATTR_TIMEOUT);
	} else {
		fuse_reply_err(req, ESTALE);
	}
}
