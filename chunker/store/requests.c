/* SPDX-License-Identifier: BSD-3-Clause */
#include "requests.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "../core/cleanup.h"
#include "../core/clock.h"
#include "gate.h"
#include "retry.h"
#include "url.h"

/* Bytes that trickle in for so long are none: at least the first, as some origins think long, at most the second. */
#define SILENT_MIN_S 5
#define SILENT_MAX_S 15
#define POLL_MAX_MS  1000000

enum { QUEUED = 1, ACTIVE, WAITING };

struct requests {
	uint32_t timeout_ms;
	unsigned connections;
	struct transport *transport;
	pthread_t thread;
	pthread_mutex_t lock;
	/* below: lock held; transport_wakeup is called under it too */
	struct request *submitted, **submitted_tail;
	bool woken, stop;
	/* below: the thread only */
	struct {
		struct request *head, **tail;
	} queue[STORE_PRIORITIES];
	unsigned n_active;    /* requests in state ACTIVE */
	struct timers timers; /* every request has one set */
	uint64_t random;
};

static uint32_t random32(struct requests *rs)
{
	/* xorshift64* (Vigna, 2016) */
	rs->random ^= rs->random >> 12;
	rs->random ^= rs->random << 25;
	rs->random ^= rs->random >> 27;
	return (uint32_t)((rs->random * 0x2545f4914f6cdd1dull) >> 32);
}

static const char *url_of(const struct request *req)
{
	return req->redirected ? req->redirected : req->url;
}

/* ---- states ---- */

static void enqueue(struct requests *rs, struct request *req)
{
	req->state = QUEUED;
	req->next = NULL;
	*rs->queue[req->priority].tail = req;
	rs->queue[req->priority].tail = &req->next;
	timers_set(&rs->timers, &req->timer, req->deadline_ns);
}

static void unqueue(struct requests *rs, struct request *req)
{
	struct request **at = &rs->queue[req->priority].head;

	while (*at != req)
		at = &(*at)->next;
	*at = req->next;
	if (!*at)
		rs->queue[req->priority].tail = at;
}

/* Gives up what is under way. */
static void deactivate(struct requests *rs, struct request *req)
{
	for (unsigned i = 0; i < 2; i++)
		transport_abort(rs->transport, &req->tries[i]);
	if (req->state == ACTIVE)
		rs->n_active--;
	req->state = 0;
}

static void finish(struct requests *rs, struct request *req, int r)
{
	deactivate(rs, req);
	timers_cancel(&rs->timers, &req->timer);
	for (unsigned i = 0; i < 2; i++)
		transport_exchange_done(&req->tries[i]);
	free(req->redirected);
	req->redirected = NULL;
	req->done(req, r, &req->last_err);
}

static void finish_with_last(struct requests *rs, struct request *req)
{
	char *message = req->last_err.message;
	size_t n = strlen(message);

	if (req->n_attempts > 1)
		snprintf(message + n, sizeof(req->last_err.message) - n, " (%u attempts)",
			req->n_attempts);
	finish(rs, req, req->last_r);
}

static bool may_repeat(const struct request *req)
{
	return !req->once && (!req->attempts || req->n_attempts < req->attempts);
}

/* ---- attempts ---- */

static int start_try(
	struct requests *rs, struct request *req, struct transport_exchange *x, bool new_connection)
{
	uint64_t now = clock_ns();
	uint64_t half_s =
		req->deadline_ns > now ? (req->deadline_ns - now) / 2 / CLOCK_NS_PER_S : 0;

	x->method = req->method;
	x->url = url_of(req);
	x->headers = req->headers;
	x->user = req->user;
	x->password = req->password;
	x->data = req->data;
	x->data_len = req->data_len;
	x->max_bytes = req->max_bytes;
	x->keep_headers = req->keep_headers;
	x->new_connection = new_connection;
	x->silent_s = half_s < SILENT_MIN_S   ? SILENT_MIN_S
		      : half_s > SILENT_MAX_S ? SILENT_MAX_S
					      : (unsigned)half_s;
	x->owner = req;
	req->n_attempts++;
	return transport_start(rs->transport, x);
}

