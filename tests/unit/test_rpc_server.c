/* SPDX-License-Identifier: BSD-3-Clause */
/* The owner's side of the socket, from raw sockets: what is right, what lies, and what goes away. */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <pwd.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>

#include <cmocka.h>

#include "../../cached/engine.h"
#include "../../cached/proto.h"
#include "../../cached/rpc_server.h"
#include "../../chunker/core/cleanup.h"
#include "../../chunker/core/clock.h"
#include "../../chunker/core/codec.h"
#include "../../chunker/core/fd.h"
#include "../../chunker/core/le.h"
#include "../../chunker/store/listing.h"
#include "sample.h"
#include "tempdir.h"
#include "web_origin.h"

#define SIZE        CODEC_CHUNK_MIN
#define N           96 /* chunks, contents 1 to N */
#define PATIENCE_MS 400

struct fixture {
	struct tempdir cache_dir, store_dir;
	char dir[600], sock[600]; /* the store; the socket */
	struct web_origin origin;
	struct rpc_store stores[1];
	uint64_t size;
	struct cache *cache;
	struct rpc_server *server;
	atomic_uint evicted; /* as the owner's own frontend hears it */
};

static unsigned contents[N];
static struct sample sample = {.name = "image",
	.chunk_size = SIZE,
	.contents = contents,
	.n_slots = N,
	.image_size = N * (uint64_t)SIZE};

static void on_evicted(void *user, const struct chunkid *id)
{
	(void)id;
	atomic_fetch_add(&((struct fixture *)user)->evicted, 1);
}

static void start(struct fixture *f)
{
	struct engine_options opts = {
		.cache_dir = f->cache_dir.path, .cache_size = f->size, .n_workers = 2};
	struct rpc_server_options rpc = {
		.stores = f->stores, .n_stores = 1, .patience_ms = PATIENCE_MS};
	struct smr_error err = {0};

	if (engine_new(&opts, &f->cache, &err) < 0 ||
		rpc_listen(f->sock, 0666, -1, &rpc.listen_fd, &err) < 0 ||
		rpc_server_new(f->cache, &rpc, &f->server, &err) < 0)
		fail_msg("%s", err.message);
	rpc_server_on_evicted(f->server, on_evicted, f);
}

static void stop(struct fixture *f)
{
	cache_stop(f->cache);
	rpc_server_free(take_ptr(f->server));
	cache_free(take_ptr(f->cache));
}

static int setup_size(void **state, uint64_t size)
{
	struct fixture *f = calloc(1, sizeof(*f));
	struct store_options create = {.create = true, .chunk_size = SIZE};
	struct store *s;

	if (!f)
		return -1;
	for (unsigned i = 0; i < N; i++)
		contents[i] = i + 1;
	tempdir_init(&f->cache_dir);
	tempdir_init(&f->store_dir);
	/* Others may connect. */
	chmod(f->store_dir.path, 0755);
	snprintf(f->dir, sizeof(f->dir), "%.500s/store", f->store_dir.path);
	snprintf(f->sock, sizeof(f->sock), "%.500s/sock", f->store_dir.path);
	if (store_open(f->dir, &create, &s, NULL) < 0)
		return -1;
	sample_publish(&sample, s);
	store_free(s);
	web_origin_start(&f->origin, f->dir);
	f->stores[0] = (struct rpc_store){.name = "main", .url = f->dir};
	f->size = size;
	start(f);
	*state = f;
	return 0;
}

static int setup(void **state)
{
	return setup_size(state, 0);
}

static int setup_small(void **state)
{
	return setup_size(state, 8 * SIZE);
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	stop(f);
	web_origin_stop(&f->origin);
	tempdir_done(&f->cache_dir);
	tempdir_done(&f->store_dir);
	free(f);
	return 0;
}

/* ---- a client ---- */

struct client {
	int fd;
	uint64_t request;
	unsigned char packet[PROTO_MAX + 1]; /* the last that came */
	struct proto_message m;
	int got; /* its descriptor, -1: none */
};

static int try_connect(const char *path)
{
	struct sockaddr_un at = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

	assert_true(strlen(path) < sizeof(at.sun_path));
	strcpy(at.sun_path, path);
	if (fd >= 0 && connect(fd, (struct sockaddr *)&at, sizeof(at)) < 0) {
		close(fd);
		return -1;
	}
	return fd;
}

static void send_raw(struct client *c, const void *data, size_t n)
{
	assert_int_equal(send(c->fd, data, n, MSG_NOSIGNAL), n);
}

static uint64_t say(struct client *c, struct proto_message m)
{
	unsigned char packet[PROTO_MAX];
	bool none = m.type == PROTO_PREFETCH || m.type == PROTO_TOUCH || m.type == PROTO_BAD ||
		    m.type == PROTO_DROPPED || m.type == PROTO_HELD;

	m.request = none ? 0 : ++c->request;
	int n = proto_encode(&m, packet);
	assert_true(n > 0);
	send_raw(c, packet, (size_t)n);
	return m.request;
}

