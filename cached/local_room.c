/* SPDX-License-Identifier: BSD-3-Clause */
/* Room in the pool: removal, eviction, pins, and what is held by those who map it. */
#include "local_impl.h"

#include <errno.h>
#include <time.h>

#include "../chunker/core/cleanup.h"

/* Ids that are pinned under one hold of the lock. */
#define PIN_BATCH 256
/* How often a put finds that others were faster before it is refused. */
#define ROOM_TRIES 8u

/* ---- time ---- */

static int64_t boot_s(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_BOOTTIME, &ts);
	return ts.tv_sec;
}

void local_room_init(struct local *l)
{
	l->epoch_s = (int64_t)time(NULL) - boot_s();
}

uint32_t local_room_now(const struct local *l)
{
	int64_t now = l->epoch_s + boot_s();

	return now < 1 ? 1 : now > UINT32_MAX ? UINT32_MAX : (uint32_t)now;
}

/* ---- removal ---- */

/* A chunk that is removed may be put again meanwhile. The file goes last, so whatever the order, what can
 * remain is a record without a file, which the next look for it strikes; a file without a record would
 * take its space for ever. */

/* Its bytes are condemned until it is clear that nobody maps them: who drops them meanwhile is not
 * missed. Call with lock held. */
static bool strike(struct local *l, const struct chunkid *id)
{
	l->removing++;
	return l->opts.held ? ledger_condemn(l->ledger, id, local_room_now(l))
			    : ledger_remove(l->ledger, id);
}

/* What was struck is held, free or back. Call with lock held. */
static void settle(struct local *l)
{
	l->removing--;
	pthread_cond_broadcast(&l->settled);
}

/* The file of a chunk that was struck is gone. */
static void removed(struct local *l, const struct chunkid *id)
{
	bool held;

	l->opts.evicted(l->opts.user, id);
	held = l->opts.held && l->opts.held(l->opts.user, id);
	locked(&l->lock);
	if (l->opts.held && !held)
		ledger_release(l->ledger, id);
	settle(l);
}

void local_room_forget(struct local *l, const struct chunkid *id)
{
	bool known;

	{
		locked(&l->lock);
		known = strike(l, id);
	}
	if (known)
		index_del(l->index, id);
	if (pool_remove(l->pool, id) < 0) {
		locked(&l->lock);
		l->lost = true;
	}
	removed(l, id);
}

/* ---- eviction ---- */

/* A file that cannot be unlinked is there, and must be accounted for. It counts as used, so that the
 * next victim is another one. */
static void put_back(
	struct local *l, const struct chunkid *id, const struct index_record *old, bool verified)
{
	struct index_record rec;

	{
		locked(&l->lock);
		settle(l);
		ledger_release(l->ledger, id);
		if (ledger_has(l->ledger, id))
			return;
		if (ledger_add(l->ledger, id, &old->stamp, verified, local_room_now(l), &rec) < 0) {
			l->lost = true;
			return;
		}
	}
	if (!verified)
		rec.stamp.ino = 0; /* as the scan leaves it */
	index_put(l->index, id, &rec);
}

/* false also when a victim could not be removed: on a disk that is read-only none can, so the next put is
 * early enough to try the next one. */
static bool evict(void *user, uint64_t target)
{
	struct local *l = user;
	struct index_record rec;
	struct chunkid id;
	bool verified;

	{
		locked(&l->lock);
		if (!ledger_victim(l->ledger, target, local_room_now(l), &id, &rec, &verified))
			return false;
		strike(l, &id);
	}
	index_del(l->index, &id);
	if (pool_remove(l->pool, &id) < 0) {
		put_back(l, &id, &rec, verified);
		return false;
	}
	removed(l, &id);
	atomic_fetch_add(&l->evicted, 1);
	return true;
}

static struct ledger_usage usage(struct local *l)
{
	struct ledger_usage u;

	locked(&l->lock);
	ledger_usage(l->ledger, local_room_now(l), &u);
	return u;
}