static void start(struct requests *rs, struct request *req)
{
	uint64_t now = clock_ns();
	int r;

	req->state = ACTIVE;
	rs->n_active++;
	req->started_ns = now;
	timers_set(&rs->timers, &req->timer,
		now < req->deadline_ns ? now + (req->deadline_ns - now) / 2 : now);
	r = start_try(rs, req, &req->tries[0], false);
	if (r < 0) {
		req->last_err = req->tries[0].err;
		finish(rs, req, r);
	}
}

/* How many requests may be active for one of this priority to start. */
static unsigned limit(const struct requests *rs, enum store_priority prio)
{
	unsigned n = rs->connections;

	switch (prio) {
	case STORE_DEMAND:
		return n;
	case STORE_AHEAD:
		return n > 1 ? n - (n + 7) / 8 : 1;
	default:
		return n > 1 ? n / 2 : 1;
	}
}

static bool start_queued(struct requests *rs)
{
	bool any = false;

	for (unsigned p = 0; p < STORE_PRIORITIES; p++) {
		struct request *req;

		while ((req = rs->queue[p].head) && rs->n_active < limit(rs, p)) {
			unqueue(rs, req);
			start(rs, req);
			any = true;
		}
	}
	return any;
}

static bool follow(struct requests *rs, struct request *req, struct transport_exchange *x)
{
	bool safe = strcmp(req->method, "GET") == 0 || strcmp(req->method, "HEAD") == 0;

	if (!x->redirect || !safe || req->n_redirects >= REQUESTS_REDIRECTS ||
		!url_may_follow(url_of(req), x->redirect))
		return false;
	deactivate(rs, req);
	free(req->redirected);
	req->redirected = x->redirect;
	x->redirect = NULL;
	req->n_redirects++;
	req->n_attempts--;
	enqueue(rs, req);
	return true;
}

/* This try failed in a way that may pass, and no other is under way. */
static void try_later(struct requests *rs, struct request *req, uint64_t retry_after_s)
{
	uint64_t at = clock_ns() + retry_delay_ns(req->n_attempts, retry_after_s, random32(rs));

	if (at >= req->deadline_ns || !may_repeat(req)) {
		finish_with_last(rs, req);
		return;
	}
	deactivate(rs, req);
	req->state = WAITING;
	timers_set(&rs->timers, &req->timer, at);
}

static void ended(struct requests *rs, struct transport_exchange *x)
{
	struct request *req = x->owner;
	struct transport_exchange *other = &req->tries[x == &req->tries[0]];

	req->status = x->status;
	req->content_len = x->content_len;
	req->last_r = x->r;
	req->last_err = x->err;
	if (x->r < 0 && x->again && other->handle) {
		/* The other may still win; this one is tried again beside it. */
		uint64_t at = clock_ns() +
			      retry_delay_ns(req->n_attempts, x->retry_after_s, random32(rs));

		timers_set(&rs->timers, &req->timer, at < req->deadline_ns ? at : req->deadline_ns);
		return;
	}
	if (x->status >= 300 && x->status <= 399 && follow(rs, req, x))
		return;
	buf_move(&req->body, &x->body);
	buf_move(&req->head, &x->head);
	if (x->r < 0 && x->again)
		try_later(rs, req, x->retry_after_s);
	else
		finish(rs, req, x->r);
}

/* ---- time ---- */

/* At the pace so far, will one of the bodies be complete before the deadline? */
static bool gets_there(const struct request *req, uint64_t now)
{
	for (unsigned i = 0; i < 2; i++) {
		const struct transport_exchange *x = &req->tries[i];
		int64_t whole = transport_expected(x);
		double got = (double)x->body.len;

		if (x->handle && whole > 0 && got > 0 &&
			got / (double)(now - req->started_ns) * (double)(req->deadline_ns - now) >=
				(double)whole - got)
			return true;
	}
	return false;
}

