// SPDX-License-Identifier: BSD-3-Clause
#include "archive_index.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "../core/cleanup.h"
#include "../core/fd.h"
#include "decompress.h"
#include "spool.h"
#include "tar_reader.h"

#define READ_BYTES (64u << 10)

/* ---- the archive as a file that can be read anywhere ---- */

static int read_fd(void *user, void *data, size_t n, size_t *ret_n, struct smr_error *err)
{
	int r = fd_read(*(int *)user, data, n, ret_n);

	return r < 0 ? error_set_errno(err, r, "cannot read") : 0;
}

static int copy(struct decompress *d, int to, uint64_t max, const atomic_bool *cancel,
	struct smr_error *err)
{
	auto_free char *buffer = malloc(READ_BYTES);
	uint64_t total = 0;
	size_t n;
	int r = buffer ? 0 : -ENOMEM;

	do {
		if (r == 0 && cancel && atomic_load(cancel))
			r = -ECANCELED;
		if (r == 0)
			r = decompress_read(d, buffer, READ_BYTES, &n, err);
		if (r < 0)
			return r;
		total += n;
		if (total > max)
			return error_set(err, -EFBIG,
				"more than %llu bytes are compressed in it; --max-size allows more",
				(unsigned long long)max);
		r = fd_write(to, buffer, n);
		if (r < 0)
			return error_set_errno(err, r, "cannot write a temporary file");
	} while (n == READ_BYTES);
	return 0;
}

static bool is_compressed(int fd)
{
	unsigned char b[4];
	size_t n;

	if (fd_pread(fd, b, sizeof(b), 0, &n) < 0 || n < 4)
		return false;
	return memcmp(b, "\x1f\x8b", 2) == 0 || memcmp(b, "\x28\xb5\x2f\xfd", 4) == 0;
}

static int decompress_all(
	int fd, const struct source_options *opts, int *ret_fd, struct smr_error *err)
{
	struct limits limits = limits_or_defaults(opts->limits);
	int temp auto_close = spool_open_temp(opts->temp_dir, err), r = temp;
	struct decompress *d =
		temp < 0 ? NULL : decompress_new(read_fd, &fd, limits.ratio, LIMITS_RATIO_FROM);

	if (temp >= 0)
		r = d ? copy(d, temp, limits.bytes, opts->cancel, err) : -ENOMEM;
	decompress_free(d);
	if (r == 0)
		*ret_fd = take_fd(&temp);
	return r;
}

static int open_archive(struct archive_index *a, const char *path,
	const struct source_options *opts, struct smr_error *err)
{
	int fd auto_close = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK), r = 0;
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0)
		return error_set_errno(err, -errno, "cannot open");
	if (!S_ISREG(st.st_mode))
		return error_set(err, -EINVAL, "no regular file");
	if (is_compressed(fd))
		r = decompress_all(fd, opts, &a->fd, err);
	else
		a->fd = take_fd(&fd);
	if (r == 0 && fstat(a->fd, &st) < 0)
		r = -errno;
	if (r == 0)
		a->size = (uint64_t)st.st_size;
	return r;
}

/* ---- what is in it ---- */

struct scan {
	struct archive_index *a;
	uint64_t at;
	unsigned char buffer[READ_BYTES];
};

static int scan_read(void *user, const void **ret_data, size_t *ret_n, struct smr_error *err)
{
	struct scan *s = user;
	int r = fd_pread(s->a->fd, s->buffer, sizeof(s->buffer), s->at, ret_n);

	if (r < 0)
		return error_set_errno(err, r, "cannot read");
	s->at += *ret_n;
	*ret_data = s->buffer;
	return 0;
}

static int scan_skip(void *user, uint64_t n, struct smr_error *err)
{
	struct scan *s = user;

	if (n > s->a->size || s->at > s->a->size - n)
		return error_set(err, -EBADMSG, "the archive is cut off");
	s->at += n;
	return 0;
}

