/* SPDX-License-Identifier: BSD-3-Clause */
/* A cache over a socket, against an owner that the test plays by hand. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "../../cached/proto.h"
#include "../../cached/remote.h"
#include "../../chunker/core/codec.h"
#include "../../chunker/core/fd.h"
#include "tempdir.h"

#define SIZE CODEC_CHUNK_MIN

struct owner {
	struct tempdir dir;
	char path[600];
	int listen_fd, fd;
	struct cache *cache;
	struct cache_store *store;
	pthread_t thread;
	unsigned char packet[PROTO_MAX];

	pthread_mutex_t lock;
	pthread_cond_t wake;
	unsigned n_lost, lost_calls;
	unsigned char lost_ids[256];
};

struct ask {
	struct cache_get get;
	struct owner *owner;
	bool done;
	int r, fd;
};

static void reply(struct owner *o, const struct proto_message *m, int fd)
{
	unsigned char packet[PROTO_MAX];
	_Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {0};
	int n = proto_encode(m, packet);
	struct iovec iov = {.iov_base = packet, .iov_len = (size_t)n};
	struct msghdr h = {.msg_iov = &iov, .msg_iovlen = 1};

	assert_true(n > 0);
	if (fd >= 0) {
		h.msg_control = control;
		h.msg_controllen = sizeof(control);
		struct cmsghdr *c = CMSG_FIRSTHDR(&h);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(c), &fd, sizeof(int));
	}
	assert_int_equal(sendmsg(o->fd, &h, MSG_NOSIGNAL), n);
}

/* The next message; fails when none comes. */
static struct proto_message hear(struct owner *o)
{
	struct proto_message m;
	struct pollfd p = {.fd = o->fd, .events = POLLIN};

	assert_int_equal(poll(&p, 1, 5000), 1);
	ssize_t n = recv(o->fd, o->packet, sizeof(o->packet), 0);
	assert_true(n > 0);
	assert_int_equal(proto_decode(o->packet, (size_t)n, &m, NULL), 0);
	return m;
}

static bool is_quiet(struct owner *o)
{
	struct pollfd p = {.fd = o->fd, .events = POLLIN};

	return poll(&p, 1, 100) == 0;
}

/* Accepts, answers HELLO and one OPEN. */
static void *greet(void *arg)
{
	struct owner *o = arg;

	o->fd = accept4(o->listen_fd, NULL, NULL, SOCK_CLOEXEC);
	assert_true(o->fd >= 0);
	for (unsigned i = 0; i < 2; i++) {
		struct proto_message m = hear(o);
		assert_int_equal(m.type, i ? PROTO_OPEN : PROTO_HELLO);
		reply(o,
			&(struct proto_message){.type = PROTO_ANSWER,
				.request = m.request,
				.value = i ? 7 : PROTO_WINDOW},
			-1);
	}
	return NULL;
}

static void lost(void *user, struct cache_get *gets)
{
	struct owner *o = user;

	pthread_mutex_lock(&o->lock);
	o->lost_calls++;
	for (; gets; gets = gets->next)
		o->lost_ids[o->n_lost++] = gets->id.b[0];
	pthread_cond_broadcast(&o->wake);
	pthread_mutex_unlock(&o->lock);
}

static int set_up(void **state)
{
	struct owner *o = calloc(1, sizeof(*o));
	struct sockaddr_un at = {.sun_family = AF_UNIX};
	struct remote_options opts = {.name = "a test", .lost = lost, .user = o};
	struct smr_error err = {0};

	tempdir_init(&o->dir);
	pthread_mutex_init(&o->lock, NULL);
	pthread_cond_init(&o->wake, NULL);
	snprintf(o->path, sizeof(o->path), "%s/s", o->dir.path);
	snprintf(at.sun_path, sizeof(at.sun_path), "%.100s", o->path);
	o->listen_fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(o->listen_fd, (struct sockaddr *)&at, sizeof(at)), 0);
	assert_int_equal(listen(o->listen_fd, 4), 0);
	assert_int_equal(pthread_create(&o->thread, NULL, greet, o), 0);
	opts.socket = o->path;
	if (remote_new(&opts, &o->cache, &err) < 0)
		fail_msg("%s", err.message);
	assert_int_equal(cache_open_store(o->cache, "http://x", NULL, &o->store, NULL), 0);
	pthread_join(o->thread, NULL);
	*state = o;
	return 0;
}

static int tear_down(void **state)
{
	struct owner *o = *state;

	cache_free(o->cache);
	close(o->listen_fd);
	close(o->fd);
	tempdir_done(&o->dir);
	free(o);
	return 0;
}

static void answered(struct cache_get *g, int r, int fd)
{
	struct ask *a = (struct ask *)g;

	pthread_mutex_lock(&a->owner->lock);
	a->done = true;
	a->r = r;
	a->fd = fd;
	pthread_cond_broadcast(&a->owner->wake);
	pthread_mutex_unlock(&a->owner->lock);
}

static void ask(struct owner *o, struct ask *a, unsigned char id, enum store_priority priority)
{
	*a = (struct ask){.owner = o,
		.fd = -1,
		.get = {.id.b[0] = id,
			.chunk_size = SIZE,
			.priority = priority,
			.store = o->store,
			.done = answered}};
	cache_get(o->cache, &a->get);
}

static int wait_for(struct ask *a)
{
	struct timespec until;

	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += 5;
	pthread_mutex_lock(&a->owner->lock);
	while (!a->done)
		assert_int_equal(
			pthread_cond_timedwait(&a->owner->wake, &a->owner->lock, &until), 0);
	pthread_mutex_unlock(&a->owner->lock);
	return a->r;
}

