/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the kernel holds on to: node ids, each bound to one image by the digest of its recipe.
 *
 * A recipe that is replaced under its name gets a node of its own, so the pages that the kernel
 * cached, and a file that somebody mounted, never mix the bytes of two images. An id is generation
 * << 32 | index + 1: an index is used again, an id never is. Index 0 is the root directory, whose
 * id FUSE fixes at 1; it is not in the table.
 *
 * A node lives from the lookup that made it until the kernel has forgotten as many lookups as it
 * was told of. Until then the kernel may send requests for it, and it sends none afterwards;
 * therefore nodes_get takes neither lock nor reference, and what it returns stays valid until, and
 * only until, the request is answered.
 *
 * Thread rule: any thread.
 */
#ifndef FS_NODE_H
#define FS_NODE_H

#include <stddef.h>
#include <stdint.h>

#include "../chunker/core/chunkid.h"

#define NODE_ROOT 1ull

struct image;
struct nodes;

struct node_info {
	struct chunkid digest; /* of the recipe */
	uint64_t size;         /* bytes */
	uint64_t data_bytes;   /* bytes in stored chunks */
	int64_t created;       /* seconds since the epoch */
};

/* Immutable between the lookup that made it and the last forget. */
struct node {
	uint64_t id;
	struct image *image; /* a reference */
	struct node_info info;
};

/* `unref` releases images. -ENOMEM. */
int nodes_new(void (*unref)(struct image *), struct nodes **ret);
/* Releases every image. No other call may be running or follow. NULL is fine. */
void nodes_free(struct nodes *t);

/* One more lookup of the node bound to info->digest, which is made if there is none. Consumes the
 * reference to `image` in any case; a node that exists keeps the image it has. -ENOMEM; -ENFILE:
 * over four million nodes. */
int nodes_lookup(struct nodes *t, struct image *image, const struct node_info *info,
	const struct node **ret);
/* The kernel forgets `n` lookups. An id that is not there is ignored: the peer is the kernel, and
 * it is past caring. */
void nodes_forget(struct nodes *t, uint64_t id, uint64_t n);
/* NULL: no such node (the root included). */
const struct node *nodes_get(struct nodes *t, uint64_t id);
/* The id that a recipe's digest is bound to now, 0 if to none. */
uint64_t nodes_find(struct nodes *t, const struct chunkid *digest);
/* Nodes alive. */
size_t nodes_count(struct nodes *t);

#endif
