/* SPDX-License-Identifier: BSD-3-Clause */
#include "pool.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/magic.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/vfs.h>

#include "../chunker/core/cleanup.h"
#include "../chunker/core/codec.h"
#include "../chunker/core/fd.h"

#define TEMP_PREFIX ".tmp."

/* "ab/" and the longest name in it. */
#define PATH_BYTES (3 + CHUNKID_HEX + 1)

struct pool {
	int fd; /* CACHE/pool */
	pid_t pid;
	/* Numbers of temporaries: handed out from a random start, so that a scan tells its own
	 * living ones from those of a dead process that had the same pid, which is common in
	 * containers. */
	uint64_t temp_first;
	_Atomic uint64_t temp_next;
};

bool pool_stamp_equal(const struct pool_stamp *a, const struct pool_stamp *b)
{
	return a->ino == b->ino && a->ctime_ns == b->ctime_ns && a->size == b->size;
}

/* -EBADMSG: not something that can hold a chunk. */
static int stamp_of(const struct stat *st, struct pool_stamp *ret)
{
	if (!S_ISREG(st->st_mode) || st->st_size < 0 || st->st_size > CODEC_CHUNK_MAX)
		return -EBADMSG;
	*ret = (struct pool_stamp){
		.ino = st->st_ino,
		.ctime_ns = (int64_t)st->st_ctim.tv_sec * 1000000000 + st->st_ctim.tv_nsec,
		.size = (uint32_t)st->st_size,
		.bytes = st->st_blocks > UINT32_MAX / 512 ? UINT32_MAX
							  : (uint32_t)st->st_blocks * 512,
	};
	return 0;
}

static void chunk_path(const struct chunkid *id, char ret[PATH_BYTES])
{
	chunkid_format(id, ret + 3);
	ret[0] = ret[3];
	ret[1] = ret[4];
	ret[2] = '/';
}

/* ---- opening ---- */

/* Whoever may write to a folder above the files can put others in their place, also after they were
 * checked. */
static int check_owner(int fd, const char *what, struct smr_error *err)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return error_set_errno(err, -errno, "%s", what);
	if (st.st_uid != geteuid())
		return error_set(err, -EPERM, "%s belongs to uid %u, not to uid %u", what,
			(unsigned)st.st_uid, (unsigned)geteuid());
	if (st.st_mode & (S_IWGRP | S_IWOTH))
		return error_set(err, -EPERM, "%s is writable by others; chmod go-w it", what);
	return 0;
}

