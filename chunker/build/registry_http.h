/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * One thread's blocking requests to a registry over a transport of its own: authentication (regauth.h), redirects by hand, and
 * for documents repetition.
 *
 * Redirects: five at most; to https, or from plain http on loopback (or with `insecure`) to the same kind; never from elsewhere
 * to this machine; never with credentials, unless they lead back to the registry's own origin. Messages leave out the query of
 * an URL, which for blob stores is as good as a password.
 */
#ifndef BUILD_REGISTRY_HTTP_H
#define BUILD_REGISTRY_HTTP_H

#include <stdatomic.h>

#include "../core/buf.h"
#include "../store/transport.h"

#define REGISTRY_HTTP_HEADERS_MAX 4
#define REGISTRY_HTTP_REDIRECTS   5

struct regauth;

/* All of it is the caller's. */
struct registry_http_request {
	const char *url;
	const char *const
		*headers; /* as in transport.h; at most REGISTRY_HTTP_HEADERS_MAX; may be NULL */
	const char *user, *password; /* Basic, to this url only; may be NULL */
	const void *data;            /* POST it; may be NULL: GET */
	size_t data_len;
	size_t max_bytes;
	struct regauth *auth; /* for requests to `origin`; may be NULL */
	const char *origin;
	bool insecure;
	bool no_redirects;
	uint64_t deadline_ns; /* of clock_ns; 0: 60 s a try. A silent connection ends in any case */
	const atomic_bool *cancel; /* looked at every 100 ms; may be NULL */
	int (*sink)(
		struct transport_exchange *x, const void *data, size_t n); /* as in transport.h */
	void *owner; /* for the sink: x->owner */
};

/* One try. `x` is zeroed before its first use; its outcome is the caller's to free with transport_exchange_done. Returns x->r,
 * x->again says whether another try makes sense. -ECANCELED. */
int registry_http_try(struct transport *t, const struct registry_http_request *req,
	struct transport_exchange *x, struct smr_error *err);

/* Tries until there is a 2xx answer or it makes no sense. Moves the body to `ret_body`, which must be empty, and the head to
 * `ret_head` unless that is NULL. */
int registry_http_fetch(struct transport *t, const struct registry_http_request *req,
	struct buf *ret_body, struct buf *ret_head, struct smr_error *err);
static inline int registry_http_get(struct transport *t, const struct registry_http_request *req,
	struct buf *ret_body, struct smr_error *err)
{
	return registry_http_fetch(t, req, ret_body, NULL, err);
}

/* Sleeps before try number `attempt` + 1. -ECANCELED. */
int registry_http_pause(unsigned attempt, uint64_t asked_s, const atomic_bool *cancel);

/* Scheme, host and port. Pure. */
bool registry_http_same_origin(const char *a, const char *b);
/* Pure; may a request to `from` be followed to `to`? */
bool registry_http_may_follow(const char *from, const char *to, bool insecure);

#endif
