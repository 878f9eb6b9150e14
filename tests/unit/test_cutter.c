/* SPDX-License-Identifier: BSD-3-Clause */
/* The cutter, and the image file that it reads, over a real directory store. */
#include "store_fixture.h"

#include <fcntl.h>

#include "../../chunker/build/cutter.h"
#include "../../chunker/build/imgfile.h"

#define SLOTS 24u

/* Slot `slot` of the image at `path` becomes chunk number `seed`; 0: zeros, as data and not as a hole. */
static void write_slot(const char *path, unsigned slot, unsigned seed)
{
	unsigned char *pool = calloc(1, CHUNK);
	int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);

	assert_true(pool && fd >= 0);
	for (size_t i = 0; seed && i < CHUNK; i += 64)
		memcpy(pool + i, &seed, sizeof(seed));
	assert_int_equal(fd_pwrite(fd, pool, CHUNK, (uint64_t)slot * CHUNK), 0);
	close(fd);
	free(pool);
}

static void set_size(const char *path, uint64_t size)
{
	assert_int_equal(truncate(path, (off_t)size), 0);
}

/* Every third slot a hole, every fourth zeros; slots 1 and 5 alike; the last one 1,000 bytes long. */
static const char *make_image(const char *dir)
{
	const char *path = below(dir, "disk.img");

	for (unsigned i = 0; i < SLOTS; i++)
		if (i % 3 != 0)
			write_slot(path, i, i % 4 == 0 ? 0 : i == 5 ? 1 : i);
	set_size(path, (SLOTS - 1) * (uint64_t)CHUNK + 1000);
	return path;
}

/* Slots of make_image with something in them: 1 2 5 7 10 11 13 14 17 19 22 23; 5 is 1 again. */
#define IMAGE_CHUNKS   12u
#define IMAGE_DISTINCT 11u

static int cut(struct store *s, const char *path, struct cutter_options opts,
	struct cutter_result *ret, struct smr_error *err)
{
	struct imgfile file;
	int r = imgfile_open(&file, path, err);

	if (r < 0)
		return r;
	if (!opts.name)
		opts.name = "disk";
	struct imgsource img = imgfile_source(&file);
	r = cutter_cut(s, &img, &opts, ret, err);
	imgfile_close(&file);
	return r;
}

static void assert_no_image(struct store *s, const char *name)
{
	struct recipe *recipe;

	assert_int_equal(store_get_recipe(s, name, &recipe, NULL), -ENOENT);
}

static void test_cut_stores_what_is_not_zero(void **state)
{
	struct smr_error err = {0};
	struct cutter_result result;
	struct recipe *recipe;
	const char *path = make_image(*state);
	struct store *s = open_store(below(*state, "store"), true);

	ok(cut(s, path, (struct cutter_options){0}, &result, &err));
	assert_int_equal(result.image_size, (SLOTS - 1) * (uint64_t)CHUNK + 1000);
	assert_int_equal(result.n_chunks, IMAGE_CHUNKS);
	assert_int_equal(result.n_distinct, IMAGE_DISTINCT);
	assert_int_equal(result.n_new, IMAGE_DISTINCT);
	assert_int_equal(result.data_bytes, (IMAGE_CHUNKS - 1) * (uint64_t)CHUNK + 1000);
	assert_false(result.same);
	assert_false(result.replaced);

	ok(store_get_recipe(s, "disk", &recipe, &err));
	assert_true(chunkid_equal(&result.digest, &recipe_info(recipe)->digest));
	assert_int_equal(recipe_info(recipe)->layout, 0);
	assert_null(recipe_find(recipe, 3));
	assert_null(recipe_find(recipe, 4));
	assert_true(chunkid_equal(recipe_find(recipe, 1), recipe_find(recipe, 5)));
	recipe_free(recipe);
	store_free(s);
}

static void test_last_chunk_is_padded_with_zeros(void **state)
{
	struct smr_error err = {0};
	struct cutter_result result;
	struct recipe *recipe;
	struct chunkid id;
	const char *path = make_image(*state);
	struct store *s = open_store(below(*state, "store"), true);
	unsigned char *pool = calloc(1, CHUNK);
	size_t n;

	ok(cut(s, path, (struct cutter_options){0}, &result, &err));
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	assert_int_equal(fd_pread(fd, pool, CHUNK, (SLOTS - 1) * (uint64_t)CHUNK, &n), 0);
	assert_int_equal(n, 1000);
	close(fd);
	chunkid_hash(pool, CHUNK, &id);
	ok(store_get_recipe(s, "disk", &recipe, &err));
	assert_true(chunkid_equal(&id, recipe_find(recipe, SLOTS - 1)));
	recipe_free(recipe);
	store_free(s);
	free(pool);
}

