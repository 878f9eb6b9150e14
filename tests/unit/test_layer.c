/* SPDX-License-Identifier: BSD-3-Clause */
/* The rules of layers, on archives made up here: what is in the tree afterwards. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "../../chunker/build/layer.h"
#include "tar_builder.h"

struct world {
	struct layer_target to;
	struct tar_builder tar; /* of the layer that comes next */
	bool begun;
};

static int setup(void **state)
{
	struct world *w = calloc(1, sizeof(*w));

	w->to.tree = tree_new(NULL);
	w->to.limits = limits_or_defaults(NULL);
	tar_builder_init(&w->tar);
	*state = w;
	return w->to.tree ? spool_new(NULL, 0, &w->to.spool, NULL) : -ENOMEM;
}

static int teardown(void **state)
{
	struct world *w = *state;

	tree_free(w->to.tree);
	spool_free(w->to.spool);
	tar_builder_done(&w->tar);
	free(w);
	return 0;
}

static int once(void *user, const void **ret_data, size_t *ret_n, struct smr_error *err)
{
	struct buf *b = user;

	(void)err;
	*ret_data = b->data;
	*ret_n = b->len;
	b->len = 0;
	return 0;
}

/* Applies what was put into w->tar as one more layer. */
static int apply_with(struct world *w, struct smr_error *err)
{
	struct tar_reader *r;

	tar_builder_end(&w->tar);
	if (w->begun)
		assert_int_equal(tree_next_layer(w->to.tree), 0);
	w->begun = true;
	r = tar_reader_new(once, NULL, &w->tar.bytes);
	int ret = layer_apply_archive(&w->to, r, err);
	tar_reader_free(r);
	buf_reset(&w->tar.bytes);
	return ret;
}

static void apply(struct world *w)
{
	struct smr_error err = {0};

	if (apply_with(w, &err) < 0)
		fail_msg("%s", err.message);
}

static void assert_refused(struct world *w, int code, const char *text)
{
	struct smr_error err = {0};

	assert_int_equal(apply_with(w, &err), code);
	if (!strstr(err.message, text))
		fail_msg("not '%s' but: %s", text, err.message);
}

static const struct tree_node *at(struct world *w, const char *path)
{
	struct tree_place p;

	if (tree_walk(w->to.tree, path, strlen(path), 0, &p) < 0 || p.node == TREE_NONE)
		return NULL;
	return tree_node(w->to.tree, p.node);
}

static bool has(struct world *w, const char *path)
{
	return at(w, path);
}

/* ---- whiteouts ---- */

static void test_a_whiteout_hides_what_is_below_it(void **state)
{
	struct world *w = *state;
	tar_builder_file(&w->tar, "a/b/c", "1");
	tar_builder_file(&w->tar, "a/d", "1");
	apply(w);
	tar_builder_file(&w->tar, "a/.wh.b", "");
	apply(w);
	assert_false(has(w, "a/b"));
	assert_true(has(w, "a/d"));
	assert_false(has(w, "a/.wh.b"));
}

/* Writers disagree on the order, so none counts. */
static void test_the_order_of_whiteout_and_content_does_not_matter(void **state)
{
	struct world *w = *state;
	for (int whiteout_first = 0; whiteout_first < 2; whiteout_first++) {
		tar_builder_file(&w->tar, "d/old", "1");
		tar_builder_file(&w->tar, "f/old", "1");
		apply(w);
		if (whiteout_first) {
			tar_builder_file(&w->tar, "d/.wh..wh..opq", "");
			tar_builder_file(&w->tar, ".wh.f", "");
		}
		tar_builder_dir(&w->tar, "d");
		tar_builder_file(&w->tar, "d/new", "2");
		tar_builder_file(&w->tar, "d/sub/new", "2");
		tar_builder_file(&w->tar, "f/new", "2");
		if (!whiteout_first) {
			tar_builder_file(&w->tar, "d/.wh..wh..opq", "");
			tar_builder_file(&w->tar, ".wh.f", "");
		}
		apply(w);
		assert_false(has(w, "d/old"));
		assert_true(has(w, "d/new"));
		assert_true(has(w, "d/sub/new"));
		assert_false(has(w, "f/old"));
		assert_true(has(w, "f/new"));
	}
}

