// SPDX-License-Identifier: BSD-3-Clause
#include "layer_cache.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../core/cleanup.h"
#include "../core/fd.h"

struct layer_cache {
	int dir;
	uint64_t max_bytes;
};

int layer_cache_open(
	const char *dir, uint64_t max_bytes, struct layer_cache **ret, struct smr_error *err)
{
	struct layer_cache *c = calloc(1, sizeof(*c));
	struct stat st;
	int r = c ? fd_mkdirs(AT_FDCWD, dir, 0700) : -ENOMEM;

	if (r == 0) {
		c->max_bytes = max_bytes;
		c->dir = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		r = c->dir < 0 || fstat(c->dir, &st) < 0 ? -errno : 0;
		if (r == 0 && st.st_uid != geteuid())
			r = -EPERM;
		if (r < 0 && c->dir >= 0)
			close(c->dir);
	}
	if (r < 0) {
		free(c);
		return r == -EPERM ? error_set(err, r, "%s belongs to another user", dir)
				   : error_set_errno(err, r, "cannot use %s", dir);
	}
	*ret = c;
	return 0;
}

void layer_cache_free(struct layer_cache *c)
{
	if (!c)
		return;
	close(c->dir);
	free(c);
}

/* ---- one layer ---- */

static bool is_layer(const struct stat *st, uint64_t size)
{
	return S_ISREG(st->st_mode) && (uint64_t)st->st_size == size;
}

bool layer_cache_has(const struct layer_cache *c, const struct chunkid *digest, uint64_t size)
{
	char name[CHUNKID_HEX + 1];
	struct stat st;

	chunkid_format(digest, name);
	return fstatat(c->dir, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && is_layer(&st, size);
}

int layer_cache_get(const struct layer_cache *c, const struct chunkid *digest, uint64_t size)
{
	char name[CHUNKID_HEX + 1];
	struct stat st;
	int fd auto_close = -1;

	chunkid_format(digest, name);
	fd = openat(c->dir, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st) < 0 || !is_layer(&st, size))
		return -ENOENT;
	futimens(fd, NULL); /* the time of modification is that of the last use */
	return take_fd(&fd);
}

void layer_cache_drop(const struct layer_cache *c, const struct chunkid *digest)
{
	char name[CHUNKID_HEX + 1];

	chunkid_format(digest, name);
	unlinkat(c->dir, name, 0);
}

int layer_cache_create(const struct layer_cache *c)
{
	int fd = openat(c->dir, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);

	return fd < 0 ? -errno : fd;
}

/* ---- room ---- */

struct kept {
	char name[CHUNKID_HEX + 1];
	struct timespec used;
	uint64_t bytes;
};

static int by_age(const void *a, const void *b)
{
	const struct kept *x = a, *y = b;

	if (x->used.tv_sec != y->used.tv_sec)
		return x->used.tv_sec < y->used.tv_sec ? -1 : 1;
	return (x->used.tv_nsec > y->used.tv_nsec) - (x->used.tv_nsec < y->used.tv_nsec);
}

/* All files that are ours by name. *ret is to be freed. */
static int list_kept(DIR *d, struct kept **ret, size_t *ret_n)
{
	struct kept *all = NULL;
	size_t n = 0, room = 0;
	struct chunkid id;
	struct dirent *e;
	struct stat st;

	while ((e = readdir(d))) {
		if (strlen(e->d_name) != CHUNKID_HEX || chunkid_parse(e->d_name, &id) < 0 ||
			fstatat(dirfd(d), e->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0)
			continue;
		if (n == room) {
			size_t more = room ? 2 * room : 64;
			struct kept *grown = reallocarray(all, more, sizeof(*all));

			if (!grown) {
				free(all);
				return -ENOMEM;
			}
			all = grown;
			room = more;
		}
		memcpy(all[n].name, e->d_name, sizeof(all[n].name));
		all[n].used = st.st_mtim;
		all[n++].bytes = (uint64_t)st.st_blocks * 512;
	}
	*ret = all;
	*ret_n = n;
	return 0;
}

static void make_room(const struct layer_cache *c, const char *but)
{
	auto_free struct kept *all = NULL;
	uint64_t sum = 0;
	size_t n = 0;
	int fd = openat(c->dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = fd < 0 ? NULL : fdopendir(fd);

	if (!d) {
		if (fd >= 0)
			close(fd);
		return;
	}
	if (list_kept(d, &all, &n) == 0 && n > 0)
		qsort(all, n, sizeof(*all), by_age);
	for (size_t i = 0; i < n; i++)
		sum += all[i].bytes;
	for (size_t i = 0; i < n && sum > c->max_bytes; i++) {
		if (strcmp(all[i].name, but) == 0 || unlinkat(dirfd(d), all[i].name, 0) < 0)
			continue;
		sum -= all[i].bytes;
	}
	closedir(d);
}

void layer_cache_keep(
	const struct layer_cache *c, int fd, const struct chunkid *digest, uint64_t size)
{
	char name[CHUNKID_HEX + 1], path[64];

	if (size > c->max_bytes)
		return;
	chunkid_format(digest, name);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	if (linkat(AT_FDCWD, path, c->dir, name, AT_SYMLINK_FOLLOW) == 0)
		make_room(c, name);
}
