/* SPDX-License-Identifier: BSD-3-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "../../cached/catalog.h"
#include "../../chunker/core/codec.h"
#include "fake_cache.h"
#include "image_reader.h"

#define SIZE  FAKE_CHUNK
#define FRESH 100 /* ms */

struct fixture {
	struct fake_cache *cache;
	struct image_set *set;
	struct catalog *catalog;
	pthread_mutex_t lock;
	char changed[2000]; /* names, a space behind each */
};

static void on_changed(void *user, const char *name)
{
	struct fixture *f = user;

	locked(&f->lock);
	strcat(f->changed, name);
	strcat(f->changed, " ");
}

static void open_catalog(struct fixture *f, uint32_t wait_ms)
{
	struct image_set_options set = {.timeout_ms = 10000, .n_workers = 1};
	struct catalog_options opts = {
		.fresh_ms = FRESH, .wait_ms = wait_ms, .changed = on_changed, .user = f};

	*f = (struct fixture){.lock = PTHREAD_MUTEX_INITIALIZER, .cache = fake_new()};
	assert_int_equal(image_set_new(fake_cache(f->cache), &set, &f->set, NULL), 0);
	assert_int_equal(catalog_new(f->set, fake_cache(f->cache), fake_store(f->cache, 0), &opts,
				 &f->catalog, NULL),
		0);
}

static void close_catalog(struct fixture *f)
{
	cache_stop(fake_cache(f->cache));
	image_set_stop(f->set);
	catalog_free(f->catalog);
	image_set_free(f->set);
	fake_free(f->cache);
}

static struct fake_image *add(struct fixture *f, const char *name, unsigned first)
{
	unsigned contents[] = {first, first + 1};

	return fake_add_image(f->cache, name, SIZE, contents, 2, 2 * SIZE);
}

/* What was told since the last call. */
static void assert_changed(struct fixture *f, const char *names)
{
	locked(&f->lock);
	assert_string_equal(f->changed, names);
	f->changed[0] = '\0';
}

static uint64_t since_ms(uint64_t start)
{
	return (clock_ns() - start) / CLOCK_NS_PER_MS;
}

static void let_it_age(void)
{
	usleep((FRESH + 20) * 1000);
}

/* ---- waiting ---- */

struct asker {
	struct catalog_wait wait;
	pthread_mutex_t lock;
	pthread_cond_t changed;
	unsigned calls;
	int result;
	struct image *image;
};

static void asker_done(struct catalog_wait *w, int r, struct image *image)
{
	struct asker *a = (struct asker *)w;

	locked(&a->lock);
	a->calls++;
	a->result = r;
	a->image = image;
	pthread_cond_broadcast(&a->changed);
}

static void asker_init(struct asker *a, const char *name)
{
	*a = (struct asker){.wait.done = asker_done,
		.lock = PTHREAD_MUTEX_INITIALIZER,
		.changed = PTHREAD_COND_INITIALIZER};
	strcpy(a->wait.name, name);
}

static unsigned asker_calls(struct asker *a)
{
	locked(&a->lock);
	return a->calls;
}

static int asker_wait(struct asker *a, struct image **ret)
{
	struct timespec until;

	locked(&a->lock);
	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += 10;
	while (a->calls == 0)
		if (pthread_cond_timedwait(&a->changed, &a->lock, &until) == ETIMEDOUT)
			abort();
	assert_int_equal(a->calls, 1);
	if (ret)
		*ret = a->image;
	return a->result;
}

/* A reference, however long it takes. */
static int find(struct fixture *f, const char *name, struct image **ret)
{
	struct asker a;

	asker_init(&a, name);
	int r = catalog_find(f->catalog, &a.wait, ret);
	return r == -EINPROGRESS ? asker_wait(&a, ret) : r;
}

static int find_nothing(struct fixture *f, const char *name)
{
	struct image *img = NULL;
	int r = find(f, name, &img);

	image_unref(r == 0 ? img : NULL);
	return r;
}

