/* SPDX-License-Identifier: BSD-3-Clause */
/* smr add SOURCE: build an image and publish it, in one pass. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "../build/cutter.h"
#include "../build/layout.h"
#include "../core/progress.h"
#include "assemble.h"
#include "cutting.h"
#include "published.h"

/* A container image is added once, and most of the time goes into its layers: a few seconds more for
 * chunks that are 5 % smaller wherever they are kept, sent and cached. */
#define LEVEL_DEFAULT 6

struct values {
	const char *name;
	struct cutting cut;
	struct assemble_options from;
	bool repair;
};

static const struct args_option options[] = {
	ARGS_STRING(
		"name", 'n', struct values, name, "NAME", "name of the image (else the source's)"),
	ASSEMBLE_OPTION_PLATFORM(struct values, from),
	ASSEMBLE_OPTION_CA(struct values, from),
	ASSEMBLE_OPTION_LAYER_CACHE(struct values, from),
	CUTTING_OPTION_CHUNK_SIZE(struct values, cut),
	CUTTING_OPTION_LEVEL(struct values, cut),
	CUTTING_OPTION_JOBS(struct values, cut),
	ARGS_FLAG("repair", 0, struct values, repair,
		"rehash what the store has of the image, and replace what is damaged"),
	ASSEMBLE_OPTION_MAX_SIZE(struct values, from),
	ASSEMBLE_OPTION_MAX_RATIO(struct values, from),
	ASSEMBLE_OPTION_MAX_ENTRIES(struct values, from),
	ARGS_END,
};

static void on_progress(void *user, uint64_t position, uint64_t data_bytes)
{
	progress_reach(user, position, data_bytes);
}

/* Two references may lead to one name; nobody wants the one image replaced by the other for that. */
static int check_collision(
	struct store *s, const char *name, const char *reference, struct smr_error *err)
{
	struct recipe *old = NULL;
	size_t n;
	int r = store_get_recipe(s, name, &old, NULL);
	if (r < 0)
		return 0; /* not there; or what is there says nothing */
	const char *source = recipe_source(old, &n);
	if (n != strlen(reference) || memcmp(source, reference, n) != 0)
		r = error_set(err, -EEXIST,
			"%s is already the name of %.*s; choose one with --name", name,
			n ? (int)(n < 200 ? n : 200) : 16, n ? source : "an image of its own");
	recipe_free(old);
	return r;
}

/* The store is open, and the source is. */
static int publish(const struct cmd *c, const struct values *v, const char *name,
	struct assemble *a, struct store *store, uint32_t chunk_size, struct interrupt *intr,
	struct smr_error *err)
{
	int r = assemble_build(a, c, &v->from, chunk_size, 0, intr, err);
	if (r < 0)
		return r;
	struct imgsource img = assemble_image(a);
	struct published_build built = {.source = a->reference,
		.n_layers = a->source ? a->source->n_layers : 0,
		.n_cached = a->source ? a->source->n_cached : 0,
		.n_entries = a->n_entries,
		.layout = a->image ? LAYOUT_VERSION : 0,
		.config = a->source ? a->source->config : NULL,
		.config_len = a->source ? a->source->config_len : 0};
	struct cutter_options opts = {
		.name = name,
		.chunk_size = chunk_size,
		.level = (int)v->cut.level,
		.n_threads = (unsigned)v->cut.jobs,
		.repair = v->repair,
		.cancel = &intr->hit,
		.layout = built.layout,
		.meta_end = a->image ? ext4_image_info(a->image)->meta_end : 0,
		.config = built.config,
		.config_len = built.config_len,
		.source = a->reference,
		.manifest_digest =
			a->source && a->source->has_manifest ? &a->source->manifest : NULL,
		.progress = on_progress,
		.user = progress_start("publish", img.size, c->quiet),
	};
	struct cutter_result result;
	r = cutter_cut(store, &img, &opts, &result, err);
	progress_stop(opts.user);
	return r < 0 ? r : published_print(c, store, name, chunk_size, &result, &built);
}

static int add(const struct cmd *c, const struct values *v, const char *arg, struct interrupt *intr,
	struct smr_error *err)
{
	struct assemble a = ASSEMBLE_INIT;
	struct store *store = NULL;
	uint32_t chunk_size;
	int r = assemble_open(&a, c, &v->from, arg, intr, err);
	const char *name = v->name ? v->name : a.name;
	if (r == 0 && !*name)
		r = error_set(
			err, -EINVAL, "%s has no name for an image; give it one with --name", arg);
	if (r == 0)
		r = cutting_open_store(c, &v->cut, &store, &chunk_size, err);
	if (r == 0) {
		interrupt_set_store(intr, store);
		if (!v->name)
			r = check_collision(store, name, a.reference, err);
		if (r == 0)
			r = publish(c, v, name, &a, store, chunk_size, intr, err);
		interrupt_set_store(intr, NULL);
	}
	store_free(store);
	assemble_done(&a);
	return r;
}

static int run(struct cmd *c, int argc, char **argv)
{
	struct values v = {0};
	struct args args;
	struct smr_error err = {0};
	int code = args_parse(c, argc, argv, &v, 1, 1, &args);
	if (code == ARGS_RUN)
		code = cutting_check(c, &v.cut);
	if (code == ARGS_RUN)
		code = assemble_check(c, &v.from);
	if (code != ARGS_RUN)
		return code;
	if (v.name && !name_valid(v.name))
		return args_usage(c, "--name: '%s' cannot be the name of an image", v.name);

	int r = cutting_fill_in(c, &v.cut, LEVEL_DEFAULT, &err);
	if (r < 0)
		return cmd_fail(c, r, &err);
	struct interrupt intr;
	r = interrupt_start(&intr, &err);
	if (r < 0)
		return cmd_fail(c, r, &err);
	r = add(c, &v, args.operand[0], &intr, &err);
	code = 0;
	if (r < 0 && intr.hit)
		code = interrupt_exit(&intr,
			"nothing was published; what is stored already will be used "
			"when the same command runs again");
	else if (r < 0)
		code = cmd_fail(c, r, &err);
	interrupt_done(&intr);
	return code;
}

static void print_defaults(const struct cmd *c)
{
	cutting_print_defaults(c, LEVEL_DEFAULT);
	assemble_print_defaults(c);
}

const struct cmd_verb cmd_add = {
	.name = "add",
	.operands = "SOURCE",
	.summary = "Build an image from a container image and publish it under a name",
	.options = options,
	.example = "add docker.io/library/python:3.12-slim",
	.defaults = print_defaults,
	.run = run,
	.trouble = 1,
};