/* An attempt that had hardly begun says less than how the one before it ended. */
static void too_late(struct requests *rs, struct request *req, uint64_t now)
{
	bool trickles = req->tries[0].body.len || req->tries[1].body.len;

	if (!req->last_r || now - req->started_ns > CLOCK_NS_PER_S)
		req->last_r = error_set(&req->last_err, -ETIMEDOUT, "%s: %s", url_of(req),
			trickles ? "the answer comes too slowly" : "no answer");
	finish_with_last(rs, req);
}

/* Half of the time is gone, or a second try has failed. */
static void join(struct requests *rs, struct request *req, uint64_t now)
{
	struct transport_exchange *spare = &req->tries[req->tries[0].handle ? 1 : 0];

	timers_set(&rs->timers, &req->timer, req->deadline_ns);
	if (spare->handle || !may_repeat(req) || gets_there(req, now))
		return;
	/* A failure to start changes nothing for the first. */
	start_try(rs, req, spare, true);
}

static void expired(struct requests *rs, struct request *req, uint64_t now)
{
	switch (req->state) {
	case ACTIVE:
		if (now >= req->deadline_ns)
			too_late(rs, req, now);
		else
			join(rs, req, now);
		break;
	case WAITING:
		enqueue(rs, req);
		break;
	case QUEUED:
		unqueue(rs, req);
		if (!req->last_r)
			req->last_r = error_set(&req->last_err, -ETIMEDOUT,
				"%s: too many requests before it", url_of(req));
		finish_with_last(rs, req);
		break;
	}
}

static struct request *owner_of(struct timer *tm)
{
	return (struct request *)((char *)tm - offsetof(struct request, timer));
}

static bool run_timers(struct requests *rs)
{
	uint64_t now = clock_ns();
	struct timer *first;
	bool any = false;

	while ((first = timers_first(&rs->timers)) && first->at_ns <= now) {
		expired(rs, owner_of(first), now);
		any = true;
	}
	return any;
}

static int poll_ms(const struct requests *rs)
{
	const struct timer *first = timers_first(&rs->timers);
	uint64_t now = clock_ns(), ms;

	if (!first)
		return POLL_MAX_MS;
	if (first->at_ns <= now)
		return 0;
	ms = (first->at_ns - now) / CLOCK_NS_PER_MS + 1;
	return ms < POLL_MAX_MS ? (int)ms : POLL_MAX_MS;
}

/* ---- the thread ---- */

/* false: stop. */
static bool take_submitted(struct requests *rs)
{
	struct request *list;
	bool stop;

	pthread_mutex_lock(&rs->lock);
	list = rs->submitted;
	rs->submitted = NULL;
	rs->submitted_tail = &rs->submitted;
	rs->woken = false;
	stop = rs->stop;
	pthread_mutex_unlock(&rs->lock);
	while (list) {
		struct request *req = list;

		list = req->next;
		enqueue(rs, req);
	}
	return !stop;
}

static void cancel(struct requests *rs, struct request *req)
{
	if (req->state == QUEUED)
		unqueue(rs, req);
	error_set(&req->last_err, -ECANCELED, "%s: stopped", url_of(req));
	finish(rs, req, -ECANCELED);
}

static void *requests_main(void *arg)
{
	struct requests *rs = arg;
	struct transport_exchange *x;
	struct timer *first;

	pthread_setname_np(pthread_self(), "smr-http");
	while (take_submitted(rs)) {
		bool busy = run_timers(rs);

		busy |= start_queued(rs);
		while ((x = transport_next(rs->transport))) {
			ended(rs, x);
			busy = true;
		}
		if (!busy)
			transport_poll(rs->transport, poll_ms(rs));
	}
	while ((first = timers_first(&rs->timers)))
		cancel(rs, owner_of(first));
	/* Here, where signals are blocked: the good-bye to a TLS connection that is gone raises SIGPIPE. Nobody wakes us any
	 * more: rs->stop was set and read under the lock. */
	transport_free(rs->transport);
	return NULL;
}

