/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A store laid out in a bucket, with roots (roots.h) or flat (flat.h): the implementation of the
 * store contract that all kinds of bucket share.
 */
#ifndef STORE_TREESTORE_H
#define STORE_TREESTORE_H

#include "bucket.h"

/* Takes the bucket, also when it fails. `url` is copied. No I/O. -ENOMEM. */
int treestore_new(struct bucket *b, const char *url, struct store **ret);

/* A local bucket is made ready: -ENOENT if it is no store and not to be made one; other errors of
 * its smr-store.json. */
int treestore_prepare(struct bucket *b, const struct store_options *opts, struct smr_error *err);

#endif
