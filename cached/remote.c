/* SPDX-License-Identifier: BSD-3-Clause */
#include "remote.h"

#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>

#include "../chunker/core/cleanup.h"
#include "../chunker/core/clock.h"
#include "../chunker/core/log.h"
#include "remote_impl.h"
#include "remote_socket.h"

#define HELLO_TIMEOUT_MS  5000
#define DROPPED_BYTES_MAX (1u << 20)
/* An owner that was asked for something and says nothing for so long is asked whether it is there, and has so long to say so. */
#define QUIET_NS CLOCK_NS_PER_S
#define HUNG_NS  (3 * CLOCK_NS_PER_S)

/* ---- what comes in ---- */

/* false: it is nothing that was asked for. */
static bool take_answer(struct remote *r, const struct proto_message *m, int *fd)
{
	struct cache_get *g = NULL;
	int result = 0;

	{
		locked(&r->lock);
		if (r->stopped || remote_calls_answered(r, m, fd))
			return true;
		if (m->request == r->ping_request) {
			r->ping_request = 0;
			return true;
		}
		if (!remote_get_answered(r, m, fd, &g, &result))
			return false;
	}
	if (g)
		g->done(g, result, take_fd(fd));
	return true;
}

static int take_message(struct remote *r, struct smr_error *err)
{
	struct proto_message m;
	int came = -1;
	int result = remote_socket_receive(r->fd, r->in, &m, &came, err);

	if (result < 0)
		return result;
	if (m.type == PROTO_EVICTED) {
		for (uint32_t i = 0; i < m.n_ids; i++)
			cache_tell_evicted(&r->base, &m.ids[i]);
		return 0;
	}
	if (!take_answer(r, &m, &came))
		result = error_set(err, -EBADMSG, "an answer to no question");
	cleanup_closep(&came);
	return result;
}

/* ---- is the owner there? Call with lock held; each returns when to look again ---- */

static uint64_t ask_if_quiet(struct remote *r, uint64_t now)
{
	struct proto_message ping = {.type = PROTO_PING};
	bool waits = r->n_sent || r->n_calls;

	if (r->ping_ns)
		return r->ping_ns + HUNG_NS;
	if (now - r->heard_ns < QUIET_NS)
		return r->heard_ns + QUIET_NS;
	r->asleep = !waits;
	if (!waits)
		return UINT64_MAX;
	r->ping_ns = now;
	if (!r->ping_request)
		r->ping_request = remote_send_request(r, &ping);
	return now + HUNG_NS;
}

/* Nothing has come, up to now. */
static void leave_if_hung(struct remote *r)
{
	if (!r->ping_ns || clock_ns() - r->ping_ns < HUNG_NS)
		return;
	log_warn("the owner of the cache does not answer; leaving it");
	remote_send_break(r);
}

static uint64_t tell_dropped(struct remote *r, uint64_t now)
{
	if (r->dropped.len == 0)
		return UINT64_MAX;
	if (now < r->dropped_ns)
		return r->dropped_ns;
	remote_send_dropped(r);
	return UINT64_MAX;
}

/* ---- the thread ---- */

/* Milliseconds for poll(2), and what for. */
static int prepare(struct remote *r, bool heard, struct pollfd *socket)
{
	uint64_t now = clock_ns(), look, until;
	locked(&r->lock);

	if (heard) {
		r->heard_ns = now;
		r->ping_ns = 0;
	}
	until = ask_if_quiet(r, now);
	look = tell_dropped(r, now);
	until = look < until ? look : until;
	socket->events = (short)(POLLIN | (r->out ? POLLOUT : 0));
	if (until == UINT64_MAX)
		return -1;
	return until <= now ? 0 : (int)((until - now) / CLOCK_NS_PER_MS) + 1;
}

/* What poll(2) has found. 0, -EAGAIN: go on. */
static int handle(
	struct remote *r, const struct pollfd fds[2], bool *ret_heard, struct smr_error *err)
{
	uint64_t ignored;
	int result = 0;

