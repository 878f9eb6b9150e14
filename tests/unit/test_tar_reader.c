/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "../../chunker/build/tar_reader.h"
#include "tar_builder.h"

struct input {
	const unsigned char *data;
	size_t n, at, piece;
	uint64_t skipped;
};

static int take(void *user, const void **ret_data, size_t *ret_n, struct smr_error *err)
{
	struct input *in = user;
	size_t left = in->n - in->at;

	(void)err;
	*ret_data = in->data + in->at;
	*ret_n = left < in->piece ? left : in->piece;
	in->at += *ret_n;
	return 0;
}

static int pass(void *user, uint64_t n, struct smr_error *err)
{
	struct input *in = user;

	(void)err;
	in->at += n;
	in->skipped += n;
	return 0;
}

static struct input input_of(const struct tar_builder *t, size_t piece)
{
	return (struct input){.data = t->bytes.data, .n = t->bytes.len, .piece = piece};
}

static const struct tar_member *next(struct tar_reader *r)
{
	const struct tar_member *m = NULL;
	struct smr_error err = {0};
	int n = tar_reader_next(r, &m, &err);

	if (n < 0)
		fail_msg("%s", err.message);
	return n ? m : NULL;
}

/* All data of the member, holes as zeros. */
static unsigned char *contents(struct tar_reader *r, const struct tar_member *m)
{
	unsigned char *all = calloc(1, m->size + 1);
	struct tar_data d;
	uint64_t at = 0;

	for (;;) {
		assert_int_equal(tar_reader_data(r, &d, NULL), 0);
		if (d.n == 0)
			break;
		assert_true(d.n <= m->size - at);
		if (d.data)
			memcpy(all + at, d.data, d.n);
		at += d.n;
	}
	assert_true(at == m->size);
	return all;
}

/* What reading the archive ends with. */
static int outcome(const struct tar_builder *t, char *ret_message, size_t size)
{
	struct input in = input_of(t, 1000);
	struct tar_reader *r = tar_reader_new(take, NULL, &in);
	const struct tar_member *m;
	struct smr_error err = {0};
	int n;

	while ((n = tar_reader_next(r, &m, &err)) > 0)
		;
	if (n == 0)
		n = tar_reader_finish(r, &err);
	if (n == 0 && !tar_reader_has_end(r))
		n = 1;
	tar_reader_free(r);
	snprintf(ret_message, size, "%s", err.message);
	return n;
}

static void assert_refused(const struct tar_builder *t, int code, const char *text)
{
	char message[512];

	assert_int_equal(outcome(t, message, sizeof(message)), code);
	if (!strstr(message, text))
		fail_msg("not '%s' but: %s", text, message);
}

static void test_members_come_in_pieces_of_any_size(void **state)
{
	(void)state;
	static const size_t pieces[] = {1, 7, 511, 512, 513, 1024, 1u << 20};
	struct tar_builder t;
	tar_builder_init(&t);
	char data[1500];
	memset(data, 'd', sizeof(data));
	tar_builder_put(&t, (struct tar_entry){.name = "one", .data = data, .n = sizeof(data)});
	tar_builder_text(&t, "path", "a/long/name");
	tar_builder_put(&t, (struct tar_entry){.name = "short", .data = "xyz", .n = 3});
	tar_builder_dir(&t, "dir/");
	tar_builder_end(&t);
	for (size_t i = 0; i < sizeof(pieces) / sizeof(pieces[0]); i++) {
		struct input in = input_of(&t, pieces[i]);
		struct tar_reader *r = tar_reader_new(take, NULL, &in);
		const struct tar_member *m = next(r);
		unsigned char *all = contents(r, m);
		assert_memory_equal(all, data, sizeof(data));
		free(all);
		m = next(r);
		assert_string_equal(m->path, "a/long/name");
		m = next(r); /* "xyz" is passed over */
		assert_int_equal(m->mode, S_IFDIR | 0755);
		assert_null(next(r));
		assert_true(tar_reader_has_end(r));
		assert_int_equal(tar_reader_finish(r, NULL), 0);
		tar_reader_free(r);
	}
	tar_builder_done(&t);
}

static void test_data_that_nobody_wants_need_not_be_read(void **state)
{
	(void)state;
	struct tar_builder t;
	tar_builder_init(&t);
	char *data = calloc(1, 100000);
	tar_builder_put(&t, (struct tar_entry){.name = "one", .data = data, .n = 100000});
	tar_builder_file(&t, "two", "2");
	tar_builder_end(&t);
	struct input in = input_of(&t, 512);
	struct tar_reader *r = tar_reader_new(take, pass, &in);
	assert_int_equal(next(r)->data, 512);
	const struct tar_member *m = next(r);
	assert_string_equal(m->path, "two");
	assert_int_equal(m->data, 512 + 100352 + 512);
	assert_int_equal(in.skipped, 100352);
	tar_reader_free(r);
	tar_builder_done(&t);
	free(data);
}