static int wait_for_list(struct fixture *f)
{
	struct asker a;

	asker_init(&a, "");
	int r = catalog_list(f->catalog, &a.wait);
	return r == -EINPROGRESS ? asker_wait(&a, NULL) : r;
}

static void assert_listed(struct fixture *f, const char *names)
{
	struct catalog_snapshot s;
	char got[2000] = "";

	assert_int_equal(catalog_snapshot(f->catalog, &s), 0);
	for (size_t i = 0; i < s.n; i++) {
		strcat(got, image_info(s.images[i])->name);
		strcat(got, " ");
	}
	catalog_snapshot_done(&s);
	assert_string_equal(got, names);
}

static bool reads(struct image *img, const struct fake_image *fi)
{
	return read_and_compare(img, 0, 2 * SIZE, fi->bytes) == 0;
}

/* ---- a store that works ---- */

static void test_names_lead_to_images(void **state)
{
	struct fixture f;
	struct image *img;
	(void)state;

	open_catalog(&f, 5000);
	struct fake_image *b = add(&f, "b", 1), *a = add(&f, "a", 3);
	assert_int_equal(catalog_refresh(f.catalog, NULL), 0);
	assert_changed(&f, "a b ");
	assert_listed(&f, "a b ");
	assert_int_equal(find(&f, "a", &img), 0);
	assert_true(reads(img, a));
	image_unref(img);
	assert_int_equal(find(&f, "b", &img), 0);
	assert_true(reads(img, b));
	image_unref(img);
	assert_int_equal(find_nothing(&f, "c"), -ENOENT);
	assert_int_equal(find_nothing(&f, ""), -ENOENT);
	close_catalog(&f);
}

static void test_without_a_first_refresh_the_first_question_lists(void **state)
{
	struct fixture f;
	struct image *img;
	(void)state;

	open_catalog(&f, 5000);
	struct fake_image *a = add(&f, "a", 1);
	assert_int_equal(find(&f, "a", &img), 0);
	assert_true(reads(img, a));
	image_unref(img);
	assert_int_equal(wait_for_list(&f), 0);
	assert_listed(&f, "a ");
	assert_int_equal(fake_list_calls(f.cache), 1);
	close_catalog(&f);
}

static void test_images_appear_and_vanish(void **state)
{
	struct fixture f;
	struct image *img;
	(void)state;

	open_catalog(&f, 5000);
	struct fake_image *a = add(&f, "a", 1);
	assert_int_equal(catalog_refresh(f.catalog, NULL), 0);
	assert_int_equal(find(&f, "a", &img), 0);
	add(&f, "b", 3);
	fake_unlist(f.cache, "a");
	let_it_age();
	/* what is known is answered at once, what is not from a new list */
	assert_int_equal(find_nothing(&f, "a"), 0);
	assert_int_equal(find_nothing(&f, "b"), 0);
	assert_int_equal(find_nothing(&f, "a"), -ENOENT);
	assert_listed(&f, "b ");
	assert_changed(&f, "a a b ");
	/* the image lives on */
	(void)a;
	assert_string_equal(image_info(img)->name, "a");
	image_unref(img);
	close_catalog(&f);
}

static void test_a_replaced_image_lives_on_beside_the_new_one(void **state)
{
	struct fixture f;
	struct image *old, *new;
	(void)state;

	open_catalog(&f, 5000);
	struct fake_image *first = add(&f, "a", 1);
	assert_int_equal(catalog_refresh(f.catalog, NULL), 0);
	assert_int_equal(find(&f, "a", &old), 0);
	assert_true(reads(old, first));
	assert_changed(&f, "a ");
	struct fake_image *second = add(&f, "a", 5);
	let_it_age();
	assert_int_equal(wait_for_list(&f), 0);
	assert_changed(&f, "a ");
	assert_int_equal(find(&f, "a", &new), 0);
	assert_ptr_not_equal(old, new);
	assert_true(reads(new, second));
	assert_true(reads(old, first));
	image_unref(old);
	assert_true(reads(new, second));
	image_unref(new);
	close_catalog(&f);
}

