/* SPDX-License-Identifier: BSD-3-Clause */
/* Directories written by the rules of Go stream-my-root, read as stores: locally and over HTTP. */
#include "nginx_fixture.h"

#include "../../chunker/core/le.h"

#define IMAGE_CHUNKS 5 /* the last one half; number 2 is a hole */
#define IMAGE_SIZE   (4 * CHUNK + CHUNK / 2)

/* Trailing zeros go before compression; the name is the hash of all of it. */
static struct chunkid write_go_chunk(const char *dir, const unsigned char *pool)
{
	size_t n = CHUNK, wire_len;
	unsigned char *wire = malloc(codec_wire_max(CHUNK));
	char hex[CHUNKID_HEX + 1], name[CHUNKID_HEX + 5];
	struct chunkid id;

	chunkid_hash(pool, CHUNK, &id);
	while (n && pool[n - 1] == 0)
		n--;
	assert_int_equal(codec_encode(pool, n, 3, wire, &wire_len), 0);
	chunkid_format(&id, hex);
	snprintf(name, sizeof(name), "%s.zst", hex);
	write_file(below(dir, name), wire, wire_len);
	free(wire);
	return id;
}

static void fill(unsigned char *pool, unsigned number, bool ext4)
{
	memset(pool, 0, CHUNK);
	memset(pool, (int)(number + 1), 3000 + 1000 * number);
	if (number == 0 && ext4) {
		memset(pool, 0, 2048);
		le_put32(pool + 1024 + 4, IMAGE_SIZE / 4096);
		le_put32(pool + 1024 + 24, 2);
		pool[1024 + 56] = 0x53;
		pool[1024 + 57] = 0xef;
	}
}

static void write_go_image(const char *dir, const char *recipe, bool ext4, const char *extra)
{
	unsigned char *pool = malloc(CHUNK);
	char text[IMAGE_CHUNKS * 100 + 100] = "", hex[CHUNKID_HEX + 1];

	for (unsigned i = 0; i < IMAGE_CHUNKS; i++) {
		if (i == 2)
			continue;
		fill(pool, i, ext4);
		struct chunkid id = write_go_chunk(dir, pool);
		chunkid_format(&id, hex);
		sprintf(text + strlen(text), "%u %s\n", i, hex);
	}
	strcat(text, extra);
	write_text(below(dir, recipe), text);
	free(pool);
}

static void check_image(struct store *s, const char *name, uint64_t size, bool ext4)
{
	struct smr_error err = {0};
	unsigned char *pool = malloc(CHUNK), *want = malloc(CHUNK);
	struct recipe *r;
	struct buf body;

	ok(store_get_recipe(s, name, &r, &err));
	assert_string_equal(recipe_info(r)->name, name);
	assert_int_equal(recipe_info(r)->image_size, size);
	assert_int_equal(recipe_info(r)->n_chunks, IMAGE_CHUNKS - 1);
	for (unsigned i = 0; i < IMAGE_CHUNKS; i++) {
		const struct chunkid *id = recipe_find(r, i);

		if (i == 2) {
			assert_null(id);
			continue;
		}
		buf_init(&body, codec_wire_max(CHUNK));
		ok(store_get_wait(s, id, &body, &err));
		assert_int_equal(codec_decode_verify(body.data, body.len, id, pool, CHUNK), 0);
		fill(want, i, ext4);
		assert_memory_equal(pool, want, CHUNK);
		buf_done(&body);
	}
	recipe_free(r);
	free(pool);
	free(want);
}

