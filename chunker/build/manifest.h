/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The JSON of images: indexes (and the index.json of a layout), manifests, configurations. OCI image specification 1.0 and
 * 1.1, and Docker's manifest lists and schema 2, which differ in media types only. It comes from strangers: everything is
 * of the expected type and within bounds, or refused.
 *
 *     manifest_kind        which of the two a body is
 *     manifest_choose      index    -> the descriptor of what was asked for (an index again, or a manifest)
 *     manifest_parse       manifest -> descriptors of config and layers
 *     manifest_diff_ids    config   -> diff_ids
 *
 * Pure. -EBADMSG: not well formed; -ENOTSUP: a media type that is none of those (Docker schema 1, encrypted or foreign
 * layers, artifacts); -EFBIG: over a limit.
 */
#ifndef BUILD_MANIFEST_H
#define BUILD_MANIFEST_H

#include <stddef.h>
#include <stdint.h>

#include "../core/chunkid.h"
#include "../core/error.h"
#include "platform.h"

#define MANIFEST_BYTES_MAX      (4u << 20) /* of any of these bodies */
#define MANIFEST_MEDIA_TYPE_MAX 96

/* What Accept: should list. */
#define MANIFEST_ACCEPT                                               \
	"application/vnd.oci.image.index.v1+json, "                   \
	"application/vnd.oci.image.manifest.v1+json, "                \
	"application/vnd.docker.distribution.manifest.list.v2+json, " \
	"application/vnd.docker.distribution.manifest.v2+json"

struct manifest_descriptor {
	char media_type[MANIFEST_MEDIA_TYPE_MAX];
	struct chunkid digest;
	uint64_t size; /* bytes */
};

struct manifest {
	struct manifest_descriptor config;
	struct manifest_descriptor *layers; /* the lowest first; at most SOURCE_LAYERS_MAX */
	size_t n_layers;
};

enum manifest_kind { MANIFEST_INDEX, MANIFEST_IMAGE };

/* "sha256:" and 64 lower-case digits, nothing else. -EBADMSG, or -ENOTSUP for another algorithm; the message shows it. */
int manifest_parse_digest(const char *s, struct chunkid *ret, struct smr_error *err);

int manifest_kind(const char *json, size_t n, enum manifest_kind *ret, struct smr_error *err);

/* The manifest of an index that is for `platform` and, where `ref` is not NULL, has that name
 * (org.opencontainers.image.ref.name). The only one of an index is right without a platform of its own. -ENOENT: none is;
 * -EINVAL: several names, and ref is NULL. The messages list what there is. */
int manifest_choose(const char *json, size_t n, const char *ref, const struct platform *platform,
	struct manifest_descriptor *ret, char **ret_ref_name, struct smr_error *err);

int manifest_parse(const char *json, size_t n, struct manifest *ret, struct smr_error *err);
void manifest_done(struct manifest *m);

/* *ret is to be freed. *ret_platform is what the config is for, "" where it does not say. */
int manifest_diff_ids(const char *json, size_t n, struct chunkid **ret, size_t *ret_n,
	struct platform *ret_platform, struct smr_error *err);

#endif
