/* SPDX-License-Identifier: BSD-3-Clause */
/* Who owns the cache: finding out, becoming it, and doing so again when the owner has gone. */
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "../chunker/core/cleanup.h"
#include "../chunker/core/clock.h"
#include "../chunker/core/log.h"
#include "remote.h"
#include "shared_impl.h"

/* Between two tries: doubled each time, plus or minus a half. Each is a failed connect and a failed flock. */
#define PAUSE_FIRST_NS (2 * CLOCK_NS_PER_MS)
#define PAUSE_DOUBLED  7
/* An owner that lasted so long was one; a shorter one counts as a failed try. */
#define LASTED_NS CLOCK_NS_PER_S
/* Stores that could not be opened at this owner are tried again. */
#define REOPEN_NS CLOCK_NS_PER_S
/* HELD's messages are large. */
#define HELD_BATCH 256u

/* ---- one try ---- */

static void evicted(void *user, const struct chunkid *id)
{
	struct shared_link *l = user;

	cache_tell_evicted(&l->shared->base, id);
}

static int connect_owner(struct shared *s, struct shared_link *l, struct smr_error *err)
{
	struct remote_options opts = {
		.socket = s->socket, .name = s->name, .lost = shared_get_lost, .user = l};
	int r = remote_new(&opts, &l->cache, err);

	if (r == 0)
		cache_on_evicted(l->cache, evicted, l);
	return r;
}

/* Its folder may be one that nothing makes at boot: /run/smr without the daemon. */
static int listen_at(const char *path, int *ret_fd, struct smr_error *err)
{
	int r = rpc_listen(path, 0660, -1, ret_fd, err);
	char *dir auto_free = r == -ENOENT ? strdup(path) : NULL;
	char *slash = dir ? strrchr(dir, '/') : NULL;

	if (!slash || slash == dir)
		return r;
	*slash = '\0';
	if (mkdir(dir, 0755) < 0)
		return r;
	return rpc_listen(path, 0660, -1, ret_fd, err);
}

/* Others share it, if they can. */
static void listen_for_others(struct shared *s, struct shared_link *l)
{
	struct rpc_server_options opts = {.listen_fd = -1};
	struct smr_error err = {0};
	int r = listen_at(s->socket, &opts.listen_fd, &err);

	if (r == 0)
		r = rpc_server_new(l->cache, &opts, &l->server, &err);
	if (r == 0) {
		rpc_server_on_evicted(l->server, evicted, l);
		return;
	}
	cleanup_closep(&opts.listen_fd);
	log_warn("the cache %s cannot be shared with other processes: %s", s->dir,
		error_text(&err, r));
	cache_on_evicted(l->cache, evicted, l);
}

static int become_owner(struct shared *s, struct shared_link *l, struct smr_error *err)
{
	int r = engine_new(&s->engine, &l->cache, err);

	if (r == 0)
		listen_for_others(s, l);
	return r;
}

static bool nobody_is_there(int r)
{
	return r == -ENOENT || r == -ENOTDIR || r == -ECONNREFUSED || r == -ENAMETOOLONG;
}

int shared_elect_join(struct shared *s, struct shared_link **ret, struct smr_error *err)
{
	struct shared_link *l auto_free = calloc(1, sizeof(*l));
	int r;

	if (!l)
		return -ENOMEM;
	l->shared = s;
	r = connect_owner(s, l, err);
	if (nobody_is_there(r) && s->never_own)
		return error_set(err, -ENOTCONN, "nobody serves a cache at %s", s->socket);
	if (nobody_is_there(r)) {
		if (err)
			*err = (struct smr_error){0};
		r = become_owner(s, l, err);
	}
	if (r == 0)
		*ret = take_ptr(l);
	return r;
}

void shared_elect_free_link(struct shared_link *l)
{
	/* What clients wait for ends by this: they ask the next owner. */
	cache_stop(l->cache);
	rpc_server_free(l->server);
	cache_free(l->cache);
	free(l);
}

/* ---- making it ours ---- */

/* Lock held. */
static void tell_holds(struct shared *s, struct cache *c)
{
	struct chunkid ids[HELD_BATCH], id;
	unsigned n = 0;
	size_t cursor = 0;
	uint64_t count;

	while (idmap_next(s->holds, &cursor, &id, &count))
		while (count-- > 0) {
			ids[n++] = id;
			if (n < HELD_BATCH)
				continue;
			cache_held(c, ids, n);
			n = 0;
		}
	if (n)
		cache_held(c, ids, n);
}

/* The handle at a new owner, or NULL. */
static struct cache_store *open_there(struct shared_link *l, const struct cache_store *st)
{
	struct smr_error err = {0};
	struct cache_store *inner;
	int r = cache_open_store(l->cache, st->url, &st->options, &inner, &err);