static const char *without_dot(const char *path)
{
	while (path[0] == '.' && path[1] == '/')
		path += 2;
	return path;
}

static int add_member(struct archive_index *a, const struct tar_member *m, struct smr_error *err)
{
	struct archive_member *to;

	if (!S_ISREG(m->mode) && !S_ISLNK(m->mode))
		return 0;
	if (a->n_members == ARCHIVE_MEMBERS_MAX)
		return error_set(err, -EFBIG, "more than %u files in it", ARCHIVE_MEMBERS_MAX);
	if (a->n_members == a->cap_members) {
		size_t cap = a->cap_members ? a->cap_members * 2 : 64;
		void *p = reallocarray(a->members, cap, sizeof(*a->members));
		if (!p)
			return -ENOMEM;
		a->members = p;
		a->cap_members = cap;
	}
	to = &a->members[a->n_members++];
	*to = (struct archive_member){.path = strdup(without_dot(m->path)),
		.target = m->target ? strdup(m->target) : NULL,
		.data = m->data,
		.size = m->target ? 0 : m->size};
	return to->path && (to->target || !m->target) ? 0 : -ENOMEM;
}

static int scan(struct archive_index *a, const atomic_bool *cancel, struct smr_error *err)
{
	auto_free struct scan *s = calloc(1, sizeof(*s));
	struct tar_reader *t = s ? tar_reader_new(scan_read, scan_skip, s) : NULL;
	const struct tar_member *m;
	int r = t ? 1 : -ENOMEM;

	if (s)
		s->a = a;
	while (r > 0) {
		r = cancel && atomic_load(cancel) ? -ECANCELED : tar_reader_next(t, &m, err);
		if (r > 0) {
			int added = add_member(a, m, err);
			r = added < 0 ? added : r;
		}
	}
	tar_reader_free(t);
	return r;
}

int archive_index_open(struct archive_index *a, const char *path, const struct source_options *opts,
	struct smr_error *err)
{
	int r;

	*a = (struct archive_index){.fd = -1};
	r = open_archive(a, path, opts, err);
	if (r == 0)
		r = scan(a, opts->cancel, err);
	if (r < 0)
		archive_index_done(a);
	return r;
}

void archive_index_done(struct archive_index *a)
{
	if (a->fd >= 0)
		close(a->fd);
	for (size_t i = 0; i < a->n_members; i++) {
		free(a->members[i].path);
		free(a->members[i].target);
	}
	free(a->members);
	*a = (struct archive_index){.fd = -1};
}

int archive_index_find(const struct archive_index *a, const char *path,
	const struct archive_member **ret, struct smr_error *err)
{
	const struct archive_member *found = NULL;
	size_t n = 0;

	path = without_dot(path);
	for (size_t i = 0; i < a->n_members; i++) {
		if (strcmp(a->members[i].path, path) != 0)
			continue;
		found = &a->members[i];
		n++;
	}
	/* Which of two counts is a matter of taste, and tastes differ. */
	if (n != 1)
		return error_set(err, -EBADMSG, "'%.200s' is in the archive %s", path,
			n ? "more than once" : "not at all");
	*ret = found;
	return 0;
}

int archive_index_read(
	const struct archive_index *a, const char *path, struct buf *ret, struct smr_error *err)
{
	const struct archive_member *m;
	size_t got;
	int r = archive_index_find(a, path, &m, err);

	if (r < 0)
		return r;
	if (m->target)
		return error_set(err, -EBADMSG, "'%.200s' is a link", path);
	if (m->size > ret->max)
		return error_set(err, -EFBIG, "'%.200s' has more than %zu bytes", path, ret->max);
	r = buf_reserve(ret, m->size);
	if (r == 0)
		r = fd_pread(a->fd, ret->data, m->size, m->data, &got);
	if (r == 0 && got != m->size)
		r = error_set(err, -EBADMSG, "the archive is cut off");
	if (r == 0)
		ret->len = got;
	return r;
}
