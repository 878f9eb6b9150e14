// SPDX-License-Identifier: BSD-3-Clause
/*
 * docker-archive:FILE[:REF]: what `docker save` and `skopeo copy ... docker-archive:` write.
 *
 *     archive       = tar of manifest.json, configs and layers
 *     manifest.json = [{"Config": PATH, "RepoTags": [REF...] or null, "Layers": [PATH...]}...]
 *
 * A layer may be a symlink to another one (Docker before 25). One that is compressed as a whole is decompressed into an
 * unlinked file first, since layers come in another order than members.
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
#include "decompress.h"
#include "limits.h"
#include "manifest.h"
#include "source_file.h"
#include "spool.h"
#include "tar_reader.h"

#define MEMBERS_MAX 100000u
#define READ_BYTES  (64u << 10)

struct member {
	char *path, *target; /* target: of a symlink, else NULL */
	uint64_t data, size;
};

struct docker_archive {
	struct source source;
	char *path;
	int fd;
	uint64_t size; /* bytes of the tar */
	struct member *members;
	size_t n_members, cap_members;
	size_t *layers; /* members */
	/* while it is scanned */
	uint64_t at;
	unsigned char buffer[READ_BYTES];
};

/* ---- the archive as a file that can be read anywhere ---- */

static int read_fd(void *user, void *data, size_t n, size_t *ret_n, struct smr_error *err)
{
	int r = fd_read(*(int *)user, data, n, ret_n);

	return r < 0 ? error_set_errno(err, r, "cannot read") : 0;
}

static int copy(struct decompress *d, int to, const atomic_bool *cancel, struct smr_error *err)
{
	auto_free char *buffer = malloc(READ_BYTES);
	uint64_t total = 0;
	size_t n;
	int r = buffer ? 0 : -ENOMEM;

	do {
		if (r == 0 && cancel && atomic_load(cancel))
			r = -ECANCELED;
		if (r == 0)
			r = decompress_read(d, buffer, READ_BYTES, &n, err);
		if (r < 0)
			return r;
		total += n;
		if (total > LIMITS_BYTES_DEFAULT)
			return error_set(err, -EFBIG, "more than %llu bytes are compressed in it",
				(unsigned long long)LIMITS_BYTES_DEFAULT);
		r = fd_write(to, buffer, n);
		if (r < 0)
			return error_set_errno(err, r, "cannot write a temporary file");
	} while (n == READ_BYTES);
	return 0;
}

static bool is_compressed(int fd)
{
	unsigned char b[4];
	size_t n;

	if (fd_pread(fd, b, sizeof(b), 0, &n) < 0 || n < 4)
		return false;
	return memcmp(b, "\x1f\x8b", 2) == 0 || memcmp(b, "\x28\xb5\x2f\xfd", 4) == 0;
}

static int open_archive(
	struct docker_archive *a, const struct source_options *opts, struct smr_error *err)
{
	int fd auto_close = open(a->path, O_RDONLY | O_CLOEXEC), r = 0;
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0)
		return error_set_errno(err, -errno, "cannot open %s", a->path);
	if (!S_ISREG(st.st_mode))
		return error_set(err, -EINVAL, "%s is no regular file", a->path);
	if (is_compressed(fd)) {
		int temp auto_close = spool_open_temp(opts->temp_dir, err);
		struct decompress *d =
			decompress_new(read_fd, &fd, LIMITS_RATIO_DEFAULT, LIMITS_RATIO_FROM);
		r = temp < 0 ? temp : d ? copy(d, temp, opts->cancel, err) : -ENOMEM;
		decompress_free(d);
		if (r == 0 && fstat(temp, &st) < 0)
			r = -errno;
		if (r < 0)
			return error_wrap(err, r, "%s", a->path);
		a->fd = take_fd(&temp);
	} else {
		a->fd = take_fd(&fd);
	}
	a->size = (uint64_t)st.st_size;
	return 0;
}

