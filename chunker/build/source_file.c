// SPDX-License-Identifier: BSD-3-Clause
#include "source_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../core/cleanup.h"
#include "../core/fd.h"
#include "registry.h"

int source_split_path(const char *arg, char **ret_path, char **ret_ref, struct smr_error *err)
{
	const char *colon = access(arg, F_OK) == 0 ? NULL : strchr(arg, ':');
	auto_free char *path = colon ? strndup(arg, (size_t)(colon - arg)) : strdup(arg);
	char *ref = NULL;

	if (!path)
		return -ENOMEM;
	if (!*path || (colon && !colon[1]))
		return error_set(
			err, -EINVAL, "'%s': a path, or a path and a name, is missing", arg);
	if (colon) {
		ref = strdup(colon + 1);
		if (!ref)
			return -ENOMEM;
	}
	*ret_path = take_ptr(path);
	*ret_ref = ref;
	return 0;
}

char *source_local_reference(const char *kind, const char *path, const char *ref)
{
	auto_free char *real = realpath(path, NULL);
	const char *s = real ? real : path, *slash = strrchr(s, '/');
	char *ret;

	if (asprintf(&ret, "%s:%s%s%s", kind, slash && slash[1] ? slash + 1 : s, ref ? ":" : "",
		    ref ? ref : "") < 0)
		return NULL;
	return ret;
}

struct source_range *source_range_new(int fd, uint64_t at, uint64_t end)
{
	struct source_range *g = malloc(sizeof(*g));

	if (!g) {
		close(fd);
		return NULL;
	}
	*g = (struct source_range){fd, at, end};
	return g;
}

int source_range_read(
	struct source *s, void *range, void *data, size_t n, size_t *ret_n, struct smr_error *err)
{
	struct source_range *g = range;
	int r;

	if (n > g->end - g->at)
		n = (size_t)(g->end - g->at);
	r = fd_pread(g->fd, data, n, g->at, ret_n);
	if (r < 0)
		return error_set_errno(err, r, "cannot read %s", s->reference);
	g->at += *ret_n;
	return 0;
}

void source_range_close(struct source *s, void *range)
{
	struct source_range *g = range;

	(void)s;
	close(g->fd);
	free(g);
}

int source_open(const char *arg, const struct source_options *opts, struct source **ret,
	struct smr_error *err)
{
	static const struct source_options none;
	const char *rest;

	if (!opts)
		opts = &none;
	switch (source_kind(arg, &rest)) {
	case SOURCE_OCI:
		return oci_layout_open(rest, opts, ret, err);
	case SOURCE_DOCKER_ARCHIVE:
		return docker_archive_open(rest, opts, ret, err);
	case SOURCE_TAR:
		return tar_source_open(rest, opts, ret, err);
	case SOURCE_REGISTRY:
		return registry_open(rest, opts, ret, err);
	default:
		return error_set(err, -EINVAL, "'%s' has no layers", arg);
	}
}