static void test_long_names_of_gnu_and_pax(void **state)
{
	(void)state;
	struct tar_builder t;
	char path[TAR_PATH_MAX + 2];
	memset(path, 'd', sizeof(path));
	for (size_t i = 100; i < sizeof(path); i += 100)
		path[i] = '/';
	path[TAR_PATH_MAX] = 0;
	tar_builder_init(&t);
	tar_builder_put(&t, (struct tar_entry){.name = "././@LongLink",
				    .type = 'L',
				    .data = path,
				    .n = TAR_PATH_MAX + 1,
				    .gnu = true});
	tar_builder_put(&t, (struct tar_entry){.name = "././@LongLink",
				    .type = 'K',
				    .data = "target",
				    .n = 7,
				    .gnu = true});
	tar_builder_put(
		&t, (struct tar_entry){.name = "short", .type = '2', .link = "short", .gnu = true});
	tar_builder_text(&t, "path", path);
	tar_builder_text(&t, "linkpath", path);
	tar_builder_put(&t, (struct tar_entry){.name = "short", .type = '1', .link = "short"});
	tar_builder_end(&t);
	struct input in = input_of(&t, 4096);
	struct tar_reader *r = tar_reader_new(take, NULL, &in);
	const struct tar_member *m = next(r);
	assert_string_equal(m->path, path);
	assert_string_equal(m->target, "target");
	m = next(r);
	assert_true(m->hard_link);
	assert_string_equal(m->target, path);
	tar_reader_free(r);
	buf_reset(&t.bytes);
	path[TAR_PATH_MAX] = 'x';
	path[TAR_PATH_MAX + 1] = 0;
	tar_builder_text(&t, "path", path);
	tar_builder_file(&t, "short", "");
	assert_refused(&t, -ENAMETOOLONG, "more than 4095 bytes");
	tar_builder_done(&t);
}

static void test_links_and_devices_have_no_data_whatever_they_claim(void **state)
{
	(void)state;
	static const char types[] = "123456";
	struct tar_builder t;
	tar_builder_init(&t);
	for (const char *type = types; *type; type++) {
		size_t at = tar_builder_put(
			&t, (struct tar_entry){.name = "x", .type = *type, .link = "y"});
		tar_builder_octal(t.bytes.data + at + 124, 12, 5000);
		tar_builder_seal(t.bytes.data + at);
	}
	tar_builder_file(&t, "file", "data");
	tar_builder_end(&t);
	struct input in = input_of(&t, 4096);
	struct tar_reader *r = tar_reader_new(take, NULL, &in);
	for (const char *type = types; *type; type++)
		assert_int_equal(next(r)->size, 0);
	assert_string_equal(next(r)->path, "file");
	assert_null(next(r));
	tar_reader_free(r);
	tar_builder_done(&t);
}

static void test_extensions_are_for_one_member(void **state)
{
	(void)state;
	struct tar_builder t;
	tar_builder_init(&t);
	tar_builder_text(&t, "uid", "4000000000");
	tar_builder_text(&t, "mtime", "-1.5");
	tar_builder_text(&t, "SCHILY.xattr.user.a", "b");
	tar_builder_file(&t, "one", "");
	tar_builder_put(&t, (struct tar_entry){.name = "two", .uid = 5, .mtime = 9});
	tar_builder_end(&t);
	struct input in = input_of(&t, 4096);
	struct tar_reader *r = tar_reader_new(take, NULL, &in);
	const struct tar_member *m = next(r);
	assert_int_equal(m->uid, 4000000000u);
	assert_true(m->mtime == -2 && m->mtime_ns == 500000000);
	assert_int_equal(m->n_xattrs, 1);
	m = next(r);
	assert_int_equal(m->uid, 5);
	assert_true(m->mtime == 9 && m->mtime_ns == 0);
	assert_int_equal(m->n_xattrs, 0);
	tar_reader_free(r);
	tar_builder_done(&t);
}

