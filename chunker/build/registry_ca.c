// SPDX-License-Identifier: BSD-3-Clause
#include "registry_ca.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../core/buf.h"
#include "../core/cleanup.h"
#include "../core/fd.h"
#include "../store/transport.h"

#define BUNDLE_MAX (8u << 20)
#define SUFFIX     ".crt"

/* Appends a file; PEM may end without a newline. */
static int append_file(struct buf *b, int dirfd, const char *path)
{
	int r = fd_read_file(dirfd, path, b);

	return r == 0 ? buf_append_str(b, "\n") : r;
}

static bool is_certificate(const char *name)
{
	size_t n = strlen(name), m = strlen(SUFFIX);

	return n > m && strcmp(name + n - m, SUFFIX) == 0;
}

/* All of a folder. -ENOENT: it is not there. */
static int append_folder(struct buf *b, const char *folder, struct smr_error *err)
{
	DIR *d = opendir(folder);
	struct dirent *e;
	int r = 0;

	if (!d)
		return errno == ENOENT || errno == ENOTDIR || errno == EACCES
			       ? -ENOENT
			       : error_set_errno(err, -errno, "cannot read %s", folder);
	while (r == 0 && (e = readdir(d))) {
		if (!is_certificate(e->d_name))
			continue;
		r = append_file(b, dirfd(d), e->d_name);
		if (r < 0)
			error_set_errno(err, r, "cannot read %s/%s", folder, e->d_name);
	}
	closedir(d);
	return r;
}

/* BASE/MIDDLE/certs.d/HOST; -ENOENT also without a BASE. */
static int append_certs_d(struct buf *b, const char *base, const char *middle, const char *host,
	struct smr_error *err)
{
	char *folder auto_free = NULL;

	if (!base || !*base)
		return -ENOENT;
	if (asprintf(&folder, "%s/%s/certs.d/%s", base, middle, host) < 0) {
		folder = NULL;
		return -ENOMEM;
	}
	return append_folder(b, folder, err);
}

static int append_folders(struct buf *b, const char *host, struct smr_error *err)
{
	const char *config = getenv("XDG_CONFIG_HOME");
	int r = config && *config
			? append_certs_d(b, config, "containers", host, err)
			: append_certs_d(b, getenv("HOME"), ".config/containers", host, err);

	if (r == -ENOENT)
		r = append_certs_d(b, "/etc", "containers", host, err);
	if (r == -ENOENT)
		r = append_certs_d(b, "/etc", "docker", host, err);
	return r == -ENOENT ? 0 : r;
}

static int append_given(struct buf *b, const char *file, struct smr_error *err)
{
	size_t before = b->len;
	int r = append_file(b, AT_FDCWD, file);

	if (r < 0)
		return error_set_errno(err, r, "cannot read %s", file);
	if (!memmem(b->data + before, b->len - before, "-----BEGIN ", 11))
		return error_set(err, -EINVAL, "%s has no certificate in it (PEM)", file);
	return 0;
}

int registry_ca_bundle(const char *host, const char *file, int *ret_fd, struct smr_error *err)
{
	struct buf b auto_with(buf_done) = {0};
	const char *system = getenv("SSL_CERT_FILE");
	bool named = system && *system;
	int r, fd = -1;

	buf_init(&b, BUNDLE_MAX);
	r = append_folders(&b, host, err);
	if (r == 0 && file)
		r = append_given(&b, file, err);
	if (r < 0)
		return r;
	if (!named)
		system = transport_ca_file();
	if (b.len > 0 || named) {
		r = system ? append_file(&b, AT_FDCWD, system) : 0;
		/* A machine without authorities has those that were named. */
		if (r < 0 && (named || r != -ENOENT))
			return error_set_errno(err, r, "cannot read %s", system);
		fd = fd_sealed_memfd("smr-ca", b.data, b.len);
		if (fd < 0)
			return error_set_errno(err, fd, "keeping certificates");
	}
	*ret_fd = fd;
	return 0;
}
