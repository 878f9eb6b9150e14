/* SPDX-License-Identifier: BSD-3-Clause */
#include "recipe_cache.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>

#include "../chunker/core/cleanup.h"
#include "../chunker/core/fd.h"
#include "../chunker/core/log.h"

#define FILE_NAME_MAX (CHUNKID_HEX + sizeof(".recipe"))
#define UNUSED_S      (30 * 24 * 3600)

struct recipe_cache {
	int dir_fd;
};

static void file_name(const struct chunkid *digest, char ret[FILE_NAME_MAX])
{
	char hex[CHUNKID_HEX + 1];

	chunkid_format(digest, hex);
	snprintf(ret, FILE_NAME_MAX, "%s.recipe", hex);
}

static void sweep(int dir_fd)
{
	int fd = openat(dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = fd < 0 ? NULL : fdopendir(fd);
	const struct dirent *e;
	struct stat st;

	if (!d) {
		cleanup_closep(&fd);
		return;
	}
	while ((e = readdir(d)))
		if (e->d_name[0] != '.' &&
			fstatat(dir_fd, e->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
			S_ISREG(st.st_mode) && st.st_mtime < time(NULL) - UNUSED_S)
			unlinkat(dir_fd, e->d_name, 0);
	closedir(d);
}

int recipe_cache_open(int cache_fd, struct recipe_cache **ret, struct smr_error *err)
{
	auto_close int fd = -1;
	struct recipe_cache *c;
	int r;

	r = fd_mkdirs(cache_fd, "recipes", 0700);
	if (r < 0)
		return error_set_errno(err, r, "cannot make recipes/ in the cache directory");
	fd = openat(cache_fd, "recipes", O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return error_set_errno(err, -errno, "cannot open recipes/ in the cache directory");
	sweep(fd);
	c = malloc(sizeof(*c));
	if (!c)
		return -ENOMEM;
	c->dir_fd = take_fd(&fd);
	*ret = c;
	return 0;
}

void recipe_cache_close(struct recipe_cache *c)
{
	if (!c)
		return;
	close(c->dir_fd);
	free(c);
}

/* Copied, not mapped: a file that shrinks on a failing disk must not become a SIGBUS. */
static int read_recipe(int fd, struct recipe **ret)
{
	auto_free void *bytes = NULL;
	struct stat st;
	size_t n;
	int r;

	if (fstat(fd, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode) || (uint64_t)st.st_size > RECIPE_FILE_MAX)
		return -EBADMSG;
	bytes = malloc((size_t)st.st_size + 1);
	if (!bytes)
		return -ENOMEM;
	r = fd_read(fd, bytes, (size_t)st.st_size, &n);
	return r < 0 ? r : recipe_from_bytes(bytes, n, ret, NULL);
}

int recipe_cache_get(
	const struct recipe_cache *c, const struct chunkid *digest, struct recipe **ret)
{
	char name[FILE_NAME_MAX];
	struct recipe *recipe;
	int r;

	file_name(digest, name);
	auto_close int fd = openat(c->dir_fd, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	r = read_recipe(fd, &recipe);
	if (r == -ENOMEM)
		return r;
	if (r == 0 && !chunkid_equal(&recipe_info(recipe)->digest, digest)) {
		recipe_free(recipe);
		r = -EBADMSG;
	}
	if (r < 0) {
		log_debug("%s in the cache is damaged and was removed", name);
		unlinkat(c->dir_fd, name, 0);
		return -ENOENT;
	}
	futimens(fd, NULL); /* in use: not to be swept */
	*ret = recipe;
	return 0;
}

int recipe_cache_put(const struct recipe_cache *c, const struct recipe *r)
{
	char name[FILE_NAME_MAX];
	size_t n;
	const void *bytes = recipe_bytes(r, &n);

	file_name(&recipe_info(r)->digest, name);
	return fd_replace_file(c->dir_fd, name, bytes, n, 0400);
}
