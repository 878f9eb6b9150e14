/* SPDX-License-Identifier: BSD-3-Clause */
/* Images read from a cache that fails, is late or goes away, and by readers that do not wait. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "../../chunker/core/codec.h"
#include "fake_cache.h"
#include "image_reader.h"

#define SIZE FAKE_CHUNK

struct fixture {
	struct fake_cache *cache;
	struct image_set *set;
	struct fake_image *fi; /* four chunks */
	struct image *img;
};

static void open_set(struct fixture *f, uint32_t timeout_ms)
{
	static const unsigned contents[] = {1, 2, 3, 4};
	struct image_set_options opts = {.timeout_ms = timeout_ms};
	struct smr_error err = {0};

	f->cache = fake_new();
	f->fi = fake_add_image(f->cache, "i", SIZE, contents, 4, 4 * SIZE);
	if (image_set_new(fake_cache(f->cache), &opts, &f->set, &err) < 0)
		fail_msg("%s", err.message);
	assert_int_equal(image_new(f->set, fake_store(f->cache, 0), &f->fi->info, &f->img), 0);
}

static void close_set(struct fixture *f)
{
	cache_stop(fake_cache(f->cache));
	image_unref(f->img);
	image_set_free(f->set);
	fake_free(f->cache);
}

/* With the recipe loaded by a read of the last chunk. */
static void open_loaded(struct fixture *f, uint32_t timeout_ms)
{
	open_set(f, timeout_ms);
	assert_int_equal(read_and_compare(f->img, 4 * SIZE - 1, 1, f->fi->bytes), 0);
}

static const struct chunkid *chunk(struct fixture *f, unsigned content)
{
	return fake_chunk_id(f->cache, content, SIZE);
}

static uint64_t since_ms(uint64_t start)
{
	return (clock_ns() - start) / CLOCK_NS_PER_MS;
}

/* ---- deadlines ---- */

static void test_a_chunk_that_does_not_come_is_eio_at_the_deadline(void **state)
{
	struct fixture f;
	(void)state;

	open_loaded(&f, 200);
	fake_hold(f.cache, true);
	uint64_t start = clock_ns();
	assert_int_equal(read_and_compare(f.img, 0, SIZE, f.fi->bytes), -EIO);
	assert_in_range(since_ms(start), 199, 1000);
	/* what is there is not affected */
	assert_int_equal(read_and_compare(f.img, 3 * SIZE, SIZE, f.fi->bytes), 0);
	/* and the next read works, by the get that is still under way */
	fake_hold(f.cache, false);
	assert_int_equal(read_and_compare(f.img, 0, SIZE, f.fi->bytes), 0);
	assert_int_equal(fake_gets_of(f.cache, chunk(&f, 1)), 1);
	close_set(&f);
}

static void test_each_read_has_a_deadline_of_its_own(void **state)
{
	struct fixture f;
	struct reader a, b;
	(void)state;

	open_loaded(&f, 300);
	fake_hold(f.cache, true);
	uint64_t start = clock_ns();
	assert_int_equal(reader_start(&a, f.img, 0, SIZE), -EINPROGRESS);
	usleep(150000);
	assert_int_equal(reader_start(&b, f.img, 100, SIZE), -EINPROGRESS);
	assert_int_equal(reader_wait(&a), -EIO);
	assert_int_equal(reader_calls(&b), 0);
	assert_int_equal(reader_wait(&b), -EIO);
	assert_true(since_ms(start) >= 449);
	reader_end(&a);
	reader_end(&b);
	close_set(&f);
}

static void test_without_a_timeout_a_read_waits(void **state)
{
	struct fixture f;
	struct reader t;
	(void)state;

	open_set(&f, 0);
	fake_fail_recipes(f.cache, -ETIMEDOUT);
	fake_fail(f.cache, chunk(&f, 1), -ECONNREFUSED, 2);
	assert_int_equal(reader_start(&t, f.img, 0, SIZE), -EINPROGRESS);
	usleep(300000);
	assert_int_equal(reader_calls(&t), 0);
	fake_fail_recipes(f.cache, 0);
	assert_int_equal(reader_wait(&t), 0);
	assert_true(reader_equals(&t, f.fi->bytes));
	reader_end(&t);
	close_set(&f);
}

