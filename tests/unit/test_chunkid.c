/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "../../chunker/core/chunkid.h"

/* FIPS 180-4 examples */
#define HEX_EMPTY "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
#define HEX_ABC   "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"

static void assert_hex(const struct chunkid *id, const char *hex)
{
	char text[CHUNKID_HEX + 1];
	chunkid_format(id, text);
	assert_string_equal(text, hex);
}

static void test_hash_is_sha256(void **state)
{
	(void)state;
	struct chunkid id;
	chunkid_hash("abc", 3, &id);
	assert_hex(&id, HEX_ABC);
	chunkid_hash(NULL, 0, &id);
	assert_hex(&id, HEX_EMPTY);
}

static void test_hasher_in_pieces_equals_hash(void **state)
{
	(void)state;
	unsigned char data[1000];
	for (size_t i = 0; i < sizeof(data); i++)
		data[i] = (unsigned char)(i * 7);
	struct chunkid whole, pieces;
	chunkid_hash(data, sizeof(data), &whole);
	struct chunkid_hasher *h = chunkid_hasher_new();
	assert_non_null(h);
	for (size_t at = 0, n = 0; at < sizeof(data); at += n, n++) {
		if (n > sizeof(data) - at)
			n = sizeof(data) - at;
		chunkid_hasher_add(h, data + at, n);
	}
	chunkid_hasher_finish(h, &pieces);
	assert_true(chunkid_equal(&whole, &pieces));

	chunkid_hasher_add(h, "abc", 3);
	chunkid_hasher_finish(h, &pieces);
	assert_hex(&pieces, HEX_ABC);
	chunkid_hasher_finish(h, &pieces);
	assert_hex(&pieces, HEX_EMPTY);
	chunkid_hasher_free(h);
	chunkid_hasher_free(NULL);
}

static void test_format_and_parse_are_inverse(void **state)
{
	(void)state;
	struct chunkid id, back;
	for (int i = 0; i < CHUNKID_BYTES; i++)
		id.b[i] = (uint8_t)(i * 9 + 3);
	char text[CHUNKID_HEX + 1];
	chunkid_format(&id, text);
	assert_int_equal(chunkid_parse(text, &back), 0);
	assert_true(chunkid_equal(&id, &back));
	assert_int_equal(chunkid_parse(HEX_ABC ".zst", &back), 0);
	assert_hex(&back, HEX_ABC);
}

static void test_parse_refuses_everything_but_64_lower_case_digits(void **state)
{
	(void)state;
	struct chunkid id;
	memset(&id, 0x5a, sizeof(id));
	char text[CHUNKID_HEX + 1] = HEX_ABC;
	static const char bad[] = {'A', 'F', 'g', '/', ':', '`', '@', ' ', '\n', '\0', -1};
	for (size_t at = 0; at < CHUNKID_HEX; at++) {
		for (size_t i = 0; i < sizeof(bad); i++) {
			char kept = text[at];
			text[at] = bad[i];
			assert_int_equal(chunkid_parse(text, &id), -EINVAL);
			text[at] = kept;
		}
		/* nothing behind the end of a short string is read */
		char *exact = strndup(text, at);
		assert_int_equal(chunkid_parse(exact, &id), -EINVAL);
		free(exact);
	}
	for (int i = 0; i < CHUNKID_BYTES; i++)
		assert_int_equal(id.b[i], 0x5a);
}

static void test_short_form_is_the_first_and_last_four_digits(void **state)
{
	(void)state;
	struct chunkid id;
	char text[16];
	assert_int_equal(chunkid_parse(HEX_ABC, &id), 0);
	chunkid_format_short(&id, text);
	assert_string_equal(text, "ba78\xe2\x80\xa6"
				  "15ad");
}

static void test_compare_orders_as_hex_does(void **state)
{
	(void)state;
	struct chunkid a = {{0}}, b = {{0}};
	assert_int_equal(chunkid_compare(&a, &b), 0);
	b.b[31] = 1;
	assert_true(chunkid_compare(&a, &b) < 0);
	a.b[0] = 0x80;
	assert_true(chunkid_compare(&a, &b) > 0);
}

static void *hash_many(void *arg)
{
	for (int i = 0; i < 200; i++) {
		struct chunkid id, *ret = arg;
		chunkid_hash("abc", 3, &id);
		*ret = id;
	}
	return NULL;
}

static void test_threads_hash_independently(void **state)
{
	(void)state;
	pthread_t threads[8];
	struct chunkid ids[8];
	for (int i = 0; i < 8; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, hash_many, &ids[i]), 0);
	for (int i = 0; i < 8; i++) {
		pthread_join(threads[i], NULL);
		assert_hex(&ids[i], HEX_ABC);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_hash_is_sha256),
		cmocka_unit_test(test_hasher_in_pieces_equals_hash),
		cmocka_unit_test(test_format_and_parse_are_inverse),
		cmocka_unit_test(test_parse_refuses_everything_but_64_lower_case_digits),
		cmocka_unit_test(test_short_form_is_the_first_and_last_four_digits),
		cmocka_unit_test(test_compare_orders_as_hex_does),
		cmocka_unit_test(test_threads_hash_independently),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
