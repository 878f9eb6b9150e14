/* SPDX-License-Identifier: BSD-3-Clause */
/* smr chunk FILE.img: cut a disk image into chunks and publish it. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "../build/cutter.h"
#include "../build/imgfile.h"
#include "../core/codec.h"
#include "../core/log.h"
#include "../core/units.h"
#include "../core/workers.h"
#include "args.h"
#include "interrupt.h"
#include "progress.h"
#include "published.h"

#define LEVEL_MAX 22 /* of zstd */
#define JOBS_MAX  256

struct values {
	const char *name;
	uint64_t chunk_size, level, jobs;
	bool repair;
};

static const struct args_option options[] = {
	ARGS_STRING("name", 'n', struct values, name, "NAME",
		"name of the image (else the file's, without .img)"),
	ARGS_SIZE("chunk-size", 0, struct values, chunk_size, "SIZE",
		"64K to 4M, a power of two (else what the store is cut to)"),
	ARGS_UINT(1, LEVEL_MAX, "level", 'l', struct values, level, "N", "zstd level, 1 to 22"),
	ARGS_UINT(1, JOBS_MAX, "jobs", 'j', struct values, jobs, "N", "threads"),
	ARGS_FLAG("repair", 0, struct values, repair,
		"rehash what the store has of the image, and replace what is damaged"),
	ARGS_END,
};

/* Flags win over the configuration, that over what is built in. chunk_size stays 0 where neither
 * says anything. */
static int fill_in(const struct cmd *c, struct values *v, struct smr_error *err)
{
	int r = 0;
	if (!v->level)
		r = cmd_config_uint(c, "level", 1, LEVEL_MAX, CODEC_LEVEL_DEFAULT, &v->level, err);
	if (r == 0 && !v->jobs)
		r = cmd_config_uint(c, "jobs", 1, JOBS_MAX, workers_cpus(), &v->jobs, err);
	return r;
}

static int choose_chunk_size(const struct cmd *c, uint64_t asked, uint32_t of_store, uint32_t *ret,
	struct smr_error *err)
{
	uint64_t size = asked ? asked : of_store;
	int r = 0;
	if (!size)
		r = cmd_config_size(c, "chunk_size", CODEC_CHUNK_DEFAULT, &size, err);
	if (r < 0)
		return r;
	if (!codec_chunk_size_valid(size))
		return error_set(err, -EINVAL,
			"chunk_size is %llu bytes, not a power of two from 64K to 4M",
			(unsigned long long)size);
	*ret = (uint32_t)size;
	return 0;
}

static void print_defaults(const struct cmd *c)
{
	struct values v = {0};
	uint64_t size = CODEC_CHUNK_DEFAULT;
	if (fill_in(c, &v, NULL) < 0 ||
		cmd_config_size(c, "chunk_size", CODEC_CHUNK_DEFAULT, &size, NULL) < 0)
		return;
	printf("  %-10s  %llu KiB, unless the store has another\n", "chunk-size",
		(unsigned long long)size >> 10);
	printf("  %-10s  %llu\n", "level", (unsigned long long)v.level);
	printf("  %-10s  %llu\n", "jobs", (unsigned long long)v.jobs);
}

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
	uint32_t of_store = 0, chunk_size = 0;
	int r = imgfile_open(&file, path, err);
	if (r == 0)
		r = choose_chunk_size(c, v->chunk_size, 0, &chunk_size, err);
	if (r == 0)
		r = cmd_open_store(c, true, chunk_size, &store, err);
	if (r == 0)
		r = store_chunk_size(store, &of_store, err);
	if (r == 0)
		r = choose_chunk_size(c, v->chunk_size, of_store, &chunk_size, err);
	if (r == 0) {
		interrupt_set_store(intr, store);
		warn_of_formats(&file);
		if (of_store && of_store != chunk_size)
			log_warn("%s: its other images are cut to %u KiB; nothing will be shared "
				 "with them",
				store_url(store), of_store >> 10);
		struct cutter_options opts = {
			.name = name,
			.chunk_size = chunk_size,
			.level = (int)v->level,
			.n_threads = (unsigned)v->jobs,
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
			r = published_print(c, store, name, chunk_size, &result);
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

	if (v.chunk_size && !codec_chunk_size_valid(v.chunk_size))
		return args_usage(c, "--chunk-size: a power of two from 64K to 4M");

	int r = fill_in(c, &v, &err);
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
