/* SPDX-License-Identifier: BSD-3-Clause */
#include "store_fixture.h"

#include "../../chunker/store/listing.h"

#define D "\"sha256:d9550e934a001508f24127c9a229244c248cfdaef4795b1f63c87ec4042293cb\""
#define SIZES                                                                                    \
	"\"recipe_size\": 400, \"image_size\": 1000000, \"data_size\": 524288, \"chunk_size\": " \
	"524288, \"chunks\": 1, \"created\": 5"
#define INDEX(images) "{\"version\": 1, \"images\": [" images "]}"

static int parse(const char *text, struct store_list *ret, struct smr_error *err)
{
	*ret = (struct store_list){0};
	return listing_parse(text, strlen(text), ret, err);
}

static struct store_image image(const char *name)
{
	struct store_image img = {
		.digest = {{1, 2, 3}},
		.recipe_size = 500,
		.image_size = 10 * (uint64_t)CHUNK,
		.data_size = 3 * CHUNK,
		.chunk_size = CHUNK,
		.n_chunks = 3,
		.created = 1700000000,
	};

	strcpy(img.name, name);
	listing_set_source(&img, "docker.io/x:1 \xc3\xa4", 16);
	return img;
}

static void test_format_and_parse_agree(void **state)
{
	struct store_list l = {0}, again = {0};
	struct smr_error err = {0};
	struct buf out;

	(void)state;
	for (unsigned i = 0; i < 100; i++) {
		char name[20];

		sprintf(name, "image-%02u", 99 - i);
		struct store_image img = image(name);
		ok(listing_add(&l, &img));
	}
	listing_sort(&l);
	assert_string_equal(l.images[0].name, "image-00");
	buf_init(&out, LISTING_FILE_MAX);
	ok(listing_format(&l, &out));
	ok(listing_parse(out.data, out.len, &again, &err));
	assert_int_equal(again.n, 100);
	assert_memory_equal(again.images, l.images, 100 * sizeof(*l.images));
	store_list_done(&l);
	store_list_done(&again);
	buf_done(&out);
}

static void test_empty_list_agrees_too(void **state)
{
	struct store_list l = {0};
	struct smr_error err = {0};
	struct buf out;

	(void)state;
	buf_init(&out, LISTING_FILE_MAX);
	ok(listing_format(&l, &out));
	ok(listing_parse(out.data, out.len, &l, &err));
	assert_int_equal(l.n, 0);
	store_list_done(&l);
	buf_done(&out);
}

static void test_first_of_a_name_wins(void **state)
{
	struct store_list l = {0}, more = {0};
	struct store_image a = image("a"), b = image("b"), c = image("c"), b2 = image("b");
	struct smr_error err = {0};

	(void)state;
	b2.created = 1;
	ok(listing_add(&l, &b));
	ok(listing_add(&more, &a));
	ok(listing_add(&more, &b2));
	ok(listing_add(&more, &c));
	ok(listing_merge(&l, &more));
	assert_int_equal(l.n, 3);
	assert_string_equal(l.images[1].name, "b");
	assert_int_equal(l.images[1].created, b.created);
	store_list_done(&l);
	store_list_done(&more);
}

static void test_source_is_cut_between_characters_and_cleaned(void **state)
{
	struct store_image img = {0};
	char text[300];

	(void)state;
	memset(text, 'a', sizeof(text));
	memcpy(text + 254, "\xc3\xa4", 2);
	listing_set_source(&img, text, sizeof(text));
	assert_int_equal(strlen(img.source), 254);
	listing_set_source(&img, "a\033[31m\x7f\nb", 9);
	assert_string_equal(img.source, "a?[31m??b");
	listing_set_source(&img,
		"a\xc2\x9b"
		"31m",
		6);
	assert_string_equal(img.source, "a??31m");
}

static void test_bad_indexes_are_refused(void **state)
{
	static const char *const texts[] = {
		"",
		"{}",
		"[]",
		"{\"version\": 1}",
		"{\"version\": 0, \"images\": []}",
		"{\"version\": 1, \"images\": {}}",
		INDEX("{}"),
		INDEX("5"),
		INDEX("{\"name\": \"a\"}"),
		INDEX("{\"name\": \"../a\", \"digest\": " D "," SIZES "}"),
		INDEX("{\"name\": \".a\", \"digest\": " D "," SIZES "}"),
		INDEX("{\"name\": \"a\", \"digest\": \"sha256:00\"," SIZES "}"),
		INDEX("{\"name\": \"a\", \"digest\": 5," SIZES "}"),
		INDEX("{\"name\": \"a\", \"digest\": " D "," SIZES ", \"source\": 5}"),
		INDEX("{\"name\": \"a\", \"digest\": " D "," SIZES
		      "},{\"name\": \"a\", \"digest\": " D "," SIZES "}"),
		INDEX("{\"name\": \"a\", \"name\": \"a\", \"digest\": " D "," SIZES "}"),
		INDEX("{\"name\": \"a\", \"digest\": " D
		      ", \"recipe_size\": 400, \"image_size\": 0, "
		      "\"data_size\": 0, \"chunk_size\": 524288, \"chunks\": 0, \"created\": 5}"),
		INDEX("{\"name\": \"a\", \"digest\": " D
		      ", \"recipe_size\": 400, \"image_size\": 9, "
		      "\"data_size\": 10, \"chunk_size\": 524288, \"chunks\": 1, \"created\": 5}"),
		INDEX("{\"name\": \"a\", \"digest\": " D
		      ", \"recipe_size\": 400, \"image_size\": 9, "
		      "\"data_size\": 9, \"chunk_size\": 524288, \"chunks\": 2, \"created\": 5}"),
		INDEX("{\"name\": \"a\", \"digest\": " D
		      ", \"recipe_size\": 400, \"image_size\": 9, "
		      "\"data_size\": 9, \"chunk_size\": 5, \"chunks\": 1, \"created\": 5}"),
		INDEX("{\"name\": \"a\", \"digest\": " D
		      ", \"recipe_size\": 400, \"image_size\": 9e9, "
		      "\"data_size\": 9, \"chunk_size\": 524288, \"chunks\": 1, \"created\": 5}"),
		INDEX("{\"name\": \"a\", \"digest\": " D
		      ", \"recipe_size\": 400, \"image_size\": 9, "
		      "\"data_size\": 9, \"chunk_size\": 524288, \"chunks\": 1, \"created\": -5}"),
		INDEX("") "x",
	};
	struct store_list l;

	(void)state;
	assert_int_equal(
		parse(INDEX("{\"name\": \"a\", \"digest\": " D "," SIZES "}"), &l, NULL), 0);
	assert_int_equal(l.n, 1);
	store_list_done(&l);
	for (unsigned i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		struct smr_error err = {0};

		if (parse(texts[i], &l, &err) != -EBADMSG)
			fail_msg("accepted: %s", texts[i]);
		assert_true(err.message[0]);
	}
	assert_int_equal(parse("{\"version\": 2, \"images\": []}", &l, NULL), -ENOTSUP);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_format_and_parse_agree),
		cmocka_unit_test(test_empty_list_agrees_too),
		cmocka_unit_test(test_first_of_a_name_wins),
		cmocka_unit_test(test_source_is_cut_between_characters_and_cleaned),
		cmocka_unit_test(test_bad_indexes_are_refused),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
