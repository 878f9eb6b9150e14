/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Recipes as an attacker or a broken disk would write them. What makes the oracle simple: a valid recipe
 * has exactly one encoding, so whatever is accepted must come out of the encoder again, byte for byte.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "../../chunker/core/fd.h"
#include "../../chunker/core/le.h"
#include "../../chunker/core/recipe.h"

#define CHUNK     (64u << 10)
#define GENERATED 60000

/* Header offsets, spelled out here again: the test must not share a mistake with the code. */
enum {
	VERSION = 8,
	FLAGS = 12,
	FILE_SIZE = 16,
	IMAGE_SIZE = 24,
	CHUNK_SIZE = 32,
	META_END = 40,
	NAME_OFFSET = 48,
	NAME_LEN = 56,
	ZERO_1 = 60,
	TABLE_OFFSET = 64,
	ENTRIES = 72,
	CONFIG_OFFSET = 80,
	CONFIG_LEN = 88,
	SOURCE_OFFSET = 96,
	SOURCE_LEN = 104,
	ZERO_2 = 108,
	SEALED_OFFSET = 144,
	SEALED_TAG = 160,
	ZERO_3 = 192,
};

static uint64_t rng_state;

/* splitmix64: the same numbers everywhere */
static uint64_t rng(void)
{
	uint64_t z = rng_state += 0x9e3779b97f4a7c15u;
	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
	z = (z ^ z >> 27) * 0x94d049bb133111ebu;
	return z ^ z >> 31;
}

static size_t below(size_t n)
{
	return (size_t)(rng() % n);
}

static void fix_digest(unsigned char *p, size_t n)
{
	struct chunkid digest;
	if (n < CHUNKID_BYTES)
		return;
	chunkid_hash(p, n - CHUNKID_BYTES, &digest);
	memcpy(p + n - CHUNKID_BYTES, digest.b, CHUNKID_BYTES);
}

static void encode(struct buf *out, size_t n_entries, size_t config_len, const char *source,
	uint64_t image_size)
{
	struct recipe_entry entries[32];
	char config[64];
	memset(config, '{', sizeof(config));
	for (size_t i = 0; i < n_entries; i++) {
		entries[i].index = (uint32_t)(i * 2);
		chunkid_hash(&i, sizeof(i), &entries[i].id);
	}
	struct recipe_spec spec = {.name = "image",
		.image_size = image_size,
		.chunk_size = CHUNK,
		.layout = 1,
		.meta_end = 4096,
		.entries = entries,
		.n_entries = n_entries,
		.config = config,
		.config_len = config_len,
		.source = source};
	buf_init(out, RECIPE_FILE_MAX);
	assert_int_equal(recipe_encode(&spec, out, NULL), 0);
}

static void assert_canonical(const struct recipe *r)
{
	const struct recipe_info *info = recipe_info(r);
	struct recipe_entry *entries = calloc(info->n_chunks + 1, sizeof(*entries));
	for (uint64_t i = 0; i < info->n_chunks; i++) {
		entries[i] = recipe_entry(r, i);
		assert_int_equal(recipe_lower_bound(r, entries[i].index), i);
		assert_true(chunkid_equal(recipe_find(r, entries[i].index), &entries[i].id));
	}
	size_t n, source_len;
	struct recipe_spec spec = {.name = info->name,
		.image_size = info->image_size,
		.chunk_size = info->chunk_size,
		.layout = info->layout,
		.meta_end = info->meta_end,
		.entries = entries,
		.n_entries = info->n_chunks,
		.manifest_digest = &info->manifest_digest};
	spec.config = recipe_config(r, &spec.config_len);
	const char *text = recipe_source(r, &source_len);
	char *source = strndup(text, source_len);
	spec.source = source;
	struct buf again;
	buf_init(&again, RECIPE_FILE_MAX);
	assert_int_equal(recipe_encode(&spec, &again, NULL), 0);
	const void *bytes = recipe_bytes(r, &n);
	assert_int_equal(again.len, n);
	assert_memory_equal(again.data, bytes, n);
	assert_true(recipe_data_bytes(r) <= info->image_size);
	buf_done(&again);
	free(source);
	free(entries);
}

