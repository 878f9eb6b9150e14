/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The store contract: where recipes and wire-form chunks live. One handle per store, used by any
 * number of threads.
 *
 *     URL                          what                                        writes
 *     PATH, dir:PATH               a directory (layout of treestore.h)              yes
 *     http://H/P, https://H/P      the same layout behind a web server         no
 *     either, no smr-store.json    flat: Go stream-my-root (flat.h)            no
 *
 * Chunks are fetched asynchronously (store_get), since a reader must never hold a thread while an
 * origin thinks; everything else blocks. A client verifies nothing: whoever uses a chunk checks it
 * against its id.
 *
 * errnos, the same for all clients: -ENOENT absent; -EBADMSG the store answered with something that
 * is not what was asked for; -EACCES refused (401, 403, EACCES); -EROFS cannot be written;
 * -EOPNOTSUPP this client cannot do it; -ETIMEDOUT, -EHOSTUNREACH, -ECONNREFUSED, -ECONNRESET,
 * -EIO: it may work later (store_error_is_transient).
 */
#ifndef STORE_STORE_H
#define STORE_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../core/buf.h"
#include "../core/chunkid.h"
#include "../core/error.h"
#include "../core/recipe.h"

struct store;

struct store_options {
	uint32_t timeout_ms;  /* total time for one object, retries included; 0: 30,000 */
	bool create;          /* dir: make the directory and smr-store.json if absent */
	uint32_t chunk_size;  /* with create: recorded in smr-store.json; 0: default */
	bool insecure;        /* plain http to a host that is not loopback */
	const char *ca_file;  /* PEM bundle in place of the system's; may be NULL */
	unsigned connections; /* per host; 0: 16 */
};

/* -EINVAL: not a store URL. -ENOENT: no such directory (the message says how to make one). -EPERM:
 * needs `insecure`. Opening a remote store does no network I/O: the first operation does. `opts`
 * may be NULL. */
int store_open(const char *url, const struct store_options *opts, struct store **ret,
	struct smr_error *err);
/* Fails what is in flight with -ECANCELED and every later operation at once; blocking calls in
 * other threads return soon. For shutdown, before those threads are joined. */
void store_stop(struct store *s);
/* As store_stop, waits until every done() has returned, then frees. No other thread may be inside a
 * call. NULL is fine. */
void store_free(struct store *s);
/* The URL as given, without credentials; for messages and as the store's identity. */
const char *store_url(const struct store *s);
/* true: a store_get may block on local disk inside the call, so call it from a worker. */
bool store_is_local(const struct store *s);
/* The chunk size that smr-store.json records for new images; 0: it does not say. */
int store_chunk_size(struct store *s, uint32_t *ret, struct smr_error *err);

bool store_error_is_transient(int code);

/* ---- listing ---- */

struct store_image {
	char name[NAME_LEN_MAX + 1];
	struct chunkid
		digest; /* of the recipe; zeros: not known until it is fetched (flat stores) */
	uint64_t recipe_size; /* bytes */
	uint64_t image_size;  /* bytes; 0: not known */
	uint64_t data_size;   /* bytes of the image in stored chunks; 0 with n_chunks 0 */
	uint32_t chunk_size;
	uint64_t n_chunks;
	int64_t created;  /* seconds since the epoch: when it was published */
	char source[256]; /* image reference, truncated for display; "" */
};

struct store_list {
	struct store_image *images; /* sorted by name */
	size_t n;
	/* Names whose recipes were left out as damaged, for whoever looks for damage; only where listing reads
	 * the recipes themselves. */
	char (*damaged)[NAME_LEN_MAX + 1];
	size_t n_damaged;
};

/* -EOPNOTSUPP: cannot list (a flat store over http); recipes can still be fetched by name. A
 * damaged recipe is left out and reported by a debug log line; store_get_recipe says what is wrong
 * with it. `list_tag`, may be NULL: a cookie of 128 bytes, zeros at first; when nothing changed
 * since the call that filled it, returns -EALREADY and no list, cheaply where the client can (ETag,
 * directory mtimes). */
