/* SPDX-License-Identifier: BSD-3-Clause */
#include "transport.h"

#include <curl/curl.h>
#include <errno.h>
#include <malloc.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/random.h>

#include "../core/cleanup.h"
#include "../core/clock.h"
#include "gate.h"
#include "retry.h"
#include "url.h"

#define CONNECT_TIMEOUT_MS 5000
#define LOW_SPEED_BYTES    1024L
#define LOW_SPEED_MAX_S    15
#define ERROR_BODY_MAX     (64u << 10)
#define RECEIVE_BUFFER     (64L << 10)

enum { QUEUED = 1, ACTIVE, WAITING };

/* A curl handle and what must live as long as one attempt. Kept and used again. */
struct transport_transfer {
	struct transport_transfer *next;
	CURL *easy;
	struct curl_slist *headers;
	int body_r; /* why on_body gave up */
	char message[CURL_ERROR_SIZE];
};

struct transport {
	uint32_t timeout_ms;
	unsigned connections;
	char *ca_file;
	pthread_t thread;
	pthread_mutex_t lock;
	/* below: lock held */
	struct transport_request *submitted, **submitted_tail;
	bool woken, stop;
	/* below: the thread only */
	CURLM *multi;
	struct {
		struct transport_request *head, **tail;
	} queue[STORE_PRIORITIES];
	unsigned n_active;
	struct timers timers;
	struct transport_transfer *idle;
	uint64_t random;
};

/* ---- the end of a request ---- */

static void finish(struct transport *t, struct transport_request *req, int r)
{
	timers_cancel(&t->timers, &req->timer);
	free(req->redirected);
	req->redirected = NULL;
	req->state = 0;
	req->done(req, r, &req->last_err);
}

static const char *url_of(const struct transport_request *req)
{
	return req->redirected ? req->redirected : req->url;
}

static uint32_t random32(struct transport *t)
{
	/* xorshift64* (Vigna, 2016) */
	t->random ^= t->random >> 12;
	t->random ^= t->random << 25;
	t->random ^= t->random >> 27;
	return (uint32_t)((t->random * 0x2545f4914f6cdd1dull) >> 32);
}

static void enqueue(struct transport *t, struct transport_request *req)
{
	req->state = QUEUED;
	req->next = NULL;
	*t->queue[req->priority].tail = req;
	t->queue[req->priority].tail = &req->next;
	timers_set(&t->timers, &req->timer, req->deadline_ns);
}

static void unqueue(struct transport *t, struct transport_request *req)
{
	struct transport_request **at = &t->queue[req->priority].head;

	while (*at != req)
		at = &(*at)->next;
	*at = req->next;
	if (!*at)
		t->queue[req->priority].tail = at;
}

/* The last attempt failed in a way that may pass: later, or, when time or attempts are used up, the end. */
static void try_later(
	struct transport *t, struct transport_request *req, uint64_t asked_s, bool at_once)
{
	uint64_t at = clock_ns();

	if (!at_once)
		at += retry_delay_ns(req->n_attempts, asked_s, random32(t));
	if (at >= req->deadline_ns || (req->attempts && req->n_attempts >= req->attempts) ||
		strcmp(req->method, "POST") == 0) {
		if (req->n_attempts > 1) {
			struct smr_error *err = &req->last_err;
			size_t n = strlen(err->message);

			snprintf(err->message + n, sizeof(err->message) - n, " (%u attempts)",
				req->n_attempts);
		}
		finish(t, req, req->last_r);
		return;
	}
	req->state = WAITING;
	timers_set(&t->timers, &req->timer, at);
}

/* ---- what curl calls ---- */

static bool is_success(long status)
{
	return (status >= 200 && status <= 299) || status == 304;
}