/* Refused with a message, or accepted and canonical. Returns what recipe_from_bytes did. */
static int judge(const unsigned char *p, size_t n, struct smr_error *err)
{
	struct recipe *r = NULL;
	*err = (struct smr_error){0};
	int code = recipe_from_bytes(p, n, &r, err);
	if (code < 0) {
		assert_true(code == -EBADMSG || code == -ENOTSUP || code == -EFBIG);
		assert_memory_equal(err->message, "recipe: ", 8);
		assert_true(strlen(err->message) > 12);
		assert_null(r);
	} else {
		assert_string_equal(err->message, "");
		assert_canonical(r);
		recipe_free(r);
	}
	/* to the byte, so that a sanitizer sees reads beyond */
	unsigned char *exact = malloc(n ? n : 1);
	struct recipe_info info;
	memcpy(exact, p, n);
	int header = recipe_parse_header(exact, n, &info, NULL);
	free(exact);
	if (code == 0)
		assert_int_equal(header, 0);
	return code;
}

static void test_every_changed_byte_without_its_digest_is_refused(void **state)
{
	(void)state;
	struct buf b;
	struct smr_error err;
	encode(&b, 5, 25, "docker.io/library/x:1", 20ull * CHUNK - 5);
	assert_int_equal(judge(b.data, b.len, &err), 0);
	for (size_t at = 0; at < b.len; at++) {
		unsigned char kept = b.data[at];
		for (unsigned delta = 1; delta < 256; delta++) {
			b.data[at] = (unsigned char)(kept + delta);
			assert_true(judge(b.data, b.len, &err) < 0);
		}
		b.data[at] = kept;
	}
	buf_done(&b);
}

static void test_every_changed_header_byte_is_refused_or_another_valid_recipe(void **state)
{
	(void)state;
	struct buf b;
	struct smr_error err;
	unsigned accepted[RECIPE_HEADER_BYTES] = {0};
	encode(&b, 5, 25, "docker.io/library/x:1", 20ull * CHUNK - 5);
	for (size_t at = 0; at < RECIPE_HEADER_BYTES; at++) {
		unsigned char kept = b.data[at];
		for (unsigned delta = 1; delta < 256; delta++) {
			b.data[at] = (unsigned char)(kept + delta);
			fix_digest(b.data, b.len);
			accepted[at] += judge(b.data, b.len, &err) == 0;
		}
		b.data[at] = kept;
	}
	/* Only fields that say something by themselves: image size, chunk size, layout, metadata end,
	 * manifest digest. And the config, which is opaque here, may take the 7 zeros behind it for its
	 * own. */
	assert_int_equal(accepted[CONFIG_LEN], 7);
	accepted[CONFIG_LEN] = 0;
	for (size_t at = 0; at < RECIPE_HEADER_BYTES; at++)
		if (at < IMAGE_SIZE || (at >= NAME_OFFSET && at < 112) || at >= SEALED_OFFSET)
			assert_int_equal(accepted[at], 0);
	for (size_t at = 112; at < SEALED_OFFSET; at++)
		assert_int_equal(accepted[at], 255);
	assert_true(accepted[IMAGE_SIZE] > 0);
	buf_done(&b);
}

static void test_every_truncation_is_refused(void **state)
{
	(void)state;
	struct buf b;
	struct smr_error err;
	encode(&b, 5, 25, "docker.io/library/x:1", 20ull * CHUNK - 5);
	for (size_t n = 0; n < b.len; n++) {
		unsigned char *p = malloc(b.len);
		memcpy(p, b.data, n);
		assert_int_equal(judge(p, n, &err), -EBADMSG);
		fix_digest(p, n);
		assert_int_equal(judge(p, n, &err), -EBADMSG);
		/* and with a header that knows */
		if (n >= RECIPE_HEADER_BYTES) {
			le_put64(p + FILE_SIZE, n);
			fix_digest(p, n);
			assert_int_equal(judge(p, n, &err), -EBADMSG);
		}
		int fd = fd_sealed_memfd("recipe", p, n);
		struct recipe *r = NULL;
		assert_int_equal(recipe_open_fd(fd, &r, &err), -EBADMSG);
		close(fd);
		free(p);
	}
	buf_done(&b);
}