static void test_an_image_that_stays_is_the_same_image(void **state)
{
	struct fixture f;
	struct image *before, *after;
	(void)state;

	open_catalog(&f, 5000);
	add(&f, "b", 1);
	assert_int_equal(catalog_refresh(f.catalog, NULL), 0);
	assert_int_equal(find(&f, "b", &before), 0);
	assert_changed(&f, "b ");
	add(&f, "a", 3);
	add(&f, "c", 5);
	assert_int_equal(catalog_refresh(f.catalog, NULL), 0);
	assert_changed(&f, "a c ");
	/* nothing changed */
	assert_int_equal(catalog_refresh(f.catalog, NULL), 0);
	assert_changed(&f, "");
	assert_int_equal(find(&f, "b", &after), 0);
	assert_ptr_equal(before, after);
	image_unref(before);
	image_unref(after);
	close_catalog(&f);
}

static void test_a_list_of_names_notices_replacement_too(void **state)
{
	struct fixture f;
	struct image *old, *same, *new;
	(void)state;

	open_catalog(&f, 5000);
	fake_list_names_only(f.cache, true);
	struct fake_image *first = add(&f, "a", 1);
	assert_int_equal(catalog_refresh(f.catalog, NULL), 0);
	assert_int_equal(find(&f, "a", &old), 0);
	assert_true(reads(old, first));
	add(&f, "b", 3);
	assert_int_equal(catalog_refresh(f.catalog, NULL), 0);
	assert_int_equal(find(&f, "a", &same), 0);
	assert_ptr_equal(old, same);
	struct fake_image *second = add(&f, "a", 5);
	assert_int_equal(catalog_refresh(f.catalog, NULL), 0);
	assert_int_equal(find(&f, "a", &new), 0);
	assert_true(reads(new, second));
	image_unref(old);
	image_unref(same);
	image_unref(new);
	close_catalog(&f);
}

static void test_a_fresh_list_answers_without_the_store(void **state)
{
	struct fixture f;
	(void)state;

	open_catalog(&f, 5000);
	add(&f, "a", 1);
	assert_int_equal(catalog_refresh(f.catalog, NULL), 0);
	for (unsigned i = 0; i < 50; i++) {
		find_nothing(&f, "a");
		find_nothing(&f, "x");
		wait_for_list(&f);
	}
	assert_in_range(fake_list_calls(f.cache), 1, 2);
	close_catalog(&f);
}

static void test_lookups_do_not_make_it_list_without_pause(void **state)
{
	struct fixture f;
	(void)state;

	open_catalog(&f, 5000);
	add(&f, "a", 1);
	assert_int_equal(catalog_refresh(f.catalog, NULL), 0);
	uint64_t start = clock_ns();
	while (since_ms(start) < 500) {
		assert_int_equal(find_nothing(&f, "a"), 0);
		usleep(200);
	}
	assert_in_range(fake_list_calls(f.cache), 3, 7);
	/* nor when the store fails */
	fake_fail_lists(f.cache, -ECONNREFUSED);
	start = clock_ns();
	unsigned before = fake_list_calls(f.cache);
	while (since_ms(start) < 500) {
		assert_int_equal(find_nothing(&f, "a"), 0);
		usleep(200);
	}
	assert_in_range(fake_list_calls(f.cache) - before, 2, 7);
	close_catalog(&f);
}

/* ---- a store that does not ---- */

static void test_a_bad_store_is_an_error_of_the_first_refresh(void **state)
{
	struct fixture f;
	struct smr_error err = {0};
	(void)state;

	open_catalog(&f, 5000);
	fake_fail_lists(f.cache, -EACCES);
	assert_int_equal(catalog_refresh(f.catalog, &err), -EACCES);
	assert_string_equal(err.message, "the list fails");
	assert_int_equal(find_nothing(&f, "a"), -EACCES);
	fake_fail_lists(f.cache, 0);
	add(&f, "a", 1);
	assert_int_equal(find_nothing(&f, "a"), 0);
	close_catalog(&f);
}

