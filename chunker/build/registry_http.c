// SPDX-License-Identifier: BSD-3-Clause
#include "registry_http.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../core/clock.h"
#include "../store/retry.h"
#include "../store/url.h"
#include "regauth.h"

#define ATTEMPTS     5
#define DEADLINE_S   60
#define SILENT_S     15
#define POLL_MS      100
#define CHALLENGES   2  /* 401s that are answered in a row */
#define ASKED_WAIT_S 60 /* of Retry-After at most */

/* ---- where to ---- */

bool registry_http_same_origin(const char *a, const char *b)
{
	struct url x, y;

	return url_parse(a, &x, NULL) == 0 && url_parse(b, &y, NULL) == 0 &&
	       strcmp(x.scheme, y.scheme) == 0 && strcmp(x.host, y.host) == 0 && x.port == y.port;
}

bool registry_http_may_follow(const char *from, const char *to, bool insecure)
{
	struct url a, b;
	bool local;

	if (url_parse(from, &a, NULL) < 0 || url_parse(to, &b, NULL) < 0 || b.has_user)
		return false;
	local = url_is_loopback(&b);
	if (local && !url_is_loopback(&a))
		return false;
	if (strcmp(b.scheme, "https") == 0)
		return true;
	return strcmp(b.scheme, "http") == 0 && strcmp(a.scheme, "http") == 0 &&
	       (local || insecure);
}

/* ---- one exchange ---- */

static bool is_canceled(const atomic_bool *cancel)
{
	return cancel && atomic_load(cancel);
}

static int canceled(struct transport_exchange *x)
{
	x->again = false;
	x->r = error_set(&x->err, -ECANCELED, "stopped");
	return x->r;
}

/* Until it has ended; x->r. */
static int exchange(
	struct transport *t, const struct registry_http_request *req, struct transport_exchange *x)
{
	uint64_t deadline =
		req->deadline_ns ? req->deadline_ns : clock_ns() + DEADLINE_S * CLOCK_NS_PER_S;
	int r = transport_start(t, x);

	if (r < 0) {
		x->r = r;
		x->again = false;
		return r;
	}
	while (!transport_next(t)) {
		if (is_canceled(req->cancel)) {
			transport_abort(t, x);
			return canceled(x);
		}
		if (clock_ns() > deadline) {
			transport_abort(t, x);
			x->again = true;
			x->r = error_set(
				&x->err, -ETIMEDOUT, "%s: the answer comes too slowly", x->url);
			return x->r;
		}
		transport_poll(t, POLL_MS);
	}
	return x->r;
}

/* The message of a failure, without the query of the URL. */
static int explain(const struct transport_exchange *x, struct smr_error *err)
{
	size_t bare = strcspn(x->url, "?#");

	if (x->r < 0 && !x->url[bare]) {
		if (err)
			*err = x->err;
	} else if (x->r < 0 && x->status >= 300) {
		error_set(err, x->r, "%.*s: HTTP status %ld", (int)(bare < 300 ? bare : 300),
			x->url, x->status);
	} else if (x->r < 0) {
		error_set_errno(err, x->r, "%.*s", (int)(bare < 300 ? bare : 300), x->url);
	}
	return x->r;
}

/* Fills in the request of one hop. `auth` is empty where credentials must not go. */
static int start_hop(struct transport *t, const struct registry_http_request *req, const char *url,
	const struct regauth_request *auth, struct transport_exchange *x)
{
	const char *headers[REGISTRY_HTTP_HEADERS_MAX + 2] = {NULL};
	size_t n = 0;

	for (; req->headers && req->headers[n]; n++)
		headers[n] = req->headers[n];
	if (auth->header)
		headers[n] = auth->header;
	transport_exchange_done(x);
	x->method = req->data ? "POST" : "GET";
	x->url = url;
	x->headers = headers;
	x->user = auth->user ? auth->user : url == req->url ? req->user : NULL;
	x->password = auth->user ? auth->password : url == req->url ? req->password : NULL;
	x->data = req->data;
	x->data_len = req->data_len;
	x->max_bytes = req->max_bytes;
	x->silent_s = SILENT_S;
	x->keep_headers = true;
	x->sink = req->sink;
	x->owner = req->owner;
	exchange(t, req, x);
	x->headers = NULL;
	x->user = x->password = NULL;
	return x->r;
}