/* ---- gets that fail ---- */

static void test_what_may_work_later_is_tried_again(void **state)
{
	static const int transient[] = {-EIO, -ETIMEDOUT, -ECONNRESET, -EMFILE, -ENOMEM};
	struct fixture f;
	(void)state;

	open_loaded(&f, 10000);
	for (unsigned i = 0; i < 5; i++) {
		unsigned before = fake_gets(f.cache);
		fake_fail(f.cache, chunk(&f, 1), transient[i], 2);
		assert_int_equal(read_and_compare(f.img, 0, SIZE, f.fi->bytes), 0);
		assert_int_equal(fake_gets(f.cache), before + 3);
		fake_evict(f.cache, chunk(&f, 1));
	}
	close_set(&f);
}

static void test_tries_end_with_the_deadline_and_begin_with_the_next_read(void **state)
{
	struct fixture f;
	(void)state;

	open_loaded(&f, 500);
	fake_fail_store(f.cache, fake_store(f.cache, 0), -EHOSTUNREACH);
	uint64_t start = clock_ns();
	assert_int_equal(read_and_compare(f.img, 0, 2 * SIZE, f.fi->bytes), -EIO);
	assert_in_range(since_ms(start), 499, 1500);
	assert_true(fake_gets_of(f.cache, chunk(&f, 1)) >= 2);
	fake_fail_store(f.cache, fake_store(f.cache, 0), 0);
	assert_int_equal(read_and_compare(f.img, 0, 2 * SIZE, f.fi->bytes), 0);
	close_set(&f);
}

static void test_missing_and_corrupt_are_eio_at_once(void **state)
{
	static const int final[] = {-ENOENT, -EBADMSG, -EACCES, -EINVAL};
	struct fixture f;
	(void)state;

	open_loaded(&f, 10000);
	for (unsigned i = 0; i < 4; i++) {
		uint64_t start = clock_ns();
		fake_fail(f.cache, chunk(&f, 1), final[i], 1);
		assert_int_equal(read_and_compare(f.img, 0, 3 * SIZE, f.fi->bytes), -EIO);
		assert_true(since_ms(start) < 1000);
		/* as the next one asks anew */
		assert_int_equal(read_and_compare(f.img, 0, SIZE, f.fi->bytes), 0);
		fake_evict(f.cache, chunk(&f, 1));
	}
	close_set(&f);
}

static void test_a_descriptor_of_the_wrong_size_is_reported_and_fetched_again(void **state)
{
	struct fixture f;
	(void)state;

	open_loaded(&f, 10000);
	fake_fail(f.cache, chunk(&f, 1), FAKE_SHORT, 1);
	assert_int_equal(read_and_compare(f.img, 0, SIZE, f.fi->bytes), 0);
	assert_int_equal(fake_bads(f.cache), 1);
	assert_int_equal(fake_gets_of(f.cache, chunk(&f, 1)), 2);
	close_set(&f);
}

static void test_bad_memory_is_dropped_and_fetched_again(void **state)
{
	struct fixture f;
	struct reader t;
	(void)state;

	open_loaded(&f, 10000);
	assert_int_equal(reader_start(&t, f.img, 0, 2 * SIZE), -EINPROGRESS);
	assert_int_equal(reader_wait(&t), 0);
	image_read_bad(&t.rd);
	assert_int_equal(fake_bads(f.cache), 2);
	/* somebody else may have reported it first */
	image_read_bad(&t.rd);
	reader_end(&t);
	assert_int_equal(read_and_compare(f.img, 0, 2 * SIZE, f.fi->bytes), 0);
	assert_int_equal(fake_gets_of(f.cache, chunk(&f, 1)), 2);
	assert_int_equal(fake_gets_of(f.cache, chunk(&f, 2)), 2);
	close_set(&f);
}