static void test_an_opaque_directory_hides_all_lower_layers_once(void **state)
{
	struct world *w = *state;
	tar_builder_file(&w->tar, "d/one/x", "1");
	apply(w);
	tar_builder_file(&w->tar, "d/two", "2");
	apply(w);
	tar_builder_file(&w->tar, "d/one/y", "3");
	tar_builder_file(&w->tar, "d/.wh..wh..opq", "");
	tar_builder_file(&w->tar, "d/one/z", "3");
	tar_builder_file(&w->tar, "d/one/.wh..wh..opq", "");
	tar_builder_file(&w->tar, "d/.wh..wh..opq", "");
	apply(w);
	assert_false(has(w, "d/one/x") || has(w, "d/two"));
	assert_true(has(w, "d/one/y") && has(w, "d/one/z"));
	/* the next layer may be opaque again */
	tar_builder_file(&w->tar, "d/.wh..wh..opq", "");
	apply(w);
	assert_true(has(w, "d"));
	assert_int_equal(at(w, "d")->dir.n_children, 0);
}

static void test_whiteouts_of_nothing_and_of_what_became_a_file(void **state)
{
	struct world *w = *state;
	tar_builder_file(&w->tar, "d/x", "1");
	apply(w);
	tar_builder_file(&w->tar, "d", "now a file");
	tar_builder_file(&w->tar, "d/.wh.x", "");
	tar_builder_file(&w->tar, ".wh.nowhere", "");
	tar_builder_file(&w->tar, "no/where/.wh..wh..opq", "");
	apply(w);
	assert_true(S_ISREG(at(w, "d")->mode));
	assert_false(has(w, "no"));
}

static void test_what_aufs_left_is_passed_over(void **state)
{
	struct world *w = *state;
	tar_builder_file(&w->tar, ".wh..wh.aufs", "");
	tar_builder_dir(&w->tar, ".wh..wh.orph/");
	tar_builder_file(&w->tar, "./.wh..wh.plnk/12.34", "");
	apply(w);
	assert_int_equal(tree_n_entries(w->to.tree), 0);
}

static void test_the_root_cannot_be_whited_out(void **state)
{
	static const char *const names[] = {
		".wh.", "./.wh.", ".wh..", ".wh...", "d/.wh..", "../.wh.x"};
	struct world *w = *state;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		tar_builder_file(&w->tar, names[i], "");
		assert_refused(w, -EBADMSG, names[i]);
	}
}

/* ---- types ---- */

static void test_every_type_replaces_every_other(void **state)
{
	struct world *w = *state;
	static const char types[] = "0234561";
	static const uint32_t modes[] = {
		S_IFREG, S_IFLNK, S_IFCHR, S_IFBLK, S_IFDIR, S_IFIFO, S_IFREG};
	tar_builder_file(&w->tar, "target", "t");
	apply(w);
	for (int from = 0; types[from]; from++)
		for (int to = 0; types[to]; to++) {
			tar_builder_link(&w->tar, "x", types[from], "target");
			if (types[from] == '5')
				tar_builder_file(&w->tar, "x/below", "");
			apply(w);
			tar_builder_link(&w->tar, "x", types[to], "target");
			apply(w);
			assert_int_equal(at(w, "x")->mode & S_IFMT, modes[to]);
			if (types[to] == '5')
				assert_int_equal(at(w, "x")->dir.n_children, types[from] == '5');
			assert_int_equal(at(w, "target")->n_links, types[to] == '1' ? 2 : 1);
		}
}

static void test_a_directory_replaces_a_symlink_to_one(void **state)
{
	struct world *w = *state;
	tar_builder_dir(&w->tar, "real");
	tar_builder_link(&w->tar, "link", '2', "real");
	tar_builder_file(&w->tar, "link/through", "");
	apply(w);
	assert_true(has(w, "real/through"));
	tar_builder_dir(&w->tar, "link");
	tar_builder_file(&w->tar, "link/own", "");
	apply(w);
	assert_true(S_ISDIR(at(w, "link")->mode) && has(w, "link/own"));
	assert_true(has(w, "real/through") && !has(w, "real/own"));
}

