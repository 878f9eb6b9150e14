/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Objects under keys: what a store's layout (treestore.h, flatstore.h) needs of the place that keeps it.
 * A key is a relative path of [A-Za-z0-9._-] segments. The same layout thus lies in a directory
 * (dir.h) or behind a web server (http.h).
 *
 * Any thread may call anything. errnos as in store.h. A NULL method means -EOPNOTSUPP (writers:
 * -EROFS): the callers look before they call.
 */
#ifndef STORE_BUCKET_H
#define STORE_BUCKET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "store.h"

#define BUCKET_KEY_MAX  288 /* with the NUL: roots/ROOT/recipes/NAME.recipe */
#define BUCKET_ETAG_MAX 128 /* with the NUL; a longer one is not kept */

struct bucket;

/* One fetch. Owned by the caller, alive (with the key) until done(), which is called exactly once,
 * possibly from within get, and may free the struct. On success `body` holds the object: take it
 * with buf_move or leave it. `err` is never NULL. done() must not block. */
struct bucket_get {
	const char *key;
	size_t max_bytes; /* a longer object is -EBADMSG */
	enum store_priority priority;
	bool impatient; /* a document that somebody waits for: few retries, so that a wrong URL is
			   told at once */
	char etag[BUCKET_ETAG_MAX]; /* in: "" or what an earlier get left here: -EALREADY if it is
				       still so; out */
	void (*done)(struct bucket_get *g, int r, struct buf *body, const struct smr_error *err);
};

/* What bucket_ops.list tells about an object. */
struct bucket_item {
	const char *key; /* below the listed prefix; valid during the visit */
	uint64_t size;   /* bytes */
};

struct bucket_ops {
	void (*get)(struct bucket *, struct bucket_get *);
	/* 0 and the size in bytes; objects that were queued count. */
	int (*head)(struct bucket *, const char *key, uint64_t *ret_size, struct smr_error *);

	/* Visits every object below `prefix` ("a/b/") in no particular order; a non-zero return of
	 * visit ends it and is returned. A prefix that is not there has no objects. */
	int (*list)(struct bucket *, const char *prefix,
		int (*visit)(void *user, const struct bucket_item *), void *user,
		struct smr_error *);
	/* Local buckets only: a read-only descriptor of an object, or of the directory that a
	 * prefix is. */
	int (*open)(struct bucket *, const char *key, int *ret_fd, struct smr_error *);

	/* Replaces an object atomically; durable when it returns. */
	int (*put)(
		struct bucket *, const char *key, const void *data, size_t n, struct smr_error *);
	/* As put, but visible and durable at the latest when a later flush returns. It is never
	 * visible before its bytes are durable. */
	int (*queue)(
		struct bucket *, const char *key, const void *data, size_t n, struct smr_error *);
	int (*flush)(struct bucket *, struct smr_error *);
	int (*remove)(struct bucket *, const char *key, struct smr_error *);
	/* Excludes other writers, in this and other processes, until the descriptor is closed.
	 * Waits. */
	int (*lock)(struct bucket *, int *ret_fd, struct smr_error *);

	/* As store_stop: -ECANCELED for what is in flight and all that comes. NULL: nothing ever
	 * waits. */
	void (*stop)(struct bucket *);
	/* No get is under way any more when this returns. */
	void (*free)(struct bucket *);
};

/* First member of every implementation. */
struct bucket {
	const struct bucket_ops *ops;
	char *url; /* for messages; no credentials */
	bool local;
};

/* get and a wait. `body` must be initialised; its max is the limit. `etag` (BUCKET_ETAG_MAX bytes,
 * may be NULL) as in struct bucket_get. */
int bucket_read(
	struct bucket *b, const char *key, char *etag, struct buf *body, struct smr_error *err);

#endif
