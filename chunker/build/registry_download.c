// SPDX-License-Identifier: BSD-3-Clause
#include "registry_download.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../core/cleanup.h"
#include "../core/clock.h"
#include "../core/fd.h"
#include "registry_http.h"

#define FAILURES_MAX 8 /* in a row, of tries that got nowhere: ten seconds without a network */
#define PATIENCE     2 /* doublings of the first pause */
#define SOMEWHERE    (64u << 10) /* bytes */
#define BLOCK        (256u << 10)
#define ETAG_MAX     256

/* A download under way. */
struct progress {
	const struct registry_download *d;
	struct chunkid_hasher *hasher;
	uint64_t offset; /* bytes in the file */
	uint64_t skip;   /* bytes to come that the file has */
	uint64_t whole;  /* bytes that came before the first break; no more are readable */
	bool resumed;
	bool begun; /* this answer's status was looked at */
	char etag[ETAG_MAX];
	int r; /* why the sink gave up */
	struct smr_error err;
};

/* Where the answer starts: at what was asked for, or from the beginning. */
static int begin(struct progress *p, const struct transport_exchange *x)
{
	char range[64];
	unsigned long long start;

	p->begun = true;
	p->skip = x->status == 200 ? p->offset : 0;
	if (x->status == 200)
		return 0;
	if (x->status == 206 && transport_header(&x->head, "Content-Range", range, sizeof(range)) &&
		sscanf(range, "bytes %llu-", &start) == 1 && start == p->offset)
		return 0;
	return error_set(
		&p->err, -EBADMSG, "the registry answers with another part than asked for");
}

static int take(struct progress *p, const char *data, size_t n)
{
	int r;

	if (n > p->d->size - p->offset)
		return error_set(&p->err, -EBADMSG, "the layer is longer than the manifest says");
	r = fd_pwrite(p->d->fd, data, n, p->offset);
	if (r < 0)
		return error_set_errno(&p->err, r, "cannot write a layer to disk");
	chunkid_hasher_add(p->hasher, data, n);
	p->offset += n;
	p->d->progress(p->d->user, n, p->offset < p->whole ? p->offset : p->whole);
	return 0;
}

static int sink(struct transport_exchange *x, const void *data, size_t n)
{
	struct progress *p = x->owner;
	size_t skip;

	if (!p->begun)
		p->r = begin(p, x);
	skip = p->skip < n ? (size_t)p->skip : n;
	p->skip -= skip;
	if (p->r == 0 && n > skip)
		p->r = take(p, (const char *)data + skip, n - skip);
	return p->r;
}

/* A weak one says nothing about bytes. */
static void learn_etag(struct progress *p, const struct transport_exchange *x)
{
	if (x->status != 200 && x->status != 206)
		return;
	if (!transport_header(&x->head, "ETag", p->etag, sizeof(p->etag)) || p->etag[0] != '"')
		p->etag[0] = 0;
}

/* One try; *ret_again: another may go on from there. */
static int try_once(struct transport *t, struct progress *p, const char *url, bool *ret_again,
	uint64_t *ret_asked_s, struct smr_error *err)
{
	const struct registry_download *d = p->d;
	char range[48], if_range[ETAG_MAX + 16];
	const char *headers[3] = {NULL};
	struct registry_http_request req = {.url = url,
		.headers = headers,
		.auth = d->auth,
		.origin = d->origin,
		.insecure = d->insecure,
		.deadline_ns = d->deadline_ns,
		.cancel = d->cancel,
		.sink = sink,
		.owner = p};
	struct transport_exchange x = {0};
	bool whole;
	int r;

	if (p->offset > 0) {
		p->resumed = true;
		if (p->whole > p->offset)
			p->whole = p->offset;
		snprintf(range, sizeof(range), "Range: bytes=%llu-", (unsigned long long)p->offset);
		headers[0] = range;
	}
	if (p->offset > 0 && p->etag[0]) {
		snprintf(if_range, sizeof(if_range), "If-Range: %s", p->etag);
		headers[1] = if_range;
	}
	p->begun = false;
	r = registry_http_try(t, &req, &x, err);
	learn_etag(p, &x);
	/* Without a length, what was cut off looks complete, too. */
	whole = x.content_len >= 0;
	*ret_again = x.again;
	*ret_asked_s = x.retry_after_s;
	transport_exchange_done(&x);
	if (p->r < 0) {
		*ret_again = false;
		if (err)
			*err = p->err;
		return p->r;
	}
	if (r == 0 && p->offset < d->size && whole)
		return error_set(err, -EBADMSG, "the layer is shorter than the manifest says");
	if (r == 0 && p->offset < d->size) {
		*ret_again = true;
		return error_set(err, -ECONNRESET, "%s ended at byte %llu of %llu", url,
			(unsigned long long)p->offset, (unsigned long long)d->size);
	}
	return r;
}

