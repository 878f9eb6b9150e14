/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <setjmp.h>

#include <cmocka.h>

#include "../../cached/ledger.h"

static struct chunkid id_of(uint32_t n)
{
	struct chunkid id = {0};

	memcpy(id.b + 7, &n, sizeof(n));
	return id;
}

static struct pool_stamp stamp_of(uint64_t ino, uint32_t bytes)
{
	return (struct pool_stamp){.ino = ino, .ctime_ns = 5, .size = 524288, .bytes = bytes};
}

static void add_at(struct ledger *l, uint32_t n, uint32_t bytes, uint32_t now)
{
	struct chunkid id = id_of(n);
	struct pool_stamp stamp = stamp_of(n, bytes);
	struct index_record rec;

	assert_int_equal(ledger_add(l, &id, &stamp, true, now, &rec), 0);
	assert_true(pool_stamp_equal(&rec.stamp, &stamp));
	assert_int_equal(rec.stamp.bytes, bytes);
}

static void add(struct ledger *l, uint32_t n, uint32_t bytes)
{
	add_at(l, n, bytes, 1000);
}

static void touch(struct ledger *l, uint32_t n, uint32_t now)
{
	struct chunkid id = id_of(n);
	struct index_record rec;

	ledger_touch(l, &id, now, &rec);
}

static bool victim(struct ledger *l, uint64_t target, struct chunkid *ret)
{
	struct index_record rec;
	bool verified;

	return ledger_victim(l, target, 0, ret, &rec, &verified);
}

static void assert_victim(struct ledger *l, uint32_t n)
{
	struct chunkid id, want = id_of(n);

	assert_true(victim(l, 0, &id));
	assert_memory_equal(&id, &want, sizeof(id));
}

static uint64_t bytes_of(struct ledger *l)
{
	struct ledger_usage u;

	ledger_usage(l, 0, &u);
	return u.bytes;
}

static uint64_t count_of(struct ledger *l)
{
	struct ledger_usage u;

	ledger_usage(l, 0, &u);
	return u.chunks;
}

static void test_empty_has_no_victim(void **state)
{
	struct ledger *l = ledger_new();
	struct chunkid id = id_of(1);
	struct index_record rec;
	bool verified;

	(void)state;
	assert_false(victim(l, 0, &id));
	assert_false(ledger_remove(l, &id));
	assert_false(ledger_condemn(l, &id, 1));
	ledger_release(l, &id);
	assert_int_equal(ledger_unpin(l, &id, 1), -ENOENT);
	assert_false(ledger_has(l, &id));
	assert_false(ledger_check(l, &id, &(struct pool_stamp){0}, &verified));
	assert_false(ledger_touch(l, &id, 1, &rec));
	assert_int_equal(bytes_of(l), 0);
	assert_int_equal(count_of(l), 0);
	ledger_free(l);
	ledger_free(NULL);
}

/* Within a minute all uses count as one. */
static void test_victim_is_least_recently_used_among_recent_ones(void **state)
{
	struct ledger *l = ledger_new();
	struct chunkid id;

	(void)state;
	for (uint32_t i = 1; i <= 3; i++)
		add(l, i, 4096);
	assert_victim(l, 1);
	touch(l, 1, 1000);
	assert_victim(l, 2);
	assert_victim(l, 2); /* it stays */
	id = id_of(2);
	assert_true(ledger_remove(l, &id));
	assert_victim(l, 3);
	add(l, 3, 4096); /* replacing is a use */
	assert_victim(l, 1);
	ledger_free(l);
}

static void test_what_was_used_twice_outlives_what_was_used_once(void **state)
{
	struct ledger *l = ledger_new();

	(void)state;
	add_at(l, 1, 4096, 1000);
	touch(l, 1, 2000);
	for (uint32_t i = 2; i <= 9; i++)
		add_at(l, i, 4096, 3000);
	touch(l, 2, 3060); /* the same use still */
	touch(l, 10, 4000);
	add_at(l, 10, 4096, 4000);
	assert_int_equal(count_of(l), 10);
	for (uint32_t i = 3; i <= 9; i++) {
		struct chunkid id;

		assert_true(victim(l, 0, &id));
		assert_true(id.b[7] >= 3 && id.b[7] <= 9);
		assert_true(ledger_remove(l, &id));
	}
	assert_victim(l, 2);
	ledger_free(l);
}

static void test_a_victim_meets_a_target(void **state)
{
	struct ledger *l = ledger_new();
	struct chunkid id;

	(void)state;
	add(l, 1, 4096);
	add(l, 2, 8192);
	assert_false(victim(l, 12288, &id));
	assert_true(victim(l, 12287, &id));
	ledger_remove(l, &id);
	assert_false(victim(l, 8192, &id));
	ledger_free(l);
}

