// SPDX-License-Identifier: BSD-3-Clause
/*
 * oci:DIR[:REF]: an OCI image layout (image-layout.md), as skopeo, umoci and buildah write.
 *
 *     DIR/oci-layout          {"imageLayoutVersion": "1.0.0"}
 *     DIR/index.json          an index
 *     DIR/blobs/sha256/HEX    everything else
 *
 * No symlink below DIR is followed: a layout that somebody sent is a way into it, not into the machine.
 */
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "../core/cleanup.h"
#include "../core/fd.h"
#include "manifest.h"
#include "source_file.h"

#define INDEX_DEPTH_MAX 4

struct oci_layout {
	struct source source;
	char *path;
	int dir, blobs; /* DIR, DIR/blobs/sha256 */
};

static int open_dir(int at, const char *name)
{
	int fd = openat(at, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

	return fd < 0 ? -errno : fd;
}

/* A regular file; the descriptor and its size. */
static int open_file(int at, const char *name, uint64_t *ret_size)
{
	struct stat st;
	int fd = openat(at, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);

	if (fd < 0)
		return -errno;
	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode)) {
		close(fd);
		return -EINVAL;
	}
	*ret_size = (uint64_t)st.st_size;
	return fd;
}

static int read_json(
	struct oci_layout *o, int at, const char *name, struct buf *ret, struct smr_error *err)
{
	uint64_t size;
	int fd auto_close = open_file(at, name, &size), r;
	size_t got;

	if (fd < 0)
		return error_set_errno(err, fd, "cannot read %s of %s", name, o->path);
	buf_init(ret, MANIFEST_BYTES_MAX);
	r = size > MANIFEST_BYTES_MAX ? -EFBIG : buf_reserve(ret, size);
	if (r == 0)
		r = fd_read(fd, ret->data, size, &got);
	if (r < 0)
		return error_set_errno(err, r, "cannot read %s of %s", name, o->path);
	ret->len = got;
	return 0;
}

/* A blob that is JSON, verified. */
static int read_blob(struct oci_layout *o, const struct manifest_descriptor *d, struct buf *ret,
	struct smr_error *err)
{
	char hex[CHUNKID_HEX + 1];
	struct chunkid digest;
	int r;

	chunkid_format(&d->digest, hex);
	r = read_json(o, o->blobs, hex, ret, err);
	if (r < 0)
		return r;
	chunkid_hash(ret->data, ret->len, &digest);
	if (ret->len != d->size || !chunkid_equal(&digest, &d->digest))
		return error_set(err, -EBADMSG, "%s: blob sha256:%.12s is not what its digest says",
			o->path, hex);
	return 0;
}

static int check_version(struct oci_layout *o, struct smr_error *err)
{
	struct buf b auto_with(buf_done) = {0};
	const char *version;
	json_t *j;
	int r = read_json(o, o->dir, "oci-layout", &b, NULL);

	if (r < 0)
		return error_set(err, r == -ENOENT ? -EINVAL : r,
			"%s is no OCI image layout: it has no file oci-layout", o->path);
	j = json_loadb((char *)b.data, b.len, JSON_REJECT_DUPLICATES, NULL);
	version = json_string_value(json_object_get(j, "imageLayoutVersion"));
	r = version && strncmp(version, "1.", 2) == 0 ? 0 : -ENOTSUP;
	if (r < 0)
		error_set(err, r, "%s is an OCI image layout of another version", o->path);
	json_decref(j);
	return r;
}

/* From index to index to the manifest. */
static int find_manifest(struct oci_layout *o, const char *ref, const struct platform *platform,
	struct manifest_descriptor *ret, char **ret_ref, struct buf *manifest,
	struct smr_error *err)
{
	enum manifest_kind kind = MANIFEST_INDEX;
	struct platform host;
	int r;