static void test_trailing_bytes_are_refused(void **state)
{
	(void)state;
	struct buf b;
	struct smr_error err;
	encode(&b, 5, 25, "docker.io/library/x:1", 20ull * CHUNK - 5);
	for (int i = 0; i < 16; i++) {
		assert_int_equal(buf_append(&b, "", 1), 0);
		assert_int_equal(judge(b.data, b.len, &err), -EBADMSG);
		assert_non_null(strstr(err.message, "trailing bytes"));
	}
	buf_done(&b);
}

/* One edit of a valid recipe of 4 entries, config of 25 and source of 21 bytes; the digest is right
 * afterwards. */
struct edit {
	unsigned at;
	unsigned width; /* bytes: 1, 4, 8 */
	uint64_t value;
	int code;
	const char *message;
};

/* Where the sections of that recipe are. */
enum {
	NAME = 256,
	TABLE = 264,
	CONFIG = TABLE + 4 * 40,
	SOURCE = CONFIG + 32,
	DIGEST = SOURCE + 24,
	END = DIGEST + 32
};

static const struct edit edits[] = {
	{0, 1, 'S', -EBADMSG, "not a recipe"},
	{VERSION, 4, 0, -EBADMSG, "no format has version 0"},
	{VERSION, 4, 2, -ENOTSUP, "format version 2"},
	{FLAGS, 4, 1, -ENOTSUP, "sealed"},
	{FLAGS, 4, 2, -EBADMSG, "unknown flags 0x2"},
	{FLAGS, 4, 0x80000001, -EBADMSG, "unknown flags 0x80000001"},
	{FILE_SIZE, 8, END - 8, -EBADMSG, "its sections add up to"},
	{FILE_SIZE, 8, END + 8, -EBADMSG, "its sections add up to"},
	{FILE_SIZE, 8, RECIPE_FILE_MAX + 1, -EFBIG, "the limit is"},
	{FILE_SIZE, 8, UINT64_MAX, -EFBIG, "the limit is"},
	{IMAGE_SIZE, 8, 0, -EBADMSG, "image size is 0"},
	{IMAGE_SIZE, 8, RECIPE_IMAGE_MAX + 1, -EFBIG, "the limit is"},
	{IMAGE_SIZE, 8, UINT64_MAX, -EFBIG, "the limit is"},
	{IMAGE_SIZE, 8, 6 * CHUNK, -EBADMSG, "table entry 3: chunk 6 of an image with 6"},
	{IMAGE_SIZE, 8, 3 * CHUNK, -EBADMSG, "4 table entries for 3 chunks"},
	{CHUNK_SIZE, 4, 0, -EBADMSG, "power of two"},
	{CHUNK_SIZE, 4, CHUNK - 1, -EBADMSG, "power of two"},
	{CHUNK_SIZE, 4, CHUNK / 2, -EBADMSG, "power of two"},
	{CHUNK_SIZE, 4, 8 << 20, -EBADMSG, "power of two"},
	{META_END, 8, 20ull * CHUNK - 4, -EBADMSG, "metadata region"},
	{META_END, 8, UINT64_MAX, -EBADMSG, "metadata region"},
	{NAME_OFFSET, 8, 0, -EBADMSG, "the name is said to be at 0"},
	{NAME_OFFSET, 8, 264, -EBADMSG, "the name is said to be at 264"},
	{NAME_LEN, 4, 0, -EBADMSG, "a name of 0 bytes"},
	{NAME_LEN, 4, 201, -EBADMSG, "a name of 201 bytes"},
	{NAME_LEN, 4, UINT32_MAX, -EBADMSG, "a name of"},
	{NAME_LEN, 4, 6, -EBADMSG, "not a valid image name"},
	{NAME_LEN, 4, 4, -EBADMSG, "byte 260 (padding) is not zero"},
	{NAME, 1, '.', -EBADMSG, "not a valid image name"},
	{NAME, 1, '/', -EBADMSG, "not a valid image name"},
	{NAME + 2, 1, 0, -EBADMSG, "not a valid image name"},
	{NAME + 5, 1, 1, -EBADMSG, "byte 261 (padding) is not zero"},
	{ZERO_1, 4, 1, -EBADMSG, "byte 60 (reserved) is not zero"},
	{TABLE_OFFSET, 8, TABLE + 8, -EBADMSG, "the table is said to be at"},
	{TABLE_OFFSET, 8, UINT64_MAX - 7, -EBADMSG, "the table is said to be at"},
	{ENTRIES, 8, 3, -EBADMSG, "the config is said to be at"},
	{ENTRIES, 8, 5, -EBADMSG, "the config is said to be at"},
	{ENTRIES, 8, 21, -EBADMSG, "21 table entries for 20 chunks"},
	{ENTRIES, 8, UINT64_MAX / 40, -EBADMSG, "table entries for 20 chunks"},
	{ENTRIES, 8, UINT64_MAX, -EBADMSG, "table entries for 20 chunks"},
	{CONFIG_OFFSET, 8, 0, -EBADMSG, "the config is said to be at"},
	{CONFIG_LEN, 8, 33, -EBADMSG, "the source is said to be at"},
	{CONFIG_LEN, 8, RECIPE_CONFIG_MAX + 1, -EFBIG, "the limit is"},
	{CONFIG_LEN, 8, UINT64_MAX, -EFBIG, "the limit is"},
	{CONFIG_LEN, 8, 24, -EBADMSG, "the source is said to be at"},
	{SOURCE_OFFSET, 8, TABLE, -EBADMSG, "the source is said to be at"},
	{SOURCE_LEN, 4, 25, -EBADMSG, "its sections add up to"},
	{SOURCE_LEN, 4, 24, -EBADMSG, "not printable UTF-8"},
	{SOURCE_LEN, 4, RECIPE_SOURCE_MAX + 1, -EFBIG, "the limit is"},
	{SOURCE_LEN, 4, UINT32_MAX, -EFBIG, "the limit is"},
	{ZERO_2, 4, 1u << 31, -EBADMSG, "byte 111 (reserved) is not zero"},
	{SEALED_OFFSET, 8, 264, -EBADMSG, "byte 144 (reserved) is not zero"},
	{SEALED_OFFSET + 8, 8, 1, -EBADMSG, "byte 152 (reserved) is not zero"},
	{SEALED_TAG + 31, 1, 1, -EBADMSG, "byte 191 (reserved) is not zero"},
	{ZERO_3, 1, 1, -EBADMSG, "byte 192 (reserved) is not zero"},
	{255, 1, 0xff, -EBADMSG, "byte 255 (reserved) is not zero"},
	{TABLE, 4, 2, -EBADMSG, "table entry 1 is not after entry 0"},
	{TABLE + 40, 4, 0, -EBADMSG, "table entry 1 is not after entry 0"},
	{TABLE + 80, 4, 1, -EBADMSG, "table entry 2 is not after entry 1"},
	{TABLE + 120, 4, 20, -EBADMSG, "table entry 3: chunk 20 of an image with 20"},
	{TABLE + 120, 4, UINT32_MAX, -EBADMSG, "table entry 3: chunk 4294967295"},
	{TABLE + 4, 4, 1, -EBADMSG, "table entry 0: flags or wire length"},
	{TABLE + 124, 4, 1u << 24, -EBADMSG, "table entry 3: flags or wire length"},
	{CONFIG + 25, 1, ' ', -EBADMSG, "(padding) is not zero"},
	{SOURCE + 23, 1, 'x', -EBADMSG, "(padding) is not zero"},
	{SOURCE, 1, '\n', -EBADMSG, "not printable UTF-8"},
	{SOURCE + 5, 1, 0, -EBADMSG, "not printable UTF-8"},
	{SOURCE + 20, 1, 0xc3, -EBADMSG, "not printable UTF-8"},
};

