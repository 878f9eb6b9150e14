// SPDX-License-Identifier: BSD-3-Clause
#include "dir_source.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "../core/cleanup.h"
#include "../core/fd.h"
#include "../core/idmap.h"
#include "../core/le.h"

#define XATTRS_MAX 1024u
#define READ_BYTES (256u << 10)

struct dir_source {
	struct layer_target *to;
	const char *path;
	int root; /* PATH */
	dev_t device;
	struct idmap *links; /* (device, inode) -> node, of files with several names */
	uint32_t *todo;      /* directories to look into: nodes */
	size_t n_todo, cap_todo;
	unsigned char *buffer; /* READ_BYTES */
	char *names,
		*values; /* of xattrs; XATTR_LIST_MAX, XATTR_SIZE_MAX bytes each but for values: see add */
	size_t n_values, cap_values;
};

/* What is being looked at. */
struct item {
	int dir; /* descriptor */
	const char *name;
	uint32_t parent; /* node */
	struct stat st;
	char said[256]; /* path, for messages */
};

static void say(const struct dir_source *d, uint32_t parent, const char *name, char ret[256])
{
	const struct tree_node *n = tree_node(d->to->tree, parent);
	char above[128] = "";

	if (n->dir.entry != TREE_NONE)
		tree_path(d->to->tree, n->dir.entry, above, sizeof(above));
	snprintf(ret, 256, "%s%s%.*s", above, *above ? "/" : "", 120, name);
}

/* ---- xattrs ---- */

static ssize_t list_xattrs(const struct dir_source *d, const char *proc, int fd)
{
	return fd >= 0 ? flistxattr(fd, d->names, XATTR_LIST_MAX)
		       : llistxattr(proc, d->names, XATTR_LIST_MAX);
}

static ssize_t get_xattr(const char *proc, int fd, const char *name, void *value, size_t n)
{
	return fd >= 0 ? fgetxattr(fd, name, value, n) : lgetxattr(proc, name, value, n);
}

/* Of `fd`, or where that is -1 of the name in its directory: neither follows it. */
static int take_xattrs(
	struct dir_source *d, const struct item *it, int fd, uint32_t *ret, struct smr_error *err)
{
	struct tree_xattr xattrs[XATTRS_MAX];
	char proc[sizeof("/proc/self/fd/2147483647/") + NAME_MAX + 1];
	size_t n = 0, at = 0;
	ssize_t len, value;

	snprintf(proc, sizeof(proc), "/proc/self/fd/%d/%s", it->dir, it->name);
	len = list_xattrs(d, proc, fd);
	if (len < 0 && errno != EOPNOTSUPP)
		return error_set_errno(err, -errno, "cannot read the xattrs of %s", it->said);
	for (const char *name = d->names; len > 0 && name < d->names + len;
		name += strlen(name) + 1) {
		if (n == XATTRS_MAX)
			return error_set(err, -E2BIG, "%s has too many xattrs", it->said);
		value = get_xattr(proc, fd, name, d->values + at, XATTR_SIZE_MAX - at);
		if (value < 0)
			return error_set_errno(
				err, -errno, "cannot read the xattr %s of %s", name, it->said);
		xattrs[n++] = (struct tree_xattr){.name = name,
			.name_len = strlen(name),
			.value = d->values + at,
			.value_len = (size_t)value};
		at += (size_t)value;
	}
	int r = tree_xattrs(d->to->tree, xattrs, n, ret);
	return r < 0 ? error_set_errno(err, r, "the xattrs of %s", it->said) : 0;
}

/* ---- contents ---- */

static int check_same(const struct item *it, int fd, struct smr_error *err)
{
	struct stat now;

	if (fstat(fd, &now) < 0)
		return error_set_errno(err, -errno, "%s", it->said);
	if (now.st_ino != it->st.st_ino || now.st_dev != it->st.st_dev ||
		now.st_mode != it->st.st_mode || now.st_size != it->st.st_size ||
		now.st_mtim.tv_sec != it->st.st_mtim.tv_sec ||
		now.st_mtim.tv_nsec != it->st.st_mtim.tv_nsec)
		return error_set(err, -ESTALE, "%s changed while it was read", it->said);
	return 0;
}

static int take_piece(
	struct dir_source *d, int fd, const struct item *it, uint64_t end, struct smr_error *err)
{
	uint64_t at = (uint64_t)lseek(fd, 0, SEEK_CUR);
	size_t n;
	int r = 0;

	while (r == 0 && at < end) {
		size_t want = end - at < READ_BYTES ? (size_t)(end - at) : READ_BYTES;
		if (d->to->cancel && atomic_load(d->to->cancel))
			return -ECANCELED;
		r = fd_pread(fd, d->buffer, want, at, &n);
		if (r < 0)
			return error_set_errno(err, r, "cannot read %s", it->said);
		if (n == 0)
			return error_set(err, -ESTALE, "%s shrank while it was read", it->said);
		r = spool_write(d->to->spool, d->buffer, n, err);
		at += n;
		if (r == 0 && d->to->progress)
			d->to->progress(d->to->user, n, 0);
	}
	return r < 0 ? error_wrap(err, r, "%s", it->said) : 0;
}

