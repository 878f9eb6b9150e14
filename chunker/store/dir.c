/* SPDX-License-Identifier: BSD-3-Clause */
#include "dir.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "../core/cleanup.h"
#include "../core/fd.h"
#include "batch.h"
#include "staging.h"

struct dir {
	struct bucket bucket;
	int root;
	pthread_mutex_t lock;
	/* below: set once, lock held */
	struct staging *staging;
	struct batch *batch;
};

static struct dir *of(struct bucket *b)
{
	return (struct dir *)b;
}

static void closedirp(DIR **d)
{
	if (*d)
		closedir(*d);
}

static int fail(const struct dir *d, const char *key, int r, struct smr_error *err)
{
	return error_set_errno(err, r, "%s/%s", d->bucket.url, key);
}

/* ---- reading ---- */

static int dir_open_key(struct bucket *b, const char *key, int *ret_fd, struct smr_error *err)
{
	struct dir *d = of(b);
	/* O_NONBLOCK: a FIFO under a key must not hold us. */
	int fd = openat(d->root, key, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);

	if (fd < 0)
		return fail(d, key, errno == ENOTDIR ? -ENOENT : -errno, err);
	*ret_fd = fd;
	return 0;
}

static int read_object(
	struct dir *d, const char *key, size_t max, struct buf *body, struct smr_error *err)
{
	struct stat st;
	size_t n;
	int r;

	int fd auto_close = -1;
	r = dir_open_key(&d->bucket, key, &fd, err);
	if (r < 0)
		return r;
	if (fstat(fd, &st) < 0)
		return fail(d, key, -errno, err);
	if (!S_ISREG(st.st_mode))
		return error_set(err, -EBADMSG, "%s/%s is not a file", d->bucket.url, key);
	if ((uint64_t)st.st_size > max)
		return error_set(err, -EBADMSG, "%s/%s is larger than it may be (%lld bytes)",
			d->bucket.url, key, (long long)st.st_size);
	r = buf_reserve(body, (size_t)st.st_size);
	if (r < 0)
		return fail(d, key, r, err);
	r = fd_read(fd, body->data, (size_t)st.st_size, &n);
	if (r < 0)
		return fail(d, key, r, err);
	body->len = n;
	return 0;
}

static void dir_get(struct bucket *b, struct bucket_get *g)
{
	struct buf body auto_with(buf_done);
	struct smr_error err = {0};
	int r;

	buf_init(&body, g->max_bytes);
	r = read_object(of(b), g->key, g->max_bytes, &body, &err);
	g->etag[0] = '\0';
	g->done(g, r, &body, &err);
}

static int dir_head(struct bucket *b, const char *key, uint64_t *ret_size, struct smr_error *err)
{
	struct dir *d = of(b);
	struct batch *batch;
	struct stat st;

	pthread_mutex_lock(&d->lock);
	batch = d->batch;
	pthread_mutex_unlock(&d->lock);
	if (batch && batch_has(batch, key, ret_size))
		return 0;
	if (fstatat(d->root, key, &st, 0) < 0)
		return fail(d, key, errno == ENOTDIR ? -ENOENT : -errno, err);
	/* No object is empty: whatever this is, a put of the real one shall replace it. */
	if (!S_ISREG(st.st_mode) || st.st_size == 0)
		return fail(d, key, -ENOENT, err);
	*ret_size = (uint64_t)st.st_size;
	return 0;
}

/* ---- listing ---- */

struct walk {
	int (*visit)(void *user, const struct bucket_item *);
	void *user;
	char key[BUCKET_KEY_MAX]; /* of the directory being read, with '/' */
};

/* What appears or goes while the directory is read may be seen or not. Directories deeper than a
 * store has are left alone. */
