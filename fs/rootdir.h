/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Listing the root directory. An open directory keeps the list that its first read found, until it
 * is rewound, so offsets are stable whatever happens to the store: 1 is behind ".", 2 behind "..",
 * i + 3 behind image i.
 */
#ifndef FS_ROOTDIR_H
#define FS_ROOTDIR_H

#include "request.h"
#include "server.h"

/* FUSE_OPENDIR, FUSE_READDIR, FUSE_READDIRPLUS, FUSE_RELEASEDIR */
void rootdir_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);
void rootdir_read(
	fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset, struct fuse_file_info *fi);
void rootdir_read_plus(
	fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset, struct fuse_file_info *fi);
void rootdir_release(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);

/* FUSE_STATFS: full, as any read-only file system; its size is that of the stored data of all
 * images. */
void rootdir_statfs(fuse_req_t req, fuse_ino_t ino);

/* Those that the kernel will not release any more. */
void rootdir_close_all(struct server *s);

#endif
