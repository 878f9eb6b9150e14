/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>
#include <zstd.h>

#include <cmocka.h>

#include "../../chunker/build/decompress.h"

#define MAX (4u << 20)

struct bytes {
	unsigned char *p;
	size_t n, at, piece;
};

static int take(void *user, void *data, size_t n, size_t *ret_n, struct smr_error *err)
{
	struct bytes *b = user;

	(void)err;
	if (n > b->piece)
		n = b->piece;
	if (n > b->n - b->at)
		n = b->n - b->at;
	memcpy(data, b->p + b->at, n);
	b->at += n;
	*ret_n = n;
	return 0;
}

static int fails(void *user, void *data, size_t n, size_t *ret_n, struct smr_error *err)
{
	(void)user;
	(void)data;
	(void)n;
	(void)ret_n;
	return error_set(err, -ETIMEDOUT, "gone");
}

static struct bytes gzip_of(const void *data, size_t n)
{
	z_stream z = {0};
	struct bytes b = {.p = malloc(MAX), .piece = MAX};

	deflateInit2(&z, 6, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY);
	z.next_in = (unsigned char *)(uintptr_t)data;
	z.avail_in = (unsigned)n;
	z.next_out = b.p;
	z.avail_out = MAX;
	assert_int_equal(deflate(&z, Z_FINISH), Z_STREAM_END);
	b.n = MAX - z.avail_out;
	deflateEnd(&z);
	return b;
}

static struct bytes zstd_of(const void *data, size_t n, int window_log)
{
	struct bytes b = {.p = malloc(MAX), .piece = MAX};
	ZSTD_CCtx *c = ZSTD_createCCtx();

	ZSTD_CCtx_setParameter(c, ZSTD_c_checksumFlag, 1);
	if (window_log) {
		ZSTD_CCtx_setParameter(c, ZSTD_c_contentSizeFlag, 0);
		ZSTD_CCtx_setParameter(c, ZSTD_c_windowLog, window_log);
	}
	/* As a stream of unknown length, so that the window is what the frame says. */
	ZSTD_inBuffer in = {data, n, 0};
	ZSTD_outBuffer out = {b.p, MAX, 0};
	if (window_log)
		ZSTD_compressStream2(c, &out, &in, ZSTD_e_continue);
	assert_int_equal(ZSTD_compressStream2(c, &out, &in, ZSTD_e_end), 0);
	b.n = out.pos;
	ZSTD_freeCCtx(c);
	return b;
}

static void append(struct bytes *b, const void *data, size_t n)
{
	memcpy(b->p + b->n, data, n);
	b->n += n;
}

/* All that comes out, in pieces of `piece`; a negative errno. */
static int decompress(struct bytes *b, size_t piece, uint64_t ratio, uint64_t from,
	unsigned char *ret, size_t *ret_n, struct smr_error *err)
{
	struct decompress *d = decompress_new(take, b, ratio, from);
	size_t n;
	int r;

	b->at = 0;
	*ret_n = 0;
	do {
		r = decompress_read(d, ret + *ret_n, piece, &n, err);
		if (r == 0)
			*ret_n += n;
	} while (r == 0 && n == piece);
	decompress_free(d);
	return r;
}

static void assert_gives(struct bytes *b, const void *want, size_t n)
{
	static const size_t pieces[] = {1, 100, 4096, MAX};
	unsigned char *out = malloc(2 * MAX);

	for (size_t i = 0; i < sizeof(pieces) / sizeof(pieces[0]); i++) {
		struct smr_error err = {0};
		size_t got;
		b->piece = pieces[i];
		if (decompress(b, pieces[3 - i], 0, 0, out, &got, &err) < 0)
			fail_msg("%s", err.message);
		assert_int_equal(got, n);
		assert_memory_equal(out, want, n);
	}
	free(out);
}

static void assert_refused(struct bytes *b, int code, const char *text)
{
	unsigned char *out = malloc(2 * MAX);
	struct smr_error err = {0};
	size_t got;

	assert_int_equal(decompress(b, 4096, 0, 0, out, &got, &err), code);
	if (!strstr(err.message, text))
		fail_msg("not '%s' but: %s", text, err.message);
	free(out);
}

static const char text[] =
	"some text that is here, some text that is there, some text that is nowhere";

static void test_the_first_bytes_tell_the_format(void **state)
{
	(void)state;
	struct bytes gz = gzip_of(text, sizeof(text)), zst = zstd_of(text, sizeof(text), 0);
	struct bytes plain = {.p = malloc(MAX)};
	append(&plain, text, sizeof(text));
	assert_gives(&gz, text, sizeof(text));
	assert_gives(&zst, text, sizeof(text));
	assert_gives(&plain, text, sizeof(text));
	/* less than a magic is plain, and so is nothing */
	for (size_t n = 0; n < 2; n++) {
		plain.n = n;
		plain.p[0] = 0x1f;
		assert_gives(&plain, plain.p, n);
	}
	free(gz.p);
	free(zst.p);
	free(plain.p);
}