static int take_content(struct dir_source *d, int fd, const struct item *it,
	struct tree_content *ret, struct smr_error *err)
{
	uint64_t size = (uint64_t)it->st.st_size, at = 0;
	int r = 0;

	spool_begin(d->to->spool);
	while (r == 0 && at < size) {
		off_t data = lseek(fd, (off_t)at, SEEK_DATA), hole;
		if (data < 0 && errno == ENXIO)
			data = it->st.st_size;
		else if (data < 0)
			data = lseek(fd, (off_t)at, SEEK_SET); /* no holes on this file system */
		if ((uint64_t)data > size)
			data = (off_t)size;
		r = spool_skip(d->to->spool, (uint64_t)data - at, err);
		at = (uint64_t)data;
		if (r < 0 || at == size)
			break;
		hole = lseek(fd, data, SEEK_HOLE);
		if (hole < 0 || (uint64_t)hole > size)
			hole = (off_t)size;
		if (lseek(fd, data, SEEK_SET) != data)
			return error_set_errno(err, -errno, "cannot read %s", it->said);
		r = take_piece(d, fd, it, (uint64_t)hole, err);
		at = (uint64_t)hole;
	}
	return r < 0 ? r : spool_finish(d->to->spool, ret, err);
}

/* ---- files ---- */

/* One of several names of a file: 1 when the file is in the tree and this is linked to it. */
static int take_link(
	struct dir_source *d, const struct item *it, struct chunkid *ret_key, struct smr_error *err)
{
	uint8_t key[16];
	uint64_t node;
	int r;

	le_put64(key, it->st.st_dev);
	le_put64(key + 8, it->st.st_ino);
	chunkid_hash(key, sizeof(key), ret_key);
	if (!idmap_get(d->links, ret_key, &node))
		return 0;
	r = tree_link(d->to->tree, it->parent, it->name, strlen(it->name), (uint32_t)node);
	return r < 0 ? error_set_errno(err, r, "%s", it->said) : 1;
}

static int push(struct dir_source *d, uint32_t node)
{
	if (d->n_todo == d->cap_todo) {
		size_t cap = d->cap_todo ? d->cap_todo * 2 : 64;
		void *p = reallocarray(d->todo, cap, sizeof(*d->todo));
		if (!p)
			return -ENOMEM;
		d->todo = p;
		d->cap_todo = cap;
	}
	d->todo[d->n_todo++] = node;
	return 0;
}

static struct tree_attr attributes(const struct stat *st)
{
	return (struct tree_attr){
		.mode = st->st_mode & (S_IFMT | 07777),
		.uid = st->st_uid,
		.gid = st->st_gid,
		.mtime = st->st_mtim.tv_sec,
		.mtime_ns = (uint32_t)st->st_mtim.tv_nsec,
		.major = major(st->st_rdev),
		.minor = minor(st->st_rdev),
	};
}

/* Opens what has contents and fills in what is not in the stat. */
static int take_details(struct dir_source *d, struct item *it, struct tree_attr *attr,
	struct tree_content *content, char target[TREE_TARGET_MAX + 1], struct smr_error *err)
{
	int fd auto_close = -1, r = 0;

