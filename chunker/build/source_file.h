/* SPDX-License-Identifier: BSD-3-Clause */
/* What the local sources share: paths with a REF behind them, and blobs that are a range of a file. */
#ifndef BUILD_SOURCE_FILE_H
#define BUILD_SOURCE_FILE_H

#include "../core/buf.h"
#include "source.h"

/* A range of an open file, read in order. */
struct source_range {
	int fd; /* owned */
	uint64_t at, end;
};

/* Splits "PATH[:REF]": what exists as a whole is a path; else it ends at the first ':'. Both are to be freed; *ret_ref is NULL
 * without. -EINVAL: empty. */
int source_split_path(const char *arg, char **ret_path, char **ret_ref, struct smr_error *err);

/* "KIND:NAME[:REF]" with the last component of the path: what a recipe may say. NULL: no memory. */
char *source_local_reference(const char *kind, const char *path, const char *ref);

/* Takes the descriptor. NULL: no memory, and it is closed. */
struct source_range *source_range_new(int fd, uint64_t at, uint64_t end);
/* For struct source_ops. */
int source_range_read(
	struct source *s, void *range, void *data, size_t n, size_t *ret_n, struct smr_error *err);
void source_range_close(struct source *s, void *range);

/* The clients. */
int oci_layout_open(const char *arg, const struct source_options *opts, struct source **ret,
	struct smr_error *err);
int docker_archive_open(const char *arg, const struct source_options *opts, struct source **ret,
	struct smr_error *err);
int tar_source_open(const char *path, const struct source_options *opts, struct source **ret,
	struct smr_error *err);

#endif