	if (fds[1].revents && read(r->wake_fd, &ignored, sizeof(ignored)) < 0)
		return 0;
	if (fds[0].revents & POLLOUT) {
		locked(&r->lock);
		remote_send_queued(r);
	}
	if (fds[0].revents & ~POLLOUT)
		while ((result = take_message(r, err)) == 0)
			*ret_heard = true;
	return result;
}

static void receive(struct remote *r)
{
	struct pollfd fds[2] = {{.fd = r->fd}, {.fd = r->wake_fd, .events = POLLIN}};
	struct smr_error err = {0};
	bool heard = true;
	int result = 0;

	while (result == 0 || result == -EAGAIN) {
		int n, ms = prepare(r, heard, &fds[0]);

		heard = false;
		n = poll(fds, 2, ms);
		if (n > 0)
			result = handle(r, fds, &heard, &err);
		if (n != 0)
			continue;
		locked(&r->lock);
		leave_if_hung(r);
	}
	if (result == -EBADMSG)
		log_warn("the owner of the cache sent what it must not: %s; leaving it",
			err.message);
}

static void *thread_main(void *arg)
{
	struct remote *r = arg;
	struct cache_get *gets;
	bool stopped;

	pthread_setname_np(pthread_self(), "smr-remote");
	receive(r);
	{
		locked(&r->lock);
		/* Whoever held a packet back for us may forget it. */
		remote_send_break(r);
		r->lost = true;
		stopped = r->stopped;
		gets = remote_get_take_all(r);
		pthread_cond_broadcast(&r->answered);
	}
	if (stopped)
		remote_get_fail(gets, -ECANCELED);
	else
		remote_get_hand_back(r, gets);
	return NULL;
}

/* ---- cache.h ---- */

/* Hints may be lost: while the owner does not read they are. */
static void send_hint(
	struct cache *c, struct proto_message *m, const struct chunkid *ids, unsigned n)
{
	struct remote *r = remote_of(c);

	locked(&r->lock);
	if (!r->lost && !r->stopped && !r->out)
		remote_send_ids(r, m, ids, n);
}

static void remote_touch(struct cache *c, const struct chunkid *ids, unsigned n)
{
	struct proto_message m = {.type = PROTO_TOUCH};

	send_hint(c, &m, ids, n);
}

static void remote_prefetch(struct cache *c, struct cache_store *s, uint32_t chunk_size,
	enum store_priority priority, const struct chunkid *ids, unsigned n)
{
	struct proto_message m = {.type = PROTO_PREFETCH,
		.store = s->handle,
		.size = chunk_size,
		.priority = priority};

	send_hint(c, &m, ids, n);
}

/* What the owner must hear. */
static void send_news(struct cache *c, enum proto_type type, const struct chunkid *ids, unsigned n)
{
	struct remote *r = remote_of(c);
	struct proto_message m = {.type = type};

	locked(&r->lock);
	if (!r->lost && !r->stopped)
		remote_send_ids(r, &m, ids, n);
}

static void remote_bad(struct cache *c, const struct chunkid *id)
{
	send_news(c, PROTO_BAD, id, 1);
}

static void remote_held(struct cache *c, const struct chunkid *ids, unsigned n)
{
	send_news(c, PROTO_HELD, ids, n);
}

static void remote_dropped(struct cache *c, const struct chunkid *ids, unsigned n)
{
	struct remote *r = remote_of(c);

	locked(&r->lock);
	remote_send_drop(r, ids, n);
}

/* What this process saw fail; all else is the owner's to count. */
static void remote_counters(struct cache *c, struct cache_counters *ret)
{
	struct remote *r = remote_of(c);

	locked(&r->lock);
	*ret = r->count;
}

static void remote_stop(struct cache *c)
{
	struct remote *r = remote_of(c);
	struct cache_get *gets;

	{
		locked(&r->lock);
		r->stopped = true;
		gets = remote_get_take_all(r);
		remote_send_break(r);
		pthread_cond_broadcast(&r->answered);
	}
	remote_get_fail(gets, -ECANCELED);
}

