/* SPDX-License-Identifier: BSD-3-Clause */
/* smr chunk FILE.img: cut a disk image into chunks and publish it. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "../build/cutter.h"
#include "../build/imgfile.h"
#include "../core/codec.h"
#include "../core/log.h"
#include "../core/progress.h"
#include "args.h"
#include "cutting.h"
#include "interrupt.h"
#include "published.h"

struct values {
	const char *name;
	struct cutting cut;
	bool repair;
};

static const struct args_option options[] = {
	ARGS_STRING("name", 'n', struct values, name, "NAME",
		"name of the image (else the file's, without .img)"),
	CUTTING_OPTION_CHUNK_SIZE(struct values, cut),
	CUTTING_OPTION_LEVEL(struct values, cut),
	CUTTING_OPTION_JOBS(struct values, cut),
	ARGS_FLAG("repair", 0, struct values, repair,
		"rehash what the store has of the image, and replace what is damaged"),
	ARGS_END,
};

/* A disk in a container format can be cut like any file, but nobody could mount what comes out. */
static void warn_of_formats(const struct imgfile *file)
{
	static const struct {
		const char *magic, *what, *cure;
	} formats[] = {
		{"QFI\xfb", "a qcow2 image", "qemu-img convert -O raw"},
		{"KDMV", "a VMDK image", "qemu-img convert -O raw"},
		{"vhdxfile", "a VHDX image", "qemu-img convert -O raw"},
		{"\x1f\x8b", "compressed", "gzip -d"},
		{"\xfd\x37zXZ", "compressed", "xz -d"},
		{"\x28\xb5\x2f\xfd", "compressed", "zstd -d"},
	};
	char head[8];
	if (imgfile_read(file, head, sizeof(head), 0, NULL) < 0)
		return;
	for (size_t i = 0; i < sizeof(formats) / sizeof(formats[0]); i++)
		if (memcmp(head, formats[i].magic, strlen(formats[i].magic)) == 0)
			log_warn("%s looks like %s; to be mounted it should go through `%s` first",
				file->path, formats[i].what, formats[i].cure);
}

static void on_progress(void *user, uint64_t position, uint64_t data_bytes)
{
	progress_reach(user, position, data_bytes);
}

/* Between interrupt_start and interrupt_done. */
static int chunk(const struct cmd *c, const struct values *v, const char *path, const char *name,
	struct interrupt *intr, struct smr_error *err)
{
	struct imgfile file = {.fd = -1};
	struct store *store = NULL;
	uint32_t chunk_size = 0;
	int r = imgfile_open(&file, path, err);
	if (r == 0)
		r = cutting_open_store(c, &v->cut, &store, &chunk_size, err);
	if (r == 0) {
		interrupt_set_store(intr, store);
		warn_of_formats(&file);
		struct cutter_options opts = {
			.name = name,
			.chunk_size = chunk_size,
			.level = (int)v->cut.level,
			.n_threads = (unsigned)v->cut.jobs,
			.repair = v->repair,
			.cancel = &intr->hit,
			.progress = on_progress,
			.user = progress_start("chunk", file.size, c->quiet),
		};
		struct cutter_result result;
		struct imgsource img = imgfile_source(&file);
		r = cutter_cut(store, &img, &opts, &result, err);
		progress_stop(opts.user);
		if (r == 0)
			r = published_print(c, store, name, chunk_size, &result, NULL);
		interrupt_set_store(intr, NULL);
	}
	store_free(store);
	imgfile_close(&file);
	return r;
}

static int run(struct cmd *c, int argc, char **argv)
{
	struct values v = {0};
	struct args args;
	struct smr_error err = {0};
	char name[NAME_LEN_MAX + 1];
	int code = args_parse(c, argc, argv, &v, 1, 1, &args);
	if (code != ARGS_RUN)
		return code;
	if (v.name && !name_valid(v.name))
		return args_usage(c, "--name: '%s' cannot be the name of an image", v.name);

	code = cutting_check(c, &v.cut);
	if (code != ARGS_RUN)
		return code;

	int r = cutting_fill_in(c, &v.cut, CODEC_LEVEL_DEFAULT, &err);
	if (r == 0 && v.name)
		snprintf(name, sizeof(name), "%s", v.name);
	else if (r == 0)
		r = name_from_path(args.operand[0], name, &err);
	if (r < 0)
		return cmd_fail(c, r, &err);

	struct interrupt intr;
	r = interrupt_start(&intr, &err);
	if (r < 0)
		return cmd_fail(c, r, &err);
	r = chunk(c, &v, args.operand[0], name, &intr, &err);
	code = 0;
	if (r < 0 && intr.hit)
		code = interrupt_exit(&intr, "nothing was published; the same command continues "
					     "where it stopped");
	else if (r < 0)
		code = cmd_fail(c, r, &err);
	interrupt_done(&intr);
	return code;
}

static void print_defaults(const struct cmd *c)
{
	cutting_print_defaults(c, CODEC_LEVEL_DEFAULT);
}

const struct cmd_verb cmd_chunk = {
	.name = "chunk",
	.operands = "FILE.img",
	.summary = "Cut a disk image into chunks and publish it under a name",
	.options = options,
	.example = "chunk debian.img",
	.defaults = print_defaults,
	.run = run,
	.trouble = 1,
};