/* Makes room for the whole body at its first byte. */
static int begin_body(struct transport_request *req)
{
	curl_off_t len = -1;

	curl_easy_getinfo(req->transfer->easy, CURLINFO_RESPONSE_CODE, &req->status);
	curl_easy_getinfo(req->transfer->easy, CURLINFO_CONTENT_LENGTH_DOWNLOAD_T, &len);
	req->body.max = is_success(req->status) ? req->max_bytes : ERROR_BODY_MAX;
	if (!is_success(req->status) || len <= 0)
		return 0;
	return (uint64_t)len > req->max_bytes ? -EFBIG : buf_reserve(&req->body, (size_t)len);
}

static size_t on_body(char *data, size_t size, size_t n, void *arg)
{
	struct transport_request *req = arg;

	int r = 0;

	n *= size;
	if (req->body.len == 0)
		r = begin_body(req);
	if (r == 0)
		r = buf_append(&req->body, data, n);
	req->transfer->body_r = r;
	return r < 0 ? 0 : n; /* 0 ends the transfer */
}

static size_t on_header(char *line, size_t size, size_t n, void *arg)
{
	struct transport_request *req = arg;

	n *= size;
	/* 100 Continue and the like are followed by the real one. */
	if (n > 5 && strncmp(line, "HTTP/", 5) == 0)
		buf_reset(&req->head);
	return buf_append(&req->head, line, n) < 0 ? 0 : n;
}

bool transport_header(const struct transport_request *req, const char *name, char *ret, size_t size)
{
	const char *line = (const char *)req->head.data, *end = line + req->head.len;
	size_t name_len = strlen(name);

	while (line < end) {
		const char *eol = memchr(line, '\n', (size_t)(end - line));

		eol = eol ? eol : end;
		if ((size_t)(eol - line) > name_len && line[name_len] == ':' &&
			strncasecmp(line, name, name_len) == 0) {
			const char *value = line + name_len + 1, *last = eol;

			while (value < last && strchr(" \t", *value))
				value++;
			while (last > value && strchr(" \t\r", last[-1]))
				last--;
			if ((size_t)(last - value) >= size)
				return false;
			memcpy(ret, value, (size_t)(last - value));
			ret[last - value] = '\0';
			return true;
		}
		line = eol + 1;
	}
	return false;
}

/* ---- starting an attempt ---- */

static struct transport_transfer *transfer_get(struct transport *t)
{
	struct transport_transfer *x = t->idle;

	if (x) {
		t->idle = x->next;
		return x;
	}
	x = calloc(1, sizeof(*x));
	if (x)
		x->easy = curl_easy_init();
	if (x && !x->easy) {
		free(x);
		x = NULL;
	}
	return x;
}

/* Takes the request's transfer off curl; what was under way on its connection is given up. */
static void transfer_put(struct transport *t, struct transport_request *req)
{
	struct transport_transfer *x = req->transfer;

	curl_multi_remove_handle(t->multi, x->easy);
	curl_easy_reset(x->easy); /* keeps TLS sessions, not the options */
	curl_slist_free_all(x->headers);
	x->headers = NULL;
	x->next = t->idle;
	t->idle = x;
	req->transfer = NULL;
	t->n_active--;
}

static void set_timeouts(CURL *easy, const struct transport_request *req, uint64_t now)
{
	uint64_t left_ms = (req->deadline_ns - now) / CLOCK_NS_PER_MS;
	uint64_t low_s = left_ms / 2000;

	low_s = low_s < 1 ? 1 : low_s > LOW_SPEED_MAX_S ? LOW_SPEED_MAX_S : low_s;
	curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, (long)CONNECT_TIMEOUT_MS);
	curl_easy_setopt(easy, CURLOPT_LOW_SPEED_LIMIT, LOW_SPEED_BYTES);
	curl_easy_setopt(easy, CURLOPT_LOW_SPEED_TIME, (long)low_s);
}

