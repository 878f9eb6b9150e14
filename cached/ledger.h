/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The ledger in memory: which chunks the pool holds, how many bytes each takes, the stamp it was
 * verified with, and what is known of its use. It picks the next victim by LRU-K (lruk.h), with uses
 * within a minute taken for one, and the history of 32,768 removed chunks kept for two days.
 *
 * What counts against a bound is what the pool holds (*live*) and what was removed from it, but
 * somebody still maps (*condemned*, condemned.h). Who maps it has been told and has two seconds to drop
 * it: until then more victims would not free space any sooner, only empty the cache.
 *
 * Pure: no I/O, no clock, no locks. The caller serialises. Times are seconds since the epoch that never
 * go back. About 85 bytes a chunk.
 */
#ifndef CACHED_LEDGER_H
#define CACHED_LEDGER_H

#include "index.h"

struct ledger;

struct ledger_usage {
	uint64_t chunks, bytes;  /* live */
	uint64_t pinned_bytes;   /* of these */
	uint64_t condemned, due; /* bytes; due: of these, what is not dropped in time */
	uint64_t history;        /* chunks that are gone, whose times are kept */
};

struct ledger *ledger_new(void); /* NULL: no memory */
void ledger_free(struct ledger *l);
/* A use: adds it, or replaces the stamp of one that is there. `verified`: the stamp was taken when the
 * bytes were known to be right; otherwise the file must be hashed before use. 0 and the record to
 * write, or -ENOMEM. */
int ledger_add(struct ledger *l, const struct chunkid *id, const struct pool_stamp *stamp,
	bool verified, uint32_t now_s, struct index_record *ret_record);
/* No use: adds what an earlier run left. 0 or -ENOMEM. */
int ledger_load(struct ledger *l, const struct chunkid *id, const struct index_record *rec,
	bool verified, uint32_t now_s);
/* true if known. *ret_verified tells whether `stamp` equals a verified one. */
bool ledger_check(const struct ledger *l, const struct chunkid *id, const struct pool_stamp *stamp,
	bool *ret_verified);
bool ledger_has(const struct ledger *l, const struct chunkid *id);
/* A use. Returns true, and the record to write, for the first one in a minute of the clock: the disk
 * ledger needs no finer one. Unknown ids are ignored; so is the record of what is not verified, as what
 * is on disk is trusted by the next start. */
bool ledger_touch(struct ledger *l, const struct chunkid *id, uint32_t now_s,
	struct index_record *ret_record);
/* false if it was not there. Its times are kept for a while. */
bool ledger_remove(struct ledger *l, const struct chunkid *id);
/* Removes it, and counts its bytes as condemned until ledger_release. false if it was not there. */
bool ledger_condemn(struct ledger *l, const struct chunkid *id, uint32_t now_s);
/* Nobody maps a removed file of it any more; nothing when none is condemned. */
void ledger_release(struct ledger *l, const struct chunkid *id);
/* What must go next so that what is live, and what is due, comes down to `target` bytes: take it out
 * with ledger_remove or ledger_condemn. *ret_record and *ret_verified: to put it back. false: the target
 * is met, or nothing but pinned chunks is left. */
bool ledger_victim(struct ledger *l, uint64_t target, uint32_t now_s, struct chunkid *ret_id,
	struct index_record *ret_record, bool *ret_verified);
/* Contracts of lruk_pin and lruk_unpin. */
int ledger_pin(struct ledger *l, const struct chunkid *id);
int ledger_unpin(struct ledger *l, const struct chunkid *id, uint32_t now_s);
void ledger_usage(struct ledger *l, uint32_t now_s, struct ledger_usage *ret);

#endif