static int scan_read(void *user, const void **ret_data, size_t *ret_n, struct smr_error *err)
{
	struct docker_archive *a = user;
	int r = fd_pread(a->fd, a->buffer, sizeof(a->buffer), a->at, ret_n);

	if (r < 0)
		return error_set_errno(err, r, "cannot read");
	a->at += *ret_n;
	*ret_data = a->buffer;
	return 0;
}

static int scan_skip(void *user, uint64_t n, struct smr_error *err)
{
	struct docker_archive *a = user;

	if (n > a->size || a->at > a->size - n)
		return error_set(err, -EBADMSG, "the archive is cut off");
	a->at += n;
	return 0;
}

static int add_member(struct docker_archive *a, const struct tar_member *m, struct smr_error *err)
{
	struct member *to;
	const char *path = m->path;

	if (!S_ISREG(m->mode) && !S_ISLNK(m->mode))
		return 0;
	if (a->n_members == MEMBERS_MAX)
		return error_set(err, -EFBIG, "more than %u files in it", MEMBERS_MAX);
	if (a->n_members == a->cap_members) {
		size_t cap = a->cap_members ? a->cap_members * 2 : 64;
		void *p = reallocarray(a->members, cap, sizeof(*a->members));
		if (!p)
			return -ENOMEM;
		a->members = p;
		a->cap_members = cap;
	}
	while (path[0] == '.' && path[1] == '/')
		path += 2;
	to = &a->members[a->n_members];
	*to = (struct member){.path = strdup(path), .data = m->data, .size = m->size};
	a->n_members++;
	if (m->target) {
		to->target = strdup(m->target);
		to->size = 0;
	}
	return to->path && (to->target || !m->target) ? 0 : -ENOMEM;
}

static int scan(struct docker_archive *a, struct smr_error *err)
{
	struct tar_reader *t = tar_reader_new(scan_read, scan_skip, a);
	const struct tar_member *m;
	int r = t ? 1 : -ENOMEM;

	while (r > 0) {
		r = tar_reader_next(t, &m, err);
		if (r > 0) {
			int added = add_member(a, m, err);
			r = added < 0 ? added : r;
		}
	}
	tar_reader_free(t);
	return r;
}

/* ---- what is in it ---- */

static int find(struct docker_archive *a, const char *path, size_t *ret, struct smr_error *err)
{
	size_t n = 0;

	while (path[0] == '.' && path[1] == '/')
		path += 2;
	for (size_t i = 0; i < a->n_members; i++) {
		if (strcmp(a->members[i].path, path) != 0)
			continue;
		*ret = i;
		n++;
	}
	/* Which of two counts is a matter of taste, and tastes differ. */
	if (n != 1)
		return error_set(err, -EBADMSG, "'%.200s' is in the archive %s", path,
			n ? "more than once" : "not at all");
	return 0;
}

/* "../ID/layer.tar", seen from the folder of the symlink; one hop. */
static int find_layer(
	struct docker_archive *a, const char *path, size_t *ret, struct smr_error *err)
{
	const struct member *m;
	int r = find(a, path, ret, err);

	if (r < 0 || !a->members[*ret].target)
		return r;
	m = &a->members[*ret];
	if (strncmp(m->target, "../", 3) != 0 || strstr(m->target + 3, "..") ||
		!strchr(m->path, '/') || strchr(strchr(m->path, '/') + 1, '/'))
		return error_set(err, -EBADMSG, "layer '%.200s' is a symlink to '%.200s'", m->path,
			m->target);
	r = find(a, m->target + 3, ret, err);
	if (r == 0 && a->members[*ret].target)
		r = error_set(err, -EBADMSG, "layer '%.200s' is a symlink to a symlink", path);
	return r;
}

static int read_member(
	struct docker_archive *a, const char *path, struct buf *ret, struct smr_error *err)
{
	size_t i, got;
	int r = find(a, path, &i, err);