	if (S_ISREG(it->st.st_mode)) {
		fd = openat(it->dir, it->name,
			O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
		if (fd < 0)
			return error_set_errno(err, -errno, "cannot open %s", it->said);
		r = check_same(it, fd, err);
		if (r == 0)
			r = take_content(d, fd, it, content, err);
		if (r == 0)
			r = check_same(it, fd, err);
		attr->content = content;
	} else if (S_ISLNK(it->st.st_mode)) {
		ssize_t n = readlinkat(it->dir, it->name, target, TREE_TARGET_MAX + 1);
		if (n < 0 || n > TREE_TARGET_MAX)
			return error_set_errno(err, n < 0 ? -errno : -ENAMETOOLONG, "%s", it->said);
		attr->target = target;
		attr->target_len = (size_t)n;
	}
	return r < 0 ? r : take_xattrs(d, it, fd, &attr->xattrs, err);
}

static int take_item(struct dir_source *d, struct item *it, struct smr_error *err)
{
	struct tree_attr attr = attributes(&it->st);
	struct tree_content content;
	struct chunkid key;
	char target[TREE_TARGET_MAX + 1];
	bool several = !S_ISDIR(it->st.st_mode) && it->st.st_nlink > 1;
	uint32_t node;
	int r;

	if (d->to->used.entries++ == d->to->limits.entries)
		return error_set(err, -EFBIG, "more than %llu files; --max-entries allows more",
			(unsigned long long)d->to->limits.entries);
	r = several ? take_link(d, it, &key, err) : 0;
	if (r != 0)
		return r < 0 ? r : 0;
	r = take_details(d, it, &attr, &content, target, err);
	if (r < 0)
		return r;
	r = tree_put(d->to->tree, it->parent, it->name, strlen(it->name), &attr, &node);
	if (r < 0)
		return error_set_errno(err, r, "%s", it->said);
	if (several && idmap_put(d->links, &key, node) < 0)
		return -ENOMEM;
	/* What is mounted there is another file system's. */
	if (S_ISDIR(it->st.st_mode) && it->st.st_dev == d->device)
		r = push(d, node);
	return r;
}

/* ---- directories ---- */

/* From the root to the directory, a component at a time, none of them a symlink. */
static int open_node(struct dir_source *d, uint32_t node)
{
	const struct tree_node *n = tree_node(d->to->tree, node);
	char name[TREE_NAME_MAX + 1];
	int above auto_close = -1, fd;

	if (n->dir.entry == TREE_NONE)
		return openat(d->root, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	uint32_t depth = n->dir.depth;
	auto_free uint32_t *entries = calloc(depth, sizeof(*entries));
	if (!entries)
		return -ENOMEM;
	for (uint32_t i = depth; i-- > 0;) {
		entries[i] = tree_node(d->to->tree, node)->dir.entry;
		node = tree_entry(d->to->tree, entries[i])->dir;
	}
	for (uint32_t i = 0; i < depth; i++) {
		const struct tree_entry *e = tree_entry(d->to->tree, entries[i]);
		memcpy(name, tree_name(d->to->tree, e), e->name_len);
		name[e->name_len] = 0;
		fd = openat(
			i ? above : d->root, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		if (fd < 0)
			return -errno;
		if (above >= 0)
			close(above);
		above = fd;
	}
	return take_fd(&above);
}

static int take_directory(struct dir_source *d, uint32_t node, struct smr_error *err)
{
	struct item it = {.parent = node};
	struct dirent *e;
	int fd = open_node(d, node), r = 0;
	DIR *dir;

	say(d, node, "", it.said);
	if (fd < 0)
		return error_set_errno(err, fd, "cannot open %s", it.said);
	dir = fdopendir(fd);
	if (!dir) {
		close(fd);
		return -ENOMEM;
	}
	it.dir = fd;
	while (r == 0 && (errno = 0, e = readdir(dir))) {
		if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
			continue;
		it.name = e->d_name;
		say(d, node, e->d_name, it.said);
		if (d->to->cancel && atomic_load(d->to->cancel))
			r = -ECANCELED;
		else if (fstatat(fd, e->d_name, &it.st, AT_SYMLINK_NOFOLLOW) < 0)
			r = error_set_errno(err, -errno, "%s", it.said);
		else
			r = take_item(d, &it, err);
		if (r == 0 && d->to->progress)
			d->to->progress(d->to->user, 0, 1);
	}
	if (r == 0 && errno)
		r = error_set_errno(err, -errno, "cannot read %s", it.said);
	closedir(dir);
	return r;
}

static int take_root(struct dir_source *d, struct smr_error *err)
{
	struct item it = {.name = ".", .dir = d->root, .said = "its root"};
	struct tree_attr attr;
	int r;

	if (fstat(d->root, &it.st) < 0)
		return error_set_errno(err, -errno, "%s", d->path);
	d->device = it.st.st_dev;
	attr = attributes(&it.st);
	r = take_xattrs(d, &it, d->root, &attr.xattrs, err);
	if (r == 0)
		r = tree_set_dir(d->to->tree, TREE_ROOT, &attr);
	return r < 0 ? r : push(d, TREE_ROOT);
}

int dir_source_add(struct layer_target *to, const char *path, struct smr_error *err)
{
	struct dir_source d = {.to = to, .path = path};
	int r = 0;

	d.root = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (d.root < 0)
		return error_set_errno(err, -errno, "cannot open %s", path);
	d.links = idmap_new();
	d.buffer = malloc(READ_BYTES);
	d.names = malloc(XATTR_LIST_MAX);
	d.values = malloc(XATTR_SIZE_MAX);
	if (!d.links || !d.buffer || !d.names || !d.values)
		r = -ENOMEM;
	if (r == 0)
		r = take_root(&d, err);
	while (r == 0 && d.n_todo > 0)
		r = take_directory(&d, d.todo[--d.n_todo], err);
	close(d.root);
	idmap_free(d.links);
	free(d.buffer);
	free(d.names);
	free(d.values);
	free(d.todo);
	return r < 0 && r != -ECANCELED ? error_wrap(err, r, "%s", path) : r;
}
