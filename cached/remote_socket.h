/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The client's end of a cache's socket: to whom it connects, one message in with its descriptor, and
 * whether that descriptor is what it should be. No state; any thread.
 */
#ifndef CACHED_REMOTE_SOCKET_H
#define CACHED_REMOTE_SOCKET_H

#include "proto.h"

/* -ENOENT, -ECONNREFUSED: nobody listens. -ENAMETOOLONG. -EPERM: the peer is not to be trusted (remote.h).
 * -EPROTO: it is a socket of another kind. -ETIMEDOUT: nobody accepts. Others as connect(2). The
 * descriptor does not block. */
int remote_socket_connect(const char *path, int *ret_fd, struct smr_error *err);

/* Takes one message into `packet` of PROTO_MAX bytes. 0, and in *ret_fd the descriptor that came with it, -1
 * when none did, -EMFILE when this process had no room for it. -EAGAIN: none is there. -ECONNRESET: the peer
 * is gone. -EBADMSG: it is no message, or nothing that an owner sends. */
int remote_socket_receive(int fd, unsigned char *packet, struct proto_message *ret, int *ret_fd,
	struct smr_error *err);

/* A regular file, or a memfd that nobody can change, of `size` bytes? */
bool remote_socket_is_chunk(int fd, uint64_t size);

#endif
