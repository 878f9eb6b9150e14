/* SPDX-License-Identifier: BSD-3-Clause */
/* Layers into one tree, from a source of this test's own: digests, compression, order, limits, cancelling. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <zlib.h>
#include <zstd.h>

#include <cmocka.h>

#include "../../chunker/build/ext4_image.h"
#include "../../chunker/build/flatten.h"
#include "tar_builder.h"
#include "tempdir.h"

#define LAYERS_MAX 8u

enum form { PLAIN, GZIP, ZSTD };

/* ---- a source in memory ---- */

struct memory {
	struct source source;
	struct source_layer layers[LAYERS_MAX];
	struct blob {
		unsigned char *p;
		size_t n, at;
	} blobs[LAYERS_MAX];
	int n_open;
	uint64_t n_tar; /* bytes in all layers, not compressed */
};

static int open_blob(struct source *s, size_t i, void **ret, struct smr_error *err)
{
	struct memory *m = (struct memory *)s;

	(void)err;
	m->blobs[i].at = 0;
	m->n_open++;
	*ret = &m->blobs[i];
	return 0;
}

static int read_blob(
	struct source *s, void *blob, void *data, size_t n, size_t *ret_n, struct smr_error *err)
{
	struct blob *b = blob;

	(void)s;
	(void)err;
	if (n > b->n - b->at)
		n = b->n - b->at;
	memcpy(data, b->p + b->at, n);
	b->at += n;
	*ret_n = n;
	return 0;
}

static void close_blob(struct source *s, void *blob)
{
	(void)blob;
	((struct memory *)s)->n_open--;
}

static const struct source_ops ops = {.open = open_blob, .read = read_blob, .close = close_blob};

static struct memory *new_memory(void)
{
	struct memory *m = calloc(1, sizeof(*m));
	static char reference[] = "test:image";

	m->source.ops = &ops;
	m->source.reference = reference;
	m->source.layers = m->layers;
	return m;
}

static void free_memory(struct memory *m)
{
	assert_int_equal(m->n_open, 0);
	for (size_t i = 0; i < m->source.n_layers; i++)
		free(m->blobs[i].p);
	free(m);
}

static void compress_blob(struct blob *b, const struct buf *tar, enum form form)
{
	size_t room = tar->len + tar->len / 2 + 1024;

	b->p = malloc(room);
	if (form == PLAIN) {
		memcpy(b->p, tar->data, tar->len);
		b->n = tar->len;
	} else if (form == ZSTD) {
		b->n = ZSTD_compress(b->p, room, tar->data, tar->len, 3);
	} else {
		z_stream z = {.next_in = tar->data,
			.avail_in = (unsigned)tar->len,
			.next_out = b->p,
			.avail_out = (unsigned)room};
		deflateInit2(&z, 6, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY);
		deflate(&z, Z_FINISH);
		b->n = room - z.avail_out;
		deflateEnd(&z);
	}
}

/* What the builder has becomes the next layer. */
static void add_layer(struct memory *m, struct tar_builder *t, enum form form)
{
	size_t i = m->source.n_layers++;
	struct source_layer *l = &m->layers[i];

	compress_blob(&m->blobs[i], &t->bytes, form);
	l->has_diff_id = l->has_digest = l->has_size = true;
	chunkid_hash(t->bytes.len ? t->bytes.data : (unsigned char *)"", t->bytes.len, &l->diff_id);
	chunkid_hash(m->blobs[i].p, m->blobs[i].n, &l->digest);
	l->size = m->blobs[i].n;
	m->n_tar += t->bytes.len;
	buf_reset(&t->bytes);
}

/* ---- */

static int flatten(struct memory *m, const struct flatten_options *opts, struct chunkid *ret,
	struct smr_error *err)
{
	const struct ext4_options image_opts = {.chunk_size = 512u << 10};
	const struct flatten_options none = {0};
	struct ext4_image *image;
	struct flatten f;
	int r = flatten_layers(&m->source, opts ? opts : &none, &f, err);

	if (r < 0)
		return r;
	assert_int_equal(ext4_image_new(f.tree, f.spool, &image_opts, &image, NULL), 0);
	if (ret)
		*ret = ext4_image_info(image)->tree_digest;
	ext4_image_free(image);
	flatten_done(&f);
	return 0;
}

static void assert_refused(
	struct memory *m, const struct flatten_options *opts, int code, const char *text)
{
	struct smr_error err = {0};

	assert_int_equal(flatten(m, opts, NULL, &err), code);
	if (!strstr(err.message, text))
		fail_msg("not '%s' but: %s", text, err.message);
}

