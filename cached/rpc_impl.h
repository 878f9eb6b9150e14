/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the parts of the RPC server share, and nobody else includes:
 *
 *     rpc_server.c    the thread: accepts, waits, ticks; who is connected
 *     rpc_client.c    one connection: packets in and out, what waits to be sent, its end
 *     rpc_request.c   what the messages ask for; GETs
 *     rpc_task.c      what of it blocks
 *     rpc_status.c    the cache's status, and who is connected
 *
 * Lock order: client->lock, then server->lock. The cache is called with neither. client->lock is held across sendmsg, which never
 * blocks on these sockets: so an answer and the EVICTED that must follow it are sent in this order.
 */
#ifndef CACHED_RPC_IMPL_H
#define CACHED_RPC_IMPL_H

#include <pthread.h>
#include <stdatomic.h>
#include <sys/queue.h>
#include <sys/types.h>

#include "claims.h"
#include "proto.h"
#include "rpc_jobs.h"
#include "rpc_server.h"

#define RPC_STORES_MAX 64u /* that one client may open */
#define RPC_NAME_MAX   128u
#define RPC_IMAGES_MAX 256u /* of one client that are counted in the status */
#define RPC_BATCH      8u   /* packets of one client that are received at a time */
#define RPC_BADS       16u
#define RPC_HELD_MAX   65536u /* ids that one client may bring along from an earlier owner */
/* Slow jobs of one client that run at a time; the others wait, so that it does not take all threads. */
#define RPC_CLIENT_JOBS 4u

struct rpc_out;
struct rpc_task;

struct rpc_client {
	struct rpc_server *server;
	atomic_uint refs; /* the server's until it is closed, and one for each request under way */
	uid_t uid;
	pid_t pid;
	bool may_open_urls;

	pthread_mutex_t lock;
	/* under lock */
	int fd;           /* -1: closed */
	const char *doom; /* why it must be disconnected; NULL: it need not */
	STAILQ_HEAD(, rpc_out) out;
	unsigned n_out;
	bool want_write; /* EPOLLOUT is asked for */
	bool stalled;    /* no memory, or too many descriptors on their way: try again soon */
	unsigned gets, requests; /* outstanding */
	uint64_t answered_gets;
	struct cache_store *stores[RPC_STORES_MAX]; /* handle - 1 */
	unsigned n_stores;
	STAILQ_HEAD(, rpc_task) waiting; /* slow jobs beyond RPC_CLIENT_JOBS */
	unsigned n_jobs;                 /* slow ones, started */
	unsigned n_bads;                 /* BADs under way */
	struct buf images;               /* digests of recipes that were asked for */
	char name[RPC_NAME_MAX];

	/* under server->lock */
	struct claimant claimant;
	bool attention;
	TAILQ_ENTRY(rpc_client) of_attention;
	TAILQ_ENTRY(rpc_client) of_server;

	/* the epoll thread's */
	bool hello;
	unsigned n_held; /* by HELD */
	uint64_t accepted_ns;
};

TAILQ_HEAD(rpc_client_list, rpc_client);

struct rpc_server {
	struct cache *cache;
	int listen_fd, epoll_fd, wake_fd;
	const struct rpc_store *stores;
	unsigned n_stores;
	uint64_t patience_ns;
	struct rpc_jobs *jobs;
	pthread_t thread;
	bool has_thread;

	pthread_mutex_t lock;
	/* under lock */
	struct claims *claims;
	struct rpc_client_list clients, attention;
	unsigned n_clients; /* in `clients` */
	unsigned n_alive;   /* not freed */
	pthread_cond_t freed;
	bool woken, stop;
	uint64_t pings, pongs; /* asked and answered by the thread */
	pthread_cond_t ponged;

	/* held while it is called; before `lock` */
	pthread_mutex_t evicted_lock;
	void (*evicted)(void *user, const struct chunkid *id);
	void *evicted_user;

	/* the epoll thread's */
	uint64_t accept_at_ns; /* 0: accepting */
	uint64_t next_tick_ns; /* 0: none is needed */
	uint64_t said_ns;
	unsigned char (*packets)[PROTO_MAX]; /* RPC_BATCH of them */
};

/* ---- rpc_server.c ---- */

/* The epoll thread must look at the client. Call with server->lock held. */
void rpc_server_attend(struct rpc_client *c);

/* ---- rpc_client.c ---- */

/* A reference less. Call with no lock held. */
void rpc_client_unref(struct rpc_client *c);
void rpc_client_ref(struct rpc_client *c);
/* Takes over the connection. NULL: no memory, and it is closed. */
struct rpc_client *rpc_client_new(struct rpc_server *s, int fd);
/* Sends an answer, or lets it wait; `fd` is closed in any case. Call with c->lock held, the connection not closed. */
void rpc_client_send(struct rpc_client *c, const struct proto_message *m, int fd);
/* It must go, which the epoll thread sees to; the first reason counts. Call with c->lock held. */
void rpc_client_doom(struct rpc_client *c, const char *why);

/* The epoll thread's: each may close the connection, and drops the server's reference then. */
void rpc_client_readable(struct rpc_client *c);
/* Sends what waits and what it is to be told, and closes it if it is doomed. */
void rpc_client_attend(struct rpc_client *c);
/* How long until it must be looked at again; UINT64_MAX: it owes nothing. */
uint64_t rpc_client_tick(struct rpc_client *c, uint64_t now);
/* `why` NULL: it went by itself. */
void rpc_client_close(struct rpc_client *c, const char *why);

/* ---- rpc_request.c ---- */

/* What a packet asks for. NULL, or why the client must go. The epoll thread's. */
const char *rpc_request(struct rpc_client *c, const void *packet, size_t n, struct smr_error *err);

/* ---- rpc_task.c ---- */

/* OPEN, LIST, RECIPE, STATUS, CONTROL on a thread for jobs; `store` is the one that was named. As rpc_request. */
const char *rpc_task_start(struct rpc_client *c, const struct proto_message *m,
	struct cache_store *store, const void *packet, size_t n);
/* cache_bad for each; c->n_bads counts it. */
const char *rpc_task_bad(struct rpc_client *c, const struct chunkid *ids, uint32_t n);
/* Slow ones of a closed client that have not begun: nobody waits for them any more. */
void rpc_task_forget(struct rpc_client *c);

/* ---- rpc_status.c ---- */

/* cache_status and the clients. */
int rpc_status(struct rpc_server *s, struct buf *json, struct smr_error *err);

#endif
