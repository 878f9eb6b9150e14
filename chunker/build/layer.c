// SPDX-License-Identifier: BSD-3-Clause
#include "layer.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "../core/cleanup.h"
#include "ahead.h"
#include "decompress.h"

#define WHITEOUT \
	"."      \
	"wh."
#define OPAQUE ".wh..wh..opq"
#define AUFS   ".wh..wh."
#define LEN(s) (sizeof(s) - 1)

/* ---- names ---- */

/* Bytes of `path` from the last component on, slashes behind it left out. */
static const char *last_component(const char *path, size_t len, size_t *ret_len)
{
	const char *end = path + len, *p;

	while (end > path && end[-1] == '/')
		end--;
	for (p = end; p > path && p[-1] != '/'; p--)
		;
	*ret_len = (size_t)(end - p);
	return p;
}

static bool is_whiteout(const char *name, size_t len)
{
	return len >= LEN(WHITEOUT) && memcmp(name, WHITEOUT, LEN(WHITEOUT)) == 0;
}

/* A component in front of the last one is a whiteout. */
static bool is_below_whiteout(const char *path, const char *last)
{
	for (const char *p = path; p < last;) {
		const char *slash = memchr(p, '/', (size_t)(last - p));
		if (!slash)
			return false;
		if (is_whiteout(p, (size_t)(slash - p)))
			return true;
		p = slash + 1;
	}
	return false;
}

/* What aufs kept in the root of old Docker's layers. */
static bool is_aufs(const char *path, size_t len)
{
	while (len > 1 && path[0] == '.' && path[1] == '/') {
		path += 2;
		len -= 2;
	}
	return len >= LEN(AUFS) && memcmp(path, AUFS, LEN(AUFS)) == 0 &&
	       !(len == LEN(OPAQUE) && memcmp(path, OPAQUE, LEN(OPAQUE)) == 0);
}

static int explain(int r, const char *what, const char *path, struct smr_error *err)
{
	static const struct {
		int code;
		const char *why;
	} reasons[] = {
		{-EINVAL, "it has a '..' or an invalid character"},
		{-ENAMETOOLONG, "a name in it has more than 255 bytes"},
		{-ENOENT, "there is no such file"},
		{-ENOTDIR, "something in front of a '/' is no directory"},
		{-ELOOP, "its symlinks go in circles"},
		{-EXDEV, "a symlink in it leads out of the image"},
		{-EFBIG, "the image has more files than --max-entries or 320 MiB of memory hold, "
			 "or too deep ones"},
	};

	for (size_t i = 0; i < sizeof(reasons) / sizeof(reasons[0]); i++)
		if (reasons[i].code == r)
			return error_set(err, r == -EFBIG || r == -ENAMETOOLONG ? r : -EBADMSG,
				"%s'%.200s': %s", what, path, reasons[i].why);
	return error_set_errno(err, r, "%s'%.200s'", what, path);
}

static int walk(struct layer_target *to, const char *what, const char *path, size_t len,
	unsigned flags, struct tree_place *ret, struct smr_error *err)
{
	int r;

	if (path[0] == '/')
		return error_set(err, -EBADMSG, "%s'%.200s': the name is absolute", what, path);
	r = tree_walk(to->tree, path, len, flags | TREE_FOLLOW | TREE_CONTAIN, ret);
	return r < 0 ? explain(r, what, path, err) : 0;
}

/* ---- whiteouts ---- */

static int apply_whiteout(struct layer_target *to, const struct tar_member *m, const char *name,
	size_t len, struct smr_error *err)
{
	struct tree_place place;
	bool opaque = len == LEN(OPAQUE) && memcmp(name, OPAQUE, LEN(OPAQUE)) == 0;
	const char *hidden = name + LEN(WHITEOUT);
	size_t n_hidden = len - LEN(WHITEOUT);
	int r;

	if (!opaque && len >= LEN(AUFS) && memcmp(name, AUFS, LEN(AUFS)) == 0)
		return 0;
	if (n_hidden == 0 ||
		(hidden[0] == '.' && (n_hidden == 1 || (n_hidden == 2 && hidden[1] == '.'))))
		return error_set(err, -EBADMSG, "'%.200s': a whiteout of a directory that it is in",
			m->path);
	if (m->path[0] == '/')
		return walk(to, "", m->path, m->path_len, 0, &place, err);
	r = tree_walk(to->tree, m->path, (size_t)(name - m->path) + len, TREE_FOLLOW | TREE_CONTAIN,
		&place);
	/* No such directory, so there is nothing to hide. umoci writes whiteouts below what the same layer makes a file. */
	if (r == -ENOENT || r == -ENOTDIR)
		return 0;
	if (r < 0)
		return explain(r, "", m->path, err);
	if (opaque)
		tree_clear_directory(to->tree, place.dir);
	else
		tree_whiteout(to->tree, place.dir, hidden, n_hidden); /* -ENOENT: hides nothing */
	return 0;
}

