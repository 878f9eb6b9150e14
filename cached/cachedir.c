/* SPDX-License-Identifier: BSD-3-Clause */
#include "cachedir.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>

#include "../chunker/core/cleanup.h"
#include "../chunker/core/fd.h"
#include "../chunker/core/log.h"

int cachedir_open(const char *path, int *ret_fd, struct smr_error *err)
{
	auto_close int fd = -1;
	struct stat st;
	int r = fd_mkdirs(AT_FDCWD, path, 0700);

	if (r < 0)
		return error_set_errno(err, r, "cannot make the cache directory %s", path);
	fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st) < 0)
		return error_set_errno(err, -errno, "cannot open the cache directory %s", path);
	if (st.st_uid != geteuid())
		return error_set(err, -EPERM,
			"the cache directory %s belongs to another user (uid %u); choose another "
			"one",
			path, (unsigned)st.st_uid);
	*ret_fd = take_fd(&fd);
	return 0;
}

static int refuse(int fd, const char *path, struct smr_error *err)
{
	char pid[24];
	size_t n = 0;

	fd_pread(fd, pid, sizeof(pid) - 1, 0, &n);
	pid[n] = '\0';
	pid[strcspn(pid, "\n")] = '\0';
	return error_set(err, -EBUSY,
		"the cache %s is in use by process %s; unmount that, or choose another cache "
		"directory",
		path, pid);
}

int cachedir_lock(int dir_fd, const char *path, int *ret_fd, struct smr_error *err)
{
	auto_close int fd = -1;
	char pid[24];

	fd = openat(dir_fd, "lock", O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		return error_set_errno(err, -errno, "cannot open %s/lock", path);
	if (flock(fd, LOCK_EX | LOCK_NB) < 0)
		return errno == EWOULDBLOCK
			       ? refuse(fd, path, err)
			       : error_set_errno(err, -errno, "cannot lock %s/lock", path);
	snprintf(pid, sizeof(pid), "%d\n", (int)getpid());
	if (ftruncate(fd, 0) < 0 || fd_pwrite(fd, pid, strlen(pid), 0) < 0)
		log_debug("cannot write the pid into %s/lock", path);
	*ret_fd = take_fd(&fd);
	return 0;
}
