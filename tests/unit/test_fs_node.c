/* SPDX-License-Identifier: BSD-3-Clause */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "../../fs/node.h"

/* The table only passes images on, so here they are counters of references. */
struct image {
	atomic_int refs;
};

static void unref(struct image *image)
{
	atomic_fetch_sub(&image->refs, 1);
}

static struct image *ref(struct image *image)
{
	atomic_fetch_add(&image->refs, 1);
	return image;
}

static struct node_info info_of(uint32_t n)
{
	struct node_info info = {.size = n, .data_bytes = n / 2, .created = 1000};
	chunkid_hash(&n, sizeof(n), &info.digest);
	return info;
}

static const struct node *lookup(struct nodes *t, struct image *image, uint32_t n)
{
	struct node_info info = info_of(n);
	const struct node *node;
	assert_int_equal(nodes_lookup(t, ref(image), &info, &node), 0);
	return node;
}

static struct nodes *table(void)
{
	struct nodes *t;
	assert_int_equal(nodes_new(unref, &t), 0);
	return t;
}

static void test_the_root_and_unknown_ids_are_no_nodes(void **state)
{
	(void)state;
	struct nodes *t = table();
	struct image image = {0};
	for (int i = 0; i < 2; i++) {
		assert_null(nodes_get(t, 0));
		assert_null(nodes_get(t, NODE_ROOT));
		assert_null(nodes_get(t, 3));
		assert_null(nodes_get(t, UINT32_MAX));
		assert_null(nodes_get(t, UINT64_MAX));
		assert_null(nodes_get(t, 1ull << 32));
		nodes_forget(t, NODE_ROOT, 1);
		nodes_forget(t, 77, 1);
		assert_true(lookup(t, &image, 1)->id == 2);
	}
	nodes_free(t);
	assert_int_equal(image.refs, 0);
	nodes_free(NULL);
}

static void test_a_digest_has_one_node(void **state)
{
	(void)state;
	struct nodes *t = table();
	struct image first = {0}, again = {0}, other = {0};
	const struct node *a = lookup(t, &first, 1);
	assert_ptr_equal(lookup(t, &again, 1), a);
	assert_ptr_equal(a->image, &first);
	assert_int_equal(again.refs, 0);
	const struct node *b = lookup(t, &other, 2);
	assert_true(b->id != a->id);
	assert_ptr_equal(nodes_get(t, a->id), a);
	assert_ptr_equal(nodes_get(t, b->id), b);
	struct node_info info = info_of(2), absent = info_of(3);
	assert_true(nodes_find(t, &info.digest) == b->id);
	assert_true(nodes_find(t, &absent.digest) == 0);
	assert_true(b->info.size == 2 && b->info.data_bytes == 1 && b->info.created == 1000);
	assert_int_equal(nodes_count(t), 2);
	nodes_free(t);
	assert_int_equal(first.refs + other.refs, 0);
}

static void test_a_node_lives_until_every_lookup_is_forgotten(void **state)
{
	(void)state;
	struct nodes *t = table();
	struct image image = {0};
	uint64_t id = lookup(t, &image, 1)->id;
	lookup(t, &image, 1);
	lookup(t, &image, 1);
	nodes_forget(t, id, 2);
	assert_non_null(nodes_get(t, id));
	assert_int_equal(image.refs, 1);
	nodes_forget(t, id, 1);
	assert_null(nodes_get(t, id));
	assert_int_equal(image.refs, 0);
	assert_int_equal(nodes_count(t), 0);
	nodes_forget(t, id, 1);
	nodes_free(t);
}

static void test_forgetting_too_much_is_forgetting(void **state)
{
	(void)state;
	struct nodes *t = table();
	struct image image = {0};
	uint64_t id = lookup(t, &image, 1)->id;
	nodes_forget(t, id, UINT64_MAX);
	assert_null(nodes_get(t, id));
	assert_int_equal(image.refs, 0);
	nodes_free(t);
}

static void test_an_id_never_comes_back(void **state)
{
	(void)state;
	struct nodes *t = table();
	struct image image = {0};
	uint64_t last = 0, first = lookup(t, &image, 1)->id;
	nodes_forget(t, first, 1);
	for (uint32_t i = 0; i < 1000; i++) {
		/* the same image, too: the kernel may hold pages of the node it forgot */
		uint64_t id = lookup(t, &image, 1)->id;
		assert_true(id != first && id > last);
		assert_null(nodes_get(t, last));
		last = id;
		nodes_forget(t, id, 1);
	}
	/* one index did for all of them */
	assert_true((uint32_t)last == (uint32_t)first);
	nodes_free(t);
}

static void test_many_nodes_are_all_found(void **state)
{
	(void)state;
	enum { N = 5000 };
	struct nodes *t = table();
	struct image image = {0};
	static uint64_t ids[N];
	for (uint32_t i = 0; i < N; i++)
		ids[i] = lookup(t, &image, i)->id;
	for (uint32_t i = 0; i < N; i += 2)
		nodes_forget(t, ids[i], 1);
	for (uint32_t i = 0; i < N; i++) {
		const struct node *node = nodes_get(t, ids[i]);
		assert_int_equal(node != NULL, i % 2);
		if (node)
			assert_true(node->info.size == i);
	}
	assert_int_equal(nodes_count(t), N / 2);
	assert_int_equal(image.refs, N / 2);
	nodes_free(t);
	assert_int_equal(image.refs, 0);
}

struct storm {
	struct nodes *nodes;
	struct image *image;
};

/* Looks the same few images up and forgets them again; in between each must be there. */
static void *storm(void *arg)
{
	struct storm *s = arg;
	for (uint32_t i = 0; i < 20000; i++) {
		struct node_info info = info_of(i % 7);
		const struct node *node;
		if (nodes_lookup(s->nodes, ref(s->image), &info, &node) < 0)
			abort();
		uint64_t id = node->id;
		if (nodes_get(s->nodes, id) != node || node->info.size != i % 7)
			abort();
		nodes_forget(s->nodes, id, 1);
	}
	return NULL;
}

static void test_threads_do_not_lose_references(void **state)
{
	(void)state;
	struct image image = {0};
	struct storm s = {.nodes = table(), .image = &image};
	pthread_t threads[4];
	for (int i = 0; i < 4; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, storm, &s), 0);
	for (int i = 0; i < 4; i++)
		pthread_join(threads[i], NULL);
	assert_int_equal(nodes_count(s.nodes), 0);
	assert_int_equal(image.refs, 0);
	nodes_free(s.nodes);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_the_root_and_unknown_ids_are_no_nodes),
		cmocka_unit_test(test_a_digest_has_one_node),
		cmocka_unit_test(test_a_node_lives_until_every_lookup_is_forgotten),
		cmocka_unit_test(test_forgetting_too_much_is_forgetting),
		cmocka_unit_test(test_an_id_never_comes_back),
		cmocka_unit_test(test_many_nodes_are_all_found),
		cmocka_unit_test(test_threads_do_not_lose_references),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
