/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "../../chunker/build/manifest.h"
#include "../../chunker/build/source.h"

#define HEX_A "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define HEX_B "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
#define HEX_C "cccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccc"
#define OCI   "application/vnd.oci.image."
#define LAYER "\"mediaType\": \"" OCI "layer.v1.tar+gzip\", \"digest\": \"sha256:" HEX_A "\""
#define CONFIG                                                                               \
	"\"config\": {\"mediaType\": \"" OCI "config.v1+json\", \"digest\": \"sha256:" HEX_C \
	"\", \"size\": 2}"
#define IMAGE(layers) "{\"schemaVersion\": 2, " CONFIG ", \"layers\": [" layers "]}"
#define ENTRY(hex, more)                                                                      \
	"{\"mediaType\": \"" OCI "manifest.v1+json\", \"size\": 3, \"digest\": \"sha256:" hex \
	"\"" more "}"
#define PLATFORM(os, arch, variant) \
	", \"platform\": {\"os\": \"" os "\", \"architecture\": \"" arch "\"" variant "}"
#define NAMED(name)    ", \"annotations\": {\"org.opencontainers.image.ref.name\": \"" name "\"}"
#define INDEX(entries) "{\"schemaVersion\": 2, \"manifests\": [" entries "]}"

static struct platform platform(const char *s)
{
	struct platform p;

	assert_int_equal(platform_parse(s, &p, NULL), 0);
	return p;
}

/* The first digit of what was chosen, or a negative errno. */
static int choose(
	const char *json, const char *ref, const char *for_platform, struct smr_error *err)
{
	struct platform p = platform(for_platform);
	struct manifest_descriptor d;
	char hex[CHUNKID_HEX + 1];
	int r = manifest_choose(json, strlen(json), ref, &p, &d, NULL, err);

	if (r < 0)
		return r;
	chunkid_format(&d.digest, hex);
	return hex[0];
}

static int parse(const char *json)
{
	struct manifest m;
	int r = manifest_parse(json, strlen(json), &m, NULL);

	if (r == 0)
		manifest_done(&m);
	return r;
}

static int n_diff_ids(const char *json)
{
	struct chunkid *ids;
	struct platform p;
	size_t n;
	int r = manifest_diff_ids(json, strlen(json), &ids, &n, &p, NULL);

	if (r == 0)
		free(ids);
	return r < 0 ? r : (int)n;
}

static void test_digests_are_strict(void **state)
{
	(void)state;
	static const char *const bad[] = {"", "sha256:", HEX_A, "sha256:" HEX_A "a",
		"sha256:AA" HEX_A, "SHA256:" HEX_A, "sha256:../../etc/passwd", " sha256:" HEX_A,
		"sha256:" HEX_A "\n", "md5:" HEX_A};
	struct chunkid id;
	assert_int_equal(manifest_parse_digest("sha256:" HEX_A, &id, NULL), 0);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(manifest_parse_digest(bad[i], &id, NULL), -EBADMSG);
	assert_int_equal(manifest_parse_digest(NULL, &id, NULL), -EBADMSG);
	assert_int_equal(manifest_parse_digest("sha512:" HEX_A HEX_A, &id, NULL), -ENOTSUP);
}

static void test_a_body_is_an_image_or_an_index_and_never_both(void **state)
{
	(void)state;
	static const struct {
		const char *json;
		int want; /* kind or errno */
	} cases[] = {
		{INDEX(""), MANIFEST_INDEX},
		{IMAGE(""), MANIFEST_IMAGE},
		{"{\"layers\": [], \"manifests\": []}", -EBADMSG},
		{"{}", -EBADMSG},
		{"[]", -EBADMSG},
		{"", -EBADMSG},
		{"{\"layers\": []} trailing", -EBADMSG},
		{"{\"layers\": [], \"layers\": []}", -EBADMSG},
		{"{\"layers\": [], \"mediaType\": \"" OCI "index.v1+json\"}", -ENOTSUP},
		{"{\"schemaVersion\": 1, \"fsLayers\": []}", -ENOTSUP},
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		enum manifest_kind kind;
		int r = manifest_kind(cases[i].json, strlen(cases[i].json), &kind, NULL);
		assert_int_equal(r < 0 ? r : (int)kind, cases[i].want);
	}
	char *large = calloc(1, MANIFEST_BYTES_MAX + 1);
	enum manifest_kind kind;
	assert_int_equal(manifest_kind(large, MANIFEST_BYTES_MAX + 1, &kind, NULL), -EFBIG);
	free(large);
}

