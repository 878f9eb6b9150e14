/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "../../cached/flight.h"

#define SIZE (64u << 10)

/* Stores are only compared. */
static char places[4];

static struct cache_store *store(unsigned i)
{
	return (struct cache_store *)(void *)&places[i];
}

static struct cache_get get_of(uint8_t id, unsigned from, enum store_priority prio)
{
	return (struct cache_get){
		.id = {{id}}, .chunk_size = SIZE, .priority = prio, .store = store(from)};
}

static int setup(void **state)
{
	*state = flights_new();
	return *state ? 0 : -1;
}

static int teardown(void **state)
{
	flights_free(*state);
	return 0;
}

static struct flight *lead(struct flights *t, struct cache_get *get)
{
	struct flight *f = NULL;

	assert_int_equal(flight_join(t, get, &f), 1);
	assert_int_equal(f->state, FLIGHT_LOOKUP);
	return f;
}

static void land(struct flights *t, struct flight *f)
{
	flight_land(t, f);
	flight_free(f);
}

/* Takes the flight to STORE with a body of n bytes. */
static void bring(struct flight *f, size_t n)
{
	struct buf body;
	char bytes[100] = {0};

	buf_init(&body, 100);
	assert_int_equal(buf_append(&body, bytes, n), 0);
	flight_fetched(f, &body);
	assert_int_equal(body.len, 0);
	assert_int_equal(f->state, FLIGHT_STORE);
	assert_int_equal(f->body.len, n);
	buf_done(&body);
}

static void test_the_first_leads_and_the_others_join(void **state)
{
	struct flights *t = *state;
	struct cache_get a = get_of(1, 0, STORE_DEMAND), b = get_of(1, 0, STORE_DEMAND),
			 c = get_of(2, 0, STORE_DEMAND), d = get_of(1, 0, STORE_DEMAND);
	struct flight *one = lead(t, &a), *two = lead(t, &c), *joined;

	assert_ptr_not_equal(one, two);
	assert_int_equal(flight_join(t, &b, &joined), 0);
	assert_ptr_equal(joined, one);
	assert_int_equal(flights_count(t), 2);
	/* in order of arrival */
	assert_int_equal(flight_join(t, &d, &joined), 0);
	struct cache_get *waiters = flight_land(t, one);
	assert_ptr_equal(waiters, &a);
	assert_ptr_equal(a.next, &b);
	assert_ptr_equal(b.next, &d);
	assert_null(d.next);
	assert_int_equal(one->state, FLIGHT_LANDED);
	assert_int_equal(flights_count(t), 1);
	/* who comes now starts a new one */
	struct cache_get late = get_of(1, 0, STORE_DEMAND);
	struct flight *again = lead(t, &late);
	flight_free(one);
	land(t, again);
	land(t, two);
}

static void test_joining_is_possible_until_it_lands(void **state)
{
	struct flights *t = *state;
	struct cache_get gets[4];
	struct flight *f, *joined;

	for (unsigned i = 0; i < 4; i++)
		gets[i] = get_of(1, 0, STORE_DEMAND);
	f = lead(t, &gets[0]);
	assert_int_equal(flight_join(t, &gets[1], &joined), 0);
	assert_ptr_equal(flight_next_source(f), store(0));
	assert_int_equal(f->state, FLIGHT_FETCH);
	assert_int_equal(flight_join(t, &gets[2], &joined), 0);
	bring(f, 10);
	assert_int_equal(flight_join(t, &gets[3], &joined), 0);
	unsigned n = 0;
	for (struct cache_get *g = flight_land(t, f); g; g = g->next)
		n++;
	assert_int_equal(n, 4);
	flight_free(f);
}

static void test_one_id_has_one_size(void **state)
{
	struct flights *t = *state;
	struct cache_get a = get_of(1, 0, STORE_DEMAND), liar = get_of(1, 1, STORE_DEMAND);
	struct flight *f = lead(t, &a), *joined = NULL;

	liar.chunk_size = 2 * SIZE;
	assert_int_equal(flight_join(t, &liar, &joined), -EINVAL);
	assert_null(joined);
	assert_int_equal(f->n_sources, 1);
	assert_ptr_equal(flight_land(t, f), &a);
	assert_null(a.next);
	flight_free(f);
}

static void test_the_most_urgent_waiter_sets_the_priority(void **state)
{
	struct flights *t = *state;
	struct cache_get a = get_of(1, 0, STORE_HYDRATE), b = get_of(1, 0, STORE_DEMAND),
			 c = get_of(1, 0, STORE_SCRUB);
	struct flight *f = lead(t, &a), *joined;

	assert_int_equal(f->priority, STORE_HYDRATE);
	flight_join(t, &b, &joined);
	assert_int_equal(f->priority, STORE_DEMAND);
	flight_join(t, &c, &joined);
	assert_int_equal(f->priority, STORE_DEMAND);
	land(t, f);
}

