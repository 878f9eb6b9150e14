/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "../../chunker/build/source.h"
#include "layout_builder.h"
#include "tempdir.h"

static const char layer_bytes[] = "these are no files, but nobody has looked yet";

struct layout {
	struct tempdir dir;
	struct layout_blob layer, manifest[3];
};

static int setup(void **state)
{
	struct layout *l = calloc(1, sizeof(*l));

	tempdir_init(&l->dir);
	layout_init(l->dir.fd);
	l->layer = layout_put(l->dir.fd, layer_bytes, sizeof(layer_bytes));
	l->manifest[0] = layout_put_image(l->dir.fd, l->layer, "amd64");
	l->manifest[1] = layout_put_image(l->dir.fd, l->layer, "arm64");
	l->manifest[2] = layout_put_image(l->dir.fd, l->layer, "s390x");
	*state = l;
	return 0;
}

static int teardown(void **state)
{
	struct layout *l = *state;

	tempdir_done(&l->dir);
	free(l);
	return 0;
}

static char *entry(const struct layout_blob *b, const char *type, const char *more)
{
	char *s;

	if (asprintf(&s,
		    "{\"mediaType\": \"" LAYOUT_TYPE(
			    "%s.v1+json") "\", \"digest\": \"sha256:%s\", \"size\": %zu%s}",
		    type, b->hex, b->size, more) < 0)
		abort();
	return s;
}

/* Writes index.json with these entries, and frees them. */
static void write_index(struct layout *l, char *first, char *second)
{
	char *s;

	if (asprintf(&s, "{\"schemaVersion\": 2, \"manifests\": [%s%s%s]}", first,
		    second ? ", " : "", second ? second : "") < 0)
		abort();
	layout_write(l->dir.fd, "index.json", s, strlen(s));
	free(s);
	free(first);
	free(second);
}

static int open_ref(struct layout *l, const char *ref, const char *for_platform,
	struct source **ret, struct smr_error *err)
{
	struct platform p;
	struct source_options opts = {0};
	char arg[PATH_MAX];

	if (for_platform) {
		assert_int_equal(platform_parse(for_platform, &p, NULL), 0);
		opts.platform = &p;
	}
	snprintf(arg, sizeof(arg), "oci:%s%s%s", l->dir.path, ref ? ":" : "", ref ? ref : "");
	return source_open(arg, &opts, ret, err);
}

static void assert_refused(
	struct layout *l, const char *ref, const char *for_platform, int code, const char *text)
{
	struct smr_error err = {0};
	struct source *s;

	assert_int_equal(open_ref(l, ref, for_platform, &s, &err), code);
	if (!strstr(err.message, text))
		fail_msg("not '%s' but: %s", text, err.message);
}

static void test_an_image_has_its_layers_and_its_names(void **state)
{
	struct layout *l = *state;
	struct source *s;
	struct source_blob *b;
	char data[100];
	size_t n;
	write_index(l,
		entry(&l->manifest[0], "manifest",
			", \"annotations\": {\"org.opencontainers.image.ref.name\": \"1.2\"}"),
		NULL);
	assert_int_equal(open_ref(l, NULL, "linux/amd64", &s, NULL), 0);
	assert_int_equal(s->n_layers, 1);
	assert_true(s->has_manifest && s->config);
	/* nothing of where it lies, but the folder's own name */
	assert_null(strchr(s->reference, '/'));
	assert_string_equal(s->reference + strlen(s->reference) - 4, ":1.2");
	assert_string_equal(s->name + strlen(s->name) - 4, "_1.2");
	assert_int_equal(source_blob_open(s, 0, &b, NULL), 0);
	assert_int_equal(source_blob_read(b, data, sizeof(data), &n, NULL), 0);
	assert_int_equal(n, sizeof(layer_bytes));
	assert_int_equal(source_blob_read(b, data, sizeof(data), &n, NULL), 0);
	assert_int_equal(n, 0);
	source_blob_close(b);
	source_free(s);
}

static void test_an_index_within_the_index_is_followed_to_the_platform(void **state)
{
	struct layout *l = *state;
	char *one = entry(&l->manifest[0], "manifest",
		", \"platform\": {\"os\": \"linux\", \"architecture\": \"amd64\"}");
	char *two = entry(&l->manifest[1], "manifest",
		", \"platform\": {\"os\": \"linux\", \"architecture\": \"arm64\"}");
	struct layout_blob index = layout_put_text(
		l->dir.fd, "{\"schemaVersion\": 2, \"manifests\": [%s, %s]}", one, two);
	struct source *s;
	char hex[CHUNKID_HEX + 1];
	free(one);
	free(two);
	write_index(l, entry(&index, "index", ""), NULL);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(open_ref(l, NULL, i ? "linux/arm64" : "linux/amd64", &s, NULL), 0);
		chunkid_format(&s->manifest, hex);
		assert_string_equal(hex, l->manifest[i].hex);
		source_free(s);
	}
	assert_refused(l, NULL, "linux/riscv64", -ENOENT,
		"has no image for linux/riscv64; it has linux/amd64, linux/arm64");
}

