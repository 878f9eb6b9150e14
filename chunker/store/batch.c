/* SPDX-License-Identifier: BSD-3-Clause */
#include "batch.h"

#include <errno.h>
#include <linux/magic.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "../core/chunkid.h"
#include "../core/cleanup.h"
#include "../core/idmap.h"

struct pending {
	struct pending *next;
	uint64_t file;
	struct chunkid hash; /* of the key: its name in `known` */
	char key[];
};

/* Files have numbers in the order they were added: those up to `durable` are renamed and that is
 * synced; somebody waits until durable >= wanted. durable <= added, wanted <= added. */
struct batch {
	int root;
	struct staging *staging;
	bool sync_each;
	pthread_t thread;
	pthread_mutex_t lock; /* of all below; not held across I/O */
	pthread_cond_t work;  /* for the thread */
	pthread_cond_t moved; /* the queue became shorter, or durable or error changed */
	struct pending *head, **tail;
	size_t n_queued;
	uint64_t bytes_queued;
	struct idmap *known; /* queued or being renamed: hash of the key -> size */
	uint64_t added, durable, wanted;
	int error;
	bool stop;
};

static void *batch_main(void *arg);

static void hash_key(const char *key, struct chunkid *ret)
{
	chunkid_hash(key, strlen(key), ret);
}

static int start_thread(struct batch *b)
{
	sigset_t all, old;
	int r;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	r = pthread_create(&b->thread, NULL, batch_main, b);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	return -r;
}

int batch_new(int root, struct staging *staging, struct batch **ret)
{
	struct batch *b = calloc(1, sizeof(*b));
	struct statfs fs;
	int r = -ENOMEM;

	if (!b)
		return -ENOMEM;
	b->root = root;
	b->staging = staging;
	b->sync_each = fstatfs(root, &fs) == 0 && fs.f_type == FUSE_SUPER_MAGIC;
	b->tail = &b->head;
	pthread_mutex_init(&b->lock, NULL);
	pthread_cond_init(&b->work, NULL);
	pthread_cond_init(&b->moved, NULL);
	b->known = idmap_new();
	if (b->known)
		r = start_thread(b);
	if (r < 0) {
		idmap_free(b->known);
		free(b);
		return r;
	}
	*ret = b;
	return 0;
}

void batch_free(struct batch *b)
{
	if (!b)
		return;
	batch_flush(b, NULL);
	pthread_mutex_lock(&b->lock);
	b->stop = true;
	pthread_cond_signal(&b->work);
	pthread_mutex_unlock(&b->lock);
	pthread_join(b->thread, NULL);
	while (b->head) {
		struct pending *p = b->head;

		b->head = p->next;
		free(p);
	}
	idmap_free(b->known);
	pthread_cond_destroy(&b->moved);
	pthread_cond_destroy(&b->work);
	pthread_mutex_destroy(&b->lock);
	free(b);
}

static int failed(const struct batch *b, struct smr_error *err)
{
	return error_set_errno(err, b->error, "writing chunks");
}

bool batch_has(struct batch *b, const char *key, uint64_t *ret_size)
{
	struct chunkid hash;

	hash_key(key, &hash);
	locked(&b->lock);
	return idmap_get(b->known, &hash, ret_size);
}

/* ---- adding ---- */

/* Takes the written file. 1: the key is queued already, the file is not needed. */
static int enqueue(struct batch *b, struct pending *p, size_t n, struct smr_error *err)
{
	int r;

	locked(&b->lock);
	while (!b->error && b->n_queued >= 4 * BATCH_FILES)
		pthread_cond_wait(&b->moved, &b->lock);
	if (b->error)
		return failed(b, err);
	if (idmap_get(b->known, &p->hash, NULL))
		return 1;
	r = idmap_put(b->known, &p->hash, n);
	if (r < 0)
		return r;
	*b->tail = p;
	b->tail = &p->next;
	b->added++;
	b->n_queued++;
	b->bytes_queued += n;
	if (b->n_queued >= BATCH_FILES || b->bytes_queued >= BATCH_BYTES)
		pthread_cond_signal(&b->work);
	return 0;
}

int batch_add(struct batch *b, const char *key, const void *data, size_t n, struct smr_error *err)
{
	size_t len = strlen(key) + 1;
	struct pending *p;
	uint64_t size;
	int r;

	if (batch_has(b, key, &size))
		return 0;
	p = malloc(sizeof(*p) + len);
	if (!p)
		return -ENOMEM;
	p->next = NULL;
	memcpy(p->key, key, len);
	hash_key(key, &p->hash);
	r = staging_write(b->staging, data, n, b->sync_each, &p->file);
	if (r < 0) {
		free(p);
		return error_set_errno(err, r, "writing %s", key);
	}
	r = enqueue(b, p, n, err);
	if (r != 0) {
		staging_discard(b->staging, p->file);
		free(p);
	}
	return r < 0 ? r : 0;
}

int batch_flush(struct batch *b, struct smr_error *err)
{
	uint64_t until;

	locked(&b->lock);
	until = b->added;
	if (until > b->wanted)
		b->wanted = until;
	pthread_cond_signal(&b->work);
	while (!b->error && b->durable < until)
		pthread_cond_wait(&b->moved, &b->lock);
	return b->error ? failed(b, err) : 0;
}

/* ---- the thread ---- */

/* Makes the files of a list durable and visible. `list` may be empty: then only the last renames
 * are synced. */
static int publish(struct batch *b, const struct pending *list, bool sync_names)
{
	int r;

	if (list && !b->sync_each && syncfs(b->root) < 0)
		return -errno;
	for (const struct pending *p = list; p; p = p->next) {
		r = staging_publish(b->staging, p->file, p->key);
		if (r == 0 && b->sync_each)
			r = staging_sync_names(b->root, p->key);
		if (r < 0)
			return r;
	}
	if (sync_names && !b->sync_each && syncfs(b->root) < 0)
		return -errno;
	return 0;
}

static bool has_work(const struct batch *b)
{
	return !b->error && (b->n_queued >= BATCH_FILES || b->bytes_queued >= BATCH_BYTES ||
				    b->wanted > b->durable);
}

/* Call with b->lock held. */
static void forget(struct batch *b, struct pending *list)
{
	while (list) {
		struct pending *p = list;

		list = p->next;
		idmap_del(b->known, &p->hash, NULL);
		free(p);
	}
}

static void *batch_main(void *arg)
{
	struct batch *b = arg;

	pthread_setname_np(pthread_self(), "smr-batch");
	locked(&b->lock);
	for (;;) {
		while (!b->stop && !has_work(b))
			pthread_cond_wait(&b->work, &b->lock);
		if (b->stop)
			return NULL;
		struct pending *list = b->head;
		uint64_t until = b->added;
		bool sync_names = b->wanted > b->durable;
		b->head = NULL;
		b->tail = &b->head;
		b->n_queued = 0;
		b->bytes_queued = 0;
		pthread_mutex_unlock(&b->lock);

		int r = publish(b, list, sync_names);

		pthread_mutex_lock(&b->lock);
		forget(b, list);
		if (r < 0)
			b->error = r;
		else if (sync_names || b->sync_each)
			b->durable = until;
		pthread_cond_broadcast(&b->moved);
	}
}