static void test_each_broken_rule_is_named(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(edits) / sizeof(edits[0]); i++) {
		const struct edit *e = &edits[i];
		struct buf b;
		struct smr_error err;
		encode(&b, 4, 25, "docker.io/library/x:1", 20ull * CHUNK - 5);
		assert_int_equal(b.len, END);
		if (e->width == 8)
			le_put64(b.data + e->at, e->value);
		else if (e->width == 4)
			le_put32(b.data + e->at, (uint32_t)e->value);
		else
			b.data[e->at] = (unsigned char)e->value;
		fix_digest(b.data, b.len);
		int code = judge(b.data, b.len, &err);
		if (!strstr(err.message, e->message))
			fail_msg(
				"edit %zu: \"%s\" does not say \"%s\"", i, err.message, e->message);
		assert_int_equal(code, e->code);
		buf_done(&b);
	}
}

static void test_sources_are_utf8_without_control_characters(void **state)
{
	(void)state;
	static const struct {
		const char *text;
		bool valid;
	} cases[] = {
		{"ghcr.io/caf\xc3\xa9:1", true},
		{"\xe2\x82\xac \xf0\x9f\x98\x80 \xf4\x8f\xbf\xbf", true},
		{"\x7f", false},
		{"\x1b[31m", false},
		{"\xc2\x9b", false},             /* U+009B */
		{"\xc2\xa0", true},              /* U+00A0 */
		{"\xc0\xaf", false},             /* overlong */
		{"\xe0\x80\xaf", false},         /* overlong */
		{"\xf0\x80\x80\xaf", false},     /* overlong */
		{"\xed\xa0\x80", false},         /* surrogate */
		{"\xee\x80\x80", true},          /* U+E000 */
		{"\xf4\x90\x80\x80", false},     /* above U+10FFFF */
		{"\xf8\x88\x80\x80\x80", false}, /* five bytes */
		{"\x80", false},
		{"\xe2\x82", false},
		{"\xe2(\xa1", false},
		{"\xff", false},
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct recipe_spec spec = {
			.name = "x", .image_size = 1, .chunk_size = CHUNK, .source = cases[i].text};
		struct buf b;
		buf_init(&b, RECIPE_FILE_MAX);
		assert_int_equal(recipe_encode(&spec, &b, NULL), cases[i].valid ? 0 : -EINVAL);
		buf_done(&b);
	}
}