	if (r < 0)
		return r;
	const struct member *m = &a->members[i];
	buf_init(ret, MANIFEST_BYTES_MAX);
	if (m->target || m->size > MANIFEST_BYTES_MAX)
		return error_set(
			err, -EFBIG, "'%.200s' has more than %u bytes", path, MANIFEST_BYTES_MAX);
	r = buf_reserve(ret, m->size);
	if (r == 0)
		r = fd_pread(a->fd, ret->data, m->size, m->data, &got);
	if (r == 0 && got != m->size)
		r = error_set(err, -EBADMSG, "the archive is cut off");
	if (r == 0)
		ret->len = got;
	return r;
}

static bool has_tag(const json_t *image, const char *ref)
{
	const json_t *tag;
	const char *slash = strrchr(ref, '/');
	char latest[512];
	size_t i;

	snprintf(latest, sizeof(latest), "%s%s", ref,
		strchr(slash ? slash : ref, ':') ? "" : ":latest");
	json_array_foreach(json_object_get(image, "RepoTags"), i, tag)
	{
		const char *s = json_string_value(tag);
		if (s && (strcmp(s, ref) == 0 || strcmp(s, latest) == 0))
			return true;
	}
	return false;
}

static const char *first_tag(const json_t *image)
{
	return json_string_value(json_array_get(json_object_get(image, "RepoTags"), 0));
}

static const json_t *choose(const struct docker_archive *a, const json_t *images, const char *ref,
	struct smr_error *err)
{
	struct buf tags auto_with(buf_done) = {0};
	const json_t *image, *found = NULL;
	size_t i;

	if (!json_is_array(images) || json_array_size(images) == 0) {
		error_set(err, -EBADMSG, "%s: its manifest.json has no images", a->path);
		return NULL;
	}
	buf_init(&tags, 4096);
	json_array_foreach(images, i, image)
	{
		if (ref ? has_tag(image, ref) : json_array_size(images) == 1)
			found = image;
		if (first_tag(image)) {
			buf_append_str(&tags, tags.len ? ", " : "");
			buf_append_str(&tags, first_tag(image));
		}
	}
	if (!found)
		error_set(err, -ENOENT, "%s has %s%s%s: %s", a->path,
			ref ? "no image '" : "several images, name one", ref ? ref : "",
			ref ? "'; it has" : "", tags.len ? buf_cstr(&tags) : "none with a name");
	return found;
}

/* The config's name is its digest. */
static int check_config(const char *path, const struct buf *config, struct smr_error *err)
{
	const char *slash = strrchr(path, '/');
	struct chunkid want, is;

	if (chunkid_parse(slash ? slash + 1 : path, &want) < 0)
		return 0;
	chunkid_hash(config->data, config->len, &is);
	if (!chunkid_equal(&want, &is))
		return error_set(
			err, -EBADMSG, "the config '%.100s' is not what its name says", path);
	return 0;
}

static int take_layers(
	struct docker_archive *a, const json_t *layers, struct manifest *m, struct smr_error *err)
{
	const json_t *path;
	size_t i, n = json_array_size(layers);

	if (!json_is_array(layers) || n > SOURCE_LAYERS_MAX)
		return error_set(err, n ? -EFBIG : -EBADMSG, "it has %zu layers, more than %u", n,
			SOURCE_LAYERS_MAX);
	a->layers = calloc(n + 1, sizeof(*a->layers));
	m->layers = calloc(n + 1, sizeof(*m->layers));
	if (!a->layers || !m->layers)
		return -ENOMEM;
	json_array_foreach(layers, i, path)
	{
		if (!json_is_string(path))
			return error_set(err, -EBADMSG, "layer %zu has no name", i + 1);
		int r = find_layer(a, json_string_value(path), &a->layers[i], err);
		if (r < 0)
			return r;
		m->layers[i].size = a->members[a->layers[i]].size;
		m->n_layers++;
	}
	return 0;
}