static void test_layers_come_in_order(void **state)
{
	(void)state;
	static const char json[] =
		IMAGE("{" LAYER ", \"size\": 1}, "
		      "{\"mediaType\": \"application/vnd.docker.image.rootfs.diff.tar.gzip\", "
		      "\"digest\": \"sha256:" HEX_B "\", \"size\": 1125899906842624}");
	struct manifest m;
	char hex[CHUNKID_HEX + 1];
	assert_int_equal(manifest_parse(json, strlen(json), &m, NULL), 0);
	assert_int_equal(m.n_layers, 2);
	chunkid_format(&m.layers[1].digest, hex);
	assert_string_equal(hex, HEX_B);
	assert_true(m.layers[1].size == 1ull << 50);
	assert_int_equal(m.config.size, 2);
	manifest_done(&m);
	assert_int_equal(parse(IMAGE("")), 0);
}

static void test_layers_that_are_none_are_refused(void **state)
{
	(void)state;
	assert_int_equal(parse(IMAGE("{" LAYER "}")), -EBADMSG);
	assert_int_equal(parse(IMAGE("{" LAYER ", \"size\": -1}")), -EBADMSG);
	assert_int_equal(parse(IMAGE("{" LAYER ", \"size\": 1.5}")), -EBADMSG);
	assert_int_equal(parse(IMAGE("{" LAYER ", \"size\": \"1\"}")), -EBADMSG);
	assert_int_equal(parse(IMAGE("{" LAYER ", \"size\": 1125899906842625}")), -EBADMSG);
	assert_int_equal(parse(IMAGE("{" LAYER ", \"size\": 99999999999999999999}")), -EBADMSG);
	assert_int_equal(parse(IMAGE("null")), -EBADMSG);
	assert_int_equal(parse(IMAGE("{\"mediaType\": \"text/html\", \"digest\": \"sha256:" HEX_A
				     "\", \"size\": 1}")),
		-ENOTSUP);
	assert_int_equal(parse("{\"schemaVersion\": 1, " CONFIG ", \"layers\": []}"), -EBADMSG);
	assert_int_equal(parse("{\"schemaVersion\": 2, \"layers\": []}"), -EBADMSG);
	assert_int_equal(parse("{\"schemaVersion\": 2, " CONFIG ", \"layers\": {}}"), -EBADMSG);
}

static void test_as_many_layers_as_allowed_and_no_more(void **state)
{
	(void)state;
	for (unsigned n = SOURCE_LAYERS_MAX; n <= SOURCE_LAYERS_MAX + 1; n++) {
		char *json = malloc(n * 200 + 1000), *at = json;
		at += sprintf(at, "{\"schemaVersion\": 2, " CONFIG ", \"layers\": [");
		for (unsigned i = 0; i < n; i++)
			at += sprintf(at, "%s{" LAYER ", \"size\": 1}", i ? "," : "");
		sprintf(at, "]}");
		assert_int_equal(parse(json), n > SOURCE_LAYERS_MAX ? -EFBIG : 0);
		at = json + sprintf(json, "{\"rootfs\": {\"type\": \"layers\", \"diff_ids\": [");
		for (unsigned i = 0; i < n; i++)
			at += sprintf(at, "%s\"sha256:" HEX_A "\"", i ? "," : "");
		sprintf(at, "]}}");
		assert_int_equal(n_diff_ids(json), n > SOURCE_LAYERS_MAX ? -EFBIG : (int)n);
		free(json);
	}
}

static void test_the_best_platform_is_chosen(void **state)
{
	(void)state;
	static const char arms[] =
		INDEX(ENTRY(HEX_A, PLATFORM("linux", "arm", ", \"variant\": \"v6\"")) "," ENTRY(
			HEX_B, PLATFORM("linux", "arm", ", \"variant\": \"v7\"")) "," ENTRY(HEX_C,
			PLATFORM("linux", "arm64", ", \"variant\": \"v8\"")));
	struct smr_error err = {0};
	assert_int_equal(choose(arms, NULL, "linux/arm/v7", NULL), 'b');
	assert_int_equal(choose(arms, NULL, "linux/arm/v6", NULL), 'a');
	assert_int_equal(choose(arms, NULL, "linux/arm", NULL), 'b');
	assert_int_equal(choose(arms, NULL, "linux/arm64", NULL), 'c');
	assert_int_equal(choose(arms, NULL, "linux/arm/v5", NULL), -ENOENT);
	assert_int_equal(choose(arms, NULL, "linux/amd64", &err), -ENOENT);
	assert_non_null(strstr(err.message, "linux/arm/v6, linux/arm/v7, linux/arm64/v8"));
}

static void test_what_build_tools_attach_is_no_image(void **state)
{
	(void)state;
	static const char json[] = INDEX(ENTRY(HEX_A, PLATFORM("linux", "amd64", "")) "," ENTRY(
		HEX_B, PLATFORM("unknown", "unknown", "")));
	assert_int_equal(choose(json, NULL, "linux/amd64", NULL), 'a');
	assert_int_equal(choose(json, NULL, "linux/arm64", NULL), -ENOENT);
}

