/* SPDX-License-Identifier: BSD-3-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "../../cached/condemned.h"

#define GRACE 5
#define IDS   200

static struct chunkid id_of(uint32_t n)
{
	struct chunkid id = {0};

	memcpy(id.b + 3, &n, sizeof(n));
	return id;
}

static void add(struct condemned *c, uint32_t n, uint64_t bytes, uint32_t now)
{
	struct chunkid id = id_of(n);

	assert_int_equal(condemned_add(c, &id, bytes, now), 0);
}

static uint64_t release(struct condemned *c, uint32_t n)
{
	struct chunkid id = id_of(n);

	return condemned_release(c, &id);
}

static void test_bytes_count_until_they_are_released(void **state)
{
	struct condemned *c = condemned_new(GRACE);

	(void)state;
	assert_int_equal(release(c, 1), 0);
	add(c, 1, 100, 10);
	add(c, 2, 50, 10);
	assert_int_equal(condemned_bytes(c), 150);
	assert_int_equal(release(c, 1), 100);
	assert_int_equal(release(c, 1), 0);
	assert_int_equal(condemned_bytes(c), 50);
	condemned_free(c);
	condemned_free(NULL);
}

static void test_files_of_one_chunk_add_up(void **state)
{
	struct condemned *c = condemned_new(GRACE);

	(void)state;
	add(c, 1, 100, 10);
	add(c, 1, 100, 14);
	assert_int_equal(condemned_overdue(c, 16), 200); /* since the first */
	add(c, 1, 100, 17);
	assert_int_equal(condemned_overdue(c, 17), 300);
	assert_int_equal(release(c, 1), 300);
	assert_int_equal(condemned_overdue(c, 17), 0);
	assert_int_equal(condemned_bytes(c), 0);
	condemned_free(c);
}

static void test_what_is_held_for_longer_than_the_grace_is_overdue(void **state)
{
	struct condemned *c = condemned_new(GRACE);

	(void)state;
	add(c, 1, 1, 10);
	add(c, 2, 2, 12);
	add(c, 3, 4, 12);
	assert_int_equal(condemned_overdue(c, 15), 0);
	assert_int_equal(condemned_overdue(c, 16), 1);
	assert_int_equal(release(c, 2), 2);
	assert_int_equal(condemned_overdue(c, 18), 5);
	assert_int_equal(condemned_overdue(c, 3), 5); /* a time that goes back */
	add(c, 4, 8, 18);
	assert_int_equal(condemned_overdue(c, 23), 5);
	assert_int_equal(condemned_overdue(c, 24), 13);
	condemned_free(c);
}

static void test_agrees_with_sums(void **state)
{
	struct condemned *c = condemned_new(GRACE);
	struct {
		uint64_t bytes;
		uint32_t since;
	} model[IDS] = {0};
	uint32_t now = 1;

	(void)state;
	srandom(3);
	for (unsigned i = 0; i < 20000; i++) {
		uint32_t n = (uint32_t)random() % IDS;
		uint64_t bytes = 0, overdue = 0;

		now += random() % 16 == 0;
		if (random() % 2) {
			if (!model[n].bytes)
				model[n].since = now;
			model[n].bytes += n + 1;
			add(c, n, n + 1, now);
		} else {
			assert_int_equal(release(c, n), model[n].bytes);
			model[n].bytes = 0;
		}
		for (uint32_t k = 0; k < IDS; k++) {
			bytes += model[k].bytes;
			overdue += now - model[k].since > GRACE ? model[k].bytes : 0;
		}
		assert_int_equal(condemned_bytes(c), bytes);
		assert_int_equal(condemned_overdue(c, now), overdue);
	}
	condemned_free(c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_bytes_count_until_they_are_released),
		cmocka_unit_test(test_files_of_one_chunk_add_up),
		cmocka_unit_test(test_what_is_held_for_longer_than_the_grace_is_overdue),
		cmocka_unit_test(test_agrees_with_sums),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
