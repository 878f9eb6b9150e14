// SPDX-License-Identifier: BSD-3-Clause
#include "manifest.h"

#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../core/buf.h"
#include "../core/cleanup.h"
#include "source.h"

#define REF_NAME       "org.opencontainers.image.ref.name"
#define ENTRIES_MAX    10000u /* of an index */
#define LISTED_MAX     8u     /* names or platforms in a message */
#define BLOB_BYTES_MAX (1ull << 50)

static void json_freep(json_t **j)
{
	json_decref(*j);
}

/* The object in a body. */
static int load(const char *json, size_t n, const char *what, json_t **ret, struct smr_error *err)
{
	json_error_t e;
	json_t *j;

	if (n > MANIFEST_BYTES_MAX)
		return error_set(
			err, -EFBIG, "%s of %zu bytes, more than %u", what, n, MANIFEST_BYTES_MAX);
	j = json_loadb(json, n, JSON_REJECT_DUPLICATES, &e);
	if (!j)
		return error_set(
			err, -EBADMSG, "%s is not JSON: line %d: %s", what, e.line, e.text);
	if (!json_is_object(j)) {
		json_decref(j);
		return error_set(err, -EBADMSG, "%s is not a JSON object", what);
	}
	*ret = j;
	return 0;
}

static const char *string_of(const json_t *object, const char *key)
{
	return json_string_value(json_object_get(object, key));
}

int manifest_parse_digest(const char *s, struct chunkid *ret, struct smr_error *err)
{
	static const char prefix[] = "sha256:";

	if (!s)
		return error_set(err, -EBADMSG, "a digest is missing");
	if (strncmp(s, prefix, sizeof(prefix) - 1) != 0)
		return error_set(err, strncmp(s, "sha512:", 7) == 0 ? -ENOTSUP : -EBADMSG,
			"'%.80s' is no sha256 digest", s);
	s += sizeof(prefix) - 1;
	if (strlen(s) != CHUNKID_HEX || chunkid_parse(s, ret) < 0)
		return error_set(err, -EBADMSG, "'sha256:%.80s' is no sha256 digest", s);
	return 0;
}

static int take_descriptor(
	const json_t *j, const char *what, struct manifest_descriptor *ret, struct smr_error *err)
{
	struct manifest_descriptor d = {0};
	const json_t *size = json_object_get(j, "size");
	const char *type = string_of(j, "mediaType");
	int r;

	if (!json_is_object(j) || !json_is_integer(size) || json_integer_value(size) < 0 ||
		(uint64_t)json_integer_value(size) > BLOB_BYTES_MAX)
		return error_set(err, -EBADMSG, "%s has no size", what);
	if (!type || strlen(type) >= sizeof(d.media_type))
		return error_set(err, -EBADMSG, "%s has no media type", what);
	r = manifest_parse_digest(string_of(j, "digest"), &d.digest, err);
	if (r < 0)
		return error_wrap(err, r, "%s", what);
	d.size = (uint64_t)json_integer_value(size);
	snprintf(d.media_type, sizeof(d.media_type), "%s", type);
	*ret = d;
	return 0;
}

/* ---- which kind ---- */

static bool is_index_type(const char *type)
{
	return strcmp(type, "application/vnd.oci.image.index.v1+json") == 0 ||
	       strcmp(type, "application/vnd.docker.distribution.manifest.list.v2+json") == 0;
}

static bool is_manifest_type(const char *type)
{
	return strcmp(type, "application/vnd.oci.image.manifest.v1+json") == 0 ||
	       strcmp(type, "application/vnd.docker.distribution.manifest.v2+json") == 0;
}

/* A body that could be read as both is refused: others might choose the other reading. */
static int kind_of(const json_t *j, enum manifest_kind *ret, struct smr_error *err)
{
	const char *type = string_of(j, "mediaType");
	bool index = json_object_get(j, "manifests"), image = json_object_get(j, "layers");

	if (json_object_get(j, "fsLayers"))
		return error_set(
			err, -ENOTSUP, "a Docker schema 1 manifest, which is no longer used");
	if (index == image)
		return error_set(err, -EBADMSG, "neither an image manifest nor an index");
	if (type && !(index ? is_index_type(type) : is_manifest_type(type)))
		return error_set(err, -ENOTSUP, "'%.80s' is no kind of image manifest", type);
	*ret = index ? MANIFEST_INDEX : MANIFEST_IMAGE;
	return 0;
}

int manifest_kind(const char *json, size_t n, enum manifest_kind *ret, struct smr_error *err)
{
	json_t *j auto_with(json_freep) = NULL;
	int r = load(json, n, "the manifest", &j, err);

	return r < 0 ? r : kind_of(j, ret, err);
}

/* ---- choosing from an index ---- */