static int download(struct transport *t, struct progress *p, const char *url, struct smr_error *err)
{
	unsigned failures = 0;
	int r = 0;

	while (p->offset < p->d->size) {
		uint64_t start = p->offset, asked_s;
		bool again;

		r = try_once(t, p, url, &again, &asked_s, err);
		/* All is there, however the connection ended. */
		if (p->offset == p->d->size && p->r == 0)
			return 0;
		failures = p->offset - start >= SOMEWHERE ? 1 : failures + 1;
		if (!again || failures == FAILURES_MAX)
			return r;
		if (clock_ns() > p->d->deadline_ns)
			return error_set(err, -ETIMEDOUT, "%s: after %llu of %llu bytes: too slow",
				url, (unsigned long long)p->offset, (unsigned long long)p->d->size);
		if (registry_http_pause(failures + PATIENCE, asked_s, p->d->cancel) < 0)
			return error_set(err, -ECANCELED, "stopped");
	}
	return 0;
}

/* The file is whole. -EBADMSG: its bytes are not what the digest says. */
static int check(struct progress *p, const char *url, struct smr_error *err)
{
	struct chunkid digest;

	chunkid_hasher_finish(p->hasher, &digest);
	if (chunkid_equal(&digest, &p->d->digest))
		return 0;
	return error_set(err, -EBADMSG, "%s has other bytes than its digest says", url);
}

static void start_over(struct progress *p)
{
	struct chunkid none;

	chunkid_hasher_finish(p->hasher, &none);
	p->offset = 0;
	p->r = 0;
	p->etag[0] = 0;
	p->resumed = false;
}

int registry_download(struct transport *t, const struct registry_download *d, struct smr_error *err)
{
	struct progress p = {.d = d, .hasher = chunkid_hasher_new(), .whole = UINT64_MAX};
	char hex[CHUNKID_HEX + 1];
	char *url auto_free = NULL;
	int r;

	chunkid_format(&d->digest, hex);
	if (asprintf(&url, "%s/blobs/sha256:%s", d->base, hex) < 0)
		url = NULL;
	r = url && p.hasher ? download(t, &p, url, err) : -ENOMEM;
	if (r == 0)
		r = check(&p, url, err);
	if (r == -EBADMSG && p.resumed) {
		start_over(&p);
		r = download(t, &p, url, err);
		if (r == 0)
			r = check(&p, url, err);
	}
	chunkid_hasher_free(p.hasher);
	return r;
}

int registry_download_check(
	int fd, uint64_t size, const struct chunkid *digest, const atomic_bool *cancel)
{
	struct chunkid_hasher *hasher = chunkid_hasher_new();
	unsigned char *data auto_free = malloc(BLOCK);
	struct chunkid found;
	size_t n = 1;
	int r = hasher && data ? 0 : -ENOMEM;

	for (uint64_t at = 0; r == 0 && at < size; at += n) {
		r = cancel && atomic_load(cancel) ? -ECANCELED : fd_pread(fd, data, BLOCK, at, &n);
		if (r == 0 && n == 0)
			r = -EBADMSG;
		if (r == 0)
			chunkid_hasher_add(hasher, data, n);
	}
	if (r == 0) {
		chunkid_hasher_finish(hasher, &found);
		r = chunkid_equal(&found, digest) ? 0 : -EBADMSG;
	}
	chunkid_hasher_free(hasher);
	return r;
}
