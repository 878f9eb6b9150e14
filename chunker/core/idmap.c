/* SPDX-License-Identifier: BSD-3-Clause */
#include "idmap.h"

#include <errno.h>
#include <stdlib.h>

#include "idhash.h"

#define IDMAP_FIRST 64u
#define IDMAP_MOST  (1u << 31)

struct slot {
	struct chunkid id;
	uint64_t value;
};

/* tags[i] is the hash of slots[i].id, 0 = empty: probing stays in this small array, and neither
 * growing nor deletion computes a hash again. */
struct idmap {
	uint32_t *tags;
	struct slot *slots;
	uint32_t mask; /* number of slots - 1 */
	size_t count;
	struct idhash hash;
};

/* Never 0. */
static uint32_t idmap_hash(const struct idmap *m, const struct chunkid *id)
{
	uint32_t tag = idhash_of(&m->hash, id);
	return tag ? tag : 1;
}

static int idmap_alloc(struct idmap *m, uint32_t n_slots)
{
	uint32_t *tags = calloc(n_slots, sizeof(*tags));
	struct slot *slots = malloc(n_slots * sizeof(*slots));
	if (!tags || !slots) {
		free(tags);
		free(slots);
		return -ENOMEM;
	}
	m->tags = tags;
	m->slots = slots;
	m->mask = n_slots - 1;
	return 0;
}

struct idmap *idmap_new(void)
{
	struct idmap *m = calloc(1, sizeof(*m));
	if (!m)
		return NULL;
	idhash_init(&m->hash);
	if (idmap_alloc(m, IDMAP_FIRST) < 0) {
		free(m);
		return NULL;
	}
	return m;
}

void idmap_free(struct idmap *m)
{
	if (!m)
		return;
	free(m->tags);
	free(m->slots);
	free(m);
}

size_t idmap_count(const struct idmap *m)
{
	return m->count;
}

/* The slot of the id, or the empty one where it would go. The table is never full, so this ends. */
static uint32_t idmap_probe(const struct idmap *m, const struct chunkid *id, uint32_t tag)
{
	uint32_t i = tag & m->mask;
	while (m->tags[i] != 0 && (m->tags[i] != tag || !chunkid_equal(&m->slots[i].id, id)))
		i = (i + 1) & m->mask;
	return i;
}

/* Moves everything into a table of twice the size. On failure nothing has changed. */
static int idmap_grow(struct idmap *m)
{
	if (m->mask + 1 >= IDMAP_MOST)
		return -ENOMEM;
	struct idmap old = *m;
	int r = idmap_alloc(m, (old.mask + 1) * 2);
	if (r < 0)
		return r;
	for (uint32_t i = 0; i <= old.mask; i++) {
		if (old.tags[i] == 0)
			continue;
		uint32_t to = old.tags[i] & m->mask;
		while (m->tags[to] != 0)
			to = (to + 1) & m->mask;
		m->tags[to] = old.tags[i];
		m->slots[to] = old.slots[i];
	}
	free(old.tags);
	free(old.slots);
	return 0;
}

bool idmap_get(const struct idmap *m, const struct chunkid *id, uint64_t *ret)
{
	uint32_t i = idmap_probe(m, id, idmap_hash(m, id));
	if (m->tags[i] == 0)
		return false;
	if (ret)
		*ret = m->slots[i].value;
	return true;
}

int idmap_put(struct idmap *m, const struct chunkid *id, uint64_t value)
{
	uint32_t tag = idmap_hash(m, id);
	uint32_t i = idmap_probe(m, id, tag);
	if (m->tags[i] != 0) {
		m->slots[i].value = value;
		return 0;
	}
	size_t n_slots = (size_t)m->mask + 1;
	if (m->count + 1 > n_slots - n_slots / 4) {
		int r = idmap_grow(m);
		if (r < 0)
			return r;
		i = idmap_probe(m, id, tag);
	}
	m->tags[i] = tag;
	m->slots[i] = (struct slot){.id = *id, .value = value};
	m->count++;
	return 1;
}

bool idmap_del(struct idmap *m, const struct chunkid *id, uint64_t *ret)
{
	uint32_t hole = idmap_probe(m, id, idmap_hash(m, id));
	if (m->tags[hole] == 0)
		return false;
	if (ret)
		*ret = m->slots[hole].value;
	/* Backward shift: what follows moves into the hole unless that would put it before its home
	 * slot. */
	for (uint32_t i = (hole + 1) & m->mask; m->tags[i] != 0; i = (i + 1) & m->mask) {
		uint32_t from_home = (i - m->tags[i]) & m->mask;
		uint32_t from_hole = (i - hole) & m->mask;
		if (from_home < from_hole)
			continue;
		m->tags[hole] = m->tags[i];
		m->slots[hole] = m->slots[i];
		hole = i;
	}
	m->tags[hole] = 0;
	m->count--;
	return true;
}

bool idmap_next(const struct idmap *m, size_t *cursor, struct chunkid *ret_id, uint64_t *ret_value)
{
	for (; *cursor <= m->mask; (*cursor)++) {
		if (m->tags[*cursor] == 0)
			continue;
		*ret_id = m->slots[*cursor].id;
		*ret_value = m->slots[*cursor].value;
		(*cursor)++;
		return true;
	}
	return false;
}
