/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the verbs of `smr` share: the invocation, and the ways to a store and to an image in it.
 * Each cmd_<verb>.c owns its options and help and exports one struct cmd_verb; main.c has the table
 * of them.
 *
 * A struct cmd belongs to main and is read-only for the verb once args_parse() has returned.
 */
#ifndef CMD_CMD_H
#define CMD_CMD_H

#include <stdbool.h>
#include <stdint.h>

#include "../core/config.h"
#include "../core/error.h"
#include "../core/recipe.h"
#include "../store/store.h"

#define CMD_USAGE 2 /* exit code of usage errors */

struct cmd;

struct cmd_verb {
	const char *name;
	const char *operands;              /* "FILE.img", for the usage line */
	const char *summary;               /* one line, no full stop */
	const struct args_option *options; /* its own; args_parse adds the common ones */
	const char *example; /* what follows `smr -s STORE ` in an example that works */
	void (*defaults)(
		const struct cmd *c); /* prints "  name  value" lines for the help; may be NULL */
	int (*run)(struct cmd *c, int argc,
		char **argv); /* argv[0] is the verb; returns the exit code */
	bool no_store;        /* has nothing to do with a store */
	int trouble;          /* exit code of what fails: 1, but 2 for diff */
};

struct cmd {
	const struct cmd_verb *verb; /* NULL while main reads the options before it */
	const struct config *config; /* NULL: could not be read, and only help is wanted */
	const char *store_url; /* NULL: none was given and none is configured; not in a verb */
	bool quiet, json, insecure, help, show_version;
};

extern const struct cmd_verb cmd_add, cmd_build, cmd_cat, cmd_chunk, cmd_diff, cmd_import, cmd_info,
	cmd_ls, cmd_rm, cmd_run_config, cmd_verify;

/* Opens the store of the invocation; `create` makes a directory store where there is none, for
 * chunks of `chunk_size` (0: default). */
int cmd_open_store(const struct cmd *c, bool create, uint32_t chunk_size, struct store **ret,
	struct smr_error *err);

/* The recipe of "NAME" or "NAME@sha256:DIGEST". -ESTALE: the name stands for another digest. */
int cmd_open_image(struct store *s, const char *arg, struct recipe **ret, struct smr_error *err);

/* Is it the recipe that is at fault (damaged, beyond a limit, of a newer version), and not the way to it? */
bool cmd_recipe_is_bad(int code);

/* Tells what went wrong, once; returns the verb's exit code for it. */
int cmd_fail(const struct cmd *c, int code, const struct smr_error *err);

/* A configured whole number, or `fallback` where there is none. A value outside [min, max] is
 * -EINVAL. */
int cmd_config_uint(const struct cmd *c, const char *key, uint64_t min, uint64_t max,
	uint64_t fallback, uint64_t *ret, struct smr_error *err);
/* The same for a size ("512K"). */
int cmd_config_size(const struct cmd *c, const char *key, uint64_t fallback, uint64_t *ret,
	struct smr_error *err);
/* A configured yes or no; *ret is left alone where there is none. */
int cmd_config_flag(const struct cmd *c, const char *key, bool *ret, struct smr_error *err);

#endif
