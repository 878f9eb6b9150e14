/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Everything at once: 64 readers of images that share chunks, over an origin that fails and a cache that evicts all
 * the time. A read may fail while the origin does; what it gives is compared, every byte.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "../../cached/engine.h"
#include "../../chunker/core/codec.h"
#include "fake_cache.h"
#include "image_reader.h"
#include "sample.h"
#include "tempdir.h"
#include "web_origin.h"

#define SIZE    CODEC_CHUNK_MIN
#define READERS 64
#define IMAGES  4
#define SLOTS   24
#define SECONDS 2 /* each; STRESS_SECONDS in the environment sets another time */

struct stress {
	struct image_set *set;
	struct cache *cache;
	struct image *images[IMAGES];
	unsigned char *bytes[IMAGES];
	uint64_t sizes[IMAGES];
	atomic_bool stop;
	atomic_uint good, failed, cancelled, wrong;
	/* makes trouble until stop is set */
	void (*chaos)(struct stress *s, uint64_t random);
	void *user;
};

static uint64_t next_random(uint64_t *x)
{
	*x ^= *x << 13;
	*x ^= *x >> 7;
	*x ^= *x << 17;
	return *x;
}

/* Images that overlap, with holes, ends within a chunk, and 40 chunks in all. */
static void make_contents(unsigned image, unsigned contents[SLOTS])
{
	for (unsigned i = 0; i < SLOTS; i++)
		contents[i] = (i + image) % 7 == 3 ? 0 : 1 + (i * (image + 1) + image * 5) % 40;
}

static uint64_t image_size(unsigned image)
{
	return SLOTS * (uint64_t)SIZE - image * 1001;
}

static void read_once(struct stress *s, uint64_t *x)
{
	unsigned i = (unsigned)(next_random(x) % IMAGES);
	uint64_t offset = next_random(x) % s->sizes[i];
	uint32_t most = next_random(x) % 4 ? 20000 : IMAGE_READ_MAX;
	uint32_t length = (uint32_t)(next_random(x) % most) + 1;
	struct reader t;

	if (length > s->sizes[i] - offset)
		length = (uint32_t)(s->sizes[i] - offset);
	int r = reader_start(&t, s->images[i], offset, length);
	if (r == -EINPROGRESS) {
		if (next_random(x) % 16 == 0)
			image_read_cancel(&t.rd);
		r = reader_wait(&t);
	}
	if (r == 0 && !reader_equals(&t, s->bytes[i] + offset))
		atomic_fetch_add(&s->wrong, 1);
	if (r == 0 && next_random(x) % 64 == 0)
		image_read_bad(&t.rd);
	if (r != 0 && r != -EIO && r != -EINTR)
		atomic_fetch_add(&s->wrong, 1);
	atomic_fetch_add(r == 0 ? &s->good : r == -EINTR ? &s->cancelled : &s->failed, 1);
	reader_end(&t);
}

struct thread {
	struct stress *s;
	pthread_t id;
	uint64_t x;
};

static void *reader_main(void *arg)
{
	struct thread *t = arg;

	while (!atomic_load(&t->s->stop))
		read_once(t->s, &t->x);
	return NULL;
}

static void *chaos_main(void *arg)
{
	struct thread *t = arg;

	while (!atomic_load(&t->s->stop)) {
		t->s->chaos(t->s, next_random(&t->x));
		usleep(500);
	}
	return NULL;
}

static void run(struct stress *s)
{
	static struct thread threads[READERS + 1];
	const char *seconds = getenv("STRESS_SECONDS");

	for (unsigned i = 0; i <= READERS; i++) {
		threads[i] = (struct thread){.s = s, .x = 88172645463325252ull + i * 7919};
		assert_int_equal(pthread_create(&threads[i].id, NULL,
					 i < READERS ? reader_main : chaos_main, &threads[i]),
			0);
	}
	sleep(seconds ? (unsigned)atoi(seconds) : SECONDS);
	atomic_store(&s->stop, true);
	for (unsigned i = 0; i <= READERS; i++)
		pthread_join(threads[i].id, NULL);
	print_message("%u reads were right, %u failed, %u were cancelled\n", atomic_load(&s->good),
		atomic_load(&s->failed), atomic_load(&s->cancelled));
	assert_int_equal(atomic_load(&s->wrong), 0);
	assert_true(atomic_load(&s->good) > 100);
}