static void test_while_the_store_stalls_known_names_are_answered_at_once(void **state)
{
	struct fixture f;
	struct image *img;
	struct asker unknown, list;
	(void)state;

	open_catalog(&f, 300);
	struct fake_image *a = add(&f, "a", 1);
	assert_int_equal(catalog_refresh(f.catalog, NULL), 0);
	let_it_age();
	fake_stall_lists(f.cache, true);
	uint64_t start = clock_ns();
	asker_init(&unknown, "b");
	asker_init(&list, "");
	assert_int_equal(catalog_find(f.catalog, &unknown.wait, &img), -EINPROGRESS);
	assert_int_equal(catalog_list(f.catalog, &list.wait), -EINPROGRESS);
	assert_int_equal(find(&f, "a", &img), 0);
	assert_true(since_ms(start) < 200);
	assert_true(reads(img, a));
	image_unref(img);
	/* an unknown one and a list when they waited long enough: the one fails, the other is stale */
	assert_int_equal(asker_wait(&unknown, NULL), -EIO);
	assert_int_equal(asker_wait(&list, NULL), 0);
	assert_in_range(since_ms(start), 299, 1500);
	assert_listed(&f, "a ");
	/* from then on a list does not wait for what has not come all the time */
	usleep(50000);
	start = clock_ns();
	assert_int_equal(wait_for_list(&f), 0);
	assert_true(since_ms(start) < 200);
	/* it recovers */
	add(&f, "b", 3);
	fake_stall_lists(f.cache, false);
	assert_int_equal(find_nothing(&f, "b"), 0);
	assert_int_equal(asker_calls(&unknown), 1);
	assert_int_equal(asker_calls(&list), 1);
	close_catalog(&f);
}

static void test_a_failing_store_leaves_what_is_known(void **state)
{
	struct fixture f;
	struct image *img;
	(void)state;

	open_catalog(&f, 5000);
	add(&f, "a", 1);
	assert_int_equal(catalog_refresh(f.catalog, NULL), 0);
	fake_fail_lists(f.cache, -ECONNREFUSED);
	let_it_age();
	assert_int_equal(find(&f, "a", &img), 0);
	image_unref(img);
	assert_int_equal(find_nothing(&f, "b"), -ECONNREFUSED);
	assert_int_equal(wait_for_list(&f), 0);
	assert_listed(&f, "a ");
	fake_fail_lists(f.cache, 0);
	add(&f, "b", 3);
	let_it_age();
	assert_int_equal(find_nothing(&f, "b"), 0);
	close_catalog(&f);
}

/* ---- a store that cannot list ---- */

static void test_a_store_that_cannot_list_is_asked_by_name(void **state)
{
	struct fixture f;
	struct image *img;
	(void)state;

	open_catalog(&f, 5000);
	fake_fail_lists(f.cache, -EOPNOTSUPP);
	struct fake_image *b = add(&f, "b", 1);
	add(&f, "a", 3);
	assert_int_equal(catalog_refresh(f.catalog, NULL), 0);
	assert_listed(&f, "");
	assert_int_equal(find(&f, "b", &img), 0);
	assert_true(reads(img, b));
	image_unref(img);
	assert_int_equal(find_nothing(&f, "a"), 0);
	assert_int_equal(find_nothing(&f, "x"), -ENOENT);
	assert_int_equal(wait_for_list(&f), 0);
	assert_listed(&f, "a b ");
	assert_changed(&f, "b a ");
	fake_fail_recipes(f.cache, -ETIMEDOUT);
	assert_int_equal(find_nothing(&f, "y"), -ETIMEDOUT);
	assert_int_equal(find_nothing(&f, "a"), 0);
	close_catalog(&f);
}