/* The next message within `ms`. 1; 0: none; -1: disconnected. */
static int hear_within(struct client *c, int ms)
{
	struct pollfd p = {.fd = c->fd, .events = POLLIN};
	struct iovec iov = {c->packet, sizeof(c->packet)};
	char space[CMSG_SPACE(4 * sizeof(int))] __attribute__((aligned(8)));
	struct msghdr msg = {.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = space,
		.msg_controllen = sizeof(space)};

	c->got = -1;
	if (poll(&p, 1, ms) <= 0)
		return 0;
	ssize_t n = recvmsg(c->fd, &msg, MSG_CMSG_CLOEXEC);
	if (n <= 0)
		return -1;
	struct cmsghdr *h = CMSG_FIRSTHDR(&msg);
	if (h) {
		assert_int_equal(h->cmsg_len, CMSG_LEN(sizeof(int)));
		memcpy(&c->got, CMSG_DATA(h), sizeof(int));
	}
	struct smr_error err = {0};
	if (proto_decode(c->packet, (size_t)n, &c->m, &err) < 0)
		fail_msg("%s", err.message);
	return 1;
}

static void hear(struct client *c)
{
	assert_int_equal(hear_within(c, 20000), 1);
}

static void must_be_disconnected(struct client *c)
{
	int r;

	while ((r = hear_within(c, 20000)) == 1)
		cleanup_closep(&c->got);
	assert_int_equal(r, -1);
	close(c->fd);
}

/* The answer's result. */
static int ask(struct client *c, struct proto_message m)
{
	uint64_t request = say(c, m);

	hear(c);
	assert_int_equal(c->m.type, PROTO_ANSWER);
	assert_int_equal(c->m.request, request);
	return c->m.result;
}

static void must_connect(struct client *c, const struct fixture *f)
{
	*c = (struct client){.fd = try_connect(f->sock), .got = -1};
	assert_true(c->fd >= 0);
}

static void hello(struct client *c, const struct fixture *f)
{
	struct proto_message m = {.type = PROTO_HELLO};

	must_connect(c, f);
	proto_text_set(&m.text, "a test");
	assert_int_equal(ask(c, m), 0);
	assert_int_equal(c->m.value, PROTO_WINDOW);
}

static int open_store(struct client *c, const char *what, uint32_t *ret)
{
	struct proto_message m = {.type = PROTO_OPEN, .timeout_ms = 2000};

	proto_text_set(&m.text, what);
	int r = ask(c, m);
	*ret = c->m.value;
	return r;
}

/* Says hello, opens the store. */
static void join(struct client *c, const struct fixture *f)
{
	uint32_t handle;

	hello(c, f);
	assert_int_equal(open_store(c, f->dir, &handle), 0);
	assert_int_equal(handle, 1);
}

static struct proto_message get_of(unsigned content)
{
	struct proto_message m = {.type = PROTO_GET, .store = 1, .size = SIZE};

	sample_id(content, SIZE, &m.id);
	return m;
}

static bool is_content(int fd, unsigned content)
{
	unsigned char got[SIZE], expected[SIZE];
	struct stat st;
	size_t n;

	assert_int_equal(fstat(fd, &st), 0);
	assert_true(pwrite(fd, "x", 1, 0) < 0);
	sample_fill(content, expected, SIZE);
	return st.st_size == SIZE && fd_pread(fd, got, SIZE, 0, &n) == 0 && n == SIZE &&
	       memcmp(got, expected, SIZE) == 0;
}

static void must_get(struct client *c, unsigned content)
{
	assert_int_equal(ask(c, get_of(content)), 0);
	assert_true(c->got >= 0);
	assert_true(is_content(c->got, content));
	close(take_fd(&c->got));
}

static void say_ids(struct client *c, enum proto_type type, unsigned content, unsigned n)
{
	struct chunkid ids[PROTO_IDS_MAX];
	struct proto_message m = {.type = type,
		.store = 1,
		.size = SIZE,
		.ids = ids,
		.n_ids = n,
		.priority = STORE_AHEAD};

	for (unsigned i = 0; i < n; i++)
		sample_id(content + i, SIZE, &ids[i]);
	say(c, m);
}

static void count_client(void *user, const struct rpc_client_info *info)
{
	(void)info;
	++*(unsigned *)user;
}

/* Waits until so many are connected. */
static void wait_clients(struct fixture *f, unsigned n)
{
	for (unsigned i = 0; i < 2000; i++) {
		unsigned now = 0;

		rpc_server_clients(f->server, count_client, &now);
		if (now == n)
			return;
		usleep(5000);
	}
	fail_msg("there are never %u clients", n);
}

/* ---- what is right ---- */

static void test_chunks_come_by_descriptor(void **state)
{
	struct client c;

	join(&c, *state);
	for (unsigned i = 1; i <= 8; i++)
		must_get(&c, i);
	must_get(&c, 1); /* from the pool */
	close(c.fd);
}

