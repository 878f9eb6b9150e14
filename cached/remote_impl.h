/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the parts of a remote cache share; others include remote.h.
 *
 *     remote.c         the table of cache.h; the thread that receives; start and end
 *     remote_send.c    packets out
 *     remote_get.c     GETs
 *     remote_calls.c   what waits for its answer
 *
 * One lock guards all of it. Packets are sent with it held, without waiting: what the socket does not
 * take now stands in `out`. done(), lost() and evicted() are called without it.
 */
#ifndef CACHED_REMOTE_IMPL_H
#define CACHED_REMOTE_IMPL_H

#include "proto.h"
#include "remote.h"

struct cache_store {
	char *url;
	uint32_t handle; /* the owner's name for it */
	struct cache_store *next;
};

/* A GET that was sent. */
struct remote_slot {
	uint64_t request; /* 0: free */
	struct cache_get *get;
};

struct remote_queue {
	struct cache_get *first, **tail;
};

struct remote_packet {
	struct remote_packet *next;
	size_t n;
	unsigned char bytes[];
};

/* A blocking call, on the caller's stack. */
struct remote_call {
	uint64_t request;
	bool done;
	int32_t result;
	uint32_t value;
	int fd; /* the caller's once it is done */
	uint16_t data_len;
	char data[PROTO_TEXT_MAX + 1]; /* with a NUL behind it */
	struct remote_call *next;
};

struct remote {
	struct cache base;
	int fd, wake_fd;
	void (*on_lost)(void *user, struct cache_get *gets);
	void *user;
	pthread_t thread;
	bool has_thread;
	unsigned char in[PROTO_MAX]; /* the thread's */

	pthread_mutex_t lock;
	pthread_cond_t answered;       /* a call is done; there is room for one; stopped, lost */
	unsigned char send[PROTO_MAX]; /* where a packet is encoded */
	uint64_t last_request;
	unsigned window, n_sent;
	struct remote_slot slots[PROTO_WINDOW];
	struct remote_queue waiting[STORE_PRIORITIES];
	struct remote_call *calls;
	unsigned n_calls;
	struct remote_packet *out, **out_tail;
	unsigned n_out;
	struct buf dropped;  /* ids to be told */
	uint64_t dropped_ns; /* when */
	/* Is the owner there? The thread asks (PING) when it heard nothing for a while. */
	uint64_t heard_ns;     /* when it last did; or since when it waits for something */
	uint64_t ping_ns;      /* since when it waits for a sign of life; 0: it does not */
	uint64_t ping_request; /* 0: all were answered */
	bool asleep;           /* nothing is expected */
	struct cache_store *stores;
	struct cache_counters count;
	bool stopped; /* by cache_stop */
	bool lost;    /* the thread has seen the end */
};

static inline struct remote *remote_of(struct cache *c)
{
	return (struct remote *)c;
}

/* ---- remote_send.c; call with lock held ---- */

/* Sends, or queues. What cannot be sent at all ends the connection: the thread will see it. */
void remote_send(struct remote *r, const struct proto_message *m);
/* The same for what wants an answer: gives it a number, which is returned. */
uint64_t remote_send_request(struct remote *r, struct proto_message *m);
/* A list of ids, in as many messages as it takes. */
void remote_send_ids(
	struct remote *r, struct proto_message *m, const struct chunkid *ids, size_t n);
/* What the socket did not take before. */
void remote_send_queued(struct remote *r);
/* To be told soon, together with others; remote_send_dropped tells now. */
void remote_send_drop(struct remote *r, const struct chunkid *ids, unsigned n);
void remote_send_dropped(struct remote *r);
/* Ends the connection; the thread does what follows from it. */
void remote_send_break(struct remote *r);
/* The thread is to look what there is to do. */
void remote_send_wake(struct remote *r);

/* ---- remote_get.c ---- */

/* cache_get. No lock held. */
void remote_get(struct cache *c, struct cache_get *g);
/* The thread's: is `m` the answer to a GET? That one, if it is to end now, with its result; *fd is the
 * chunk or -1 then. Lock held. */
bool remote_get_answered(struct remote *r, const struct proto_message *m, int *fd,
	struct cache_get **ret_get, int *ret_result);
/* All that were not answered, the sent ones first. Lock held. */
struct cache_get *remote_get_take_all(struct remote *r);
/* Ends a list of them. No lock held. */
void remote_get_fail(struct cache_get *g, int result);
void remote_get_hand_back(struct remote *r, struct cache_get *gets);

/* ---- remote_calls.c: what blocks ---- */

int remote_calls_open_store(struct cache *c, const char *url, const struct store_options *opts,
	struct cache_store **ret, struct smr_error *err);
int remote_calls_list(struct cache *c, struct cache_store *s, char tag[128], struct store_list *ret,
	struct smr_error *err);
int remote_calls_recipe(struct cache *c, struct cache_store *s, const char *name,
	const struct chunkid *digest, struct recipe **ret, struct smr_error *err);
int remote_calls_status(struct cache *c, struct buf *json, struct smr_error *err);
int remote_calls_control(struct cache *c, enum cache_verb verb, struct cache_store *s,
	const char *name, bool wait, struct buf *text, struct smr_error *err);
/* The thread's: `m` answers a call, if one of that number waits. Takes *fd then. Lock held. */
bool remote_calls_answered(struct remote *r, const struct proto_message *m, int *fd);

#endif
