/* SPDX-License-Identifier: BSD-3-Clause */
/* smr run-config NAME: what whoever runs an image has to know. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../core/cleanup.h"
#include "args.h"
#include "ociconfig.h"
#include "output.h"

/* A line for each value: "key<TAB>value". Control characters are replaced, so that a line is a value. */
static int print_value(const char *key, const json_t *value)
{
	if (!json_is_string(value))
		return 0;
	auto_free char *s = strdup(json_string_value(value));
	if (!s)
		return -ENOMEM;
	error_clean(s);
	printf("%s\t%s\n", key, s);
	return 0;
}

static int print_text(const json_t *config)
{
	static const char *const keys[] = {
		"entrypoint", "cmd", "env", "user", "workdir", "stop_signal"};
	int r = 0;
	for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]) && r == 0; i++) {
		const json_t *value = json_object_get(config, keys[i]);
		r = print_value(keys[i], value);
		for (size_t k = 0; k < json_array_size(value) && r == 0; k++)
			r = print_value(keys[i], json_array_get(value, k));
	}
	return r;
}

static int run_config(const struct cmd *c, const char *image, struct smr_error *err)
{
	struct store *s = NULL;
	struct recipe *recipe = NULL;
	json_t *config = NULL;
	size_t n = 0;
	int r = cmd_open_store(c, false, 0, &s, err);
	if (r == 0)
		r = cmd_open_image(s, image, &recipe, err);
	const char *json = r == 0 ? recipe_config(recipe, &n) : NULL;
	if (r == 0 && n == 0)
		r = error_set(err, -ENOENT, "%s came without an image configuration", image);
	if (r == 0) {
		config = ociconfig_run(json, n);
		if (!config)
			r = error_set(err, -EBADMSG, "%s: its configuration is none", image);
	}
	if (r == 0)
		r = c->json ? output_json(json_incref(config)) : print_text(config);
	json_decref(config);
	recipe_free(recipe);
	store_free(s);
	return r;
}

static int run(struct cmd *c, int argc, char **argv)
{
	struct args args;
	struct smr_error err = {0};
	int code = args_parse(c, argc, argv, NULL, 1, 1, &args);
	if (code != ARGS_RUN)
		return code;
	int r = run_config(c, args.operand[0], &err);
	return r < 0 ? cmd_fail(c, r, &err) : 0;
}

const struct cmd_verb cmd_run_config = {
	.name = "run-config",
	.operands = "NAME",
	.summary = "Show the command, environment, user and directory that an image wants",
	.example = "run-config python_3.12",
	.run = run,
	.trouble = 1,
};