static int set_method(struct transport_transfer *x, const struct transport_request *req)
{
	CURL *easy = x->easy;

	if (strcmp(req->method, "HEAD") == 0) {
		curl_easy_setopt(easy, CURLOPT_NOBODY, 1L);
	} else if (strcmp(req->method, "GET") != 0) {
		curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, req->method);
		if (req->data) {
			curl_easy_setopt(
				easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)req->data_len);
			curl_easy_setopt(easy, CURLOPT_POSTFIELDS, req->data);
		}
	}
	for (size_t i = 0; req->headers && req->headers[i]; i++) {
		struct curl_slist *more = curl_slist_append(x->headers, req->headers[i]);

		if (!more)
			return -ENOMEM;
		x->headers = more;
	}
	curl_easy_setopt(easy, CURLOPT_HTTPHEADER, x->headers);
	if (req->user) {
		curl_easy_setopt(easy, CURLOPT_USERNAME, req->user);
		curl_easy_setopt(easy, CURLOPT_PASSWORD, req->password ? req->password : "");
		curl_easy_setopt(easy, CURLOPT_HTTPAUTH, CURLAUTH_BASIC);
	}
	return 0;
}

static int set_options(struct transport *t, struct transport_request *req, uint64_t now)
{
	struct transport_transfer *x = req->transfer;
	CURL *easy = x->easy;
	struct url url;
	int r = url_parse(url_of(req), &url, &req->last_err);

	if (r < 0)
		return r;
	x->message[0] = '\0';
	curl_easy_setopt(easy, CURLOPT_PRIVATE, req);
	curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, x->message);
	curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
	/* A resolver that hangs must not hold the thread when its request is given up. */
	curl_easy_setopt(easy, CURLOPT_QUICK_EXIT, 1L);
	curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
	curl_easy_setopt(easy, CURLOPT_USERAGENT, "smr/" SMR_VERSION);
	curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_2TLS);
	curl_easy_setopt(easy, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
	if (t->ca_file)
		curl_easy_setopt(easy, CURLOPT_CAINFO, t->ca_file);
	if (url_is_loopback(&url))
		curl_easy_setopt(easy, CURLOPT_PROXY, "");
	curl_easy_setopt(easy, CURLOPT_TCP_KEEPALIVE, 1L);
	curl_easy_setopt(easy, CURLOPT_BUFFERSIZE, RECEIVE_BUFFER);
	curl_easy_setopt(easy, CURLOPT_FRESH_CONNECT, req->fresh ? 1L : 0L);
	curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_body);
	curl_easy_setopt(easy, CURLOPT_WRITEDATA, req);
	if (req->keep_headers) {
		curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, on_header);
		curl_easy_setopt(easy, CURLOPT_HEADERDATA, req);
	}
	set_timeouts(easy, req, now);
	r = set_method(x, req);
	if (r < 0)
		return r;
	/* The one that copies and may fail. */
	return curl_easy_setopt(easy, CURLOPT_URL, url_of(req)) == CURLE_OK ? 0 : -ENOMEM;
}

/* Half the time that is left: a stalled attempt leaves room for another. */
static uint64_t attempt_end(const struct transport_request *req, uint64_t now)
{
	return now + (req->deadline_ns - now) / 2;
}

static void start(struct transport *t, struct transport_request *req)
{
	uint64_t now = clock_ns();
	int r = -ENOMEM;

	req->state = ACTIVE;
	req->n_attempts++;
	req->attempt_ns = now;
	req->status = 0;
	req->content_len = -1;
	buf_reset(&req->body);
	buf_reset(&req->head);
	if (now >= req->deadline_ns)
		now = req->deadline_ns - 1;
	req->transfer = transfer_get(t);
	if (req->transfer) {
		t->n_active++;
		req->transfer->body_r = 0;
		r = set_options(t, req, now);
		if (r == 0 && curl_multi_add_handle(t->multi, req->transfer->easy) != CURLM_OK)
			r = -ENOMEM;
		if (r < 0)
			transfer_put(t, req);
	}
	if (r < 0)
		finish(t, req, r);
	else
		timers_set(&t->timers, &req->timer,
			req->patient ? req->deadline_ns : attempt_end(req, now));
}

