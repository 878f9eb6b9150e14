/* SPDX-License-Identifier: BSD-3-Clause */
/* What the tests of stores share: temporary directories, chunks and recipes made from a number. */
#ifndef TESTS_STORE_FIXTURE_H
#define TESTS_STORE_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../../chunker/core/cleanup.h"
#include "../../chunker/core/codec.h"
#include "../../chunker/core/fd.h"
#include "../../chunker/store/store.h"

#define CHUNK CODEC_CHUNK_DEFAULT

#define ok(expr)                                                                       \
	do {                                                                           \
		int ok_r = (expr);                                                     \
		if (ok_r != 0)                                                         \
			fail_msg("%s is %d: %s", #expr, ok_r, error_text(&err, ok_r)); \
	} while (0)

static inline int fixture_unlink(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st, (void)type, (void)ftw;
	return remove(path);
}

static inline void fixture_remove(const char *dir)
{
	nftw(dir, fixture_unlink, 32, FTW_DEPTH | FTW_PHYS);
}

/* A setup and teardown pair: *state is the path of a fresh directory. */
static inline int fixture_dir(void **state)
{
	const char *tmp = getenv("TMPDIR");
	char *path;

	if (asprintf(&path, "%s/smr-test-XXXXXX", tmp ? tmp : "/tmp") < 0 || !mkdtemp(path))
		return -1;
	*state = path;
	return 0;
}

static inline int fixture_dir_done(void **state)
{
	fixture_remove(*state);
	free(*state);
	return 0;
}

/* PATH below a directory, in one of a few static buffers. */
__attribute__((noinline, unused)) static const char *below(const char *dir, const char *path)
{
	static char at[4][600];
	static unsigned next;
	char *ret = at[next++ % 4];

	snprintf(ret, sizeof(at[0]), "%s/%s", dir, path);
	return ret;
}

static inline void write_file(const char *path, const void *data, size_t n)
{
	FILE *f = fopen(path, "w");

	assert_non_null(f);
	assert_int_equal(fwrite(data, 1, n, f), n);
	assert_int_equal(fclose(f), 0);
}

static inline void write_text(const char *path, const char *text)
{
	write_file(path, text, strlen(text));
}

static inline bool exists(const char *path)
{
	return access(path, F_OK) == 0;
}

/* Chunk number `seed`, never zero: *ret_wire is malloc'ed. */
static inline void make_chunk(
	unsigned seed, struct chunkid *ret_id, unsigned char **ret_wire, size_t *ret_len)
{
	unsigned char *pool = malloc(CHUNK), *wire = malloc(codec_wire_max(CHUNK));
	uint64_t x = seed * 0x9e3779b97f4a7c15ull + 1;

	assert_true(pool && wire);
	for (size_t i = 0; i < CHUNK; i++) {
		x = x * 6364136223846793005ull + 1442695040888963407ull;
		pool[i] = i % 16384 < 4096 ? (unsigned char)(x >> 56) : (unsigned char)seed;
	}
	pool[0] = 1;
	chunkid_hash(pool, CHUNK, ret_id);
	assert_int_equal(codec_encode(pool, CHUNK, 1, wire, ret_len), 0);
	free(pool);
	*ret_wire = wire;
}

static inline struct chunkid put_chunk(struct store *s, unsigned seed)
{
	struct smr_error err = {0};
	struct chunkid id;
	unsigned char *wire;
	size_t n;

	make_chunk(seed, &id, &wire, &n);
	ok(store_put(s, &id, wire, n, &err));
	free(wire);
	return id;
}

/* A recipe of the chunks `first` to `first + n - 1`, every second slot, the image ending in the
 * middle of its last chunk. */
static inline struct recipe *make_recipe(const char *name, unsigned first, unsigned n)
{
	struct recipe_entry *entries = calloc(n ? n : 1, sizeof(*entries));
	struct recipe *ret;
	struct smr_error err = {0};
	struct buf out;

	assert_non_null(entries);
	for (unsigned i = 0; i < n; i++) {
		unsigned char *wire;
		size_t len;

		make_chunk(first + i, &entries[i].id, &wire, &len);
		entries[i].index = 2 * i;
		free(wire);
	}
	struct recipe_spec spec = {
		.name = name,
		.image_size = (n ? 2 * n - 1 : 1) * (uint64_t)CHUNK - CHUNK / 2,
		.chunk_size = CHUNK,
		.entries = entries,
		.n_entries = n,
		.source = "docker.io/library/test:1",
	};
	buf_init(&out, RECIPE_FILE_MAX);
	ok(recipe_encode(&spec, &out, &err));
	ok(recipe_from_bytes(out.data, out.len, &ret, &err));
	buf_done(&out);
	free(entries);
	return ret;
}

/* Chunks and recipe. */
static inline void publish(struct store *s, const char *name, unsigned first, unsigned n)
{
	struct smr_error err = {0};
	struct recipe *r = make_recipe(name, first, n);

	for (unsigned i = 0; i < n; i++)
		put_chunk(s, first + i);
	ok(store_put_recipe(s, r, NULL, &err));
	recipe_free(r);
}

static inline struct store *open_store(const char *url, bool create)
{
	struct store_options opts = {.create = create};
	struct smr_error err = {0};
	struct store *s;

	ok(store_open(url, &opts, &s, &err));
	return s;
}

/* The chunk of `seed` comes out of the store whole. */
static inline void assert_chunk(struct store *s, unsigned seed)
{
	struct smr_error err = {0};
	struct chunkid id;
	unsigned char *wire;
	size_t n;
	struct buf body;

	make_chunk(seed, &id, &wire, &n);
	buf_init(&body, codec_wire_max(CHUNK));
	ok(store_get_wait(s, &id, &body, &err));
	assert_int_equal(body.len, n);
	assert_memory_equal(body.data, wire, n);
	buf_done(&body);
	free(wire);
}

#endif
