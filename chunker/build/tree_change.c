// SPDX-License-Identifier: BSD-3-Clause
/* Everything that puts something into a tree. What can fail comes first: once something was removed, the rest succeeds. */
#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "tree.h"
#include "tree_impl.h"

/* ---- nodes ---- */

static int check_attr(const struct tree_attr *a)
{
	if ((a->mode & ~(uint32_t)(S_IFMT | 07777)) || a->mtime_ns >= 1000000000)
		return -EINVAL;
	switch (a->mode & S_IFMT) {
	case S_IFREG:
	case S_IFDIR:
	case S_IFIFO:
	case S_IFSOCK:
		return 0;
	case S_IFLNK:
		if (a->target_len > TREE_TARGET_MAX)
			return -ENAMETOOLONG;
		return a->target_len == 0 || memchr(a->target, 0, a->target_len) ? -EINVAL : 0;
	case S_IFCHR:
	case S_IFBLK:
		return a->major >= 1u << 12 || a->minor >= 1u << 20 ? -EINVAL : 0;
	default:
		return -EINVAL;
	}
}

static void set_attr(struct tree_node *n, const struct tree_attr *a)
{
	n->mode = a->mode;
	n->uid = a->uid;
	n->gid = a->gid;
	n->mtime = a->mtime;
	n->mtime_ns = a->mtime_ns;
	n->xattrs = a->xattrs;
}

/* SHA-256 of nothing: what an empty file's content has for a digest. */
static void empty_digest(struct chunkid *ret)
{
	chunkid_hash("", 0, ret);
}

static int set_content(struct tree *t, struct tree_node *n, const struct tree_content *c)
{
	int r;

	if (!c) {
		empty_digest(&n->file.digest);
		return 0;
	}
	r = tree_charge(
		t, (uint64_t)c->n_extents * (sizeof(struct tree_extent) + TREE_IMAGE_EXTENT_BYTES));
	if (r < 0)
		return r;
	if (c->n_extents >= UINT32_MAX - t->n_extents)
		return -EFBIG;
	r = tree_grow(
		&t->extents, &t->cap_extents, t->n_extents, c->n_extents, sizeof(*t->extents));
	if (r < 0)
		return r;
	if (c->n_extents)
		memcpy(t->extents + t->n_extents, c->extents, c->n_extents * sizeof(*t->extents));
	n->file.extents = (uint32_t)t->n_extents;
	n->file.n_extents = c->n_extents;
	n->file.size = c->size;
	n->file.digest = c->digest;
	t->n_extents += c->n_extents;
	return 0;
}

/* A node without a name yet. */
static int new_node(struct tree *t, const struct tree_attr *a, uint32_t *ret)
{
	struct tree_node n = {0};
	uint32_t i = t->free_node;
	int r;

	set_attr(&n, a);
	if (i == TREE_NONE) {
		r = tree_charge(t, sizeof(n) + TREE_IMAGE_NODE_BYTES);
		if (r == 0)
			r = tree_grow32(&t->nodes, &t->cap_nodes, t->n_nodes, sizeof(n));
		if (r < 0)
			return r;
		i = t->n_nodes;
	}
	switch (a->mode & S_IFMT) {
	case S_IFREG:
		r = set_content(t, &n, a->content);
		break;
	case S_IFLNK:
		r = tree_add_bytes(t, a->target, a->target_len, &n.link.target);
		n.link.len = (uint32_t)a->target_len;
		break;
	case S_IFDIR:
		n.dir.entry = n.dir.first_child = TREE_NONE;
		r = 0;
		break;
	default:
		n.dev.major = a->major;
		n.dev.minor = a->minor;
		r = 0;
	}
	if (r < 0)
		return r;
	if (i == t->n_nodes)
		t->n_nodes++;
	else
		t->free_node = t->nodes[i].uid;
	t->nodes[i] = n;
	t->n_inodes++;
	*ret = i;
	return 0;
}

/* ---- entries ---- */

/* The entry and all directories that lead to it are of the current layer; an ancestor is never of an older one. */
static void touch(struct tree *t, uint32_t entry)
{
	while (entry != TREE_NONE && t->entries[entry].layer != t->layer) {
		t->entries[entry].layer = t->layer;
		entry = t->nodes[t->entries[entry].dir].dir.entry;
	}
}

/* The entry stands for `node` from now on: counts on both sides. */
static void attach(struct tree *t, uint32_t entry, uint32_t node)
{
	struct tree_entry *e = &t->entries[entry];
	struct tree_node *n = &t->nodes[node], *dir = &t->nodes[e->dir];

	e->node = node;
	n->n_links++;
	if (S_ISDIR(n->mode)) {
		n->dir.entry = entry;
		n->dir.depth = dir->dir.depth + 1;
		dir->dir.n_dirs++;
	}
}

