/* SPDX-License-Identifier: BSD-3-Clause */
/* Images read from a cache that works; test_image_faults.c has those that do not. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/mman.h>

#include <cmocka.h>

#include "../../chunker/core/codec.h"
#include "fake_cache.h"
#include "image_reader.h"

#define SIZE FAKE_CHUNK

struct fixture {
	struct fake_cache *cache;
	struct image_set *set;
};

static void open_set(struct fixture *f, const struct image_set_options *opts)
{
	struct smr_error err = {0};

	f->cache = fake_new();
	if (image_set_new(fake_cache(f->cache), opts, &f->set, &err) < 0)
		fail_msg("%s", err.message);
}

static void close_set(struct fixture *f)
{
	cache_stop(fake_cache(f->cache));
	image_set_free(f->set);
	fake_free(f->cache);
}

static struct image *open_image(struct fixture *f, const struct fake_image *fi)
{
	struct image *img;

	assert_int_equal(image_new(f->set, fake_store(f->cache, 0), &fi->info, &img), 0);
	return img;
}

static uint64_t next_random(uint64_t *x)
{
	*x ^= *x << 13;
	*x ^= *x >> 7;
	*x ^= *x << 17;
	return *x;
}

/* ---- what is read ---- */

static void compare_all_over(struct fixture *f, const struct fake_image *fi, unsigned rounds)
{
	struct image *img = open_image(f, fi);
	uint64_t x = 88172645463325252ull, size = fi->info.image_size;
	uint32_t chunk = fi->info.chunk_size;

	/* around every chunk's ends, and the end of the image */
	for (uint64_t edge = 0; edge <= size + chunk; edge += chunk) {
		uint64_t at = edge < size ? edge : size;
		for (uint32_t before = 0; before < 3; before++)
			for (uint32_t after = 0; after < 3; after++)
				if (at >= before && at + after <= size && before + after)
					assert_int_equal(read_and_compare(img, at - before,
								 before + after, fi->bytes),
						0);
	}
	for (unsigned i = 0; i < rounds; i++) {
		uint64_t offset = next_random(&x) % size;
		uint32_t length = (uint32_t)(next_random(&x) % IMAGE_READ_MAX) + 1;
		if (length > size - offset)
			length = (uint32_t)(size - offset);
		assert_int_equal(read_and_compare(img, offset, length, fi->bytes), 0);
	}
	image_unref(img);
}

static void test_every_range_reads_as_the_image(void **state)
{
	static const unsigned contents[] = {
		1, 0, 2, 3, 0, 0, 1, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 0, 0, 0, 17, 3};
	unsigned n = sizeof(contents) / sizeof(contents[0]);
	struct fixture f;
	(void)state;

	open_set(&f, &(struct image_set_options){.timeout_ms = 10000});
	/* ending with a chunk, in one, one byte into one, in a hole */
	uint64_t sizes[] = {n * (uint64_t)SIZE, n * (uint64_t)SIZE - 4097,
		(n - 1) * (uint64_t)SIZE + 1, (n - 2) * (uint64_t)SIZE - 5};
	for (unsigned i = 0; i < 4; i++) {
		char name[8] = {'i', (char)('0' + i), 0};
		unsigned slots = (unsigned)((sizes[i] + SIZE - 1) / SIZE);
		compare_all_over(
			&f, fake_add_image(f.cache, name, SIZE, contents, slots, sizes[i]), 300);
	}
	close_set(&f);
}

static void test_large_chunks_and_images_of_holes_and_of_one_byte(void **state)
{
	static const unsigned contents[] = {21, 22, 0, 23, 22};
	static const unsigned holes[40] = {0};
	struct fixture f;
	(void)state;

	open_set(&f, &(struct image_set_options){.timeout_ms = 10000});
	compare_all_over(
		&f, fake_add_image(f.cache, "large", 1u << 20, contents, 5, (5u << 20) - 999), 200);
	compare_all_over(
		&f, fake_add_image(f.cache, "holes", SIZE, holes, 40, 40 * (uint64_t)SIZE), 50);
	compare_all_over(&f, fake_add_image(f.cache, "byte", SIZE, contents, 1, 1), 3);
	close_set(&f);
}