/* ---- generated ---- */

static uint64_t interesting(uint64_t current, size_t file_size)
{
	static const uint64_t values[] = {0, 1, 7, 8, 31, 32, 40, 255, 256, 257, 4095, 4096, 4097,
		65535, 65536, 0x7fffffff, 0x80000000, 0xffffffff, 0x100000000, RECIPE_FILE_MAX,
		RECIPE_IMAGE_MAX, RECIPE_CONFIG_MAX, 1ull << 63, UINT64_MAX / 40, UINT64_MAX - 7,
		UINT64_MAX};
	switch (below(6)) {
	case 0:
		return current + 1 + below(16);
	case 1:
		return current - 1 - below(16);
	case 2:
		return current ^ 1ull << below(64);
	case 3:
		return file_size - below(64);
	case 4:
		return values[below(sizeof(values) / sizeof(values[0]))] + below(3) - 1;
	default:
		return values[below(sizeof(values) / sizeof(values[0]))];
	}
}

static void edit_field(unsigned char *p, size_t n)
{
	static const unsigned char wide[] = {FILE_SIZE, IMAGE_SIZE, META_END, NAME_OFFSET,
		TABLE_OFFSET, ENTRIES, CONFIG_OFFSET, CONFIG_LEN, SOURCE_OFFSET, SEALED_OFFSET,
		SEALED_OFFSET + 8};
	static const unsigned char narrow[] = {
		VERSION, FLAGS, CHUNK_SIZE, CHUNK_SIZE + 4, NAME_LEN, ZERO_1, SOURCE_LEN, ZERO_2};
	if (n < RECIPE_HEADER_BYTES)
		return;
	if (below(2)) {
		unsigned char *f = p + wide[below(sizeof(wide))];
		le_put64(f, interesting(le_get64(f), n));
	} else {
		unsigned char *f = p + narrow[below(sizeof(narrow))];
		le_put32(f, (uint32_t)interesting(le_get32(f), n));
	}
}