static void word(char *ret, const json_t *object, const char *key)
{
	const char *s = string_of(object, key);

	/* One that is too long is none that anybody asks for. */
	snprintf(ret, PLATFORM_WORD_MAX, "%s", s && strlen(s) < PLATFORM_WORD_MAX ? s : "");
}

static bool take_platform(const json_t *object, struct platform *ret)
{
	word(ret->os, object, "os");
	word(ret->arch, object, "architecture");
	word(ret->variant, object, "variant");
	return ret->os[0] && ret->arch[0];
}

static const char *ref_of(const json_t *descriptor)
{
	return string_of(json_object_get(descriptor, "annotations"), REF_NAME);
}

struct choice {
	const json_t *best;
	unsigned score;
	size_t n_named; /* entries with the name */
	bool several;   /* different names, and none was asked for */
	const char *name;
	struct buf listed; /* what there is, for the message */
	size_t n_listed;
};

static void list(struct choice *c, const char *s)
{
	if (c->n_listed++ < LISTED_MAX) {
		buf_append_str(&c->listed, c->listed.len ? ", " : "");
		buf_append_str(&c->listed, s);
	}
}

static void consider(
	struct choice *c, const json_t *d, const char *ref, const struct platform *want)
{
	const char *name = ref_of(d);
	struct platform have;
	char text[PLATFORM_TEXT_MAX];
	unsigned score = 1; /* without a platform of its own: right where it is the only one */

	if (ref && (!name || strcmp(name, ref) != 0))
		return;
	if (!ref && name) {
		c->several |= c->name && strcmp(c->name, name) != 0;
		c->name = name;
	}
	c->n_named++;
	if (take_platform(json_object_get(d, "platform"), &have)) {
		score = platform_match(want, &have) * 2;
		list(c, platform_format(&have, text));
	}
	if (score > c->score) {
		c->best = d;
		c->score = score;
	}
}

static int no_choice(struct choice *c, const json_t *manifests, const char *ref,
	const struct platform *want, struct smr_error *err)
{
	char text[PLATFORM_TEXT_MAX];
	const json_t *d;
	size_t i;

	if (c->several || c->n_named == 0) {
		buf_reset(&c->listed);
		c->n_listed = 0;
		json_array_foreach(manifests, i, d) if (ref_of(d)) list(c, ref_of(d));
		if (c->several)
			return error_set(err, -EINVAL, "has several images, name one: %s",
				buf_cstr(&c->listed));
		if (ref)
			return error_set(err, -ENOENT, "has no image '%s'%s%s", ref,
				c->listed.len ? "; it has " : "", buf_cstr(&c->listed));
		return error_set(err, -ENOENT, "has no image");
	}
	return error_set(err, -ENOENT, "has no image for %s; it has %s",
		platform_format(want, text), c->listed.len ? buf_cstr(&c->listed) : "several");
}

int manifest_choose(const char *json, size_t n, const char *ref, const struct platform *platform,
	struct manifest_descriptor *ret, char **ret_ref_name, struct smr_error *err)
{
	json_t *j auto_with(json_freep) = NULL;
	struct choice c = {0};
	enum manifest_kind kind;
	const json_t *manifests, *d;
	size_t i;
	int r = load(json, n, "the index", &j, err);

	if (r == 0)
		r = kind_of(j, &kind, err);
	if (r < 0)
		return r;
	manifests = json_object_get(j, "manifests");
	if (kind != MANIFEST_INDEX || !json_is_array(manifests))
		return error_set(err, -EBADMSG, "the index has no list of manifests");
	if (json_array_size(manifests) > ENTRIES_MAX)
		return error_set(err, -EFBIG, "the index has more than %u manifests", ENTRIES_MAX);
	buf_init(&c.listed, 4096);
	json_array_foreach(manifests, i, d) consider(&c, d, ref, platform);
	if (!c.best || c.several || (c.score == 1 && c.n_named > 1))
		r = no_choice(&c, manifests, ref, platform, err);
	else
		r = take_descriptor(c.best, "a manifest of the index", ret, err);
	buf_done(&c.listed);
	if (r == 0 && !is_index_type(ret->media_type) && !is_manifest_type(ret->media_type))
		r = error_set(err, -ENOTSUP, "'%s' is no kind of image manifest", ret->media_type);
	if (r == 0 && ret_ref_name) {
		const char *name = ref_of(c.best);
		*ret_ref_name = name ? strdup(name) : NULL;
		if (name && !*ret_ref_name)
			r = -ENOMEM;
	}
	return r;
}

/* ---- an image ---- */

