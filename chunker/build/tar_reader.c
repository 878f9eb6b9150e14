// SPDX-License-Identifier: BSD-3-Clause
#include "tar_reader.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "../core/cleanup.h"
#include "tar_header.h"
#include "tar_input.h"
#include "tar_pax.h"
#include "tar_sparse.h"

#define EXTENSIONS_MAX 64u /* in front of a member */

struct tar_reader {
	struct tar_input in;
	bool ended, has_end;

	struct tar_pax pax;
	struct buf extension;
	struct tar_member member;
	struct tree_xattr *xattrs;
	size_t cap_xattrs;
	char path[TAR_HEADER_PATH_MAX], target[TAR_HEADER_TARGET_MAX];

	uint64_t stored;  /* bytes of data still in the archive */
	unsigned padding; /* bytes behind them */
	uint64_t at;      /* in the file */
	const struct tar_region *regions;
	size_t n_regions, region; /* region: the one that `at` is in or in front of */
	struct tar_region whole;
};

struct tar_reader *tar_reader_new(tar_read_fn *read, tar_skip_fn *skip, void *user)
{
	struct tar_reader *t = calloc(1, sizeof(*t));

	if (!t)
		return NULL;
	t->in = (struct tar_input){.read = read, .skip = skip, .user = user};
	tar_pax_init(&t->pax);
	buf_init(&t->extension, TAR_EXTENSION_MAX);
	return t;
}

void tar_reader_free(struct tar_reader *t)
{
	if (!t)
		return;
	tar_pax_done(&t->pax);
	buf_done(&t->extension);
	free(t->xattrs);
	free(t);
}

bool tar_reader_has_end(const struct tar_reader *t)
{
	return t->has_end;
}

/* ---- extensions ---- */

/* A GNU long name: what is in front of the first NUL. */
static int long_name(struct tar_reader *t, struct tar_text *ret)
{
	const char *s = (const char *)t->extension.data;
	size_t n = t->extension.len ? strnlen(s, t->extension.len) : 0;

	return tar_pax_text(&t->pax, n ? s : "", n, ret);
}

static int take_extension(struct tar_reader *t, const struct tar_header *h, struct smr_error *err)
{
	int r;

	if (h->type == 'g') {
		/* POSIX lets it set defaults for all that follows; no tool that handles images does. */
		if (h->size > TAR_EXTENSION_MAX)
			return error_set(err, -EFBIG, "a global header of more than %u bytes",
				TAR_EXTENSION_MAX);
		return tar_input_skip(&t->in, h->size + (-h->size % TAR_BLOCK), err);
	}
	buf_reset(&t->extension);
	r = tar_input_body(&t->in, h->size, &t->extension, err);
	if (r < 0)
		return r;
	if (h->type == 'L')
		r = long_name(t, &t->pax.path);
	else if (h->type == 'K')
		r = long_name(t, &t->pax.target);
	else
		r = tar_pax_parse(&t->pax, (const char *)t->extension.data, t->extension.len, err);
	if (r < 0)
		return error_wrap(err, r, "behind '%s'", t->in.said);
	return 0;
}

/* ---- members ---- */

static void remember(struct tar_reader *t)
{
	/* Control characters in it are dealt with by error_set. */
	snprintf(t->in.said, sizeof(t->in.said), "%s%.*s", t->member.path_len > 120 ? "..." : "",
		120,
		t->member.path_len > 120 ? t->member.path + t->member.path_len - 120
					 : t->member.path);
}

static int check_text(const char *s, size_t n, const char *what, struct smr_error *err)
{
	if (n == 0)
		return error_set(err, -EBADMSG, "%s is empty", what);
	if (n > TAR_PATH_MAX)
		return error_set(err, -ENAMETOOLONG, "%s '%.60s...' has more than %u bytes", what,
			s, TAR_PATH_MAX);
	if (memchr(s, 0, n))
		return error_set(err, -EBADMSG, "%s '%s' has a NUL in it", what, s);
	return 0;
}