static void test_a_hole_is_answered_at_once_without_a_get(void **state)
{
	static const unsigned contents[] = {0, 1, 0, 0};
	struct fixture f;
	struct reader t;
	(void)state;

	open_set(&f, &(struct image_set_options){.timeout_ms = 10000});
	struct fake_image *fi = fake_add_image(f.cache, "i", SIZE, contents, 4, 4 * SIZE);
	struct image *img = open_image(&f, fi);
	assert_int_equal(read_and_compare(img, 0, SIZE, fi->bytes), 0);
	assert_int_equal(reader_start(&t, img, 2 * SIZE, 2 * SIZE), 0);
	assert_true(reader_equals(&t, fi->bytes + 2 * SIZE));
	assert_int_equal(t.rd.n_iov, 1);
	reader_end(&t);
	assert_int_equal(fake_gets(f.cache), 0);
	image_unref(img);
	close_set(&f);
}

static void test_what_was_read_once_is_answered_at_once(void **state)
{
	static const unsigned contents[] = {1, 2};
	struct fixture f;
	struct reader t;
	(void)state;

	open_set(&f, &(struct image_set_options){.timeout_ms = 10000});
	struct fake_image *fi = fake_add_image(f.cache, "i", SIZE, contents, 2, 2 * SIZE);
	struct image *img = open_image(&f, fi);
	assert_int_equal(reader_start(&t, img, 100, 2 * SIZE - 100), -EINPROGRESS);
	assert_int_equal(reader_wait(&t), 0);
	reader_end(&t);
	assert_int_equal(reader_start(&t, img, 100, 2 * SIZE - 100), 0);
	assert_true(reader_equals(&t, fi->bytes + 100));
	reader_end(&t);
	assert_int_equal(fake_gets(f.cache), 2);
	image_unref(img);
	close_set(&f);
}

static void test_missing_chunks_are_asked_for_together(void **state)
{
	static const unsigned contents[] = {1, 2, 3, 4};
	struct fixture f;
	struct reader t;
	(void)state;

	open_set(&f, &(struct image_set_options){.timeout_ms = 10000});
	struct fake_image *fi = fake_add_image(f.cache, "i", SIZE, contents, 4, 4 * SIZE);
	struct image *img = open_image(&f, fi);
	fake_hold(f.cache, true);
	assert_int_equal(reader_start(&t, img, 0, 4 * SIZE), -EINPROGRESS);
	fake_wait_held(f.cache, 4);
	assert_int_equal(reader_calls(&t), 0);
	fake_let(f.cache, 3);
	fake_let(f.cache, 1);
	assert_int_equal(reader_wait(&t), 0);
	assert_true(reader_equals(&t, fi->bytes));
	assert_int_equal(reader_calls(&t), 1);
	reader_end(&t);
	image_unref(img);
	close_set(&f);
}

static void test_a_chunk_twice_in_a_read_is_one_get(void **state)
{
	static const unsigned contents[] = {1, 1, 2, 1};
	struct fixture f;
	(void)state;

	open_set(&f, &(struct image_set_options){.timeout_ms = 10000});
	struct fake_image *fi = fake_add_image(f.cache, "i", SIZE, contents, 4, 4 * SIZE);
	struct image *img = open_image(&f, fi);
	assert_int_equal(read_and_compare(img, 0, 4 * SIZE, fi->bytes), 0);
	assert_int_equal(fake_gets(f.cache), 2);
	image_unref(img);
	close_set(&f);
}

struct crowd {
	struct image *img;
	const struct fake_image *fi;
	pthread_barrier_t start;
	atomic_uint failures;
};

static void *crowd_main(void *arg)
{
	struct crowd *c = arg;

	pthread_barrier_wait(&c->start);
	if (read_and_compare(c->img, 17, SIZE - 100, c->fi->bytes) != 0)
		atomic_fetch_add(&c->failures, 1);
	return NULL;
}

