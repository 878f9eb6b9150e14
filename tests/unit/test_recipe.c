/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "../../chunker/core/fd.h"
#include "../../chunker/core/recipe.h"

#define CHUNK  (512u << 10)
#define CONFIG "{\"architecture\":\"amd64\"}x" /* 25 bytes: the padding is seen */

static struct chunkid id_of(const char *s)
{
	struct chunkid id;
	chunkid_hash(s, strlen(s), &id);
	return id;
}

/* The recipe of the golden vector: every field is set, every section needs padding. */
static void encode_golden(struct buf *out)
{
	struct chunkid manifest = id_of("manifest");
	struct recipe_entry entries[] = {
		{0, id_of("chunk 0")}, {3, id_of("chunk 3")}, {10, id_of("chunk 10")}};
	struct recipe_spec spec = {.name = "python_3.12-slim",
		.image_size = 10ull * CHUNK + 4097,
		.chunk_size = CHUNK,
		.layout = 1,
		.meta_end = CHUNK,
		.entries = entries,
		.n_entries = 3,
		.config = CONFIG,
		.config_len = strlen(CONFIG),
		.source = "docker.io/library/python:3.12-slim",
		.manifest_digest = &manifest};
	buf_init(out, RECIPE_FILE_MAX);
	assert_int_equal(recipe_encode(&spec, out, NULL), 0);
}

static struct recipe *open_golden(void)
{
	struct buf b;
	struct recipe *r = NULL;
	struct smr_error err = {0};
	encode_golden(&b);
	recipe_from_bytes(b.data, b.len, &r, &err);
	assert_string_equal(err.message, "");
	buf_done(&b);
	return r;
}

static void assert_hex(const struct chunkid *id, const char *hex)
{
	char text[CHUNKID_HEX + 1];
	chunkid_format(id, text);
	assert_string_equal(text, hex);
}

/* Computed by another program from the grammar in recipe.h. If these change, published recipes are no
 * longer read. */
static void test_the_format_does_not_drift(void **state)
{
	(void)state;
	struct buf b;
	struct chunkid whole;
	encode_golden(&b);
	assert_int_equal(b.len, 496);
	assert_hex((const struct chunkid *)(b.data + b.len - CHUNKID_BYTES),
		"fdbaf29b0e5284e2d32a18145eb7e3a403d7782bfc3b55dab3fe3727df331490");
	chunkid_hash(b.data, b.len, &whole);
	assert_hex(&whole, "b1a31a4dd2f6e8a8ab8ec696a3d485304423dcc4da998af3e0a21167ae230d06");
	buf_done(&b);

	struct recipe_spec smallest = {.name = "e", .image_size = 1, .chunk_size = 64 << 10};
	buf_init(&b, RECIPE_FILE_MAX);
	assert_int_equal(recipe_encode(&smallest, &b, NULL), 0);
	assert_int_equal(b.len, 296);
	assert_hex((const struct chunkid *)(b.data + b.len - CHUNKID_BYTES),
		"95492dc8fa935a76b22f5f406742c0a609df909a285f145430e6c2495efe7808");
	buf_done(&b);
}

static void test_what_was_written_is_read(void **state)
{
	(void)state;
	struct recipe *r = open_golden();
	const struct recipe_info *info = recipe_info(r);
	struct chunkid manifest = id_of("manifest");
	assert_string_equal(info->name, "python_3.12-slim");
	assert_hex(
		&info->digest, "fdbaf29b0e5284e2d32a18145eb7e3a403d7782bfc3b55dab3fe3727df331490");
	assert_int_equal(info->file_size, 496);
	assert_int_equal(info->image_size, 10ull * CHUNK + 4097);
	assert_int_equal(info->chunk_size, CHUNK);
	assert_int_equal(info->layout, 1);
	assert_int_equal(info->meta_end, CHUNK);
	assert_int_equal(info->n_chunks, 3);
	assert_true(chunkid_equal(&info->manifest_digest, &manifest));
	size_t n;
	const char *text = recipe_config(r, &n);
	assert_int_equal(n, strlen(CONFIG));
	assert_memory_equal(text, CONFIG, n);
	text = recipe_source(r, &n);
	assert_int_equal(n, strlen("docker.io/library/python:3.12-slim"));
	assert_memory_equal(text, "docker.io/library/python:3.12-slim", n);
	assert_int_equal(info->table_offset, 272);
	assert_int_equal(info->source_offset, 424);
	assert_int_equal(info->source_len, n);
	assert_int_equal(recipe_n_slots(r), 11);
	recipe_free(r);
	recipe_free(NULL);
}