int store_list(struct store *s, char list_tag[128], struct store_list *ret, struct smr_error *err);
void store_list_done(struct store_list *l);

/* ---- recipes ---- */

/* Fetches and validates; the text recipes of flat stores are converted. The name in the recipe is
 * checked against `name`. */
int store_get_recipe(struct store *s, const char *name, struct recipe **ret, struct smr_error *err);
/* Publishes under the name that is inside. All objects put through this handle are durable before
 * the recipe becomes visible; an existing recipe of the name is replaced atomically. A
 * byte-identical one is left alone (*ret_same, may be NULL). */
int store_put_recipe(
	struct store *s, const struct recipe *r, bool *ret_same, struct smr_error *err);
/* -ENOENT. Chunks stay: other recipes may use them. */
int store_remove_recipe(struct store *s, const char *name, struct smr_error *err);

/* ---- objects: chunks in wire form ---- */

enum store_priority { STORE_DEMAND, STORE_AHEAD, STORE_HYDRATE, STORE_SCRUB, STORE_PRIORITIES };

/* One fetch. Owned by the caller, alive until done() was called; done() is called exactly once,
 * from any thread (from within store_get for local stores), and may free the struct. On success
 * `body` holds the wire form: take it with buf_move or leave it, what is left is freed after
 * done(). `err` is never NULL. A done() must not block: it runs on the thread that serves all other
 * fetches. */
struct store_get {
	struct chunkid id;
	size_t max_bytes; /* a longer object is -EBADMSG */
	enum store_priority priority;
	void (*done)(struct store_get *g, int r, struct buf *body, const struct smr_error *err);
	void *user;
	void *client; /* the store client's own */
};

void store_get(struct store *s, struct store_get *g);
/* store_get and a wait; for commands. `body` must be initialised; its max is the limit. */
int store_get_wait(
	struct store *s, const struct chunkid *id, struct buf *body, struct smr_error *err);

/* Puts a wire-form chunk under its id. Visible at the latest when store_put_recipe or store_flush
 * returns. */
int store_put(struct store *s, const struct chunkid *id, const void *wire, size_t n,
	struct smr_error *err);
/* 0 and the wire length, or -ENOENT. An object put through this handle counts at once. */
int store_has(
	struct store *s, const struct chunkid *id, uint64_t *ret_wire_len, struct smr_error *err);
/* Makes all puts so far durable and visible. */
int store_flush(struct store *s, struct smr_error *err);
/* Visits every object of the store in no particular order; stops when visit returns non-zero and
 * returns that. -EOPNOTSUPP. */
int store_each(struct store *s,
	int (*visit)(void *user, const struct chunkid *id, uint64_t wire_len), void *user,
	struct smr_error *err);

/* ---- for clients ---- */

/* What a client implements; each method keeps the contract of the function of its name. NULL
 * methods give -EOPNOTSUPP (put, put_recipe, remove_recipe: -EROFS). */
struct store_ops {
	int (*list)(struct store *, char *tag, struct store_list *, struct smr_error *);
	int (*get_recipe)(struct store *, const char *name, struct recipe **, struct smr_error *);
	int (*put_recipe)(
		struct store *, const struct recipe *, bool *ret_same, struct smr_error *);
	int (*remove_recipe)(struct store *, const char *name, struct smr_error *);
	void (*get)(struct store *, struct store_get *);
	int (*put)(
		struct store *, const struct chunkid *, const void *, size_t, struct smr_error *);
	int (*has)(struct store *, const struct chunkid *, uint64_t *, struct smr_error *);
	int (*flush)(struct store *, struct smr_error *);
	int (*each)(struct store *, int (*)(void *, const struct chunkid *, uint64_t), void *,
		struct smr_error *);
	int (*chunk_size)(struct store *, uint32_t *, struct smr_error *);
	void (*stop)(struct store *); /* NULL: nothing ever waits */
	void (*free)(struct store *);
};

/* First member of every client's struct. */
struct store {
	const struct store_ops *ops;
	char *url;
	bool local;
};

#endif