static void edit_table(unsigned char *p, size_t n)
{
	if (n < RECIPE_HEADER_BYTES + 8 + 80 + CHUNKID_BYTES)
		return;
	size_t entries = (n - RECIPE_HEADER_BYTES - 8 - CHUNKID_BYTES) / RECIPE_ENTRY_BYTES;
	unsigned char *a = p + TABLE + below(entries) * RECIPE_ENTRY_BYTES;
	unsigned char *b = p + TABLE + below(entries) * RECIPE_ENTRY_BYTES;
	unsigned char kept[RECIPE_ENTRY_BYTES];
	switch (below(4)) {
	case 0: /* swap */
		memcpy(kept, a, sizeof(kept));
		memcpy(a, b, sizeof(kept));
		memcpy(b, kept, sizeof(kept));
		break;
	case 1: /* double */
		memmove(a, b, RECIPE_ENTRY_BYTES);
		break;
	case 2:
		le_put32(a, (uint32_t)interesting(le_get32(a), n));
		break;
	default:
		le_put32(a + 4, (uint32_t)interesting(0, n));
		break;
	}
}

static void edit_bytes(unsigned char *p, size_t n)
{
	for (size_t i = 1 + below(8); i > 0 && n > 0; i--)
		p[below(n)] = below(3) ? (unsigned char)rng() : 0;
}

/* Cuts or lengthens; sometimes the header is told. */
static void edit_length(struct buf *b)
{
	size_t n = below(2) ? below(b->len + 1) : b->len + 1 + below(64);
	while (b->len < n)
		assert_int_equal(buf_append(b, below(2) ? "" : "x", 1), 0);
	b->len = n;
	if (below(2) && n >= RECIPE_HEADER_BYTES)
		le_put64(b->data + FILE_SIZE, n);
}

static void test_generated_recipes_are_refused_with_a_reason_or_valid(void **state)
{
	(void)state;
	/* every check must have been reached, or the generator is not worth its time */
	static const char *const reasons[] = {"not a recipe", "format version", "no format",
		"unknown flags", "sealed", "the limit is", "image size is 0", "power of two",
		"metadata region", "table entries for", "a name of", "name is said",
		"table is said", "config is said", "source is said", "add up to", "(reserved)",
		"(padding)", "not a valid image name", "truncated", "trailing bytes",
		"is not after", "of an image with", "wire length", "not printable"};
	unsigned hits[sizeof(reasons) / sizeof(reasons[0])] = {0}, accepted = 0, refused = 0;
	rng_state = 20260302;
	for (int i = 0; i < GENERATED; i++) {
		struct buf b;
		struct smr_error err;
		uint64_t size = 60ull * CHUNK - below(2) * below(CHUNK);
		encode(&b, below(20), below(40), below(2) ? "ghcr.io/x/caf\xc3\xa9:1" : NULL, size);
		for (size_t edits_left = 1 + below(3); edits_left > 0; edits_left--) {
			switch (below(8)) {
			case 0:
			case 1:
			case 2:
				edit_field(b.data, b.len);
				break;
			case 3:
			case 4:
				edit_table(b.data, b.len);
				break;
			case 5:
			case 6:
				edit_bytes(b.data, b.len);
				break;
			default:
				edit_length(&b);
				break;
			}
		}
		fix_digest(b.data, b.len);
		if (judge(b.data, b.len, &err) == 0)
			accepted++;
		else
			refused++;
		for (size_t k = 0; k < sizeof(reasons) / sizeof(reasons[0]); k++)
			hits[k] += strstr(err.message, reasons[k]) != NULL;
		buf_done(&b);
	}
	for (size_t k = 0; k < sizeof(reasons) / sizeof(reasons[0]); k++)
		if (hits[k] == 0)
			fail_msg("no generated recipe was refused because of \"%s\"", reasons[k]);
	print_message("%u refused, %u valid\n", refused, accepted);
	assert_true(refused >= 10000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_changed_byte_without_its_digest_is_refused),
		cmocka_unit_test(test_every_changed_header_byte_is_refused_or_another_valid_recipe),
		cmocka_unit_test(test_every_truncation_is_refused),
		cmocka_unit_test(test_trailing_bytes_are_refused),
		cmocka_unit_test(test_each_broken_rule_is_named),
		cmocka_unit_test(test_sources_are_utf8_without_control_characters),
		cmocka_unit_test(test_generated_recipes_are_refused_with_a_reason_or_valid),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
