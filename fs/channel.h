/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * How libfuse writes to the kernel: one patch to the answer to INIT.
 *
 * libfuse before 3.17 offers FUSE_CAP_PARALLEL_DIROPS, takes it and then does not tell the kernel,
 * which goes on to allow one LOOKUP at a time: one of a name that the store has to be asked for
 * would hold up those of all other names.
 */
#ifndef FS_CHANNEL_H
#define FS_CHANNEL_H

#include "request.h"

/* Call between fuse_session_mount and INIT; the session's user data is a struct server. 0 or a
 * negative errno. */
int channel_install(struct fuse_session *se);

#endif