int pool_open(int cache_fd, struct pool **ret, struct smr_error *err)
{
	auto_close int fd = -1;
	struct statfs fs;
	struct pool *p;
	uint32_t start;
	int r;

	r = check_owner(cache_fd, "the cache directory", err);
	if (r < 0)
		return r;
	if (mkdirat(cache_fd, "pool", 0700) < 0 && errno != EEXIST)
		return error_set_errno(err, -errno, "cannot make the cache's folder 'pool'");
	fd = openat(cache_fd, "pool", O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return error_set_errno(err, -errno, "cannot open the cache's folder 'pool'");
	r = check_owner(fd, "the cache's folder 'pool'", err);
	if (r < 0)
		return r;
	if (fstatfs(fd, &fs) < 0)
		return error_set_errno(err, -errno, "the cache's folder 'pool'");
	if (fs.f_type == FUSE_SUPER_MAGIC)
		return error_set(err, -ENOTSUP,
			"the cache directory is on a FUSE file system; choose one on a local disk");
	if (getrandom(&start, sizeof(start), 0) != sizeof(start))
		return error_set_errno(err, -errno, "no random numbers");

	p = malloc(sizeof(*p));
	if (!p)
		return -ENOMEM;
	p->fd = take_fd(&fd);
	p->pid = getpid();
	p->temp_first = (uint64_t)start << 16;
	atomic_init(&p->temp_next, p->temp_first);
	*ret = p;
	return 0;
}

void pool_close(struct pool *p)
{
	if (!p)
		return;
	close(p->fd);
	free(p);
}

/* ---- one chunk ---- */

int pool_get(
	const struct pool *p, const struct chunkid *id, int *ret_fd, struct pool_stamp *ret_stamp)
{
	auto_close int fd = -1;
	char path[PATH_BYTES];
	struct stat st;
	int r;

	chunk_path(id, path);
	/* NONBLOCK, lest something that is not a file makes the open wait for it. */
	fd = openat(p->fd, path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	if (fd < 0)
		return errno == ELOOP || errno == ENXIO ? -EBADMSG : -errno;
	if (fstat(fd, &st) < 0)
		return -errno;
	r = stamp_of(&st, ret_stamp);
	if (r < 0)
		return r;
	*ret_fd = take_fd(&fd);
	return 0;
}

/* Creates a temporary in the folder of `path`; its name goes to `temp`. A descriptor for writing or
 * a negative errno. */
static int create_temp(struct pool *p, const char *path, char temp[PATH_BYTES])
{
	bool made_folder = false;

	for (;;) {
		uint64_t n = atomic_fetch_add_explicit(&p->temp_next, 1, memory_order_relaxed);
		int fd;

		snprintf(
			temp, PATH_BYTES, "%.3s" TEMP_PREFIX "%ld.%" PRIu64, path, (long)p->pid, n);
		fd = openat(
			p->fd, temp, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0400);
		if (fd >= 0)
			return fd;
		if (errno == ENOENT && !made_folder) {
			char folder[3] = {path[0], path[1], 0};

			if (mkdirat(p->fd, folder, 0700) < 0 && errno != EEXIST)
				return -errno;
			made_folder = true;
		} else if (errno != EEXIST && errno != EINTR) {
			return -errno;
		}
	}
}

/* Fills the temporary and opens it again for reading. The writing descriptor is closed here, with
 * its errors looked at: network file systems and quotas report there, and write back what would
 * change the ctime later. */
static int fill_temp(const struct pool *p, const char *temp, int write_fd, const void *data,
	size_t n, int *ret_fd)
{
	int r = 0, fd;

	if (ftruncate(write_fd, (off_t)n) < 0)
		r = -errno;
	if (r == 0)
		r = fd_pwrite_sparse(write_fd, data, n, 0);
	if (close(write_fd) < 0 && r == 0 && errno != EINTR)
		r = -errno;
	if (r < 0)
		return r;
	fd = openat(p->fd, temp, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	*ret_fd = fd;
	return 0;
}

int pool_put(struct pool *p, const struct chunkid *id, const void *data, size_t n, int *ret_fd,
	struct pool_stamp *ret_stamp)
{
	char path[PATH_BYTES], temp[PATH_BYTES];
	auto_close int fd = -1;
	const char *remains = temp;
	struct pool_stamp stamp;
	struct stat st;
	int r;

	chunk_path(id, path);
	r = create_temp(p, path, temp);
	if (r < 0)
		return r;
	r = fill_temp(p, temp, r, data, n, &fd);
	if (r < 0)
		goto fail;
	if (renameat(p->fd, temp, p->fd, path) < 0) {
		r = -errno;
		goto fail;
	}
	remains = path;
	/* Only now: the rename changed the ctime. */
	if (fstat(fd, &st) < 0) {
		r = -errno;
		goto fail;
	}
	r = stamp_of(&st, &stamp);
	if (r < 0)
		goto fail;
	*ret_fd = take_fd(&fd);
	*ret_stamp = stamp;
	return 0;
fail:
	unlinkat(p->fd, remains, 0);
	return r;
}

int pool_verify(int fd, const struct chunkid *id, void *scratch, size_t n)
{
	struct chunkid got;
	struct stat st;
	size_t len;

	if (fstat(fd, &st) < 0 || (uint64_t)st.st_size != n)
		return -EBADMSG;
	if (fd_pread(fd, scratch, n, 0, &len) < 0 || len != n)
		return -EBADMSG;
	chunkid_hash(scratch, n, &got);
	return chunkid_equal(&got, id) ? 0 : -EBADMSG;
}

int pool_remove(const struct pool *p, const struct chunkid *id)
{
	char path[PATH_BYTES];

	chunk_path(id, path);
	if (unlinkat(p->fd, path, 0) == 0 || errno == ENOENT)
		return 0;
	/* An empty directory of that name would keep the chunk out of the pool for ever. */
	if (errno == EISDIR && unlinkat(p->fd, path, AT_REMOVEDIR) == 0)
		return 0;
	return -errno;
}

/* ---- all chunks ---- */

static void cleanup_closedirp(DIR **d)
{
	if (*d)
		closedir(*d);
}

/* Is `name` a temporary that nobody writes any more? One engine owns the directory, so a living one
 * is ours. */
static bool is_dead_temp(const struct pool *p, const char *name)
{
	uint64_t n;
	long pid;
	int end = 0;

	if (sscanf(name, TEMP_PREFIX "%ld.%" SCNu64 "%n", &pid, &n, &end) != 2 || name[end])
		return false;
	return pid != (long)p->pid || n < p->temp_first ||
	       n >= atomic_load_explicit(&p->temp_next, memory_order_relaxed);
}

/* A readable stream of a folder below `fd`; NULL and errno. */
static DIR *open_folder(int fd, const char *name)
{
	auto_close int sub = openat(fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	DIR *d;

	if (sub < 0)
		return NULL;
	d = fdopendir(sub);
	if (d)
		take_fd(&sub);
	return d;
}

static int scan_folder(const struct pool *p, const char folder[3],
	int (*visit)(void *user, const struct chunkid *id, const struct pool_stamp *stamp),
	void *user)
{
	auto_with(cleanup_closedirp) DIR *d = open_folder(p->fd, folder);
	struct dirent *e;

	if (!d)
		return errno == ENOENT || errno == ENOTDIR || errno == ELOOP ? 0 : -errno;
	while (errno = 0, (e = readdir(d)) != NULL) {
		struct pool_stamp stamp;
		struct chunkid id;
		struct stat st;
		int r;

		if (is_dead_temp(p, e->d_name)) {
			unlinkat(dirfd(d), e->d_name, 0);
			continue;
		}
		if (strlen(e->d_name) != CHUNKID_HEX || chunkid_parse(e->d_name, &id) < 0 ||
			memcmp(e->d_name, folder, 2) != 0)
			continue;
		if (fstatat(dirfd(d), e->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0) {
			if (errno == ENOENT) /* evicted meanwhile */
				continue;
			return -errno;
		}
		if (stamp_of(&st, &stamp) < 0)
			continue;
		r = visit(user, &id, &stamp);
		if (r)
			return r;
	}
	return -errno;
}

int pool_scan(const struct pool *p,
	int (*visit)(void *user, const struct chunkid *id, const struct pool_stamp *stamp),
	void *user)
{
	for (unsigned i = 0; i < 256; i++) {
		char folder[3];
		int r;

		snprintf(folder, sizeof(folder), "%02x", i);
		r = scan_folder(p, folder, visit, user);
		if (r)
			return r;
	}
	return 0;
}

int pool_disk_free(const struct pool *p, uint64_t *ret)
{
	struct statvfs st;

	if (fstatvfs(p->fd, &st) < 0)
		return -errno;
	*ret = (uint64_t)st.f_bavail * st.f_frsize;
	return 0;
}

int pool_sync(const struct pool *p)
{
	return syncfs(p->fd) < 0 ? -errno : 0;
}
