/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Serves a cache to the machine's frontends: proto.h over a unix socket. One epoll thread receives; what blocks (OPEN, LIST,
 * RECIPE, STATUS, CONTROL) runs on threads for such jobs; whoever has an answer sends it: for a GET that is the thread of the
 * cache that completed it, which saves it a change of threads.
 *
 * A client is who SO_PEERCRED says. Only uid 0 and this process's own may open stores by URL; all
 * others name one of `stores`. A client that breaks the protocol, sends nothing useful in its first
 * 10 s, does not drain its socket (more than RPC_BACKLOG answers wait, or any for 10 s) or does not drop what it was told is evicted
 * within 10 s is disconnected, with one log line, and what it held counts as dropped. EMFILE stops accepting for a moment, nothing else.
 */
#ifndef CACHED_RPC_SERVER_H
#define CACHED_RPC_SERVER_H

#include "cache.h"

#define RPC_CLIENTS_MAX 4096u
#define RPC_BACKLOG     256u

struct rpc_server;

/* A store that clients without the right to open URLs may name. */
struct rpc_store {
	const char *name, *url;
	struct store_options options;
};

struct rpc_server_options {
	int listen_fd;                  /* SOCK_SEQPACKET, listening; closed by rpc_server_free */
	const struct rpc_store *stores; /* alive as long as the server */
	unsigned n_stores;
	unsigned patience_ms; /* the 10 s above; 0: 10,000 */
};

/* `cache` must outlive the server, whose on_evicted it takes (rpc_server_on_evicted). Starts the thread. On failure the listening
 * socket remains the caller's. */
int rpc_server_new(struct cache *cache, const struct rpc_server_options *opts,
	struct rpc_server **ret, struct smr_error *err);
/* The owner's own frontend wants evictions too: as cache_on_evicted. */
void rpc_server_on_evicted(
	struct rpc_server *s, void (*fn)(void *, const struct chunkid *), void *user);
/* Who is served, for the status: visit() must not block. */
struct rpc_client_info {
	const char *name; /* what it said at HELLO; "" before that */
	unsigned uid;
	int pid;
	unsigned gets; /* outstanding */
	uint64_t answered_gets;
	const struct chunkid *images; /* digests of the recipes that it asked for */
	size_t n_images;
};
void rpc_server_clients(
	struct rpc_server *s, void (*visit)(void *, const struct rpc_client_info *), void *user);
/* Does the thread come round within `ms`? For a watchdog; call it from one thread. */
bool rpc_server_answers(struct rpc_server *s, unsigned ms);
/* Disconnects everybody. Call after cache_stop and before cache_free. NULL is fine. */
void rpc_server_free(struct rpc_server *s);

/* Binds a SOCK_SEQPACKET socket at `path` under a temporary name with `mode` and, if not -1, group `gid`,
 * listens, then renames it into place: only for who holds the cache's lock. The descriptor. -ENAMETOOLONG: longer than a sockaddr_un
 * holds. */
int rpc_listen(const char *path, unsigned mode, int gid, int *ret_fd, struct smr_error *err);

#endif