/* "first" at 1 MiB, "second" at 2 MiB, 4 MiB in all, the way each format says it. */
static void put_sparse(struct tar_builder *t, int kind)
{
	char data[2048] = "3\n1048576\n512\n2097152\n512\n4194304\n0\n";
	memset(data + 512, 'a', 512);
	memset(data + 1024, 'b', 512);
	if (kind == 0) {
		size_t at = tar_builder_put(t, (struct tar_entry){.name = "s",
						       .type = 'S',
						       .data = data + 512,
						       .n = 1024,
						       .gnu = true});
		unsigned char *h = t->bytes.data + at;
		tar_builder_octal(h + 386, 12, 1u << 20);
		tar_builder_octal(h + 398, 12, 512);
		tar_builder_octal(h + 410, 12, 2u << 20);
		tar_builder_octal(h + 422, 12, 512);
		tar_builder_octal(h + 483, 12, 4u << 20);
		tar_builder_seal(t->bytes.data + at);
	} else if (kind == 1) {
		tar_builder_text(t, "GNU.sparse.size", "4194304");
		tar_builder_text(t, "GNU.sparse.numblocks", "2");
		tar_builder_text(t, "GNU.sparse.offset", "1048576");
		tar_builder_text(t, "GNU.sparse.numbytes", "512");
		tar_builder_text(t, "GNU.sparse.offset", "2097152");
		tar_builder_text(t, "GNU.sparse.numbytes", "512");
		tar_builder_put(t, (struct tar_entry){.name = "s", .data = data + 512, .n = 1024});
	} else if (kind == 2) {
		tar_builder_text(t, "GNU.sparse.size", "4194304");
		tar_builder_text(t, "GNU.sparse.name", "s");
		tar_builder_text(t, "GNU.sparse.map", "1048576,512,2097152,512");
		tar_builder_put(
			t, (struct tar_entry){
				   .name = "GNUSparseFile.0/s", .data = data + 512, .n = 1024});
	} else {
		tar_builder_text(t, "GNU.sparse.major", "1");
		tar_builder_text(t, "GNU.sparse.minor", "0");
		tar_builder_text(t, "GNU.sparse.name", "s");
		tar_builder_text(t, "GNU.sparse.realsize", "4194304");
		tar_builder_put(t,
			(struct tar_entry){.name = "GNUSparseFile.0/s", .data = data, .n = 1536});
	}
}

static void test_every_kind_of_sparse_file_is_the_same(void **state)
{
	(void)state;
	for (int kind = 0; kind < 4; kind++) {
		struct tar_builder t;
		tar_builder_init(&t);
		put_sparse(&t, kind);
		tar_builder_file(&t, "behind", "x");
		tar_builder_end(&t);
		struct input in = input_of(&t, 700);
		struct tar_reader *r = tar_reader_new(take, NULL, &in);
		const struct tar_member *m = next(r);
		assert_string_equal(m->path, "s");
		assert_int_equal(m->size, 4u << 20);
		unsigned char *all = contents(r, m);
		for (size_t i = 0; i < 4u << 20; i++) {
			int want = i >> 9 == 1u << 11 ? 'a' : i >> 9 == 2u << 11 ? 'b' : 0;
			if (all[i] != want)
				fail_msg("kind %d, byte %zu: %d", kind, i, all[i]);
		}
		free(all);
		assert_string_equal(next(r)->path, "behind");
		tar_reader_free(r);
		tar_builder_done(&t);
	}
}

static void test_an_archive_may_be_cut_anywhere_and_it_is_noticed(void **state)
{
	(void)state;
	struct tar_builder t;
	char message[512];
	tar_builder_init(&t);
	tar_builder_file(&t, "one", "data");
	tar_builder_text(&t, "path", "another");
	tar_builder_file(&t, "two", "more data");
	size_t whole = t.bytes.len;
	tar_builder_end(&t);
	assert_int_equal(outcome(&t, message, sizeof(message)), 0);
	for (size_t n = 0; n < whole; n += 13) {
		t.bytes.len = n;
		int r = outcome(&t, message, sizeof(message));
		/* Between two members there is nothing but the missing end. */
		assert_int_equal(r, n == 0 ? 1 : -EBADMSG);
	}
	t.bytes.len = 1024;
	assert_int_equal(outcome(&t, message, sizeof(message)), 1);
	t.bytes.len = whole;
	assert_int_equal(outcome(&t, message, sizeof(message)), 1);
	tar_builder_done(&t);
}

static void test_messages_name_the_member(void **state)
{
	(void)state;
	struct tar_builder t;
	tar_builder_init(&t);
	tar_builder_file(&t, "before", "");
	tar_builder_text(&t, "uid", "4294967295");
	tar_builder_file(&t, "the-one", "");
	assert_refused(&t, -EBADMSG, "'the-one' has a uid");
	buf_reset(&t.bytes);
	tar_builder_file(&t, "before", "");
	size_t at = tar_builder_put(&t, (struct tar_entry){.name = "x"});
	t.bytes.data[at + 5] = 'y';
	assert_refused(&t, -EBADMSG, "behind 'before': a header has a wrong sum");
	buf_reset(&t.bytes);
	tar_builder_record(&t, "path", "a\0b", 3);
	tar_builder_file(&t, "x", "");
	assert_refused(&t, -EBADMSG, "has a NUL");
	tar_builder_done(&t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_members_come_in_pieces_of_any_size),
		cmocka_unit_test(test_data_that_nobody_wants_need_not_be_read),
		cmocka_unit_test(test_long_names_of_gnu_and_pax),
		cmocka_unit_test(test_links_and_devices_have_no_data_whatever_they_claim),
		cmocka_unit_test(test_extensions_are_for_one_member),
		cmocka_unit_test(test_every_kind_of_sparse_file_is_the_same),
		cmocka_unit_test(test_an_archive_may_be_cut_anywhere_and_it_is_noticed),
		cmocka_unit_test(test_messages_name_the_member),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
