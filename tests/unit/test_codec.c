/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "../../chunker/core/codec.h"

#define CHUNK CODEC_CHUNK_MIN

/* Reproducible bytes that do not compress. */
static void fill_random(unsigned char *p, size_t n, uint64_t seed)
{
	for (size_t i = 0; i < n; i++) {
		seed = seed * 6364136223846793005u + 1442695040888963407u;
		p[i] = (unsigned char)(seed >> 56);
	}
}

struct buffers {
	unsigned char *pool; /* one chunk */
	unsigned char *wire;
	unsigned char *back; /* one chunk, to the byte: a sanitizer sees writes beyond */
};

static int setup(void **state)
{
	struct buffers *b = malloc(sizeof(*b));
	b->pool = calloc(1, CHUNK);
	b->wire = malloc(codec_wire_max(CHUNK) + 64);
	b->back = malloc(CHUNK);
	memset(b->back, 0xee, CHUNK);
	*state = b;
	return 0;
}

static int teardown(void **state)
{
	struct buffers *b = *state;
	free(b->pool);
	free(b->wire);
	free(b->back);
	free(b);
	return 0;
}

static void test_chunk_sizes_are_powers_of_two_within_the_limits(void **state)
{
	(void)state;
	assert_true(codec_chunk_size_valid(64 << 10));
	assert_true(codec_chunk_size_valid(CODEC_CHUNK_DEFAULT));
	assert_true(codec_chunk_size_valid(4 << 20));
	assert_false(codec_chunk_size_valid(0));
	assert_false(codec_chunk_size_valid(32 << 10));
	assert_false(codec_chunk_size_valid(8 << 20));
	assert_false(codec_chunk_size_valid((64 << 10) + 1));
	assert_false(codec_chunk_size_valid(96 << 10));
	assert_false(codec_chunk_size_valid(1ull << 32));
}

static void test_every_level_round_trips(void **state)
{
	struct buffers *b = *state;
	static const int levels[] = {-5, 0, 1, 3, 9, 19, 22};
	fill_random(b->pool, CHUNK / 2, 1);
	memset(b->pool + CHUNK / 2, 'a', CHUNK / 4);
	struct chunkid id;
	chunkid_hash(b->pool, CHUNK, &id);
	for (size_t i = 0; i < sizeof(levels) / sizeof(levels[0]); i++) {
		size_t n = 0;
		assert_int_equal(codec_encode(b->pool, CHUNK, levels[i], b->wire, &n), 0);
		assert_in_range(n, 1, codec_wire_max(CHUNK));
		assert_int_equal(codec_decode_verify(b->wire, n, &id, b->back, CHUNK), 0);
		assert_memory_equal(b->pool, b->back, CHUNK);
	}
}

static void test_what_does_not_compress_fits_the_wire_maximum(void **state)
{
	struct buffers *b = *state;
	size_t n;
	fill_random(b->pool, CHUNK, 2);
	assert_int_equal(codec_encode(b->pool, CHUNK, 3, b->wire, &n), 0);
	assert_true(n > CHUNK && n <= codec_wire_max(CHUNK));
	assert_int_equal(codec_decode(b->wire, n, b->back, CHUNK), 0);
	assert_memory_equal(b->pool, b->back, CHUNK);
}

static void test_levels_that_zstd_does_not_have_are_refused(void **state)
{
	struct buffers *b = *state;
	size_t n = 12345;
	assert_int_equal(codec_encode(b->pool, CHUNK, 23, b->wire, &n), -EINVAL);
	assert_int_equal(codec_encode(b->pool, CHUNK, INT_MAX, b->wire, &n), -EINVAL);
	assert_int_equal(codec_encode(b->pool, CHUNK, INT_MIN, b->wire, &n), -EINVAL);
	assert_int_equal(n, 12345);
}

static void test_short_content_is_padded_with_zeros(void **state)
{
	struct buffers *b = *state;
	size_t n;
	fill_random(b->pool, 1000, 3);
	static const size_t lengths[] = {0, 1, 999, 1000, CHUNK - 1};
	for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
		assert_int_equal(codec_encode(b->pool, lengths[i], 3, b->wire, &n), 0);
		memset(b->back, 0xee, CHUNK);
		assert_int_equal(codec_decode(b->wire, n, b->back, CHUNK), 0);
		assert_memory_equal(b->pool, b->back, lengths[i]);
		assert_true(codec_is_zero(b->back + lengths[i], CHUNK - lengths[i]));
	}
}