/* How many transfers may be under way for one of this priority to start. */
static unsigned limit(const struct transport *t, enum store_priority prio)
{
	unsigned n = t->connections;

	switch (prio) {
	case STORE_DEMAND:
		return n;
	case STORE_AHEAD:
		return n > 1 ? n - (n + 7) / 8 : 1;
	default:
		return n > 1 ? n / 2 : 1;
	}
}

static bool start_queued(struct transport *t)
{
	bool any = false;

	for (unsigned p = 0; p < STORE_PRIORITIES; p++) {
		struct transport_request *req;

		while ((req = t->queue[p].head) && t->n_active < limit(t, p)) {
			unqueue(t, req);
			start(t, req);
			any = true;
		}
	}
	return any;
}

/* ---- the end of an attempt ---- */

/* The errno of a transfer that brought no answer, and whether another may. */
static int classify(const struct transport_request *req, CURLcode code, bool *ret_again)
{
	long os = 0;

	*ret_again = true;
	switch (code) {
	case CURLE_OPERATION_TIMEDOUT:
		return -ETIMEDOUT;
	case CURLE_COULDNT_RESOLVE_HOST:
	case CURLE_COULDNT_RESOLVE_PROXY:
		return -EHOSTUNREACH;
	case CURLE_COULDNT_CONNECT:
		curl_easy_getinfo(req->transfer->easy, CURLINFO_OS_ERRNO, &os);
		return os == ECONNREFUSED ? -ECONNREFUSED
		       : os == ETIMEDOUT  ? -ETIMEDOUT
					  : -EHOSTUNREACH;
	case CURLE_SEND_ERROR:
	case CURLE_RECV_ERROR:
	case CURLE_GOT_NOTHING:
	case CURLE_PARTIAL_FILE:
	case CURLE_HTTP2:
	case CURLE_HTTP2_STREAM:
	case CURLE_SSL_CONNECT_ERROR:
	case CURLE_PROXY:
		return -ECONNRESET;
	default:
		break;
	}
	*ret_again = false;
	switch (code) {
	case CURLE_OUT_OF_MEMORY:
		return -ENOMEM;
	case CURLE_PEER_FAILED_VERIFICATION:
	case CURLE_SSL_CACERT_BADFILE:
	case CURLE_SSL_CERTPROBLEM:
	case CURLE_SSL_ISSUER_ERROR:
		return -EACCES;
	default:
		return -EBADMSG;
	}
}

static void failed(struct transport *t, struct transport_request *req, CURLcode code)
{
	struct transport_transfer *x = req->transfer;
	bool again;
	int r = classify(req, code, &again);

	if (x->body_r == -EFBIG) {
		again = false;
		r = error_set(&req->last_err, -EBADMSG, "%s is larger than it may be", url_of(req));
	} else if (x->body_r < 0) {
		again = false;
		r = error_set_errno(&req->last_err, x->body_r, "%s", url_of(req));
	} else if (code == CURLE_COULDNT_CONNECT) {
		error_set_errno(&req->last_err, r, "%s", url_of(req));
	} else {
		error_set(&req->last_err, r, "%s: %s", url_of(req),
			x->message[0] ? x->message : curl_easy_strerror(code));
	}
	transfer_put(t, req);
	req->last_r = r;
	if (again)
		try_later(t, req, 0, false);
	else
		finish(t, req, r);
}

static bool follow(struct transport *t, struct transport_request *req)
{
	bool idempotent = strcmp(req->method, "GET") == 0 || strcmp(req->method, "HEAD") == 0;
	char *to = NULL;

	curl_easy_getinfo(req->transfer->easy, CURLINFO_REDIRECT_URL, &to);
	if (!to || !idempotent || req->n_redirects >= TRANSPORT_REDIRECTS ||
		!url_may_follow(url_of(req), to))
		return false;
	to = strdup(to);
	if (!to)
		return false;
	free(req->redirected);
	req->redirected = to;
	req->n_redirects++;
	req->n_attempts--;
	transfer_put(t, req);
	enqueue(t, req);
	return true;
}

