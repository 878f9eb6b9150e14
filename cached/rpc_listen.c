/* SPDX-License-Identifier: BSD-3-Clause */
#include "rpc_server.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "../chunker/core/cleanup.h"
#include "../chunker/core/fd.h"

/* Nobody can connect before listen(), when rights and owner are what they shall be. */
static int bind_and_listen(int fd, const struct sockaddr_un *at, unsigned mode, int gid)
{
	unlink(at->sun_path);
	if (bind(fd, (const struct sockaddr *)at, sizeof(*at)) < 0)
		return -errno;
	if ((gid >= 0 && chown(at->sun_path, (uid_t)-1, (gid_t)gid) < 0) ||
		chmod(at->sun_path, mode) < 0 || listen(fd, SOMAXCONN) < 0)
		return -errno;
	return 0;
}

int rpc_listen(const char *path, unsigned mode, int gid, int *ret_fd, struct smr_error *err)
{
	struct sockaddr_un at = {.sun_family = AF_UNIX};
	auto_close int fd = -1;
	int r = fd_temp_name(path, at.sun_path, sizeof(at.sun_path));

	if (r < 0)
		return error_set(err, r,
			"%s: the path of a socket must be shorter; choose another one", path);
	fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return error_set_errno(err, -errno, "cannot make a socket");
	r = bind_and_listen(fd, &at, mode, gid);
	if (r == 0 && rename(at.sun_path, path) < 0)
		r = -errno;
	if (r < 0) {
		unlink(at.sun_path);
		return error_set_errno(err, r, "cannot listen at %s", path);
	}
	*ret_fd = take_fd(&fd);
	return 0;
}
