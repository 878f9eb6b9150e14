// SPDX-License-Identifier: BSD-3-Clause
#include "source.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../core/cleanup.h"
#include "manifest.h"

/* ---- names ---- */

enum source_kind source_kind(const char *arg, const char **ret_rest)
{
	static const struct {
		const char *prefix;
		enum source_kind kind;
	} kinds[] = {
		{"oci:", SOURCE_OCI},
		{"docker-archive:", SOURCE_DOCKER_ARCHIVE},
		{"tar:", SOURCE_TAR},
		{"dir:", SOURCE_DIR},
		{"img:", SOURCE_IMG},
		{"docker://", SOURCE_REGISTRY},
	};

	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		size_t n = strlen(kinds[i].prefix);
		if (strncmp(arg, kinds[i].prefix, n) == 0) {
			*ret_rest = arg + n;
			return kinds[i].kind;
		}
	}
	*ret_rest = arg;
	return SOURCE_REGISTRY;
}

static void take_name(const char *s, size_t n, char ret[NAME_LEN_MAX + 1])
{
	if (n > NAME_LEN_MAX)
		n = 0;
	for (size_t i = 0; i < n; i++)
		ret[i] = s[i] == '/' || s[i] == ':' || s[i] == '@' ? '_' : s[i];
	ret[n] = 0;
	if (!name_valid(ret))
		ret[0] = 0;
}

void source_name_of_reference(const char *reference, char ret[NAME_LEN_MAX + 1])
{
	static const char *const prefixes[] = {"docker.io/library/", "docker.io/"};
	const char *s = reference, *digest, *last;
	char text[NAME_LEN_MAX + 64];

	for (size_t i = 0; i < sizeof(prefixes) / sizeof(prefixes[0]); i++) {
		size_t n = strlen(prefixes[i]);
		if (strncmp(s, prefixes[i], n) == 0) {
			s += n;
			break;
		}
	}
	digest = strchr(s, '@');
	if (!digest)
		digest = s + strlen(s);
	last = memrchr(s, '/', (size_t)(digest - s));
	if (*digest && !memchr(last ? last : s, ':', (size_t)(digest - (last ? last : s))))
		snprintf(text, sizeof(text), "%.*s_%.12s", (int)(digest - s), s,
			strchr(digest, ':') ? strchr(digest, ':') + 1 : digest + 1);
	else
		snprintf(text, sizeof(text), "%.*s", (int)(digest - s), s);
	take_name(text, strlen(text), ret);
}

void source_name_of_path(const char *path, char ret[NAME_LEN_MAX + 1])
{
	static const char *const suffixes[] = {".tar", ".tar.gz", ".tgz", ".tar.zst", ".tar.zstd"};
	size_t n = strlen(path), start;

	while (n > 1 && path[n - 1] == '/')
		n--;
	for (start = n; start > 0 && path[start - 1] != '/'; start--)
		;
	n -= start;
	path += start;
	for (size_t i = 0; i < sizeof(suffixes) / sizeof(suffixes[0]); i++) {
		size_t len = strlen(suffixes[i]);
		if (n > len && memcmp(path + n - len, suffixes[i], len) == 0) {
			n -= len;
			break;
		}
	}
	take_name(path, n, ret);
}

/* ---- what a manifest says ---- */

/* Where the platform was chosen by the user, the config must be for it; what it does not say is not held against it. */
static int check_platform(
	const struct platform *want, const struct platform *have, struct smr_error *err)
{
	char a[PLATFORM_TEXT_MAX], b[PLATFORM_TEXT_MAX];

	if (!want || !have->os[0] || !have->arch[0] || platform_match(want, have) > 0)
		return 0;
	return error_set(err, -ENOENT, "has no image for %s; it has %s", platform_format(want, a),
		platform_format(have, b));
}

