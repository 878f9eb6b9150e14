/* SPDX-License-Identifier: BSD-3-Clause */
#include "rpc_impl.h"

#include <errno.h>
#include <signal.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>

#include "../chunker/core/cleanup.h"
#include "../chunker/core/clock.h"
#include "../chunker/core/log.h"

#define PATIENCE_MS     10000u
#define EVENTS          64
#define ACCEPT_PAUSE_NS (100 * CLOCK_NS_PER_MS)
#define TICK_MIN_NS     (20 * CLOCK_NS_PER_MS)

/* ---- what wakes the thread; call with s->lock held ---- */

static void wake(struct rpc_server *s)
{
	if (!s->woken)
		eventfd_write(s->wake_fd, 1);
	s->woken = true;
}

void rpc_server_attend(struct rpc_client *c)
{
	struct rpc_server *s = c->server;

	if (c->attention)
		return;
	c->attention = true;
	TAILQ_INSERT_TAIL(&s->attention, c, of_attention);
	wake(s);
}

/* ---- evictions ---- */

static void tell(void *user, struct claimant *who)
{
	(void)user;
	rpc_server_attend(
		(struct rpc_client *)((char *)who - offsetof(struct rpc_client, claimant)));
}

static void evicted(void *user, const struct chunkid *id)
{
	struct rpc_server *s = user;

	{
		locked(&s->lock);
		claims_evicted(s->claims, id, tell, NULL);
	}
	locked(&s->evicted_lock);
	if (s->evicted)
		s->evicted(s->evicted_user, id);
}

void rpc_server_on_evicted(
	struct rpc_server *s, void (*fn)(void *, const struct chunkid *), void *user)
{
	locked(&s->evicted_lock);
	s->evicted_user = user;
	s->evicted = fn;
}

/* ---- the thread ---- */

static void set_accepting(struct rpc_server *s, bool yes)
{
	struct epoll_event ev = {.events = yes ? EPOLLIN : 0, .data.ptr = &s->listen_fd};

	epoll_ctl(s->epoll_fd, EPOLL_CTL_MOD, s->listen_fd, &ev);
	s->accept_at_ns = yes ? 0 : clock_ns() + ACCEPT_PAUSE_NS;
}

/* Not later than in `ns`. */
static void tick_in(struct rpc_server *s, uint64_t ns)
{
	uint64_t at;

	if (ns == UINT64_MAX)
		return;
	at = clock_ns() + (ns < TICK_MIN_NS ? TICK_MIN_NS : ns);
	if (!s->next_tick_ns || at < s->next_tick_ns)
		s->next_tick_ns = at;
}

static void welcome(struct rpc_server *s, int fd)
{
	struct epoll_event ev = {.events = EPOLLIN};
	struct rpc_client *c;

	if (s->n_clients >= RPC_CLIENTS_MAX) {
		log_warn("%u clients are connected; one more was refused", s->n_clients);
		close(fd);
		return;
	}
	c = rpc_client_new(s, fd);
	if (!c)
		return;
	ev.data.ptr = c;
	if (epoll_ctl(s->epoll_fd, EPOLL_CTL_ADD, fd, &ev) < 0)
		rpc_client_close(c, "cannot be waited for");
	else
		tick_in(s, s->patience_ns);
}