/* ---- files ---- */

static int apply_link(struct layer_target *to, const struct tar_member *m, struct smr_error *err)
{
	struct tree_place place, target;
	int r = walk(to, "the link target ", m->target, m->target_len, 0, &target, err);

	if (r == 0 && target.node == TREE_NONE)
		r = explain(-ENOENT, "the link target ", m->target, err);
	if (r == 0 && S_ISDIR(tree_node(to->tree, target.node)->mode))
		r = error_set(
			err, -EBADMSG, "it is a hard link to the directory '%.200s'", m->target);
	if (r == 0)
		r = walk(to, "", m->path, m->path_len, TREE_MKDIRS, &place, err);
	if (r < 0)
		return error_wrap(err, r, "'%.100s'", m->path);
	if (place.name_len == 0)
		return error_set(err, -EBADMSG, "'%.200s': the root is no link", m->path);
	/* A layer may say again what a lower one says, but nothing twice. */
	if (place.entry == target.entry)
		return error_set(err, -EBADMSG, "'%.200s' is a link to itself", m->path);
	if (place.node == target.node && tree_is_current(to->tree, place.entry))
		return error_set(
			err, -EBADMSG, "'%.200s' is the same link for the second time", m->path);
	r = tree_link(to->tree, place.dir, place.name, place.name_len, target.node);
	return r < 0 ? explain(r, "", m->path, err) : 0;
}

static int take_content(struct layer_target *to, struct tar_reader *tar, const struct tar_member *m,
	struct tree_content *ret, struct smr_error *err)
{
	struct tar_data d;
	int r;

	spool_begin(to->spool);
	for (;;) {
		r = tar_reader_data(tar, &d, err);
		if (r < 0 || d.n == 0)
			break;
		r = d.data ? spool_write(to->spool, d.data, d.n, err)
			   : spool_skip(to->spool, d.n, err);
		if (r < 0)
			return error_wrap(err, r, "'%.200s'", m->path);
	}
	return r < 0 ? r : spool_finish(to->spool, ret, err);
}

static int apply_file(struct layer_target *to, struct tar_reader *tar, const struct tar_member *m,
	struct smr_error *err)
{
	struct tree_content content;
	struct tree_place place;
	uint32_t node;
	struct tree_attr attr = {
		.mode = m->mode,
		.uid = m->uid,
		.gid = m->gid,
		.mtime = m->mtime,
		.mtime_ns = m->mtime_ns,
		.target = m->target,
		.target_len = m->target_len,
		.major = m->major,
		.minor = m->minor,
	};
	int r = walk(to, "", m->path, m->path_len, TREE_MKDIRS, &place, err);

	if (r < 0)
		return r;
	if (place.name_len == 0 && !S_ISDIR(m->mode))
		return error_set(err, -EBADMSG, "'%.200s': the root is no directory", m->path);
	r = tree_xattrs(to->tree, m->xattrs, m->n_xattrs, &attr.xattrs);
	if (r == -E2BIG || r == -EINVAL || r == -ENAMETOOLONG)
		return error_set(err, -EBADMSG,
			"'%.200s' has extended attributes that no file can have", m->path);
	if (r < 0)
		return explain(r, "", m->path, err);
	if (S_ISREG(m->mode) && m->size > 0) {
		r = take_content(to, tar, m, &content, err);
		if (r < 0)
			return r;
		attr.content = &content;
	}
	if (place.name_len == 0)
		r = tree_set_dir(to->tree, place.dir, &attr);
	else
		r = tree_put(to->tree, place.dir, place.name, place.name_len, &attr, &node);
	return r < 0 ? explain(r, "", m->path, err) : 0;
}

static int apply_member(struct layer_target *to, struct tar_reader *tar, const struct tar_member *m,
	struct smr_error *err)
{
	size_t len;
	const char *name = last_component(m->path, m->path_len, &len);

	if (is_aufs(m->path, m->path_len))
		return 0;
	if (is_below_whiteout(m->path, name))
		return error_set(err, -EBADMSG, "'%.200s' is in a whiteout", m->path);
	if (is_whiteout(name, len))
		return apply_whiteout(to, m, name, len, err);
	return m->hard_link ? apply_link(to, m, err) : apply_file(to, tar, m, err);
}