	if (!platform) {
		platform_host(&host);
		platform = &host;
	}
	r = read_json(o, o->dir, "index.json", manifest, err);
	if (r < 0)
		return r;
	for (int i = 0; kind == MANIFEST_INDEX; i++) {
		if (i == INDEX_DEPTH_MAX)
			return error_set(
				err, -EBADMSG, "%s: an index in an index in an index", o->path);
		r = manifest_choose((char *)manifest->data, manifest->len, i ? NULL : ref, platform,
			ret, i ? NULL : ret_ref, err);
		buf_done(manifest);
		if (r == 0)
			r = read_blob(o, ret, manifest, err);
		if (r == 0)
			r = manifest_kind((char *)manifest->data, manifest->len, &kind, err);
		if (r < 0)
			return error_wrap(err, r, "%s", o->path);
	}
	return 0;
}

static int take_image(struct oci_layout *o, const char *ref, const struct platform *platform,
	struct smr_error *err)
{
	struct manifest_descriptor d;
	struct buf json auto_with(buf_done) = {0}, config auto_with(buf_done) = {0};
	auto_free char *found = NULL;
	struct manifest m = {0};
	int r = find_manifest(o, ref, platform, &d, &found, &json, err);

	if (r < 0)
		return r;
	r = manifest_parse((char *)json.data, json.len, &m, err);
	if (r == 0)
		r = read_blob(o, &m.config, &config, err);
	if (r == 0)
		r = source_take_manifest(
			&o->source, &m, (char *)config.data, config.len, platform, err);
	manifest_done(&m);
	if (r < 0)
		return error_wrap(err, r, "%s", o->path);
	o->source.has_manifest = true;
	o->source.manifest = d.digest;
	o->source.reference = source_local_reference("oci", o->path, ref ? ref : found);
	if (!o->source.reference)
		return -ENOMEM;
	/* A name that is a reference says it all; a tag alone needs the folder in front. */
	if (found && strpbrk(found, "/:"))
		source_name_of_reference(found, o->source.name);
	else
		source_name_of_reference(o->source.reference + strlen("oci:"), o->source.name);
	return 0;
}

static int open_blob(struct source *s, size_t i, void **ret_blob, struct smr_error *err)
{
	const struct oci_layout *o = (struct oci_layout *)s;
	char hex[CHUNKID_HEX + 1];
	uint64_t size;
	int fd;

	chunkid_format(&s->layers[i].digest, hex);
	fd = open_file(o->blobs, hex, &size);
	if (fd < 0)
		return error_set_errno(
			err, fd, "cannot read blob sha256:%.12s of %s", hex, o->path);
	*ret_blob = source_range_new(fd, 0, size);
	return *ret_blob ? 0 : -ENOMEM;
}

static void free_source(struct source *s)
{
	struct oci_layout *o = (struct oci_layout *)s;

	if (o->dir >= 0)
		close(o->dir);
	if (o->blobs >= 0)
		close(o->blobs);
	free(o->path);
	source_done(s);
	free(o);
}

static const struct source_ops ops = {
	.open = open_blob,
	.read = source_range_read,
	.close = source_range_close,
	.free = free_source,
};

static int open_folders(struct oci_layout *o, struct smr_error *err)
{
	int fd;

	o->dir = open(o->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (o->dir < 0)
		return error_set_errno(err, -errno, "cannot open %s", o->path);
	fd = open_dir(o->dir, "blobs");
	if (fd >= 0) {
		o->blobs = open_dir(fd, "sha256");
		close(fd);
		fd = o->blobs;
	}
	if (fd < 0)
		return error_set_errno(err, fd, "%s has no folder blobs/sha256", o->path);
	return 0;
}

int oci_layout_open(const char *arg, const struct source_options *opts, struct source **ret,
	struct smr_error *err)
{
	struct oci_layout *o = calloc(1, sizeof(*o));
	auto_free char *ref = NULL;
	int r = o ? 0 : -ENOMEM;

	if (r < 0)
		return r;
	o->source.ops = &ops;
	o->source.kind = SOURCE_OCI;
	o->dir = o->blobs = -1;
	r = source_split_path(arg, &o->path, &ref, err);
	if (r == 0)
		r = open_folders(o, err);
	if (r == 0)
		r = check_version(o, err);
	if (r == 0)
		r = take_image(o, ref, opts->platform, err);
	if (r < 0) {
		free_source(&o->source);
		return r;
	}
	*ret = &o->source;
	return 0;
}
