/* SPDX-License-Identifier: BSD-3-Clause */
/* holders.h, and claims.h, which is the same question asked by client. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "../../cached/claims.h"
#include "../../cached/holders.h"

static struct chunkid id_of(unsigned n)
{
	struct chunkid id;

	chunkid_hash(&n, sizeof(n), &id);
	return id;
}

static void test_only_the_last_drop_says_so(void **state)
{
	struct holders *h = holders_new();
	struct chunkid a = id_of(1), b = id_of(2);

	(void)state;
	assert_int_equal(holders_add(h, &a), 0);
	assert_int_equal(holders_add(h, &a), 0);
	assert_int_equal(holders_add(h, &b), 0);
	assert_int_equal(holders_total(h), 3);
	assert_int_equal(holders_chunks(h), 2);
	assert_false(holders_drop(h, &a));
	assert_true(holders_has(h, &a));
	assert_true(holders_drop(h, &a));
	assert_false(holders_has(h, &a));
	/* a liar */
	assert_false(holders_drop(h, &a));
	assert_int_equal(holders_total(h), 1);
	holders_free(h);
	holders_free(NULL);
}

/* Against counts in an array. */
static void test_many_chunks_keep_their_counts(void **state)
{
	struct holders *h = holders_new();
	unsigned counts[200] = {0};

	(void)state;
	srand(1);
	for (unsigned i = 0; i < 100000; i++) {
		unsigned n = (unsigned)rand() % 200;
		struct chunkid id = id_of(n);

		if (rand() % 2) {
			assert_int_equal(holders_add(h, &id), 0);
			counts[n]++;
		} else {
			assert_int_equal(holders_drop(h, &id), counts[n] == 1);
			counts[n] -= counts[n] > 0;
		}
		assert_int_equal(holders_has(h, &id), counts[n] > 0);
	}
	holders_free(h);
}

/* ---- claims ---- */

struct teller {
	struct claimant *told[8];
	unsigned n, gone;
};

static void tell(void *user, struct claimant *who)
{
	struct teller *t = user;

	t->told[t->n++] = who;
}

static void gone(void *user, const struct chunkid *id)
{
	(void)id;
	((struct teller *)user)->gone++;
}

static void test_only_those_that_hold_it_are_told(void **state)
{
	struct claims *t = claims_new();
	struct claimant a = {0}, b = {0}, c = {0};
	struct chunkid x = id_of(1), y = id_of(2), got[4];
	struct teller teller = {0};

	(void)state;
	claims_ask(t, &a, &x);
	assert_false(claims_answer(t, &a, &x, true));
	claims_ask(t, &b, &y);
	assert_false(claims_answer(t, &b, &y, true));
	claims_evicted(t, &x, tell, &teller);
	assert_int_equal(teller.n, 1);
	assert_ptr_equal(teller.told[0], &a);
	assert_int_equal(claims_owes_since(&a), 0);
	assert_int_equal(claims_tell(&a, got, 4, 77), 1);
	assert_true(chunkid_equal(&got[0], &x));
	assert_int_equal(claims_owes_since(&a), 77);
	assert_int_equal(claims_tell(&a, got, 4, 78), 0);
	assert_int_equal(claims_tell(&c, got, 4, 78), 0);
	assert_true(claims_drop(t, &a, &x));
	assert_int_equal(claims_owes_since(&a), 0);
	assert_false(claims_drop(t, &a, &x));
	assert_false(claims_drop(t, &a, &y));
	assert_true(claims_holds(&b, &y));
	assert_false(claims_holds(&a, &y));
	claims_leave(t, &a, gone, &teller);
	assert_int_equal(teller.gone, 0);
	claims_leave(t, &b, gone, &teller);
	assert_int_equal(teller.gone, 1);
	claims_leave(t, &c, gone, &teller);
	claims_free(t);
}

static void test_an_answer_on_its_way_is_followed_by_the_news(void **state)
{
	struct claims *t = claims_new();
	struct claimant a = {0};
	struct chunkid x = id_of(1), got[4];
	struct teller teller = {0};

	(void)state;
	claims_ask(t, &a, &x);
	claims_evicted(t, &x, tell, &teller);
	assert_int_equal(teller.n, 0);
	assert_true(claims_answer(t, &a, &x, true));
	assert_int_equal(claims_tell(&a, got, 4, 1), 1);
	/* a later one has the new file, and is no debt */
	claims_ask(t, &a, &x);
	assert_false(claims_answer(t, &a, &x, true));
	assert_true(claims_drop(t, &a, &x));
	assert_int_equal(claims_owes_since(&a), 0);
	assert_true(claims_holds(&a, &x));
	/* nothing came: nothing to drop */
	claims_ask(t, &a, &x);
	claims_evicted(t, &x, tell, &teller);
	assert_int_equal(teller.n, 1);
	assert_false(claims_answer(t, &a, &x, false));
	claims_leave(t, &a, gone, &teller);
	assert_int_equal(teller.gone, 1);
	claims_free(t);
}

static void test_a_client_that_leaves_gives_all_back(void **state)
{
	struct claims *t = claims_new();
	struct claimant who[3] = {{0}};
	struct teller teller = {0};
	struct chunkid ids[256];

	(void)state;
	for (unsigned i = 0; i < 900; i++) {
		struct chunkid id = id_of(i / 2);

		assert_int_equal(claims_ask(t, &who[i % 3], &id), 0);
		claims_answer(t, &who[i % 3], &id, true);
		if (i % 7 == 0)
			claims_evicted(t, &id, tell, &(struct teller){0});
	}
	claims_tell(&who[0], ids, 256, 5);
	for (unsigned i = 0; i < 3; i++)
		claims_leave(t, &who[i], gone, &teller);
	assert_int_equal(teller.gone, 900);
	claims_free(t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_only_the_last_drop_says_so),
		cmocka_unit_test(test_many_chunks_keep_their_counts),
		cmocka_unit_test(test_only_those_that_hold_it_are_told),
		cmocka_unit_test(test_an_answer_on_its_way_is_followed_by_the_news),
		cmocka_unit_test(test_a_client_that_leaves_gives_all_back),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