static void test_more_content_than_a_chunk_is_refused(void **state)
{
	struct buffers *b = *state;
	unsigned char *large = calloc(1, CHUNK * 2);
	unsigned char *wire = malloc(codec_wire_max(CHUNK * 2));
	static const size_t lengths[] = {CHUNK + 1, CHUNK * 2};
	for (size_t i = 0; i < 2; i++) {
		size_t n;
		assert_int_equal(codec_encode(large, lengths[i], 3, wire, &n), 0);
		assert_int_equal(codec_decode(wire, n, b->back, CHUNK), -EBADMSG);
		fill_random(large, lengths[1], 4);
	}
	free(large);
	free(wire);
}

static void test_trailing_bytes_are_refused(void **state)
{
	struct buffers *b = *state;
	size_t n;
	assert_int_equal(codec_encode(b->pool, 100, 3, b->wire, &n), 0);
	b->wire[n] = 0;
	assert_int_equal(codec_decode(b->wire, n + 1, b->back, CHUNK), -EBADMSG);
	/* a second frame, which a decompressor by itself would append */
	memcpy(b->wire + n, b->wire, n);
	assert_int_equal(codec_decode(b->wire, 2 * n, b->back, CHUNK), -EBADMSG);
}

static void test_every_truncation_is_refused(void **state)
{
	struct buffers *b = *state;
	size_t n;
	fill_random(b->pool, 300, 5);
	assert_int_equal(codec_encode(b->pool, CHUNK, 3, b->wire, &n), 0);
	for (size_t len = 0; len < n; len++) {
		unsigned char *exact = malloc(len ? len : 1);
		memcpy(exact, b->wire, len);
		assert_int_equal(codec_decode(exact, len, b->back, CHUNK), -EBADMSG);
		free(exact);
	}
}

static void test_frames_that_are_not_plain_zstd_are_refused(void **state)
{
	struct buffers *b = *state;
	/* skippable frame of 4 bytes; alone, and before a real one */
	static const unsigned char skippable[] = {0x50, 0x2a, 0x4d, 0x18, 4, 0, 0, 0, 1, 2, 3, 4};
	assert_int_equal(codec_decode(skippable, sizeof(skippable), b->back, CHUNK), -EBADMSG);
	size_t n;
	assert_int_equal(codec_encode(b->pool, 100, 3, b->wire, &n), 0);
	memmove(b->wire + sizeof(skippable), b->wire, n);
	memcpy(b->wire, skippable, sizeof(skippable));
	assert_int_equal(codec_decode(b->wire, n + sizeof(skippable), b->back, CHUNK), -EBADMSG);
	/* frame header with a one-byte dictionary id 7, then one empty raw block */
	static const unsigned char dictionary[] = {0x28, 0xb5, 0x2f, 0xfd, 0x21, 7, 0, 1, 0, 0};
	assert_int_equal(codec_decode(dictionary, sizeof(dictionary), b->back, CHUNK), -EBADMSG);
	/* the same without the dictionary is fine, so it was refused for that */
	static const unsigned char empty[] = {0x28, 0xb5, 0x2f, 0xfd, 0x20, 0, 1, 0, 0};
	assert_int_equal(codec_decode(empty, sizeof(empty), b->back, CHUNK), 0);
	assert_true(codec_is_zero(b->back, CHUNK));
	/* the magic number of zstd 0.7 */
	static const unsigned char legacy[] = {0x27, 0xb5, 0x2f, 0xfd, 0x20, 0, 1, 0, 0};
	assert_int_equal(codec_decode(legacy, sizeof(legacy), b->back, CHUNK), -EBADMSG);
	assert_int_equal(codec_decode("<html>404 not found", 19, b->back, CHUNK), -EBADMSG);
}

static void test_a_frame_that_wants_a_huge_window_costs_no_memory(void **state)
{
	struct buffers *b = *state;
	/* no content size, window 2^31 (exponent 21), one RLE block of 5 times 'x' */
	static const unsigned char frame[] = {
		0x28, 0xb5, 0x2f, 0xfd, 0x00, 21 << 3, 5 << 3 | 2 | 1, 0, 0, 'x'};
	assert_int_equal(codec_decode(frame, sizeof(frame), b->back, CHUNK), 0);
	assert_memory_equal(b->back, "xxxxx", 6);
	/* an RLE block as large as blocks get, twice the chunk */
	static const unsigned char bomb[] = {0x28, 0xb5, 0x2f, 0xfd, 0x00, 21 << 3, 3, 0, 16, 'x'};
	assert_int_equal(codec_decode(bomb, sizeof(bomb), b->back, CHUNK), -EBADMSG);
}