static void test_the_config_must_be_for_the_platform_too(void **state)
{
	struct layout *l = *state;
	write_index(l,
		entry(&l->manifest[2], "manifest",
			", \"platform\": {\"os\": \"linux\", \"architecture\": \"amd64\"}"),
		NULL);
	assert_refused(l, NULL, "linux/amd64", -ENOENT, "it has linux/s390x");
}

static void test_indexes_do_not_nest_for_ever(void **state)
{
	struct layout *l = *state;
	struct layout_blob b = l->manifest[0];
	for (int depth = 1; depth <= 5; depth++) {
		struct source *s;
		write_index(l, entry(&b, depth == 1 ? "manifest" : "index", ""), NULL);
		if (depth < 5) {
			assert_int_equal(open_ref(l, NULL, "linux/amd64", &s, NULL), 0);
			source_free(s);
		} else {
			assert_refused(l, NULL, "linux/amd64", -EBADMSG, "an index in an index");
		}
		char *e = entry(&b, depth == 1 ? "manifest" : "index", "");
		b = layout_put_text(l->dir.fd, "{\"schemaVersion\": 2, \"manifests\": [%s]}", e);
		free(e);
	}
}

static void test_no_symlink_below_it_is_followed(void **state)
{
	struct layout *l = *state;
	struct source *s;
	struct source_blob *b;
	struct smr_error err = {0};
	char path[100];
	write_index(l, entry(&l->manifest[0], "manifest", ""), NULL);
	assert_int_equal(open_ref(l, NULL, "linux/amd64", &s, NULL), 0);
	snprintf(path, sizeof(path), "blobs/sha256/%s", l->layer.hex);
	assert_int_equal(renameat(l->dir.fd, path, l->dir.fd, "elsewhere"), 0);
	assert_int_equal(symlinkat("../../elsewhere", l->dir.fd, path), 0);
	assert_int_equal(source_blob_open(s, 0, &b, &err), -ELOOP);
	source_free(s);
	assert_int_equal(renameat(l->dir.fd, "blobs", l->dir.fd, "real"), 0);
	assert_int_equal(symlinkat("real", l->dir.fd, "blobs"), 0);
	assert_refused(l, NULL, NULL, -ENOTDIR, "has no folder blobs/sha256");
	unlinkat(l->dir.fd, "blobs", 0);
	assert_int_equal(renameat(l->dir.fd, "real", l->dir.fd, "blobs"), 0);
	assert_int_equal(renameat(l->dir.fd, "index.json", l->dir.fd, "real.json"), 0);
	assert_int_equal(symlinkat("real.json", l->dir.fd, "index.json"), 0);
	assert_refused(l, NULL, NULL, -ELOOP, "index.json");
}

static void test_blobs_are_what_their_names_say(void **state)
{
	struct layout *l = *state;
	char path[100];
	write_index(l, entry(&l->manifest[0], "manifest", ""), NULL);
	snprintf(path, sizeof(path), "blobs/sha256/%s", l->manifest[0].hex);
	layout_write(l->dir.fd, path, "{}", 2);
	assert_refused(l, NULL, NULL, -EBADMSG, "is not what its digest says");
	unlinkat(l->dir.fd, path, 0);
	assert_refused(l, NULL, NULL, -ENOENT, "cannot read");
	mkfifoat(l->dir.fd, path, 0600);
	assert_refused(l, NULL, NULL, -EINVAL, "cannot read");
	struct layout_blob wrong = l->manifest[1];
	wrong.size++;
	write_index(l, entry(&wrong, "manifest", ""), NULL);
	assert_refused(l, NULL, "linux/arm64", -EBADMSG, "is not what its digest says");
}

static void test_other_versions_and_other_folders_are_told(void **state)
{
	struct layout *l = *state;
	write_index(l, entry(&l->manifest[0], "manifest", ""), NULL);
	layout_write(l->dir.fd, "oci-layout", "{\"imageLayoutVersion\": \"2.0.0\"}", 31);
	assert_refused(l, NULL, NULL, -ENOTSUP, "of another version");
	unlinkat(l->dir.fd, "oci-layout", 0);
	assert_refused(l, NULL, NULL, -EINVAL, "is no OCI image layout");
}

static void test_a_name_that_is_not_there(void **state)
{
	struct layout *l = *state;
	write_index(l,
		entry(&l->manifest[0], "manifest",
			", \"annotations\": {\"org.opencontainers.image.ref.name\": \"a\"}"),
		entry(&l->manifest[1], "manifest",
			", \"annotations\": {\"org.opencontainers.image.ref.name\": \"b\"}"));
	assert_refused(l, "c", NULL, -ENOENT, "has no image 'c'; it has a, b");
	assert_refused(l, NULL, NULL, -EINVAL, "name one: a, b");
	assert_refused(l, "", NULL, -EINVAL, "is missing");
}

int main(void)
{
#define CASE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		CASE(test_an_image_has_its_layers_and_its_names),
		CASE(test_an_index_within_the_index_is_followed_to_the_platform),
		CASE(test_the_config_must_be_for_the_platform_too),
		CASE(test_indexes_do_not_nest_for_ever),
		CASE(test_no_symlink_below_it_is_followed),
		CASE(test_blobs_are_what_their_names_say),
		CASE(test_other_versions_and_other_folders_are_told),
		CASE(test_a_name_that_is_not_there),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
