/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The mark of a clean close: a small file that says in which state a data file was left. LMDB has
 * no checksums and a torn file crashes its reader, so a file without a mark that fits it is not
 * opened.
 *
 *     mark = u8[8] magic "smrindex", u32 version = 2, u32 zero,
 *            u64 size, u64 inode, i64 ctime in ns, u8[32] SHA-256 of all of the data file
 *
 * Little-endian. Inode and ctime tell a file that was copied or touched; the hash what a disk did
 * to it. The version is that of the records as well: another one is a mark that does not fit.
 *
 * Any thread; one process at a time.
 */
#ifndef CACHED_CLEANMARK_H
#define CACHED_CLEANMARK_H

#include <stdbool.h>

/* Is there a mark below `dir_fd`, and is `file` in the state it describes? Reads all of the file. */
bool cleanmark_fits(int dir_fd, const char *file);
/* Syncs `file` and then leaves a mark of it, durably. 0 or a negative errno. */
int cleanmark_leave(int dir_fd, const char *file);
/* Removes the mark, durably. 0, also when there is none, or a negative errno: it may still be there. */
int cleanmark_remove(int dir_fd);

#endif