/* Waits for what other workers are evicting. false: there is nothing. */
static bool wait_for_removal(struct local *l)
{
	unsigned before;
	locked(&l->lock);

	before = l->removing;
	while (before && l->removing >= before)
		pthread_cond_wait(&l->settled, &l->lock);
	return before;
}

int local_room_make(struct local *l, uint32_t n)
{
	struct ledger_usage u = usage(l);

	/* Where all that is evicted is free at once, evicting afterwards is enough, and costs no
	 * chunk if the put fails. */
	if (!l->opts.held && u.pinned_bytes == 0)
		return 0;
	for (unsigned full = 0; full < ROOM_TRIES;) {
		u = usage(l);
		if (u.bytes + u.condemned == 0 || u.bytes + u.condemned + n <= l->opts.size)
			return 0;
		if (evict(l, l->opts.size > n ? l->opts.size - n : 0))
			continue;
		/* Nothing can go. Or others are just making room, or have taken what there was. */
		if (!wait_for_removal(l) && full > 0)
			break;
		full++;
	}
	return -ENOSPC;
}

bool local_room_disk_full(struct local *l, uint32_t n)
{
	struct ledger_usage u = usage(l);
	uint64_t used = u.bytes + u.due, want = 2 * (uint64_t)n;
	bool any = false;

	if (!l->opts.min_free)
		return false;
	while (evict(l, used > want ? used - want : 0))
		any = true;
	return any;
}

void local_room_tidy(struct local *l, uint32_t n)
{
	struct ledger_usage u;

	while (evict(l, l->opts.size))
		;
	u = usage(l);
	reclaim_note(l->reclaim, n, u.bytes + u.due);
}

static void reclaim_get_state(void *user, struct reclaim_state *ret)
{
	struct ledger_usage u = usage(user);

	*ret = (struct reclaim_state){.used = u.bytes + u.due, .pending = u.condemned - u.due};
}

static int disk_free(void *user, uint64_t *ret)
{
	return pool_disk_free(((struct local *)user)->pool, ret);
}

int local_room_start(struct local *l)
{
	struct reclaim_options opts = {.size = l->opts.size,
		.min_free = l->opts.min_free,
		.state = reclaim_get_state,
		.evict = evict,
		.disk_free = disk_free,
		.user = l};

	return reclaim_new(&opts, &l->reclaim);
}

/* ---- pins and holders ---- */

void local_dropped(struct local *l, const struct chunkid *id)
{
	locked(&l->lock);
	ledger_release(l->ledger, id);
}

static size_t least(size_t a, size_t b)
{
	return a < b ? a : b;
}

void local_unpin(struct local *l, const struct chunkid *ids, size_t n)
{
	for (size_t i = 0; i < n;) {
		size_t end = i + least(n - i, PIN_BATCH);
		locked(&l->lock);

		for (; i < end; i++)
			ledger_unpin(l->ledger, &ids[i], local_room_now(l));
	}
}

int local_pin(struct local *l, const struct chunkid *ids, size_t n)
{
	int r = 0;

	for (size_t i = 0; i < n;) {
		size_t end = i + least(n - i, PIN_BATCH);
		{
			locked(&l->lock);
			while (i < end && (r = ledger_pin(l->ledger, &ids[i])) == 0)
				i++;
		}
		if (r < 0) {
			local_unpin(l, ids, i);
			return r;
		}
	}
	return 0;
}

void local_usage(struct local *l, struct local_usage *ret)
{
	struct ledger_usage u;
	locked(&l->lock);

	ledger_usage(l->ledger, local_room_now(l), &u);
	*ret = (struct local_usage){.size = l->opts.size,
		.min_free = l->opts.min_free,
		.live_chunks = u.chunks,
		.live_bytes = u.bytes,
		.pinned_bytes = u.pinned_bytes,
		.condemned_bytes = u.condemned,
		.overdue_bytes = u.due,
		.rebuilding = l->rebuilding};
}