static void test_recipe_does_not_depend_on_threads_or_level(void **state)
{
	struct smr_error err = {0};
	struct cutter_result one, many;
	const char *path = make_image(*state);
	struct store *a = open_store(below(*state, "a"), true);
	struct store *b = open_store(below(*state, "b"), true);

	ok(cut(a, path, (struct cutter_options){.n_threads = 1}, &one, &err));
	ok(cut(b, path, (struct cutter_options){.n_threads = 13, .level = 9}, &many, &err));
	assert_true(chunkid_equal(&one.digest, &many.digest));
	assert_int_equal(many.n_new, IMAGE_DISTINCT);
	store_free(a);
	store_free(b);
}

static void test_second_run_writes_nothing(void **state)
{
	struct smr_error err = {0};
	struct cutter_result result;
	const char *path = make_image(*state);
	struct store *s = open_store(below(*state, "store"), true);

	ok(cut(s, path, (struct cutter_options){0}, &result, &err));
	ok(cut(s, path, (struct cutter_options){0}, &result, &err));
	assert_int_equal(result.n_new, 0);
	assert_int_equal(result.new_bytes, 0);
	assert_true(result.same);
	assert_false(result.replaced);
	store_free(s);
}

static void test_image_of_holes_has_no_chunks(void **state)
{
	struct smr_error err = {0};
	struct cutter_result result;
	const char *path = below(*state, "hole.img");
	struct store *s = open_store(below(*state, "store"), true);

	write_text(path, "");
	set_size(path, 1ull << 40);
	ok(cut(s, path, (struct cutter_options){0}, &result, &err));
	assert_int_equal(result.n_chunks, 0);
	assert_int_equal(result.image_size, 1ull << 40);
	store_free(s);
}

static void test_chunk_size_can_be_chosen(void **state)
{
	struct smr_error err = {0};
	struct cutter_result result;
	struct recipe *recipe;
	const char *path = make_image(*state);
	struct store *s = open_store(below(*state, "store"), true);

	ok(cut(s, path, (struct cutter_options){.chunk_size = CODEC_CHUNK_MIN}, &result, &err));
	ok(store_get_recipe(s, "disk", &recipe, &err));
	assert_int_equal(recipe_info(recipe)->chunk_size, CODEC_CHUNK_MIN);
	recipe_free(recipe);
	assert_int_equal(cut(s, path, (struct cutter_options){.chunk_size = 100000}, &result, &err),
		-EINVAL);
	store_free(s);
}

static void test_replaced_name_is_told(void **state)
{
	struct smr_error err = {0};
	struct cutter_result first, second;
	const char *path = make_image(*state);
	struct store *s = open_store(below(*state, "store"), true);

	ok(cut(s, path, (struct cutter_options){0}, &first, &err));
	write_slot(path, 7, 77);
	ok(cut(s, path, (struct cutter_options){0}, &second, &err));
	assert_true(second.replaced);
	assert_true(chunkid_equal(&second.old_digest, &first.digest));
	assert_int_equal(second.n_new, 1);
	store_free(s);
}

/* What a test does to the image while it is read: at the first chunk. */
struct meddling {
	const char *path;
	atomic_int calls;
	uint64_t new_size; /* 0: write a byte instead */
	atomic_bool *cancel;
};

static void meddle(void *user, uint64_t position, uint64_t data_bytes)
{
	struct meddling *m = user;
	(void)position, (void)data_bytes;

	if (atomic_fetch_add(&m->calls, 1) != 0)
		return;
	if (m->cancel)
		atomic_store(m->cancel, true);
	else if (m->new_size)
		set_size(m->path, m->new_size);
	else
		write_slot(m->path, 2, 99);
}

static void meddled_cut_fails(void **state, uint64_t new_size)
{
	struct smr_error err = {0};
	struct cutter_result result;
	const char *path = make_image(*state);
	struct store *s = open_store(below(*state, "store"), true);
	struct meddling m = {.path = path, .new_size = new_size};
	struct cutter_options opts = {.n_threads = 2, .progress = meddle, .user = &m};

	/* Time stamps of files advance in ticks. */
	usleep(20000);
	assert_int_equal(cut(s, path, opts, &result, &err), -ESTALE);
	assert_non_null(strstr(err.message, "while it was being read"));
	assert_no_image(s, "disk");
	store_free(s);
}

static void test_file_written_while_read_is_not_published(void **state)
{
	meddled_cut_fails(state, 0);
}

static void test_file_that_shrinks_is_not_published(void **state)
{
	meddled_cut_fails(state, 10ull * CHUNK);
}

static void test_file_that_grows_is_not_published(void **state)
{
	meddled_cut_fails(state, 100ull * CHUNK);
}

static void test_cancel_publishes_nothing_and_next_run_continues(void **state)
{
	struct smr_error err = {0};
	struct cutter_result result;
	const char *path = make_image(*state);
	struct store *s = open_store(below(*state, "store"), true);
	atomic_bool cancel = false;
	struct meddling m = {.path = path, .cancel = &cancel};
	struct cutter_options opts = {
		.n_threads = 1, .cancel = &cancel, .progress = meddle, .user = &m};

	assert_int_equal(cut(s, path, opts, &result, &err), -ECANCELED);
	assert_no_image(s, "disk");
	store_free(s);

	s = open_store(below(*state, "store"), false);
	ok(cut(s, path, (struct cutter_options){0}, &result, &err));
	assert_int_equal(result.n_new, IMAGE_DISTINCT - 1);
	store_free(s);
}