static void test_lists_and_recipes_come_by_descriptor(void **state)
{
	struct fixture *f = *state;
	struct proto_message list = {.type = PROTO_LIST, .store = 1},
			     recipe = {.type = PROTO_RECIPE, .store = 1};
	struct recipe *expected = sample_recipe(&sample), *got;
	struct store_list l = {0};
	struct client c;
	struct buf json auto_with(buf_done);
	struct stat st;

	join(&c, f);
	assert_int_equal(ask(&c, list), 0);
	assert_int_equal(c.m.data_len, PROTO_TAG);
	memcpy(list.tag, c.m.data, PROTO_TAG);
	buf_init(&json, LISTING_FILE_MAX);
	assert_int_equal(fstat(c.got, &st), 0);
	assert_int_equal(buf_reserve(&json, (size_t)st.st_size), 0);
	assert_int_equal(fd_pread(c.got, json.data, (size_t)st.st_size, 0, &json.len), 0);
	close(c.got);
	assert_int_equal(listing_parse(json.data, json.len, &l, NULL), 0);
	assert_int_equal(l.n, 1);
	assert_string_equal(l.images[0].name, "image");
	recipe.id = l.images[0].digest;
	store_list_done(&l);
	/* A store that has just changed may do so again in the same tick of its clock. */
	int again = ask(&c, list);
	assert_true(again == -EALREADY ? c.got < 0 : again == 0 && c.got >= 0);
	cleanup_closep(&c.got);

	proto_text_set(&recipe.text, "image");
	assert_int_equal(ask(&c, recipe), 0);
	assert_int_equal(recipe_open_fd(c.got, &got, NULL), 0);
	close(c.got);
	assert_true(chunkid_equal(&recipe_info(got)->digest, &recipe_info(expected)->digest));
	recipe_free(got);
	recipe_free(expected);
	proto_text_set(&recipe.text, "other");
	memset(&recipe.id, 0, sizeof(recipe.id));
	assert_int_equal(ask(&c, recipe), -ENOENT);
	assert_true(c.m.data_len > 0);
	close(c.fd);
}

static void test_a_list_that_cannot_be_had_is_answered(void **state)
{
	struct proto_message list = {.type = PROTO_LIST};
	struct client c;

	hello(&c, *state);
	assert_int_equal(open_store(&c, "http://127.0.0.1:1/nobody", &list.store), 0);
	assert_true(ask(&c, list) < 0);
	assert_true(c.m.data_len > 0);
	assert_int_equal(c.got, -1);
	assert_int_equal(ask(&c, (struct proto_message){.type = PROTO_PING}), 0);
	close(c.fd);
}

static void test_answers_come_when_they_are_ready(void **state)
{
	struct fixture *f = *state;
	struct proto_message slow = get_of(20), fast = get_of(1);
	uint32_t web;
	struct client c;

	join(&c, f);
	must_get(&c, 1);
	assert_int_equal(open_store(&c, f->origin.url, &web), 0);
	atomic_store(&f->origin.delay_ms, 300);
	slow.store = web;
	uint64_t first = say(&c, slow), second = say(&c, fast);
	hear(&c);
	assert_int_equal(c.m.request, second);
	close(c.got);
	hear(&c);
	assert_int_equal(c.m.request, first);
	assert_true(is_content(c.got, 20));
	close(c.got);
	close(c.fd);
}

static void test_opening_a_store_twice_gives_one_handle(void **state)
{
	struct fixture *f = *state;
	uint32_t a, b;
	struct client c;

	hello(&c, f);
	assert_int_equal(open_store(&c, f->dir, &a), 0);
	assert_int_equal(open_store(&c, f->dir, &b), 0);
	assert_int_equal(a, b);
	assert_int_equal(open_store(&c, "main", &b), 0);
	assert_int_equal(a, b);
	assert_true(open_store(&c, "/nowhere/at/all", &b) < 0);
	assert_true(c.m.data_len > 0);
	close(c.fd);
}

static void test_a_full_window_is_served(void **state)
{
	struct client c;
	bool seen[PROTO_WINDOW + 1] = {false};

	join(&c, *state);
	uint64_t base = c.request;
	for (unsigned i = 1; i <= PROTO_WINDOW; i++)
		say(&c, get_of(i));
	for (unsigned i = 0; i < PROTO_WINDOW; i++) {
		hear(&c);
		unsigned content = (unsigned)(c.m.request - base);
		assert_int_equal(c.m.result, 0);
		assert_false(seen[content]);
		seen[content] = true;
		assert_true(is_content(c.got, content));
		close(c.got);
	}
	close(c.fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_chunks_come_by_descriptor, setup, teardown),
		cmocka_unit_test_setup_teardown(
			test_lists_and_recipes_come_by_descriptor, setup, teardown),
		cmocka_unit_test_setup_teardown(
			test_a_list_that_cannot_be_had_is_answered, setup, teardown),
		cmocka_unit_test_setup_teardown(
			test_answers_come_when_they_are_ready, setup, teardown),
		cmocka_unit_test_setup_teardown(
			test_opening_a_store_twice_gives_one_handle, setup, teardown),
		cmocka_unit_test_setup_teardown(test_a_full_window_is_served, setup, teardown),
	};

	(void)setup_small;
	(void)must_be_disconnected;
	(void)say_ids;
	(void)wait_clients;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
