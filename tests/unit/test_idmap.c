/* SPDX-License-Identifier: BSD-3-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "../../chunker/core/idmap.h"

#define N_IDS 20000u

static struct chunkid id_of(uint32_t n)
{
	struct chunkid id;
	chunkid_hash(&n, sizeof(n), &id);
	return id;
}

static void test_an_empty_map_has_nothing(void **state)
{
	(void)state;
	struct idmap *m = idmap_new();
	struct chunkid id = id_of(1);
	uint64_t v = 7;
	size_t cursor = 0;
	assert_int_equal(idmap_count(m), 0);
	assert_false(idmap_get(m, &id, &v));
	assert_false(idmap_del(m, &id, &v));
	assert_false(idmap_next(m, &cursor, &id, &v));
	assert_int_equal(v, 7);
	idmap_free(m);
	idmap_free(NULL);
}

static void test_put_says_whether_the_id_is_new(void **state)
{
	(void)state;
	struct idmap *m = idmap_new();
	struct chunkid id = id_of(1);
	uint64_t v;
	assert_int_equal(idmap_put(m, &id, 10), 1);
	assert_int_equal(idmap_put(m, &id, 20), 0);
	assert_int_equal(idmap_count(m), 1);
	assert_true(idmap_get(m, &id, &v));
	assert_int_equal(v, 20);
	assert_true(idmap_get(m, &id, NULL));
	assert_true(idmap_del(m, &id, NULL));
	assert_int_equal(idmap_put(m, &id, UINT64_MAX), 1);
	assert_true(idmap_del(m, &id, &v));
	assert_true(v == UINT64_MAX);
	idmap_free(m);
}

static void test_it_agrees_with_an_array_under_random_use(void **state)
{
	(void)state;
	struct idmap *m = idmap_new();
	uint64_t *model = calloc(N_IDS, sizeof(*model)); /* 0: absent */
	size_t count = 0;
	uint64_t rng = 42;
	for (int step = 0; step < 400000; step++) {
		rng = rng * 6364136223846793005u + 1442695040888963407u;
		/* in phases, so that the table also empties again */
		uint32_t n = (uint32_t)(rng >> 33) % N_IDS;
		bool put = (rng >> 60) < (step / 50000 % 2 ? 4 : 12);
		struct chunkid id = id_of(n);
		uint64_t v = 0;
		assert_int_equal(idmap_get(m, &id, &v), model[n] != 0);
		assert_int_equal(v, model[n]);
		if (put) {
			assert_int_equal(idmap_put(m, &id, (uint64_t)step + 1), model[n] == 0);
			count += model[n] == 0;
			model[n] = (uint64_t)step + 1;
		} else {
			assert_int_equal(idmap_del(m, &id, NULL), model[n] != 0);
			count -= model[n] != 0;
			model[n] = 0;
		}
		assert_int_equal(idmap_count(m), count);
	}
	for (uint32_t n = 0; n < N_IDS; n++) {
		struct chunkid id = id_of(n);
		uint64_t v = 0;
		assert_int_equal(idmap_get(m, &id, &v), model[n] != 0);
		assert_int_equal(v, model[n]);
	}
	free(model);
	idmap_free(m);
}

static void test_ids_that_differ_in_one_byte_are_different(void **state)
{
	(void)state;
	struct idmap *m = idmap_new();
	for (unsigned at = 0; at < CHUNKID_BYTES; at++)
		for (unsigned b = 1; b < 256; b++) {
			struct chunkid id = {{0}};
			id.b[at] = (uint8_t)b;
			assert_int_equal(idmap_put(m, &id, at << 8 | b), 1);
		}
	for (unsigned at = 0; at < CHUNKID_BYTES; at++)
		for (unsigned b = 1; b < 256; b++) {
			struct chunkid id = {{0}};
			uint64_t v;
			id.b[at] = (uint8_t)b;
			assert_true(idmap_del(m, &id, &v));
			assert_int_equal(v, at << 8 | b);
		}
	assert_int_equal(idmap_count(m), 0);
	idmap_free(m);
}

static void test_next_visits_every_entry_once(void **state)
{
	(void)state;
	struct idmap *m = idmap_new();
	unsigned char seen[1000] = {0};
	for (uint32_t n = 0; n < 1000; n++) {
		struct chunkid id = id_of(n);
		assert_int_equal(idmap_put(m, &id, n), 1);
	}
	size_t cursor = 0, visits = 0;
	struct chunkid id;
	uint64_t v;
	while (idmap_next(m, &cursor, &id, &v)) {
		struct chunkid expected = id_of((uint32_t)v);
		assert_true(v < 1000);
		assert_true(chunkid_equal(&id, &expected));
		assert_int_equal(seen[v]++, 0);
		visits++;
	}
	assert_int_equal(visits, 1000);
	assert_false(idmap_next(m, &cursor, &id, &v));
	idmap_free(m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_an_empty_map_has_nothing),
		cmocka_unit_test(test_put_says_whether_the_id_is_new),
		cmocka_unit_test(test_it_agrees_with_an_array_under_random_use),
		cmocka_unit_test(test_ids_that_differ_in_one_byte_are_different),
		cmocka_unit_test(test_next_visits_every_entry_once),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
