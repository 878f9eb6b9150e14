/* SPDX-License-Identifier: BSD-3-Clause */
#include "local_impl.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "../chunker/core/cleanup.h"
#include "../chunker/core/clock.h"
#include "../chunker/core/codec.h"
#include "../chunker/core/fd.h"
#include "../chunker/core/log.h"
#include "../chunker/core/units.h"

struct scratch {
	struct scratch *next;
};

/* ---- scratch ---- */

void *local_scratch_take(struct local *l)
{
	{
		locked(&l->lock);
		struct scratch *s = l->scratch;
		if (s) {
			l->scratch = s->next;
			return s;
		}
	}
	return malloc(CODEC_CHUNK_MAX);
}

void local_scratch_give(struct local *l, void *memory)
{
	struct scratch *s = memory;

	if (!s)
		return;
	locked(&l->lock);
	s->next = l->scratch;
	l->scratch = s;
}

/* ---- chunks ---- */

/* There is no such file. */
static void strike(struct local *l, const struct chunkid *id)
{
	bool known;

	{
		locked(&l->lock);
		known = ledger_remove(l->ledger, id);
	}
	if (known)
		index_del(l->index, id);
}

static void record(struct local *l, const struct chunkid *id, const struct pool_stamp *stamp)
{
	struct index_record rec;
	int r;

	{
		locked(&l->lock);
		r = ledger_add(l->ledger, id, stamp, true, local_room_now(l), &rec);
		/* A file that nobody accounts for: the next start must look for it. */
		if (r < 0)
			l->lost = true;
	}
	if (r == 0)
		index_put(l->index, id, &rec);
	local_room_tidy(l, stamp->bytes);
}

static int verify(struct local *l, int fd, const struct chunkid *id, uint32_t chunk_size)
{
	void *memory = local_scratch_take(l);
	int r = memory ? pool_verify(fd, id, memory, chunk_size) : -ENOMEM;

	local_scratch_give(l, memory);
	return r;
}

int local_get(struct local *l, const struct chunkid *id, uint32_t chunk_size, int *ret_fd)
{
	struct pool_stamp stamp;
	struct index_record rec;
	auto_close int fd = -1;
	bool verified = false, write = false;
	int r = pool_get(l->pool, id, &fd, &stamp);

	if (r == -ENOENT) {
		strike(l, id);
		return r;
	}
	if (r == -EBADMSG)
		local_bad(l, id);
	if (r < 0)
		return r;
	{
		locked(&l->lock);
		if (ledger_check(l->ledger, id, &stamp, &verified) && verified)
			write = ledger_touch(l->ledger, id, local_room_now(l), &rec);
	}
	if (write)
		index_touch(l->index, id, &rec);
	/* The id of right bytes has one size: who asks for another one is mistaken, not the file. */
	if (verified && stamp.size != chunk_size)
		return -ENOENT;
	if (!verified) {
		r = verify(l, fd, id, chunk_size);
		if (r == -EBADMSG) {
			local_bad(l, id);
			return r;
		}
		if (r < 0)
			return r;
		record(l, id, &stamp);
	}
	atomic_fetch_add(&l->hits, 1);
	*ret_fd = take_fd(&fd);
	return 0;
}

int local_put(struct local *l, const struct chunkid *id, const void *bytes, uint32_t n, int *ret_fd)
{
	struct pool_stamp stamp;
	int r = local_room_make(l, n);

	if (r < 0)
		return r;
	r = pool_put(l->pool, id, bytes, n, ret_fd, &stamp);
	if ((r == -ENOSPC || r == -EDQUOT) && local_room_disk_full(l, n))
		r = pool_put(l->pool, id, bytes, n, ret_fd, &stamp);
	if (r == 0)
		record(l, id, &stamp);
	return r;
}

bool local_has(struct local *l, const struct chunkid *id)
{
	locked(&l->lock);
	return ledger_has(l->ledger, id);
}

bool local_exists(struct local *l, const struct chunkid *id)
{
	struct pool_stamp stamp;
	auto_close int fd = -1;

	return pool_get(l->pool, id, &fd, &stamp) != -ENOENT;
}

int local_check(struct local *l, const struct chunkid *id)
{
	struct pool_stamp stamp;
	auto_close int fd = -1;
	bool verified = false;
	int r = pool_get(l->pool, id, &fd, &stamp);

	if (r == 0)
		r = codec_chunk_size_valid(stamp.size) ? verify(l, fd, id, stamp.size) : -EBADMSG;
	if (r == -EBADMSG)
		local_bad(l, id);
	if (r < 0)
		return r;
	{
		locked(&l->lock);
		if (ledger_check(l->ledger, id, &stamp, &verified) && verified)
			return 0;
	}
	record(l, id, &stamp);
	return 0;
}

struct each {
	int (*visit)(void *user, const struct chunkid *id);
	void *user;
};

static int each_one(void *user, const struct chunkid *id, const struct pool_stamp *stamp)
{
	const struct each *each = user;

	(void)stamp;
	return each->visit(each->user, id);
}

int local_each(struct local *l, int (*visit)(void *user, const struct chunkid *id), void *user)
{
	struct each each = {visit, user};

	return pool_scan(l->pool, each_one, &each);
}