static void wait_lost(struct owner *o, unsigned n)
{
	struct timespec until;

	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += 5;
	pthread_mutex_lock(&o->lock);
	while (o->n_lost < n)
		assert_int_equal(pthread_cond_timedwait(&o->wake, &o->lock, &until), 0);
	pthread_mutex_unlock(&o->lock);
}

static void answer(struct owner *o, uint64_t request, int r, size_t bytes)
{
	static const unsigned char content[2 * SIZE];
	int fd = bytes ? fd_sealed_memfd("t", content, bytes) : -1;

	reply(o, &(struct proto_message){.type = PROTO_ANSWER, .request = request, .result = r},
		fd);
	if (fd >= 0)
		close(fd);
}

static void test_a_get_is_answered_by_a_descriptor(void **state)
{
	struct owner *o = *state;
	struct ask a;

	ask(o, &a, 1, STORE_DEMAND);
	struct proto_message m = hear(o);
	assert_int_equal(m.type, PROTO_GET);
	assert_int_equal(m.store, 7);
	answer(o, m.request, 0, SIZE);
	assert_int_equal(wait_for(&a), 0);
	assert_true(a.fd >= 0);
	assert_true(fcntl(a.fd, F_GETFD) & FD_CLOEXEC);
	close(a.fd);
}

static void test_a_descriptor_of_another_size_is_refused_and_dropped(void **state)
{
	struct owner *o = *state;
	struct ask a;

	ask(o, &a, 9, STORE_DEMAND);
	answer(o, hear(o).request, 0, SIZE / 2);
	assert_int_equal(wait_for(&a), -EBADMSG);
	assert_int_equal(a.fd, -1);
	struct proto_message m = hear(o);
	assert_int_equal(m.type, PROTO_DROPPED);
	assert_int_equal(m.ids[0].b[0], 9);
}

static void test_demand_goes_before_read_ahead_that_fills_the_window(void **state)
{
	struct owner *o = *state;
	static struct ask ahead[100], demand;
	unsigned sent = 0;

	for (unsigned i = 0; i < 100; i++)
		ask(o, &ahead[i], (unsigned char)i, STORE_AHEAD);
	while (!is_quiet(o)) {
		hear(o);
		sent++;
	}
	assert_int_equal(sent, 48);
	ask(o, &demand, 200, STORE_DEMAND);
	assert_int_equal(hear(o).id.b[0], 200);
	cache_stop(o->cache);
	for (unsigned i = 0; i < 100; i++)
		assert_int_equal(wait_for(&ahead[i]), -ECANCELED);
	assert_int_equal(wait_for(&demand), -ECANCELED);
	assert_int_equal(o->lost_calls, 0);
}

static void assert_all_handed_back(struct owner *o, const struct ask *a, unsigned n)
{
	wait_lost(o, n);
	for (unsigned i = 0; i < n; i++) {
		assert_int_equal(o->lost_ids[i], i);
		assert_false(a[i].done);
	}
}

static void test_what_a_dead_owner_did_not_answer_is_handed_back_in_order(void **state)
{
	struct owner *o = *state;
	static struct ask a[80];

	for (unsigned i = 0; i < 80; i++)
		ask(o, &a[i], (unsigned char)i, STORE_DEMAND);
	close(o->fd);
	o->fd = -1;
	assert_all_handed_back(o, a, 80);
	/* and so is what comes later; a call fails */
	static struct ask late;
	ask(o, &late, 80, STORE_DEMAND);
	wait_lost(o, 81);
	struct store_list list;
	assert_int_equal(cache_list(o->cache, o->store, NULL, &list, NULL), -ENOTCONN);
}

static void test_an_owner_that_cancels_counts_as_gone(void **state)
{
	struct owner *o = *state;
	static struct ask a[3];

	for (unsigned i = 0; i < 3; i++)
		ask(o, &a[i], (unsigned char)i, STORE_DEMAND);
	hear(o);
	answer(o, hear(o).request, -ECANCELED, 0);
	assert_all_handed_back(o, a, 3);
}

static void test_dropped_ids_are_told_together(void **state)
{
	struct owner *o = *state;
	struct chunkid id = {0};
	unsigned told = 0, messages = 0;

	for (unsigned i = 0; i < 300; i++)
		cache_dropped(o->cache, &id, 1);
	while (told < 300) {
		struct proto_message m = hear(o);
		assert_int_equal(m.type, PROTO_DROPPED);
		told += m.n_ids;
		messages++;
	}
	assert_true(messages <= 4);
}

static void test_an_answer_to_no_question_ends_the_connection(void **state)
{
	struct owner *o = *state;
	static struct ask a;

	ask(o, &a, 0, STORE_DEMAND);
	answer(o, hear(o).request + 1000, -ENOENT, 0);
	assert_all_handed_back(o, &a, 1);
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(test_a_get_is_answered_by_a_descriptor),
		CASE(test_a_descriptor_of_another_size_is_refused_and_dropped),
		CASE(test_demand_goes_before_read_ahead_that_fills_the_window),
		CASE(test_what_a_dead_owner_did_not_answer_is_handed_back_in_order),
		CASE(test_an_owner_that_cancels_counts_as_gone),
		CASE(test_dropped_ids_are_told_together),
		CASE(test_an_answer_to_no_question_ends_the_connection),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
