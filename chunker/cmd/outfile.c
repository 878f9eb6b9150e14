// SPDX-License-Identifier: BSD-3-Clause
#include "outfile.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../core/cleanup.h"
#include "../core/fd.h"

#define FD_PATH_MAX 32

/* The final name of it, whether or not it is there. */
static int resolve(struct outfile *o, const char *path, struct smr_error *err)
{
	struct stat st;
	auto_free char *real = NULL;
	const char *s = path;

	if (stat(path, &st) == 0) {
		if (!S_ISREG(st.st_mode))
			return error_set(err, -EINVAL, "%s is there and no regular file", path);
		real = realpath(path, NULL);
		if (!real)
			return error_set_errno(err, -errno, "%s", path);
		s = real;
		o->replaces = true;
		o->mode = st.st_mode & 0777;
	}
	if (strlen(s) >= sizeof(o->path))
		return error_set_errno(err, -ENAMETOOLONG, "%s", path);
	snprintf(o->path, sizeof(o->path), "%s", s);
	return 0;
}

static void fd_path(int fd, char ret[FD_PATH_MAX])
{
	snprintf(ret, FD_PATH_MAX, "/proc/self/fd/%d", fd);
}

/* A descriptor or a negative errno. */
static int open_unnamed(const char *path)
{
	char dir[PATH_MAX], link[FD_PATH_MAX];
	const char *slash = strrchr(path, '/');
	size_t n = !slash ? 0 : slash == path ? 1 : (size_t)(slash - path);

	snprintf(dir, sizeof(dir), "%.*s", n ? (int)n : 1, n ? path : ".");
	int fd = open(dir, O_TMPFILE | O_RDWR | O_CLOEXEC, 0666);
	if (fd < 0)
		return -errno;
	/* Without /proc it could not get its name. */
	fd_path(fd, link);
	if (faccessat(AT_FDCWD, link, F_OK, AT_SYMLINK_NOFOLLOW) < 0) {
		close(fd);
		return -EOPNOTSUPP;
	}
	return fd;
}

int outfile_open(struct outfile *o, const char *path, struct smr_error *err)
{
	int r;

	*o = (struct outfile){.fd = -1};
	r = resolve(o, path, err);
	if (r < 0)
		return r;
	o->fd = open_unnamed(o->path);
	if (o->fd >= 0)
		return 0;
	r = fd_temp_name(o->path, o->temp, sizeof(o->temp));
	if (r == 0) {
		o->fd = open(o->temp, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
		r = o->fd < 0 ? -errno : 0;
	}
	if (r < 0) {
		o->temp[0] = '\0';
		return error_set_errno(err, r, "cannot write %s", path);
	}
	return 0;
}

/* A name beside the final one: linkat(2) replaces nothing, rename(2) does. */
static int give_name(struct outfile *o)
{
	char link[FD_PATH_MAX];
	int r;

	fd_path(o->fd, link);
	do {
		r = fd_temp_name(o->path, o->temp, sizeof(o->temp));
		if (r == 0 && linkat(AT_FDCWD, link, AT_FDCWD, o->temp, AT_SYMLINK_FOLLOW) < 0)
			r = -errno;
	} while (r == -EEXIST);
	if (r < 0)
		o->temp[0] = '\0';
	return r;
}

int outfile_publish(struct outfile *o, struct smr_error *err)
{
	int r = o->replaces && fchmod(o->fd, o->mode) < 0 ? -errno : 0;

	if (r == 0 && !o->temp[0])
		r = give_name(o);
	if (r == 0 && rename(o->temp, o->path) < 0)
		r = -errno;
	if (r < 0)
		return error_set_errno(err, r, "cannot write %s", o->path);
	o->temp[0] = '\0';
	return 0;
}

void outfile_done(struct outfile *o)
{
	if (o->temp[0])
		unlink(o->temp);
	if (o->fd >= 0)
		close(o->fd);
	o->fd = -1;
	o->temp[0] = '\0';
}