static void put_files(struct tar_builder *t, const char *dir, int n, uint64_t mtime)
{
	char path[64], data[5000];

	memset(data, dir[0], sizeof(data));
	for (int i = 0; i < n; i++) {
		snprintf(path, sizeof(path), "%s/%d", dir, i);
		tar_builder_put(t, (struct tar_entry){.name = path,
					   .data = data,
					   .n = (size_t)i * 37 % sizeof(data),
					   .mtime = mtime});
	}
}

static void build(struct memory *m, const enum form forms[3])
{
	struct tar_builder t;

	tar_builder_init(&t);
	put_files(&t, "base", 200, 1);
	tar_builder_end(&t);
	add_layer(m, &t, forms[0]);
	put_files(&t, "app", 100, 2);
	tar_builder_file(&t, "base/.wh.7", "");
	tar_builder_end(&t);
	add_layer(m, &t, forms[1]);
	tar_builder_end(&t);
	add_layer(m, &t, forms[2]);
	tar_builder_done(&t);
}

static void test_compression_changes_nothing(void **state)
{
	(void)state;
	static const enum form forms[][3] = {
		{PLAIN, PLAIN, PLAIN}, {GZIP, GZIP, GZIP}, {ZSTD, ZSTD, ZSTD}, {ZSTD, PLAIN, GZIP}};
	struct chunkid first, other;
	for (size_t i = 0; i < 4; i++) {
		struct memory *m = new_memory();
		build(m, forms[i]);
		assert_int_equal(flatten(m, NULL, i ? &other : &first, NULL), 0);
		assert_true(i == 0 || chunkid_equal(&first, &other));
		free_memory(m);
	}
}

static void test_the_order_of_layers_changes_nothing_where_the_tree_is_the_same(void **state)
{
	(void)state;
	struct chunkid digest[2];
	for (int i = 0; i < 2; i++) {
		struct memory *m = new_memory();
		struct tar_builder t;
		tar_builder_init(&t);
		for (int k = 0; k < 2; k++) {
			tar_builder_dir(&t, "usr");
			put_files(&t, k == i ? "usr/one" : "usr/two", 50, 3);
			tar_builder_end(&t);
			add_layer(m, &t, GZIP);
		}
		tar_builder_done(&t);
		assert_int_equal(flatten(m, NULL, &digest[i], NULL), 0);
		free_memory(m);
	}
	assert_true(chunkid_equal(&digest[0], &digest[1]));
}

static void test_empty_layers_of_any_kind(void **state)
{
	(void)state;
	struct memory *m = new_memory();
	struct chunkid with, without;
	struct tar_builder t;
	tar_builder_init(&t);
	put_files(&t, "a", 10, 1);
	tar_builder_end(&t);
	add_layer(m, &t, GZIP);
	assert_int_equal(flatten(m, NULL, &without, NULL), 0);
	add_layer(m, &t, PLAIN); /* no bytes at all */
	add_layer(m, &t, GZIP);
	tar_builder_end(&t);
	add_layer(m, &t, ZSTD);
	assert_int_equal(flatten(m, NULL, &with, NULL), 0);
	assert_true(chunkid_equal(&with, &without));
	tar_builder_done(&t);
	free_memory(m);
	m = new_memory();
	assert_int_equal(flatten(m, NULL, &with, NULL), 0); /* no layers */
	free_memory(m);
}

static void test_messages_name_the_layer(void **state)
{
	(void)state;
	static const enum form forms[3] = {GZIP, GZIP, GZIP};
	struct memory *m = new_memory();
	build(m, forms);
	m->layers[1].diff_id.b[0] ^= 1;
	assert_refused(m, NULL, -EBADMSG,
		"test:image: layer 2: its content is not what the config's diff_id says");
	m->layers[1].diff_id.b[0] ^= 1;
	m->layers[2].digest.b[0] ^= 1;
	assert_refused(m, NULL, -EBADMSG, "layer 3: blob sha256:");
	m->layers[2].digest.b[0] ^= 1;
	m->layers[0].size++;
	assert_refused(m, NULL, -EBADMSG, "layer 1: blob sha256:");
	m->layers[0].size -= 2;
	assert_refused(m, NULL, -EBADMSG, "layer 1: the layer is longer");
	free_memory(m);
}

static void test_a_layer_without_a_diff_id_must_have_an_end(void **state)
{
	(void)state;
	struct memory *m = new_memory();
	struct tar_builder t;
	tar_builder_init(&t);
	tar_builder_file(&t, "a", "1");
	add_layer(m, &t, PLAIN);
	assert_int_equal(flatten(m, NULL, NULL, NULL), 0);
	m->layers[0].has_diff_id = false;
	assert_refused(m, NULL, -EBADMSG, "no end mark");
	tar_builder_done(&t);
	free_memory(m);
}

