/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A bucket that is a directory. Keys are paths below it. Readers need nothing but read permission;
 * the first write opens the staging directory (staging.h) and the batch (batch.h). Files 0644,
 * directories 0755, under the umask.
 */
#ifndef STORE_DIR_H
#define STORE_DIR_H

#include "bucket.h"

/* `create`: with the directories on the way. -ENOENT, -ENOTDIR, -EACCES with a message. */
int dir_open(const char *path, bool create, struct bucket **ret, struct smr_error *err);

#endif
