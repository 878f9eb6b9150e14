/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * dir:PATH: a file tree of this machine, taken into a tree. No symlink is followed below PATH, no file system is entered that is
 * mounted there, and nothing but files' contents is opened. What changes while it is read is refused (-ESTALE).
 *
 * Two descriptors and the depth of the tree in memory, 80 bytes for each file with several names.
 */
#ifndef BUILD_DIR_SOURCE_H
#define BUILD_DIR_SOURCE_H

#include "layer.h"

/* Into an empty tree. What opening and reading files gives; the message names the file. */
int dir_source_add(struct layer_target *to, const char *path, struct smr_error *err);

#endif