static void test_flat_directory_is_listed_and_read(void **state)
{
	struct smr_error err = {0};
	struct store_list l;
	struct recipe *r;
	struct store *s;

	write_go_image(*state, "plain.recipe", true, "");
	/* What its chunker calls the recipe of debian.img. */
	write_go_image(*state, "debian.img.recipe", true, "");
	write_go_image(*state, "sized.recipe", false, "size=2300000\n");
	write_go_image(*state, "unsized.recipe", false, "");
	write_text(below(*state, "bad.recipe"), "nonsense\n");
	s = open_store(*state, false);
	ok(store_list(s, NULL, &l, &err));
	assert_int_equal(l.n, 3);
	assert_string_equal(l.images[0].name, "debian");
	assert_string_equal(l.images[1].name, "plain");
	assert_string_equal(l.images[2].name, "sized");
	assert_int_equal(l.images[1].image_size, IMAGE_SIZE);
	assert_int_equal(l.images[1].data_size, IMAGE_SIZE - CHUNK);
	assert_int_equal(l.images[1].n_chunks, IMAGE_CHUNKS - 1);
	assert_int_equal(l.n_damaged, 2);
	ok(store_get_recipe(s, "plain", &r, &err));
	assert_true(chunkid_equal(&recipe_info(r)->digest, &l.images[1].digest));
	recipe_free(r);
	store_list_done(&l);
	check_image(s, "plain", IMAGE_SIZE, true);
	check_image(s, "debian", IMAGE_SIZE, true);
	check_image(s, "sized", 2300000, false);
	assert_int_equal(store_get_recipe(s, "bad", &r, &err), -EBADMSG);
	assert_non_null(strstr(err.message, "bad.recipe: line 1: "));
	assert_int_equal(store_get_recipe(s, "unsized", &r, &err), -EBADMSG);
	assert_non_null(strstr(err.message, "no ext4"));
	assert_int_equal(store_get_recipe(s, "none", &r, &err), -ENOENT);
	store_free(s);
}

static int count_object(void *user, const struct chunkid *id, uint64_t wire_len)
{
	(void)id;
	assert_true(wire_len > 0);
	++*(unsigned *)user;
	return 0;
}

static void test_flat_directory_is_not_written(void **state)
{
	struct store_options opts = {.create = true};
	struct smr_error err = {0};
	struct chunkid id = {{1}};
	unsigned n = 0;
	struct store *s;
	uint32_t size;

	write_go_image(*state, "plain.recipe", true, "");
	ok(store_open(*state, &opts, &s, &err));
	assert_int_equal(store_put(s, &id, "x", 1, &err), -EROFS);
	assert_non_null(strstr(err.message, "flat"));
	assert_int_equal(store_remove_recipe(s, "plain", &err), -EROFS);
	ok(store_each(s, count_object, &n, &err));
	assert_int_equal(n, IMAGE_CHUNKS - 1);
	ok(store_chunk_size(s, &size, &err));
	assert_int_equal(size, CHUNK);
	store_free(s);
	assert_false(exists(below(*state, "smr-store.json")));
	assert_false(exists(below(*state, "tmp")));
}

static void test_flat_directory_behind_a_web_server(void **state)
{
	struct smr_error err = {0};
	struct store_list l;
	struct recipe *r;
	struct nginx nginx;
	struct store *s;
	uint64_t n;

	write_go_image(*state, "plain.recipe", true, "");
	write_go_image(*state, "debian.img.recipe", true, "");
	nginx_start(&nginx, *state, "");
	s = open_store(nginx.url, false);
	check_image(s, "plain", IMAGE_SIZE, true);
	check_image(s, "debian", IMAGE_SIZE, true);
	assert_int_equal(store_get_recipe(s, "none", &r, &err), -ENOENT);
	ok(store_get_recipe(s, "plain", &r, &err));
	ok(store_has(s, recipe_find(r, 0), &n, &err));
	recipe_free(r);
	assert_int_equal(store_list(s, NULL, &l, &err), -EOPNOTSUPP);
	assert_non_null(strstr(err.message, "no smr-store.json"));
	store_free(s);
	nginx_stop(&nginx);
}

int main(void)
{
#define CASE(fn) cmocka_unit_test_setup_teardown(fn, fixture_dir, fixture_dir_done)
	const struct CMUnitTest tests[] = {
		CASE(test_flat_directory_is_listed_and_read),
		CASE(test_flat_directory_is_not_written),
		CASE(test_flat_directory_behind_a_web_server),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
