/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * HTTP requests, many at a time, on one thread of its own; the only place that knows libcurl.
 *
 *     QUEUED --a connection is free--> ACTIVE --answered, failed for good--> done()
 *       ^                                |--it may work later--> WAITING --backoff, Retry-After--> QUEUED
 *       any of them --deadline--> done(): -ETIMEDOUT, or what the last attempt said
 *
 * Urgent requests start first, and others never take all connections, so that an urgent one finds one free. Attempts
 * that make no progress are ended half-way to the deadline, and tried again on a fresh connection. TLS is verified. Redirects
 * are followed on the same host only, never from https to http. No content encoding is asked for.
 *
 * Thread rule: any thread submits; done() runs on the transport's thread and must not block; it may submit.
 */
#ifndef STORE_TRANSPORT_H
#define STORE_TRANSPORT_H

#include "store.h"
#include "timers.h"

#define TRANSPORT_HEADERS_MAX (64u << 10) /* bytes of response headers that are kept */
#define TRANSPORT_REDIRECTS   5

struct transport;
struct transport_transfer;

struct transport_options {
	uint32_t timeout_ms;  /* 0: 30,000 */
	unsigned connections; /* at a time, 1..256; 0: 16 */
	const char *ca_file;  /* PEM; NULL: the system's */
};

/* One request. Owned by the caller, zeroed before it is filled in; alive, with all it points to, until done(), which is called
 * exactly once and may free or reuse it (after transport_request_done). */
struct transport_request {
	const char *method;         /* "GET", "HEAD", "PUT", "DELETE", "POST" */
	const char *url;            /* http or https, without credentials */
	const char *const *headers; /* "Name: value"; NULL-terminated; may be NULL */
	const char *user;           /* Basic authentication; may be NULL */
	const char *password;
	const void *data; /* what a PUT or POST sends */
	size_t data_len;
	size_t max_bytes;    /* a longer body is -EBADMSG */
	uint32_t timeout_ms; /* from submit to done, retries included; 0: the transport's */
	unsigned
		attempts; /* at most; 0: as many as the deadline allows; a POST is never repeated */
	bool keep_headers; /* for transport_header */
	enum store_priority priority;
	/* 0 for 2xx and 304. Otherwise as in store.h, from the last attempt; -ECANCELED: the transport was stopped.
	 * `err` is never NULL. */
	void (*done)(struct transport_request *req, int r, const struct smr_error *err);
	void *user_data;

	/* The answer, valid in done() and until transport_request_done. */
	long status;         /* 0: none came */
	struct buf body;     /* of errors too, their first bytes */
	int64_t content_len; /* what the server said, -1: nothing; for HEAD */

	/* the transport's own */
	int state;
	struct transport_request *next;
	struct transport_transfer *transfer;
	struct timer timer;
	uint64_t deadline_ns, attempt_ns;
	unsigned n_attempts, n_redirects;
	bool fresh, patient;
	char *redirected;
	struct buf head;
	int last_r;
	struct smr_error last_err;
};

/* -ENOMEM, or the errno of starting the thread. */
int transport_new(
	const struct transport_options *opts, struct transport **ret, struct smr_error *err);
/* Everything under way or submitted later ends with -ECANCELED. Returns at once. */
void transport_stop(struct transport *t);
/* Stops, and returns when every done() has. Not from within one. NULL is fine. */
void transport_free(struct transport *t);

void transport_submit(struct transport *t, struct transport_request *req);
/* submit and a wait; req->done is ignored. */
int transport_perform(struct transport *t, struct transport_request *req, struct smr_error *err);

/* Frees the answer. A request that was zeroed and never submitted is fine. */
void transport_request_done(struct transport_request *req);

/* A header of the answer (the name in any case), without blanks around it, copied. false: not there, or longer than
 * size - 1. */
bool transport_header(
	const struct transport_request *req, const char *name, char *ret, size_t size);

#endif
