// SPDX-License-Identifier: BSD-3-Clause
/* tar:FILE: an image of one layer, about which nothing is said. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "../core/cleanup.h"
#include "source_file.h"

struct tar_source {
	struct source source;
	char *path;
};

static int open_blob(struct source *s, size_t i, void **ret_blob, struct smr_error *err)
{
	const struct tar_source *t = (struct tar_source *)s;
	int fd = open(t->path, O_RDONLY | O_CLOEXEC);
	struct stat st;

	(void)i;
	if (fd < 0 || fstat(fd, &st) < 0) {
		int r = error_set_errno(err, -errno, "cannot read %s", t->path);
		if (fd >= 0)
			close(fd);
		return r;
	}
	if (!S_ISREG(st.st_mode)) {
		close(fd);
		return error_set(err, -EINVAL, "%s is no regular file", t->path);
	}
	*ret_blob = source_range_new(fd, 0, (uint64_t)st.st_size);
	return *ret_blob ? 0 : -ENOMEM;
}

static void free_source(struct source *s)
{
	struct tar_source *t = (struct tar_source *)s;

	free(t->path);
	source_done(s);
	free(t);
}

static const struct source_ops ops = {
	.open = open_blob,
	.read = source_range_read,
	.close = source_range_close,
	.free = free_source,
};

int tar_source_open(const char *path, const struct source_options *opts, struct source **ret,
	struct smr_error *err)
{
	struct tar_source *t;

	(void)opts;
	if (access(path, R_OK) < 0)
		return error_set_errno(err, -errno, "cannot read %s", path);
	t = calloc(1, sizeof(*t));
	if (!t)
		return -ENOMEM;
	t->source.ops = &ops;
	t->source.kind = SOURCE_TAR;
	t->path = strdup(path);
	t->source.reference = source_local_reference("tar", path, NULL);
	t->source.layers = calloc(1, sizeof(*t->source.layers));
	if (!t->path || !t->source.reference || !t->source.layers) {
		free_source(&t->source);
		return -ENOMEM;
	}
	t->source.n_layers = 1;
	source_name_of_path(path, t->source.name);
	*ret = &t->source;
	return 0;
}