static int walk_dir(struct walk *w, int at, const char *name, unsigned depth)
{
	int fd = openat(at, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d auto_with(closedirp) = fd < 0 ? NULL : fdopendir(fd);
	size_t len = strlen(w->key);
	struct dirent *e;
	struct stat st;
	int r;

	if (!d) {
		r = -errno;
		if (fd >= 0)
			close(fd);
		return r == -ENOENT ? 0 : r;
	}
	while ((errno = 0, e = readdir(d))) {
		if (e->d_name[0] == '.' || len + strlen(e->d_name) + 2 > sizeof(w->key) ||
			fstatat(fd, e->d_name, &st, 0) < 0)
			continue;
		r = 0;
		if (S_ISDIR(st.st_mode) && depth) {
			sprintf(w->key + len, "%s/", e->d_name);
			r = walk_dir(w, fd, e->d_name, depth - 1);
		} else if (S_ISREG(st.st_mode)) {
			strcpy(w->key + len, e->d_name);
			r = w->visit(w->user, &(struct bucket_item){w->key, (uint64_t)st.st_size});
		}
		w->key[len] = '\0';
		if (r != 0)
			return r;
	}
	return -errno;
}

struct visiting {
	int (*visit)(void *user, const struct bucket_item *);
	void *user;
	bool stopped;
};

/* Tells a visitor's negative return from an error of the walk. */
static int visit_noted(void *user, const struct bucket_item *item)
{
	struct visiting *v = user;
	int r = v->visit(v->user, item);

	v->stopped = r != 0;
	return r;
}

static int dir_list(struct bucket *b, const char *prefix,
	int (*visit)(void *user, const struct bucket_item *), void *user, struct smr_error *err)
{
	struct dir *d = of(b);
	struct visiting v = {visit, user, false};
	struct walk w = {visit_noted, &v, ""};
	int r = walk_dir(&w, d->root, *prefix ? prefix : ".", 1);

	return r < 0 && !v.stopped ? fail(d, prefix, r, err) : r;
}

/* ---- writing ---- */

static int writer(struct dir *d, struct staging **ret_staging, struct batch **ret_batch,
	struct smr_error *err)
{
	int r = 0;

	locked(&d->lock);
	if (!d->staging)
		r = staging_open(d->root, &d->staging, err);
	if (r == 0 && !d->batch) {
		r = batch_new(d->root, d->staging, &d->batch);
		if (r < 0)
			error_set_errno(err, r, "starting a writer");
	}
	if (r < 0)
		return error_wrap(err, r, "%s", d->bucket.url);
	*ret_staging = d->staging;
	*ret_batch = d->batch;
	return 0;
}

static int dir_put(
	struct bucket *b, const char *key, const void *data, size_t n, struct smr_error *err)
{
	struct dir *d = of(b);
	struct staging *staging;
	struct batch *batch;
	uint64_t file;
	int r = writer(d, &staging, &batch, err);

	if (r < 0)
		return r;
	r = staging_write(staging, data, n, true, &file);
	if (r < 0)
		return fail(d, key, r, err);
	r = staging_publish(staging, file, key);
	if (r < 0) {
		staging_discard(staging, file);
		return fail(d, key, r, err);
	}
	r = staging_sync_names(d->root, key);
	return r < 0 ? fail(d, key, r, err) : 0;
}

static int dir_queue(
	struct bucket *b, const char *key, const void *data, size_t n, struct smr_error *err)
{
	struct staging *staging;
	struct batch *batch;
	int r = writer(of(b), &staging, &batch, err);

	if (r < 0)
		return r;
	r = batch_add(batch, key, data, n, err);
	return r < 0 ? error_wrap(err, r, "%s", b->url) : 0;
}

static int dir_flush(struct bucket *b, struct smr_error *err)
{
	struct dir *d = of(b);
	struct batch *batch;
	int r;

	pthread_mutex_lock(&d->lock);
	batch = d->batch;
	pthread_mutex_unlock(&d->lock);
	r = batch ? batch_flush(batch, err) : 0;
	return r < 0 ? error_wrap(err, r, "%s", b->url) : 0;
}

static int dir_remove(struct bucket *b, const char *key, struct smr_error *err)
{
	struct dir *d = of(b);
	int r;

	if (unlinkat(d->root, key, 0) < 0)
		return fail(d, key, -errno, err);
	r = staging_sync_names(d->root, key);
	return r < 0 ? fail(d, key, r, err) : 0;
}

static int dir_lock(struct bucket *b, int *ret_fd, struct smr_error *err)
{
	int r = staging_lock(of(b)->root, ret_fd);

	return r < 0 ? fail(of(b), STAGING_DIR "/lock", r, err) : 0;
}

/* ---- opening ---- */

static void dir_free(struct bucket *b)
{
	struct dir *d = of(b);

	batch_free(d->batch);
	staging_free(d->staging);
	if (d->root >= 0)
		close(d->root);
	pthread_mutex_destroy(&d->lock);
	free(d->bucket.url);
	free(d);
}

static const struct bucket_ops dir_ops = {
	.get = dir_get,
	.head = dir_head,
	.list = dir_list,
	.open = dir_open_key,
	.put = dir_put,
	.queue = dir_queue,
	.flush = dir_flush,
	.remove = dir_remove,
	.lock = dir_lock,
	.free = dir_free,
};

int dir_open(const char *path, bool create, struct bucket **ret, struct smr_error *err)
{
	struct dir *d;
	int r;

	int root auto_close = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (root < 0 && errno == ENOENT && create) {
		r = fd_mkdirs(AT_FDCWD, path, 0755);
		if (r < 0)
			return error_set_errno(err, r, "making %s", path);
		root = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	}
	if (root < 0)
		return error_set_errno(err, -errno, "%s", path);
	d = calloc(1, sizeof(*d));
	if (!d)
		return -ENOMEM;
	d->bucket = (struct bucket){&dir_ops, strdup(path), true};
	d->root = take_fd(&root);
	pthread_mutex_init(&d->lock, NULL);
	if (!d->bucket.url) {
		dir_free(&d->bucket);
		return -ENOMEM;
	}
	*ret = &d->bucket;
	return 0;
}
