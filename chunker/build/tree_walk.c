// SPDX-License-Identifier: BSD-3-Clause
#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "tree.h"
#include "tree_impl.h"

/* What is still to be walked: the path, and on top of it the rests of the symlinks that are being followed. */
struct rest {
	const char *path; /* NULL: the tree's bytes, which move when a parent is made */
	size_t at, len;   /* from here, so many bytes */
};

struct walk {
	struct tree *t;
	unsigned flags;
	uint32_t at; /* the directory reached */
	struct rest rest[TREE_LINKS_FOLLOWED + 1];
	unsigned depth; /* rest[depth] is next; 0 is the path itself */
	unsigned n_followed;
};

static const char *rest_bytes(const struct tree *t, const struct rest *r)
{
	return (r->path ? r->path : t->bytes) + r->at;
}

static bool next_component(
	const struct tree *t, struct rest *r, const char **ret_name, size_t *ret_len)
{
	const char *p = rest_bytes(t, r), *end = p + r->len, *slash;

	while (p < end && *p == '/')
		p++;
	if (p == end)
		return false;
	slash = memchr(p, '/', (size_t)(end - p));
	*ret_name = p;
	*ret_len = (size_t)((slash ? slash : end) - p);
	p += *ret_len;
	r->at += r->len - (size_t)(end - p);
	r->len = (size_t)(end - p);
	return true;
}

static bool is_dot(const char *name, size_t len)
{
	return len == 1 && name[0] == '.';
}

static bool is_dotdot(const char *name, size_t len)
{
	return len == 2 && name[0] == '.' && name[1] == '.';
}

static int follow(struct walk *w, const struct tree_node *link)
{
	if (!(w->flags & TREE_FOLLOW))
		return -ENOTDIR;
	if (++w->n_followed > TREE_LINKS_FOLLOWED)
		return -ELOOP;
	/* There is a place: no more are open than were followed. */
	w->rest[++w->depth] = (struct rest){.at = link->link.target, .len = link->link.len};
	if (tree_target(w->t, link)[0] == '/')
		w->at = TREE_ROOT;
	return 0;
}

static int make_parent(struct walk *w, const char *name, size_t len)
{
	const struct tree_attr attr = {.mode = S_IFDIR | 0755};
	char copy[TREE_NAME_MAX];

	/* It may be part of a symlink's target, in the memory that the tree is about to move. */
	memcpy(copy, name, len);
	return tree_put(w->t, w->at, copy, len, &attr, &w->at);
}

/* One component that must be, or lead to, a directory. */
static int enter(struct walk *w, const char *name, size_t len)
{
	uint32_t entry;
	int r;

	if (is_dot(name, len))
		return 0;
	if (is_dotdot(name, len)) {
		uint32_t own = w->t->nodes[w->at].dir.entry;
		if (own == TREE_NONE)
			return w->flags & TREE_CONTAIN ? -EXDEV : 0;
		w->at = w->t->entries[own].dir;
		return 0;
	}
	r = tree_check_name(name, len);
	if (r < 0)
		return r;
	entry = tree_find(w->t, w->at, name, len);
	if (entry == TREE_NONE)
		return w->flags & TREE_MKDIRS ? make_parent(w, name, len) : -ENOENT;
	uint32_t node = w->t->entries[entry].node;
	if (S_ISLNK(w->t->nodes[node].mode))
		return follow(w, &w->t->nodes[node]);
	if (!S_ISDIR(w->t->nodes[node].mode))
		return -ENOTDIR;
	w->at = node;
	return 0;
}

/* Splits off the last component of the path that is not "."; what is left of it are the parents. Refuses ".." anywhere. */
static int split_last(
	const struct tree *t, struct rest *path, const char **ret_name, size_t *ret_len)
{
	struct rest scan = *path;
	const char *name, *last = NULL;
	size_t len, last_len = 0;

	if (path->len && memchr(path->path, 0, path->len))
		return -EINVAL;
	while (next_component(t, &scan, &name, &len)) {
		if (is_dot(name, len))
			continue;
		if (is_dotdot(name, len))
			return -EINVAL;
		last = name;
		last_len = len;
	}
	*ret_name = last ? last : path->path;
	*ret_len = last_len;
	path->len = last ? (size_t)(last - path->path) : 0;
	return last_len > TREE_NAME_MAX ? -ENAMETOOLONG : 0;
}

int tree_walk(struct tree *t, const char *path, size_t len, unsigned flags, struct tree_place *ret)
{
	struct walk w = {
		.t = t, .flags = flags, .at = TREE_ROOT, .rest[0] = {path ? path : "", 0, len}};
	struct tree_place place = {.node = TREE_ROOT, .entry = TREE_NONE};
	const char *name;
	size_t n;
	int r = split_last(t, &w.rest[0], &place.name, &place.name_len);

	if (r < 0)
		return r;
	for (;;) {
		if (next_component(t, &w.rest[w.depth], &name, &n)) {
			r = enter(&w, name, n);
			if (r < 0)
				return r;
		} else if (w.depth == 0) {
			break;
		} else {
			w.depth--;
		}
	}
	place.dir = w.at;
	if (place.name_len) {
		place.entry = tree_find(t, w.at, place.name, place.name_len);
		place.node = place.entry == TREE_NONE ? TREE_NONE : t->entries[place.entry].node;
	}
	*ret = place;
	return 0;
}

int tree_lookup(
	const struct tree *t, uint32_t dir, const char *name, size_t name_len, uint32_t *ret_node)
{
	uint32_t entry;

	if (!tree_is_dir(t, dir))
		return -ENOTDIR;
	entry = tree_find(t, dir, name, name_len);
	if (entry == TREE_NONE)
		return -ENOENT;
	*ret_node = t->entries[entry].node;
	return 0;
}

/* Written from the end to the front, then moved. */
char *tree_path(const struct tree *t, uint32_t entry, char *ret, size_t ret_size)
{
	static const char cut[] = ".../";
	size_t at = ret_size - 1;

	ret[at] = 0;
	while (entry != TREE_NONE) {
		const struct tree_entry *e = &t->entries[entry];
		uint32_t above = t->nodes[e->dir].dir.entry;
		size_t slash = ret[at] != 0;
		/* What is above may need its place for the dots. */
		if (e->name_len + slash + (above == TREE_NONE ? 0 : sizeof(cut) - 1) > at) {
			size_t n = slash ? sizeof(cut) - 1 : 0;
			at -= n;
			memcpy(ret + at, cut, n);
			break;
		}
		at -= slash;
		memset(ret + at, '/', slash);
		at -= e->name_len;
		memcpy(ret + at, t->bytes + e->name, e->name_len);
		entry = above;
	}
	memmove(ret, ret + at, ret_size - at);
	return ret;
}
