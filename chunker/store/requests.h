/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * HTTP requests: queued, started by urgency, repeated while that makes sense, each with a deadline that counts from
 * its submission.
 *
 *     QUEUED --a connection is free--> ACTIVE --answered, or failed for good--> done()
 *       ^                                |--failed in a way that may pass--> WAITING --backoff, Retry-After--> QUEUED
 *       any of them --deadline--> done(): -ETIMEDOUT, or what the last attempt said
 *
 * An attempt that gets nowhere half-way to the deadline is not given up but joined by a second one on a new connection; the
 * first answer counts. So neither a dead connection nor an origin that is merely slow costs the request.
 * Urgent requests start first, and others never take all connections, so that an urgent one finds one free.
 * Redirects are followed on the same host only, never from https to http.
 *
 * Thread rule: any thread submits; done() runs on the thread of the requests and must not block; it may submit.
 */
#ifndef STORE_REQUESTS_H
#define STORE_REQUESTS_H

#include "timers.h"
#include "transport.h"

#define REQUESTS_REDIRECTS 5

struct requests;

struct requests_options {
	uint32_t timeout_ms;  /* 0: 30,000 */
	unsigned connections; /* at a time, 1..256 (twice that while origins stall); 0: 16 */
	const char *ca_file;  /* PEM; NULL: the system's */
};

/* One request. Owned by the caller, zeroed before it is filled in; alive, with all it points to, until done(), which is called
 * exactly once and may free or reuse it (after requests_done). The first ones are as in struct transport_exchange. */
struct request {
	const char *method; /* a POST is never repeated */
	const char *url;
	const char *const *headers;
	const char *user, *password;
	const void *data;
	size_t data_len;
	size_t max_bytes;
	bool keep_headers;
	uint32_t timeout_ms; /* from submit to done; 0: the default */
	unsigned attempts;   /* at most; 0: as many as the deadline allows */
	enum store_priority priority;
	/* 0 for 2xx and 304. Otherwise as in store.h, from the last attempt; -ECANCELED: stopped. `err` is never
	 * NULL. */
	void (*done)(struct request *req, int r, const struct smr_error *err);
	void *user_data;

	/* The answer, valid in done() and until requests_done. */
	long status;     /* 0: none came */
	struct buf body; /* of errors too, their first bytes */
	struct buf head; /* for transport_header */
	int64_t content_len;

	/* the requests' own */
	int state;
	struct request *next;
	struct transport_exchange tries[2];
	struct timer timer;
	uint64_t deadline_ns, started_ns;
	unsigned n_attempts, n_redirects;
	bool once;
	char *redirected;
	int last_r;
	struct smr_error last_err;
};

/* -ENOMEM, or the errno of starting the thread. */
int requests_new(const struct requests_options *opts, struct requests **ret, struct smr_error *err);
/* Everything under way or submitted later ends with -ECANCELED. Returns at once. */
void requests_stop(struct requests *rs);
/* Stops, and returns when every done() has. Not from within one. NULL is fine. */
void requests_free(struct requests *rs);

void requests_submit(struct requests *rs, struct request *req);
/* submit and a wait; req->done is ignored. */
int requests_perform(struct requests *rs, struct request *req, struct smr_error *err);
/* Frees the answer. A request that was zeroed and never submitted is fine. */
void requests_done(struct request *req);

#endif