int layer_apply_archive(struct layer_target *to, struct tar_reader *tar, struct smr_error *err)
{
	const struct tar_member *m;
	int r;

	for (;;) {
		if (to->cancel && atomic_load_explicit(to->cancel, memory_order_relaxed))
			return -ECANCELED;
		r = tar_reader_next(tar, &m, err);
		if (r <= 0)
			return r;
		if (to->used.entries++ == to->limits.entries)
			return error_set(err, -EFBIG,
				"more than %llu files; --max-entries allows more",
				(unsigned long long)to->limits.entries);
		r = apply_member(to, tar, m, err);
		if (r < 0)
			return r;
		if (to->progress)
			to->progress(to->user, 0, 1);
	}
}

/* ---- from the blob to the archive ---- */

struct stream {
	struct layer_target *to;
	struct source_blob *blob;
	struct decompress *decompress;
	struct chunkid_hasher *hasher;
	struct chunkid diff_id; /* at the end */
	uint64_t bytes_left;
	struct ahead *ahead;
};

static int read_blob(void *user, void *data, size_t n, size_t *ret_n, struct smr_error *err)
{
	struct stream *s = user;
	int r;

	if (s->to->cancel && atomic_load_explicit(s->to->cancel, memory_order_relaxed))
		return -ECANCELED;
	r = source_blob_read(s->blob, data, n, ret_n, err);
	if (r == 0 && s->to->progress)
		s->to->progress(s->to->user, *ret_n, 0);
	return r;
}

/* In the thread that reads ahead. */
static int produce(void *user, void *data, size_t n, size_t *ret_n, struct smr_error *err)
{
	struct stream *s = user;
	size_t got;
	int r = decompress_read(s->decompress, data, n, &got, err);

	if (r < 0)
		return r;
	if (got > s->bytes_left)
		return error_set(err, -EFBIG,
			"the layers are larger than %llu bytes; --max-size allows more",
			(unsigned long long)s->to->limits.bytes);
	s->bytes_left -= got;
	chunkid_hasher_add(s->hasher, data, got);
	if (got < n)
		chunkid_hasher_finish(s->hasher, &s->diff_id);
	*ret_n = got;
	return 0;
}

static int read_ahead(void *user, const void **ret_data, size_t *ret_n, struct smr_error *err)
{
	struct stream *s = user;

	return ahead_read(s->ahead, ret_data, ret_n, err);
}

static void stream_done(struct stream *s)
{
	ahead_free(s->ahead);
	decompress_free(s->decompress);
	chunkid_hasher_free(s->hasher);
	source_blob_close(s->blob);
}

static int stream_init(struct stream *s, struct layer_target *to, struct source *source, size_t i,
	struct smr_error *err)
{
	int r;

	*s = (struct stream){.to = to, .bytes_left = to->limits.bytes - to->used.bytes};
	r = source_blob_open(source, i, &s->blob, err);
	if (r < 0)
		return r;
	s->hasher = chunkid_hasher_new();
	s->decompress = decompress_new(read_blob, s, to->limits.ratio, LIMITS_RATIO_FROM);
	r = s->hasher && s->decompress ? ahead_new(produce, s, &s->ahead) : -ENOMEM;
	if (r < 0)
		stream_done(s);
	return r;
}

/* All of the layer was read, and nothing failed on the way. */
static int check_layer(const struct stream *s, const struct source_layer *l,
	const struct tar_reader *tar, struct smr_error *err)
{
	if (!l->has_diff_id) {
		if (!tar_reader_has_end(tar))
			return error_set(
				err, -EBADMSG, "the archive has no end mark: it may be cut off");
		return 0;
	}
	if (!chunkid_equal(&s->diff_id, &l->diff_id))
		return error_set(
			err, -EBADMSG, "its content is not what the config's diff_id says");
	return 0;
}

int layer_apply(struct layer_target *to, struct source *source, size_t i, struct smr_error *err)
{
	struct tar_reader *tar = NULL;
	struct stream s;
	int r = stream_init(&s, to, source, i, err);

	if (r < 0)
		return error_wrap(err, r, "layer %zu", i + 1);
	tar = tar_reader_new(read_ahead, NULL, &s);
	r = tar ? layer_apply_archive(to, tar, err) : -ENOMEM;
	if (r == 0)
		r = tar_reader_finish(tar, err);
	if (r == 0)
		r = check_layer(&s, &source->layers[i], tar, err);
	if (r == 0)
		to->used.bytes = to->limits.bytes - s.bytes_left;
	tar_reader_free(tar);
	stream_done(&s);
	return r < 0 && r != -ECANCELED ? error_wrap(err, r, "layer %zu", i + 1) : r;
}
