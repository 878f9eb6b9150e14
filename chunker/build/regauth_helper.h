/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Docker's credential helpers: the program docker-credential-NAME with the argument "get" reads a server's name and prints
 * {"ServerURL": ..., "Username": ..., "Secret": ...}. Run without a shell, for a bounded time; what it prints is bounded, and
 * its standard error is not ours to show.
 *
 * Any thread. The child gets default signals, no descriptors but its three, and its own process group, which is ended as a whole.
 */
#ifndef BUILD_REGAUTH_HELPER_H
#define BUILD_REGAUTH_HELPER_H

#include <stdatomic.h>

#include "../core/buf.h"
#include "../core/error.h"

#define REGAUTH_HELPER_TIMEOUT_S  30
#define REGAUTH_HELPER_OUTPUT_MAX (64u << 10)

/* Appends what it printed to `ret`, which has a maximum. -EINVAL: no valid NAME; -ENOENT: no such program, or it does not know
 * the server; -ETIMEDOUT; -ECANCELED (`cancel` may be NULL); -EFBIG; -EIO: it failed. The message never has what it printed. */
int regauth_helper_get(const char *name, const char *server, unsigned timeout_s,
	const atomic_bool *cancel, struct buf *ret, struct smr_error *err);

#endif