/* ---- outside ---- */

static int start_thread(struct requests *rs)
{
	sigset_t all, old;
	int r;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	r = pthread_create(&rs->thread, NULL, requests_main, rs);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	return -r;
}

static void destroy(struct requests *rs)
{
	pthread_mutex_destroy(&rs->lock);
	free(rs);
}

int requests_new(const struct requests_options *opts, struct requests **ret, struct smr_error *err)
{
	struct requests *rs = calloc(1, sizeof(*rs));
	int r;

	if (!rs)
		return -ENOMEM;
	pthread_mutex_init(&rs->lock, NULL);
	rs->submitted_tail = &rs->submitted;
	for (unsigned p = 0; p < STORE_PRIORITIES; p++)
		rs->queue[p].tail = &rs->queue[p].head;
	rs->timeout_ms = opts->timeout_ms ? opts->timeout_ms : 30000;
	rs->connections = opts->connections ? opts->connections : 16;
	if (rs->connections > 256)
		rs->connections = 256;
	if (getrandom(&rs->random, sizeof(rs->random), GRND_NONBLOCK) < 0 || !rs->random)
		rs->random = clock_ns() | 1;
	r = transport_new(2 * rs->connections, opts->ca_file, &rs->transport);
	if (r == 0) {
		r = start_thread(rs);
		if (r < 0)
			transport_free(rs->transport);
	}
	if (r < 0) {
		destroy(rs);
		return error_set_errno(err, r, "starting the HTTP client");
	}
	*ret = rs;
	return 0;
}

void requests_stop(struct requests *rs)
{
	locked(&rs->lock);
	if (!rs->stop)
		transport_wakeup(rs->transport);
	rs->stop = true;
}

void requests_free(struct requests *rs)
{
	if (!rs)
		return;
	requests_stop(rs);
	pthread_join(rs->thread, NULL);
	destroy(rs);
}

void requests_submit(struct requests *rs, struct request *req)
{
	uint32_t timeout_ms = req->timeout_ms ? req->timeout_ms : rs->timeout_ms;
	bool stopped;

	buf_init(&req->body, req->max_bytes);
	buf_init(&req->head, TRANSPORT_HEADERS_MAX);
	req->status = 0;
	req->content_len = -1;
	req->n_attempts = req->n_redirects = 0;
	req->once = strcmp(req->method, "POST") == 0;
	req->last_r = 0;
	req->last_err.message[0] = '\0';
	req->deadline_ns = clock_ns() + timeout_ms * CLOCK_NS_PER_MS;
	req->next = NULL;

	pthread_mutex_lock(&rs->lock);
	stopped = rs->stop;
	if (!stopped) {
		*rs->submitted_tail = req;
		rs->submitted_tail = &req->next;
		/* A done() that submits is followed by another look at the list. */
		if (!rs->woken && !pthread_equal(pthread_self(), rs->thread))
			transport_wakeup(rs->transport);
		rs->woken = true;
	}
	pthread_mutex_unlock(&rs->lock);
	if (stopped) {
		error_set(&req->last_err, -ECANCELED, "%s: stopped", req->url);
		req->done(req, -ECANCELED, &req->last_err);
	}
}

struct performing {
	struct gate gate;
	struct smr_error *err;
	int result;
};

static void performed(struct request *req, int r, const struct smr_error *err)
{
	struct performing *p = req->user_data;

	p->result = r;
	if (r < 0 && p->err)
		*p->err = *err;
	gate_open(&p->gate);
}

int requests_perform(struct requests *rs, struct request *req, struct smr_error *err)
{
	struct performing p = {.err = err};

	gate_init(&p.gate);
	req->done = performed;
	req->user_data = &p;
	requests_submit(rs, req);
	gate_wait(&p.gate);
	return p.result;
}

void requests_done(struct request *req)
{
	buf_done(&req->body);
	buf_done(&req->head);
}
