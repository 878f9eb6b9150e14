/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A file that appears under its name when it is whole, or not at all: until then it has no name (O_TMPFILE), so that not even
 * kill -9 leaves something behind. Where the file system has no such files it is beside its final name, as NAME.tmp.PID.N.
 *
 *     outfile_open -> write to fd -> outfile_publish -> outfile_done
 *
 * A plain value, one thread.
 */
#ifndef CMD_OUTFILE_H
#define CMD_OUTFILE_H

#include <limits.h>
#include <stdbool.h>
#include <sys/types.h>

#include "../core/error.h"

struct outfile {
	int fd;              /* for reading and writing; empty at first */
	char path[PATH_MAX]; /* symlinks resolved */
	char temp[PATH_MAX]; /* "": the file has no name */
	bool replaces;
	mode_t mode; /* of what it replaces, and gets as well */
};

/* What is at `path` stays there until the new file is published; a symlink is followed. -EINVAL: it is no regular file;
 * what open(2) gives. */
int outfile_open(struct outfile *o, const char *path, struct smr_error *err);
/* Gives it its name. It is not synced here. */
int outfile_publish(struct outfile *o, struct smr_error *err);
/* Closes it; what was not published is gone. For every one that was opened. */
void outfile_done(struct outfile *o);

#endif
