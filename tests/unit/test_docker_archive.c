/* SPDX-License-Identifier: BSD-3-Clause */
/* docker save as Docker writes it before and after 25, and as somebody who lies would. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include <cmocka.h>

#include "../../chunker/build/archive_index.h"
#include "../../chunker/build/flatten.h"
#include "layout_builder.h"
#include "tar_builder.h"
#include "tempdir.h"

struct world {
	struct tempdir dir;
	struct tar_builder tar;
	struct buf layer; /* a small one, as its bytes */
	struct layout_blob diff_id;
	char config[512], config_name[100];
};

static int setup(void **state)
{
	struct world *w = calloc(1, sizeof(*w));
	struct tar_builder t;

	tempdir_init(&w->dir);
	tar_builder_init(&w->tar);
	tar_builder_init(&t);
	tar_builder_file(&t, "etc/motd", "hello");
	tar_builder_end(&t);
	w->diff_id = layout_blob_of(t.bytes.data, t.bytes.len);
	buf_move(&w->layer, &t.bytes);
	tar_builder_done(&t);
	snprintf(w->config, sizeof(w->config),
		"{\"os\": \"linux\", \"architecture\": \"amd64\", \"rootfs\": {\"type\": "
		"\"layers\", "
		"\"diff_ids\": [\"sha256:%s\"]}}",
		w->diff_id.hex);
	snprintf(w->config_name, sizeof(w->config_name), "%s.json",
		layout_blob_of(w->config, strlen(w->config)).hex);
	*state = w;
	return 0;
}

static int teardown(void **state)
{
	struct world *w = *state;

	tempdir_done(&w->dir);
	tar_builder_done(&w->tar);
	buf_done(&w->layer);
	free(w);
	return 0;
}

static void put_layer(struct world *w, const char *path)
{
	tar_builder_put(&w->tar,
		(struct tar_entry){.name = path, .data = w->layer.data, .n = w->layer.len});
}

/* manifest.json with a list of layers as it is in JSON. */
static void put_manifest(struct world *w, const char *config, const char *tags, const char *layers)
{
	char json[1024];

	snprintf(json, sizeof(json), "[{\"Config\": \"%s\", \"RepoTags\": %s, \"Layers\": %s}]",
		config, tags, layers);
	tar_builder_file(&w->tar, "manifest.json", json);
}

static int open_archive(
	struct world *w, const char *ref, struct source **ret, struct smr_error *err)
{
	char arg[PATH_MAX];

	tar_builder_end(&w->tar);
	layout_write(w->dir.fd, "x.tar", w->tar.bytes.data, w->tar.bytes.len);
	buf_reset(&w->tar.bytes);
	snprintf(arg, sizeof(arg), "docker-archive:%s/x.tar%s%s", w->dir.path, ref ? ":" : "",
		ref ? ref : "");
	return source_open(arg, NULL, ret, err);
}

static void assert_good(struct world *w, const char *ref, const char *name)
{
	const struct flatten_options none = {0};
	struct smr_error err = {0};
	struct source *s;
	struct flatten f;
	struct tree_place p;

	if (open_archive(w, ref, &s, &err) < 0 || flatten_layers(s, &none, &f, &err) < 0)
		fail_msg("%s", err.message);
	assert_string_equal(s->name, name);
	assert_int_equal(tree_walk(f.tree, "etc/motd", 8, 0, &p), 0);
	assert_int_not_equal(p.node, TREE_NONE);
	flatten_done(&f);
	source_free(s);
}

/* On opening or on reading. */
static void assert_refused(struct world *w, const char *ref, int code, const char *text)
{
	const struct flatten_options none = {0};
	struct smr_error err = {0};
	struct source *s;
	struct flatten f;
	int r = open_archive(w, ref, &s, &err);

	if (r == 0) {
		r = flatten_layers(s, &none, &f, &err);
		source_free(s);
	}
	assert_int_equal(r, code);
	if (!strstr(err.message, text))
		fail_msg("not '%s' but: %s", text, err.message);
}

