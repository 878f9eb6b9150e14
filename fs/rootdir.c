/* SPDX-License-Identifier: BSD-3-Clause */
#include "rootdir.h"

#include <errno.h>
#include <linux/fuse.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

#include "../chunker/core/cleanup.h"
#include "entry.h"

/* More is not asked for at once; a longer answer is cut here. */
#define REPLY_MAX (128u << 10)

/* For d_ino where no node has been made yet: any number but 0, which programs take for a deleted
 * entry. */
#define UNKNOWN_INO 0xffffffffu

struct rootdir {
	pthread_mutex_t
		lock; /* the kernel reads one directory from one thread at a time, others may not */
	struct catalog_snapshot list;
	struct rootdir *prev, *next; /* server->dirs */
};

/* An answer being filled. */
struct listing {
	struct server *server;
	fuse_req_t req;
	bool plus;
	char *buf;
	size_t size, used;
};

/* ---- open and release ---- */

static void rootdir_free(struct server *s, struct rootdir *d)
{
	{
		locked(&s->lock);
		if (d->prev)
			d->prev->next = d->next;
		else
			s->dirs = d->next;
		if (d->next)
			d->next->prev = d->prev;
	}
	catalog_snapshot_done(&d->list);
	pthread_mutex_destroy(&d->lock);
	free(d);
}

void rootdir_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct server *s = fuse_req_userdata(req);
	if (ino != NODE_ROOT) {
		fuse_reply_err(req, ENOTDIR);
		return;
	}
	struct rootdir *d = calloc(1, sizeof(*d));
	if (!d) {
		fuse_reply_err(req, ENOMEM);
		return;
	}
	pthread_mutex_init(&d->lock, NULL);
	{
		locked(&s->lock);
		d->next = s->dirs;
		if (d->next)
			d->next->prev = d;
		s->dirs = d;
	}
	fi->fh = (uintptr_t)d;
	if (fuse_reply_open(req, fi) < 0)
		rootdir_free(s, d);
}

void rootdir_release(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	(void)ino;
	rootdir_free(fuse_req_userdata(req), (struct rootdir *)(uintptr_t)fi->fh);
	fuse_reply_err(req, 0);
}

void rootdir_close_all(struct server *s)
{
	while (s->dirs)
		rootdir_free(s, s->dirs);
}

/* ---- filling an answer ---- */

/* One entry. false: there is no room for it. */
static bool add(struct listing *l, const char *name, const struct fuse_entry_param *e, off_t next)
{
	char *at = l->buf + l->used;
	size_t room = l->size - l->used;
	size_t n = l->plus ? fuse_add_direntry_plus(l->req, at, room, name, e, next)
			   : fuse_add_direntry(l->req, at, room, name, &e->attr, next);
	if (n > room)
		return false;
	l->used += n;
	return true;
}

static bool add_dot(struct listing *l, const char *name, off_t next)
{
	/* node id 0: not a lookup */
	struct fuse_entry_param e = {.attr = {.st_ino = NODE_ROOT, .st_mode = S_IFDIR}};
	return add(l, name, &e, next);
}

static bool add_image(struct listing *l, struct image *image, off_t next)
{
	char name[NAME_LEN_MAX + sizeof(ENTRY_SUFFIX)];
	struct fuse_entry_param e = {.attr = {.st_ino = UNKNOWN_INO, .st_mode = S_IFREG}};
	struct node_info info;
	bool known = entry_info(image, &info);
	int n = snprintf(name, sizeof(name), "%s" ENTRY_SUFFIX, image_info(image)->name);
	(void)n;
	if (!l->plus || !known) {
		uint64_t id = known ? nodes_find(l->server->nodes, &info.digest) : 0;
		if (id)
			e.attr.st_ino = id;
		return add(l, name, &e, next);
	}
	if (fuse_add_direntry_plus(l->req, NULL, 0, name, NULL, 0) > l->size - l->used)
		return false;
	/* If no node can be made, the name alone is listed. */
	entry_make(l->server, image_ref(image), &info, &e);
	return add(l, name, &e, next);
}