static void test_one_name_asked_for_often_is_one_image(void **state)
{
	struct fixture f;
	struct asker askers[16];
	struct image *first = NULL, *img;
	(void)state;

	open_catalog(&f, 5000);
	fake_fail_lists(f.cache, -EOPNOTSUPP);
	assert_int_equal(catalog_refresh(f.catalog, NULL), 0);
	add(&f, "a", 1);
	fake_stall_recipes(f.cache, true);
	for (unsigned i = 0; i < 16; i++) {
		asker_init(&askers[i], "a");
		assert_int_equal(catalog_find(f.catalog, &askers[i].wait, &img), -EINPROGRESS);
	}
	fake_wait_recipe_calls(f.cache, 1);
	fake_stall_recipes(f.cache, false);
	for (unsigned i = 0; i < 16; i++) {
		assert_int_equal(asker_wait(&askers[i], &img), 0);
		assert_true(!first || img == first);
		first = img;
		image_unref(img);
	}
	assert_listed(&f, "a ");
	assert_int_equal(fake_recipe_calls(f.cache), 1);
	close_catalog(&f);
}

static void test_a_stalled_recipe_holds_a_lookup_no_longer_than_it_waits(void **state)
{
	struct fixture f;
	struct asker a, b;
	struct image *img;
	(void)state;

	open_catalog(&f, 200);
	fake_fail_lists(f.cache, -EOPNOTSUPP);
	add(&f, "a", 1);
	add(&f, "b", 3);
	assert_int_equal(catalog_refresh(f.catalog, NULL), 0);
	assert_int_equal(find_nothing(&f, "b"), 0);
	fake_stall_recipes(f.cache, true);
	uint64_t start = clock_ns();
	asker_init(&a, "a");
	asker_init(&b, "x");
	assert_int_equal(catalog_find(f.catalog, &a.wait, &img), -EINPROGRESS);
	assert_int_equal(catalog_find(f.catalog, &b.wait, &img), -EINPROGRESS);
	assert_int_equal(find_nothing(&f, "b"), 0);
	assert_int_equal(asker_wait(&a, NULL), -EIO);
	assert_int_equal(asker_wait(&b, NULL), -EIO);
	assert_in_range(since_ms(start), 199, 1500);
	fake_stall_recipes(f.cache, false);
	assert_int_equal(find_nothing(&f, "a"), 0);
	close_catalog(&f);
}

static void test_unlisted_images_are_replaced_and_vanish_too(void **state)
{
	struct fixture f;
	struct image *old, *new;
	(void)state;

	open_catalog(&f, 5000);
	fake_fail_lists(f.cache, -EOPNOTSUPP);
	add(&f, "a", 1);
	add(&f, "b", 3);
	assert_int_equal(catalog_refresh(f.catalog, NULL), 0);
	assert_int_equal(find(&f, "a", &old), 0);
	assert_int_equal(find_nothing(&f, "b"), 0);
	assert_changed(&f, "a b ");
	struct fake_image *second = add(&f, "a", 5);
	fake_unlist(f.cache, "b");
	/* ten times as long as a list is fresh, as recipes are larger */
	usleep((10 * FRESH + 50) * 1000);
	find_nothing(&f, "a");
	find_nothing(&f, "b");
	fake_wait_recipe_calls(f.cache, 4);
	usleep(50000);
	assert_int_equal(find(&f, "a", &new), 0);
	assert_ptr_not_equal(old, new);
	assert_true(reads(new, second));
	assert_listed(&f, "a ");
	assert_int_equal(find_nothing(&f, "b"), -ENOENT);
	image_unref(old);
	image_unref(new);
	close_catalog(&f);
}

/* ---- the end ---- */