static void test_as_docker_writes_it_before_25(void **state)
{
	struct world *w = *state;
	tar_builder_dir(&w->tar, "1234/");
	tar_builder_file(&w->tar, "1234/VERSION", "1.0");
	put_layer(w, "1234/layer.tar");
	/* the same layer of another image: a symlink */
	tar_builder_link(&w->tar, "5678/layer.tar", '2', "../1234/layer.tar");
	tar_builder_file(&w->tar, w->config_name, w->config);
	put_manifest(w, w->config_name, "[\"example/app:1\"]", "[\"5678/layer.tar\"]");
	tar_builder_file(&w->tar, "repositories", "{}");
	assert_good(w, NULL, "example_app_1");
}

static void test_as_docker_writes_it_since_25(void **state)
{
	struct world *w = *state;
	char layer[100], layers[120], config[100];
	snprintf(layer, sizeof(layer), "blobs/sha256/%s", w->diff_id.hex);
	snprintf(layers, sizeof(layers), "[\"%s\"]", layer);
	snprintf(config, sizeof(config), "blobs/sha256/%.64s", w->config_name);
	tar_builder_dir(&w->tar, "blobs/");
	put_layer(w, layer);
	tar_builder_file(&w->tar, config, w->config);
	put_manifest(w, config, "null", layers);
	assert_good(w, NULL, "x");
}

static void test_a_name_chooses_among_several_images(void **state)
{
	struct world *w = *state;
	static const char *const refs[] = {"one", "one:latest", "two:3"};
	char json[2048];
	for (int i = 0; i < 3; i++) {
		put_layer(w, "layer.tar");
		tar_builder_file(&w->tar, "c.json", w->config);
		tar_builder_file(&w->tar, "bad.json", "{}");
		snprintf(json, sizeof(json),
			"[{\"Config\": \"%s\", \"RepoTags\": [\"one:latest\"], \"Layers\": "
			"[\"layer.tar\"]}, "
			"{\"Config\": \"%s\", \"RepoTags\": [\"two:2\", \"two:3\"], \"Layers\": "
			"[\"layer.tar\"]}]",
			i < 2 ? "c.json" : "bad.json", i < 2 ? "bad.json" : "c.json");
		tar_builder_file(&w->tar, "./manifest.json", json);
		assert_good(w, refs[i], i == 0 ? "one" : i == 1 ? "one_latest" : "two_3");
	}
	tar_builder_file(&w->tar, "manifest.json", json);
	assert_refused(w, NULL, -EINVAL, "has several images, name one: one:latest, two:2");
	tar_builder_file(&w->tar, "manifest.json", json);
	assert_refused(w, "two", -ENOENT, "has no image 'two'; it has: one:latest, two:2");
	tar_builder_file(
		&w->tar, "manifest.json", "[{\"RepoTags\": [\"a:1\"]}, {\"RepoTags\": [\"a:1\"]}]");
	assert_refused(w, "a:1", -EBADMSG, "has several images 'a:1'");
}

static void test_paths_lead_nowhere_but_into_the_archive(void **state)
{
	struct world *w = *state;
	static const char *const layers[] = {
		"../../../etc/passwd", "/etc/passwd", "1234/../layer.tar", ""};
	char list[100];
	for (size_t i = 0; i < sizeof(layers) / sizeof(layers[0]); i++) {
		put_layer(w, "layer.tar");
		tar_builder_file(&w->tar, "c.json", w->config);
		snprintf(list, sizeof(list), "[\"%s\"]", layers[i]);
		put_manifest(w, "c.json", "null", list);
		snprintf(list, sizeof(list), "'%s' is in the archive not at all", layers[i]);
		assert_refused(w, NULL, -EBADMSG, list);
	}
	put_manifest(w, "/etc/passwd", "null", "[]");
	assert_refused(w, NULL, -EBADMSG, "'/etc/passwd' is in the archive not at all");
}

