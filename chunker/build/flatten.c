// SPDX-License-Identifier: BSD-3-Clause
#include "flatten.h"

#include <errno.h>

#include "dir_source.h"
#include "layer.h"

static int start(struct flatten *f, struct layer_target *to, const struct flatten_options *opts,
	struct smr_error *err)
{
	struct tree_limits limits = {.bytes = LIMITS_TREE_BYTES};
	int r;

	to->limits = limits_or_defaults(opts->limits);
	limits.entries = to->limits.entries;
	to->cancel = opts->cancel;
	to->progress = opts->progress;
	to->user = opts->user;
	r = spool_new(opts->temp_dir, to->limits.bytes, &f->spool, err);
	if (r < 0)
		return r;
	f->tree = tree_new(&limits);
	to->tree = f->tree;
	to->spool = f->spool;
	return f->tree ? 0 : -ENOMEM;
}

int flatten_layers(struct source *s, const struct flatten_options *opts, struct flatten *ret,
	struct smr_error *err)
{
	struct layer_target to = {0};
	struct flatten f = {0};
	int r = start(&f, &to, opts, err);

	for (size_t i = 0; i < s->n_layers && r == 0; i++) {
		if (i > 0)
			r = tree_next_layer(f.tree);
		if (r == 0)
			r = layer_apply(&to, s, i, err);
	}
	if (r < 0) {
		flatten_done(&f);
		return r == -ECANCELED ? r : error_wrap(err, r, "%s", s->reference);
	}
	*ret = f;
	return 0;
}

int flatten_dir(const char *path, const struct flatten_options *opts, struct flatten *ret,
	struct smr_error *err)
{
	struct layer_target to = {0};
	struct flatten f = {0};
	int r = start(&f, &to, opts, err);

	if (r == 0)
		r = dir_source_add(&to, path, err);
	if (r < 0) {
		flatten_done(&f);
		return r;
	}
	*ret = f;
	return 0;
}

void flatten_done(struct flatten *f)
{
	tree_free(f->tree);
	spool_free(f->spool);
	*f = (struct flatten){0};
}
