/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The mount itself: what has to hold before it is made, libfuse's session, the kernel's parameters
 * of it, its end.
 *
 * One thread at a time.
 */
#ifndef FS_MOUNT_H
#define FS_MOUNT_H

#include "../chunker/core/error.h"
#include "options.h"
#include "request.h"

struct mount;

/* Mounts. The options' paths are absolute and `cache_dir` is set. Nothing answers yet, so until
 * loop_start this process must not touch the mount point. On failure nothing is mounted, and the
 * message says what to do about it: -ENOENT and -ENOTDIR (mount point), -ENOTCONN (a dead mount is
 * on it), -ELOOP (store or cache would be hidden by it), -ENODEV and -EACCES (/dev/fuse), -EIO
 * (mount(2) or fusermount3 failed). */
int mount_new(const struct options *o, const struct fuse_lowlevel_ops *ops, void *userdata,
	struct mount **ret, struct smr_error *err);
struct fuse_session *mount_session(struct mount *m);
/* Lets the kernel read ahead as far as one request goes. After loop_start, since the answer to INIT
 * resets it. Only root may; 0, or a negative errno that is of no consequence but speed. */
int mount_tune(struct mount *m);
/* Aborts what is unanswered and unmounts, lazily if it is busy, unless it was unmounted already.
 * Once. */
void mount_end(struct mount *m);
/* Frees; leaves what is mounted alone. NULL is fine. */
void mount_free(struct mount *m);

/* fs.fuse.default_request_timeout, max_request_timeout: seconds, 0 where the kernel has none. */
void mount_request_timeouts(uint64_t *ret_default, uint64_t *ret_max);

#endif