static void test_symlinks_lead_to_layers_only_and_once(void **state)
{
	struct world *w = *state;
	static const char *const targets[] = {"/etc/passwd", "../../etc/passwd",
		"../../../1/layer.tar", "layer2.tar", "../2/layer.tar", "../3/layer.tar"};
	static const char *const messages[] = {"is a link to '/etc/passwd'",
		"is a link to '../../etc", "is a link to '../../..", "is a link to 'layer2",
		"is a link to a link", "not at all"};
	for (size_t i = 0; i < sizeof(targets) / sizeof(targets[0]); i++) {
		put_layer(w, "1/layer.tar");
		tar_builder_link(&w->tar, "2/layer.tar", '2', targets[i]);
		tar_builder_file(&w->tar, "c.json", w->config);
		put_manifest(w, "c.json", "null", "[\"2/layer.tar\"]");
		assert_refused(w, NULL, -EBADMSG, messages[i]);
	}
	tar_builder_link(&w->tar, "manifest.json", '2', "/etc/passwd");
	assert_refused(w, NULL, -EBADMSG, "'manifest.json' is a link");
}

static void test_files_of_one_name_are_refused(void **state)
{
	struct world *w = *state;
	put_layer(w, "l.tar");
	put_layer(w, "./l.tar");
	tar_builder_file(&w->tar, "c.json", w->config);
	put_manifest(w, "c.json", "null", "[\"l.tar\"]");
	assert_refused(w, NULL, -EBADMSG, "'l.tar' is in the archive more than once");
	put_manifest(w, "c.json", "null", "[]");
	put_manifest(w, "c.json", "null", "[]");
	assert_refused(w, NULL, -EBADMSG, "'manifest.json' is in the archive more than once");
}

static void test_json_that_is_none_or_says_too_little(void **state)
{
	static const struct {
		const char *json, *text;
	} cases[] = {
		{"", "is not JSON"},
		{"[", "is not JSON"},
		{"[{\"Config\": \"a\", \"Config\": \"b\"}]", "duplicate"},
		{"{}", "has no images"},
		{"[]", "has no images"},
		{"[7]", "names no config"},
		{"[{}]", "names no config"},
		{"[{\"Config\": 7}]", "names no config"},
		{"[{\"Config\": \"c.json\"}]", "no list of layers"},
		{"[{\"Config\": \"c.json\", \"Layers\": [7]}]", "layer 1 has no name"},
		{"[{\"Config\": \"c.json\", \"Layers\": []}]",
			"the manifest has 0 layers, the config 1"},
	};
	struct world *w = *state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		tar_builder_file(&w->tar, "c.json", w->config);
		tar_builder_file(&w->tar, "manifest.json", cases[i].json);
		assert_refused(w, NULL, -EBADMSG, cases[i].text);
	}
	tar_builder_file(&w->tar, "other", "");
	assert_refused(w, NULL, -EBADMSG, "'manifest.json' is in the archive not at all");
}

static void test_huge_json_is_not_read(void **state)
{
	struct world *w = *state;
	const size_t n = (4u << 20) + 1;
	char *json = malloc(n);
	memset(json, ' ', n);
	tar_builder_put(&w->tar, (struct tar_entry){.name = "manifest.json", .data = json, .n = n});
	assert_refused(w, NULL, -EFBIG, "'manifest.json' has more than 4194304 bytes");
	free(json);
}

static void test_too_many_layers_are_refused(void **state)
{
	struct world *w = *state;
	const size_t n = 2000;
	char *json = malloc(n * 20 + 100),
	     *at = json + sprintf(json, "[{\"Config\": \"c.json\", \"Layers\": [");
	for (size_t i = 0; i < n; i++)
		at += sprintf(at, "%s\"l.tar\"", i ? "," : "");
	sprintf(at, "]}]");
	put_layer(w, "l.tar");
	tar_builder_file(&w->tar, "c.json", w->config);
	tar_builder_file(&w->tar, "manifest.json", json);
	assert_refused(w, NULL, -EFBIG, "it has 2000 layers, more than 1024");
	free(json);
}

static void test_config_and_layers_are_what_they_say(void **state)
{
	struct world *w = *state;
	put_layer(w, "l.tar");
	tar_builder_file(&w->tar, w->config_name, "{}");
	put_manifest(w, w->config_name, "null", "[\"l.tar\"]");
	assert_refused(w, NULL, -EBADMSG, "is not what its name says");
	tar_builder_file(&w->tar, "l.tar", "no layer");
	tar_builder_file(&w->tar, "c.json", w->config);
	put_manifest(w, "c.json", "null", "[\"l.tar\"]");
	assert_refused(w, NULL, -EBADMSG, "layer 1:");
	w->layer.data[600] ^= 1;
	put_layer(w, "l.tar");
	tar_builder_file(&w->tar, "c.json", w->config);
	put_manifest(w, "c.json", "null", "[\"l.tar\"]");
	assert_refused(w, NULL, -EBADMSG, "diff_id");
}