/* The origin works again: all of all images, with no error. */
static void assert_all_readable(struct stress *s)
{
	for (unsigned i = 0; i < IMAGES; i++)
		for (uint64_t at = 0; at < s->sizes[i]; at += IMAGE_READ_MAX) {
			uint64_t left = s->sizes[i] - at;
			assert_int_equal(
				read_and_compare(s->images[i], at,
					(uint32_t)(left < IMAGE_READ_MAX ? left : IMAGE_READ_MAX),
					s->bytes[i]),
				0);
		}
}

static void open_set(struct stress *s)
{
	struct image_set_options opts = {.timeout_ms = 3000, .max_maps = 8};
	struct smr_error err = {0};

	if (image_set_new(s->cache, &opts, &s->set, &err) < 0)
		fail_msg("%s", err.message);
}

/* ---- over the fake cache: what its callbacks do to maps and reads ---- */

static atomic_bool faults;

static int fake_fault(void *user, const struct cache_get *g)
{
	struct fake_cache *f = user;
	static atomic_uint counter;
	unsigned n = atomic_fetch_add(&counter, 1);

	(void)f;
	if (!atomic_load(&faults))
		return 0;
	if (n % 5 == 0)
		usleep(n % 300);
	if (n % 211 == 0)
		return -ETIMEDOUT;
	if (n % 97 == 0)
		return FAKE_SHORT;
	if (n % 151 == 0)
		return -EBADMSG;
	return g->id.b[0] == 7 && n % 2 ? -ENOENT : 0;
}

static void fake_chaos(struct stress *s, uint64_t random)
{
	struct fake_cache *f = s->user;

	fake_evict(f, fake_chunk_id(f, 1 + (unsigned)(random % 40), SIZE));
	if (random % 50 == 0)
		image_prefetch(s->images[random / 64 % IMAGES], random / 1024 % 1000000, 500000,
			STORE_HYDRATE);
}

static void test_readers_over_a_cache_that_fails_and_evicts(void **state)
{
	struct fake_cache *f = fake_new();
	struct stress s = {.cache = fake_cache(f), .chaos = fake_chaos, .user = f};
	(void)state;

	open_set(&s);
	for (unsigned i = 0; i < IMAGES; i++) {
		unsigned contents[SLOTS];
		char name[] = {'i', (char)('0' + i), 0};
		make_contents(i, contents);
		struct fake_image *fi =
			fake_add_image(f, name, SIZE, contents, SLOTS, image_size(i));
		s.bytes[i] = fi->bytes;
		s.sizes[i] = fi->info.image_size;
		assert_int_equal(
			image_new(s.set, fake_store(f, i % 2), &fi->info, &s.images[i]), 0);
	}
	fake_on_get(f, fake_fault, f);
	atomic_store(&faults, true);
	run(&s);
	atomic_store(&faults, false);
	assert_all_readable(&s);
	cache_stop(s.cache);
	for (unsigned i = 0; i < IMAGES; i++)
		image_unref(s.images[i]);
	image_set_free(s.set);
	fake_free(f);
}

/* ---- over an engine with room for eight chunks, and a web server ---- */

static enum web_origin_fault web_fault(unsigned n)
{
	if (!atomic_load(&faults))
		return WEB_ORIGIN_OK;
	if (n % 7 == 0)
		return WEB_ORIGIN_FLIP;
	if (n % 211 == 0)
		return WEB_ORIGIN_503;
	if (n % 307 == 0)
		return WEB_ORIGIN_TRUNCATE;
	if (n % 29 == 0)
		return WEB_ORIGIN_EMPTY;
	return n % 101 == 0 ? WEB_ORIGIN_404 : WEB_ORIGIN_OK;
}