static int take_names(struct tar_reader *t, const struct tar_header *h, struct smr_error *err)
{
	struct tar_member *m = &t->member;
	const struct tar_text *path = t->pax.sparse_name.set ? &t->pax.sparse_name : &t->pax.path;
	int r;

	m->path = path->set ? tar_pax_bytes(&t->pax, path) : t->path;
	m->path_len = path->set ? path->len : tar_header_path(h, t->path);
	r = check_text(m->path, m->path_len, "a name", err);
	if (r < 0)
		return t->in.said[0] ? error_wrap(err, r, "behind '%s'", t->in.said) : r;
	remember(t);
	if (h->type != '1' && h->type != '2')
		return 0;
	m->target = t->pax.target.set ? tar_pax_bytes(&t->pax, &t->pax.target) : t->target;
	m->target_len = t->pax.target.set ? t->pax.target.len : tar_header_target(h, t->target);
	r = check_text(m->target, m->target_len, "the link's target", err);
	return r < 0 ? error_wrap(err, r, "'%s'", t->in.said) : 0;
}

static int take_owner(const struct tar_reader *t, bool has, uint64_t value, int64_t field,
	const char *what, uint32_t *ret, struct smr_error *err)
{
	/* 2^32 - 1 is what chown(2) takes for "leave it". */
	if ((has && value >= UINT32_MAX) || (!has && (field < 0 || field >= UINT32_MAX)))
		return error_set(err, -EBADMSG, "'%s' has a %s beyond 32 bits", t->in.said, what);
	*ret = has ? (uint32_t)value : (uint32_t)field;
	return 0;
}

static int take_xattrs(struct tar_reader *t)
{
	const struct tar_pax *p = &t->pax;

	if (p->n_xattrs > t->cap_xattrs) {
		void *xattrs = reallocarray(t->xattrs, p->n_xattrs, sizeof(*t->xattrs));
		if (!xattrs)
			return -ENOMEM;
		t->xattrs = xattrs;
		t->cap_xattrs = p->n_xattrs;
	}
	for (size_t i = 0; i < p->n_xattrs; i++)
		t->xattrs[i] = (struct tree_xattr){
			.name = tar_pax_bytes(p, &p->xattrs[i].name),
			.name_len = p->xattrs[i].name.len,
			.value = tar_pax_bytes(p, &p->xattrs[i].value),
			.value_len = p->xattrs[i].value.len,
		};
	t->member.xattrs = t->xattrs;
	t->member.n_xattrs = p->n_xattrs;
	return 0;
}

static int take_attributes(struct tar_reader *t, const struct tar_header *h, struct smr_error *err)
{
	struct tar_member *m = &t->member;
	const struct tar_pax *p = &t->pax;
	uint64_t major = p->has_major ? p->major : h->major;
	uint64_t minor = p->has_minor ? p->minor : h->minor;
	int r = take_owner(t, p->has_uid, p->uid, h->uid, "uid", &m->uid, err);

	if (r == 0)
		r = take_owner(t, p->has_gid, p->gid, h->gid, "gid", &m->gid, err);
	if (r < 0)
		return r;
	if (S_ISCHR(m->mode) || S_ISBLK(m->mode)) {
		if (major >= 1u << 12 || minor >= 1u << 20)
			return error_set(err, -EBADMSG,
				"'%s' has a device number that Linux does not have", t->in.said);
		m->major = (uint32_t)major;
		m->minor = (uint32_t)minor;
	}
	m->mtime = p->has_mtime ? p->mtime : h->mtime;
	m->mtime_ns = p->has_mtime ? p->mtime_ns : 0;
	return take_xattrs(t);
}

static int take_size(struct tar_reader *t, struct tar_header *h, struct smr_error *err)
{
	struct tar_member *m = &t->member;
	bool sparse = h->type == 'S' || (t->pax.sparse && S_ISREG(m->mode));
	int r = 0;

	t->at = 0;
	t->region = 0;
	t->stored = 0;
	t->padding = 0;
	m->size = 0;
	t->n_regions = 0;
	/* 'D' is GNU's directory with a list of names as data. */
	if (!m->hard_link && (S_ISREG(m->mode) || h->type == 'D')) {
		t->stored = t->pax.has_size ? t->pax.size : h->size;
		if (t->stored > INT64_MAX)
			return error_set(err, -EBADMSG, "'%s' has no valid size", t->in.said);
		t->padding = (unsigned)(-t->stored % TAR_BLOCK);
	}
	if (m->hard_link || !S_ISREG(m->mode))
		return 0;
	if (sparse) {
		r = tar_sparse_map(&t->in, &t->pax, h, &t->stored, &m->size, err);
		t->regions = t->pax.regions;
		t->n_regions = r == 0 ? t->pax.n_regions : 0;
	} else {
		m->size = t->stored;
		t->whole = (struct tar_region){0, t->stored};
		t->regions = &t->whole;
		t->n_regions = 1;
	}
	m->data = tar_input_position(&t->in);
	return r;
}