static void test_one_that_is_cut_off_is_noticed(void **state)
{
	struct world *w = *state;
	struct archive_index a;
	const struct source_options opts = {0};
	struct smr_error err = {0};
	char path[PATH_MAX];
	put_layer(w, "l.tar");
	layout_write(w->dir.fd, "x.tar", w->tar.bytes.data, w->tar.bytes.len - 1000);
	snprintf(path, sizeof(path), "%s/x.tar", w->dir.path);
	assert_int_equal(archive_index_open(&a, path, &opts, &err), -EBADMSG);
	assert_non_null(strstr(err.message, "cut off"));
}

/* All of it by gzip, as people keep them. */
static void gzip_archive(struct world *w, const void *data, size_t n)
{
	unsigned char *out = malloc(n + n / 2 + 1024);
	z_stream z = {.next_in = (unsigned char *)(uintptr_t)data,
		.avail_in = (unsigned)n,
		.next_out = out,
		.avail_out = (unsigned)(n + n / 2 + 1024)};
	deflateInit2(&z, 1, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY);
	deflate(&z, Z_FINISH);
	layout_write(w->dir.fd, "x.tar", out, z.total_out);
	deflateEnd(&z);
	free(out);
}

static void test_one_that_is_compressed_obeys_the_limits(void **state)
{
	struct world *w = *state;
	struct archive_index a;
	struct limits limits = {0};
	const struct source_options opts = {.limits = &limits};
	struct smr_error err = {0};
	char path[PATH_MAX];
	const struct archive_member *m;
	put_layer(w, "l.tar");
	tar_builder_end(&w->tar);
	gzip_archive(w, w->tar.bytes.data, w->tar.bytes.len);
	snprintf(path, sizeof(path), "%s/x.tar", w->dir.path);
	assert_int_equal(archive_index_open(&a, path, &opts, NULL), 0);
	assert_int_equal(archive_index_find(&a, "l.tar", &m, NULL), 0);
	assert_int_equal(m->size, w->layer.len);
	archive_index_done(&a);
	limits.bytes = w->tar.bytes.len - 1;
	assert_int_equal(archive_index_open(&a, path, &opts, &err), -EFBIG);
	assert_non_null(strstr(err.message, "--max-size"));
}

static void test_the_number_of_files_is_bounded(void **state)
{
	struct world *w = *state;
	struct archive_index a;
	const struct source_options opts = {0};
	struct smr_error err = {0};
	char path[PATH_MAX];
	for (unsigned i = 0; i <= ARCHIVE_MEMBERS_MAX; i++)
		tar_builder_file(&w->tar, "x", "");
	layout_write(w->dir.fd, "x.tar", w->tar.bytes.data, w->tar.bytes.len);
	snprintf(path, sizeof(path), "%s/x.tar", w->dir.path);
	assert_int_equal(archive_index_open(&a, path, &opts, &err), -EFBIG);
	assert_non_null(strstr(err.message, "more than 100000 files"));
}

int main(void)
{
#define CASE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		CASE(test_as_docker_writes_it_before_25),
		CASE(test_as_docker_writes_it_since_25),
		CASE(test_a_name_chooses_among_several_images),
		CASE(test_paths_lead_nowhere_but_into_the_archive),
		CASE(test_symlinks_lead_to_layers_only_and_once),
		CASE(test_files_of_one_name_are_refused),
		CASE(test_json_that_is_none_or_says_too_little),
		CASE(test_huge_json_is_not_read),
		CASE(test_too_many_layers_are_refused),
		CASE(test_config_and_layers_are_what_they_say),
		CASE(test_one_that_is_cut_off_is_noticed),
		CASE(test_one_that_is_compressed_obeys_the_limits),
		CASE(test_the_number_of_files_is_bounded),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
