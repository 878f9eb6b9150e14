// SPDX-License-Identifier: BSD-3-Clause
#include "registry.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../core/cleanup.h"
#include "../core/log.h"
#include "../core/units.h"
#include "../store/url.h"
#include "imageref.h"
#include "manifest.h"
#include "registry_blobs.h"
#include "registry_ca.h"
#include "registry_http.h"

#define INDEX_DEPTH_MAX 4

struct registry {
	struct source source;
	struct source_options opts; /* its strings are ours */
	struct platform platform;
	struct imageref ref;
	char text[IMAGEREF_TEXT_MAX];
	int ca_fd;           /* -1: none */
	char *origin, *base; /* "https://HOST", "https://HOST/v2/PATH" */
	struct transport *transport;
	struct regauth *auth;
	struct layer_cache *cache;
	struct registry_blobs *blobs;
};

/* ---- requests ---- */

static struct registry_http_request request(
	const struct registry *g, const char *url, size_t max_bytes)
{
	return (struct registry_http_request){.url = url,
		.max_bytes = max_bytes,
		.auth = g->auth,
		.origin = g->origin,
		.insecure = g->opts.insecure,
		.cancel = g->opts.cancel};
}

static int fetch_manifest(struct registry *g, const char *object, struct buf *ret,
	struct buf *ret_head, struct smr_error *err)
{
	static const char *const headers[] = {"Accept: " MANIFEST_ACCEPT, NULL};
	struct registry_http_request req;
	char *url auto_free = NULL;
	int r;

	if (asprintf(&url, "%s/manifests/%s", g->base, object) < 0) {
		url = NULL;
		return -ENOMEM;
	}
	req = request(g, url, MANIFEST_BYTES_MAX);
	req.headers = headers;
	r = registry_http_fetch(g->transport, &req, ret, ret_head, err);
	if (r == -ENOENT)
		return error_set(err, r, "%s has no image %s:%s", g->ref.host, g->ref.path, object);
	return r;
}

static int check_digest(
	const struct buf *b, const struct chunkid *want, const char *what, struct smr_error *err)
{
	struct chunkid digest;
	char hex[CHUNKID_HEX + 1];

	chunkid_hash(b->data, b->len, &digest);
	if (chunkid_equal(&digest, want))
		return 0;
	chunkid_format(want, hex);
	return error_set(err, -EBADMSG, "the %s sha256:%.12s has other bytes than its digest says",
		what, hex);
}

/* By tag: what the registry says it is, it must be. */
static int check_head(const struct buf *head, const struct buf *body, struct smr_error *err)
{
	char text[128];
	struct chunkid digest;

	if (!transport_header(head, "Docker-Content-Digest", text, sizeof(text)) ||
		manifest_parse_digest(text, &digest, NULL) < 0)
		return 0;
	return check_digest(body, &digest, "manifest", err);
}

/* ---- from the reference to the image ---- */

static int fetch_first(struct registry *g, struct buf *ret, struct smr_error *err)
{
	struct buf head auto_with(buf_done) = {0};
	char object[IMAGEREF_TAG_MAX + 1];
	int r = fetch_manifest(g, imageref_object(&g->ref, object), ret, &head, err);

	if (r < 0)
		return r;
	return g->ref.has_digest ? check_digest(ret, &g->ref.digest, "manifest", err)
				 : check_head(&head, ret, err);
}

static int fetch_chosen(struct registry *g, const struct manifest_descriptor *d, struct buf *ret,
	struct smr_error *err)
{
	char hex[CHUNKID_HEX + 1], object[CHUNKID_HEX + 8];
	int r;

	chunkid_format(&d->digest, hex);
	snprintf(object, sizeof(object), "sha256:%s", hex);
	r = fetch_manifest(g, object, ret, NULL, err);
	if (r == 0 && ret->len != d->size)
		r = error_set(err, -EBADMSG,
			"the manifest sha256:%.12s is %zu bytes, should be %llu", hex, ret->len,
			(unsigned long long)d->size);
	return r < 0 ? r : check_digest(ret, &d->digest, "manifest", err);
}

/* From index to index to the manifest. */
static int find_manifest(struct registry *g, struct buf *ret, struct smr_error *err)
{
	struct manifest_descriptor d;
	enum manifest_kind kind;
	struct platform platform;
	int r = fetch_first(g, ret, err);

	if (r == 0)
		r = manifest_kind((char *)ret->data, ret->len, &kind, err);
	platform_host(&platform);
	if (g->opts.platform)
		platform = *g->opts.platform;
	for (int i = 0; r == 0 && kind == MANIFEST_INDEX; i++) {
		if (i == INDEX_DEPTH_MAX)
			return error_set(err, -EBADMSG, "an index in an index in an index");
		r = manifest_choose((char *)ret->data, ret->len, NULL, &platform, &d, NULL, err);
		buf_done(ret);
		if (r == 0)
			r = fetch_chosen(g, &d, ret, err);
		if (r == 0)
			r = manifest_kind((char *)ret->data, ret->len, &kind, err);
	}
	return r;
}