/* Files vanish from the pool, and chunks are reported as bad. */
static void web_chaos(struct stress *s, uint64_t random)
{
	char hex[CHUNKID_HEX + 1], path[PATH_MAX];
	struct chunkid id;

	sample_id(1 + (unsigned)(random % 40), SIZE, &id);
	chunkid_format(&id, hex);
	snprintf(path, sizeof(path), "%s/pool/%.2s/%s", (const char *)s->user, hex, hex);
	if (random % 3 == 0)
		unlink(path);
	else if (random % 3 == 1)
		cache_bad(s->cache, &id);
	else
		cache_touch(s->cache, &id, 1);
}

static void publish_all(struct stress *s, const char *dir, struct recipe **recipes)
{
	struct store_options create = {.create = true, .chunk_size = SIZE};
	struct store *store;

	assert_int_equal(store_open(dir, &create, &store, NULL), 0);
	for (unsigned i = 0; i < IMAGES; i++) {
		unsigned contents[SLOTS];
		char name[] = {'i', (char)('0' + i), 0};
		make_contents(i, contents);
		struct sample sample = {.name = name,
			.chunk_size = SIZE,
			.contents = contents,
			.n_slots = SLOTS,
			.image_size = image_size(i)};
		sample_publish(&sample, store);
		recipes[i] = sample_recipe(&sample);
		s->bytes[i] = sample_bytes(&sample);
		s->sizes[i] = sample.image_size;
	}
	store_free(store);
}

static void test_readers_over_a_small_engine_and_a_web_server_that_fails(void **state)
{
	struct tempdir cache_dir, store_dir;
	struct web_origin origin;
	struct stress s = {.chaos = web_chaos};
	struct recipe *recipes[IMAGES];
	struct cache_store *web;
	struct store_options patience = {.timeout_ms = 2000};
	char dir[600];
	(void)state;

	tempdir_init(&cache_dir);
	tempdir_init(&store_dir);
	snprintf(dir, sizeof(dir), "%.500s/store", store_dir.path);
	publish_all(&s, dir, recipes);
	web_origin_start(&origin, dir);
	origin.fault = web_fault;
	s.user = cache_dir.path;
	struct engine_options opts = {
		.cache_dir = cache_dir.path, .cache_size = 8 * SIZE, .n_workers = 4};
	assert_int_equal(engine_new(&opts, &s.cache, NULL), 0);
	assert_int_equal(cache_open_store(s.cache, origin.url, &patience, &web, NULL), 0);
	open_set(&s);
	for (unsigned i = 0; i < IMAGES; i++) {
		struct store_image info = {.digest = recipe_info(recipes[i])->digest};
		memcpy(info.name, recipe_info(recipes[i])->name, sizeof(info.name));
		assert_int_equal(image_new(s.set, web, &info, &s.images[i]), 0);
	}
	atomic_store(&faults, true);
	run(&s);
	atomic_store(&faults, false);
	assert_all_readable(&s);
	struct cache_counters c;
	cache_counters(s.cache, &c);
	assert_true(c.live_bytes <= opts.cache_size);
	assert_true(c.evicted > 0 && c.pool_hits > 0);
	cache_stop(s.cache);
	for (unsigned i = 0; i < IMAGES; i++) {
		image_unref(s.images[i]);
		recipe_free(recipes[i]);
		free(s.bytes[i]);
	}
	image_set_free(s.set);
	cache_free(s.cache);
	web_origin_stop(&origin);
	tempdir_done(&cache_dir);
	tempdir_done(&store_dir);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_readers_over_a_cache_that_fails_and_evicts),
		cmocka_unit_test(test_readers_over_a_small_engine_and_a_web_server_that_fails),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