static void test_64_threads_on_one_chunk_cause_one_get(void **state)
{
	static const unsigned contents[] = {1, 2};
	struct fixture f;
	pthread_t threads[64];
	struct crowd c = {0};
	(void)state;

	open_set(&f, &(struct image_set_options){.timeout_ms = 10000});
	c.fi = fake_add_image(f.cache, "i", SIZE, contents, 2, 2 * SIZE);
	c.img = open_image(&f, c.fi);
	pthread_barrier_init(&c.start, NULL, 64);
	fake_hold(f.cache, true);
	for (unsigned i = 0; i < 64; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, crowd_main, &c), 0);
	fake_wait_held(f.cache, 1);
	usleep(20000);
	fake_let(f.cache, 64);
	for (unsigned i = 0; i < 64; i++)
		pthread_join(threads[i], NULL);
	assert_int_equal(atomic_load(&c.failures), 0);
	assert_int_equal(fake_gets(f.cache), 1);
	assert_int_equal(fake_recipe_calls(f.cache), 1);
	pthread_barrier_destroy(&c.start);
	image_unref(c.img);
	close_set(&f);
}

static void test_images_share_what_they_have_in_common(void **state)
{
	static const unsigned one[] = {1, 2, 3}, two[] = {3, 0, 2};
	struct fixture f;
	(void)state;

	open_set(&f, &(struct image_set_options){.timeout_ms = 10000});
	struct fake_image *fa = fake_add_image(f.cache, "a", SIZE, one, 3, 3 * SIZE);
	struct fake_image *fb = fake_add_image(f.cache, "b", SIZE, two, 3, 3 * SIZE - 7);
	struct image *a = open_image(&f, fa), *b = open_image(&f, fb);
	assert_int_equal(read_and_compare(a, 0, 3 * SIZE, fa->bytes), 0);
	assert_int_equal(read_and_compare(b, 0, 3 * SIZE - 7, fb->bytes), 0);
	assert_int_equal(fake_gets(f.cache), 3);
	image_unref(a);
	image_unref(b);
	close_set(&f);
}

/* ---- SEEK_DATA, SEEK_HOLE ---- */

static int seek(struct image *img, uint64_t offset, bool hole, uint64_t expected)
{
	uint64_t at = UINT64_MAX;
	int r = image_seek(img, offset, hole, &at);

	if (r == 0)
		assert_int_equal(at, expected);
	return r;
}

static void test_seek_finds_data_and_holes(void **state)
{
	static const unsigned contents[] = {0, 1, 2, 0, 3};
	struct fixture f;
	struct image_wait wait = {0};
	(void)state;

	open_set(&f, &(struct image_set_options){.timeout_ms = 10000});
	struct fake_image *fi = fake_add_image(f.cache, "i", SIZE, contents, 5, 5 * SIZE - 10);
	struct image *img = open_image(&f, fi);
	assert_int_equal(read_and_compare(img, 0, 1, fi->bytes), 0);
	assert_int_equal(image_load(img, &wait), 0);
	assert_int_equal(seek(img, 0, false, SIZE), 0);
	assert_int_equal(seek(img, SIZE + 5, false, SIZE + 5), 0);
	assert_int_equal(seek(img, 3 * SIZE + 5, false, 4 * SIZE), 0);
	assert_int_equal(seek(img, 5 * SIZE - 11, false, 5 * SIZE - 11), 0);
	assert_int_equal(seek(img, 0, true, 0), 0);
	assert_int_equal(seek(img, 5, true, 5), 0);
	assert_int_equal(seek(img, SIZE, true, 3 * SIZE), 0);
	assert_int_equal(seek(img, 3 * SIZE - 1, true, 3 * SIZE), 0);
	assert_int_equal(seek(img, 3 * SIZE + 9, true, 3 * SIZE + 9), 0);
	assert_int_equal(seek(img, 4 * SIZE + 1, true, 5 * SIZE - 10), 0);
	assert_int_equal(seek(img, 5 * SIZE - 10, true, 0), -ENXIO);
	assert_int_equal(seek(img, 5 * SIZE - 10, false, 0), -ENXIO);
	image_unref(img);
	close_set(&f);
}

static void test_seek_for_data_behind_the_last_chunk_is_enxio(void **state)
{
	static const unsigned contents[] = {1, 0, 0};
	struct fixture f;
	(void)state;

	open_set(&f, &(struct image_set_options){.timeout_ms = 10000});
	struct fake_image *fi = fake_add_image(f.cache, "i", SIZE, contents, 3, 3 * SIZE);
	struct image *img = open_image(&f, fi);
	assert_int_equal(read_and_compare(img, 2 * SIZE, 1, fi->bytes), 0);
	assert_int_equal(seek(img, SIZE, false, 0), -ENXIO);
	assert_int_equal(seek(img, SIZE, true, SIZE), 0);
	image_unref(img);
	close_set(&f);
}

