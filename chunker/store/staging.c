/* SPDX-License-Identifier: BSD-3-Clause */
#include "staging.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "../core/cleanup.h"
#include "../core/fd.h"

#define STAGING_NAME_MAX 64
/* A writer's directory without a lock file was made this very moment, or by a writer that died
 * there. */
#define STAGING_UNLOCKED_AGE_S 60

struct staging {
	int root; /* not ours */
	int dir;
	int lock;
	char name[STAGING_NAME_MAX]; /* below STAGING_DIR */
	uint64_t next;               /* atomic */
};

static void closedirp(DIR **d)
{
	if (*d)
		closedir(*d);
}

static void file_name(uint64_t file, char ret[STAGING_NAME_MAX])
{
	snprintf(ret, STAGING_NAME_MAX, "%" PRIu64, file);
}

/* ---- sweeping ---- */

static DIR *open_dir(int at, const char *name)
{
	int fd = openat(at, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	DIR *d = fd < 0 ? NULL : fdopendir(fd);

	if (!d && fd >= 0)
		close(fd);
	return d;
}

/* Removes a writer's files, its lock file last, then its directory: cut off anywhere, it can be
 * swept again. */
static void remove_writer(int tmp, const char *name)
{
	DIR *d auto_with(closedirp) = open_dir(tmp, name);
	struct dirent *e;

	if (!d)
		return;
	while ((e = readdir(d))) {
		if (strcmp(e->d_name, "lock") != 0)
			unlinkat(dirfd(d), e->d_name, 0);
	}
	unlinkat(dirfd(d), "lock", 0);
	unlinkat(tmp, name, AT_REMOVEDIR);
}

static bool is_dead(int tmp, const char *name)
{
	char path[NAME_MAX + 8];
	struct stat st;

	snprintf(path, sizeof(path), "%s/lock", name);
	int fd auto_close = openat(tmp, path, O_RDWR | O_NOFOLLOW | O_CLOEXEC);
	if (fd >= 0)
		return flock(fd, LOCK_EX | LOCK_NB) == 0;
	return errno == ENOENT && fstatat(tmp, name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
	       time(NULL) - st.st_mtime > STAGING_UNLOCKED_AGE_S;
}

/* What cannot be swept stays: somebody else's, perhaps; it harms nobody. */
static void sweep(int tmp)
{
	DIR *d auto_with(closedirp) = open_dir(tmp, ".");
	struct dirent *e;

	if (!d)
		return;
	while ((e = readdir(d))) {
		if (strncmp(e->d_name, "w-", 2) == 0 && strlen(e->d_name) < STAGING_NAME_MAX &&
			is_dead(tmp, e->d_name))
			remove_writer(tmp, e->d_name);
	}
}

/* ---- opening ---- */

/* 0, -EEXIST: that name is taken or was swept from under us, try another; or a negative errno. */
static int claim(struct staging *s, int tmp)
{
	struct stat st;

	if (mkdirat(tmp, s->name, 0755) < 0)
		return -errno;
	s->dir = openat(tmp, s->name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (s->dir < 0)
		return errno == ENOENT ? -EEXIST : -errno;
	s->lock = openat(s->dir, "lock", O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
	if (s->lock < 0)
		return errno == ENOENT ? -EEXIST : -errno;
	if (flock(s->lock, LOCK_EX | LOCK_NB) < 0)
		return errno == EWOULDBLOCK ? -EEXIST : -errno;
	/* A sweeper that was quicker has unlinked the file that we hold now. */
	if (fstat(s->lock, &st) < 0)
		return -errno;
	return st.st_nlink == 0 ? -EEXIST : 0;
}

static void release(struct staging *s)
{
	if (s->lock >= 0)
		close(s->lock);
	if (s->dir >= 0)
		close(s->dir);
	s->lock = s->dir = -1;
}

static int claim_any(struct staging *s, int tmp)
{
	int r = -EEXIST;

	for (unsigned i = 0; i < 1000 && r == -EEXIST; i++) {
		snprintf(s->name, sizeof(s->name), "w-%ld-%u", (long)getpid(), i);
		r = claim(s, tmp);
		if (r < 0)
			release(s);
	}
	return r;
}

int staging_open(int root, struct staging **ret, struct smr_error *err)
{
	struct staging *s;
	int r = fd_mkdirs(root, STAGING_DIR, 0755);

	if (r < 0)
		return error_set_errno(err, r, "making " STAGING_DIR " in the store");
	int tmp auto_close = openat(root, STAGING_DIR, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (tmp < 0)
		return error_set_errno(err, -errno, "opening " STAGING_DIR " in the store");
	sweep(tmp);
	s = calloc(1, sizeof(*s));
	if (!s)
		return -ENOMEM;
	s->root = root;
	s->lock = s->dir = -1;
	r = claim_any(s, tmp);
	if (r < 0) {
		free(s);
		return error_set_errno(
			err, r, "making a directory below " STAGING_DIR " in the store");
	}
	*ret = s;
	return 0;
}

void staging_free(struct staging *s)
{
	if (!s)
		return;
	int tmp = openat(s->root, STAGING_DIR, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (tmp >= 0) {
		remove_writer(tmp, s->name);
		close(tmp);
	}
	release(s);
	free(s);
}

int staging_lock(int root, int *ret_fd)
{
	int r = fd_mkdirs(root, STAGING_DIR, 0755);

	if (r < 0)
		return r;
	int fd auto_close = openat(root, STAGING_DIR "/lock", O_RDWR | O_CREAT | O_CLOEXEC, 0644);
	if (fd < 0)
		return -errno;
	while (flock(fd, LOCK_EX) < 0) {
		if (errno != EINTR)
			return -errno;
	}
	*ret_fd = take_fd(&fd);
	return 0;
}

/* ---- files ---- */

int staging_write(struct staging *s, const void *data, size_t n, bool sync, uint64_t *ret_file)
{
	uint64_t file = __atomic_fetch_add(&s->next, 1, __ATOMIC_RELAXED);
	char name[STAGING_NAME_MAX];
	int r;

	file_name(file, name);
	int fd auto_close =
		openat(s->dir, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0644);
	if (fd < 0)
		return -errno;
	r = fd_write(fd, data, n);
	if (r == 0 && sync && fsync(fd) < 0)
		r = -errno;
	/* NFS and quotas report late. */
	if (close(take_fd(&fd)) < 0 && r == 0)
		r = -errno;
	if (r < 0) {
		unlinkat(s->dir, name, 0);
		return r;
	}
	*ret_file = file;
	return 0;
}

int staging_publish(struct staging *s, uint64_t file, const char *key)
{
	char name[STAGING_NAME_MAX];
	const char *slash = strrchr(key, '/');
	int r;

	file_name(file, name);
	if (renameat(s->dir, name, s->root, key) == 0)
		return 0;
	if (errno != ENOENT || !slash)
		return -errno;
	char *parent auto_free = strndup(key, (size_t)(slash - key));
	if (!parent)
		return -ENOMEM;
	r = fd_mkdirs(s->root, parent, 0755);
	if (r < 0)
		return r;
	return renameat(s->dir, name, s->root, key) < 0 ? -errno : 0;
}

void staging_discard(struct staging *s, uint64_t file)
{
	char name[STAGING_NAME_MAX];

	file_name(file, name);
	unlinkat(s->dir, name, 0);
}

int staging_sync_names(int root, const char *key)
{
	char *dir auto_free = strdup(key);

	if (!dir)
		return -ENOMEM;
	for (char *slash; (slash = strrchr(dir, '/'));) {
		*slash = '\0';
		int fd auto_close = openat(root, dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		if (fd < 0 || fsync(fd) < 0)
			return -errno;
	}
	int fd auto_close = openat(root, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return fd < 0 || fsync(fd) < 0 ? -errno : 0;
}
