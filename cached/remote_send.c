/* SPDX-License-Identifier: BSD-3-Clause */
/* What a remote cache sends: at once where the socket takes it, else in order when it does. */
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../chunker/core/clock.h"
#include "remote_impl.h"

/* Packets that wait for an owner who does not read. All calls and all GETs of a window are fewer, and so is all
 * that can be dropped or held. */
#define OUT_MAX 1024
/* Ids are told to be dropped after this time, or when a message is full of them. */
#define DROPPED_NS (20 * CLOCK_NS_PER_MS)

void remote_send_break(struct remote *r)
{
	shutdown(r->fd, SHUT_RDWR);
}

void remote_send_wake(struct remote *r)
{
	static const uint64_t one = 1;

	if (write(r->wake_fd, &one, sizeof(one)) < 0)
		return; /* it is awake already */
}

/* 0, -EAGAIN, or the connection is of no use. */
static int send_now(struct remote *r, const void *bytes, size_t n)
{
	ssize_t sent;

	while ((sent = send(r->fd, bytes, n, MSG_DONTWAIT | MSG_NOSIGNAL)) < 0 && errno == EINTR)
		;
	return sent >= 0 ? 0 : -errno;
}

static void queue_packet(struct remote *r, size_t n)
{
	struct remote_packet *p = r->n_out < OUT_MAX ? malloc(sizeof(*p) + n) : NULL;

	if (!p) {
		remote_send_break(r);
		return;
	}
	p->next = NULL;
	p->n = n;
	memcpy(p->bytes, r->send, n);
	*r->out_tail = p;
	r->out_tail = &p->next;
	if (r->n_out++ == 0)
		remote_send_wake(r);
}

void remote_send(struct remote *r, const struct proto_message *m)
{
	int n = proto_encode(m, r->send);
	int sent = n < 0 ? n : r->out ? -EAGAIN : send_now(r, r->send, (size_t)n);

	if (sent == -EAGAIN)
		queue_packet(r, (size_t)n);
	else if (sent < 0)
		remote_send_break(r);
}

uint64_t remote_send_request(struct remote *r, struct proto_message *m)
{
	m->request = ++r->last_request;
	/* Who waits for nobody does not watch whether the owner is there. */
	if (r->asleep) {
		r->asleep = false;
		r->heard_ns = clock_ns();
		remote_send_wake(r);
	}
	remote_send(r, m);
	return m->request;
}

void remote_send_queued(struct remote *r)
{
	while (r->out) {
		struct remote_packet *p = r->out;
		int sent = send_now(r, p->bytes, p->n);
		if (sent == -EAGAIN)
			return;
		if (sent < 0)
			remote_send_break(r);
		r->out = p->next;
		if (!r->out)
			r->out_tail = &r->out;
		r->n_out--;
		free(p);
	}
}

void remote_send_ids(struct remote *r, struct proto_message *m, const struct chunkid *ids, size_t n)
{
	for (size_t i = 0; i < n; i += m->n_ids) {
		m->ids = ids + i;
		m->n_ids = (uint32_t)(n - i < PROTO_IDS_MAX ? n - i : PROTO_IDS_MAX);
		remote_send(r, m);
	}
}

void remote_send_dropped(struct remote *r)
{
	struct proto_message m = {.type = PROTO_DROPPED};

	remote_send_ids(
		r, &m, (struct chunkid *)r->dropped.data, r->dropped.len / sizeof(struct chunkid));
	buf_reset(&r->dropped);
}

void remote_send_drop(struct remote *r, const struct chunkid *ids, unsigned n)
{
	bool first = r->dropped.len == 0;

	if (r->lost || r->stopped)
		return;
	/* Who owns the cache would count them as held for ever. */
	if (buf_append(&r->dropped, ids, n * sizeof(*ids)) < 0) {
		remote_send_break(r);
		return;
	}
	if (r->dropped.len >= PROTO_IDS_MAX * sizeof(*ids)) {
		remote_send_dropped(r);
	} else if (first) {
		r->dropped_ns = clock_ns() + DROPPED_NS;
		remote_send_wake(r);
	}
}