static void test_members_and_frames_follow_each_other(void **state)
{
	(void)state;
	static const unsigned char skippable[] = {
		0x53, 0x2a, 0x4d, 0x18, 3, 0, 0, 0, 'a', 'b', 'c'};
	char twice[2 * sizeof(text)];
	memcpy(twice, text, sizeof(text));
	memcpy(twice + sizeof(text), text, sizeof(text));
	struct bytes gz = gzip_of(text, sizeof(text)), zst = zstd_of(text, sizeof(text), 0);
	struct bytes more = {.p = malloc(MAX)};
	append(&gz, gz.p, gz.n);
	assert_gives(&gz, twice, sizeof(twice));
	append(&gz, "\0\0\0\0\0\0\0", 7); /* padding */
	assert_gives(&gz, twice, sizeof(twice));
	append(&more, skippable, sizeof(skippable));
	append(&more, zst.p, zst.n);
	append(&more, skippable, sizeof(skippable));
	append(&more, zst.p, zst.n);
	append(&more, skippable, sizeof(skippable));
	assert_gives(&more, twice, sizeof(twice));
	free(gz.p);
	free(zst.p);
	free(more.p);
}

static void test_an_empty_member_is_nothing(void **state)
{
	(void)state;
	struct bytes gz = gzip_of("", 0), zst = zstd_of("", 0, 0);
	assert_gives(&gz, "", 0);
	assert_gives(&zst, "", 0);
	free(gz.p);
	free(zst.p);
}

static void test_every_cut_is_noticed(void **state)
{
	(void)state;
	struct bytes b[2] = {gzip_of(text, sizeof(text)), zstd_of(text, sizeof(text), 0)};
	for (int i = 0; i < 2; i++) {
		for (size_t whole = b[i].n, n = 4; n < whole; n++) {
			b[i].n = n;
			assert_refused(&b[i], -EBADMSG, "cut off");
		}
		free(b[i].p);
	}
}

static void test_every_flipped_bit_of_content_is_noticed(void **state)
{
	(void)state;
	struct bytes b[2] = {gzip_of(text, sizeof(text)), zstd_of(text, sizeof(text), 0)};
	unsigned char *out = malloc(MAX);
	size_t got;
	for (int i = 0; i < 2; i++) {
		for (size_t bit = 80; bit < b[i].n * 8; bit++) {
			b[i].p[bit / 8] ^= (unsigned char)(1u << bit % 8);
			/* What is left unnoticed is in fields that say nothing about the content. */
			if (decompress(&b[i], 4096, 0, 0, out, &got, NULL) == 0) {
				assert_int_equal(got, sizeof(text));
				assert_memory_equal(out, text, sizeof(text));
			}
			b[i].p[bit / 8] ^= (unsigned char)(1u << bit % 8);
		}
		free(b[i].p);
	}
	free(out);
}

static void test_what_follows_a_member_is_no_rubbish(void **state)
{
	(void)state;
	struct bytes b[2] = {gzip_of(text, sizeof(text)), zstd_of(text, sizeof(text), 0)};
	append(&b[0], "rubbish", 7);
	append(&b[1], "rubbish", 7);
	assert_refused(&b[0], -EBADMSG, "damaged");
	assert_refused(&b[1], -EBADMSG, "damaged");
	free(b[0].p);
	free(b[1].p);
}

static void test_a_window_beyond_128_MiB_is_refused(void **state)
{
	(void)state;
	struct bytes ok = zstd_of(text, sizeof(text), 27), large = zstd_of(text, sizeof(text), 28);
	assert_gives(&ok, text, sizeof(text));
	assert_refused(&large, -EFBIG, "more than 128 MiB");
	/* 2 TiB, the most that a frame can say; nothing is allocated for it */
	static const unsigned char huge[] = {0x28, 0xb5, 0x2f, 0xfd, 0x00, 31u << 3, 1, 0, 0};
	memcpy(large.p, huge, sizeof(huge));
	large.n = sizeof(huge);
	assert_refused(&large, -EFBIG, "more than 128 MiB");
	free(ok.p);
	free(large.p);
}

static void test_bombs_are_refused_from_a_size_on(void **state)
{
	(void)state;
	char *zeros = calloc(1, 1u << 20);
	struct bytes b[2] = {gzip_of(zeros, 1u << 20), zstd_of(zeros, 1u << 20, 0)};
	unsigned char *out = malloc(2 * MAX);
	for (int i = 0; i < 2; i++) {
		struct smr_error err = {0};
		size_t got;
		assert_int_equal(decompress(&b[i], 4096, 100, 2u << 20, out, &got, &err), 0);
		assert_int_equal(decompress(&b[i], 4096, 1000000, 1000, out, &got, &err), 0);
		assert_int_equal(decompress(&b[i], 4096, 100, 1000, out, &got, &err), -EFBIG);
		assert_non_null(strstr(err.message, "--max-ratio"));
		free(b[i].p);
	}
	free(out);
	free(zeros);
}

static void test_what_reading_gives_is_passed_on(void **state)
{
	(void)state;
	struct decompress *d = decompress_new(fails, NULL, 0, 0);
	struct smr_error err = {0};
	char byte;
	size_t n;
	assert_int_equal(decompress_read(d, &byte, 1, &n, &err), -ETIMEDOUT);
	assert_string_equal(err.message, "gone");
	decompress_free(d);
	decompress_free(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_the_first_bytes_tell_the_format),
		cmocka_unit_test(test_members_and_frames_follow_each_other),
		cmocka_unit_test(test_an_empty_member_is_nothing),
		cmocka_unit_test(test_every_cut_is_noticed),
		cmocka_unit_test(test_every_flipped_bit_of_content_is_noticed),
		cmocka_unit_test(test_what_follows_a_member_is_no_rubbish),
		cmocka_unit_test(test_a_window_beyond_128_MiB_is_refused),
		cmocka_unit_test(test_bombs_are_refused_from_a_size_on),
		cmocka_unit_test(test_what_reading_gives_is_passed_on),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