static void test_flipped_bits_never_pass_verification(void **state)
{
	struct buffers *b = *state;
	size_t n;
	fill_random(b->pool, 500, 6);
	memset(b->pool + 500, 'b', 3000);
	struct chunkid id;
	chunkid_hash(b->pool, CHUNK, &id);
	assert_int_equal(codec_encode(b->pool, CHUNK, 3, b->wire, &n), 0);
	for (size_t bit = 0; bit < n * 8; bit++) {
		b->wire[bit / 8] ^= (unsigned char)(1u << bit % 8);
		int r = codec_decode_verify(b->wire, n, &id, b->back, CHUNK);
		/* a bit that zstd ignores may be flipped, but then the chunk is the right one */
		if (r == 0)
			assert_memory_equal(b->back, b->pool, CHUNK);
		else
			assert_int_equal(r, -EBADMSG);
		b->wire[bit / 8] ^= (unsigned char)(1u << bit % 8);
	}
}

static void test_verify_refuses_another_chunk(void **state)
{
	struct buffers *b = *state;
	size_t n;
	struct chunkid id;
	chunkid_hash(b->pool, CHUNK, &id);
	b->pool[CHUNK - 1] = 1;
	assert_int_equal(codec_encode(b->pool, CHUNK, 3, b->wire, &n), 0);
	assert_int_equal(codec_decode_verify(b->wire, n, &id, b->back, CHUNK), -EBADMSG);
}

static void test_is_zero_sees_every_byte(void **state)
{
	(void)state;
	static const size_t lengths[] = {0, 1, 7, 15, 16, 17, 31, 32, 33, 100, 4096, 4097};
	for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
		size_t n = lengths[i];
		unsigned char *p = calloc(1, n ? n : 1);
		assert_true(codec_is_zero(p, n));
		for (size_t at = 0; at < n; at++) {
			p[at] = 0x80;
			assert_false(codec_is_zero(p, n));
			p[at] = 0;
		}
		/* equal bytes that are not zero */
		memset(p, 1, n);
		assert_int_equal(codec_is_zero(p, n), n == 0);
		free(p);
	}
}

static void *encode_and_decode(void *arg)
{
	const unsigned char *pool = arg;
	unsigned char *wire = malloc(codec_wire_max(CHUNK)), *back = malloc(CHUNK);
	intptr_t ok = 1;
	for (int i = 0; i < 20; i++) {
		size_t n;
		ok &= codec_encode(pool, CHUNK, 3, wire, &n) == 0 &&
		      codec_decode(wire, n, back, CHUNK) == 0 && memcmp(pool, back, CHUNK) == 0;
	}
	free(wire);
	free(back);
	return (void *)ok;
}

static void test_threads_have_their_own_contexts(void **state)
{
	struct buffers *b = *state;
	pthread_t threads[6];
	fill_random(b->pool, CHUNK / 3, 7);
	for (int i = 0; i < 6; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, encode_and_decode, b->pool), 0);
	for (int i = 0; i < 6; i++) {
		void *ok;
		pthread_join(threads[i], &ok);
		assert_non_null(ok);
	}
}

#define WITH_BUFFERS(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_chunk_sizes_are_powers_of_two_within_the_limits),
		WITH_BUFFERS(test_every_level_round_trips),
		WITH_BUFFERS(test_what_does_not_compress_fits_the_wire_maximum),
		WITH_BUFFERS(test_levels_that_zstd_does_not_have_are_refused),
		WITH_BUFFERS(test_short_content_is_padded_with_zeros),
		WITH_BUFFERS(test_more_content_than_a_chunk_is_refused),
		WITH_BUFFERS(test_trailing_bytes_are_refused),
		WITH_BUFFERS(test_every_truncation_is_refused),
		WITH_BUFFERS(test_frames_that_are_not_plain_zstd_are_refused),
		WITH_BUFFERS(test_a_frame_that_wants_a_huge_window_costs_no_memory),
		WITH_BUFFERS(test_flipped_bits_never_pass_verification),
		WITH_BUFFERS(test_verify_refuses_another_chunk),
		cmocka_unit_test(test_is_zero_sees_every_byte),
		WITH_BUFFERS(test_threads_have_their_own_contexts),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