/* Everything that adding an entry needs, so that the adding itself cannot fail. */
static int reserve_entry(struct tree *t)
{
	int r;

	if (t->n_names >= t->limits.entries)
		return -EFBIG;
	r = tree_rehash(t);
	if (r < 0 || t->free_entry != TREE_NONE)
		return r;
	r = tree_charge(t, sizeof(struct tree_entry) + TREE_IMAGE_ENTRY_BYTES);
	if (r < 0)
		return r;
	return tree_grow32(&t->entries, &t->cap_entries, t->n_entries, sizeof(*t->entries));
}

static void add_entry(struct tree *t, uint32_t dir, uint32_t name, size_t len, uint32_t node)
{
	struct tree_node *d = &t->nodes[dir];
	uint32_t *head = tree_head(t, dir, t->bytes + name, len);
	uint32_t i = t->free_entry;

	if (i == TREE_NONE)
		i = t->n_entries++;
	else
		t->free_entry = t->entries[i].chain;
	t->entries[i] = (struct tree_entry){
		.dir = dir,
		.name = name,
		.name_len = (uint8_t)len,
		.prev = TREE_NONE,
		.next = d->dir.first_child,
		.chain = *head,
		.layer = (uint16_t)(t->layer - 1), /* for touch() to change, and all above */
	};
	if (d->dir.first_child != TREE_NONE)
		t->entries[d->dir.first_child].prev = i;
	d->dir.first_child = i;
	d->dir.n_children++;
	*head = i;
	t->n_names++;
	attach(t, i, node);
	touch(t, i);
}

/* What stood at `entry` gives way to `node`. */
static void replace(struct tree *t, uint32_t entry, uint32_t node)
{
	uint32_t old = t->entries[entry].node;

	t->nodes[node].n_links++; /* it may be below what goes now */
	if (S_ISDIR(t->nodes[old].mode))
		tree_empty(t, old);
	tree_detach(t, entry);
	t->nodes[node].n_links--;
	attach(t, entry, node);
	touch(t, entry);
}

/* ---- changing ---- */

int tree_next_layer(struct tree *t)
{
	if (t->layer == TREE_LAYERS_MAX)
		return -EFBIG;
	t->layer++;
	return 0;
}

/* `dir` can take this name: 0 and the entry there, or TREE_NONE. */
static int find_place(
	const struct tree *t, uint32_t dir, const char *name, size_t len, uint32_t *ret_entry)
{
	int r = tree_check_name(name, len);

	if (r < 0)
		return r;
	if (!tree_is_dir(t, dir))
		return -ENOTDIR;
	if (t->nodes[dir].dir.depth >= TREE_DEPTH_MAX)
		return -EFBIG;
	*ret_entry = tree_find(t, dir, name, len);
	return 0;
}

int tree_put(struct tree *t, uint32_t dir, const char *name, size_t name_len,
	const struct tree_attr *attr, uint32_t *ret_node)
{
	uint32_t entry, node, name_at = 0;
	int r = find_place(t, dir, name, name_len, &entry);

	if (r == 0)
		r = check_attr(attr);
	if (r < 0)
		return r;
	if (entry != TREE_NONE && S_ISDIR(attr->mode) && tree_is_dir(t, t->entries[entry].node)) {
		node = t->entries[entry].node;
		set_attr(&t->nodes[node], attr);
		touch(t, entry);
		*ret_node = node;
		return 0;
	}
	if (entry == TREE_NONE) {
		r = reserve_entry(t);
		if (r == 0)
			r = tree_add_bytes(t, name, name_len, &name_at);
		if (r < 0)
			return r;
	}
	r = new_node(t, attr, &node);
	if (r < 0)
		return r;
	if (entry == TREE_NONE)
		add_entry(t, dir, name_at, name_len, node);
	else
		replace(t, entry, node);
	*ret_node = node;
	return 0;
}

int tree_link(struct tree *t, uint32_t dir, const char *name, size_t name_len, uint32_t node)
{
	uint32_t entry, name_at;
	int r = find_place(t, dir, name, name_len, &entry);

	if (r < 0)
		return r;
	if (!tree_node(t, node) || S_ISDIR(t->nodes[node].mode))
		return -EPERM;
	if (entry != TREE_NONE) {
		if (t->entries[entry].node == node)
			touch(t, entry);
		else
			replace(t, entry, node);
		return 0;
	}
	r = reserve_entry(t);
	if (r == 0)
		r = tree_add_bytes(t, name, name_len, &name_at);
	if (r < 0)
		return r;
	add_entry(t, dir, name_at, name_len, node);
	return 0;
}

int tree_set_dir(struct tree *t, uint32_t dir, const struct tree_attr *attr)
{
	int r = check_attr(attr);

	if (r < 0)
		return r;
	if (!S_ISDIR(attr->mode))
		return -EINVAL;
	if (!tree_is_dir(t, dir))
		return -ENOTDIR;
	set_attr(&t->nodes[dir], attr);
	touch(t, t->nodes[dir].dir.entry);
	return 0;
}
