/* SPDX-License-Identifier: BSD-3-Clause */
/* smr verify [NAME...]: are all chunks there, and what they should be? */
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "../core/log.h"
#include "../core/units.h"
#include "against.h"
#include "args.h"
#include "findings.h"
#include "interrupt.h"
#include "output.h"

struct values {
	bool data;
	const char *against;
};

static const struct args_option options[] = {
	ARGS_FLAG("data", 0, struct values, data, "fetch every chunk and rehash it"),
	ARGS_STRING("against", 0, struct values, against, "FILE.img",
		"compare one image byte for byte with the plain disk image"),
	ARGS_END,
};

static int verify_chunks(const struct cmd *c, struct store *s, const struct values *v,
	const struct args *args, const atomic_bool *cancel, bool *ret_good, struct smr_error *err)
{
	struct findings f;
	int r = findings_init(&f, s);
	for (int i = 0; i < args->n_operands && r == 0; i++)
		r = findings_add(&f, args->operand[i], err);
	if (r == 0 && args->n_operands == 0)
		r = findings_add_all(&f, err);
	if (r == 0)
		r = findings_look(&f, v->data, c->quiet, cancel, err);
	if (r == 0) {
		*ret_good = findings_count(&f) == 0;
		if (c->json)
			r = findings_print_json(&f);
		else
			findings_print(&f, c->quiet);
	}
	findings_done(&f);
	return r;
}

static void print_against(const struct cmd *c, struct store *s, const char *name, const char *path,
	const struct against *a)
{
	char n[UNITS_TEXT_MAX + 4];
	if (a->image_size != a->file_size)
		log_error("%s: %s has %" PRIu64 " bytes, %s has %" PRIu64, store_url(s), name,
			a->image_size, path, a->file_size);
	if (a->n_differ > 0)
		log_error("%s: %s differs from %s in %s chunk%s, first at byte %" PRIu64,
			store_url(s), name, path, units_format_count(a->n_differ, n),
			a->n_differ == 1 ? "" : "s", a->first);
	else if (a->image_size == a->file_size && !c->quiet)
		printf("%s is %s, byte for byte\n", name, path);
}

static int verify_against(const struct cmd *c, struct store *s, const char *path, const char *image,
	const atomic_bool *cancel, bool *ret_good, struct smr_error *err)
{
	struct imgfile file;
	struct recipe *recipe = NULL;
	struct against a;
	int r = imgfile_open(&file, path, err);
	if (r < 0)
		return r;
	r = cmd_open_image(s, image, &recipe, err);
	if (r == 0) {
		struct progress *p = progress_start("compare", recipe_data_bytes(recipe), c->quiet);
		r = against_compare(s, recipe, &file, cancel, p, &a, err);
		progress_stop(p);
	}
	if (r == 0) {
		const struct recipe_info *info = recipe_info(recipe);
		*ret_good = a.n_differ == 0 && a.image_size == a.file_size;
		if (!c->json)
			print_against(c, s, info->name, path, &a);
		else
			r = output_json(json_pack("{s:o, s:s, s:o, s:o, s:b, s:I, s:I, s:I, s:o}",
				"store", output_json_store(s), "name", info->name, "digest",
				output_json_id(&info->digest), "against",
				output_json_text(path, strlen(path)), "same", *ret_good,
				"image_size", (json_int_t)a.image_size, "file_size",
				(json_int_t)a.file_size, "different_chunks", (json_int_t)a.n_differ,
				"first_difference", output_json_number(a.first, a.n_differ > 0)));
	}
	recipe_free(recipe);
	imgfile_close(&file);
	return r;
}

static int verify(const struct cmd *c, const struct values *v, const struct args *args,
	struct interrupt *intr, bool *ret_good, struct smr_error *err)
{
	struct store *s = NULL;
	int r = cmd_open_store(c, false, 0, &s, err);
	if (r < 0)
		return r;
	interrupt_set_store(intr, s);
	if (v->against)
		r = verify_against(c, s, v->against, args->operand[0], &intr->hit, ret_good, err);
	else
		r = verify_chunks(c, s, v, args, &intr->hit, ret_good, err);
	interrupt_set_store(intr, NULL);
	store_free(s);
	return r;
}

static int run(struct cmd *c, int argc, char **argv)
{
	struct values v = {0};
	struct args args;
	struct smr_error err = {0};
	struct interrupt intr;
	bool good = false;
	int code = args_parse(c, argc, argv, &v, 0, INT_MAX, &args);
	if (code != ARGS_RUN)
		return code;
	if (v.against && args.n_operands != 1)
		return args_usage(c, "--against compares one image; name it");

	int r = interrupt_start(&intr, &err);
	if (r < 0)
		return cmd_fail(c, r, &err);
	r = verify(c, &v, &args, &intr, &good, &err);
	if (r < 0 && intr.hit)
		code = interrupt_exit(&intr, "not everything was looked at");
	else if (r < 0)
		code = cmd_fail(c, r, &err);
	else
		code = good ? 0 : 1;
	interrupt_done(&intr);
	return code;
}

const struct cmd_verb cmd_verify = {
	.name = "verify",
	.operands = "[NAME...]",
	.summary = "Check that all chunks of images are there, and what they should be",
	.options = options,
	.example = "verify --data",
	.run = run,
	.trouble = 1,
};
