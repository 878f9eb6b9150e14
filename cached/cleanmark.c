/* SPDX-License-Identifier: BSD-3-Clause */
#include "cleanmark.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "../chunker/core/chunkid.h"
#include "../chunker/core/cleanup.h"
#include "../chunker/core/fd.h"
#include "../chunker/core/le.h"

#define NAME    "clean"
#define MAGIC   "smrindex"
#define VERSION 2
#define BYTES   72

static int hash_file(int fd, uint64_t size, struct chunkid *ret)
{
	const size_t step = 1 << 20;
	struct chunkid_hasher *h = chunkid_hasher_new();
	auto_free void *data = malloc(step);
	int r = h && data ? 0 : -ENOMEM;

	for (uint64_t at = 0; r == 0 && at < size;) {
		size_t n;

		r = fd_pread(fd, data, step, at, &n);
		if (r < 0)
			break;
		if (n == 0)
			r = -EBADMSG; /* it shrinks as we read */
		chunkid_hasher_add(h, data, n);
		at += n;
	}
	if (r == 0)
		chunkid_hasher_finish(h, ret);
	chunkid_hasher_free(h);
	return r;
}

/* The mark that `file` would get as it is now. With `sync` it is made durable first: fsync, not
 * fdatasync, which would leave the old ctime on disk. */
static int describe(int dir_fd, const char *file, bool sync, uint8_t ret[BYTES])
{
	auto_close int fd = openat(dir_fd, file, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	struct chunkid hash;
	struct stat st;
	int r;

	if (fd < 0 || (sync && fsync(fd) < 0) || fstat(fd, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode))
		return -EBADMSG;
	r = hash_file(fd, (uint64_t)st.st_size, &hash);
	if (r < 0)
		return r;
	memcpy(ret, MAGIC, 8);
	le_put32(ret + 8, VERSION);
	le_put32(ret + 12, 0);
	le_put64(ret + 16, (uint64_t)st.st_size);
	le_put64(ret + 24, st.st_ino);
	le_put64(
		ret + 32, (uint64_t)((int64_t)st.st_ctim.tv_sec * 1000000000 + st.st_ctim.tv_nsec));
	memcpy(ret + 40, hash.b, CHUNKID_BYTES);
	return 0;
}

bool cleanmark_fits(int dir_fd, const char *file)
{
	uint8_t now[BYTES];
	struct buf mark;
	bool fits;

	buf_init(&mark, BYTES);
	fits = fd_read_file(dir_fd, NAME, &mark) == 0 && mark.len == BYTES &&
	       describe(dir_fd, file, false, now) == 0 && memcmp(mark.data, now, BYTES) == 0;
	buf_done(&mark);
	return fits;
}

int cleanmark_leave(int dir_fd, const char *file)
{
	uint8_t mark[BYTES];
	int r = describe(dir_fd, file, true, mark);

	return r < 0 ? r : fd_replace_file(dir_fd, NAME, mark, BYTES, 0600);
}

int cleanmark_remove(int dir_fd)
{
	if (unlinkat(dir_fd, NAME, 0) < 0)
		return errno == ENOENT ? 0 : -errno;
	return fsync(dir_fd) < 0 ? -errno : 0;
}
