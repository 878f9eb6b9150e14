// SPDX-License-Identifier: BSD-3-Clause
/*
 * docker-archive:FILE[:REF]: what `docker save` and `skopeo copy ... docker-archive:` write.
 *
 *     archive       = tar of manifest.json, configs and layers
 *     manifest.json = [{"Config": PATH, "RepoTags": [REF...] or null, "Layers": [PATH...]}...]
 *
 * A layer may be a symlink to another one (Docker before 25). Layers come in another order than members (archive_index.h).
 */
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../core/cleanup.h"
#include "archive_index.h"
#include "manifest.h"
#include "source_file.h"

struct docker_archive {
	struct source source;
	char *path;
	struct archive_index index;
	const struct archive_member **layers;
};

static void json_freep(json_t **j)
{
	json_decref(*j);
}

/* ---- what is in it ---- */

/* "../ID/layer.tar", seen from the folder of the symlink; one hop. */
static int find_layer(struct docker_archive *a, const char *path, const struct archive_member **ret,
	struct smr_error *err)
{
	const struct archive_member *m;
	const char *slash;
	int r = archive_index_find(&a->index, path, &m, err);

	if (r == 0 && m->target) {
		slash = strchr(m->path, '/');
		if (strncmp(m->target, "../", 3) != 0 || strstr(m->target + 3, "..") || !slash ||
			strchr(slash + 1, '/'))
			return error_set(err, -EBADMSG, "layer '%.200s' is a link to '%.200s'",
				m->path, m->target);
		r = archive_index_find(&a->index, m->target + 3, &m, err);
		if (r == 0 && m->target)
			r = error_set(err, -EBADMSG, "layer '%.200s' is a link to a link", path);
	}
	if (r == 0)
		*ret = m;
	return r;
}

static int read_member(
	struct docker_archive *a, const char *path, struct buf *ret, struct smr_error *err)
{
	buf_init(ret, MANIFEST_BYTES_MAX);
	return archive_index_read(&a->index, path, ret, err);
}

static bool has_tag(const json_t *image, const char *ref)
{
	const json_t *tag;
	const char *slash = strrchr(ref, '/');
	char latest[512];
	size_t i;

	snprintf(latest, sizeof(latest), "%s%s", ref,
		strchr(slash ? slash : ref, ':') ? "" : ":latest");
	json_array_foreach(json_object_get(image, "RepoTags"), i, tag)
	{
		const char *s = json_string_value(tag);
		if (s && (strcmp(s, ref) == 0 || strcmp(s, latest) == 0))
			return true;
	}
	return false;
}

static const char *first_tag(const json_t *image)
{
	return json_string_value(json_array_get(json_object_get(image, "RepoTags"), 0));
}

/* The image of that name; without one, the only image there is. */
static int choose(const json_t *images, const char *ref, const json_t **ret, struct smr_error *err)
{
	struct buf tags auto_with(buf_done) = {0};
	const json_t *image, *found = NULL;
	size_t i, n = 0;

	if (!json_is_array(images) || json_array_size(images) == 0)
		return error_set(err, -EBADMSG, "its manifest.json has no images");
	buf_init(&tags, 4096);
	json_array_foreach(images, i, image)
	{
		if (!ref || has_tag(image, ref)) {
			found = image;
			n++;
		}
		if (first_tag(image)) {
			buf_append_str(&tags, tags.len ? ", " : "");
			buf_append_str(&tags, first_tag(image));
		}
	}
	const char *listed = tags.len ? buf_cstr(&tags) : "none with a name";
	if (n == 0)
		return error_set(err, -ENOENT, "has no image '%s'; it has: %s", ref, listed);
	if (n > 1 && ref)
		return error_set(err, -EBADMSG, "has several images '%s'", ref);
	if (n > 1)
		return error_set(err, -EINVAL, "has several images, name one: %s", listed);
	*ret = found;
	return 0;
}

/* The config's name is its digest. */
static int check_config(const char *path, const struct buf *config, struct smr_error *err)
{
	const char *slash = strrchr(path, '/');
	struct chunkid want, is;

	if (chunkid_parse(slash ? slash + 1 : path, &want) < 0)
		return 0;
	chunkid_hash(config->data, config->len, &is);
	if (!chunkid_equal(&want, &is))
		return error_set(
			err, -EBADMSG, "the config '%.100s' is not what its name says", path);
	return 0;
}

static int take_layers(
	struct docker_archive *a, const json_t *layers, struct manifest *m, struct smr_error *err)
{
	const json_t *path;
	size_t i, n = json_array_size(layers);