static void say_status(struct transport_request *req)
{
	const char *url = url_of(req);
	struct smr_error *err = &req->last_err;

	req->last_r = retry_errno(req->status);
	if (req->last_r == -ENOENT)
		error_set(err, req->last_r, "%s: not found (HTTP %ld)", url, req->status);
	else if (req->last_r == -EACCES)
		error_set(err, req->last_r, "%s: access denied (HTTP %ld)", url, req->status);
	else if (req->status >= 300 && req->status <= 399)
		error_set(err, req->last_r,
			"%s: sends us elsewhere, which is not followed (HTTP %ld)", url,
			req->status);
	else
		error_set(err, req->last_r, "%s: HTTP status %ld", url, req->status);
}

static void answered(struct transport *t, struct transport_request *req)
{
	curl_off_t len = -1, after = 0;

	curl_easy_getinfo(req->transfer->easy, CURLINFO_CONTENT_LENGTH_DOWNLOAD_T, &len);
	curl_easy_getinfo(req->transfer->easy, CURLINFO_RETRY_AFTER, &after);
	req->content_len = len;
	if (is_success(req->status)) {
		transfer_put(t, req);
		req->last_err.message[0] = '\0';
		finish(t, req, 0);
		return;
	}
	if (req->status >= 300 && req->status <= 399 && follow(t, req))
		return;
	transfer_put(t, req);
	say_status(req);
	if (retry_status(req->status))
		try_later(t, req, after > 0 ? (uint64_t)after : 0, false);
	else
		finish(t, req, req->last_r);
}

static bool reap(struct transport *t)
{
	CURLMsg *msg;
	bool any = false;
	int left;

	while ((msg = curl_multi_info_read(t->multi, &left))) {
		struct transport_request *req = NULL;
		CURLcode code = msg->data.result;

		if (msg->msg != CURLMSG_DONE)
			continue;
		curl_easy_getinfo(msg->easy_handle, CURLINFO_PRIVATE, (char **)&req);
		curl_easy_getinfo(msg->easy_handle, CURLINFO_RESPONSE_CODE, &req->status);
		any = true;
		/* An error page that was too long to read says what a short one would have. */
		if (code == CURLE_OK || (req->transfer->body_r < 0 && !is_success(req->status)))
			answered(t, req);
		else
			failed(t, req, code);
	}
	return any;
}

/* ---- time ---- */

/* At the pace so far, will the body be complete before the deadline? */
static bool gets_there(const struct transport_request *req, uint64_t now)
{
	curl_off_t len = -1;
	double pace, left_s;

	if (req->body.len == 0 || req->status == 0)
		return false;
	curl_easy_getinfo(req->transfer->easy, CURLINFO_CONTENT_LENGTH_DOWNLOAD_T, &len);
	if (len < 0)
		return false;
	pace = (double)req->body.len / (double)(now - req->attempt_ns);
	left_s = (double)(req->deadline_ns - now);
	return pace * left_s >= (double)len - (double)req->body.len;
}

static void attempt_expired(struct transport *t, struct transport_request *req, uint64_t now)
{
	if (now < req->deadline_ns && gets_there(req, now)) {
		timers_set(&t->timers, &req->timer, req->deadline_ns);
		return;
	}
	req->last_r = error_set(&req->last_err, -ETIMEDOUT, "%s: %s", url_of(req),
		req->body.len ? "the answer comes too slowly" : "no answer");
	transfer_put(t, req);
	req->fresh = true;
	try_later(t, req, 0, true);
}