static void test_repair_replaces_damaged_chunks_only(void **state)
{
	struct smr_error err = {0};
	struct cutter_result result;
	struct recipe *recipe;
	const char *path = make_image(*state);
	struct store *s = open_store(below(*state, "store"), true);
	struct cutter_options opts = {.repair = true};

	ok(cut(s, path, (struct cutter_options){0}, &result, &err));
	ok(store_get_recipe(s, "disk", &recipe, &err));
	struct chunkid bad = *recipe_find(recipe, 7);
	recipe_free(recipe);
	ok(store_put(s, &bad, "nonsense", 8, &err));
	ok(store_flush(s, &err));

	ok(cut(s, path, (struct cutter_options){0}, &result, &err));
	assert_int_equal(result.n_repaired, 0);
	ok(cut(s, path, opts, &result, &err));
	assert_int_equal(result.n_repaired, 1);
	assert_int_equal(result.n_new, 0);
	ok(cut(s, path, opts, &result, &err));
	assert_int_equal(result.n_repaired, 0);
	store_free(s);
}

/* ---- a store that fails ---- */

static int full_put(struct store *s, const struct chunkid *id, const void *wire, size_t n,
	struct smr_error *err)
{
	(void)s, (void)id, (void)wire, (void)n;
	return error_set(err, -ENOSPC, "the store is full");
}

static int full_has(struct store *s, const struct chunkid *id, uint64_t *len, struct smr_error *err)
{
	(void)s, (void)id, (void)len;
	return error_set(err, -ENOENT, "not here");
}

static int full_put_recipe(struct store *s, const struct recipe *r, bool *same, struct smr_error *e)
{
	(void)s, (void)r, (void)same, (void)e;
	fail_msg("a recipe was published");
	return 0;
}

static void test_failing_store_ends_the_cut(void **state)
{
	static const struct store_ops ops = {
		.put = full_put, .has = full_has, .put_recipe = full_put_recipe};
	struct store full = {.ops = &ops, .url = (char *)"full", .local = true};
	struct smr_error err = {0};
	struct cutter_result result;

	assert_int_equal(cut(&full, make_image(*state), (struct cutter_options){.n_threads = 4},
				 &result, &err),
		-ENOSPC);
	assert_string_equal(err.message, "the store is full");
}

/* ---- image files ---- */

static void test_imgfile_refuses_what_is_no_image(void **state)
{
	struct smr_error err = {0};
	struct imgfile f;
	const char *empty = below(*state, "empty"), *fifo = below(*state, "fifo");

	write_text(empty, "");
	assert_int_equal(mkfifo(fifo, 0600), 0);
	assert_int_equal(imgfile_open(&f, empty, &err), -EINVAL);
	assert_int_equal(imgfile_open(&f, fifo, &err), -EINVAL);
	assert_int_equal(imgfile_open(&f, *state, &err), -EINVAL);
	assert_int_equal(imgfile_open(&f, below(*state, "none"), &err), -ENOENT);
}

static void test_imgfile_finds_data_between_holes(void **state)
{
	struct smr_error err = {0};
	struct imgfile f;
	uint64_t start, end;
	const char *path = below(*state, "x.img");

	write_slot(path, 4, 1);
	set_size(path, 9ull * CHUNK);
	ok(imgfile_open(&f, path, &err));
	if (f.has_holes) {
		ok(imgfile_next_data(&f, 0, &start, &end, &err));
		assert_int_equal(start, 4ull * CHUNK);
		assert_int_equal(end, 5ull * CHUNK);
		ok(imgfile_next_data(&f, 4ull * CHUNK + 7, &start, &end, &err));
		assert_int_equal(start, 4ull * CHUNK + 7);
		assert_int_equal(imgfile_next_data(&f, 5ull * CHUNK, &start, &end, &err), -ENXIO);
	}
	assert_int_equal(imgfile_next_data(&f, 9ull * CHUNK, &start, &end, &err), -ENXIO);
	ok(imgfile_check(&f, &err));
	imgfile_close(&f);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_dir, fixture_dir_done)
	const struct CMUnitTest tests[] = {
		TEST(test_cut_stores_what_is_not_zero),
		TEST(test_last_chunk_is_padded_with_zeros),
		TEST(test_recipe_does_not_depend_on_threads_or_level),
		TEST(test_second_run_writes_nothing),
		TEST(test_image_of_holes_has_no_chunks),
		TEST(test_chunk_size_can_be_chosen),
		TEST(test_replaced_name_is_told),
		TEST(test_file_written_while_read_is_not_published),
		TEST(test_file_that_shrinks_is_not_published),
		TEST(test_file_that_grows_is_not_published),
		TEST(test_cancel_publishes_nothing_and_next_run_continues),
		TEST(test_repair_replaces_damaged_chunks_only),
		TEST(test_failing_store_ends_the_cut),
		TEST(test_imgfile_refuses_what_is_no_image),
		TEST(test_imgfile_finds_data_between_holes),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