static void accept_all(struct rpc_server *s)
{
	for (;;) {
		int fd = accept4(s->listen_fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

		if (fd >= 0) {
			welcome(s, fd);
			continue;
		}
		if (errno == EINTR || errno == ECONNABORTED)
			continue;
		/* Those who wait in line stay there; those who are served go on. */
		if (errno != EAGAIN)
			set_accepting(s, false);
		return;
	}
}

/* false: stop. */
static bool attend(struct rpc_server *s)
{
	eventfd_t n;
	bool on = true, any = false;

	for (;;) {
		struct rpc_client *c;
		{
			locked(&s->lock);
			c = TAILQ_FIRST(&s->attention);
			if (c) {
				TAILQ_REMOVE(&s->attention, c, of_attention);
				c->attention = false;
			} else if (s->woken) {
				eventfd_read(s->wake_fd, &n);
				s->woken = false;
			}
			if (s->pongs != s->pings) {
				s->pongs = s->pings;
				pthread_cond_signal(&s->ponged);
			}
			on = !s->stop;
		}
		if (!c || !on)
			break;
		rpc_client_attend(c);
		any = true;
	}
	/* What was sent or could not be has deadlines now. */
	if (any)
		tick_in(s, s->patience_ns / 10);
	return on;
}

static void tick(struct rpc_server *s)
{
	uint64_t now = clock_ns(), waits = UINT64_MAX;
	struct rpc_client *c, *next;

	if (s->accept_at_ns && now >= s->accept_at_ns)
		set_accepting(s, true);
	if (!s->next_tick_ns || now < s->next_tick_ns)
		return;
	s->next_tick_ns = 0;
	/* Only this thread adds to the list and takes from it. */
	for (c = TAILQ_FIRST(&s->clients); c; c = next) {
		uint64_t its = rpc_client_tick(c, now);

		next = TAILQ_NEXT(c, of_server);
		waits = its < waits ? its : waits;
	}
	tick_in(s, waits);
}

static int timeout_ms(const struct rpc_server *s)
{
	uint64_t at = s->next_tick_ns, now = clock_ns();

	if (s->accept_at_ns && (!at || s->accept_at_ns < at))
		at = s->accept_at_ns;
	if (!at)
		return -1;
	return at <= now ? 0 : (int)((at - now) / CLOCK_NS_PER_MS) + 1;
}

static void one_event(struct rpc_server *s, const struct epoll_event *ev)
{
	struct rpc_client *c = ev->data.ptr;

	if (ev->data.ptr == &s->listen_fd) {
		accept_all(s);
	} else if (ev->data.ptr != &s->wake_fd) {
		if (ev->events & EPOLLOUT) {
			locked(&s->lock);
			rpc_server_attend(c);
		}
		if (ev->events & ~EPOLLOUT)
			rpc_client_readable(c);
	}
}

static void *server_main(void *arg)
{
	struct rpc_server *s = arg;
	struct epoll_event events[EVENTS];
	struct rpc_client *c;

	pthread_setname_np(pthread_self(), "smr-rpc");
	while (attend(s)) {
		int n = epoll_wait(s->epoll_fd, events, EVENTS, timeout_ms(s));

		/* A client has one event of these at most, so none is of one that was closed here. */
		for (int i = 0; i < n; i++)
			one_event(s, &events[i]);
		tick(s);
	}
	while ((c = TAILQ_FIRST(&s->clients)))
		rpc_client_close(c, NULL);
	return NULL;
}

/* ---- life ---- */

static int start_thread(struct rpc_server *s)
{
	sigset_t all, before;
	int r;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	r = pthread_create(&s->thread, NULL, server_main, s);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	s->has_thread = r == 0;
	return -r;
}

static int start(struct rpc_server *s, int listen_fd)
{
	struct epoll_event accepts = {.events = EPOLLIN, .data.ptr = &s->listen_fd};
	struct epoll_event wakes = {.events = EPOLLIN, .data.ptr = &s->wake_fd};
	int r;

	s->claims = claims_new();
	s->packets = malloc(RPC_BATCH * sizeof(*s->packets));
	if (!s->claims || !s->packets)
		return -ENOMEM;
	s->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	s->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (s->epoll_fd < 0 || s->wake_fd < 0 ||
		epoll_ctl(s->epoll_fd, EPOLL_CTL_ADD, listen_fd, &accepts) < 0 ||
		epoll_ctl(s->epoll_fd, EPOLL_CTL_ADD, s->wake_fd, &wakes) < 0)
		return -errno;
	r = rpc_jobs_new(&s->jobs);
	if (r < 0)
		return r;
	s->listen_fd = listen_fd;
	cache_on_evicted(s->cache, evicted, s);
	return start_thread(s);
}

int rpc_server_new(struct cache *cache, const struct rpc_server_options *opts,
	struct rpc_server **ret, struct smr_error *err)
{
	struct rpc_server *s = calloc(1, sizeof(*s));
	pthread_condattr_t monotonic;
	int r;

	if (!s)
		return -ENOMEM;
	s->cache = cache;
	s->stores = opts->stores;
	s->n_stores = opts->n_stores;
	s->patience_ns = (opts->patience_ms ? opts->patience_ms : PATIENCE_MS) * CLOCK_NS_PER_MS;
	s->listen_fd = s->epoll_fd = s->wake_fd = -1;
	TAILQ_INIT(&s->clients);
	TAILQ_INIT(&s->attention);
	pthread_mutex_init(&s->lock, NULL);
	pthread_mutex_init(&s->evicted_lock, NULL);
	pthread_cond_init(&s->freed, NULL);
	pthread_condattr_init(&monotonic);
	pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	pthread_cond_init(&s->ponged, &monotonic);
	pthread_condattr_destroy(&monotonic);
	r = start(s, opts->listen_fd);
	if (r < 0) {
		s->listen_fd = -1;
		rpc_server_free(s);
		return error_set_errno(err, r, "cannot serve the cache's socket");
	}
	*ret = s;
	return 0;
}

void rpc_server_clients(
	struct rpc_server *s, void (*visit)(void *, const struct rpc_client_info *), void *user)
{
	struct rpc_client **all auto_free = calloc(RPC_CLIENTS_MAX, sizeof(*all));
	struct rpc_client *c;
	unsigned n = 0;

	if (!all)
		return;
	/* The lock order forbids to look at a client under the server's lock: referenced first. */
	{
		locked(&s->lock);
		TAILQ_FOREACH(c, &s->clients, of_server)
		{
			rpc_client_ref(c);
			all[n++] = c;
		}
	}
	for (unsigned i = 0; i < n; i++) {
		c = all[i];
		{
			locked(&c->lock);
			struct rpc_client_info info = {.name = c->name,
				.uid = c->uid,
				.pid = c->pid,
				.gets = c->gets,
				.answered_gets = c->answered_gets,
				.images = (const struct chunkid *)c->images.data,
				.n_images = c->images.len / sizeof(struct chunkid)};
			visit(user, &info);
		}
		rpc_client_unref(c);
	}
}

bool rpc_server_answers(struct rpc_server *s, unsigned ms)
{
	struct timespec until = clock_timespec(clock_ns() + ms * CLOCK_NS_PER_MS);
	locked(&s->lock);

	s->pings++;
	wake(s);
	while (s->pongs != s->pings)
		if (pthread_cond_timedwait(&s->ponged, &s->lock, &until) != 0)
			return false;
	return true;
}

void rpc_server_free(struct rpc_server *s)
{
	if (!s)
		return;
	if (s->has_thread) {
		{
			locked(&s->lock);
			s->stop = true;
			wake(s);
		}
		pthread_join(s->thread, NULL);
	}
	if (s->jobs)
		cache_on_evicted(s->cache, NULL, NULL);
	rpc_jobs_free(s->jobs);
	pthread_mutex_lock(&s->lock);
	while (s->n_alive)
		pthread_cond_wait(&s->freed, &s->lock);
	pthread_mutex_unlock(&s->lock);
	cleanup_closep(&s->listen_fd);
	cleanup_closep(&s->epoll_fd);
	cleanup_closep(&s->wake_fd);
	claims_free(s->claims);
	free(s->packets);
	pthread_cond_destroy(&s->freed);
	pthread_cond_destroy(&s->ponged);
	pthread_mutex_destroy(&s->lock);
	pthread_mutex_destroy(&s->evicted_lock);
	free(s);
}
