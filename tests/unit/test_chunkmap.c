/* SPDX-License-Identifier: BSD-3-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>

#include <cmocka.h>

#include "../../cached/chunkmap.h"
#include "../../cached/image.h"

#define SIZE 4096u

static struct chunkid id_of(unsigned n)
{
	struct chunkid id = {{0}};

	memcpy(id.b, &n, sizeof(n));
	return id;
}

static struct chunkmap_entry *find(struct chunkmap *m, unsigned n)
{
	struct chunkid id = id_of(n);

	return chunkmap_find(m, &id);
}

static struct chunkmap_entry *begin(struct chunkmap *m, unsigned n)
{
	struct chunkid id = id_of(n);
	struct chunkmap_entry *e = chunkmap_add(m, &id, SIZE);

	assert_non_null(e);
	assert_false(e->ready);
	return e;
}

static void *some_memory(void)
{
	void *p = mmap(NULL, SIZE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	assert_true(p != MAP_FAILED);
	return p;
}

/* The caller holds a reference, as the loader does. */
static struct image_read_slot *make_ready(struct chunkmap *m, struct chunkmap_entry *e)
{
	return chunkmap_ready(m, e, some_memory());
}

static struct chunkmap_entry *load(struct chunkmap *m, unsigned n)
{
	struct chunkmap_entry *e = begin(m, n);

	assert_null(make_ready(m, e));
	chunkmap_unref(m, e);
	return e;
}

static unsigned reap(struct chunkmap *m)
{
	struct chunkmap_entry *list = chunkmap_reap(m);
	unsigned n = 0;

	for (struct chunkmap_entry *e = list; e; e = e->next_free)
		n++;
	chunkmap_release(list);
	return n;
}

static void drop(struct chunkmap *m, unsigned n)
{
	struct chunkid id = id_of(n);

	chunkmap_drop(m, &id);
}

static void test_an_entry_is_loaded_once_and_stays(void **state)
{
	struct chunkmap *m = chunkmap_new(10);
	struct image_read_slot slot = {0};
	(void)state;

	assert_null(find(m, 1));
	struct chunkmap_entry *e = begin(m, 1);
	assert_int_equal(chunkmap_loading(m), 1);
	assert_ptr_equal(find(m, 1), e);
	e->waiters = &slot;
	assert_ptr_equal(make_ready(m, e), &slot);
	assert_int_equal(chunkmap_loading(m), 0);
	assert_true(e->ready);
	chunkmap_unref(m, e);
	assert_int_equal(reap(m), 0);
	assert_ptr_equal(find(m, 1), e);
	chunkmap_free(m);
}

static void test_a_failed_load_is_gone(void **state)
{
	struct chunkmap *m = chunkmap_new(10);
	struct image_read_slot slot = {0};
	(void)state;

	struct chunkmap_entry *e = begin(m, 1);
	e->waiters = &slot;
	assert_ptr_equal(chunkmap_failed(m, e), &slot);
	chunkmap_release(e);
	assert_null(find(m, 1));
	assert_int_equal(chunkmap_loading(m), 0);
	e = begin(m, 1);
	assert_null(chunkmap_failed(m, e));
	chunkmap_release(e);
	chunkmap_free(m);
}

static void test_over_the_limit_the_least_recently_used_goes(void **state)
{
	struct chunkmap *m = chunkmap_new(4);
	(void)state;

	for (unsigned i = 1; i <= 4; i++)
		load(m, i);
	assert_int_equal(reap(m), 0);
	find(m, 1);
	find(m, 3);
	load(m, 5);
	load(m, 6);
	assert_int_equal(reap(m), 2);
	assert_non_null(find(m, 1));
	assert_null(find(m, 2));
	assert_non_null(find(m, 3));
	assert_null(find(m, 4));
	assert_non_null(find(m, 5));
	assert_non_null(find(m, 6));
	chunkmap_free(m);
}