	if (!json_is_array(layers))
		return error_set(err, -EBADMSG, "its manifest.json has no list of layers");
	if (n > SOURCE_LAYERS_MAX)
		return error_set(
			err, -EFBIG, "it has %zu layers, more than %u", n, SOURCE_LAYERS_MAX);
	a->layers = calloc(n + 1, sizeof(*a->layers));
	m->layers = calloc(n + 1, sizeof(*m->layers));
	if (!a->layers || !m->layers)
		return -ENOMEM;
	json_array_foreach(layers, i, path)
	{
		if (!json_is_string(path))
			return error_set(err, -EBADMSG, "layer %zu has no name", i + 1);
		int r = find_layer(a, json_string_value(path), &a->layers[i], err);
		if (r < 0)
			return r;
		m->layers[i].size = a->layers[i]->size;
		m->n_layers++;
	}
	return 0;
}

static int take_names(struct docker_archive *a, const json_t *image, const char *ref)
{
	const char *tag = ref ? ref : first_tag(image);

	a->source.reference = source_local_reference("docker-archive", a->path, tag);
	if (tag)
		source_name_of_reference(tag, a->source.name);
	else
		source_name_of_path(a->path, a->source.name);
	return a->source.reference ? 0 : -ENOMEM;
}

static int take_image(struct docker_archive *a, const char *ref, const struct platform *platform,
	struct smr_error *err)
{
	struct buf json auto_with(buf_done) = {0}, config auto_with(buf_done) = {0};
	struct manifest m = {0};
	json_t *images auto_with(json_freep) = NULL;
	const json_t *image = NULL;
	const char *path = NULL;
	json_error_t e;
	int r = read_member(a, "manifest.json", &json, err);

	if (r == 0) {
		images = json_loadb((char *)json.data, json.len, JSON_REJECT_DUPLICATES, &e);
		r = images ? choose(images, ref, &image, err)
			   : error_set(err, -EBADMSG, "its manifest.json is not JSON: line %d: %s",
				     e.line, e.text);
	}
	if (r == 0) {
		path = json_string_value(json_object_get(image, "Config"));
		r = path ? 0 : error_set(err, -EBADMSG, "its manifest.json names no config");
	}
	if (r == 0)
		r = read_member(a, path, &config, err);
	if (r == 0)
		r = check_config(path, &config, err);
	if (r == 0)
		r = take_layers(a, json_object_get(image, "Layers"), &m, err);
	if (r == 0)
		r = source_take_manifest(
			&a->source, &m, (char *)config.data, config.len, platform, err);
	if (r == 0)
		r = take_names(a, image, ref);
	/* Nothing is said about the blobs but what is in them. */
	for (size_t i = 0; r == 0 && i < a->source.n_layers; i++)
		a->source.layers[i].has_digest = false;
	manifest_done(&m);
	return r;
}

/* ---- the client ---- */

static int open_blob(struct source *s, size_t i, void **ret_blob, struct smr_error *err)
{
	struct docker_archive *a = (struct docker_archive *)s;
	const struct archive_member *m = a->layers[i];
	int fd = fcntl(a->index.fd, F_DUPFD_CLOEXEC, 3);

	if (fd < 0)
		return error_set_errno(err, -errno, "%s", a->path);
	*ret_blob = source_range_new(fd, m->data, m->data + m->size);
	return *ret_blob ? 0 : -ENOMEM;
}

static void free_source(struct source *s)
{
	struct docker_archive *a = (struct docker_archive *)s;

	archive_index_done(&a->index);
	free(a->layers);
	free(a->path);
	source_done(s);
	free(a);
}

static const struct source_ops ops = {
	.open = open_blob,
	.read = source_range_read,
	.close = source_range_close,
	.free = free_source,
};

int docker_archive_open(const char *arg, const struct source_options *opts, struct source **ret,
	struct smr_error *err)
{
	struct docker_archive *a = calloc(1, sizeof(*a));
	auto_free char *ref = NULL;
	int r = a ? 0 : -ENOMEM;

	if (r < 0)
		return r;
	a->source.ops = &ops;
	a->source.kind = SOURCE_DOCKER_ARCHIVE;
	a->index.fd = -1;
	r = source_split_path(arg, &a->path, &ref, err);
	if (r == 0) {
		r = archive_index_open(&a->index, a->path, opts, err);
		if (r == 0)
			r = take_image(a, ref, opts->platform, err);
		if (r < 0)
			error_wrap(err, r, "%s", a->path);
	}
	if (r < 0) {
		free_source(&a->source);
		return r;
	}
	*ret = &a->source;
	return 0;
}
