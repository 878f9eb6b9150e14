/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A file tree in memory: what the layers of an image are merged into, and what an ext4 image is built from.
 *
 *     entry = (directory, name) -> node          a name; directories have exactly one, other nodes one or more
 *     node  = type, mode, owner, mtime, xattrs, and by type: children | content | target | device
 *
 * Nodes and entries are numbers, valid until what they stand for is removed; pointers into the tree are valid until
 * the next call that changes it. Numbers depend on the order of insertion, so nothing that must be reproducible may be
 * made of them: layout.h has the order that depends on the tree alone.
 *
 * Pure: no I/O; file contents live in a spool (spool.h), the tree knows where. Not thread-safe; any number of threads
 * may read a tree that nobody changes. About 170 bytes an entry, names included.
 *
 * Names are bytes: anything but NUL and '/', 1..255 of them, not "." or "..".
 */
#ifndef BUILD_TREE_H
#define BUILD_TREE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../core/chunkid.h"

#define TREE_ROOT           0u         /* the node of the root directory: always there */
#define TREE_NONE           UINT32_MAX /* no node, no entry */
#define TREE_NAME_MAX       255
#define TREE_DEPTH_MAX      2048 /* directories above an entry, the root included */
#define TREE_TARGET_MAX     4095 /* bytes of a symlink's target */
#define TREE_LAYERS_MAX     UINT16_MAX
#define TREE_LINKS_FOLLOWED 40    /* symlinks in one path, as in Linux */
#define TREE_BLOCK          4096u /* bytes: the granularity of holes */

struct tree_limits {
	uint64_t entries; /* names; 0: 2,000,000 */
	/* Bytes that the tree and an image built from it may take in memory, 0: 400 MiB. What was replaced or removed
	 * counts where its memory is not used again (names, targets, extents). */
	uint64_t bytes;
};

/* Data of a file: its blocks [block, block + n_blocks) lie at byte `spool` of the spool; the last block of a file may be
 * short. Blocks in no extent are zeros. */
struct tree_extent {
	uint32_t block; /* in units of TREE_BLOCK */
	uint32_t n_blocks;
	uint64_t spool; /* bytes */
};

/* What a regular file holds; spool_finish makes it. */
struct tree_content {
	uint64_t size;                     /* bytes */
	struct chunkid digest;             /* see spool.h */
	const struct tree_extent *extents; /* ascending, apart by at least a block */
	uint32_t n_extents;
};

/* What a node is to be. The mode's type says which of the last three groups count. */
struct tree_attr {
	uint32_t mode; /* S_IFMT and 07777 */
	uint32_t uid, gid;
	int64_t mtime;                      /* seconds since 1970, any */
	uint32_t mtime_ns;                  /* < 10^9 */
	uint32_t xattrs;                    /* from tree_xattrs; 0: none */
	const struct tree_content *content; /* S_IFREG; copied; NULL: empty */
	const char *target;                 /* S_IFLNK; copied; 1..TREE_TARGET_MAX bytes, no NUL */
	size_t target_len;
	uint32_t major, minor; /* S_IFCHR, S_IFBLK; < 2^12 and < 2^20, as Linux has them */
};

/* A node as it is stored. Read it through tree_node. */
struct tree_node {
	int64_t mtime;
	uint32_t mtime_ns;
	uint32_t mode;
	uint32_t uid, gid;
	uint32_t xattrs;
	uint32_t n_links; /* names; 0: not in use. A directory: 1 */
	union {
		struct {
			uint32_t entry;       /* its name; TREE_NONE for the root */
			uint32_t first_child; /* entry */
			uint32_t n_children;
			uint32_t n_dirs;  /* directories among them */
			uint32_t depth;   /* 0: the root */
			uint32_t cleared; /* the tree's own */
		} dir;
		struct {
			uint64_t size;
			uint32_t extents; /* for tree_extents */
			uint32_t n_extents;
			struct chunkid digest;
		} file;
		struct {
			uint32_t target; /* for tree_target */
			uint32_t len;
		} link;
		struct {
			uint32_t major, minor;
		} dev;
	};
};

struct tree_entry {
	uint32_t dir; /* node */
	uint32_t node;
	uint32_t name;       /* for tree_name */
	uint32_t prev, next; /* siblings, in no particular order */
	uint32_t chain;      /* the tree's own */
	uint16_t layer;      /* the last layer that put it or something below it */
	uint8_t name_len;
};

struct tree_xattr {
	const char *
		name; /* whole, as in getxattr(2): "user.x", "security.capability"; 1..255 bytes, no NUL */
	size_t name_len;
	const void *value; /* as getxattr(2) gives it; at most 65,535 bytes */
	size_t value_len;
};

struct tree;

/* A tree that is an empty root directory, 0755, owner 0:0, mtime 0. `limits` may be NULL. NULL: no memory. */
struct tree *tree_new(const struct tree_limits *limits);
void tree_free(struct tree *t);

/* ---- changing ----
 *
 * -EINVAL: a name, target, xattr, device number or mode that no Linux file can have; -ENAMETOOLONG; -EFBIG: over a limit;
 * -ENOMEM. A call that fails changed nothing, but for parents that tree_walk made. */

