/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Single HTTP exchanges, many at a time; the only place that knows libcurl. When to start, repeat or give up one is
 * the business of requests.h.
 *
 * TLS is verified, 1.2 at least; HTTP/2 where TLS offers it; no redirect is followed, no content encoding asked for; a proxy of the
 * environment is used, but not for loopback. Bodies and headers are bounded.
 *
 * Thread rule: one thread, but transport_wakeup.
 */
#ifndef STORE_TRANSPORT_H
#define STORE_TRANSPORT_H

#include "store.h"

#define TRANSPORT_HEADERS_MAX (64u << 10) /* bytes of response headers that are kept */
#define TRANSPORT_ERROR_MAX   (64u << 10) /* bytes of the body of an error */

struct transport;
struct transport_handle;

/* One exchange. Owned by the caller; alive, with all it points to, from start until it was returned by transport_next
 * or aborted. Zeroed before its first use; may be used again after transport_exchange_done. */
struct transport_exchange {
	const char *method;         /* "GET", "HEAD", "PUT", ... */
	const char *url;            /* http or https, without credentials */
	const char *const *headers; /* "Name: value"; NULL-terminated; may be NULL */
	const char *user;           /* Basic authentication; may be NULL */
	const char *password;       /* may be NULL */
	const void *data;           /* what is sent as the body; may be NULL */
	size_t data_len;
	size_t max_bytes;    /* a longer body is -EBADMSG */
	unsigned silent_s;   /* less than 1 KiB/s for so long ends it */
	bool keep_headers;   /* for transport_header */
	bool new_connection; /* do not use one that was used before */
	/* Takes the body of a 2xx answer piece by piece, in place of `body` and max_bytes; x->status is set. A negative errno
	 * ends the exchange with it. May wait: nothing else of the transport moves meanwhile. NULL: none. */
	int (*sink)(struct transport_exchange *x, const void *data, size_t n);
	void *owner;

	/* The outcome. 0 for 2xx and 304; else as in store.h, with a message that begins with the URL; `again`: another try
	 * may succeed. */
	int r;
	bool again;
	struct smr_error err;
	long status;     /* 0: no answer came */
	struct buf body; /* of errors their first bytes */
	struct buf head;
	int64_t content_len;    /* what the server said, -1: nothing; for HEAD */
	uint64_t retry_after_s; /* 0: not said */
	char *redirect;         /* where a 3xx points, absolute; may be NULL */

	struct transport_handle *handle; /* the transport's own; not NULL: under way */
};

/* `connections` to a host at most; `ca_file` (PEM) may be NULL: the system's. -ENOMEM. */
int transport_new(unsigned connections, const char *ca_file, struct transport **ret);
/* The file of the system's authorities, PEM, or NULL: they are elsewhere. */
const char *transport_ca_file(void);
/* No exchange may be under way. NULL is fine. */
void transport_free(struct transport *t);

/* -EINVAL: not a URL; -ENOMEM. Nothing is under way then. */
int transport_start(struct transport *t, struct transport_exchange *x);
/* Gives it up. One that is not under way is fine. */
void transport_abort(struct transport *t, struct transport_exchange *x);
/* Moves what can be moved without waiting; then an exchange that has ended, or NULL. */
struct transport_exchange *transport_next(struct transport *t);
/* Waits until something can be moved, transport_wakeup is called or `ms` have passed. */
void transport_poll(struct transport *t, int ms);
/* Any thread: ends the wait of now, or else the next. */
void transport_wakeup(struct transport *t);

/* The whole length of the body on its way, as announced; -1: not (yet) known. */
int64_t transport_expected(const struct transport_exchange *x);

/* Frees the outcome. */
void transport_exchange_done(struct transport_exchange *x);

/* A header (name in any case), without blanks around it, copied. false: not there, or longer than size - 1. */
bool transport_header(const struct buf *head, const char *name, char *ret, size_t size);
/* A header that is a date (RFC 9110, 5.6.7) as seconds since the epoch; -1: not there, or not a date. */
int64_t transport_header_date(const struct buf *head, const char *name);

#endif
