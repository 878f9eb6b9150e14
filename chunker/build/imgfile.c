/* SPDX-License-Identifier: BSD-3-Clause */
#include "imgfile.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "../core/cleanup.h"
#include "../core/fd.h"

static int image_size(
	int fd, const struct stat *st, const char *path, uint64_t *ret, struct smr_error *err)
{
	uint64_t size = 0;
	if (S_ISREG(st->st_mode))
		size = (uint64_t)st->st_size;
	else if (!S_ISBLK(st->st_mode))
		return error_set(
			err, -EINVAL, "%s is neither a regular file nor a block device", path);
	else if (ioctl(fd, BLKGETSIZE64, &size) < 0)
		return error_set_errno(err, -errno, "%s: cannot tell the size of the device", path);
	if (size == 0)
		return error_set(err, -EINVAL, "%s is empty", path);
	*ret = size;
	return 0;
}

int imgfile_open(struct imgfile *ret, const char *path, struct smr_error *err)
{
	/* Non-blocking, or opening a fifo by mistake would hang. */
	auto_close int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	if (fd < 0)
		return error_set_errno(err, -errno, "cannot open %s", path);

	struct imgfile f = {.path = path};
	if (fstat(fd, &f.st) < 0)
		return error_set_errno(err, -errno, "%s", path);
	int r = image_size(fd, &f.st, path, &f.size, err);
	if (r < 0)
		return r;
	/* ENXIO is an answer too: nothing but a hole. Block devices and some file systems say
	 * EINVAL. */
	f.has_holes = lseek(fd, 0, SEEK_DATA) >= 0 || errno == ENXIO;
	posix_fadvise(fd, 0, 0, POSIX_FADV_SEQUENTIAL);
	f.fd = take_fd(&fd);
	*ret = f;
	return 0;
}

void imgfile_close(struct imgfile *f)
{
	if (f->fd >= 0)
		close(f->fd);
	f->fd = -1;
}

int imgfile_next_data(struct imgfile *f, uint64_t offset, uint64_t *ret_start, uint64_t *ret_end,
	struct smr_error *err)
{
	if (offset >= f->size)
		return -ENXIO;
	if (!f->has_holes) {
		*ret_start = offset;
		*ret_end = f->size;
		return 0;
	}

	off_t start = lseek(f->fd, (off_t)offset, SEEK_DATA);
	if (start < 0)
		return errno == ENXIO ? -ENXIO : error_set_errno(err, -errno, "%s", f->path);
	off_t end = lseek(f->fd, start, SEEK_HOLE);
	if (end < 0)
		return error_set_errno(err, -errno, "%s", f->path);
	if ((uint64_t)start >= f->size) /* it has grown; imgfile_check will say so */
		return -ENXIO;
	*ret_start = (uint64_t)start;
	*ret_end = (uint64_t)end < f->size ? (uint64_t)end : f->size;
	return 0;
}

static int changed(const struct imgfile *f, const char *how, struct smr_error *err)
{
	return error_set(err, -ESTALE,
		"%s %s while it was being read; try again when nothing writes to it", f->path, how);
}

int imgfile_read(
	const struct imgfile *f, void *data, size_t n, uint64_t offset, struct smr_error *err)
{
	size_t want = 0;
	if (offset < f->size)
		want = f->size - offset < n ? (size_t)(f->size - offset) : n;
	size_t got = 0;
	int r = fd_pread(f->fd, data, want, offset, &got);
	if (r < 0)
		return error_set_errno(
			err, r, "cannot read %s at %llu", f->path, (unsigned long long)offset);
	if (got < want)
		return changed(f, "has shrunk", err);
	memset((char *)data + want, 0, n - want);
	return 0;
}

static bool same_time(const struct timespec *a, const struct timespec *b)
{
	return a->tv_sec == b->tv_sec && a->tv_nsec == b->tv_nsec;
}

int imgfile_check(const struct imgfile *f, struct smr_error *err)
{
	struct stat st;
	if (fstat(f->fd, &st) < 0)
		return error_set_errno(err, -errno, "%s", f->path);
	uint64_t size = 0;
	int r = image_size(f->fd, &st, f->path, &size, NULL);
	if (r < 0 || size != f->size)
		return changed(f, size < f->size ? "has shrunk" : "has grown", err);
	/* ctime as well: a writer may set mtime back. The times of a device node say nothing about
	 * the device. */
	if (S_ISREG(st.st_mode) && (!same_time(&st.st_mtim, &f->st.st_mtim) ||
					   !same_time(&st.st_ctim, &f->st.st_ctim)))
		return changed(f, "was changed", err);
	return 0;
}

static int source_next_data(
	void *of, uint64_t offset, uint64_t *ret_start, uint64_t *ret_end, struct smr_error *err)
{
	return imgfile_next_data(of, offset, ret_start, ret_end, err);
}

static int source_read(void *of, void *data, size_t n, uint64_t offset, struct smr_error *err)
{
	return imgfile_read(of, data, n, offset, err);
}

static int source_check(void *of, struct smr_error *err)
{
	return imgfile_check(of, err);
}

struct imgsource imgfile_source(struct imgfile *f)
{
	return (struct imgsource){
		.name = f->path,
		.size = f->size,
		.of = f,
		.next_data = source_next_data,
		.read = source_read,
		.check = source_check,
	};
}
