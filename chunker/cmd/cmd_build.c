/* SPDX-License-Identifier: BSD-3-Clause */
/* smr build SOURCE -o FILE.img: a container image as an ext4 image. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "../build/layout.h"
#include "../core/progress.h"
#include "../core/units.h"
#include "assemble.h"
#include "cutting.h"
#include "outfile.h"
#include "output.h"

struct values {
	const char *output;
	struct cutting cut;
	struct assemble_options from;
	uint64_t size;
};

static const struct args_option options[] = {
	ARGS_STRING("output", 'o', struct values, output, "FILE.img", "where to write it"),
	ARGS_SIZE("size", 0, struct values, size, "SIZE",
		"at least so large, the rest free (else as small as it can be)"),
	ARGS_SIZE("chunk-size", 0, struct values, cut.chunk_size, "SIZE",
		"the chunks that it will be cut into, 64K to 4M (512K)"),
	ASSEMBLE_OPTION_PLATFORM(struct values, from),
	ASSEMBLE_OPTION_CA(struct values, from),
	ASSEMBLE_OPTION_LAYER_CACHE(struct values, from),
	ASSEMBLE_OPTION_MAX_SIZE(struct values, from),
	ASSEMBLE_OPTION_MAX_RATIO(struct values, from),
	ASSEMBLE_OPTION_MAX_ENTRIES(struct values, from),
	ARGS_END,
};

struct writing {
	const struct interrupt *intr;
	struct progress *progress;
};

static int on_progress(void *user, uint64_t n)
{
	struct writing *w = user;
	progress_add(w->progress, n, n);
	return atomic_load_explicit(&w->intr->hit, memory_order_relaxed) ? -ECANCELED : 0;
}

static int write_image(const struct cmd *c, const struct ext4_image *image, struct outfile *to,
	const struct interrupt *intr, struct smr_error *err)
{
	struct writing w = {.intr = intr};
	w.progress = progress_start("write", ext4_image_info(image)->data_bytes, c->quiet);
	int r = ext4_image_write(image, to->fd, on_progress, &w, err);
	progress_stop(w.progress);
	return r < 0 ? r : outfile_publish(to, err);
}

static void print_text(const struct assemble *a, const char *path)
{
	const struct ext4_info *i = ext4_image_info(a->image);
	char size[UNITS_TEXT_MAX], data[UNITS_TEXT_MAX], n[UNITS_TEXT_MAX + 4];
	printf("%s\n", path);
	if (a->source)
		printf("  layers  %zu, %s files\n", a->source->n_layers,
			units_format_count(i->n_entries, n));
	else
		printf("  files   %s\n", units_format_count(i->n_entries, n));
	printf("  image   %s (%s data), ext4 layout %d\n", units_format_size(i->size, size),
		units_format_size(i->data_bytes + i->meta_end, data), LAYOUT_VERSION);
}

static int print(const struct cmd *c, const struct assemble *a, const char *path)
{
	const struct ext4_info *i = ext4_image_info(a->image);
	if (c->json)
		return output_json(json_pack("{s:o, s:o, s:i, s:I, s:I, s:I, s:I, s:o}", "file",
			output_json_text(path, strlen(path)), "source",
			output_json_text(a->reference, strlen(a->reference)), "layers",
			a->source ? (int)a->source->n_layers : 0, "entries",
			(json_int_t)i->n_entries, "image_size", (json_int_t)i->size, "metadata_end",
			(json_int_t)i->meta_end, "file_bytes", (json_int_t)i->data_bytes,
			"tree_digest", output_json_id(&i->tree_digest)));
	if (!c->quiet)
		print_text(a, path);
	return 0;
}

static int build(const struct cmd *c, const struct values *v, const char *source,
	struct interrupt *intr, struct smr_error *err)
{
	struct assemble a = ASSEMBLE_INIT;
	struct outfile to;
	uint32_t chunk_size;
	int r = cutting_chunk_size(c, &v->cut, 0, &chunk_size, err);
	/* First of all: who cannot write need not download. */
	if (r == 0)
		r = outfile_open(&to, v->output, err);
	if (r < 0)
		return r;
	r = assemble_open(&a, c, &v->from, source, intr, err);
	if (r == 0)
		r = assemble_build(&a, c, &v->from, chunk_size, v->size, intr, err);
	if (r == 0)
		r = write_image(c, a.image, &to, intr, err);
	if (r == 0)
		r = print(c, &a, v->output);
	assemble_done(&a);
	outfile_done(&to);
	return r;
}

static int run(struct cmd *c, int argc, char **argv)
{
	struct values v = {0};
	struct args args;
	struct smr_error err = {0};
	const char *rest;
	int code = args_parse(c, argc, argv, &v, 1, 1, &args);
	if (code == ARGS_RUN)
		code = cutting_check(c, &v.cut);
	if (code == ARGS_RUN)
		code = assemble_check(c, &v.from);
	if (code != ARGS_RUN)
		return code;
	if (!v.output)
		return args_usage(c, "where to? -o FILE.img");
	if (source_kind(args.operand[0], &rest) == SOURCE_IMG)
		return args_usage(c, "%s is an image already; `smr add` publishes it", rest);

	struct interrupt intr;
	int r = interrupt_start(&intr, &err);
	if (r < 0)
		return cmd_fail(c, r, &err);
	r = build(c, &v, args.operand[0], &intr, &err);
	code = 0;
	if (r < 0 && intr.hit)
		code = interrupt_exit(&intr, "nothing was written");
	else if (r < 0)
		code = cmd_fail(c, r, &err);
	interrupt_done(&intr);
	return code;
}

const struct cmd_verb cmd_build = {
	.name = "build",
	.operands = "SOURCE",
	.summary = "Build an ext4 image from a container image, an archive or a directory",
	.options = options,
	.example = "build docker.io/library/python:3.12-slim -o python.img",
	.defaults = assemble_print_defaults,
	.no_store = true,
	.run = run,
	.trouble = 1,
};
