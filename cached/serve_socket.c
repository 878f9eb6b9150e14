/* SPDX-License-Identifier: BSD-3-Clause */
#include "serve_socket.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#include "../chunker/core/cleanup.h"
#include "../chunker/core/fd.h"
#include "../chunker/core/log.h"
#include "rpc_server.h"

static bool is_in_group(gid_t gid)
{
	int n = getgroups(0, NULL);
	gid_t *all auto_free = n > 0 ? calloc((size_t)n, sizeof(*all)) : NULL;

	if (geteuid() == 0 || getegid() == gid)
		return true;
	n = all ? getgroups(n, all) : 0;
	while (n > 0)
		if (all[--n] == gid)
			return true;
	return false;
}

/* -1: the socket stays in our own. */
static int group_of_socket(void)
{
	const struct group *g = getgrnam(SERVE_SOCKET_GROUP);

	return g && is_in_group(g->gr_gid) ? (int)g->gr_gid : -1;
}

/* Others must be able to pass through to the socket. */
static int make_directory(const char *path, struct smr_error *err)
{
	char *dir auto_free = strdup(path);
	char *slash = dir ? strrchr(dir, '/') : NULL;
	mode_t old;
	int r;

	if (!dir)
		return -ENOMEM;
	if (!slash || slash == dir)
		return 0;
	*slash = '\0';
	old = umask(S_IWGRP | S_IWOTH);
	r = fd_mkdirs(AT_FDCWD, dir, 0755);
	umask(old);
	return r < 0 ? error_set_errno(err, r, "cannot make %s for the socket", dir) : 0;
}

static int take_passed(struct serve_socket *s, struct smr_error *err)
{
	struct sockaddr_un at = {0};
	socklen_t len = sizeof(at) - 1;
	int fd = SD_LISTEN_FDS_START;

	if (sd_is_socket_unix(fd, SOCK_SEQPACKET, 1, NULL, 0) <= 0)
		return error_set(err, -EINVAL,
			"what systemd has passed is no socket for this: the unit needs "
			"ListenSequentialPacket=");
	if (fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK) < 0)
		return error_set_errno(err, -errno, "the socket that systemd has passed");
	if (getsockname(fd, (struct sockaddr *)&at, &len) == 0 && at.sun_path[0])
		snprintf(s->path, sizeof(s->path), "%s", at.sun_path);
	else
		strcpy(s->path, "a socket of systemd's");
	s->fd = fd;
	s->own = false;
	return 0;
}

int serve_socket_open(struct serve_socket *s, const char *path, struct smr_error *err)
{
	int n = sd_listen_fds(1), r;

	if (n > 1)
		return error_set(err, -EINVAL, "systemd has passed %d sockets; one is right", n);
	if (n == 1)
		return take_passed(s, err);
	r = make_directory(path, err);
	if (r == 0)
		r = rpc_listen(path, SERVE_SOCKET_MODE, group_of_socket(), &s->fd, err);
	if (r < 0)
		return r;
	s->own = true;
	/* What was bound fits. */
	snprintf(s->path, sizeof(s->path), "%s", path);
	return 0;
}

void serve_socket_unlink(struct serve_socket *s)
{
	if (s->own && unlink(s->path) < 0)
		log_debug("%s: %s", s->path, strerror(errno));
	s->own = false;
}

void serve_socket_close(struct serve_socket *s)
{
	cleanup_closep(&s->fd);
	s->fd = -1;
}