static void expired(struct transport *t, struct transport_request *req, uint64_t now)
{
	timers_cancel(&t->timers, &req->timer);
	switch (req->state) {
	case ACTIVE:
		attempt_expired(t, req, now);
		break;
	case WAITING:
		enqueue(t, req);
		break;
	case QUEUED:
		unqueue(t, req);
		if (!req->last_r)
			req->last_r = error_set(&req->last_err, -ETIMEDOUT,
				"%s: too many requests before it", url_of(req));
		finish(t, req, req->last_r);
		break;
	}
}

static struct transport_request *timer_owner(struct timer *tm)
{
	return (struct transport_request *)((char *)tm - offsetof(struct transport_request, timer));
}

static bool run_timers(struct transport *t)
{
	uint64_t now = clock_ns();
	struct timer *first;
	bool any = false;

	while ((first = timers_first(&t->timers)) && first->at_ns <= now) {
		expired(t, timer_owner(first), now);
		any = true;
	}
	return any;
}

static int poll_ms(const struct transport *t)
{
	const struct timer *first = timers_first(&t->timers);
	uint64_t now = clock_ns(), ms;

	if (!first)
		return 1000000;
	if (first->at_ns <= now)
		return 0;
	ms = (first->at_ns - now) / CLOCK_NS_PER_MS + 1;
	return ms < 1000000 ? (int)ms : 1000000;
}

/* ---- the thread ---- */

static bool take_submitted(struct transport *t)
{
	struct transport_request *list;
	bool stop;

	pthread_mutex_lock(&t->lock);
	list = t->submitted;
	t->submitted = NULL;
	t->submitted_tail = &t->submitted;
	t->woken = false;
	stop = t->stop;
	pthread_mutex_unlock(&t->lock);
	while (list) {
		struct transport_request *req = list;

		list = req->next;
		enqueue(t, req);
	}
	return !stop;
}

/* Every request has a timer. */
static void cancel_all(struct transport *t)
{
	struct timer *first;

	while ((first = timers_first(&t->timers))) {
		struct transport_request *req = timer_owner(first);

		if (req->state == ACTIVE)
			transfer_put(t, req);
		else if (req->state == QUEUED)
			unqueue(t, req);
		error_set(&req->last_err, -ECANCELED, "%s: stopped", url_of(req));
		finish(t, req, -ECANCELED);
	}
}

static void *transport_main(void *arg)
{
	struct transport *t = arg;

	while (take_submitted(t)) {
		int running;
		bool busy = run_timers(t);

		busy |= start_queued(t);
		curl_multi_perform(t->multi, &running);
		busy |= reap(t);
		if (!busy)
			curl_multi_poll(t->multi, NULL, 0, poll_ms(t), NULL);
	}
	cancel_all(t);
	return NULL;
}

/* ---- outside ---- */

static void global_init(void)
{
	curl_global_init(CURL_GLOBAL_DEFAULT);
#ifdef __GLIBC__
	/* Bodies of half a megabyte come and go all the time. By default each is given back to the kernel and faulted in
	 * again, which costs as much as receiving it (measured: 0.37 s against 0.19 s for 390 MB). */
	mallopt(M_MMAP_THRESHOLD, 4 << 20);
	mallopt(M_TRIM_THRESHOLD, 32 << 20);
#endif
}

static int start_thread(struct transport *t)
{
	sigset_t all, old;
	int r;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	r = pthread_create(&t->thread, NULL, transport_main, t);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	return -r;
}

static void destroy(struct transport *t)
{
	while (t->idle) {
		struct transport_transfer *x = t->idle;

		t->idle = x->next;
		curl_easy_cleanup(x->easy);
		free(x);
	}
	if (t->multi)
		curl_multi_cleanup(t->multi);
	pthread_mutex_destroy(&t->lock);
	free(t->ca_file);
	free(t);
}

static int init_multi(struct transport *t)
{
	t->multi = curl_multi_init();
	if (!t->multi)
		return -ENOMEM;
	curl_multi_setopt(t->multi, CURLMOPT_PIPELINING, CURLPIPE_MULTIPLEX);
	curl_multi_setopt(t->multi, CURLMOPT_MAX_HOST_CONNECTIONS, (long)t->connections);
	/* By default the idle ones beyond four times the transfers of the moment would be closed. */
	curl_multi_setopt(t->multi, CURLMOPT_MAXCONNECTS, (long)(2 * t->connections));
	return 0;
}