static void test_a_mapped_recipe_outlives_its_descriptor(void **state)
{
	(void)state;
	struct buf b;
	struct recipe *r = NULL;
	encode_golden(&b);
	int fd = fd_sealed_memfd("recipe", b.data, b.len);
	assert_true(fd >= 0);
	assert_int_equal(recipe_open_fd(fd, &r, NULL), 0);
	close(fd);
	size_t n;
	const void *bytes = recipe_bytes(r, &n);
	assert_int_equal(n, b.len);
	assert_memory_equal(bytes, b.data, n);
	assert_non_null(recipe_find(r, 10));
	recipe_free(r);
	buf_done(&b);
}

static void test_lookup_finds_entries_and_the_zeros_between(void **state)
{
	(void)state;
	static const uint64_t bounds[] = {0, 1, 1, 1, 2, 2, 2, 2, 2, 2, 2, 3, 3};
	struct recipe *r = open_golden();
	for (uint64_t i = 0; i < 13; i++)
		assert_int_equal(recipe_lower_bound(r, i), bounds[i]);
	assert_int_equal(recipe_lower_bound(r, UINT64_MAX), 3);
	struct chunkid id = id_of("chunk 3");
	assert_true(chunkid_equal(recipe_find(r, 3), &id));
	struct recipe_entry e = recipe_entry(r, 1);
	assert_int_equal(e.index, 3);
	assert_true(chunkid_equal(&e.id, &id));
	assert_non_null(recipe_find(r, 0));
	assert_non_null(recipe_find(r, 10));
	assert_null(recipe_find(r, 1));
	assert_null(recipe_find(r, 11));
	assert_null(recipe_find(r, 3 + (1ull << 32)));
	assert_null(recipe_find(r, UINT64_MAX));
	recipe_free(r);
}

/* A recipe of `slots` chunks less `missing` bytes, with entries of these indexes. */
static struct recipe *make(uint64_t slots, uint64_t missing, const uint32_t *indexes, size_t n)
{
	struct recipe_entry *entries = calloc(n + 1, sizeof(*entries));
	for (size_t i = 0; i < n; i++)
		entries[i].index = indexes[i];
	struct recipe_spec spec = {.name = "x",
		.image_size = slots * CHUNK - missing,
		.chunk_size = CHUNK,
		.entries = entries,
		.n_entries = n};
	struct buf b;
	struct recipe *r = NULL;
	buf_init(&b, RECIPE_FILE_MAX);
	assert_int_equal(recipe_encode(&spec, &b, NULL), 0);
	assert_int_equal(recipe_from_bytes(b.data, b.len, &r, NULL), 0);
	buf_done(&b);
	free(entries);
	return r;
}

static void test_data_bytes_counts_the_last_chunk_as_far_as_it_goes(void **state)
{
	(void)state;
	static const uint32_t indexes[] = {0, 4, 9};
	static const struct {
		uint64_t slots, missing, expected;
		size_t n;
	} cases[] = {
		{10, 0, 3 * CHUNK, 3},
		{10, 1, 3 * CHUNK - 1, 3},
		{10, CHUNK - 1, 2 * CHUNK + 1, 3},
		{10, 1, 2 * CHUNK, 2}, /* the last chunk is zeros */
		{11, 1, 3 * CHUNK, 3},
		{1, 5, CHUNK - 5, 1},
		{10, 1, 0, 0},
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct recipe *r = make(cases[i].slots, cases[i].missing, indexes, cases[i].n);
		assert_int_equal(recipe_data_bytes(r), cases[i].expected);
		assert_int_equal(recipe_n_slots(r), cases[i].slots);
		recipe_free(r);
	}
}