static void test_a_store_that_lacks_a_chunk_leaves_the_other_images_their_own(void **state)
{
	static const unsigned contents[] = {1, 9};
	struct fixture f;
	struct image *other;
	struct reader a, b;
	(void)state;

	open_loaded(&f, 10000);
	struct fake_image *fo = fake_add_image(f.cache, "o", SIZE, contents, 2, 2 * SIZE);
	assert_int_equal(image_new(f.set, fake_store(f.cache, 1), &fo->info, &other), 0);
	assert_int_equal(read_and_compare(other, SIZE, SIZE, fo->bytes), 0);
	for (unsigned i = 0; i < 2; i++) {
		fake_fail_store(f.cache, fake_store(f.cache, 0), i ? -EHOSTUNREACH : -ENOENT);
		fake_hold(f.cache, true);
		assert_int_equal(reader_start(&a, f.img, 0, SIZE), -EINPROGRESS);
		assert_int_equal(reader_start(&b, other, 0, SIZE), -EINPROGRESS);
		fake_wait_held(f.cache, 1);
		fake_hold(f.cache, false);
		assert_int_equal(reader_wait(&b), 0);
		assert_true(reader_equals(&b, fo->bytes));
		/* by its id the chunk is the same, from wherever it comes */
		assert_int_equal(reader_wait(&a), i ? 0 : -EIO);
		reader_end(&a);
		reader_end(&b);
		fake_evict(f.cache, chunk(&f, 1));
	}
	image_unref(other);
	close_set(&f);
}

/* ---- cancellation ---- */

static void test_a_cancelled_read_ends_with_eintr_once(void **state)
{
	struct fixture f;
	struct reader t, other;
	(void)state;

	open_loaded(&f, 300);
	fake_hold(f.cache, true);
	assert_int_equal(reader_start(&t, f.img, 0, 2 * SIZE), -EINPROGRESS);
	assert_int_equal(reader_start(&other, f.img, SIZE, SIZE), -EINPROGRESS);
	assert_true(image_read_cancel(&t.rd));
	assert_int_equal(reader_calls(&t), 1);
	assert_int_equal(t.result, -EINTR);
	assert_false(image_read_cancel(&t.rd));
	/* who waits for the same chunk is not stranded */
	fake_hold(f.cache, false);
	assert_int_equal(reader_wait(&other), 0);
	assert_true(reader_equals(&other, f.fi->bytes + SIZE));
	usleep(400000);
	assert_int_equal(reader_calls(&t), 1);
	assert_int_equal(reader_calls(&other), 1);
	assert_false(image_read_cancel(&other.rd));
	reader_end(&t);
	reader_end(&other);
	close_set(&f);
}

static void test_a_read_that_was_answered_at_once_cannot_be_cancelled(void **state)
{
	struct fixture f;
	struct reader t;
	(void)state;

	open_loaded(&f, 300);
	assert_int_equal(reader_start(&t, f.img, 3 * SIZE, SIZE), 0);
	assert_false(image_read_cancel(&t.rd));
	reader_end(&t);
	image_set_stop(f.set);
	assert_int_equal(reader_start(&t, f.img, 0, SIZE), -EIO);
	assert_false(image_read_cancel(&t.rd));
	reader_end(&t);
	close_set(&f);
}

