/* SPDX-License-Identifier: BSD-3-Clause */
#include "http.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../core/cleanup.h"
#include "requests.h"
#include "url.h"

/* Documents that somebody waits for: about a second of refused connections. */
#define IMPATIENT_ATTEMPTS 5
#define SETTLE_S           2

struct http {
	struct bucket bucket;
	struct requests *requests;
	char *user, *password; /* NULL: none */
};

/* One get on its way. */
struct http_get {
	struct request request;
	struct bucket_get *get;
	const char *headers[3];
	char match[BUCKET_ETAG_MAX + 16];
	char url[];
};

static struct http *of(struct bucket *b)
{
	return (struct http *)b;
}

static void free_get(struct http_get *hg)
{
	requests_done(&hg->request);
	free(hg);
}

/* Web servers make ETags of time stamps in seconds: a document that was changed in the very second in which it was sent may change
 * once more and keep its ETag. So one is kept only of a document that had settled (RFC 9110, 8.8.2.2). */
static void keep_etag(const struct request *req, char etag[BUCKET_ETAG_MAX])
{
	int64_t modified, sent;

	etag[0] = '\0';
	if (!req->keep_headers)
		return;
	modified = transport_header_date(&req->head, "Last-Modified");
	sent = transport_header_date(&req->head, "Date");
	if (modified >= 0 && sent >= 0 && sent - modified < SETTLE_S)
		return;
	if (!transport_header(&req->head, "ETag", etag, BUCKET_ETAG_MAX))
		etag[0] = '\0';
}

static void get_done(struct request *req, int r, const struct smr_error *err)
{
	struct http_get *hg = req->user_data;
	struct bucket_get *g = hg->get;
	struct buf body;

	buf_init(&body, g->max_bytes);
	if (r == 0 && req->status == 304) {
		r = g->etag[0] ? -EALREADY : -EBADMSG;
	} else if (r == 0) {
		keep_etag(req, g->etag);
		buf_move(&body, &req->body);
	}
	g->done(g, r, &body, err);
	buf_done(&body);
	free_get(hg);
}

static void http_get(struct bucket *b, struct bucket_get *g)
{
	struct http *h = of(b);
	size_t len = strlen(b->url) + strlen(g->key) + 2;
	struct http_get *hg = calloc(1, sizeof(*hg) + len);

	if (!hg) {
		static const struct smr_error no_error;
		struct buf none;

		buf_init(&none, 0);
		g->done(g, -ENOMEM, &none, &no_error);
		return;
	}
	snprintf(hg->url, len, "%s/%s", b->url, g->key);
	if (g->impatient)
		hg->headers[0] = "Cache-Control: no-cache"; /* documents change; chunks never do */
	if (g->etag[0]) {
		snprintf(hg->match, sizeof(hg->match), "If-None-Match: %s", g->etag);
		hg->headers[g->impatient ? 1 : 0] = hg->match;
	}
	hg->get = g;
	hg->request = (struct request){
		.method = "GET",
		.url = hg->url,
		.headers = hg->headers,
		.user = h->user,
		.password = h->password,
		.max_bytes = g->max_bytes,
		.priority = g->priority,
		.attempts = g->impatient ? IMPATIENT_ATTEMPTS : 0,
		.keep_headers = g->impatient, /* chunks have ids, not ETags */
		.done = get_done,
		.user_data = hg,
	};
	requests_submit(h->requests, &hg->request);
}

static int http_head(struct bucket *b, const char *key, uint64_t *ret_size, struct smr_error *err)
{
	struct http *h = of(b);
	char *url auto_free = NULL;
	int r;

	if (asprintf(&url, "%s/%s", b->url, key) < 0) {
		url = NULL;
		return -ENOMEM;
	}
	struct request req = {
		.method = "HEAD",
		.url = url,
		.user = h->user,
		.password = h->password,
	};
	r = requests_perform(h->requests, &req, err);
	if (r == 0)
		*ret_size = req.content_len > 0 ? (uint64_t)req.content_len : 0;
	requests_done(&req);
	return r;
}

static void http_stop(struct bucket *b)
{
	requests_stop(of(b)->requests);
}

static void http_free(struct bucket *b)
{
	struct http *h = of(b);

	requests_free(h->requests);
	free(h->bucket.url);
	free(h->user);
	if (h->password)
		explicit_bzero(h->password, strlen(h->password));
	free(h->password);
	free(h);
}

static const struct bucket_ops http_ops = {
	.get = http_get,
	.head = http_head,
	.stop = http_stop,
	.free = http_free,
};

static int check_url(
	const char *text, const struct store_options *opts, struct url *url, struct smr_error *err)
{
	int r = url_parse(text, url, err);

	if (r < 0)
		return r;
	if (strcmp(url->scheme, "http") != 0 && strcmp(url->scheme, "https") != 0)
		return error_set(err, -EINVAL, "%s: not an http URL", url->bare);
	if (strpbrk(url->path, "?#"))
		return error_set(
			err, -EINVAL, "%s: the URL of a store has no '?' or '#'", url->bare);
	if (strcmp(url->scheme, "http") == 0 && !url_is_loopback(url) && !opts->insecure)
		return error_set(err, -EPERM,
			"%s: plain http can be tampered with on its way; use https, or --insecure "
			"(smrfs: -o insecure)",
			url->bare);
	return 0;
}

int http_open(const char *text, const struct store_options *opts, struct bucket **ret,
	struct smr_error *err)
{
	struct requests_options options = {
		.timeout_ms = opts->timeout_ms,
		.connections = opts->connections,
		.ca_file = opts->ca_file,
	};
	struct url url;
	struct http *h;
	int r = check_url(text, opts, &url, err);

	if (r < 0)
		return r;
	h = calloc(1, sizeof(*h));
	if (!h)
		return -ENOMEM;
	h->bucket = (struct bucket){&http_ops, strdup(url.bare), false};
	h->user = url.has_user ? strdup(url.user) : NULL;
	h->password = url.has_user ? strdup(url.password) : NULL;
	r = !h->bucket.url || (url.has_user && (!h->user || !h->password)) ? -ENOMEM : 0;
	explicit_bzero(&url, sizeof(url));
	if (r == 0)
		r = requests_new(&options, &h->requests, err);
	if (r < 0) {
		http_free(&h->bucket);
		return r;
	}
	*ret = &h->bucket;
	return 0;
}