/* ---- maps ---- */

/* Is the page mapped in this process? */
static bool is_mapped(const void *at)
{
	uintptr_t page = (uintptr_t)at & ~(uintptr_t)4095;
	unsigned char vec;

	return mincore((void *)page, 1, &vec) == 0;
}

static unsigned count_maps(void)
{
	FILE *maps = fopen("/proc/self/maps", "re");
	char line[512];
	unsigned n = 0;

	assert_non_null(maps);
	while (fgets(line, sizeof(line), maps))
		n += strstr(line, "memfd:fake-chunk") != NULL;
	fclose(maps);
	return n;
}

static void test_maps_stay_within_their_limit(void **state)
{
	unsigned contents[16];
	struct fixture f;
	(void)state;

	for (unsigned i = 0; i < 16; i++)
		contents[i] = i + 1;
	open_set(&f, &(struct image_set_options){
			     .timeout_ms = 10000, .max_maps = 4, .read_ahead = SIZE});
	struct fake_image *fi = fake_add_image(f.cache, "i", SIZE, contents, 16, 16 * SIZE);
	struct image *img = open_image(&f, fi);
	for (unsigned round = 0; round < 3; round++) {
		for (unsigned i = 0; i < 16; i++) {
			struct reader t;
			int r = reader_start(&t, img, i * SIZE, SIZE);
			assert_int_equal(r == -EINPROGRESS ? reader_wait(&t) : r, 0);
			assert_true(reader_equals(&t, fi->bytes + i * SIZE));
			reader_end(&t);
			/* and what is on its way in or out */
			assert_true(count_maps() <= 4 + 4);
		}
	}
	/* one read of all of them holds them all */
	assert_int_equal(read_and_compare(img, 0, 16 * SIZE, fi->bytes), 0);
	for (unsigned i = 0; i < 100 && count_maps() > 4; i++)
		usleep(10000);
	assert_int_equal(count_maps(), 4);
	image_unref(img);
	close_set(&f);
}

static void test_a_chunk_evicted_while_it_is_read_stays_until_the_read_ends(void **state)
{
	static const unsigned contents[] = {1};
	struct fixture f;
	struct reader t;
	(void)state;

	open_set(&f, &(struct image_set_options){.timeout_ms = 10000});
	struct fake_image *fi = fake_add_image(f.cache, "i", SIZE, contents, 1, SIZE);
	struct image *img = open_image(&f, fi);
	const struct chunkid *id = fake_chunk_id(f.cache, 1, SIZE);
	assert_int_equal(reader_start(&t, img, 0, SIZE), -EINPROGRESS);
	assert_int_equal(reader_wait(&t), 0);
	fake_evict(f.cache, id);
	fake_evict(f.cache, id);
	assert_true(reader_equals(&t, fi->bytes));
	void *at = t.rd.iov[0].iov_base;
	reader_end(&t);
	assert_false(is_mapped(at));
	assert_int_equal(read_and_compare(img, 0, SIZE, fi->bytes), 0);
	assert_int_equal(fake_gets_of(f.cache, id), 2);
	image_unref(img);
	close_set(&f);
}

static void test_an_evicted_chunk_that_nobody_reads_is_unmapped_soon(void **state)
{
	static const unsigned contents[] = {1};
	struct fixture f;
	struct reader t;
	(void)state;

	open_set(&f, &(struct image_set_options){.timeout_ms = 10000});
	struct fake_image *fi = fake_add_image(f.cache, "i", SIZE, contents, 1, SIZE);
	struct image *img = open_image(&f, fi);
	assert_int_equal(reader_start(&t, img, 0, SIZE), -EINPROGRESS);
	assert_int_equal(reader_wait(&t), 0);
	void *at = t.rd.iov[0].iov_base;
	reader_end(&t);
	assert_true(is_mapped(at));
	fake_evict(f.cache, fake_chunk_id(f.cache, 1, SIZE));
	for (unsigned i = 0; i < 2000 && is_mapped(at); i++)
		usleep(1000);
	assert_false(is_mapped(at));
	image_unref(img);
	close_set(&f);
}

