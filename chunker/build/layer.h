/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * One layer of an image, applied to the tree by the rules of the OCI image specification (layer.md):
 *
 *     NAME          put over what is there; a directory over a directory keeps what is in it
 *     .wh.NAME      a whiteout: what lower layers have there goes; what this layer has there stays, wherever it comes
 *     .wh..wh..opq  the same for all that is in its directory
 *
 * Names are relative to the image's root. Parents that are symlinks are followed inside of it, as far as they stay there;
 * parents that are missing are made. Refused, with the name in the message: "..", absolute names, symlinks that lead out,
 * links to what is not there or to themselves, whiteouts of the root, and what tar_reader.h refuses.
 *
 * One thread, beside the one that this starts.
 */
#ifndef BUILD_LAYER_H
#define BUILD_LAYER_H

#include <stdatomic.h>
#include <stdint.h>

#include "../core/error.h"
#include "limits.h"
#include "source.h"
#include "spool.h"
#include "tar_reader.h"
#include "tree.h"

struct layer_target {
	struct tree *tree;
	struct spool *spool;
	struct limits limits; /* limits_or_defaults */
	struct limits_used used;
	const atomic_bool *cancel; /* may be NULL */
	/* `blob_bytes` more of the blob and `members` more of the archive are done; may be NULL. */
	void (*progress)(void *user, uint64_t blob_bytes, uint64_t members);
	void *user;
};

/* Layer `i` of the source, into the tree's current layer. All digests are verified when it returns 0; otherwise the tree is
 * good for nothing. -EBADMSG, -EFBIG, -ENOTSUP, -ECANCELED; what the source, spool and tree give. */
int layer_apply(struct layer_target *to, struct source *s, size_t i, struct smr_error *err);

/* The same for an archive that is read elsewhere. */
int layer_apply_archive(struct layer_target *to, struct tar_reader *tar, struct smr_error *err);

#endif
