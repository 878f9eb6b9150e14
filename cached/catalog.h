/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The images of one store, kept fresh: names to images, for frontends that must answer a lookup
 * without doing network I/O on the thread that asks. A background worker lists the store when
 * somebody looks and the list is older than a second; a name that is known is answered from what is
 * known, one that is not waits for the refresh.
 *
 * A name whose recipe was replaced maps to a new struct image; the old one lives on while it is
 * referenced. Thread rule: any thread; done() and changed() run on the catalog's worker and must
 * not block.
 */
#ifndef CACHED_CATALOG_H
#define CACHED_CATALOG_H

#include "image.h"

struct catalog;

struct catalog_options {
	uint32_t fresh_ms; /* a list younger than this is not refreshed; 0: 1,000 */
	uint32_t wait_ms;  /* how long a lookup of an unknown name or a readdir waits for a refresh;
			      0: 5,000 */
	/* A name appeared, went, or was bound to another recipe. May be NULL. */
	void (*changed)(void *user, const char *name);
	void *user;
};

int catalog_new(struct image_set *set, struct cache *cache, struct cache_store *store,
	const struct catalog_options *opts, struct catalog **ret, struct smr_error *err);
/* Waits for the worker; every waiter is answered with -EIO. NULL is fine. */
void catalog_free(struct catalog *c);

/* Lists now and waits; for start-up, so that a bad store is an error message and not an empty
 * mount. */
int catalog_refresh(struct catalog *c, struct smr_error *err);

struct catalog_wait {
	char name[NAME_LEN_MAX + 1]; /* for find */
	/* find: r = 0 and a reference to the image, or -ENOENT, or another errno when the store
	 * cannot be asked. list: image is NULL, r = 0: take catalog_snapshot now. */
	void (*done)(struct catalog_wait *w, int r, struct image *image);
	struct catalog_wait *next; /* the catalog's own */
	uint64_t deadline_ns;
};

/* 0: answered, *ret is a reference. -EINPROGRESS: done() will be called, perhaps before this
 * returns. Other errors: failed at once. */
int catalog_find(struct catalog *c, struct catalog_wait *w, struct image **ret);
/* 0: fresh enough, take the snapshot. -EINPROGRESS: done() will be called. */
int catalog_list(struct catalog *c, struct catalog_wait *w);

struct catalog_snapshot {
	struct image **images; /* referenced, sorted by name */
	size_t n;
};
int catalog_snapshot(struct catalog *c, struct catalog_snapshot *ret);
void catalog_snapshot_done(struct catalog_snapshot *s);

#endif