static void test_a_chunk_evicted_while_it_is_loaded_is_not_kept(void **state)
{
	static const unsigned contents[] = {1};
	struct fixture f;
	struct reader t;
	(void)state;

	open_set(&f, &(struct image_set_options){.timeout_ms = 10000});
	struct fake_image *fi = fake_add_image(f.cache, "i", SIZE, contents, 1, SIZE);
	struct image *img = open_image(&f, fi);
	const struct chunkid *id = fake_chunk_id(f.cache, 1, SIZE);
	fake_hold(f.cache, true);
	assert_int_equal(reader_start(&t, img, 0, SIZE), -EINPROGRESS);
	fake_wait_held(f.cache, 1);
	fake_evict(f.cache, id);
	fake_let(f.cache, 1);
	assert_int_equal(reader_wait(&t), 0);
	assert_true(reader_equals(&t, fi->bytes));
	void *at = t.rd.iov[0].iov_base;
	reader_end(&t);
	/* its bytes on disk would not be given back otherwise */
	assert_false(is_mapped(at));
	fake_hold(f.cache, false);
	assert_int_equal(read_and_compare(img, 0, SIZE, fi->bytes), 0);
	assert_int_equal(fake_gets_of(f.cache, id), 2);
	image_unref(img);
	close_set(&f);
}

static void test_use_is_told_to_the_cache(void **state)
{
	enum { N = 600 };
	unsigned contents[N];
	struct fixture f;
	(void)state;

	for (unsigned i = 0; i < N; i++)
		contents[i] = i + 1;
	open_set(&f, &(struct image_set_options){.timeout_ms = 10000});
	struct fake_image *fi = fake_add_image(f.cache, "i", SIZE, contents, N, N * (uint64_t)SIZE);
	struct image *img = open_image(&f, fi);
	for (unsigned i = 0; i < N; i++)
		assert_int_equal(read_and_compare(img, i * (uint64_t)SIZE, SIZE, fi->bytes), 0);
	/* all of them, although they come in batches and a new one stands before them */
	for (unsigned i = 0; fake_touched(f.cache) < N && i < 80; i++)
		usleep(50000);
	assert_true(fake_touched(f.cache) >= N);
	image_unref(img);
	close_set(&f);
}

/* ---- fetching ahead ---- */

static void test_a_sequential_reader_finds_its_chunks_there(void **state)
{
	enum { N = 64 };
	unsigned contents[N];
	struct fixture f;
	(void)state;

	for (unsigned i = 0; i < N; i++)
		contents[i] = i + 1;
	open_set(&f, &(struct image_set_options){.timeout_ms = 10000, .read_ahead = 8 * SIZE});
	struct fake_image *fi = fake_add_image(f.cache, "i", SIZE, contents, N, N * (uint64_t)SIZE);
	struct image *img = open_image(&f, fi);
	for (uint64_t at = 0; at < 16 * SIZE; at += SIZE)
		assert_int_equal(read_and_compare(img, at, SIZE, fi->bytes), 0);
	for (unsigned i = 0; i < 100 && fake_gets(f.cache) < 20; i++)
		usleep(10000);
	unsigned ahead = fake_gets(f.cache);
	assert_true(ahead >= 20 && ahead <= 24);
	assert_int_equal(fake_priority_of(f.cache, fake_chunk_id(f.cache, 19, SIZE)), STORE_AHEAD);
	assert_int_equal(fake_priority_of(f.cache, fake_chunk_id(f.cache, 1, SIZE)), STORE_DEMAND);
	image_unref(img);
	close_set(&f);
}

static void test_a_read_of_one_page_gets_one_chunk(void **state)
{
	static const unsigned contents[] = {1, 2, 3, 4, 5, 6, 7, 8};
	struct fixture f;
	(void)state;

	open_set(&f, &(struct image_set_options){.timeout_ms = 10000});
	struct fake_image *fi = fake_add_image(f.cache, "i", SIZE, contents, 8, 8 * SIZE);
	struct image *img = open_image(&f, fi);
	assert_int_equal(read_and_compare(img, 3 * SIZE + 4096, 4096, fi->bytes), 0);
	usleep(20000);
	assert_int_equal(fake_gets(f.cache), 1);
	image_unref(img);
	close_set(&f);
}

