/* SPDX-License-Identifier: BSD-3-Clause */
#include "index.h"

#include <errno.h>
#include <fcntl.h>
#include <lmdb.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "../chunker/core/cleanup.h"
#include "../chunker/core/clock.h"
#include "../chunker/core/le.h"
#include "../chunker/core/log.h"
#include "cleanmark.h"
#include "mapped.h"

/* A record takes about 120 bytes of a page on average: room for 35 million. Only address space. */
#if UINTPTR_MAX > UINT32_MAX
#define MAP_BYTES ((size_t)4 << 30)
#else
#define MAP_BYTES ((size_t)256 << 20)
#endif

#define DATA_FILE   "data.mdb" /* LMDB's name for it */
#define VALUE_BYTES 32

/* The writer lets changes gather: a crash drops the index whole, so nothing is gained by haste. */
#define GATHER_NS (200 * CLOCK_NS_PER_MS)
/* Puts in one transaction. */
#define BATCH 512
/* Queued changes, 72 bytes each, before the recording stops: a disk that far behind is as good as
 * full. */
#define QUEUE_MAX (1u << 19)
/* Times of use are not queued behind that many. */
#define QUEUE_TOUCH_MAX 32768
/* Changes that are written before LMDB's pages are let go of. */
#define RELEASE_AFTER (16 * BATCH)
/* A longer queue was a burst; its memory is given back. */
#define QUEUE_KEEP 4096

struct change {
	struct chunkid id;
	bool del;
	struct index_record rec;
};

struct queue {
	struct change *changes;
	size_t n, capacity;
};

/*
 * Threads put changes into `queue`; the writer takes the queue whole, leaves its own empty one in
 * place, and writes without the lock. env and dbi belong to the thread of index_open until the
 * writer starts, then to the writer, except for index_load's read-only transactions: nothing is
 * queued yet, so the writer waits.
 */
struct index {
	int dir_fd;
	MDB_env *env; /* NULL: nothing can be recorded */
	MDB_dbi dbi;
	void *map;        /* LMDB's, once it is known */
	size_t map_bytes; /* 0: not known */
	pthread_t writer;
	bool has_writer;

	pthread_mutex_t lock;
	pthread_cond_t wake; /* the writer: queue, flushers, stop */
	pthread_cond_t idle; /* flushers: written caught up */
	/* below: with lock held */
	struct queue queue;
	uint64_t queued, written; /* changes ever */
	unsigned flushers;
	bool failed; /* a change was lost: the index must not be kept */
	bool stop;
};

static int from_mdb(int rc)
{
	if (rc == 0)
		return 0;
	if (rc > 0)
		return -rc; /* a system's errno */
	return rc == MDB_MAP_FULL || rc == MDB_TXN_FULL ? -ENOSPC : -EBADMSG;
}

/* ---- records ---- */

static void encode(const struct index_record *rec, uint8_t ret[VALUE_BYTES])
{
	le_put64(ret, rec->stamp.ino);
	le_put64(ret + 8, (uint64_t)rec->stamp.ctime_ns);
	le_put32(ret + 16, rec->stamp.size);
	le_put32(ret + 20, rec->stamp.bytes);
	le_put32(ret + 24, rec->used.last);
	le_put32(ret + 28, rec->used.prev);
}

static void decode(const uint8_t *at, struct index_record *ret)
{
	ret->stamp.ino = le_get64(at);
	ret->stamp.ctime_ns = (int64_t)le_get64(at + 8);
	ret->stamp.size = le_get32(at + 16);
	ret->stamp.bytes = le_get32(at + 20);
	ret->used.last = le_get32(at + 24);
	ret->used.prev = le_get32(at + 28);
}

/* ---- opening ---- */

/* NOLOCK: one process, one writing thread, and no reader once that writes. A lock file would be a
 * page to be killed by (SIGBUS) when it is mapped on a full disk. */
#define ENV_FLAGS (MDB_NOTLS | MDB_NOSYNC | MDB_NOLOCK)