int transport_new(
	const struct transport_options *opts, struct transport **ret, struct smr_error *err)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	struct transport *t = calloc(1, sizeof(*t));
	int r;

	if (!t)
		return -ENOMEM;
	pthread_once(&once, global_init);
	pthread_mutex_init(&t->lock, NULL);
	t->submitted_tail = &t->submitted;
	for (unsigned p = 0; p < STORE_PRIORITIES; p++)
		t->queue[p].tail = &t->queue[p].head;
	t->timeout_ms = opts->timeout_ms ? opts->timeout_ms : 30000;
	t->connections = opts->connections ? opts->connections : 16;
	if (t->connections > 256)
		t->connections = 256;
	if (getrandom(&t->random, sizeof(t->random), GRND_NONBLOCK) < 0 || !t->random)
		t->random = clock_ns() | 1;
	t->ca_file = opts->ca_file ? strdup(opts->ca_file) : NULL;
	r = opts->ca_file && !t->ca_file ? -ENOMEM : init_multi(t);
	if (r == 0)
		r = start_thread(t);
	if (r < 0) {
		destroy(t);
		return error_set_errno(err, r, "starting the HTTP client");
	}
	*ret = t;
	return 0;
}

void transport_stop(struct transport *t)
{
	pthread_mutex_lock(&t->lock);
	t->stop = true;
	pthread_mutex_unlock(&t->lock);
	curl_multi_wakeup(t->multi);
}

void transport_free(struct transport *t)
{
	if (!t)
		return;
	transport_stop(t);
	pthread_join(t->thread, NULL);
	destroy(t);
}

void transport_submit(struct transport *t, struct transport_request *req)
{
	uint32_t timeout_ms = req->timeout_ms ? req->timeout_ms : t->timeout_ms;
	bool stopped, wake;

	buf_init(&req->body, req->max_bytes);
	buf_init(&req->head, TRANSPORT_HEADERS_MAX);
	req->status = 0;
	req->content_len = -1;
	req->n_attempts = req->n_redirects = 0;
	req->fresh = false;
	req->patient = req->attempts == 1 || strcmp(req->method, "POST") == 0;
	req->last_r = 0;
	req->last_err.message[0] = '\0';
	req->deadline_ns = clock_ns() + timeout_ms * CLOCK_NS_PER_MS;
	req->next = NULL;

	pthread_mutex_lock(&t->lock);
	stopped = t->stop;
	wake = !stopped && !t->woken;
	if (!stopped) {
		*t->submitted_tail = req;
		t->submitted_tail = &req->next;
		t->woken = true;
	}
	pthread_mutex_unlock(&t->lock);
	if (stopped) {
		error_set(&req->last_err, -ECANCELED, "%s: stopped", req->url);
		req->done(req, -ECANCELED, &req->last_err);
	} else if (wake && !pthread_equal(pthread_self(), t->thread)) {
		curl_multi_wakeup(t->multi);
	}
}

struct performing {
	struct gate gate;
	struct smr_error *err;
	int result;
};

static void performed(struct transport_request *req, int r, const struct smr_error *err)
{
	struct performing *p = req->user_data;

	p->result = r;
	if (r < 0 && p->err)
		*p->err = *err;
	gate_open(&p->gate);
}

int transport_perform(struct transport *t, struct transport_request *req, struct smr_error *err)
{
	struct performing p = {.err = err};

	gate_init(&p.gate);
	req->done = performed;
	req->user_data = &p;
	transport_submit(t, req);
	gate_wait(&p.gate);
	return p.result;
}

void transport_request_done(struct transport_request *req)
{
	buf_done(&req->body);
	buf_done(&req->head);
}