	if (r == 0)
		return inner;
	if (r != -ENOTCONN && r != -ECANCELED)
		log_warn("%s", error_text(&err, r));
	return NULL;
}

/* Opens what is not open yet. The list only grows in front. */
static void open_stores(struct shared *s, struct shared_link *l, bool all)
{
	struct cache_store *st, *inner;

	{
		locked(&s->lock);
		st = s->stores;
	}
	for (; st; st = st->next) {
		{
			locked(&s->lock);
			if (!all && st->inner)
				continue;
		}
		inner = open_there(l, st);
		locked(&s->lock);
		st->inner = inner;
	}
}

bool shared_elect_publish(struct shared *s, struct shared_link *l)
{
	bool stopped;

	{
		locked(&s->lock);
		s->joined = l;
		stopped = s->stopped;
	}
	if (stopped)
		cache_stop(l->cache);
	open_stores(s, l, true);
	{
		locked(&s->lock);
		s->joined = NULL;
		while (l->users)
			pthread_cond_wait(&s->changed, &s->lock);
		if (l->lost || s->stopped)
			return false;
		tell_holds(s, l->cache);
		s->link = l;
		s->joined_ns = clock_ns();
		pthread_cond_broadcast(&s->changed);
	}
	shared_get_flush(s);
	return true;
}

/* ---- the thread ---- */

static uint64_t next_random(struct shared *s)
{
	s->random ^= s->random << 13;
	s->random ^= s->random >> 7;
	s->random ^= s->random << 17;
	return s->random;
}

void shared_elect_pause(struct shared *s)
{
	unsigned doubled = s->tries < PAUSE_DOUBLED ? s->tries : PAUSE_DOUBLED;
	uint64_t ns = PAUSE_FIRST_NS << doubled;
	struct timespec until = clock_timespec(clock_ns() + ns / 2 + next_random(s) % ns);

	s->tries++;
	locked(&s->lock);
	while (!s->stopped && pthread_cond_timedwait(&s->changed, &s->lock, &until) != ETIMEDOUT)
		;
}

static void count_past(struct shared *s, struct cache *c)
{
	struct cache_counters count;

	cache_counters(c, &count);
	locked(&s->lock);
	s->past.missing += count.missing;
	s->past.corrupt += count.corrupt;
	s->past.unreachable += count.unreachable;
}

/* Lock held. */
static bool has_closed_stores(const struct shared *s)
{
	for (const struct cache_store *st = s->stores; st; st = st->next)
		if (!st->inner)
			return true;
	return false;
}

/* Waits until there is something to do: false when that is to end. */
static bool wait_for_loss(struct shared *s)
{
	struct timespec until = clock_timespec(clock_ns() + REOPEN_NS);

	locked(&s->lock);
	while (!s->quit && (s->link || s->stopped) && !s->dead) {
		if (!s->link || !has_closed_stores(s))
			pthread_cond_wait(&s->changed, &s->lock);
		else if (pthread_cond_timedwait(&s->changed, &s->lock, &until) == ETIMEDOUT)
			break;
	}
	if (!s->link && s->joined_ns && clock_ns() - s->joined_ns > LASTED_NS)
		s->tries = 0;
	return !s->quit;
}

/* Frees links that were lost, when nobody is inside any more. */
static void bury(struct shared *s)
{
	while (true) {
		struct shared_link *l;
		{
			locked(&s->lock);
			l = s->dead;
			if (!l)
				return;
			s->dead = l->next;
			while (l->users)
				pthread_cond_wait(&s->changed, &s->lock);
		}
		count_past(s, l->cache);
		shared_elect_free_link(l);
	}
}

static void reopen_stores(struct shared *s)
{
	struct shared_link *l;

	{
		locked(&s->lock);
		l = has_closed_stores(s) ? s->link : NULL;
		if (!l)
			return;
		l->users++;
	}
	open_stores(s, l, false);
	locked(&s->lock);
	if (--l->users == 0)
		pthread_cond_broadcast(&s->changed);
}

static bool needs_owner(struct shared *s)
{
	locked(&s->lock);
	return !s->link && !s->stopped;
}

static void find_owner(struct shared *s)
{
	struct smr_error err = {0};
	struct shared_link *l;
	int r = shared_elect_join(s, &l, &err);

	if (r == 0 && shared_elect_publish(s, l)) {
		log_debug("the cache %s: %s", s->dir,
			l->server ? "it is owned by this process now" : "it has an owner again");
		return;
	}
	if (r == 0)
		shared_elect_free_link(l);
	else
		log_debug("%s", error_text(&err, r));
	shared_elect_pause(s);
}

void *shared_elect_main(void *arg)
{
	struct shared *s = arg;

	while (wait_for_loss(s)) {
		bury(s);
		reopen_stores(s);
		while (needs_owner(s)) {
			find_owner(s);
			bury(s);
		}
	}
	return NULL;
}