void local_touch(struct local *l, const struct chunkid *ids, unsigned n)
{
	uint32_t now = local_room_now(l);

	for (unsigned i = 0; i < n; i++) {
		struct index_record rec;
		bool write;
		{
			locked(&l->lock);
			write = ledger_touch(l->ledger, &ids[i], now, &rec);
		}
		if (write)
			index_touch(l->index, &ids[i], &rec);
	}
}

void local_bad(struct local *l, const struct chunkid *id)
{
	atomic_fetch_add(&l->corrupt, 1);
	local_room_forget(l, id);
}

void local_counters(struct local *l, struct cache_counters *ret)
{
	struct local_usage usage;

	ret->pool_hits = atomic_load(&l->hits);
	ret->pool_corrupt = atomic_load(&l->corrupt);
	ret->evicted = atomic_load(&l->evicted);
	local_usage(l, &usage);
	ret->live_chunks = usage.live_chunks;
	ret->live_bytes = usage.live_bytes;
}

/* ---- start: the ledger as it was at the last clean stop ---- */

static int loaded(void *user, const struct chunkid *id, const struct index_record *rec)
{
	struct local *l = user;

	return ledger_load(l->ledger, id, rec, true, local_room_now(l));
}

/* ---- start after anything else: what the pool holds, right or not ---- */

struct scan {
	struct local *local;
	uint64_t found;
};

/* What is known of its use is when it came. */
static int scanned(void *user, const struct chunkid *id, const struct pool_stamp *stamp)
{
	struct scan *scan = user;
	struct local *l = scan->local;
	int64_t came = stamp->ctime_ns / (int64_t)CLOCK_NS_PER_S;
	struct index_record rec = {
		.stamp = *stamp, .used.last = came > 0 && came < UINT32_MAX ? (uint32_t)came : 1};
	bool known;
	int r = 0;

	{
		locked(&l->lock);
		known = ledger_has(l->ledger, id);
		if (!known)
			r = ledger_load(l->ledger, id, &rec, false, local_room_now(l));
	}
	if (!known && r == 0) {
		scan->found++;
		/* Accounted for by the next start too, which trusts it no more: no file has inode 0. */
		rec.stamp.ino = 0;
		index_put(l->index, id, &rec);
	}
	local_room_tidy(l, 0);
	return atomic_load(&l->stop) ? -ECANCELED : r;
}

static void *scan_main(void *arg)
{
	struct local *l = arg;
	struct scan scan = {.local = l};
	char count[UNITS_TEXT_MAX + 4];
	int r = pool_scan(l->pool, scanned, &scan);

	{
		locked(&l->lock);
		l->complete = r == 0;
		l->rebuilding = false;
	}
	if (scan.found)
		log_info("%s was not closed cleanly: each of its %s chunks is checked on first use",
			l->dir, units_format_count(scan.found, count));
	return NULL;
}

/* *ret_kept: the ledger is what the index says; otherwise the index is empty and the pool must be scanned. */
static int open_index(struct local *l, int cache_fd, bool *ret_kept, struct smr_error *err)
{
	int r = index_open(cache_fd, &l->index, ret_kept, err);

	if (r < 0 || !*ret_kept || index_load(l->index, loaded, l) == 0)
		return r;
	/* A record that makes no sense: none of them is to be trusted. */
	index_close(take_ptr(l->index), false);
	ledger_free(l->ledger);
	l->ledger = ledger_new();
	*ret_kept = false;
	return l->ledger ? index_open(cache_fd, &l->index, ret_kept, err) : -ENOMEM;
}

static int start(struct local *l, int cache_fd, struct smr_error *err)
{
	bool kept;
	int r;

	if ((r = pool_open(cache_fd, &l->pool, err)) < 0 ||
		(r = open_index(l, cache_fd, &kept, err)) < 0)
		return r;
	if ((r = local_room_start(l)) < 0)
		return r;
	if (kept) {
		l->complete = true;
		local_room_tidy(l, 0);
		return 0;
	}
	l->rebuilding = true;
	r = -pthread_create(&l->scanner, NULL, scan_main, l);
	l->scanning = r == 0;
	if (r == 0)
		pthread_setname_np(l->scanner, "smr-scan");
	return r;
}

int local_open(
	int cache_fd, const struct local_options *opts, struct local **ret, struct smr_error *err)
{
	struct local *l = calloc(1, sizeof(*l));
	int r = -ENOMEM;

	if (!l)
		return -ENOMEM;
	l->opts = *opts;
	pthread_mutex_init(&l->lock, NULL);
	pthread_cond_init(&l->settled, NULL);
	local_room_init(l);
	l->ledger = ledger_new();
	l->dir = strdup(opts->dir);
	if (l->ledger && l->dir)
		r = start(l, cache_fd, err);
	if (r < 0) {
		local_close(l);
		return r;
	}
	*ret = l;
	return 0;
}

void local_close(struct local *l)
{
	struct scratch *memory;

	if (!l)
		return;
	if (l->scanning) {
		atomic_store(&l->stop, true);
		pthread_join(l->scanner, NULL);
	}
	reclaim_free(l->reclaim);
	/* The mark says that pool and index agree on disk, so the pool must be there first. */
	bool clean = l->complete && !l->lost && pool_sync(l->pool) == 0;
	index_close(l->index, clean);
	pool_close(l->pool);
	ledger_free(l->ledger);
	while ((memory = l->scratch)) {
		l->scratch = memory->next;
		free(memory);
	}
	pthread_mutex_destroy(&l->lock);
	pthread_cond_destroy(&l->settled);
	free(l->dir);
	free(l);
}