static void test_free_answers_who_waits(void **state)
{
	struct fixture f;
	struct asker askers[4], list;
	struct image *img;
	(void)state;

	open_catalog(&f, 60000);
	fake_stall_lists(f.cache, true);
	for (unsigned i = 0; i < 4; i++) {
		asker_init(&askers[i], "a");
		assert_int_equal(catalog_find(f.catalog, &askers[i].wait, &img), -EINPROGRESS);
	}
	asker_init(&list, "");
	assert_int_equal(catalog_list(f.catalog, &list.wait), -EINPROGRESS);
	fake_wait_list_calls(f.cache, 1);
	uint64_t start = clock_ns();
	close_catalog(&f);
	assert_true(since_ms(start) < 1000);
	for (unsigned i = 0; i < 4; i++)
		assert_true(asker_wait(&askers[i], NULL) < 0);
	assert_int_equal(asker_calls(&list), 1);
}

struct busy {
	struct fixture *f;
	atomic_bool stop;
	atomic_uint wrong;
};

static void *busy_main(void *arg)
{
	struct busy *b = arg;

	for (unsigned i = 0; !atomic_load(&b->stop); i++) {
		char name[2] = {(char)('a' + i % 6), 0};
		struct image *img;
		struct catalog_snapshot s;
		int r = find(b->f, name, &img);
		if (r == 0) {
			if (strcmp(image_info(img)->name, name) != 0)
				atomic_fetch_add(&b->wrong, 1);
			image_unref(img);
		} else if (r != -ENOENT && r != -ECONNREFUSED) {
			atomic_fetch_add(&b->wrong, 1);
		}
		if (catalog_snapshot(b->f->catalog, &s) < 0)
			continue;
		for (size_t k = 1; k < s.n; k++)
			if (strcmp(image_info(s.images[k - 1])->name,
				    image_info(s.images[k])->name) >= 0)
				atomic_fetch_add(&b->wrong, 1);
		catalog_snapshot_done(&s);
	}
	return NULL;
}

static void test_many_threads_while_images_come_and_go(void **state)
{
	struct fixture f;
	struct busy b = {.f = &f};
	pthread_t threads[8];
	(void)state;

	open_catalog(&f, 5000);
	for (unsigned i = 0; i < 8; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, busy_main, &b), 0);
	for (unsigned i = 0; i < 100; i++) {
		char name[2] = {(char)('a' + i * 7 % 5), 0};
		if (i % 3 == 2)
			fake_unlist(f.cache, name);
		else
			add(&f, name, i);
		fake_fail_lists(f.cache, i % 10 == 9 ? -ECONNREFUSED : 0);
		if (i % 4 == 0)
			catalog_refresh(f.catalog, NULL);
		usleep(5000);
		locked(&f.lock);
		f.changed[0] = '\0';
	}
	atomic_store(&b.stop, true);
	for (unsigned i = 0; i < 8; i++)
		pthread_join(threads[i], NULL);
	assert_int_equal(atomic_load(&b.wrong), 0);
	close_catalog(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_names_lead_to_images),
		cmocka_unit_test(test_without_a_first_refresh_the_first_question_lists),
		cmocka_unit_test(test_images_appear_and_vanish),
		cmocka_unit_test(test_a_replaced_image_lives_on_beside_the_new_one),
		cmocka_unit_test(test_an_image_that_stays_is_the_same_image),
		cmocka_unit_test(test_a_list_of_names_notices_replacement_too),
		cmocka_unit_test(test_a_fresh_list_answers_without_the_store),
		cmocka_unit_test(test_lookups_do_not_make_it_list_without_pause),
		cmocka_unit_test(test_a_bad_store_is_an_error_of_the_first_refresh),
		cmocka_unit_test(test_while_the_store_stalls_known_names_are_answered_at_once),
		cmocka_unit_test(test_a_failing_store_leaves_what_is_known),
		cmocka_unit_test(test_a_store_that_cannot_list_is_asked_by_name),
		cmocka_unit_test(test_one_name_asked_for_often_is_one_image),
		cmocka_unit_test(test_a_stalled_recipe_holds_a_lookup_no_longer_than_it_waits),
		cmocka_unit_test(test_unlisted_images_are_replaced_and_vanish_too),
		cmocka_unit_test(test_free_answers_who_waits),
		cmocka_unit_test(test_many_threads_while_images_come_and_go),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
