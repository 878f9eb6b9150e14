/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The ledger in memory: which chunks the pool holds, how many bytes each takes, the stamp it was verified with, and in which
 * order they were used. It picks the next victim, least recently used first; the policy is behind
 * ledger_touch and ledger_victim alone, so that another one can take its place.
 *
 * Pure: no I/O, no clock, no locks. The caller serialises.
 */
#ifndef CACHED_LEDGER_H
#define CACHED_LEDGER_H

#include "index.h"

struct ledger;

struct ledger *ledger_new(void); /* NULL: no memory */
void ledger_free(struct ledger *l);
/* Adds as most recently used, or makes one that is there that and replaces its stamp. `verified`: the stamp was taken when the bytes were
 * known to be right; otherwise the file must be hashed before use. 0 or -ENOMEM. */
int ledger_add(struct ledger *l, const struct chunkid *id, const struct pool_stamp *stamp,
	bool verified, uint64_t now_s);
/* true if known. *ret_verified tells whether `stamp` equals a verified one. */
bool ledger_check(const struct ledger *l, const struct chunkid *id, const struct pool_stamp *stamp,
	bool *ret_verified);
bool ledger_has(const struct ledger *l, const struct chunkid *id);
/* Makes it the most recently used. Returns true, and the record to write, when the recorded time of use is more than a minute
 * old: the disk ledger needs no finer one. Unknown ids are ignored; so is the record of what is not verified, as what is on disk
 * is trusted by the next start. */
bool ledger_touch(struct ledger *l, const struct chunkid *id, uint64_t now_s,
	struct index_record *ret_record);
/* false if it was not there. */
bool ledger_remove(struct ledger *l, const struct chunkid *id);
/* The least recently used one stays in place: remove it after its file. false when empty. */
bool ledger_victim(const struct ledger *l, struct chunkid *ret_id, uint64_t *ret_bytes);
uint64_t ledger_bytes(const struct ledger *l);
uint64_t ledger_count(const struct ledger *l);

#endif