int source_take_manifest(struct source *s, const struct manifest *m, const char *config,
	size_t config_len, const struct platform *platform, struct smr_error *err)
{
	auto_free struct chunkid *diff_ids = NULL;
	struct source_layer *layers;
	struct platform have;
	size_t n;
	int r = manifest_diff_ids(config, config_len, &diff_ids, &n, &have, err);

	if (r == 0)
		r = check_platform(platform, &have, err);
	if (r < 0)
		return r;
	if (n != m->n_layers)
		return error_set(err, -EBADMSG, "the manifest has %zu layers, the config %zu",
			m->n_layers, n);
	layers = calloc(n + 1, sizeof(*layers));
	s->config = malloc(config_len + 1);
	if (!layers || !s->config) {
		free(layers);
		return -ENOMEM;
	}
	memcpy(s->config, config, config_len);
	s->config[config_len] = 0;
	s->config_len = config_len;
	for (size_t i = 0; i < n; i++)
		layers[i] = (struct source_layer){.has_digest = true,
			.digest = m->layers[i].digest,
			.has_diff_id = true,
			.diff_id = diff_ids[i],
			.has_size = true,
			.size = m->layers[i].size};
	s->layers = layers;
	s->n_layers = n;
	return 0;
}

void source_done(struct source *s)
{
	free(s->reference);
	free(s->config);
	free(s->layers);
	s->reference = s->config = NULL;
	s->layers = NULL;
	s->n_layers = s->config_len = 0;
}

void source_free(struct source *s)
{
	if (s)
		s->ops->free(s);
}

/* ---- blobs ---- */

struct source_blob {
	struct source *source;
	const struct source_layer *layer;
	void *client;
	struct chunkid_hasher *hasher;
	uint64_t n;
	int end; /* 0: not there yet; 1: verified; negative: failed for good */
};

int source_blob_open(struct source *s, size_t i, struct source_blob **ret, struct smr_error *err)
{
	struct source_blob *b = calloc(1, sizeof(*b));
	int r = b ? 0 : -ENOMEM;

	if (r == 0) {
		b->source = s;
		b->layer = &s->layers[i];
		b->hasher = chunkid_hasher_new();
		r = b->hasher ? s->ops->open(s, i, &b->client, err) : -ENOMEM;
	}
	if (r < 0) {
		if (b)
			chunkid_hasher_free(b->hasher);
		free(b);
		return r;
	}
	*ret = b;
	return 0;
}

static int check_end(struct source_blob *b, struct smr_error *err)
{
	const struct source_layer *l = b->layer;
	struct chunkid digest;
	char hex[CHUNKID_HEX + 1];

	chunkid_hasher_finish(b->hasher, &digest);
	chunkid_format(&l->digest, hex);
	if (l->has_size && b->n != l->size)
		return error_set(err, -EBADMSG, "blob sha256:%.12s is %llu bytes, should be %llu",
			hex, (unsigned long long)b->n, (unsigned long long)l->size);
	if (l->has_digest && !chunkid_equal(&digest, &l->digest))
		return error_set(err, -EBADMSG,
			"blob sha256:%.12s has other bytes than its digest says", hex);
	return 1;
}

int source_blob_read(
	struct source_blob *b, void *data, size_t n, size_t *ret_n, struct smr_error *err)
{
	size_t got = 0;
	int r;

	if (b->end < 0)
		return error_set_errno(err, b->end, "the layer");
	r = b->end ? 0 : b->source->ops->read(b->source, b->client, data, n, &got, err);
	if (r == 0 && got > 0) {
		b->n += got;
		chunkid_hasher_add(b->hasher, data, got);
		/* What is longer than it should be is not read to its end, wherever that is. */
		if (b->layer->has_size && b->n > b->layer->size)
			r = error_set(err, -EBADMSG, "the layer is longer than the manifest says");
	} else if (r == 0 && !b->end) {
		r = check_end(b, err);
		if (r > 0) {
			b->end = r;
			r = 0;
		}
	}
	if (r < 0) {
		b->end = r;
		return r;
	}
	*ret_n = got;
	return 0;
}

uint64_t source_blob_bytes(const struct source_blob *b)
{
	return b->n;
}

void source_blob_close(struct source_blob *b)
{
	if (!b)
		return;
	b->source->ops->close(b->source, b->client);
	chunkid_hasher_free(b->hasher);
	free(b);
}