/* The following changes belong to the next layer; a new tree is at layer 0. -EFBIG beyond TREE_LAYERS_MAX. */
int tree_next_layer(struct tree *t);

/* Makes `name` in `dir` be this. A directory put over a directory keeps the children and takes the attributes; whatever
 * else was there is removed first, with all below it. Putting over one of several names leaves the others alone. */
int tree_put(struct tree *t, uint32_t dir, const char *name, size_t name_len,
	const struct tree_attr *attr, uint32_t *ret_node);

/* Makes `name` in `dir` one more name of `node`, which may be anything but a directory (-EPERM). Replaces as tree_put
 * does; a name that already stands for `node` stays. Where what is replaced held the only name of `node`, the link is its
 * only name then. */
int tree_link(struct tree *t, uint32_t dir, const char *name, size_t name_len, uint32_t node);

/* Sets mode, owner, mtime and xattrs of a directory (the root included); the type in attr->mode must be S_IFDIR. */
int tree_set_dir(struct tree *t, uint32_t dir, const struct tree_attr *attr);

/* Takes away a name and everything below it, whatever layer it is from. -ENOENT. */
int tree_remove(struct tree *t, uint32_t dir, const char *name, size_t name_len);

/* A whiteout: takes away what layers before the current one put at `name` and below; what the current layer put
 * (before the whiteout, which may come in any order) stays, and so do the directories that lead to it. -ENOENT: there is
 * no such name. */
int tree_whiteout(struct tree *t, uint32_t dir, const char *name, size_t name_len);

/* An opaque directory: the same for everything in `dir`. */
void tree_clear_directory(struct tree *t, uint32_t dir);

/* A set of xattrs for tree_attr.xattrs; equal sets are kept once. The order does not matter; the last of equal names
 * counts. n == 0 gives 0. -E2BIG: more than 65,535 bytes of names and values. */
int tree_xattrs(struct tree *t, const struct tree_xattr *xattrs, size_t n, uint32_t *ret_set);

/* ---- looking ---- */

/* The node of one name. -ENOENT; -ENOTDIR: `dir` is no directory. No symlink is followed. */
int tree_lookup(
	const struct tree *t, uint32_t dir, const char *name, size_t name_len, uint32_t *ret_node);

enum tree_walk_flags {
	TREE_FOLLOW =
		1, /* symlinks among the parents are followed, as in a chroot: '/' and ".." end at the root */
	TREE_CONTAIN =
		4, /* a followed symlink with a ".." beyond the root is -EXDEV, not the root */
	TREE_MKDIRS =
		2, /* missing parents are made: 0755, owner 0:0, mtime 0, of the current layer */
};

struct tree_place {
	uint32_t dir;   /* the directory that the last component is in */
	uint32_t node;  /* what is there; TREE_NONE: nothing */
	uint32_t entry; /* its name; TREE_NONE: nothing, or the root */
	const char
		*name; /* the last component, inside the path that was given; not NUL-terminated */
	size_t name_len; /* 0: the path is the root (and dir, node too) */
};

/* Where `path` leads. It starts at the root whether or not it starts with '/'; empty components and "." count nothing.
 * The last component is never followed. The walk never leaves the tree:
 * -EINVAL: a ".." in `path` (targets of followed symlinks may have them), or a NUL; -ENAMETOOLONG: a component;
 * -ENOENT: a parent is missing; -ENOTDIR: a parent is no directory (a symlink without TREE_FOLLOW is none);
 * -EXDEV: see TREE_CONTAIN; -ELOOP: more than TREE_LINKS_FOLLOWED symlinks; -EFBIG: deeper than TREE_DEPTH_MAX. */
int tree_walk(struct tree *t, const char *path, size_t len, unsigned flags, struct tree_place *ret);

/* NULL for a number that is not in use. */
const struct tree_node *tree_node(const struct tree *t, uint32_t node);
const struct tree_entry *tree_entry(const struct tree *t, uint32_t entry);
const char *tree_name(const struct tree *t, const struct tree_entry *e);  /* e->name_len bytes */
const char *tree_target(const struct tree *t, const struct tree_node *n); /* n->link.len bytes */
const struct tree_extent *tree_extents(const struct tree *t, const struct tree_node *n);
/* The xattrs of a set, ascending by name (memcmp, then length). *pos starts at 0. False: no more. */
bool tree_xattr_next(const struct tree *t, uint32_t set, uint32_t *pos, struct tree_xattr *ret);

/* Above every number of a node that is in use. */
uint32_t tree_n_nodes(const struct tree *t);
uint32_t tree_n_entries(const struct tree *t); /* names now in the tree */
/* Numbers of nodes in use, the root included: the inodes that an image needs. */
uint32_t tree_n_inodes(const struct tree *t);
/* The current layer put the entry, or something below it. */
bool tree_is_current(const struct tree *t, uint32_t entry);
uint64_t tree_bytes(const struct tree *t); /* what is counted against tree_limits.bytes */

/* "usr/bin/env" of an entry, for messages: cut at the front with "..." where it does not fit, always terminated.
 * Returns `ret`. */
char *tree_path(const struct tree *t, uint32_t entry, char *ret, size_t ret_size);

#endif
