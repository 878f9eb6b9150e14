/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The layers of an image on their way from a registry: threads download several at a time into files, which are read while they
 * grow. The files are those of the layer cache, or without a name in a temporary folder.
 *
 *     IDLE --a thread takes it--> RUNNING --verified--> DONE --all its readers closed it--> IDLE
 *                                    \--failed--> FAILED --likewise--> IDLE
 *
 * Nothing is downloaded before the first open. What is open for reading comes first, then the lowest layers, at most
 * REGISTRY_BLOBS_AHEAD files ahead. A layer that several have in common is downloaded once. A connection that breaks is
 * resumed where it broke (Range and If-Range); what gets nowhere eight times in a row has failed.
 *
 * Thread rule: any thread reads, one at a time from each blob; new and free are for the owner.
 */
#ifndef BUILD_REGISTRY_BLOBS_H
#define BUILD_REGISTRY_BLOBS_H

#include "layer_cache.h"
#include "regauth.h"
#include "source.h"

#define REGISTRY_BLOBS_AHEAD   32u
#define REGISTRY_BLOBS_DEFAULT 4u /* connections */

/* What a layer may take: so long, and as long as it takes at so many bytes a second. A server that drips stays above what a
 * connection must bring. */
#define REGISTRY_BLOBS_GRACE_S  300u
#define REGISTRY_BLOBS_RATE_MIN (8u << 10)

struct registry_blobs;
struct registry_blob;

/* Alive as long as the blobs. */
struct registry_blobs_options {
	const struct source *source; /* for its layers */
	const struct source_options *opts;
	const char *base;   /* "https://HOST/v2/PATH" */
	const char *origin; /* "https://HOST" */
	struct regauth *auth;
	const struct layer_cache *cache; /* may be NULL */
};

/* -ENOMEM. */
int registry_blobs_new(const struct registry_blobs_options *opts, struct registry_blobs **ret);
/* Stops what is under way; all must be closed. NULL is fine. */
void registry_blobs_free(struct registry_blobs *b);

/* Layers that need no network. */
size_t registry_blobs_cached(const struct registry_blobs *b);
/* Bytes of the others; before the first is open. */
uint64_t registry_blobs_bytes(const struct registry_blobs *b);

int registry_blobs_open(
	struct registry_blobs *b, size_t layer, struct registry_blob **ret, struct smr_error *err);
/* The next bytes; *ret_n is 0 only at the end, where the digest was right. -ECANCELED; what the download gave. */
int registry_blobs_read(
	struct registry_blob *blob, void *data, size_t n, size_t *ret_n, struct smr_error *err);
void registry_blobs_close(struct registry_blob *blob);

#endif