/* The kernel did not take the answer, so it will not forget the nodes in it either. */
static void forget_listed(const struct listing *l)
{
	for (size_t at = 0; l->plus && at < l->used;) {
		const struct fuse_direntplus *entry = (const struct fuse_direntplus *)(l->buf + at);
		if (entry->entry_out.nodeid)
			nodes_forget(l->server->nodes, entry->entry_out.nodeid, 1);
		at += FUSE_DIRENTPLUS_SIZE(entry);
	}
}

static void fill(struct listing *l, const struct catalog_snapshot *list, uint64_t offset)
{
	bool fits = true;
	if (offset == 0)
		fits = add_dot(l, ".", 1);
	if (fits && offset <= 1)
		fits = add_dot(l, "..", 2);
	for (uint64_t i = offset > 2 ? offset - 2 : 0; fits && i < list->n; i++)
		fits = add_image(l, list->images[i], (off_t)i + 3);
}

static void reply_from(struct server *s, struct rootdir *d, fuse_req_t req, bool plus, size_t size,
	uint64_t offset)
{
	struct listing l = {.server = s, .req = req, .plus = plus};
	l.size = size < REPLY_MAX ? size : REPLY_MAX;
	char *buf auto_free = malloc(l.size);
	if (!buf) {
		fuse_reply_err(req, ENOMEM);
		return;
	}
	l.buf = buf;
	{
		locked(&d->lock);
		fill(&l, &d->list, offset);
	}
	/* From here on `d` may be released by another thread. */
	if (fuse_reply_buf(req, l.buf, l.used) < 0)
		forget_listed(&l);
}

/* ---- reading: from the start with a list that is fresh, else on from the one there is ---- */

static void read_finish(struct request *rq, int r)
{
	struct catalog_snapshot list;
	if (r == 0)
		r = catalog_snapshot(rq->server->catalog, &list);
	if (r < 0) {
		fuse_reply_err(rq->req, entry_errno(r));
		return;
	}
	{
		locked(&rq->dir->lock);
		catalog_snapshot_done(&rq->dir->list);
		rq->dir->list = list;
	}
	reply_from(rq->server, rq->dir, rq->req, rq->which, rq->size, 0);
}

static const struct request_ops read_ops = {.finish = read_finish};

static void on_listed(struct catalog_wait *w, int r, struct image *image)
{
	(void)image; /* NULL */
	request_done((struct request *)((char *)w - offsetof(struct request, find)), r);
}

static void read_dir(fuse_req_t req, struct rootdir *d, bool plus, size_t size, off_t offset)
{
	struct request *rq = request_begin(req, &read_ops);
	if (offset != 0) {
		reply_from(rq->server, d, req, plus, size, (uint64_t)offset);
		return;
	}
	rq->dir = d;
	rq->which = plus;
	rq->size = size;
	rq->find.done = on_listed;
	int r = catalog_list(rq->server->catalog, &rq->find);
	if (r == -EINPROGRESS) {
		request_wait(rq);
		return;
	}
	read_finish(rq, r);
	request_end(rq);
}

void rootdir_read(
	fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset, struct fuse_file_info *fi)
{
	(void)ino;
	read_dir(req, (struct rootdir *)(uintptr_t)fi->fh, false, size, offset);
}

void rootdir_read_plus(
	fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset, struct fuse_file_info *fi)
{
	(void)ino;
	read_dir(req, (struct rootdir *)(uintptr_t)fi->fh, true, size, offset);
}

void rootdir_statfs(fuse_req_t req, fuse_ino_t ino)
{
	struct server *s = fuse_req_userdata(req);
	struct catalog_snapshot list;
	int r = catalog_snapshot(s->catalog, &list);
	(void)ino;
	if (r < 0) {
		fuse_reply_err(req, entry_errno(r));
		return;
	}
	struct statvfs st = {.f_bsize = 4096,
		.f_frsize = 4096,
		.f_files = list.n + 1,
		.f_namemax = NAME_LEN_MAX + strlen(ENTRY_SUFFIX)};
	for (size_t i = 0; i < list.n; i++) {
		struct node_info info;
		if (entry_info(list.images[i], &info))
			st.f_blocks += (info.data_bytes + 4095) / 4096;
	}
	catalog_snapshot_done(&list);
	fuse_reply_statfs(req, &st);
}