static void remote_free(struct cache *c)
{
	struct remote *r = remote_of(c);

	if (r->has_thread) {
		remote_stop(c);
		pthread_join(r->thread, NULL);
	}
	for (struct cache_store *s = r->stores, *next; s; s = next) {
		next = s->next;
		free(s->url);
		free(s);
	}
	for (struct remote_packet *p = r->out, *next; p; p = next) {
		next = p->next;
		free(p);
	}
	buf_done(&r->dropped);
	cleanup_closep(&r->fd);
	cleanup_closep(&r->wake_fd);
	pthread_cond_destroy(&r->answered);
	pthread_mutex_destroy(&r->lock);
	cache_done(&r->base);
	free(r);
}

static const struct cache_ops remote_ops = {
	.open_store = remote_calls_open_store,
	.list = remote_calls_list,
	.recipe = remote_calls_recipe,
	.get = remote_get,
	.touch = remote_touch,
	.bad = remote_bad,
	.dropped = remote_dropped,
	.held = remote_held,
	.prefetch = remote_prefetch,
	.status = remote_calls_status,
	.control = remote_calls_control,
	.counters = remote_counters,
	.stop = remote_stop,
	.free = remote_free,
};

/* ---- start ---- */

static int wait_for_answer(
	struct remote *r, const char *path, struct proto_message *ret, struct smr_error *err)
{
	struct pollfd p = {.fd = r->fd, .events = POLLIN};
	int came = -1, result, n;

	while ((n = poll(&p, 1, HELLO_TIMEOUT_MS)) < 0 && errno == EINTR)
		;
	if (n == 0)
		return error_set(err, -ETIMEDOUT, "the cache at %s does not answer", path);
	result = remote_socket_receive(r->fd, r->in, ret, &came, err);
	cleanup_closep(&came);
	if (result == -EBADMSG)
		return error_wrap(err, -EPROTO, "%s", path);
	if (result < 0)
		return error_set(err, -ECONNRESET, "the cache at %s hung up", path);
	return 0;
}

static int say_hello(struct remote *r, const struct remote_options *opts, struct smr_error *err)
{
	struct proto_message m = {.type = PROTO_HELLO};
	int result = proto_text_set(&m.text, opts->name ? opts->name : "");

	if (result < 0)
		return result;
	remote_send_request(r, &m);
	result = wait_for_answer(r, opts->socket, &m, err);
	if (result < 0)
		return result;
	if (m.type != PROTO_ANSWER || m.request != r->last_request)
		return error_set(
			err, -EPROTO, "%s: that is not the socket of a cache", opts->socket);
	if (m.result < 0)
		return error_set(err, m.result, "the cache at %s: %.*s", opts->socket,
			(int)m.data_len, (const char *)m.data);
	r->window = m.value < PROTO_WINDOW ? m.value : PROTO_WINDOW;
	return r->window ? 0 : error_set(err, -EPROTO, "%s: a window of 0", opts->socket);
}

static int start_thread(struct remote *r)
{
	sigset_t all, before;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	int result = -pthread_create(&r->thread, NULL, thread_main, r);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	r->has_thread = result == 0;
	return result;
}

static int start(struct remote *r, const struct remote_options *opts, struct smr_error *err)
{
	int result = remote_socket_connect(opts->socket, &r->fd, err);

	if (result < 0)
		return result;
	r->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (r->wake_fd < 0)
		return error_set_errno(err, -errno, "cannot make an eventfd");
	result = say_hello(r, opts, err);
	if (result < 0)
		return result;
	return start_thread(r);
}

int remote_new(const struct remote_options *opts, struct cache **ret, struct smr_error *err)
{
	struct remote *r = calloc(1, sizeof(*r));
	int result;

	if (!r)
		return -ENOMEM;
	cache_init(&r->base, &remote_ops);
	r->fd = r->wake_fd = -1;
	r->on_lost = opts->lost;
	r->user = opts->user;
	pthread_mutex_init(&r->lock, NULL);
	pthread_cond_init(&r->answered, NULL);
	r->out_tail = &r->out;
	for (unsigned p = 0; p < STORE_PRIORITIES; p++)
		r->waiting[p].tail = &r->waiting[p].first;
	buf_init(&r->dropped, DROPPED_BYTES_MAX);
	result = start(r, opts, err);
	if (result < 0) {
		remote_free(&r->base);
		return result;
	}
	*ret = &r->base;
	return 0;
}
