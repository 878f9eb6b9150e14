/* SPDX-License-Identifier: BSD-3-Clause */
#include "fd.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cleanup.h"
#include "codec.h"

#define SPARSE_PAGE 4096u

int fd_read(int fd, void *data, size_t n, size_t *ret_n)
{
	size_t done = 0;
	while (done < n) {
		ssize_t r = read(fd, (char *)data + done, n - done);
		if (r < 0 && errno == EINTR)
			continue;
		if (r < 0)
			return -errno;
		if (r == 0)
			break;
		done += (size_t)r;
	}
	*ret_n = done;
	return 0;
}

int fd_pread(int fd, void *data, size_t n, uint64_t offset, size_t *ret_n)
{
	size_t done = 0;
	while (done < n) {
		ssize_t r = pread(fd, (char *)data + done, n - done, (off_t)(offset + done));
		if (r < 0 && errno == EINTR)
			continue;
		if (r < 0)
			return -errno;
		if (r == 0)
			break;
		done += (size_t)r;
	}
	*ret_n = done;
	return 0;
}

int fd_write(int fd, const void *data, size_t n)
{
	for (size_t done = 0; done < n;) {
		ssize_t r = write(fd, (const char *)data + done, n - done);
		if (r < 0 && errno == EINTR)
			continue;
		if (r < 0)
			return -errno;
		if (r == 0)
			return -EIO;
		done += (size_t)r;
	}
	return 0;
}

int fd_pwrite(int fd, const void *data, size_t n, uint64_t offset)
{
	for (size_t done = 0; done < n;) {
		ssize_t r = pwrite(fd, (const char *)data + done, n - done, (off_t)(offset + done));
		if (r < 0 && errno == EINTR)
			continue;
		if (r < 0)
			return -errno;
		if (r == 0)
			return -EIO;
		done += (size_t)r;
	}
	return 0;
}

int fd_pwrite_sparse(int fd, const void *data, size_t n, uint64_t offset)
{
	const char *p = data;
	size_t run = 0; /* start of the pages that wait to be written in one call */
	size_t pos = 0;
	while (pos < n) {
		/* pages of the file, not of the buffer: half of one must not keep the other half
		 * allocated */
		size_t page = SPARSE_PAGE - (size_t)((offset + pos) % SPARSE_PAGE);
		if (page > n - pos)
			page = n - pos;
		if (codec_is_zero(p + pos, page)) {
			int r = fd_pwrite(fd, p + run, pos - run, offset + run);
			if (r < 0)
				return r;
			run = pos + page;
		}
		pos += page;
	}
	return fd_pwrite(fd, p + run, n - run, offset + run);
}

/* Appends everything up to the end of the file. */
static int read_to_end(int fd, struct buf *b)
{
	struct stat st;
	if (fstat(fd, &st) < 0)
		return -errno;
	if (S_ISREG(st.st_mode)) {
		if ((uint64_t)st.st_size > b->max - b->len)
			return -EFBIG;
		int r = buf_reserve(b, (size_t)st.st_size);
		if (r < 0)
			return r;
	}
	for (;;) {
		/* The size was a hint: files of /proc say 0, others grow. */
		size_t room = b->cap - b->len;
		if (room > b->max - b->len)
			room = b->max - b->len;
		char probe;
		size_t n;
		int r = room > 0 ? fd_read(fd, b->data + b->len, room, &n)
				 : fd_read(fd, &probe, 1, &n);
		if (r < 0 || n == 0)
			return r;
		if (room > 0)
			b->len += n;
		else if ((r = buf_append(b, &probe, 1)) < 0)
			return r;
	}
}

int fd_read_file(int dirfd, const char *path, struct buf *b)
{
	auto_close int fd = openat(dirfd, path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	size_t before = b->len;
	int r = read_to_end(fd, b);
	if (r < 0)
		b->len = before;
	return r;
}

int fd_temp_name(const char *path, char *ret, size_t ret_size)
{
	static atomic_uint_fast64_t counter;
	uint64_t serial = atomic_fetch_add_explicit(&counter, 1, memory_order_relaxed);
	char name[PATH_MAX];
	int n = snprintf(name, sizeof(name), "%s.tmp.%ld.%llu", path, (long)getpid(),
		(unsigned long long)serial);
	if (n < 0 || (size_t)n >= sizeof(name) || (size_t)n >= ret_size)
		return -ENAMETOOLONG;
	memcpy(ret, name, (size_t)n + 1);
	return 0;
}

/* Creates a temporary file beside `path`. Returns the descriptor or a negative errno. */
static int open_temp(int dirfd, const char *path, mode_t mode, char *ret_name, size_t ret_size)
{
	for (int attempt = 0;; attempt++) {
		int r = fd_temp_name(path, ret_name, ret_size);
		if (r < 0)
			return r;
		int fd = openat(dirfd, ret_name,
			O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, mode);
		if (fd >= 0)
			return fd;
		/* one of a process that was killed and had our pid */
		if (errno != EEXIST || attempt == 1000)
			return -errno;
	}
}

static int sync_parent(int dirfd, const char *path)
{
	char dir[PATH_MAX] = ".";
	const char *slash = strrchr(path, '/');
	if (slash) {
		/* of "/file" the slash itself */
		size_t n = slash == path ? 1 : (size_t)(slash - path);
		if (n >= sizeof(dir))
			return -ENAMETOOLONG;
		memcpy(dir, path, n);
		dir[n] = '\0';
	}
	auto_close int fd = openat(dirfd, dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0 || fsync(fd) < 0)
		return -errno;
	return 0;
}

int fd_replace_file(int dirfd, const char *path, const void *data, size_t n, mode_t mode)
{
	char temp[PATH_MAX];
	auto_close int fd = open_temp(dirfd, path, mode, temp, sizeof(temp));
	if (fd < 0)
		return fd;
	int r = fd_write(fd, data, n);
	if (r == 0 && fsync(fd) < 0)
		r = -errno;
	if (r == 0 && renameat(dirfd, temp, dirfd, path) < 0)
		r = -errno;
	if (r < 0) {
		unlinkat(dirfd, temp, 0);
		return r;
	}
	return sync_parent(dirfd, path);
}

static int make_dir(int dirfd, const char *path, mode_t mode)
{
	if (mkdirat(dirfd, path, mode) == 0)
		return 0;
	/* Whatever it failed with: an automount point or a read-only tree says other things than
	 * EEXIST. */
	int code = -errno;
	struct stat st;
	if (fstatat(dirfd, path, &st, 0) == 0)
		return S_ISDIR(st.st_mode) ? 0 : -ENOTDIR;
	return code == -EEXIST ? -ENOTDIR : code;
}

int fd_mkdirs(int dirfd, const char *path, mode_t mode)
{
	char prefix[PATH_MAX];
	size_t len = strlen(path);
	if (len >= sizeof(prefix))
		return -ENAMETOOLONG;
	memcpy(prefix, path, len + 1);
	for (size_t i = 1; i < len; i++) {
		if (prefix[i] != '/' || prefix[i - 1] == '/')
			continue;
		prefix[i] = '\0';
		int r = make_dir(dirfd, prefix, mode);
		if (r < 0)
			return r;
		prefix[i] = '/';
	}
	return make_dir(dirfd, prefix, mode);
}

int fd_sealed_memfd(const char *name, const void *data, size_t n)
{
	auto_close int fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (fd < 0)
		return -errno;
	int r = fd_pwrite(fd, data, n, 0);
	if (r < 0)
		return r;
	if (fcntl(fd, F_ADD_SEALS, F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE) < 0)
		return -errno;
	return take_fd(&fd);
}