static void test_limits_are_over_all_layers(void **state)
{
	(void)state;
	static const enum form forms[3] = {GZIP, PLAIN, ZSTD};
	struct memory *m = new_memory();
	struct limits limits = {.entries = 302}; /* the names; members are one less */
	struct flatten_options opts = {.limits = &limits};
	build(m, forms);
	assert_int_equal(flatten(m, &opts, NULL, NULL), 0);
	limits.entries = 300;
	assert_refused(
		m, &opts, -EFBIG, "layer 2: 'app/98': the image has more files than --max-entries");
	limits = (struct limits){.bytes = m->n_tar - 1};
	assert_refused(m, &opts, -EFBIG, "layer 3: the layers are larger than");
	limits = (struct limits){.bytes = m->n_tar};
	assert_int_equal(flatten(m, &opts, NULL, NULL), 0);
	free_memory(m);
}

static void count(void *user, uint64_t bytes, uint64_t files)
{
	atomic_uint_least64_t *sums = user;

	atomic_fetch_add(&sums[0], bytes);
	atomic_fetch_add(&sums[1], files);
}

static void test_progress_adds_up(void **state)
{
	(void)state;
	static const enum form forms[3] = {GZIP, ZSTD, PLAIN};
	struct memory *m = new_memory();
	atomic_uint_least64_t sums[2] = {0, 0};
	struct flatten_options opts = {.progress = count, .user = sums};
	build(m, forms);
	assert_int_equal(flatten(m, &opts, NULL, NULL), 0);
	assert_int_equal(sums[0], m->blobs[0].n + m->blobs[1].n + m->blobs[2].n);
	assert_int_equal(sums[1], 301);
	free_memory(m);
}

static void test_what_was_cancelled_ends_and_says_nothing(void **state)
{
	(void)state;
	static const enum form forms[3] = {GZIP, GZIP, GZIP};
	struct memory *m = new_memory();
	atomic_bool cancel = true;
	struct flatten_options opts = {.cancel = &cancel};
	struct smr_error err = {0};
	build(m, forms);
	assert_int_equal(flatten(m, &opts, NULL, &err), -ECANCELED);
	assert_string_equal(err.message, "");
	free_memory(m);
}

static void test_the_spool_goes_where_it_is_told(void **state)
{
	(void)state;
	static const enum form forms[3] = {GZIP, GZIP, GZIP};
	struct memory *m = new_memory();
	struct flatten_options opts = {.temp_dir = "/nonexistent"};
	build(m, forms);
	assert_refused(m, &opts, -ENOENT, "cannot create a temporary file in /nonexistent");
	free_memory(m);
}

static void test_a_directory_of_this_machine_is_a_tree(void **state)
{
	(void)state;
	struct tempdir t;
	struct flatten f;
	const struct flatten_options none = {0};
	uint32_t node;
	tempdir_init(&t);
	mkdirat(t.fd, "d", 0700);
	close(openat(t.fd, "d/\xff", O_CREAT | O_WRONLY, 0640));
	assert_int_equal(linkat(t.fd, "d/\xff", t.fd, "other", 0), 0);
	assert_int_equal(symlinkat("/etc/passwd", t.fd, "link"), 0);
	assert_int_equal(mkfifoat(t.fd, "fifo", 0600), 0);
	assert_int_equal(flatten_dir(t.path, &none, &f, NULL), 0);
	assert_int_equal(tree_n_entries(f.tree), 5);
	assert_int_equal(tree_n_inodes(f.tree), 5); /* with the root; two names are one */
	assert_int_equal(tree_lookup(f.tree, TREE_ROOT, "link", 4, &node), 0);
	assert_true(S_ISLNK(tree_node(f.tree, node)->mode));
	flatten_done(&f);
	tempdir_done(&t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_compression_changes_nothing),
		cmocka_unit_test(
			test_the_order_of_layers_changes_nothing_where_the_tree_is_the_same),
		cmocka_unit_test(test_empty_layers_of_any_kind),
		cmocka_unit_test(test_messages_name_the_layer),
		cmocka_unit_test(test_a_layer_without_a_diff_id_must_have_an_end),
		cmocka_unit_test(test_limits_are_over_all_layers),
		cmocka_unit_test(test_progress_adds_up),
		cmocka_unit_test(test_what_was_cancelled_ends_and_says_nothing),
		cmocka_unit_test(test_the_spool_goes_where_it_is_told),
		cmocka_unit_test(test_a_directory_of_this_machine_is_a_tree),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