static void test_prefetch_brings_a_range_in_the_background(void **state)
{
	static const unsigned contents[] = {1, 2, 0, 3, 4};
	struct fixture f;
	struct reader t;
	(void)state;

	open_set(&f, &(struct image_set_options){.timeout_ms = 10000});
	struct fake_image *fi = fake_add_image(f.cache, "i", SIZE, contents, 5, 5 * SIZE);
	struct image *img = open_image(&f, fi);
	image_prefetch(img, 0, 5 * SIZE, STORE_HYDRATE); /* no recipe yet: nothing */
	assert_int_equal(read_and_compare(img, 0, 1, fi->bytes), 0);
	image_prefetch(img, SIZE + 5, 2 * SIZE, STORE_HYDRATE);
	image_prefetch(img, 100 * SIZE, SIZE, STORE_HYDRATE);
	image_prefetch(img, 4 * SIZE, UINT64_MAX, STORE_HYDRATE);
	image_prefetch(img, 0, 0, STORE_HYDRATE);
	for (unsigned i = 0; i < 100; i++) {
		int r = reader_start(&t, img, SIZE, 4 * SIZE);
		if (r == -EINPROGRESS)
			r = reader_wait(&t);
		assert_int_equal(r, 0);
		assert_true(reader_equals(&t, fi->bytes + SIZE));
		reader_end(&t);
	}
	assert_int_equal(fake_gets(f.cache), 4);
	assert_int_equal(fake_priority_of(f.cache, fake_chunk_id(f.cache, 4, SIZE)), STORE_HYDRATE);
	image_unref(img);
	close_set(&f);
}

static void test_the_first_look_at_the_metadata_fetches_all_of_it_once(void **state)
{
	static const unsigned contents[] = {1, 2, 3, 4, 5, 6};
	struct image_wait wait = {0};
	struct fixture f;
	(void)state;

	open_set(&f, &(struct image_set_options){.timeout_ms = 10000});
	fake_meta_end(f.cache, 3 * SIZE);
	struct fake_image *fi = fake_add_image(f.cache, "i", SIZE, contents, 6, 6 * SIZE);
	struct image *img = open_image(&f, fi);
	/* data alone does not */
	assert_int_equal(read_and_compare(img, 4 * SIZE, 4096, fi->bytes), 0);
	assert_int_equal(image_load(img, &wait), 0);
	usleep(20000);
	assert_int_equal(fake_gets(f.cache), 1);
	assert_int_equal(read_and_compare(img, SIZE + 1024, 1024, fi->bytes), 0);
	for (unsigned i = 0; i < 100 && fake_gets(f.cache) < 4; i++)
		usleep(10000);
	assert_int_equal(fake_gets(f.cache), 4);
	/* what is read now goes first */
	assert_int_equal(fake_priority_of(f.cache, fake_chunk_id(f.cache, 2, SIZE)), STORE_DEMAND);
	assert_int_equal(fake_priority_of(f.cache, fake_chunk_id(f.cache, 1, SIZE)), STORE_AHEAD);
	fake_evict(f.cache, fake_chunk_id(f.cache, 3, SIZE));
	assert_int_equal(read_and_compare(img, SIZE, 1024, fi->bytes), 0);
	usleep(20000);
	assert_int_equal(fake_gets(f.cache), 4);
	image_unref(img);
	close_set(&f);
}