static void test_cancellation_races_with_completion_and_one_wins(void **state)
{
	struct fixture f;
	unsigned cancelled = 0, completed = 0;
	(void)state;

	open_loaded(&f, 10000);
	for (unsigned i = 0; i < 1000; i++) {
		struct reader t;
		int r = reader_start(&t, f.img, 0, 3 * SIZE);
		assert_int_equal(r, -EINPROGRESS);
		for (unsigned spin = i % 50 * 20; spin; spin--)
			__asm__ volatile("" ::: "memory");
		if (i % 50 == 49)
			usleep(200);
		if (image_read_cancel(&t.rd)) {
			assert_int_equal(reader_wait(&t), -EINTR);
			cancelled++;
		} else {
			assert_int_equal(reader_wait(&t), 0);
			assert_true(reader_equals(&t, f.fi->bytes));
			completed++;
		}
		reader_end(&t);
		for (unsigned c = 1; c <= 3; c++) {
			/* a load that nobody waits for any more ends by itself */
			while (read_and_compare(f.img, (c - 1) * SIZE, 1, f.fi->bytes) != 0)
				;
			fake_evict(f.cache, chunk(&f, c));
		}
	}
	assert_int_equal(cancelled + completed, 1000);
	assert_true(cancelled > 0);
	close_set(&f);
}

/* ---- recipes ---- */

static void test_a_recipe_that_fails_is_eio_and_loaded_by_the_next_read(void **state)
{
	struct fixture f;
	(void)state;

	open_set(&f, 10000);
	fake_fail_recipes(f.cache, -EBADMSG);
	assert_int_equal(read_and_compare(f.img, 0, SIZE, f.fi->bytes), -EIO);
	fake_fail_recipes(f.cache, -ENOENT);
	assert_int_equal(read_and_compare(f.img, 0, SIZE, f.fi->bytes), -EIO);
	fake_fail_recipes(f.cache, 0);
	assert_int_equal(read_and_compare(f.img, 0, SIZE, f.fi->bytes), 0);
	close_set(&f);
}

static void test_a_recipe_that_may_come_later_is_tried_until_the_deadline(void **state)
{
	struct fixture f;
	struct reader t;
	(void)state;

	open_set(&f, 2500);
	fake_fail_recipes(f.cache, -ECONNREFUSED);
	uint64_t start = clock_ns();
	assert_int_equal(read_and_compare(f.img, 0, SIZE, f.fi->bytes), -EIO);
	assert_in_range(since_ms(start), 2499, 4000);
	assert_true(fake_recipe_calls(f.cache) >= 2);
	assert_int_equal(reader_start(&t, f.img, 0, SIZE), -EINPROGRESS);
	usleep(50000);
	fake_fail_recipes(f.cache, 0);
	assert_int_equal(reader_wait(&t), 0);
	assert_true(reader_equals(&t, f.fi->bytes));
	reader_end(&t);
	close_set(&f);
}

static void test_a_late_recipe_is_waited_for(void **state)
{
	struct fixture f;
	struct reader t[8];
	(void)state;

	open_set(&f, 10000);
	fake_stall_recipes(f.cache, true);
	for (unsigned i = 0; i < 8; i++)
		assert_int_equal(reader_start(&t[i], f.img, i * SIZE / 2, SIZE / 2), -EINPROGRESS);
	fake_wait_recipe_calls(f.cache, 1);
	fake_stall_recipes(f.cache, false);
	for (unsigned i = 0; i < 8; i++) {
		assert_int_equal(reader_wait(&t[i]), 0);
		assert_true(reader_equals(&t[i], f.fi->bytes + i * SIZE / 2));
		reader_end(&t[i]);
	}
	assert_int_equal(fake_recipe_calls(f.cache), 1);
	close_set(&f);
}

static void test_the_deadline_ends_waiting_for_a_recipe(void **state)
{
	struct fixture f;
	struct reader t;
	(void)state;

	open_set(&f, 200);
	fake_stall_recipes(f.cache, true);
	uint64_t start = clock_ns();
	assert_int_equal(read_and_compare(f.img, 0, SIZE, f.fi->bytes), -EIO);
	assert_in_range(since_ms(start), 199, 1000);
	/* cancelled while it waits for the recipe, and after */
	assert_int_equal(reader_start(&t, f.img, 0, SIZE), -EINPROGRESS);
	assert_true(image_read_cancel(&t.rd));
	assert_int_equal(reader_wait(&t), -EINTR);
	assert_false(image_read_cancel(&t.rd));
	reader_end(&t);
	fake_stall_recipes(f.cache, false);
	assert_int_equal(read_and_compare(f.img, 0, SIZE, f.fi->bytes), 0);
	assert_int_equal(fake_recipe_calls(f.cache), 1);
	close_set(&f);
}