static int open_env(struct index *x)
{
	MDB_txn *txn = NULL;
	char path[64];
	int rc, fd;

	rc = mdb_env_create(&x->env);
	if (rc)
		return from_mdb(rc);
	/* LMDB takes no descriptor, and the folder's path may lead elsewhere by now. */
	snprintf(path, sizeof(path), "/proc/self/fd/%d", x->dir_fd);
	rc = mdb_env_set_mapsize(x->env, MAP_BYTES);
	if (!rc)
		rc = mdb_env_open(x->env, path, ENV_FLAGS, 0600);
	/* LMDB 0.9.24 leaves this one of its two to every child. */
	if (!rc && mdb_env_get_fd(x->env, &fd) == 0)
		fcntl(fd, F_SETFD, FD_CLOEXEC);
	if (!rc)
		rc = mdb_txn_begin(x->env, NULL, MDB_RDONLY, &txn);
	if (!rc)
		rc = mdb_dbi_open(txn, NULL, 0, &x->dbi);
	if (!rc)
		rc = mdb_txn_commit(txn);
	else if (txn)
		mdb_txn_abort(txn);
	if (rc) {
		mdb_env_close(x->env);
		x->env = NULL;
	}
	return from_mdb(rc);
}

/* Opens what is there if it can be trusted, or starts anew. The mark goes before LMDB sees the
 * file, so whatever happens from here to a clean close, a crash of LMDB itself too, costs one start
 * its index and no more. */
static int open_or_start(struct index *x, bool *ret_kept)
{
	bool kept = cleanmark_fits(x->dir_fd, DATA_FILE);
	int r = cleanmark_remove(x->dir_fd);

	if (r < 0)
		return r;
	if (kept && open_env(x) == 0) {
		*ret_kept = true;
		return 0;
	}
	if (unlinkat(x->dir_fd, DATA_FILE, 0) < 0 && errno != ENOENT)
		return -errno;
	r = open_env(x);
	if (r == 0)
		*ret_kept = false;
	return r;
}