static void test_metadata_that_did_not_come_is_asked_for_again(void **state)
{
	static const unsigned contents[] = {1, 2, 3, 4, 5, 6};
	struct fixture f;
	struct reader t;
	(void)state;

	open_set(&f, &(struct image_set_options){.timeout_ms = 10000});
	fake_meta_end(f.cache, 4 * SIZE);
	struct fake_image *fi = fake_add_image(f.cache, "i", SIZE, contents, 6, 6 * SIZE);
	struct image *img = open_image(&f, fi);
	for (unsigned i = 1; i <= 4; i++)
		fake_fail(f.cache, fake_chunk_id(f.cache, i, SIZE), -ENOENT, 1);
	assert_int_equal(read_and_compare(img, 0, 1024, fi->bytes), -EIO);
	for (unsigned i = 0; i < 100 && fake_gets(f.cache) < 4; i++)
		usleep(10000);
	assert_int_equal(fake_gets(f.cache), 4);
	/* not by every read */
	assert_int_equal(read_and_compare(img, 0, 1024, fi->bytes), 0);
	assert_int_equal(fake_gets(f.cache), 5);
	usleep(1100000);
	/* nor by one that finds what it wants, or wants data */
	assert_int_equal(read_and_compare(img, 0, 1024, fi->bytes), 0);
	assert_int_equal(read_and_compare(img, 4 * SIZE, 1024, fi->bytes), 0);
	assert_int_equal(fake_gets(f.cache), 6);
	fake_hold(f.cache, true);
	assert_int_equal(reader_start(&t, img, 2 * SIZE, 1024), -EINPROGRESS);
	fake_wait_held(f.cache, 3);
	fake_hold(f.cache, false);
	assert_int_equal(reader_wait(&t), 0);
	reader_end(&t);
	for (unsigned i = 0; i < 100 && fake_gets(f.cache) < 9; i++)
		usleep(10000);
	assert_int_equal(fake_gets(f.cache), 9);
	assert_int_equal(fake_gets_of(f.cache, fake_chunk_id(f.cache, 4, SIZE)), 2);
	image_unref(img);
	close_set(&f);
}

static void test_walking_through_the_metadata_fetches_no_data(void **state)
{
	static unsigned contents[64];
	struct fixture f;
	(void)state;

	for (unsigned i = 0; i < 64; i++)
		contents[i] = i + 1;
	open_set(&f, &(struct image_set_options){.timeout_ms = 10000});
	fake_meta_end(f.cache, 16 * SIZE);
	struct fake_image *fi = fake_add_image(f.cache, "i", SIZE, contents, 64, 64 * SIZE);
	struct image *img = open_image(&f, fi);
	for (uint64_t at = 0; at < 15 * SIZE; at += 16384)
		assert_int_equal(read_and_compare(img, at, 16384, fi->bytes), 0);
	usleep(20000);
	assert_int_equal(fake_gets(f.cache), 16);
	/* who goes on does */
	for (uint64_t at = 15 * SIZE; at < 18 * SIZE; at += 16384)
		assert_int_equal(read_and_compare(img, at, 16384, fi->bytes), 0);
	for (unsigned i = 0; i < 100 && fake_gets(f.cache) < 22; i++)
		usleep(10000);
	assert_true(fake_gets(f.cache) >= 22);
	image_unref(img);
	close_set(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_range_reads_as_the_image),
		cmocka_unit_test(test_large_chunks_and_images_of_holes_and_of_one_byte),
		cmocka_unit_test(test_a_hole_is_answered_at_once_without_a_get),
		cmocka_unit_test(test_what_was_read_once_is_answered_at_once),
		cmocka_unit_test(test_missing_chunks_are_asked_for_together),
		cmocka_unit_test(test_a_chunk_twice_in_a_read_is_one_get),
		cmocka_unit_test(test_64_threads_on_one_chunk_cause_one_get),
		cmocka_unit_test(test_images_share_what_they_have_in_common),
		cmocka_unit_test(test_seek_finds_data_and_holes),
		cmocka_unit_test(test_seek_for_data_behind_the_last_chunk_is_enxio),
		cmocka_unit_test(test_maps_stay_within_their_limit),
		cmocka_unit_test(test_a_chunk_evicted_while_it_is_read_stays_until_the_read_ends),
		cmocka_unit_test(test_an_evicted_chunk_that_nobody_reads_is_unmapped_soon),
		cmocka_unit_test(test_a_chunk_evicted_while_it_is_loaded_is_not_kept),
		cmocka_unit_test(test_use_is_told_to_the_cache),
		cmocka_unit_test(test_a_sequential_reader_finds_its_chunks_there),
		cmocka_unit_test(test_a_read_of_one_page_gets_one_chunk),
		cmocka_unit_test(test_prefetch_brings_a_range_in_the_background),
		cmocka_unit_test(test_the_first_look_at_the_metadata_fetches_all_of_it_once),
		cmocka_unit_test(test_metadata_that_did_not_come_is_asked_for_again),
		cmocka_unit_test(test_walking_through_the_metadata_fetches_no_data),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
