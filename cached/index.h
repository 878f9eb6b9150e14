/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The ledger on disk (LMDB): id -> stamp and times of use of every pool file. It is a record for trust and
 * eviction, never the truth about what exists: it can always be dropped and rebuilt from the pool.
 *
 *     CACHE/index/data.mdb   key: 32 bytes id; value: u64 ino, i64 ctime_ns, u32 size, u32 bytes,
 *                                                        u32 last, u32 prev use (lruk.h), seconds since the epoch (little-endian)
 *     CACHE/index/clean      present only between a clean close and the next open: the state of data.mdb (cleanmark.h)
 *
 * LMDB has no checksums and a torn file crashes its reader, so the file is only opened when `clean` is
 * there and describes it (version of the records, size, inode, ctime, hash); otherwise both are removed
 * and an empty index starts. `clean` is removed, and that fsynced, before LMDB opens the file.
 *
 * Writes are queued to one writer thread and batched; a failing write (map full, disk full) stops the
 * recording and costs the next start its index, nothing else. Any thread.
 */
#ifndef CACHED_INDEX_H
#define CACHED_INDEX_H

#include "lruk.h"
#include "pool.h"

struct index;

struct index_record {
	struct pool_stamp stamp;
	struct lruk_times used;
};

/* *ret_kept: false when it starts empty because there was none or it could not be trusted. A disk that
 * is full, read-only or broken is not an error: the index then records nothing. */
int index_open(int cache_fd, struct index **ret, bool *ret_kept, struct smr_error *err);
/* Visits every record, in no particular order; visit may do I/O. Stops when visit returns non-zero and
 * returns that. Call before the first put. -EBADMSG when a record is malformed, -ENOMEM: then close it,
 * not clean, and open again. */
int index_load(struct index *x,
	int (*visit)(void *user, const struct chunkid *id, const struct index_record *rec),
	void *user);
void index_put(struct index *x, const struct chunkid *id, const struct index_record *rec);
/* The same for a record of which only the times have changed: it is left out while the writer is far
 * behind, as the next one will do. */
void index_touch(struct index *x, const struct chunkid *id, const struct index_record *rec);
void index_del(struct index *x, const struct chunkid *id);
/* Waits until what was queued is written. For tests and close. */
void index_flush(struct index *x);
/* Writes what is queued; then, if every write succeeded and `clean`, leaves the clean mark (the caller
 * has synced the pool before). NULL is fine. */
void index_close(struct index *x, bool clean);

#endif
