/* SPDX-License-Identifier: BSD-3-Clause */
#include "ledger.h"

#include <errno.h>
#include <stdlib.h>

#include "condemned.h"

/* The start of a container, or a check of its file system, is one use. */
#define CORRELATED_S 60
/* What is run once a day comes back as something used twice. */
#define HISTORY_AGE_S (2 * 24 * 3600)
#define HISTORY_MAX   32768
/* A drop takes a round trip over a socket; a client that takes this long does not listen. */
#define GRACE_S 2
/* A time of use on disk is that exact, in seconds. */
#define RECORD_GRAIN_S 60

/* What is kept of a stamp; its `bytes` are in the lruk. The array of a million of these is why it is
 * packed. */
struct kept {
	uint64_t ino;
	int64_t ctime_ns;
	uint32_t size : 31;
	uint32_t verified : 1;
} __attribute__((packed, aligned(4)));

struct ledger {
	struct lruk *lruk;
	struct condemned *condemned;
	struct kept *kept; /* by slot */
	uint32_t capacity;
};

struct ledger *ledger_new(void)
{
	static const struct lruk_options opts = {.correlated = CORRELATED_S,
		.history_max = HISTORY_MAX,
		.history_age = HISTORY_AGE_S};
	struct ledger *l = calloc(1, sizeof(*l));

	if (!l)
		return NULL;
	l->lruk = lruk_new(&opts);
	l->condemned = condemned_new(GRACE_S);
	if (!l->lruk || !l->condemned) {
		ledger_free(l);
		return NULL;
	}
	return l;
}

void ledger_free(struct ledger *l)
{
	if (!l)
		return;
	lruk_free(l->lruk);
	condemned_free(l->condemned);
	free(l->kept);
	free(l);
}

/* A chunk that was just given its slot. On -ENOMEM it is gone again. */
static int keep(struct ledger *l, uint32_t slot, const struct pool_stamp *stamp, bool verified)
{
	if (slot >= l->capacity) {
		uint32_t capacity = slot < 128               ? 256
				    : slot <= UINT32_MAX / 2 ? slot * 2
							     : UINT32_MAX;
		struct kept *kept = reallocarray(l->kept, capacity, sizeof(*kept));

		if (!kept || slot == UINT32_MAX) {
			if (kept)
				l->kept = kept;
			lruk_remove(l->lruk, slot);
			return -ENOMEM;
		}
		l->kept = kept;
		l->capacity = capacity;
	}
	l->kept[slot] = (struct kept){.ino = stamp->ino,
		.ctime_ns = stamp->ctime_ns,
		.size = stamp->size & INT32_MAX,
		.verified = verified};
	return 0;
}

static struct index_record record_of(const struct ledger *l, uint32_t slot)
{
	const struct kept *k = &l->kept[slot];
	uint64_t bytes = lruk_bytes(l->lruk, slot);

	return (struct index_record){
		.stamp = {.ino = k->ino,
			.ctime_ns = k->ctime_ns,
			.size = k->size,
			.bytes = bytes < UINT32_MAX ? (uint32_t)bytes : UINT32_MAX},
		.used = lruk_times(l->lruk, slot)};
}

int ledger_add(struct ledger *l, const struct chunkid *id, const struct pool_stamp *stamp,
	bool verified, uint32_t now_s, struct index_record *ret_record)
{
	uint32_t slot;
	int r = lruk_add(l->lruk, id, stamp->bytes, now_s, &slot);

	if (r == 0)
		r = keep(l, slot, stamp, verified);
	if (r == 0)
		*ret_record = record_of(l, slot);
	return r;
}

int ledger_load(struct ledger *l, const struct chunkid *id, const struct index_record *rec,
	bool verified, uint32_t now_s)
{
	uint32_t slot;
	int r = lruk_load(l->lruk, id, rec->stamp.bytes, rec->used, now_s, &slot);

	return r < 0 ? r : keep(l, slot, &rec->stamp, verified);
}

bool ledger_check(const struct ledger *l, const struct chunkid *id, const struct pool_stamp *stamp,
	bool *ret_verified)
{
	struct index_record rec;
	uint32_t slot;

	if (!lruk_find(l->lruk, id, &slot))
		return false;
	rec = record_of(l, slot);
	*ret_verified = l->kept[slot].verified && pool_stamp_equal(&rec.stamp, stamp);
	return true;
}

bool ledger_has(const struct ledger *l, const struct chunkid *id)
{
	uint32_t slot;

	return lruk_find(l->lruk, id, &slot);
}

bool ledger_touch(
	struct ledger *l, const struct chunkid *id, uint32_t now_s, struct index_record *ret_record)
{
	uint32_t slot, before;

	if (!lruk_find(l->lruk, id, &slot))
		return false;
	before = lruk_times(l->lruk, slot).last;
	lruk_touch(l->lruk, slot, now_s);
	if (!l->kept[slot].verified ||
		before / RECORD_GRAIN_S == lruk_times(l->lruk, slot).last / RECORD_GRAIN_S)
		return false;
	*ret_record = record_of(l, slot);
	return true;
}

bool ledger_remove(struct ledger *l, const struct chunkid *id)
{
	uint32_t slot;

	if (!lruk_find(l->lruk, id, &slot))
		return false;
	lruk_remove(l->lruk, slot);
	return true;
}

bool ledger_condemn(struct ledger *l, const struct chunkid *id, uint32_t now_s)
{
	uint32_t slot;

	if (!lruk_find(l->lruk, id, &slot))
		return false;
	/* Without memory for it the bytes are not counted, which is better than to keep them. */
	(void)condemned_add(l->condemned, id, lruk_bytes(l->lruk, slot), now_s);
	lruk_remove(l->lruk, slot);
	return true;
}

void ledger_release(struct ledger *l, const struct chunkid *id)
{
	condemned_release(l->condemned, id);
}

bool ledger_victim(struct ledger *l, uint64_t target, uint32_t now_s, struct chunkid *ret_id,
	struct index_record *ret_record, bool *ret_verified)
{
	struct lruk_usage usage;
	uint32_t slot;

	lruk_usage(l->lruk, &usage);
	if (usage.bytes + condemned_overdue(l->condemned, now_s) <= target ||
		!lruk_victim(l->lruk, now_s, &slot))
		return false;
	*ret_id = *lruk_id(l->lruk, slot);
	*ret_record = record_of(l, slot);
	*ret_verified = l->kept[slot].verified;
	return true;
}

int ledger_pin(struct ledger *l, const struct chunkid *id)
{
	return lruk_pin(l->lruk, id);
}

int ledger_unpin(struct ledger *l, const struct chunkid *id, uint32_t now_s)
{
	return lruk_unpin(l->lruk, id, now_s);
}

void ledger_usage(struct ledger *l, uint32_t now_s, struct ledger_usage *ret)
{
	struct lruk_usage usage;

	lruk_usage(l->lruk, &usage);
	*ret = (struct ledger_usage){.chunks = usage.chunks,
		.bytes = usage.bytes,
		.pinned_bytes = usage.pinned_bytes,
		.condemned = condemned_bytes(l->condemned),
		.due = condemned_overdue(l->condemned, now_s),
		.history = usage.history};
}
