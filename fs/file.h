/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What can be done with an image file. Nothing here waits for a chunk or a recipe: what is not
 * there is asked for, and answered from its completion.
 */
#ifndef FS_FILE_H
#define FS_FILE_H

#include "request.h"
#include "server.h"

/* FUSE_OPEN: ENOSYS, once, tells a kernel that knows it never to ask again. */
void file_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);
/* FUSE_READ: all bytes up to the end of the file or an error; a short answer would shrink the file.
 * EIO after the deadline; the next read tries again. */
void file_read(
	fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset, struct fuse_file_info *fi);
/* FUSE_LSEEK: SEEK_DATA, SEEK_HOLE */
void file_lseek(
	fuse_req_t req, fuse_ino_t ino, off_t offset, int whence, struct fuse_file_info *fi);
/* FUSE_GETXATTR, FUSE_LISTXATTR: user.smr.digest, "sha256:HEX" of the recipe; user.smr.source, the
 * image reference */
void file_getxattr(fuse_req_t req, fuse_ino_t ino, const char *name, size_t size);
void file_listxattr(fuse_req_t req, fuse_ino_t ino, size_t size);

#endif