static int take_member(struct tar_reader *t, struct tar_header *h, struct smr_error *err)
{
	int r;

	t->member = (struct tar_member){0};
	r = take_names(t, h, err);
	if (r < 0)
		return r;
	t->member.hard_link = h->type == '1';
	r = tar_header_mode(h, t->member.path[t->member.path_len - 1] == '/', &t->member.mode);
	if (r < 0)
		return error_set(err, r, "'%s' is of type '%c', which is no file of Linux",
			t->in.said, h->type);
	r = take_attributes(t, h, err);
	return r < 0 ? r : take_size(t, h, err);
}

/* A block of zeros: the end, if there is another. */
static int take_end(struct tar_reader *t, struct smr_error *err)
{
	const uint8_t *b;
	int r = tar_input_block(&t->in, &b, err);

	if (r > 0 && !tar_header_is_zero(b))
		return error_set(err, -EBADMSG, "a single block of zeros behind '%s'", t->in.said);
	if (r >= 0)
		t->ended = t->has_end = true;
	return r < 0 ? r : 0;
}

int tar_reader_next(struct tar_reader *t, const struct tar_member **ret, struct smr_error *err)
{
	int r = tar_input_skip(&t->in, t->stored + t->padding, err);

	t->stored = t->padding = 0;
	tar_pax_reset(&t->pax);
	for (unsigned n = 0; r == 0 && !t->ended; n++) {
		struct tar_header h;
		const uint8_t *b;
		r = tar_input_block(&t->in, &b, err);
		if (r == 0 && n > 0)
			return tar_input_cut_off(&t->in, err);
		if (r == 0)
			t->ended = true;
		if (r <= 0)
			return r;
		if (tar_header_is_zero(b))
			return n > 0 ? tar_input_cut_off(&t->in, err) : take_end(t, err);
		r = tar_header_parse(b, &h, err);
		if (r < 0)
			return t->in.said[0] ? error_wrap(err, r, "behind '%s'", t->in.said) : r;
		if (!tar_header_is_extension(&h)) {
			r = take_member(t, &h, err);
			*ret = &t->member;
			return r < 0 ? r : 1;
		}
		if (n == EXTENSIONS_MAX)
			return error_set(err, -EFBIG,
				"more than %u headers for a member behind '%s'", EXTENSIONS_MAX,
				t->in.said);
		r = take_extension(t, &h, err);
	}
	return r;
}

int tar_reader_data(struct tar_reader *t, struct tar_data *ret, struct smr_error *err)
{
	const struct tar_region *g;
	int r;

	while (t->region < t->n_regions &&
		t->at == t->regions[t->region].offset + t->regions[t->region].n)
		t->region++;
	g = t->region < t->n_regions ? &t->regions[t->region] : NULL;
	if (!g || t->at < g->offset) {
		*ret = (struct tar_data){NULL, (g ? g->offset : t->member.size) - t->at};
		t->at += ret->n;
		return 0;
	}
	r = tar_input_fill(&t->in, err);
	if (r == 0 && t->in.n_in == 0)
		r = tar_input_cut_off(&t->in, err);
	if (r < 0)
		return r;
	uint64_t left = g->offset + g->n - t->at;
	ret->n = left < t->in.n_in ? left : t->in.n_in;
	ret->data = t->in.in;
	tar_input_take(&t->in, ret->n);
	t->at += ret->n;
	t->stored -= ret->n;
	return 0;
}

int tar_reader_finish(struct tar_reader *t, struct smr_error *err)
{
	for (;;) {
		int r = tar_input_fill(&t->in, err);
		if (r < 0 || t->in.n_in == 0)
			return r;
		for (size_t i = 0; i < t->in.n_in; i++)
			if (t->in.in[i])
				return error_set(err, -EBADMSG,
					"there is something behind the end of the archive");
		t->in.n_in = 0;
	}
}