static void test_condemned_bytes_count_when_they_are_due(void **state)
{
	struct ledger *l = ledger_new();
	struct ledger_usage u;
	struct index_record rec;
	struct chunkid id = id_of(1), next;
	bool verified;

	(void)state;
	for (uint32_t i = 1; i <= 4; i++)
		add(l, i, 4096);
	assert_true(ledger_condemn(l, &id, 1000));
	assert_false(ledger_has(l, &id));
	ledger_usage(l, 1000, &u);
	assert_int_equal(u.bytes, 3 * 4096);
	assert_int_equal(u.condemned, 4096);
	assert_int_equal(u.due, 0);
	assert_false(ledger_victim(l, 3 * 4096, 1002, &next, &rec, &verified));
	/* whoever holds it does not answer */
	assert_true(ledger_victim(l, 3 * 4096, 1003, &next, &rec, &verified));
	ledger_usage(l, 1003, &u);
	assert_int_equal(u.due, 4096);
	ledger_release(l, &id);
	ledger_release(l, &id);
	ledger_usage(l, 1003, &u);
	assert_int_equal(u.condemned, 0);
	assert_int_equal(u.due, 0);
	assert_false(ledger_victim(l, 3 * 4096, 1003, &next, &rec, &verified));
	ledger_free(l);
}

static void test_pinned_chunks_are_no_victims(void **state)
{
	struct ledger *l = ledger_new();
	struct chunkid one = id_of(1), two = id_of(2), id;
	struct ledger_usage u;

	(void)state;
	add(l, 1, 4096);
	assert_int_equal(ledger_pin(l, &one), 0);
	assert_int_equal(ledger_pin(l, &two), 0); /* not there yet */
	add(l, 2, 4096);
	add(l, 3, 4096);
	assert_victim(l, 3);
	id = id_of(3);
	ledger_remove(l, &id);
	assert_false(victim(l, 0, &id));
	ledger_usage(l, 1000, &u);
	assert_int_equal(u.pinned_bytes, 2 * 4096);
	assert_int_equal(ledger_unpin(l, &two, 1000), 0);
	assert_victim(l, 2);
	ledger_free(l);
}

static void test_what_was_loaded_keeps_its_times(void **state)
{
	struct ledger *l = ledger_new();
	struct index_record rec = {.stamp = stamp_of(7, 4096), .used = {.last = 900, .prev = 500}};
	struct chunkid one = id_of(1), two = id_of(2), id;
	bool verified = false;

	(void)state;
	assert_int_equal(ledger_load(l, &one, &rec, true, 1000), 0);
	rec.used = (struct lruk_times){.last = 950};
	assert_int_equal(ledger_load(l, &two, &rec, false, 1000), 0);
	assert_victim(l, 2);
	assert_true(ledger_victim(l, 0, 1000, &id, &rec, &verified));
	assert_false(verified);
	ledger_remove(l, &two);
	assert_true(ledger_victim(l, 0, 1000, &id, &rec, &verified));
	assert_true(verified);
	assert_int_equal(rec.used.last, 900);
	assert_int_equal(rec.used.prev, 500);
	assert_int_equal(rec.stamp.ino, 7);
	ledger_free(l);
}

static void test_replacing_corrects_the_bytes(void **state)
{
	struct ledger *l = ledger_new();

	(void)state;
	add(l, 1, 4096);
	add(l, 2, 8192);
	add(l, 1, 16384);
	assert_int_equal(count_of(l), 2);
	assert_int_equal(bytes_of(l), 8192 + 16384);
	ledger_free(l);
}

static void test_only_the_verified_stamp_is_verified(void **state)
{
	struct ledger *l = ledger_new();
	struct pool_stamp stamp = stamp_of(7, 4096), other;
	struct chunkid id = id_of(1);
	struct index_record rec;
	bool verified = false;

	(void)state;
	ledger_add(l, &id, &stamp, true, 1, &rec);
	assert_true(ledger_check(l, &id, &stamp, &verified));
	assert_true(verified);
	other = stamp;
	other.bytes = 0; /* delayed allocation */
	assert_true(ledger_check(l, &id, &other, &verified));
	assert_true(verified);
	other = stamp;
	other.ctime_ns++;
	assert_true(ledger_check(l, &id, &other, &verified));
	assert_false(verified);
	other = stamp;
	other.ino++;
	assert_true(ledger_check(l, &id, &other, &verified));
	assert_false(verified);
	other = stamp;
	other.size--;
	assert_true(ledger_check(l, &id, &other, &verified));
	assert_false(verified);
	ledger_add(l, &id, &stamp, false, 1, &rec);
	assert_true(ledger_check(l, &id, &stamp, &verified));
	assert_false(verified);
	ledger_free(l);
}

static void test_touch_gives_a_record_once_a_minute(void **state)
{
	struct ledger *l = ledger_new();
	struct pool_stamp stamp = stamp_of(7, 4096);
	struct index_record rec = {0};
	struct chunkid id = id_of(1);

	(void)state;
	ledger_add(l, &id, &stamp, true, 1020, &rec);
	assert_false(ledger_touch(l, &id, 1020, &rec));
	assert_false(ledger_touch(l, &id, 1079, &rec));
	assert_true(ledger_touch(l, &id, 1080, &rec));
	assert_int_equal(rec.used.last, 1080);
	assert_int_equal(rec.used.prev, 0);
	assert_true(pool_stamp_equal(&rec.stamp, &stamp));
	assert_int_equal(rec.stamp.bytes, 4096);
	assert_false(ledger_touch(l, &id, 1139, &rec));
	assert_true(ledger_touch(l, &id, 1140, &rec));
	assert_true(ledger_touch(l, &id, 2000, &rec));
	assert_int_equal(rec.used.last, 2000);
	assert_int_equal(rec.used.prev, 1140);
	/* a time that goes back is none */
	assert_false(ledger_touch(l, &id, 500, &rec));
	ledger_free(l);
}