/* *url becomes where the answer points. */
static int follow(const struct registry_http_request *req, struct transport_exchange *x, char **url,
	struct smr_error *err)
{
	int r = explain(x, err);

	if (req->no_redirects || req->data || !x->redirect)
		return r;
	x->again = false;
	if (!registry_http_may_follow(*url, x->redirect, req->insecure))
		return error_set(err, -EACCES, "%.*s sends us to %.*s, which is not followed",
			(int)strcspn(*url, "?#"), *url, (int)strcspn(x->redirect, "?#"),
			x->redirect);
	free(*url);
	*url = x->redirect;
	x->redirect = NULL;
	return 0;
}

/* One URL, asked again as long as its 401s can be answered. */
static int try_hop(struct transport *t, const struct registry_http_request *req, const char *url,
	struct transport_exchange *x, struct smr_error *err)
{
	bool ours = req->auth && registry_http_same_origin(url, req->origin);

	for (unsigned i = 0;; i++) {
		struct regauth_request auth = {0};
		int r = ours ? regauth_apply(req->auth, &auth) : 0;

		if (r < 0)
			return r;
		r = start_hop(t, req, url, &auth, x);
		if (r < 0 && x->status == 401 && ours && i < CHALLENGES) {
			r = regauth_challenged(req->auth, t, &auth, &x->head, req->cancel, err);
			x->again = false;
			regauth_request_done(&auth);
			if (r < 0)
				return r;
			continue;
		}
		regauth_request_done(&auth);
		if (r < 0 && x->status == 401 && ours)
			return regauth_denied(req->auth, err);
		return explain(x, err);
	}
}

int registry_http_try(struct transport *t, const struct registry_http_request *req,
	struct transport_exchange *x, struct smr_error *err)
{
	char *url = strdup(req->url);
	int r = url ? 0 : -ENOMEM;

	for (unsigned hops = 0; r == 0; hops++) {
		r = try_hop(t, req, hops ? url : req->url, x, err);
		if (r == 0 || x->status < 300 || x->status > 399)
			break;
		if (hops == REGISTRY_HTTP_REDIRECTS) {
			x->again = false;
			r = error_set(err, -ELOOP, "%.300s sends us on and on", req->url);
			break;
		}
		r = follow(req, x, &url, err);
	}
	x->url = NULL;
	x->r = r;
	free(url);
	return r;
}

/* ---- repetition ---- */

int registry_http_pause(unsigned attempt, uint64_t asked_s, const atomic_bool *cancel)
{
	uint64_t now = clock_ns(), end;

	/* Jitter from the clock: nothing here needs better. */
	end = now + retry_delay_ns(attempt, asked_s < ASKED_WAIT_S ? asked_s : ASKED_WAIT_S,
			    (uint32_t)(now * 2654435761u));
	while ((now = clock_ns()) < end) {
		uint64_t us = (end - now) / 1000 + 1;

		if (is_canceled(cancel))
			return -ECANCELED;
		usleep(us < POLL_MS * 1000 ? (useconds_t)us : POLL_MS * 1000);
	}
	return 0;
}

int registry_http_fetch(struct transport *t, const struct registry_http_request *req,
	struct buf *ret_body, struct buf *ret_head, struct smr_error *err)
{
	struct transport_exchange x = {0};
	int r;

	for (unsigned attempt = 1;; attempt++) {
		r = registry_http_try(t, req, &x, err);
		if (r == 0 || !x.again || attempt == ATTEMPTS)
			break;
		if (registry_http_pause(attempt, x.retry_after_s, req->cancel) < 0) {
			r = error_set(err, -ECANCELED, "stopped");
			break;
		}
	}
	if (r == 0) {
		buf_move(ret_body, &x.body);
		if (ret_head)
			buf_move(ret_head, &x.head);
	}
	transport_exchange_done(&x);
	return r;
}