static void test_a_header_is_read_without_the_rest(void **state)
{
	(void)state;
	struct buf b;
	struct recipe_info info;
	struct smr_error err = {0};
	encode_golden(&b);
	const size_t need = RECIPE_HEADER_BYTES + strlen("python_3.12-slim");
	for (size_t n = 0; n <= b.len; n++) {
		unsigned char *exact = malloc(n ? n : 1);
		memcpy(exact, b.data, n);
		err.message[0] = '\0';
		memset(&info, 0x5a, sizeof(info));
		int r = recipe_parse_header(exact, n, &info, &err);
		free(exact);
		assert_int_equal(r, n < need ? -EBADMSG : 0);
		assert_int_equal(err.message[0] != '\0', n < need);
		assert_int_equal(info.layout, n < need ? 0x5a5a5a5a : 1);
	}
	struct chunkid zeros = {{0}};
	assert_string_equal(info.name, "python_3.12-slim");
	assert_int_equal(info.n_chunks, 3);
	assert_true(chunkid_equal(&info.digest, &zeros));
	buf_done(&b);
}

static void test_encoding_appends_and_is_the_same_again(void **state)
{
	(void)state;
	struct buf a, b;
	encode_golden(&a);
	struct recipe_spec spec = {.name = "e", .image_size = 1, .chunk_size = 64 << 10};
	size_t first = a.len;
	assert_int_equal(recipe_encode(&spec, &a, NULL), 0);
	buf_init(&b, RECIPE_FILE_MAX);
	/* whatever the memory held before */
	assert_int_equal(buf_reserve(&b, 4096), 0);
	memset(b.data, 0xff, 4096);
	assert_int_equal(recipe_encode(&spec, &b, NULL), 0);
	assert_int_equal(a.len - first, b.len);
	assert_memory_equal(a.data + first, b.data, b.len);
	buf_done(&a);
	buf_done(&b);
}

static void test_the_longest_fields_are_accepted(void **state)
{
	(void)state;
	char name[NAME_LEN_MAX + 1], source[RECIPE_SOURCE_MAX + 1];
	char *config = calloc(1, RECIPE_CONFIG_MAX);
	memset(name, 'n', NAME_LEN_MAX);
	name[NAME_LEN_MAX] = '\0';
	memset(source, 's', RECIPE_SOURCE_MAX);
	source[RECIPE_SOURCE_MAX] = '\0';
	struct recipe_entry entry = {.index = (1u << 30) - 1};
	struct recipe_spec spec = {.name = name,
		.image_size = RECIPE_IMAGE_MAX,
		.chunk_size = 64 << 10,
		.meta_end = RECIPE_IMAGE_MAX,
		.entries = &entry,
		.n_entries = 1,
		.config = config,
		.config_len = RECIPE_CONFIG_MAX,
		.source = source};
	struct buf b;
	struct recipe *r;
	buf_init(&b, RECIPE_FILE_MAX);
	assert_int_equal(recipe_encode(&spec, &b, NULL), 0);
	assert_int_equal(recipe_from_bytes(b.data, b.len, &r, NULL), 0);
	assert_int_equal(recipe_n_slots(r), 1u << 30);
	assert_non_null(recipe_find(r, (1u << 30) - 1));
	recipe_free(r);
	buf_done(&b);
	free(config);
}