static void test_touch_keeps_unverified_stamps_off_the_disk(void **state)
{
	struct ledger *l = ledger_new();
	struct pool_stamp stamp = stamp_of(7, 4096);
	struct index_record rec;
	struct chunkid id = id_of(1);

	(void)state;
	ledger_add(l, &id, &stamp, false, 0, &rec);
	add(l, 2, 4096);
	assert_false(ledger_touch(l, &id, 1000000, &rec));
	add_at(l, 2, 4096, 1000000);
	touch(l, 1, 1000000);
	assert_victim(l, 2); /* yet it was used */
	ledger_free(l);
}

/* ---- within a minute, against a list that is as simple as can be; test_lruk.c has the rest ---- */

#define MODEL_IDS 300
#define MODEL_OPS 100000

struct model {
	uint32_t order[MODEL_IDS]; /* least recently used first */
	uint32_t bytes[MODEL_IDS];
	size_t n;
};

static bool model_drop(struct model *m, uint32_t n)
{
	for (size_t i = 0; i < m->n; i++) {
		if (m->order[i] != n)
			continue;
		m->n--;
		memmove(&m->order[i], &m->order[i + 1], (m->n - i) * sizeof(m->order[0]));
		return true;
	}
	return false;
}

static void assert_same(struct ledger *l, const struct model *m)
{
	uint64_t bytes = 0;
	struct chunkid id;

	for (size_t i = 0; i < m->n; i++)
		bytes += m->bytes[m->order[i]];
	assert_int_equal(count_of(l), m->n);
	assert_int_equal(bytes_of(l), bytes);
	if (!m->n) {
		assert_false(victim(l, 0, &id));
		return;
	}
	assert_victim(l, m->order[0]);
}

static void random_operation(struct ledger *l, struct model *m)
{
	uint32_t n = (uint32_t)(random() % MODEL_IDS);
	struct chunkid id = id_of(n);
	bool had;

	switch (random() % 8) {
	case 0:
	case 1:
	case 2:
		model_drop(m, n);
		m->order[m->n++] = n;
		m->bytes[n] = (uint32_t)(random() % 129) * 4096;
		add(l, n, m->bytes[n]);
		break;
	case 3:
	case 4:
		had = model_drop(m, n);
		if (had)
			m->order[m->n++] = n;
		touch(l, n, 1000);
		assert_int_equal(ledger_has(l, &id), had);
		break;
	case 5:
		assert_int_equal(ledger_remove(l, &id), model_drop(m, n));
		break;
	default:
		if (!victim(l, 0, &id))
			break;
		assert_true(ledger_remove(l, &id));
		model_drop(m, m->order[0]);
	}
}

static void test_agrees_with_a_naive_list(void **state)
{
	struct ledger *l = ledger_new();
	struct model m = {0};

	(void)state;
	srandom(1);
	for (unsigned i = 0; i < MODEL_OPS; i++) {
		random_operation(l, &m);
		assert_same(l, &m);
	}
	ledger_free(l);
}

static void test_holds_many(void **state)
{
	const uint32_t n = 200000;
	struct ledger *l = ledger_new();
	struct chunkid id;

	(void)state;
	for (uint32_t i = 0; i < n; i++)
		add(l, i, 4096);
	assert_int_equal(bytes_of(l), 4096ull * n);
	for (uint32_t i = 0; i < n; i++) {
		assert_victim(l, i);
		assert_true(victim(l, 0, &id));
		assert_true(ledger_remove(l, &id));
	}
	assert_int_equal(bytes_of(l), 0);
	ledger_free(l);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_empty_has_no_victim),
		cmocka_unit_test(test_victim_is_least_recently_used_among_recent_ones),
		cmocka_unit_test(test_what_was_used_twice_outlives_what_was_used_once),
		cmocka_unit_test(test_a_victim_meets_a_target),
		cmocka_unit_test(test_condemned_bytes_count_when_they_are_due),
		cmocka_unit_test(test_pinned_chunks_are_no_victims),
		cmocka_unit_test(test_what_was_loaded_keeps_its_times),
		cmocka_unit_test(test_replacing_corrects_the_bytes),
		cmocka_unit_test(test_only_the_verified_stamp_is_verified),
		cmocka_unit_test(test_touch_gives_a_record_once_a_minute),
		cmocka_unit_test(test_touch_keeps_unverified_stamps_off_the_disk),
		cmocka_unit_test(test_agrees_with_a_naive_list),
		cmocka_unit_test(test_holds_many),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