static void test_the_root_has_attributes(void **state)
{
	struct world *w = *state;
	tar_builder_put(
		&w->tar, (struct tar_entry){.name = "./", .type = '5', .mode = 0711, .uid = 9});
	apply(w);
	assert_int_equal(tree_node(w->to.tree, TREE_ROOT)->mode, S_IFDIR | 0711);
	assert_int_equal(tree_node(w->to.tree, TREE_ROOT)->uid, 9);
}

static void test_empty_layers_change_nothing(void **state)
{
	struct world *w = *state;
	tar_builder_file(&w->tar, "x", "1");
	apply(w);
	apply(w);
	tree_next_layer(w->to.tree);
	struct tar_reader *r = tar_reader_new(once, NULL, &w->tar.bytes);
	assert_int_equal(layer_apply_archive(&w->to, r, NULL), 0);
	tar_reader_free(r);
	assert_int_equal(tree_n_entries(w->to.tree), 1);
}

/* ---- links ---- */

static void test_links_reach_into_lower_layers(void **state)
{
	struct world *w = *state;
	tar_builder_file(&w->tar, "a", "1");
	tar_builder_link(&w->tar, "s", '2', "nowhere");
	apply(w);
	tar_builder_link(&w->tar, "d/b", '1', "a");
	tar_builder_link(&w->tar, "t", '1', "./s");
	apply(w);
	assert_ptr_equal(at(w, "a"), at(w, "d/b"));
	assert_ptr_equal(at(w, "s"), at(w, "t"));
	assert_true(S_ISLNK(at(w, "t")->mode));
	/* a new file under one name leaves the other alone */
	tar_builder_file(&w->tar, "a", "22");
	apply(w);
	assert_int_equal(at(w, "a")->file.size, 2);
	assert_int_equal(at(w, "d/b")->file.size, 1);
	assert_int_equal(at(w, "d/b")->n_links, 1);
}

static void test_a_whited_out_name_leaves_the_others(void **state)
{
	struct world *w = *state;
	tar_builder_file(&w->tar, "a", "1");
	tar_builder_link(&w->tar, "b", '1', "a");
	apply(w);
	tar_builder_file(&w->tar, ".wh.a", "");
	apply(w);
	assert_false(has(w, "a"));
	assert_int_equal(at(w, "b")->n_links, 1);
	assert_int_equal(at(w, "b")->file.size, 1);
}

static void test_a_layer_may_repeat_links_of_lower_ones_only(void **state)
{
	struct world *w = *state;
	tar_builder_file(&w->tar, "a", "1");
	tar_builder_link(&w->tar, "b", '1', "a");
	apply(w);
	tar_builder_link(&w->tar, "b", '1', "a");
	apply(w);
	assert_int_equal(at(w, "a")->n_links, 2);
	tar_builder_link(&w->tar, "c", '1', "a");
	tar_builder_link(&w->tar, "c", '1', "a");
	assert_refused(w, -EBADMSG, "'c' is the same link for the second time");
	tar_builder_link(&w->tar, "a", '1', "a");
	assert_refused(w, -EBADMSG, "'a' is a link to itself");
	tar_builder_link(&w->tar, "./a", '1', ".//a");
	assert_refused(w, -EBADMSG, "is a link to itself");
}

static void test_links_to_nothing_in_circles_and_to_directories(void **state)
{
	struct world *w = *state;
	tar_builder_dir(&w->tar, "d");
	apply(w);
	tar_builder_link(&w->tar, "x", '1', "y");
	tar_builder_link(&w->tar, "y", '1', "x");
	assert_refused(w, -EBADMSG, "'x': the link target 'y': there is no such file");
	tar_builder_link(&w->tar, "x", '1', "d");
	assert_refused(w, -EBADMSG, "hard link to the directory 'd'");
	tar_builder_link(&w->tar, "x", '1', "d/../d");
	assert_refused(w, -EBADMSG, "'..'");
	tar_builder_link(&w->tar, "x", '1', "/d");
	assert_refused(w, -EBADMSG, "absolute");
}