struct eager {
	struct image_wait wait;
	struct image *img;
	atomic_uint calls;
	atomic_int result;
};

/* Asks again as soon as it failed. */
static void eager_done(struct image_wait *w, int r)
{
	struct eager *e = (struct eager *)w;

	atomic_store(&e->result, r);
	if (atomic_fetch_add(&e->calls, 1) == 0)
		image_load(e->img, &e->wait);
}

static void test_asking_again_from_the_failure_loads_again(void **state)
{
	struct fixture f;
	struct eager e = {.wait.done = eager_done};
	(void)state;

	open_set(&f, 10000);
	e.img = f.img;
	fake_fail_recipes(f.cache, -EBADMSG);
	assert_int_equal(image_load(f.img, &e.wait), -EINPROGRESS);
	fake_wait_recipe_calls(f.cache, 2);
	for (unsigned i = 0; i < 100 && atomic_load(&e.calls) < 2; i++)
		usleep(10000);
	assert_int_equal(atomic_load(&e.calls), 2);
	assert_int_equal(atomic_load(&e.result), -EBADMSG);
	assert_null(image_recipe(f.img));
	close_set(&f);
}

static void test_what_a_listing_left_out_is_known_with_the_recipe(void **state)
{
	struct store_image name_only = {0};
	struct fixture f;
	struct image *img;
	(void)state;

	open_set(&f, 10000);
	strcpy(name_only.name, "i");
	assert_int_equal(image_new(f.set, fake_store(f.cache, 0), &name_only, &img), 0);
	assert_int_equal(image_info(img)->image_size, 0);
	assert_int_equal(read_and_compare(img, 0, SIZE, f.fi->bytes), 0);
	assert_int_equal(image_info(img)->image_size, 4 * SIZE);
	assert_true(chunkid_equal(&image_info(img)->digest, &f.fi->info.digest));
	image_unref(img);
	close_set(&f);
}

static void test_a_recipe_replaced_since_it_was_listed_is_not_used(void **state)
{
	static const unsigned contents[] = {7, 8};
	struct fixture f;
	(void)state;

	open_set(&f, 10000);
	fake_add_image(f.cache, "i", SIZE, contents, 2, 2 * SIZE);
	assert_int_equal(read_and_compare(f.img, 0, SIZE, f.fi->bytes), -EIO);
	close_set(&f);
}

/* ---- stopping ---- */

static void test_stop_ends_what_waits(void **state)
{
	struct fixture f;
	struct reader loading, waiting[4];
	struct image *late;
	(void)state;

	open_loaded(&f, 0);
	assert_int_equal(image_new(f.set, fake_store(f.cache, 0), &f.fi->info, &late), 0);
	fake_stall_recipes(f.cache, true);
	fake_hold(f.cache, true);
	assert_int_equal(reader_start(&loading, late, 0, SIZE), -EINPROGRESS);
	for (unsigned i = 0; i < 4; i++)
		assert_int_equal(reader_start(&waiting[i], f.img, 0, 2 * SIZE + i), -EINPROGRESS);
	image_set_stop(f.set);
	assert_int_equal(reader_calls(&loading), 1);
	assert_int_equal(loading.result, -EIO);
	reader_end(&loading);
	for (unsigned i = 0; i < 4; i++) {
		assert_int_equal(reader_calls(&waiting[i]), 1);
		assert_int_equal(waiting[i].result, -EIO);
		reader_end(&waiting[i]);
	}
	assert_int_equal(read_and_compare(f.img, 0, SIZE, f.fi->bytes), -EIO);
	assert_int_equal(read_and_compare(f.img, 3 * SIZE, SIZE, f.fi->bytes), -EIO);
	assert_int_equal(read_and_compare(late, 0, SIZE, f.fi->bytes), -EIO);
	image_unref(late);
	close_set(&f);
}

