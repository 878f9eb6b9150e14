/* SPDX-License-Identifier: BSD-3-Clause */
#include "rpc_impl.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "../chunker/core/cleanup.h"
#include "../chunker/core/clock.h"
#include "../chunker/core/log.h"

#define STALLED_NS (20 * CLOCK_NS_PER_MS)

/* A packet that waits to be sent. */
struct rpc_out {
	STAILQ_ENTRY(rpc_out) next;
	uint64_t since;
	int fd;
	size_t n;
	unsigned char packet[];
};

/* ---- life ---- */

struct rpc_client *rpc_client_new(struct rpc_server *s, int fd)
{
	struct rpc_client *c = calloc(1, sizeof(*c));
	struct ucred who;
	socklen_t len = sizeof(who);

	if (!c || getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &len) < 0) {
		free(c);
		close(fd);
		return NULL;
	}
	c->server = s;
	atomic_init(&c->refs, 1);
	c->uid = who.uid;
	c->pid = who.pid;
	c->may_open_urls = who.uid == 0 || who.uid == geteuid();
	c->fd = fd;
	c->accepted_ns = clock_ns();
	pthread_mutex_init(&c->lock, NULL);
	STAILQ_INIT(&c->out);
	STAILQ_INIT(&c->waiting);
	buf_init(&c->images, RPC_IMAGES_MAX * sizeof(struct chunkid));
	locked(&s->lock);
	TAILQ_INSERT_TAIL(&s->clients, c, of_server);
	s->n_clients++;
	s->n_alive++;
	return c;
}

void rpc_client_ref(struct rpc_client *c)
{
	atomic_fetch_add(&c->refs, 1);
}

void rpc_client_unref(struct rpc_client *c)
{
	struct rpc_server *s = c->server;

	if (atomic_fetch_sub(&c->refs, 1) != 1)
		return;
	pthread_mutex_destroy(&c->lock);
	buf_done(&c->images);
	free(c);
	locked(&s->lock);
	if (--s->n_alive == 0)
		pthread_cond_signal(&s->freed);
}

/* ---- sending; call with c->lock held, the connection not closed ---- */

void rpc_client_doom(struct rpc_client *c, const char *why)
{
	if (c->doom)
		return;
	c->doom = why;
	locked(&c->server->lock);
	rpc_server_attend(c);
}

static int send_packet(int sock, const void *packet, size_t n, int fd)
{
	struct iovec iov = {.iov_base = (void *)packet, .iov_len = n};
	struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};
	union {
		struct cmsghdr align;
		char space[CMSG_SPACE(sizeof(int))];
	} control;

	if (fd >= 0) {
		msg.msg_control = control.space;
		msg.msg_controllen = sizeof(control.space);
		struct cmsghdr *h = CMSG_FIRSTHDR(&msg);
		h->cmsg_level = SOL_SOCKET;
		h->cmsg_type = SCM_RIGHTS;
		h->cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(h), &fd, sizeof(int));
	}
	for (;;) {
		if (sendmsg(sock, &msg, MSG_DONTWAIT | MSG_NOSIGNAL) >= 0)
			return 0;
		if (errno != EINTR)
			return -errno;
	}
}

/* What a full socket, or a lack of memory or of descriptors in flight, will let through later. */
static bool passes(struct rpc_client *c, int r)
{
	c->stalled = r == -ENOBUFS || r == -ENOMEM || r == -ETOOMANYREFS;
	return c->stalled || r == -EAGAIN;
}

static void want_write(struct rpc_client *c, bool yes)
{
	struct epoll_event ev = {.events = EPOLLIN | (yes ? EPOLLOUT : 0), .data.ptr = c};

	if (c->want_write != yes && epoll_ctl(c->server->epoll_fd, EPOLL_CTL_MOD, c->fd, &ev) == 0)
		c->want_write = yes;
}

static void enqueue(struct rpc_client *c, const void *packet, size_t n, int fd)
{
	struct rpc_out *out = malloc(sizeof(*out) + n);

	if (!out || c->n_out == RPC_BACKLOG) {
		cleanup_closep(&fd);
		free(out);
		rpc_client_doom(c, out ? "does not read its answers" : "gets none: no memory");
		return;
	}
	out->since = clock_ns();
	out->fd = fd;
	out->n = n;
	memcpy(out->packet, packet, n);
	STAILQ_INSERT_TAIL(&c->out, out, next);
	if (c->n_out++)
		return;
	want_write(c, !c->stalled);
	/* For its deadline. */
	locked(&c->server->lock);
	rpc_server_attend(c);
}

void rpc_client_send(struct rpc_client *c, const struct proto_message *m, int fd)
{
	unsigned char packet[PROTO_MAX];
	int n = proto_encode(m, packet);
	int r = -EAGAIN;

	if (n < 0)
		abort(); /* what we say ourselves has its bounds */
	if (c->n_out == 0)
		r = send_packet(c->fd, packet, (size_t)n, fd);
	if (r < 0 && (c->n_out || passes(c, r))) {
		enqueue(c, packet, (size_t)n, fd);
		return;
	}
	/* Sent, or the peer is gone, of which the epoll thread hears. */
	cleanup_closep(&fd);
}

static void free_out(struct rpc_client *c)
{
	struct rpc_out *out = STAILQ_FIRST(&c->out);

	STAILQ_REMOVE_HEAD(&c->out, next);
	cleanup_closep(&out->fd);
	free(out);
	c->n_out--;
}

