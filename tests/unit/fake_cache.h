/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A cache that a test plays the origin of. It knows images made from numbers, answers gets from
 * memfds on threads of its own, when and how the test says, and counts what it was asked.
 *
 * Any thread may call anything. Waiting functions abort after ten seconds: a test that hangs says
 * where.
 */
#ifndef TESTS_UNIT_FAKE_CACHE_H
#define TESTS_UNIT_FAKE_CACHE_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../../cached/cache.h"

#define FAKE_CHUNK CODEC_CHUNK_MIN
/* As the result of a get: a descriptor of half a chunk. */
#define FAKE_SHORT 1

struct fake_cache;

/* An image and what it must read like. */
struct fake_image {
	struct store_image info;
	struct recipe *recipe;
	unsigned char *bytes; /* info.image_size of them */
	bool listed;
	struct fake_image *next;
};

struct fake_cache *fake_new(void);
/* For what takes a struct cache. */
struct cache *fake_cache(struct fake_cache *f);
/* Stops and frees; no get may be outstanding. */
void fake_free(struct fake_cache *f);
/* Handles that are only compared. */
struct cache_store *fake_store(struct fake_cache *f, unsigned number);

/* Chunk i of the image has the content of number contents[i]; 0: a hole. Equal numbers are equal
 * chunks, in all images. The last slot may be cut by image_size. Listed from now on in place of an
 * older one of that name. The cache keeps it. */
struct fake_image *fake_add_image(struct fake_cache *f, const char *name, uint32_t chunk_size,
	const unsigned *contents, unsigned n_slots, uint64_t image_size);
/* A metadata region, for images added from now on. */
void fake_meta_end(struct fake_cache *f, uint64_t meta_end);
void fake_unlist(struct fake_cache *f, const char *name);
/* A listing says no more than the name, as that of a flat store. */
void fake_list_names_only(struct fake_cache *f, bool yes);
const struct chunkid *fake_chunk_id(struct fake_cache *f, unsigned content, uint32_t chunk_size);

/* ---- how gets end ---- */

/* The next `times` gets of a chunk end with `r`. */
void fake_fail(struct fake_cache *f, const struct chunkid *id, int r, unsigned times);
/* All gets at a store end with `r`, until 0 is set. */
void fake_fail_store(struct fake_cache *f, const struct cache_store *store, int r);
/* Called for every get, with no lock held; its result is that of the get. May be NULL. */
void fake_on_get(struct fake_cache *f, int (*fn)(void *user, const struct cache_get *), void *user);
/* Gets wait until they are let go. */
void fake_hold(struct fake_cache *f, bool hold);
void fake_let(struct fake_cache *f, unsigned n);
/* Waits until n gets are held. */
void fake_wait_held(struct fake_cache *f, unsigned n);
/* The chunk left the pool. */
void fake_evict(struct fake_cache *f, const struct chunkid *id);

unsigned fake_gets(struct fake_cache *f);
unsigned fake_gets_of(struct fake_cache *f, const struct chunkid *id);
/* The priority of the last get of a chunk. */
enum store_priority fake_priority_of(struct fake_cache *f, const struct chunkid *id);
unsigned fake_bads(struct fake_cache *f);
unsigned fake_touched(struct fake_cache *f);

/* ---- recipes and listings ---- */

/* They end with `r`, until 0 is set. */
void fake_fail_recipes(struct fake_cache *f, int r);
void fake_fail_lists(struct fake_cache *f, int r);
/* They wait until this is undone or the cache is stopped. */
void fake_stall_recipes(struct fake_cache *f, bool stall);
void fake_stall_lists(struct fake_cache *f, bool stall);
unsigned fake_recipe_calls(struct fake_cache *f);
unsigned fake_list_calls(struct fake_cache *f);
/* Waits until that many calls began. */
void fake_wait_recipe_calls(struct fake_cache *f, unsigned n);
void fake_wait_list_calls(struct fake_cache *f, unsigned n);

#endif