static int fetch_config(struct registry *g, const struct manifest_descriptor *d, struct buf *ret,
	struct smr_error *err)
{
	struct registry_http_request req;
	char hex[CHUNKID_HEX + 1];
	char *url auto_free = NULL;
	int r;

	chunkid_format(&d->digest, hex);
	if (asprintf(&url, "%s/blobs/sha256:%s", g->base, hex) < 0) {
		url = NULL;
		return -ENOMEM;
	}
	req = request(g, url, d->size);
	r = registry_http_get(g->transport, &req, ret, err);
	return r < 0 ? r : check_digest(ret, &d->digest, "config", err);
}

static int take_image(struct registry *g, struct smr_error *err)
{
	struct buf json auto_with(buf_done) = {0}, config auto_with(buf_done) = {0};
	struct manifest m = {0};
	int r = find_manifest(g, &json, err);

	if (r == 0)
		r = manifest_parse((char *)json.data, json.len, &m, err);
	if (r < 0)
		return r;
	r = fetch_config(g, &m.config, &config, err);
	if (r == 0)
		r = source_take_manifest(
			&g->source, &m, (char *)config.data, config.len, g->opts.platform, err);
	manifest_done(&m);
	if (r < 0)
		return r;
	chunkid_hash(json.data, json.len, &g->source.manifest);
	g->source.has_manifest = true;
	g->source.reference = strdup(g->text);
	source_name_of_reference(g->text, g->source.name);
	return g->source.reference ? 0 : -ENOMEM;
}

/* ---- where it is ---- */

/* Plain http only where it is allowed and nobody speaks https: whoever answers, and be it with a bad certificate, does. */
static bool speaks_https(struct registry *g, const char *origin)
{
	struct transport_exchange x = {0};
	char *url auto_free = NULL;
	bool yes = true;
	int r;

	if (asprintf(&url, "%s/v2/", origin) < 0) {
		url = NULL;
		return true;
	}
	struct registry_http_request req = request(g, url, 64u << 10);
	req.auth = NULL;
	req.no_redirects = true;
	r = registry_http_try(g->transport, &req, &x, NULL);
	yes = x.status != 0 || r == -EACCES || r == -ENOMEM || r == -ECANCELED;
	transport_exchange_done(&x);
	return yes;
}

static int locate(struct registry *g, struct smr_error *err)
{
	const char *host = imageref_endpoint(&g->ref);
	struct url url;
	int r;

	if (asprintf(&g->origin, "https://%s", host) < 0) {
		g->origin = NULL;
		return -ENOMEM;
	}
	r = url_parse(g->origin, &url, err);
	if (r < 0)
		return r;
	if ((url_is_loopback(&url) || g->opts.insecure) && !speaks_https(g, g->origin)) {
		free(g->origin);
		if (asprintf(&g->origin, "http://%s", host) < 0)
			g->origin = NULL;
	}
	if (!g->origin || asprintf(&g->base, "%s/v2/%s", g->origin, g->ref.path) < 0) {
		g->base = NULL;
		return -ENOMEM;
	}
	return 0;
}

/* From here on the file of authorities is what was gathered from all places. */
static int take_authorities(struct registry *g, struct smr_error *err)
{
	int r = registry_ca_bundle(g->ref.host, g->opts.ca_file, &g->ca_fd, err);
	char *path;

	if (r < 0 || g->ca_fd < 0)
		return r;
	if (asprintf(&path, "/proc/self/fd/%d", g->ca_fd) < 0)
		return -ENOMEM;
	free((char *)g->opts.ca_file);
	g->opts.ca_file = path;
	return 0;
}

static int connect_to(struct registry *g, struct smr_error *err)
{
	struct regauth_options auth = {.host = g->ref.host,
		.path = g->ref.path,
		.auth_hosts = getenv("SMR_AUTH_HOSTS"),
		.insecure = g->opts.insecure};
	int r = take_authorities(g, err);

	if (r == 0)
		r = transport_new(1, g->opts.ca_file, &g->transport);
	if (r == 0)
		r = locate(g, err);
	auth.origin = g->origin;
	return r < 0 ? r : regauth_new(&auth, &g->auth);
}

/* ---- the source ---- */