static void flush(struct rpc_client *c)
{
	struct rpc_out *out;

	while ((out = STAILQ_FIRST(&c->out))) {
		int r = send_packet(c->fd, out->packet, out->n, out->fd);

		if (r < 0 && passes(c, r))
			break;
		free_out(c);
	}
	want_write(c, c->n_out && !c->stalled);
}

/* What was evicted, as long as nothing waits. */
static void tell(struct rpc_client *c)
{
	struct chunkid ids[PROTO_IDS_MAX];
	struct proto_message m = {.type = PROTO_EVICTED, .ids = ids};

	while (c->n_out == 0) {
		{
			locked(&c->server->lock);
			m.n_ids = claims_tell(&c->claimant, ids, PROTO_IDS_MAX, clock_ns());
		}
		if (m.n_ids == 0)
			return;
		rpc_client_send(c, &m, -1);
	}
}

/* ---- the epoll thread's ---- */

static void gone(void *user, const struct chunkid *id)
{
	struct buf *ids = user;

	/* Without memory its bytes count as held, until the cache is opened again. */
	buf_append(ids, id, sizeof(*id));
}

/* Gives back what it held. */
static void leave(struct rpc_client *c)
{
	struct rpc_server *s = c->server;
	struct buf ids auto_with(buf_done);

	buf_init(&ids, SIZE_MAX);
	{
		locked(&s->lock);
		claims_leave(s->claims, &c->claimant, gone, &ids);
		if (c->attention)
			TAILQ_REMOVE(&s->attention, c, of_attention);
		c->attention = false;
		TAILQ_REMOVE(&s->clients, c, of_server);
		s->n_clients--;
	}
	for (size_t i = 0; i < ids.len;) {
		size_t n = ids.len - i < PROTO_MAX ? ids.len - i : PROTO_MAX;

		cache_dropped(s->cache, (const struct chunkid *)(ids.data + i),
			(unsigned)(n / sizeof(struct chunkid)));
		i += n;
	}
}

static void say(struct rpc_client *c, const char *why)
{
	struct rpc_server *s = c->server;
	uint64_t now = clock_ns();
	bool quiet = s->said_ns && now - s->said_ns < CLOCK_NS_PER_S;

	/* One that comes again and again must not fill the log. */
	log_line(why && !quiet ? LOG_LEVEL_WARN : LOG_LEVEL_DEBUG, "%s (pid %d, uid %u) %s%s",
		c->name[0] ? c->name : "a client", (int)c->pid, (unsigned)c->uid,
		why ? why : "has gone", why ? "; disconnected" : "");
	if (why && !quiet)
		s->said_ns = now;
}

void rpc_client_close(struct rpc_client *c, const char *why)
{
	say(c, why);
	{
		locked(&c->lock);
		close(take_fd(&c->fd)); /* which takes it out of the epoll set */
		while (c->n_out)
			free_out(c);
	}
	rpc_task_forget(c);
	leave(c);
	rpc_client_unref(c);
}

void rpc_client_attend(struct rpc_client *c)
{
	const char *doom;

	{
		locked(&c->lock);
		flush(c);
		tell(c);
		doom = c->doom;
	}
	if (doom)
		rpc_client_close(c, doom);
}

void rpc_client_readable(struct rpc_client *c)
{
	unsigned char(*packets)[PROTO_MAX] = c->server->packets;
	struct mmsghdr msgs[RPC_BATCH] = {0};
	struct iovec iov[RPC_BATCH];
	struct smr_error err = {0};
	const char *why = NULL;
	int n;

	for (unsigned i = 0; i < RPC_BATCH; i++) {
		iov[i] = (struct iovec){.iov_base = packets[i], .iov_len = PROTO_MAX};
		msgs[i].msg_hdr = (struct msghdr){.msg_iov = &iov[i], .msg_iovlen = 1};
	}
	n = recvmmsg(c->fd, msgs, RPC_BATCH, MSG_DONTWAIT | MSG_CMSG_CLOEXEC, NULL);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0) {
		rpc_client_close(c, NULL);
		return;
	}
	for (int i = 0; i < n && !why; i++) {
		/* No message is empty. */
		if (msgs[i].msg_len == 0) {
			rpc_client_close(c, NULL);
			return;
		}
		if (msgs[i].msg_hdr.msg_flags & MSG_TRUNC)
			why = "sent a message that is too long";
		else if (msgs[i].msg_hdr.msg_flags & MSG_CTRUNC)
			why = "sent a descriptor";
		else
			why = rpc_request(c, packets[i], msgs[i].msg_len, &err);
	}
	if (why)
		rpc_client_close(c, why);
}

static uint64_t least(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

uint64_t rpc_client_tick(struct rpc_client *c, uint64_t now)
{
	uint64_t patience = c->server->patience_ns, owes, waits = UINT64_MAX;
	const char *why = NULL;
	locked(&c->lock);

	if (c->stalled) {
		flush(c);
		tell(c);
		if (c->stalled)
			waits = STALLED_NS;
	}
	{
		locked(&c->server->lock);
		owes = claims_owes_since(&c->claimant);
	}
	uint64_t since[3] = {
		c->hello ? 0 : c->accepted_ns, c->n_out ? STAILQ_FIRST(&c->out)->since : 0, owes};
	static const char *const whys[3] = {
		"has said nothing", "does not read its answers", "keeps what was evicted"};

	for (unsigned i = 0; i < 3; i++) {
		if (since[i] && now > since[i] && now - since[i] >= patience)
			why = whys[i];
		else if (since[i])
			waits = least(waits, since[i] + patience - least(now, since[i] + patience));
	}
	if (why)
		rpc_client_doom(c, why);
	return waits;
}
