/* SPDX-License-Identifier: BSD-3-Clause */
/* A folder for one test: made with mode 0700 below TMPDIR, removed with all that is in it. */
#ifndef TESTS_UNIT_TEMPDIR_H
#define TESTS_UNIT_TEMPDIR_H

#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <unistd.h>

struct tempdir {
	char path[PATH_MAX / 2];
	int fd;
};

static inline int tempdir_remove_one(
	const char *path, const struct stat *st, int type, struct FTW *where)
{
	(void)st;
	(void)type;
	(void)where;
	return remove(path);
}

/* Aborts when it cannot. */
static inline void tempdir_init(struct tempdir *t)
{
	const char *base = getenv("TMPDIR");

	snprintf(t->path, sizeof(t->path), "%s/smr-test.XXXXXX", base ? base : "/tmp");
	if (!mkdtemp(t->path))
		abort();
	t->fd = open(t->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (t->fd < 0)
		abort();
}

static inline void tempdir_done(struct tempdir *t)
{
	close(t->fd);
	nftw(t->path, tempdir_remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

/* Mounts a tmpfs of that many bytes on the folder, in a mount namespace of this process alone.
 * false: not allowed. */
static inline bool tempdir_make_small(struct tempdir *t, size_t bytes)
{
	char options[64];

	snprintf(options, sizeof(options), "size=%zu,mode=0700", bytes);
	if (unshare(CLONE_NEWNS) < 0 || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
		mount("small", t->path, "tmpfs", 0, options) < 0)
		return false;
	close(t->fd);
	t->fd = open(t->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return t->fd >= 0;
}

static inline void tempdir_unmount(struct tempdir *t)
{
	close(t->fd);
	umount(t->path);
	t->fd = open(t->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

#endif