static int take_names(struct docker_archive *a, const json_t *image, const char *ref)
{
	const char *tag = ref ? ref : first_tag(image);

	a->source.reference = source_local_reference("docker-archive", a->path, tag);
	if (tag)
		source_name_of_reference(tag, a->source.name);
	else
		source_name_of_path(a->path, a->source.name);
	return a->source.reference ? 0 : -ENOMEM;
}

static int take_image(struct docker_archive *a, const char *ref, const struct platform *platform,
	struct smr_error *err)
{
	struct buf json auto_with(buf_done) = {0}, config auto_with(buf_done) = {0};
	struct manifest m = {0};
	int r = read_member(a, "manifest.json", &json, err);
	json_t *images =
		r == 0 ? json_loadb((char *)json.data, json.len, JSON_REJECT_DUPLICATES, NULL)
		       : NULL;
	const json_t *image = r == 0 ? choose(a, images, ref, err) : NULL;
	const char *path = json_string_value(json_object_get(image, "Config"));

	if (r == 0 && !image)
		r = images ? -ENOENT : -EBADMSG;
	else if (r == 0 && !path)
		r = error_set(err, -EBADMSG, "its manifest.json names no config");
	if (r == 0)
		r = read_member(a, path, &config, err);
	if (r == 0)
		r = check_config(path, &config, err);
	if (r == 0)
		r = take_layers(a, json_object_get(image, "Layers"), &m, err);
	if (r == 0)
		r = source_take_manifest(
			&a->source, &m, (char *)config.data, config.len, platform, err);
	if (r == 0)
		r = take_names(a, image, ref);
	/* Nothing is said about the blobs but what is in them. */
	for (size_t i = 0; r == 0 && i < a->source.n_layers; i++)
		a->source.layers[i].has_digest = false;
	manifest_done(&m);
	json_decref(images);
	return r;
}

/* ---- the client ---- */

static int open_blob(struct source *s, size_t i, void **ret_blob, struct smr_error *err)
{
	struct docker_archive *a = (struct docker_archive *)s;
	const struct member *m = &a->members[a->layers[i]];
	int fd = fcntl(a->fd, F_DUPFD_CLOEXEC, 3);

	if (fd < 0)
		return error_set_errno(err, -errno, "%s", a->path);
	*ret_blob = source_range_new(fd, m->data, m->data + m->size);
	return *ret_blob ? 0 : -ENOMEM;
}

static void free_source(struct source *s)
{
	struct docker_archive *a = (struct docker_archive *)s;

	if (a->fd >= 0)
		close(a->fd);
	for (size_t i = 0; i < a->n_members; i++) {
		free(a->members[i].path);
		free(a->members[i].target);
	}
	free(a->members);
	free(a->layers);
	free(a->path);
	source_done(s);
	free(a);
}

static const struct source_ops ops = {
	.open = open_blob,
	.read = source_range_read,
	.close = source_range_close,
	.free = free_source,
};

int docker_archive_open(const char *arg, const struct source_options *opts, struct source **ret,
	struct smr_error *err)
{
	struct docker_archive *a = calloc(1, sizeof(*a));
	auto_free char *ref = NULL;
	int r = a ? 0 : -ENOMEM;

	if (r < 0)
		return r;
	a->source.ops = &ops;
	a->source.kind = SOURCE_DOCKER_ARCHIVE;
	a->fd = -1;
	r = source_split_path(arg, &a->path, &ref, err);
	if (r == 0)
		r = open_archive(a, opts, err);
	if (r == 0) {
		r = scan(a, err);
		if (r == 0)
			r = take_image(a, ref, opts->platform, err);
		if (r < 0)
			error_wrap(err, r, "%s", a->path);
	}
	if (r < 0) {
		free_source(&a->source);
		return r;
	}
	*ret = &a->source;
	return 0;
}
