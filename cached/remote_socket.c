/* SPDX-License-Identifier: BSD-3-Clause */
#include "remote_socket.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>

#include "../chunker/core/cleanup.h"

#define CONNECT_TIMEOUT_S 5
/* More than one breaks the protocol; they are taken all the same, to be closed. */
#define DESCRIPTORS_MAX 8

/* ---- connecting ---- */

/* The user who alone decides what lies beside `path`, or root where several do. */
static uid_t keeper_of(const char *path)
{
	char dir[sizeof(((struct sockaddr_un *)0)->sun_path)];
	const char *slash = strrchr(path, '/');
	struct stat st;

	if (!slash)
		strcpy(dir, ".");
	else
		snprintf(dir, sizeof(dir), "%.*s", slash == path ? 1 : (int)(slash - path), path);
	if (stat(dir, &st) < 0 || (st.st_mode & (S_IWGRP | S_IWOTH)))
		return 0;
	return st.st_uid;
}

static int check_peer(int fd, const char *path, struct smr_error *err)
{
	struct ucred peer;
	socklen_t n = sizeof(peer);

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &n) < 0)
		return error_set_errno(err, -errno, "%s", path);
	if (peer.uid == 0 || peer.uid == geteuid() || peer.uid == keeper_of(path))
		return 0;
	return error_set(err, -EPERM,
		"%s: the cache there is that of another user (uid %u), who is not trusted", path,
		(unsigned)peer.uid);
}

static int connect_errno(int e)
{
	switch (e) {
	case EAGAIN: /* its queue of connections stayed full */
		return -ETIMEDOUT;
	case EPROTOTYPE:
	case ENOTSOCK:
		return -EPROTO;
	default:
		return -e;
	}
}

int remote_socket_connect(const char *path, int *ret_fd, struct smr_error *err)
{
	struct sockaddr_un to = {.sun_family = AF_UNIX};
	struct timeval patience = {.tv_sec = CONNECT_TIMEOUT_S};
	auto_close int fd = -1;
	int r;

	if (strlen(path) >= sizeof(to.sun_path))
		return error_set(err, -ENAMETOOLONG,
			"%s: a socket's path has at most %zu characters", path,
			sizeof(to.sun_path) - 1);
	strcpy(to.sun_path, path);
	fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return error_set_errno(err, -errno, "cannot make a socket");
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
	while ((r = connect(fd, (struct sockaddr *)&to, sizeof(to))) < 0 && errno == EINTR)
		;
	if (r < 0) {
		r = connect_errno(errno);
		return error_set_errno(err, r, "cannot connect to the cache at %s", path);
	}
	r = check_peer(fd, path, err);
	if (r < 0)
		return r;
	if (fcntl(fd, F_SETFL, O_NONBLOCK) < 0)
		return error_set_errno(err, -errno, "%s", path);
	*ret_fd = take_fd(&fd);
	return 0;
}

/* ---- receiving ---- */

/* The one descriptor that came, or -1. Closes all when there is more than one. */
static int take_descriptor(struct msghdr *h, unsigned *ret_n)
{
	struct cmsghdr *c;
	int fd = -1, other;
	unsigned n = 0;

	for (c = CMSG_FIRSTHDR(h); c; c = CMSG_NXTHDR(h, c)) {
		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		size_t count = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		for (size_t i = 0; i < count; i++) {
			memcpy(&other, CMSG_DATA(c) + i * sizeof(int), sizeof(int));
			if (n++ == 0)
				fd = other;
			else
				close(other);
		}
	}
	if (n > 1)
		close(take_fd(&fd));
	*ret_n = n;
	return fd;
}

int remote_socket_receive(int fd, unsigned char *packet, struct proto_message *ret, int *ret_fd,
	struct smr_error *err)
{
	_Alignas(struct cmsghdr) char control[CMSG_SPACE(DESCRIPTORS_MAX * sizeof(int))];
	struct iovec iov = {.iov_base = packet, .iov_len = PROTO_MAX};
	struct msghdr h = {.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control,
		.msg_controllen = sizeof(control)};
	auto_close int came = -1;
	unsigned n_came;
	ssize_t n;

	while ((n = recvmsg(fd, &h, MSG_DONTWAIT | MSG_CMSG_CLOEXEC)) < 0 && errno == EINTR)
		;
	if (n < 0)
		return errno == EAGAIN ? -EAGAIN : -ECONNRESET;
	came = take_descriptor(&h, &n_came);
	/* An empty packet is no message, so this is the end either way. */
	if (n == 0)
		return -ECONNRESET;
	if (h.msg_flags & MSG_TRUNC)
		return error_set(err, -EBADMSG, "a message longer than %u bytes", PROTO_MAX);
	int r = proto_decode(packet, (size_t)n, ret, err);
	if (r < 0)
		return r;
	if (proto_is_for_owner(ret->type) || n_came > 1 || (n_came && ret->type != PROTO_ANSWER))
		return error_set(err, -EBADMSG, "a message that no owner sends");
	*ret_fd = h.msg_flags & MSG_CTRUNC ? -EMFILE : take_fd(&came);
	return 0;
}

bool remote_socket_is_chunk(int fd, uint64_t size)
{
	struct stat st;

	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || (uint64_t)st.st_size != size)
		return false;
	/* Where seals are possible at all, F_SEAL_SEAL says that nobody can make it a sealed memfd any more:
	 * a file of a pool on tmpfs. */
	int seals = fcntl(fd, F_GET_SEALS);
	return seals < 0 || (seals & F_SEAL_SEAL) ||
	       (seals & (F_SEAL_SHRINK | F_SEAL_WRITE)) == (F_SEAL_SHRINK | F_SEAL_WRITE);
}
