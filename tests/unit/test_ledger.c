/* SPDX-License-Identifier: BSD-3-Clause */
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

static void add(struct ledger *l, uint32_t n, uint32_t bytes)
{
	struct chunkid id = id_of(n);
	struct pool_stamp stamp = stamp_of(n, bytes);

	assert_int_equal(ledger_add(l, &id, &stamp, true, 1000), 0);
}

static void assert_victim(const struct ledger *l, uint32_t n)
{
	struct chunkid id, want = id_of(n);
	uint64_t bytes;

	assert_true(ledger_victim(l, &id, &bytes));
	assert_memory_equal(&id, &want, sizeof(id));
}

static void test_empty_has_no_victim(void **state)
{
	struct ledger *l = ledger_new();
	struct chunkid id = id_of(1);
	struct index_record rec;
	uint64_t bytes;
	bool verified;

	(void)state;
	assert_false(ledger_victim(l, &id, &bytes));
	assert_false(ledger_remove(l, &id));
	assert_false(ledger_has(l, &id));
	assert_false(ledger_check(l, &id, &(struct pool_stamp){0}, &verified));
	assert_false(ledger_touch(l, &id, 1, &rec));
	assert_int_equal(ledger_bytes(l), 0);
	assert_int_equal(ledger_count(l), 0);
	ledger_free(l);
	ledger_free(NULL);
}

static void test_victim_is_least_recently_used(void **state)
{
	struct ledger *l = ledger_new();
	struct index_record rec;
	struct chunkid id;

	(void)state;
	for (uint32_t i = 1; i <= 3; i++)
		add(l, i, 4096);
	assert_victim(l, 1);
	id = id_of(1);
	ledger_touch(l, &id, 1000, &rec);
	assert_victim(l, 2);
	assert_victim(l, 2); /* it stays */
	id = id_of(2);
	assert_true(ledger_remove(l, &id));
	assert_victim(l, 3);
	add(l, 3, 4096); /* replacing is a use */
	assert_victim(l, 1);
	ledger_free(l);
}

static void test_replacing_corrects_the_bytes(void **state)
{
	struct ledger *l = ledger_new();

	(void)state;
	add(l, 1, 4096);
	add(l, 2, 8192);
	add(l, 1, 16384);
	assert_int_equal(ledger_count(l), 2);
	assert_int_equal(ledger_bytes(l), 8192 + 16384);
	ledger_free(l);
}

static void test_only_the_verified_stamp_is_verified(void **state)
{
	struct ledger *l = ledger_new();
	struct pool_stamp stamp = stamp_of(7, 4096), other;
	struct chunkid id = id_of(1);
	bool verified = false;

	(void)state;
	ledger_add(l, &id, &stamp, true, 1);
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
	ledger_add(l, &id, &stamp, false, 1);
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
	ledger_add(l, &id, &stamp, true, 1000);
	assert_false(ledger_touch(l, &id, 1000, &rec));
	assert_false(ledger_touch(l, &id, 1030, &rec));
	assert_false(ledger_touch(l, &id, 1060, &rec));
	assert_true(ledger_touch(l, &id, 1061, &rec));
	assert_int_equal(rec.used, 1061);
	assert_true(pool_stamp_equal(&rec.stamp, &stamp));
	assert_int_equal(rec.stamp.bytes, 4096);
	assert_false(ledger_touch(l, &id, 1121, &rec));
	assert_true(ledger_touch(l, &id, 1122, &rec));
	/* a clock that is set back does not leave a time in the future */
	assert_true(ledger_touch(l, &id, 500, &rec));
	assert_int_equal(rec.used, 500);
	ledger_free(l);
}

static void test_touch_keeps_unverified_stamps_off_the_disk(void **state)
{
	struct ledger *l = ledger_new();
	struct pool_stamp stamp = stamp_of(7, 4096);
	struct index_record rec;
	struct chunkid id = id_of(1);

	(void)state;
	ledger_add(l, &id, &stamp, false, 0);
	add(l, 2, 4096);
	assert_false(ledger_touch(l, &id, 1000000, &rec));
	assert_victim(l, 2); /* yet it was used */
	ledger_free(l);
}

/* ---- against a list that is as simple as can be ---- */

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

static void assert_same(const struct ledger *l, const struct model *m)
{
	uint64_t bytes = 0, victim_bytes;
	struct chunkid id;

	for (size_t i = 0; i < m->n; i++)
		bytes += m->bytes[m->order[i]];
	assert_int_equal(ledger_count(l), m->n);
	assert_int_equal(ledger_bytes(l), bytes);
	if (!m->n) {
		assert_false(ledger_victim(l, &id, &victim_bytes));
		return;
	}
	assert_victim(l, m->order[0]);
	assert_true(ledger_victim(l, &id, &victim_bytes));
	assert_int_equal(victim_bytes, m->bytes[m->order[0]]);
}

static void random_operation(struct ledger *l, struct model *m, uint64_t now)
{
	uint32_t n = (uint32_t)(random() % MODEL_IDS);
	struct chunkid id = id_of(n);
	struct index_record rec;
	uint64_t bytes;
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
		ledger_touch(l, &id, now, &rec);
		assert_int_equal(ledger_has(l, &id), had);
		break;
	case 5:
		assert_int_equal(ledger_remove(l, &id), model_drop(m, n));
		break;
	default:
		if (!ledger_victim(l, &id, &bytes))
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
		random_operation(l, &m, 1000 + i);
		assert_same(l, &m);
	}
	ledger_free(l);
}

static void test_holds_many(void **state)
{
	const uint32_t n = 200000;
	struct ledger *l = ledger_new();
	uint64_t bytes;
	struct chunkid id;

	(void)state;
	for (uint32_t i = 0; i < n; i++)
		add(l, i, 4096);
	assert_int_equal(ledger_bytes(l), 4096ull * n);
	for (uint32_t i = 0; i < n; i++) {
		assert_victim(l, i);
		assert_true(ledger_victim(l, &id, &bytes));
		assert_true(ledger_remove(l, &id));
	}
	assert_int_equal(ledger_bytes(l), 0);
	ledger_free(l);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_empty_has_no_victim),
		cmocka_unit_test(test_victim_is_least_recently_used),
		cmocka_unit_test(test_replacing_corrects_the_bytes),
		cmocka_unit_test(test_only_the_verified_stamp_is_verified),
		cmocka_unit_test(test_touch_gives_a_record_once_a_minute),
		cmocka_unit_test(test_touch_keeps_unverified_stamps_off_the_disk),
		cmocka_unit_test(test_agrees_with_a_naive_list),
		cmocka_unit_test(test_holds_many),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