static void test_every_source_is_asked_before_it_fails(void **state)
{
	struct flights *t = *state;
	struct cache_get gets[4] = {get_of(1, 0, STORE_DEMAND), get_of(1, 1, STORE_DEMAND),
		get_of(1, 0, STORE_DEMAND), get_of(1, 2, STORE_DEMAND)};
	struct flight *f = lead(t, &gets[0]), *joined;

	flight_join(t, &gets[1], &joined);
	flight_join(t, &gets[2], &joined);
	assert_int_equal(f->n_sources, 2);
	assert_ptr_equal(flight_next_source(f), store(0));
	flight_source_failed(f, -ENOENT);
	/* one that comes late brings its own */
	flight_join(t, &gets[3], &joined);
	assert_ptr_equal(flight_next_source(f), store(1));
	flight_source_failed(f, -ETIMEDOUT);
	assert_ptr_equal(flight_next_source(f), store(2));
	flight_source_failed(f, -ENOENT);
	assert_null(flight_next_source(f));
	assert_int_equal(flight_result(f), -ETIMEDOUT);
	land(t, f);
}

static void test_a_source_that_sent_wrong_bytes_is_asked_once_more(void **state)
{
	struct flights *t = *state;
	struct cache_get a = get_of(1, 0, STORE_DEMAND), b = get_of(1, 1, STORE_DEMAND);
	struct flight *f = lead(t, &a), *joined;

	flight_join(t, &b, &joined);
	assert_ptr_equal(flight_next_source(f), store(0));
	bring(f, 10);
	flight_source_failed(f, -EBADMSG);
	assert_int_equal(f->body.len, 0);
	assert_ptr_equal(flight_next_source(f), store(0));
	bring(f, 20);
	flight_source_failed(f, -EBADMSG);
	assert_ptr_equal(flight_next_source(f), store(1));
	bring(f, 30);
	land(t, f);
}

static void test_wrong_bytes_and_then_none_is_corrupt_only_if_twice(void **state)
{
	struct flights *t = *state;
	struct cache_get a = get_of(1, 0, STORE_DEMAND);
	struct flight *f = lead(t, &a);

	flight_next_source(f);
	flight_source_failed(f, -EBADMSG);
	assert_ptr_equal(flight_next_source(f), store(0));
	flight_source_failed(f, -ENOENT);
	assert_null(flight_next_source(f));
	assert_int_equal(flight_result(f), -ENOENT);
	land(t, f);
}

static int result_of(struct flights *t, const int *results, unsigned n)
{
	struct cache_get gets[4];
	struct flight *f = NULL, *joined;

	for (unsigned i = 0; i < n; i++) {
		gets[i] = get_of(9, i, STORE_DEMAND);
		if (i == 0)
			f = lead(t, &gets[0]);
		else
			flight_join(t, &gets[i], &joined);
	}
	while (flight_next_source(f))
		flight_source_failed(f, results[f->source]);
	int r = flight_result(f);
	land(t, f);
	return r;
}

static void test_what_may_work_later_comes_before_what_will_not(void **state)
{
	static const int order[][4] = {
		/* three sources, and what the waiters are told */
		{-ENOENT, -ENOENT, -ENOENT, -ENOENT},
		{-ENOENT, -EBADMSG, -ENOENT, -EBADMSG},
		{-EBADMSG, -ENOENT, -ENOENT, -EBADMSG},
		{-ENOENT, -EBADMSG, -ETIMEDOUT, -ETIMEDOUT},
		{-ETIMEDOUT, -EBADMSG, -ENOENT, -ETIMEDOUT},
		{-EBADMSG, -EIO, -EBADMSG, -EIO},
		{-ETIMEDOUT, -EACCES, -ENOENT, -ETIMEDOUT},
		{-ENOENT, -EACCES, -EBADMSG, -EACCES},
	};

	for (unsigned i = 0; i < sizeof(order) / sizeof(order[0]); i++)
		assert_int_equal(result_of(*state, order[i], 3), order[i][3]);
}

static void test_many_flights_at_once(void **state)
{
	enum { N = 2000 };
	static struct cache_get gets[N];
	static struct flight *flights[N];
	struct flights *t = *state;

	for (unsigned i = 0; i < N; i++) {
		gets[i] = get_of(0, i % 4, STORE_DEMAND);
		memcpy(gets[i].id.b, &i, sizeof(i));
		flights[i] = lead(t, &gets[i]);
	}
	assert_int_equal(flights_count(t), N);
	for (unsigned i = 0; i < N; i++) {
		unsigned k = i * 7 % N;
		assert_ptr_equal(flight_land(t, flights[k]), &gets[k]);
		flight_free(flights[k]);
	}
	assert_int_equal(flights_count(t), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
			test_the_first_leads_and_the_others_join, setup, teardown),
		cmocka_unit_test_setup_teardown(
			test_joining_is_possible_until_it_lands, setup, teardown),
		cmocka_unit_test_setup_teardown(test_one_id_has_one_size, setup, teardown),
		cmocka_unit_test_setup_teardown(
			test_the_most_urgent_waiter_sets_the_priority, setup, teardown),
		cmocka_unit_test_setup_teardown(
			test_every_source_is_asked_before_it_fails, setup, teardown),
		cmocka_unit_test_setup_teardown(
			test_a_source_that_sent_wrong_bytes_is_asked_once_more, setup, teardown),
		cmocka_unit_test_setup_teardown(
			test_wrong_bytes_and_then_none_is_corrupt_only_if_twice, setup, teardown),
		cmocka_unit_test_setup_teardown(
			test_what_may_work_later_comes_before_what_will_not, setup, teardown),
		cmocka_unit_test_setup_teardown(test_many_flights_at_once, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
