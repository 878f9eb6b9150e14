/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The command line of smr-cached: the daemon's, and those of the commands that ask it for something. One table of options serves
 * both parsing and --help.
 *
 *     smr-cached [OPTION...]                       the daemon
 *     smr-cached [OPTION...] COMMAND [OPTION...] [NAME]
 *
 * settings_parse and settings_complete are pure but for getopt(3) and the working directory; one thread.
 */
#ifndef CACHED_SETTINGS_H
#define CACHED_SETTINGS_H

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>

#include "../chunker/core/config.h"
#include "../chunker/core/name.h"

#define SETTINGS_SIZE_DEFAULT     (10ull << 30)
#define SETTINGS_MIN_FREE_DEFAULT (256ull << 20)
#define SETTINGS_STORES_MAX       64u
/* What the first store is called, too. */
#define SETTINGS_STORE_DEFAULT "default"

/* Bits, so that an option can say where it belongs. */
enum settings_verb {
	SETTINGS_SERVE = 1,
	SETTINGS_STATUS = 2,
	SETTINGS_PIN = 4,
	SETTINGS_UNPIN = 8,
	SETTINGS_HYDRATE = 16,
	SETTINGS_SCRUB = 32,
};

/* NAME=URL of the daemon's --store. */
struct settings_store {
	char name[NAME_LEN_MAX + 1];
	char *url;
};

struct settings {
	enum settings_verb verb;
	const char *cache_arg, *socket_arg, *store_arg, *ca_file, *image; /* into argv */
	uint64_t size, min_free; /* bytes; UINT64_MAX before settings_complete: not given */
	bool insecure, debug, json, prometheus, wait, quiet, help, version, foreground;
	struct settings_store stores[SETTINGS_STORES_MAX];
	unsigned n_stores;

	/* settings_complete's */
	char cache_dir[PATH_MAX], socket[PATH_MAX];
	char store
		[PATH_MAX]; /* commands: what to OPEN: a URL, an absolute path or a store's name */
};

/* -EINVAL: a usage error; with ret->verb set all the same, for the hint at --help. Always settings_done(ret). */
int settings_parse(int argc, char **argv, struct settings *ret, struct smr_error *err);
/* Fills in what was not given, from the configuration or as is built in; makes paths absolute. */
int settings_complete(struct settings *s, const struct config *c, struct smr_error *err);
void settings_done(struct settings *s);
/* A size for people, or -EINVAL; `name` is where it was given, for the message. */
int settings_parse_size(
	const char *name, const char *value, bool zero, uint64_t *ret, struct smr_error *err);
/* "pin"; "" for the daemon. */
const char *settings_verb_name(enum settings_verb verb);
/* To standard output; `s` is completed as far as that was possible. */
void settings_help(const struct settings *s);

#endif
