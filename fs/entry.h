/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Names and attributes: NAME.img for each recipe NAME of the store.
 *
 * What a node's attributes say never changes, so the kernel may keep them for a day. What a name
 * means may: an entry is good for a second. There are no notifications to shorten that:
 * NOTIFY_INVAL_ENTRY waits in the kernel for the lock of the directory, which is held across
 * LOOKUP, so a daemon that dies at that moment cannot even be killed.
 */
#ifndef FS_ENTRY_H
#define FS_ENTRY_H

#include <stdbool.h>

#include "request.h"
#include "server.h"

#define ENTRY_SUFFIX       ".img"
#define ENTRY_TIMEOUT      1.0     /* seconds */
#define ENTRY_ATTR_TIMEOUT 86400.0 /* seconds */

/* What a node is made of. false: the recipe has to be loaded first (listings of flat stores know
 * names only). */
bool entry_info(const struct image *image, struct node_info *ret);
void entry_stat(const struct server *s, const struct node *node, struct stat *ret);
void entry_stat_root(const struct server *s, struct stat *ret);
/* One more lookup of the image's node, as a reply to LOOKUP or a READDIRPLUS entry has it. Consumes
 * the reference. A negative errno of nodes_lookup. */
int entry_make(struct server *s, struct image *image, const struct node_info *info,
	struct fuse_entry_param *ret);
/* What to tell the kernel for a negative errno of the layers below: positive, and one that a
 * program expects of a file. */
int entry_errno(int r);

/* FUSE_LOOKUP */
void entry_lookup(fuse_req_t req, fuse_ino_t parent, const char *name);
/* FUSE_GETATTR */
void entry_getattr(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);

#endif