static int open_blob(struct source *s, size_t i, void **ret_blob, struct smr_error *err)
{
	struct registry *g = (struct registry *)s;
	struct registry_blob *blob;
	int r = registry_blobs_open(g->blobs, i, &blob, err);

	if (r == 0)
		*ret_blob = blob;
	return r;
}

static int read_blob(
	struct source *s, void *blob, void *data, size_t n, size_t *ret_n, struct smr_error *err)
{
	(void)s;
	return registry_blobs_read(blob, data, n, ret_n, err);
}

static void close_blob(struct source *s, void *blob)
{
	(void)s;
	registry_blobs_close(blob);
}

static void free_source(struct source *s)
{
	struct registry *g = (struct registry *)s;

	registry_blobs_free(g->blobs);
	layer_cache_free(g->cache);
	regauth_free(g->auth);
	transport_free(g->transport);
	free(g->origin);
	free(g->base);
	if (g->ca_fd >= 0)
		close(g->ca_fd);
	free((char *)g->opts.temp_dir);
	free((char *)g->opts.ca_file);
	free((char *)g->opts.cache_dir);
	source_done(s);
	free(g);
}

static const struct source_ops ops = {
	.open = open_blob,
	.read = read_blob,
	.close = close_blob,
	.free = free_source,
};

static int copy_string(const char *s, const char **ret)
{
	*ret = s ? strdup(s) : NULL;
	return s && !*ret ? -ENOMEM : 0;
}

static int copy_options(struct registry *g, const struct source_options *opts)
{
	struct source_options o = opts ? *opts : (struct source_options){0};
	int a, b, c;

	g->opts = o;
	g->opts.limits = NULL; /* the caller's, for now only */
	a = copy_string(o.temp_dir, &g->opts.temp_dir);
	b = copy_string(o.ca_file, &g->opts.ca_file);
	c = copy_string(o.cache_dir, &g->opts.cache_dir);
	if (o.platform) {
		g->platform = *o.platform;
		g->opts.platform = &g->platform;
	}
	return a < 0 || b < 0 || c < 0 ? -ENOMEM : 0;
}

/* Before the first byte of a layer is fetched. What is compressed is not larger than what it becomes. */
static int check_size(const struct registry *g, const struct limits *limits, struct smr_error *err)
{
	uint64_t max = limits_or_defaults(limits).bytes;
	char text[UNITS_TEXT_MAX];
	uint64_t sum = 0;

	/* At most SOURCE_LAYERS_MAX of what manifest.h lets pass: no overflow. */
	for (size_t i = 0; i < g->source.n_layers; i++)
		sum += g->source.layers[i].size;
	if (sum <= max)
		return 0;
	return error_set(err, -EFBIG, "%s has %s of layers, more than is allowed", g->text,
		units_format_size(sum, text));
}

static int prepare_blobs(struct registry *g)
{
	struct registry_blobs_options blobs = {.source = &g->source,
		.opts = &g->opts,
		.base = g->base,
		.origin = g->origin,
		.auth = g->auth};
	uint64_t max = g->opts.cache_bytes ? g->opts.cache_bytes : LAYER_CACHE_MAX_DEFAULT;
	struct smr_error why = {0};
	int r;

	/* Without a cache it takes longer, no more. */
	if (g->opts.cache_dir && layer_cache_open(g->opts.cache_dir, max, &g->cache, &why) < 0)
		log_debug("layers are not kept: %s", why.message);
	blobs.cache = g->cache;
	r = registry_blobs_new(&blobs, &g->blobs);
	if (r < 0)
		return r;
	g->source.n_cached = registry_blobs_cached(g->blobs);
	g->source.download_bytes = registry_blobs_bytes(g->blobs);
	return 0;
}

int registry_open(const char *arg, const struct source_options *opts, struct source **ret,
	struct smr_error *err)
{
	struct registry *g = calloc(1, sizeof(*g));
	int r;

	if (!g)
		return -ENOMEM;
	g->source.ops = &ops;
	g->source.kind = SOURCE_REGISTRY;
	g->ca_fd = -1;
	r = copy_options(g, opts);
	if (r == 0)
		r = imageref_parse(arg, &g->ref, err);
	if (r == 0) {
		imageref_format(&g->ref, g->text);
		r = connect_to(g, err);
	}
	if (r == 0) {
		r = take_image(g, err);
		if (r < 0)
			error_wrap(err, r, "%s", g->text);
	}
	if (r == 0)
		r = check_size(g, opts ? opts->limits : NULL, err);
	if (r == 0)
		r = prepare_blobs(g);
	if (r < 0) {
		free_source(&g->source);
		return r;
	}
	*ret = &g->source;
	return 0;
}