static void test_what_is_held_stays_over_the_limit(void **state)
{
	struct chunkmap *m = chunkmap_new(2);
	struct chunkmap_entry *held[4];
	(void)state;

	for (unsigned i = 0; i < 4; i++) {
		held[i] = load(m, i);
		chunkmap_ref(held[i]);
	}
	assert_int_equal(reap(m), 0);
	load(m, 10);
	assert_int_equal(reap(m), 1);
	assert_null(find(m, 10));
	for (unsigned i = 0; i < 4; i++)
		chunkmap_unref(m, held[i]);
	assert_int_equal(reap(m), 2);
	chunkmap_free(m);
}

static void test_a_dropped_entry_goes_with_its_last_reference(void **state)
{
	struct chunkmap *m = chunkmap_new(10);
	(void)state;

	struct chunkmap_entry *e = load(m, 1);
	chunkmap_ref(e);
	chunkmap_ref(e);
	drop(m, 1);
	drop(m, 1);
	drop(m, 2);
	assert_null(find(m, 1));
	assert_true(e->doomed);
	assert_int_equal(reap(m), 0);
	/* the next one of that id is another one */
	struct chunkmap_entry *again = load(m, 1);
	assert_ptr_equal(find(m, 1), again);
	chunkmap_unref(m, e);
	assert_int_equal(reap(m), 0);
	chunkmap_unref(m, e);
	assert_int_equal(reap(m), 1);
	assert_ptr_equal(find(m, 1), again);
	/* and without references at once */
	drop(m, 1);
	assert_int_equal(reap(m), 1);
	chunkmap_free(m);
}

static void test_dropped_while_it_loads_it_serves_who_waits_and_goes(void **state)
{
	struct chunkmap *m = chunkmap_new(10);
	struct image_read_slot slot = {0};
	(void)state;

	struct chunkmap_entry *e = begin(m, 1);
	e->waiters = &slot;
	drop(m, 1);
	assert_ptr_equal(find(m, 1), e);
	assert_ptr_equal(make_ready(m, e), &slot);
	chunkmap_ref(e);
	chunkmap_unref(m, e);
	assert_null(find(m, 1));
	assert_int_equal(reap(m), 0);
	chunkmap_unref(m, e);
	assert_int_equal(reap(m), 1);
	/* nobody waits */
	e = begin(m, 2);
	drop(m, 2);
	assert_null(make_ready(m, e));
	chunkmap_unref(m, e);
	assert_int_equal(reap(m), 1);
	assert_null(find(m, 2));
	chunkmap_free(m);
}

static void test_use_is_collected_once_and_whole(void **state)
{
	struct chunkmap *m = chunkmap_new(100);
	struct chunkid ids[100];
	bool seen[50] = {0};
	unsigned n, total = 0;
	(void)state;

	assert_int_equal(chunkmap_collect_touched(m, ids, 100), 0);
	for (unsigned i = 0; i < 50; i++)
		load(m, i);
	/* in batches, each id once, the least recently used first */
	while ((n = chunkmap_collect_touched(m, ids, 7))) {
		for (unsigned i = 0; i < n; i++) {
			unsigned k;
			memcpy(&k, ids[i].b, sizeof(k));
			assert_int_equal(k, total + i);
			assert_false(seen[k]);
			seen[k] = true;
		}
		total += n;
	}
	assert_int_equal(total, 50);
	find(m, 20);
	find(m, 3);
	find(m, 20);
	/* a new one in front of them hides nothing */
	load(m, 60);
	assert_int_equal(chunkmap_collect_touched(m, ids, 100), 3);
	assert_int_equal(chunkmap_collect_touched(m, ids, 100), 0);
	/* a used one that went is not told of */
	find(m, 5);
	find(m, 6);
	drop(m, 6);
	reap(m);
	assert_int_equal(chunkmap_collect_touched(m, ids, 100), 1);
	struct chunkid five = id_of(5);
	assert_true(chunkid_equal(&ids[0], &five));
	chunkmap_free(m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_an_entry_is_loaded_once_and_stays),
		cmocka_unit_test(test_a_failed_load_is_gone),
		cmocka_unit_test(test_over_the_limit_the_least_recently_used_goes),
		cmocka_unit_test(test_what_is_held_stays_over_the_limit),
		cmocka_unit_test(test_a_dropped_entry_goes_with_its_last_reference),
		cmocka_unit_test(test_dropped_while_it_loads_it_serves_who_waits_and_goes),
		cmocka_unit_test(test_use_is_collected_once_and_whole),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