struct slow {
	struct image_read rd;
	atomic_bool entered, left;
};

static void slow_done(struct image_read *rd, int r)
{
	struct slow *s = rd->user;
	(void)r;

	atomic_store(&s->entered, true);
	usleep(100000);
	atomic_store(&s->left, true);
}

static void test_stop_waits_for_completions_under_way(void **state)
{
	struct fixture f;
	struct slow s = {.rd = {.length = SIZE, .done = slow_done, .user = &s}};
	(void)state;

	open_loaded(&f, 10000);
	s.rd.image = f.img;
	assert_int_equal(image_read(&s.rd), -EINPROGRESS);
	while (!atomic_load(&s.entered))
		usleep(1000);
	image_set_stop(f.set);
	assert_true(atomic_load(&s.left));
	image_read_end(&s.rd);
	close_set(&f);
}

static void test_free_waits_for_tries_and_recipes_that_nobody_waits_for(void **state)
{
	struct fixture f;
	(void)state;

	open_loaded(&f, 150);
	fake_fail_store(f.cache, fake_store(f.cache, 0), -EIO);
	assert_int_equal(read_and_compare(f.img, 0, 3 * SIZE, f.fi->bytes), -EIO);
	image_unref(f.img);
	assert_int_equal(image_new(f.set, fake_store(f.cache, 0), &f.fi->info, &f.img), 0);
	fake_stall_recipes(f.cache, true);
	assert_int_equal(read_and_compare(f.img, 0, SIZE, f.fi->bytes), -EIO);
	uint64_t start = clock_ns();
	close_set(&f);
	assert_true(since_ms(start) < 1000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_chunk_that_does_not_come_is_eio_at_the_deadline),
		cmocka_unit_test(test_each_read_has_a_deadline_of_its_own),
		cmocka_unit_test(test_without_a_timeout_a_read_waits),
		cmocka_unit_test(test_what_may_work_later_is_tried_again),
		cmocka_unit_test(test_tries_end_with_the_deadline_and_begin_with_the_next_read),
		cmocka_unit_test(test_missing_and_corrupt_are_eio_at_once),
		cmocka_unit_test(test_a_descriptor_of_the_wrong_size_is_reported_and_fetched_again),
		cmocka_unit_test(test_bad_memory_is_dropped_and_fetched_again),
		cmocka_unit_test(test_a_store_that_lacks_a_chunk_leaves_the_other_images_their_own),
		cmocka_unit_test(test_a_cancelled_read_ends_with_eintr_once),
		cmocka_unit_test(test_a_read_that_was_answered_at_once_cannot_be_cancelled),
		cmocka_unit_test(test_cancellation_races_with_completion_and_one_wins),
		cmocka_unit_test(test_a_recipe_that_fails_is_eio_and_loaded_by_the_next_read),
		cmocka_unit_test(test_a_recipe_that_may_come_later_is_tried_until_the_deadline),
		cmocka_unit_test(test_a_late_recipe_is_waited_for),
		cmocka_unit_test(test_the_deadline_ends_waiting_for_a_recipe),
		cmocka_unit_test(test_asking_again_from_the_failure_loads_again),
		cmocka_unit_test(test_what_a_listing_left_out_is_known_with_the_recipe),
		cmocka_unit_test(test_a_recipe_replaced_since_it_was_listed_is_not_used),
		cmocka_unit_test(test_stop_ends_what_waits),
		cmocka_unit_test(test_stop_waits_for_completions_under_way),
		cmocka_unit_test(test_free_waits_for_tries_and_recipes_that_nobody_waits_for),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