static bool is_layer_type(const char *type)
{
	static const char *const types[] = {
		"application/vnd.oci.image.layer.v1.tar",
		"application/vnd.oci.image.layer.v1.tar+gzip",
		"application/vnd.oci.image.layer.v1.tar+zstd",
		"application/vnd.oci.image.layer.nondistributable.v1.tar",
		"application/vnd.oci.image.layer.nondistributable.v1.tar+gzip",
		"application/vnd.oci.image.layer.nondistributable.v1.tar+zstd",
		"application/vnd.docker.image.rootfs.diff.tar",
		"application/vnd.docker.image.rootfs.diff.tar.gzip",
		"application/vnd.docker.image.rootfs.diff.tar.zstd",
		"application/vnd.docker.image.rootfs.foreign.diff.tar",
		"application/vnd.docker.image.rootfs.foreign.diff.tar.gzip",
	};

	for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++)
		if (strcmp(type, types[i]) == 0)
			return true;
	return false;
}

static bool is_config_type(const char *type)
{
	return strcmp(type, "application/vnd.oci.image.config.v1+json") == 0 ||
	       strcmp(type, "application/vnd.docker.container.image.v1+json") == 0;
}

static int take_layers(const json_t *layers, struct manifest *m, struct smr_error *err)
{
	const json_t *d;
	size_t i;
	int r;

	if (!json_is_array(layers))
		return error_set(err, -EBADMSG, "the manifest has no list of layers");
	if (json_array_size(layers) > SOURCE_LAYERS_MAX)
		return error_set(err, -EFBIG, "the manifest has %zu layers, more than %u",
			json_array_size(layers), SOURCE_LAYERS_MAX);
	m->layers = calloc(json_array_size(layers) + 1, sizeof(*m->layers));
	if (!m->layers)
		return -ENOMEM;
	json_array_foreach(layers, i, d)
	{
		struct manifest_descriptor *l = &m->layers[i];
		r = take_descriptor(d, "a layer", l, err);
		if (r < 0)
			return error_wrap(err, r, "layer %zu", i + 1);
		if (!is_layer_type(l->media_type))
			return error_set(err, -ENOTSUP,
				"layer %zu is '%s', no layer of a file system", i + 1,
				l->media_type);
		m->n_layers++;
	}
	return 0;
}

int manifest_parse(const char *json, size_t n, struct manifest *ret, struct smr_error *err)
{
	json_t *j auto_with(json_freep) = NULL;
	struct manifest m = {0};
	enum manifest_kind kind;
	const json_t *version;
	int r = load(json, n, "the manifest", &j, err);

	if (r == 0)
		r = kind_of(j, &kind, err);
	if (r < 0)
		return r;
	version = json_object_get(j, "schemaVersion");
	if (kind != MANIFEST_IMAGE || json_integer_value(version) != 2)
		return error_set(err, -EBADMSG, "not an image manifest of version 2");
	r = take_descriptor(json_object_get(j, "config"), "the config", &m.config, err);
	if (r == 0 && !is_config_type(m.config.media_type))
		r = error_set(err, -ENOTSUP, "an artifact of type '%s', no container image",
			m.config.media_type);
	if (r == 0 && m.config.size > MANIFEST_BYTES_MAX)
		r = error_set(
			err, -EFBIG, "the config is larger than %u bytes", MANIFEST_BYTES_MAX);
	if (r == 0)
		r = take_layers(json_object_get(j, "layers"), &m, err);
	if (r < 0) {
		manifest_done(&m);
		return r;
	}
	*ret = m;
	return 0;
}

void manifest_done(struct manifest *m)
{
	free(m->layers);
	*m = (struct manifest){0};
}

int manifest_diff_ids(const char *json, size_t n, struct chunkid **ret, size_t *ret_n,
	struct platform *ret_platform, struct smr_error *err)
{
	json_t *j auto_with(json_freep) = NULL;
	auto_free struct chunkid *ids = NULL;
	const json_t *list_of_ids, *id;
	const char *type;
	size_t i;
	int r = load(json, n, "the config", &j, err);

	if (r < 0)
		return r;
	type = string_of(json_object_get(j, "rootfs"), "type");
	list_of_ids = json_object_get(json_object_get(j, "rootfs"), "diff_ids");
	if (!type || strcmp(type, "layers") != 0 || !json_is_array(list_of_ids))
		return error_set(err, -EBADMSG, "the config has no list of diff_ids");
	if (json_array_size(list_of_ids) > SOURCE_LAYERS_MAX)
		return error_set(err, -EFBIG, "the config has %zu diff_ids, more than %u",
			json_array_size(list_of_ids), SOURCE_LAYERS_MAX);
	ids = calloc(json_array_size(list_of_ids) + 1, sizeof(*ids));
	if (!ids)
		return -ENOMEM;
	json_array_foreach(list_of_ids, i, id)
	{
		r = manifest_parse_digest(json_string_value(id), &ids[i], err);
		if (r < 0)
			return error_wrap(err, r, "the config's diff_id of layer %zu", i + 1);
	}
	take_platform(j, ret_platform);
	*ret_n = json_array_size(list_of_ids);
	*ret = take_ptr(ids);
	return 0;
}
