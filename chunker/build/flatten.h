/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * From a source to one tree: all its layers, the lowest first, or a directory of this machine. What it needs on disk is the
 * spool. The tree depends on the source alone: not on the time, the locale, the umask or how layers are compressed.
 */
#ifndef BUILD_FLATTEN_H
#define BUILD_FLATTEN_H

#include "limits.h"
#include "source.h"
#include "spool.h"
#include "tree.h"

struct flatten_options {
	const struct limits *limits; /* NULL: defaults */
	const char *temp_dir;        /* for the spool; NULL: as spool_new */
	const atomic_bool *cancel;   /* may be NULL */
	/* `bytes` more of blobs (or files) were read, `files` more came into the tree. From several threads; may be NULL. */
	void (*progress)(void *user, uint64_t bytes, uint64_t files);
	void *user;
};

struct flatten {
	struct tree *tree;
	struct spool *spool;
};

/* -EBADMSG, -EFBIG, -ENOTSUP: see layer.h; the message names layer and file. */
int flatten_layers(struct source *s, const struct flatten_options *opts, struct flatten *ret,
	struct smr_error *err);
/* dir:PATH. */
int flatten_dir(const char *path, const struct flatten_options *opts, struct flatten *ret,
	struct smr_error *err);
void flatten_done(struct flatten *f);

#endif