static void test_no_symlink_leads_out_of_the_image(void **state)
{
	struct world *w = *state;
	tar_builder_link(&w->tar, "up", '2', "..");
	tar_builder_link(&w->tar, "in", '2', "d/../d");
	tar_builder_link(&w->tar, "abs", '2', "/d");
	tar_builder_link(&w->tar, "a", '2', "b");
	tar_builder_link(&w->tar, "b", '2', "a");
	tar_builder_dir(&w->tar, "d");
	tar_builder_file(&w->tar, "in/1", "");
	tar_builder_file(&w->tar, "abs/2", "");
	apply(w);
	assert_true(has(w, "d/1") && has(w, "d/2"));
	tar_builder_file(&w->tar, "up/x", "");
	assert_refused(w, -EBADMSG, "'up/x': a symlink in it leads out");
	tar_builder_link(&w->tar, "h", '1', "up/x");
	assert_refused(w, -EBADMSG, "'up/x': a symlink in it leads out");
	tar_builder_file(&w->tar, "up/.wh.x", "");
	assert_refused(w, -EBADMSG, "a symlink in it leads out");
	tar_builder_file(&w->tar, "a/x", "");
	assert_refused(w, -EBADMSG, "go in circles");
}

/* ---- limits ---- */

static void test_entries_count_over_all_layers(void **state)
{
	struct world *w = *state;
	w->to.limits.entries = 3;
	tar_builder_file(&w->tar, "a", "");
	tar_builder_file(&w->tar, "a", "");
	apply(w);
	tar_builder_file(&w->tar, "a", "");
	tar_builder_file(&w->tar, ".wh.a", "");
	assert_refused(w, -EFBIG, "more than 3 files; --max-entries allows more");
}

/* A tenth of a second; it was hours when every mark looked at all names again. */
static void test_many_opaque_marks_of_a_wide_directory_end(void **state)
{
	struct world *w = *state;
	char name[32];
	for (int i = 0; i < 20000; i++) {
		snprintf(name, sizeof(name), "d/%d", i);
		tar_builder_file(&w->tar, name, "");
		tar_builder_file(&w->tar, "d/.wh..wh..opq", "");
	}
	apply(w);
	assert_int_equal(at(w, "d")->dir.n_children, 20000);
}

static void test_a_cancelled_layer_says_so(void **state)
{
	struct world *w = *state;
	atomic_bool cancel = true;
	w->to.cancel = &cancel;
	tar_builder_file(&w->tar, "a", "");
	assert_int_equal(apply_with(w, NULL), -ECANCELED);
}

int main(void)
{
#define CASE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		CASE(test_a_whiteout_hides_what_is_below_it),
		CASE(test_the_order_of_whiteout_and_content_does_not_matter),
		CASE(test_an_opaque_directory_hides_all_lower_layers_once),
		CASE(test_whiteouts_of_nothing_and_of_what_became_a_file),
		CASE(test_what_aufs_left_is_passed_over),
		CASE(test_the_root_cannot_be_whited_out),
		CASE(test_every_type_replaces_every_other),
		CASE(test_a_directory_replaces_a_symlink_to_one),
		CASE(test_the_root_has_attributes),
		CASE(test_empty_layers_change_nothing),
		CASE(test_links_reach_into_lower_layers),
		CASE(test_a_whited_out_name_leaves_the_others),
		CASE(test_a_layer_may_repeat_links_of_lower_ones_only),
		CASE(test_links_to_nothing_in_circles_and_to_directories),
		CASE(test_no_symlink_leads_out_of_the_image),
		CASE(test_entries_count_over_all_layers),
		CASE(test_many_opaque_marks_of_a_wide_directory_end),
		CASE(test_a_cancelled_layer_says_so),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