static void test_a_spec_that_breaks_a_rule_is_refused_and_leaves_no_bytes(void **state)
{
	(void)state;
	static char long_source[RECIPE_SOURCE_MAX + 2];
	memset(long_source, 's', sizeof(long_source) - 1);
	const struct recipe_entry twice[] = {{.index = 1}, {.index = 1}},
				  falling[] = {{.index = 1}, {.index = 0}},
				  beyond[] = {{.index = 2}},
				  many[] = {{.index = 0}, {.index = 1}, {.index = 2}};
	const struct recipe_spec good = {.name = "x", .image_size = 2 * CHUNK, .chunk_size = CHUNK};
	struct recipe_spec s[15];
	for (size_t i = 0; i < 15; i++)
		s[i] = good;
	s[0].name = "";
	s[1].name = "a/b";
	s[2].image_size = 0;
	s[3].image_size = RECIPE_IMAGE_MAX + 1;
	s[4].chunk_size = CHUNK + 1;
	s[5].meta_end = 2 * CHUNK + 1;
	s[6].entries = twice, s[6].n_entries = 2;
	s[7].entries = falling, s[7].n_entries = 2;
	s[8].entries = beyond, s[8].n_entries = 1;
	s[9].entries = many, s[9].n_entries = 3;
	s[10].config = "", s[10].config_len = RECIPE_CONFIG_MAX + 1;
	s[11].config_len = 1;
	s[12].source = long_source;
	s[13].source = "line\nfeed";
	s[14].name = NULL;
	struct buf b;
	buf_init(&b, RECIPE_FILE_MAX);
	assert_int_equal(buf_append_str(&b, "kept"), 0);
	for (size_t i = 0; i < 15; i++) {
		struct smr_error err = {0};
		assert_int_equal(recipe_encode(&s[i], &b, &err), -EINVAL);
		assert_memory_equal(err.message, "recipe: ", 8);
		assert_string_equal(buf_cstr(&b), "kept");
	}
	assert_int_equal(recipe_encode(&good, &b, NULL), 0);
	buf_done(&b);
	buf_init(&b, 100);
	assert_int_equal(recipe_encode(&good, &b, NULL), -EFBIG);
	buf_done(&b);
}

static void test_more_chunks_than_a_recipe_file_holds_are_refused(void **state)
{
	(void)state;
	const size_t n = RECIPE_FILE_MAX / RECIPE_ENTRY_BYTES;
	struct recipe_entry *entries = calloc(n, sizeof(*entries));
	for (size_t i = 0; i < n; i++)
		entries[i].index = (uint32_t)i;
	struct recipe_spec spec = {.name = "x",
		.image_size = RECIPE_IMAGE_MAX,
		.chunk_size = 64 << 10,
		.entries = entries,
		.n_entries = n};
	struct buf b;
	struct smr_error err = {0};
	buf_init(&b, SIZE_MAX);
	assert_int_equal(recipe_encode(&spec, &b, &err), -EINVAL);
	assert_non_null(strstr(err.message, "use larger chunks"));
	assert_null(b.data);
	buf_done(&b);
	free(entries);
}

static void test_descriptors_that_are_no_recipe_are_refused(void **state)
{
	(void)state;
	struct recipe *r = NULL;
	struct smr_error err = {0};
	int ends[2];
	assert_int_equal(pipe(ends), 0);
	assert_int_equal(recipe_open_fd(ends[0], &r, &err), -EBADMSG);
	assert_string_equal(err.message, "recipe: not a regular file");
	close(ends[0]);
	close(ends[1]);
	assert_int_equal(recipe_open_fd(-1, &r, &err), -EBADF);
	int fd = fd_sealed_memfd("empty", NULL, 0);
	assert_int_equal(recipe_open_fd(fd, &r, &err), -EBADMSG);
	assert_non_null(strstr(err.message, "truncated"));
	close(fd);
	FILE *large = tmpfile();
	assert_int_equal(ftruncate(fileno(large), (off_t)RECIPE_FILE_MAX + 1), 0);
	assert_int_equal(recipe_open_fd(fileno(large), &r, &err), -EFBIG);
	fclose(large);
	assert_null(r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_the_format_does_not_drift),
		cmocka_unit_test(test_what_was_written_is_read),
		cmocka_unit_test(test_a_mapped_recipe_outlives_its_descriptor),
		cmocka_unit_test(test_lookup_finds_entries_and_the_zeros_between),
		cmocka_unit_test(test_data_bytes_counts_the_last_chunk_as_far_as_it_goes),
		cmocka_unit_test(test_a_header_is_read_without_the_rest),
		cmocka_unit_test(test_encoding_appends_and_is_the_same_again),
		cmocka_unit_test(test_the_longest_fields_are_accepted),
		cmocka_unit_test(test_a_spec_that_breaks_a_rule_is_refused_and_leaves_no_bytes),
		cmocka_unit_test(test_more_chunks_than_a_recipe_file_holds_are_refused),
		cmocka_unit_test(test_descriptors_that_are_no_recipe_are_refused),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
