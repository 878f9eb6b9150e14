/* SPDX-License-Identifier: BSD-3-Clause */
/* smr cat NAME: an image as the plain disk image it was. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../core/cleanup.h"
#include "../core/fd.h"
#include "../core/units.h"
#include "args.h"
#include "imgwrite.h"
#include "interrupt.h"
#include "outfile.h"
#include "output.h"

struct values {
	const char *output;
};

static const struct args_option options[] = {
	ARGS_STRING("output", 'o', struct values, output, "FILE",
		"write FILE, sparse, in place of standard output"),
	ARGS_END,
};

/* What one run of the verb carries around. */
struct job {
	struct imgwrite w;
	struct interrupt *intr;
};

static int stream(struct job *j, int fd, struct smr_error *err)
{
	interrupt_release(j->intr);
	return imgwrite_stream(&j->w, fd, err);
}

static int write_replacing(struct imgwrite *w, const char *path, struct smr_error *err)
{
	struct outfile to;
	int r = outfile_open(&to, path, err);
	if (r < 0)
		return r;
	r = imgwrite_file(w, to.fd, 0, err);
	if (r == 0 && fdatasync(to.fd) < 0)
		r = error_set_errno(err, -errno, "cannot write %s", path);
	if (r == 0)
		r = outfile_publish(&to, err);
	outfile_done(&to);
	return r;
}

/* -o FILE. What exists and is not a regular file (a disk, a pipe, /dev/null) is written to; a link
 * is followed. */
static int write_path(struct job *j, const char *path, struct smr_error *err)
{
	struct stat st;
	if (stat(path, &st) < 0 || S_ISREG(st.st_mode))
		return write_replacing(&j->w, path, err);
	auto_close int fd = open(path, O_WRONLY | O_CLOEXEC | O_NOCTTY);
	if (fd < 0)
		return error_set_errno(err, -errno, "cannot write %s", path);
	int r = stream(j, fd, err);
	if (r == 0 && S_ISBLK(st.st_mode) && fsync(fd) < 0)
		r = error_set_errno(err, -errno, "cannot write %s", path);
	return r;
}

/* A shell's `> FILE`: a regular file with nothing behind the position may get holes. */
static bool can_have_holes(int fd, uint64_t *ret_position)
{
	struct stat st;
	int flags = fcntl(fd, F_GETFL);
	off_t at = lseek(fd, 0, SEEK_CUR);
	if (at < 0 || flags < 0 || (flags & O_APPEND) || fstat(fd, &st) < 0)
		return false;
	*ret_position = (uint64_t)at;
	return S_ISREG(st.st_mode) && st.st_size <= at;
}

static int write_stdout(struct job *j, struct smr_error *err)
{
	uint64_t base = 0;
	if (isatty(STDOUT_FILENO))
		return error_set(
			err, -EINVAL, "an image is not for a terminal; use -o FILE, or a pipe");
	if (!can_have_holes(STDOUT_FILENO, &base))
		return stream(j, STDOUT_FILENO, err);
	int r = imgwrite_file(&j->w, STDOUT_FILENO, base, err);
	uint64_t end = r == 0 ? base + recipe_info(j->w.recipe)->image_size : base;
	/* What is not whole is taken back; whoever writes next goes on behind what is. */
	if ((r < 0 && ftruncate(STDOUT_FILENO, (off_t)base) < 0) ||
		lseek(STDOUT_FILENO, (off_t)end, SEEK_SET) < 0)
		return r < 0 ? r : error_set_errno(err, -errno, "%s", j->w.target);
	return r;
}

static int print_json(struct store *s, const struct recipe *recipe, const char *path)
{
	const struct recipe_info *info = recipe_info(recipe);
	return output_json(json_pack("{s:o, s:s, s:o, s:I, s:I, s:o}", "store",
		output_json_store(s), "name", info->name, "digest", output_json_id(&info->digest),
		"image_size", (json_int_t)info->image_size, "data_size",
		(json_int_t)recipe_data_bytes(recipe), "output",
		output_json_text(path, strlen(path))));
}

static int cat(const struct cmd *c, const char *image, const char *path, struct interrupt *intr,
	struct smr_error *err)
{
	struct store *store = NULL;
	struct recipe *recipe = NULL;
	int r = cmd_open_store(c, false, 0, &store, err);
	if (r == 0) {
		interrupt_set_store(intr, store);
		r = cmd_open_image(store, image, &recipe, err);
	}
	if (r == 0) {
		struct imgwrite w = {
			.store = store,
			.recipe = recipe,
			.target = path ? path : "standard output",
			.cancel = &intr->hit,
			.progress = progress_start("cat", recipe_data_bytes(recipe), c->quiet),
		};
		struct job j = {w, intr};
		r = path ? write_path(&j, path, err) : write_stdout(&j, err);
		progress_stop(w.progress);
	}
	if (r == 0 && c->json)
		r = print_json(store, recipe, path);
	interrupt_set_store(intr, NULL);
	recipe_free(recipe);
	store_free(store);
	return r;
}

static int run(struct cmd *c, int argc, char **argv)
{
	struct values v = {0};
	struct args args;
	struct smr_error err = {0};
	int code = args_parse(c, argc, argv, &v, 1, 1, &args);
	if (code != ARGS_RUN)
		return code;
	if (v.output && v.output[0] == '-' && !v.output[1])
		v.output = NULL;
	if (c->json && !v.output)
		return args_usage(c, "--json needs -o FILE: standard output is the image's");

	struct interrupt intr;
	int r = interrupt_start(&intr, &err);
	if (r < 0)
		return cmd_fail(c, r, &err);
	r = cat(c, args.operand[0], v.output, &intr, &err);
	code = 0;
	if (r < 0 && intr.hit)
		code = interrupt_exit(&intr, "nothing was written; the same command starts again");
	else if (r < 0)
		code = cmd_fail(c, r, &err);
	interrupt_done(&intr);
	return code;
}

const struct cmd_verb cmd_cat = {
	.name = "cat",
	.operands = "NAME",
	.summary = "Write an image as the plain disk image it was",
	.options = options,
	.example = "cat debian -o debian.img",
	.run = run,
	.trouble = 1,
};
