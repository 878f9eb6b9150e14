/* SPDX-License-Identifier: BSD-3-Clause */
/* The table of operations; what is in it is described where it is implemented: entry.h, dir.h,
 * file.h. */
#ifndef FS_OPS_H
#define FS_OPS_H

#include "request.h"

/* Its user data is a struct server. Requests must be processed by loop.h. */
extern const struct fuse_lowlevel_ops ops_table;

#endif
