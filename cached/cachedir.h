/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The cache directory and who owns it. The lock is the election: whoever holds it is the engine of this
 * directory. It goes with the descriptor, so with the process, however that ends.
 */
#ifndef CACHED_CACHEDIR_H
#define CACHED_CACHEDIR_H

#include "../chunker/core/error.h"

/* Opens the directory, making it (0700) if absent. -EPERM: it belongs to somebody else. */
int cachedir_open(const char *path, int *ret_fd, struct smr_error *err);
/* Takes the lock and leaves this process's pid in it. -EBUSY: another process holds it; the message names
 * its pid. `path` is for messages. */
int cachedir_lock(int dir_fd, const char *path, int *ret_fd, struct smr_error *err);

#endif