static int open_folder(int cache_fd)
{
	int fd;

	if (mkdirat(cache_fd, "index", 0700) < 0 && errno != EEXIST)
		return -errno;
	fd = openat(cache_fd, "index", O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

/* ---- memory ---- */

/* LMDB reads through a map of the whole file, which a search for random ids soon has touched
 * everywhere: 120 MB at a million records. Between transactions nobody needs these pages. Call in none,
 * from the thread that env belongs to. */
static void release_pages(struct index *x)
{
	MDB_cursor *cursor;
	MDB_val key, value;
	MDB_txn *txn;

	if (!x->map_bytes && mdb_txn_begin(x->env, NULL, MDB_RDONLY, &txn) == 0) {
		/* LMDB does not tell where its map is, but any record does. */
		if (mdb_cursor_open(txn, x->dbi, &cursor) == 0) {
			if (mdb_cursor_get(cursor, &key, &value, MDB_FIRST) == 0)
				mapped_find(value.mv_data, &x->map, &x->map_bytes);
			mdb_cursor_close(cursor);
		}
		mdb_txn_abort(txn);
	}
	if (x->map_bytes)
		mapped_release(x->map, x->map_bytes);
}

/* ---- the writer ---- */

static int write_change(struct index *x, MDB_txn *txn, const struct change *c)
{
	MDB_val key = {CHUNKID_BYTES, (void *)c->id.b};
	uint8_t bytes[VALUE_BYTES];
	MDB_val value = {VALUE_BYTES, bytes};
	int rc;

	if (c->del) {
		rc = mdb_del(txn, x->dbi, &key, NULL);
		return rc == MDB_NOTFOUND ? 0 : from_mdb(rc);
	}
	encode(&c->rec, bytes);
	return from_mdb(mdb_put(txn, x->dbi, &key, &value, 0));
}

/* Writes changes in transactions of at most BATCH. 0 or a negative errno: some were not written. */
static int write_changes(struct index *x, const struct change *c, size_t n)
{
	size_t since = 0;

	while (n) {
		size_t batch = n < BATCH ? n : BATCH;
		MDB_txn *txn;
		int r = from_mdb(mdb_txn_begin(x->env, NULL, 0, &txn));

		if (r < 0)
			return r;
		for (size_t i = 0; r == 0 && i < batch; i++)
			r = write_change(x, txn, &c[i]);
		if (r < 0) {
			mdb_txn_abort(txn);
			return r;
		}
		r = from_mdb(mdb_txn_commit(txn));
		if (r < 0)
			return r;
		c += batch;
		n -= batch;
		since += batch;
		if (since >= RELEASE_AFTER || !n) {
			release_pages(x);
			since = 0;
		}
	}
	return 0;
}

/* Waits for changes and lets them gather. Call with lock held. */
static void wait_for_changes(struct index *x)
{
	struct timespec until;

	while (!x->stop && !x->queue.n)
		pthread_cond_wait(&x->wake, &x->lock);
	until = clock_timespec(clock_ns() + GATHER_NS);
	while (!x->stop && !x->flushers &&
		pthread_cond_timedwait(&x->wake, &x->lock, &until) != ETIMEDOUT)
		;
}

static void *writer_main(void *arg)
{
	struct index *x = arg;
	struct queue batch = {0};

	pthread_mutex_lock(&x->lock);
	for (;;) {
		struct queue taken;
		bool failed;
		int r = 0;

		wait_for_changes(x);
		failed = x->failed;
		if (!x->queue.n && x->stop)
			break;
		taken = x->queue;
		x->queue = batch;
		x->queue.n = 0;
		pthread_mutex_unlock(&x->lock);
		if (!failed)
			r = write_changes(x, taken.changes, taken.n);
		if (r < 0)
			log_debug("index: recording stops: %s", error_text(NULL, r));
		pthread_mutex_lock(&x->lock);
		if (r < 0)
			x->failed = true;
		x->written += taken.n;
		pthread_cond_broadcast(&x->idle);
		batch = taken;
		if (batch.capacity > QUEUE_KEEP) {
			free(batch.changes);
			batch = (struct queue){0};
		}
	}
	pthread_mutex_unlock(&x->lock);
	free(batch.changes);
	return NULL;
}

static int start_writer(struct index *x)
{
	int r = -pthread_create(&x->writer, NULL, writer_main, x);

	x->has_writer = r == 0;
	return r;
}

static struct index *new_index(void)
{
	struct index *x = calloc(1, sizeof(*x));
	pthread_condattr_t attr;

	if (!x)
		return NULL;
	x->dir_fd = -1;
	pthread_mutex_init(&x->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&x->wake, &attr);
	pthread_condattr_destroy(&attr);
	pthread_cond_init(&x->idle, NULL);
	return x;
}

/* Errors of the disk, as opposed to those of whoever set up the directory. */
static bool is_disk_error(int r)
{
	return r == -ENOSPC || r == -EDQUOT || r == -EROFS || r == -EIO;
}

int index_open(int cache_fd, struct index **ret, bool *ret_kept, struct smr_error *err)
{
	struct index *x = new_index();
	bool kept = false;
	int r;

	if (!x)
		return -ENOMEM;
	x->dir_fd = r = open_folder(cache_fd);
	if (r >= 0)
		r = open_or_start(x, &kept);
	if (r == 0)
		r = start_writer(x);
	if (is_disk_error(r)) {
		log_debug("index: not recording: %s", error_text(NULL, r));
		x->failed = true;
		r = 0;
	}
	if (r < 0) {
		index_close(x, false);
		return error_set_errno(err, r, "cannot open the cache's folder 'index'");
	}
	*ret = x;
	*ret_kept = kept;
	return 0;
}

/* ---- use ---- */

/* Records that are copied out in one transaction, so that none is open while the caller looks at them. */
#define LOAD_BATCH 1024

struct loaded {
	struct chunkid id;
	struct index_record rec;
};

/* Copies the records after `*after`, from the first when that is NULL. */
static int read_batch(
	MDB_cursor *cursor, const struct chunkid *after, struct loaded *list, size_t *ret_n)
{
	MDB_val key = {CHUNKID_BYTES, (void *)after}, value;
	size_t n = 0;
	int rc = mdb_cursor_get(cursor, &key, &value, after ? MDB_SET_RANGE : MDB_FIRST);

	if (rc == 0 && after) /* on it, or on the one behind it if it is gone */
		rc = key.mv_size == CHUNKID_BYTES &&
				     memcmp(key.mv_data, after->b, CHUNKID_BYTES) == 0
			     ? mdb_cursor_get(cursor, &key, &value, MDB_NEXT)
			     : 0;
	for (; rc == 0 && n < LOAD_BATCH; n++) {
		if (key.mv_size != CHUNKID_BYTES || value.mv_size != VALUE_BYTES)
			return -EBADMSG;
		memcpy(list[n].id.b, key.mv_data, CHUNKID_BYTES);
		decode(value.mv_data, &list[n].rec);
		if (n + 1 < LOAD_BATCH)
			rc = mdb_cursor_get(cursor, &key, &value, MDB_NEXT);
	}
	if (rc && rc != MDB_NOTFOUND)
		return from_mdb(rc);
	*ret_n = n;
	return 0;
}

static int load_batch(
	struct index *x, const struct chunkid *after, struct loaded *list, size_t *ret_n)
{
	MDB_cursor *cursor;
	MDB_txn *txn;
	int r = from_mdb(mdb_txn_begin(x->env, NULL, MDB_RDONLY, &txn));

	if (r < 0)
		return r;
	r = from_mdb(mdb_cursor_open(txn, x->dbi, &cursor));
	if (r == 0) {
		r = read_batch(cursor, after, list, ret_n);
		mdb_cursor_close(cursor);
	}
	mdb_txn_abort(txn);
	return r;
}

int index_load(struct index *x,
	int (*visit)(void *user, const struct chunkid *id, const struct index_record *rec),
	void *user)
{
	auto_free struct loaded *list = malloc(LOAD_BATCH * sizeof(*list));
	struct chunkid after;
	size_t n = 0;
	int r;

	if (!list)
		return -ENOMEM;
	if (!x->env)
		return 0;
	r = load_batch(x, NULL, list, &n);
	while (r == 0 && n) {
		for (size_t i = 0; r == 0 && i < n; i++)
			r = visit(user, &list[i].id, &list[i].rec);
		after = list[n - 1].id;
		if (r == 0)
			r = load_batch(x, &after, list, &n);
	}
	release_pages(x);
	return r;
}

/* Room for one more. Call with lock held. */
static bool grow(struct queue *q)
{
	size_t capacity = q->capacity ? q->capacity * 2 : 64;
	struct change *changes;

	if (q->n < q->capacity)
		return true;
	if (capacity > QUEUE_MAX)
		return false;
	changes = reallocarray(q->changes, capacity, sizeof(*changes));
	if (!changes)
		return false;
	q->changes = changes;
	q->capacity = capacity;
	return true;
}

/* Unless that many are queued already; `most` is 0 where it must not be left out. */
static void enqueue(struct index *x, const struct change *c, size_t most)
{
	locked(&x->lock);

	if (x->failed || (most && x->queue.n >= most))
		return;
	if (!grow(&x->queue)) {
		x->failed = true;
		return;
	}
	x->queue.changes[x->queue.n++] = *c;
	x->queued++;
	if (x->queue.n == 1)
		pthread_cond_signal(&x->wake);
}

void index_put(struct index *x, const struct chunkid *id, const struct index_record *rec)
{
	enqueue(x, &(struct change){.id = *id, .rec = *rec}, 0);
}

void index_touch(struct index *x, const struct chunkid *id, const struct index_record *rec)
{
	enqueue(x, &(struct change){.id = *id, .rec = *rec}, QUEUE_TOUCH_MAX);
}

void index_del(struct index *x, const struct chunkid *id)
{
	enqueue(x, &(struct change){.id = *id, .del = true}, 0);
}

void index_flush(struct index *x)
{
	locked(&x->lock);
	uint64_t target = x->queued;

	x->flushers++;
	pthread_cond_signal(&x->wake);
	while (x->written < target)
		pthread_cond_wait(&x->idle, &x->lock);
	x->flushers--;
}

void index_close(struct index *x, bool clean)
{
	int r;

	if (!x)
		return;
	if (x->has_writer) {
		pthread_mutex_lock(&x->lock);
		x->stop = true;
		pthread_cond_signal(&x->wake);
		pthread_mutex_unlock(&x->lock);
		pthread_join(x->writer, NULL);
	}
	mdb_env_close(x->env);
	if (clean && x->env && !x->failed) {
		r = cleanmark_leave(x->dir_fd, DATA_FILE);
		if (r < 0)
			log_debug("index: no clean mark: %s", error_text(NULL, r));
	}
	if (x->dir_fd >= 0)
		close(x->dir_fd);
	free(x->queue.changes);
	pthread_cond_destroy(&x->idle);
	pthread_cond_destroy(&x->wake);
	pthread_mutex_destroy(&x->lock);
	free(x);
}