static void test_one_without_a_platform_is_right_when_it_is_alone(void **state)
{
	(void)state;
	assert_int_equal(choose(INDEX(ENTRY(HEX_A, "")), NULL, "linux/amd64", NULL), 'a');
	assert_int_equal(
		choose(INDEX(ENTRY(HEX_A, "") "," ENTRY(HEX_B, "")), NULL, "linux/amd64", NULL),
		-ENOENT);
	assert_int_equal(choose(INDEX(""), NULL, "linux/amd64", NULL), -ENOENT);
}

static void test_names_are_chosen_exactly(void **state)
{
	(void)state;
	static const char json[] = INDEX(ENTRY(HEX_A, NAMED("1")) "," ENTRY(HEX_B, NAMED("12")));
	struct smr_error err = {0};
	assert_int_equal(choose(json, "1", "linux/amd64", NULL), 'a');
	assert_int_equal(choose(json, "12", "linux/amd64", NULL), 'b');
	assert_int_equal(choose(json, NULL, "linux/amd64", &err), -EINVAL);
	assert_non_null(strstr(err.message, "name one: 1, 12"));
	assert_int_equal(choose(json, "2", "linux/amd64", &err), -ENOENT);
	assert_non_null(strstr(err.message, "has no image '2'; it has 1, 12"));
}

static void test_entries_of_an_index_are_checked_and_counted(void **state)
{
	(void)state;
	assert_int_equal(choose(INDEX("{\"mediaType\": \"" OCI
				      "manifest.v1+json\", \"size\": 1, \"digest\": \"sha256:x\"}"),
				 NULL, "linux/amd64", NULL),
		-EBADMSG);
	assert_int_equal(choose(INDEX("7"), NULL, "linux/amd64", NULL), -EBADMSG);
	assert_int_equal(choose(INDEX("{\"mediaType\": \"text/plain\", \"size\": 1, \"digest\": "
				      "\"sha256:" HEX_A "\"}"),
				 NULL, "linux/amd64", NULL),
		-ENOTSUP);
	char *json = malloc(100000), *at = json + sprintf(json, "{\"manifests\": [");
	for (int i = 0; i < 10001; i++)
		at += sprintf(at, "%s{}", i ? "," : "");
	sprintf(at, "]}");
	assert_int_equal(choose(json, NULL, "linux/amd64", NULL), -EFBIG);
	free(json);
}

static void test_diff_ids_are_of_layers(void **state)
{
	(void)state;
	assert_int_equal(n_diff_ids("{\"rootfs\": {\"type\": \"layers\", \"diff_ids\": []}}"), 0);
	assert_int_equal(
		n_diff_ids("{\"rootfs\": {\"type\": \"layers\", \"diff_ids\": [\"sha256:" HEX_A
			   "\"]}}"),
		1);
	assert_int_equal(
		n_diff_ids("{\"rootfs\": {\"type\": \"other\", \"diff_ids\": []}}"), -EBADMSG);
	assert_int_equal(n_diff_ids("{\"rootfs\": {\"type\": \"layers\"}}"), -EBADMSG);
	assert_int_equal(
		n_diff_ids("{\"rootfs\": {\"type\": \"layers\", \"diff_ids\": [7]}}"), -EBADMSG);
	assert_int_equal(n_diff_ids("{}"), -EBADMSG);
}

static void test_nesting_is_bounded(void **state)
{
	(void)state;
	const size_t n = 1u << 20;
	char *json = malloc(n + 1);
	enum manifest_kind kind;
	memset(json, '[', n);
	assert_int_equal(manifest_kind(json, n, &kind, NULL), -EBADMSG);
	free(json);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_digests_are_strict),
		cmocka_unit_test(test_a_body_is_an_image_or_an_index_and_never_both),
		cmocka_unit_test(test_layers_come_in_order),
		cmocka_unit_test(test_layers_that_are_none_are_refused),
		cmocka_unit_test(test_as_many_layers_as_allowed_and_no_more),
		cmocka_unit_test(test_the_best_platform_is_chosen),
		cmocka_unit_test(test_what_build_tools_attach_is_no_image),
		cmocka_unit_test(test_one_without_a_platform_is_right_when_it_is_alone),
		cmocka_unit_test(test_names_are_chosen_exactly),
		cmocka_unit_test(test_entries_of_an_index_are_checked_and_counted),
		cmocka_unit_test(test_diff_ids_are_of_layers),
		cmocka_unit_test(test_nesting_is_bounded),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
