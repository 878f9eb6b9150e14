/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The daemon's socket: the one that systemd passes, else one of our own: mode 0660, of the group `smr` where that exists and we
 * may give it away. Its directory is made if it is not there. One thread.
 */
#ifndef CACHED_SERVE_SOCKET_H
#define CACHED_SERVE_SOCKET_H

#include <stdbool.h>
#include <sys/un.h>

#include "../chunker/core/error.h"

#define SERVE_SOCKET_MODE  0660
#define SERVE_SOCKET_GROUP "smr"

struct serve_socket {
	int fd;   /* listening; -1: none, or somebody else's by now */
	bool own; /* we bound it */
	char path[sizeof(((struct sockaddr_un *)0)->sun_path) + 1];
};

/* Call with the cache's lock held: it replaces a socket of that path. -EINVAL: what systemd passed is no listening SOCK_SEQPACKET
 * socket; errors of rpc_listen. */
int serve_socket_open(struct serve_socket *s, const char *path, struct smr_error *err);
/* Takes the name away, if it is ours to take. */
void serve_socket_unlink(struct serve_socket *s);
void serve_socket_close(struct serve_socket *s);

#endif
