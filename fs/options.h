/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The command line of smrfs, also as mount(8) builds it from an fstab line:
 *
 *     smrfs STORE MOUNTPOINT [-f] [-d] [-o OPTION[,OPTION...]]...
 *
 * A comma or backslash inside a value is written "\,", "\\". Options that only mean something to
 * mount(8) and systemd are accepted and ignored. So is "rw", which mount(8) passes for every line
 * that does not say "ro"; a mount is read-only always. What is not known is an error that names it.
 *
 * Pure: no file, no environment, no clock. The struct owns its strings; options_done frees them.
 */
#ifndef FS_OPTIONS_H
#define FS_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>

#include "../chunker/core/config.h"
#include "../chunker/core/error.h"

#define OPTIONS_TIMEOUT_DEFAULT    30            /* seconds */
#define OPTIONS_CACHE_SIZE_DEFAULT (10ull << 30) /* bytes */

struct options {
	bool help, version; /* asked for: nothing else was checked */
	bool foreground, debug;
	char *store;         /* as given */
	char *mountpoint;    /* as given */
	char *cache_dir;     /* NULL: not given */
	char *socket;        /* of the cache; NULL: its own, in the directory */
	char *ca_file;       /* NULL: the system's */
	char *fsname;        /* NULL: the store's URL */
	char *mount_options; /* for the kernel, in the order given, comma-separated; NULL: none */
	uint64_t cache_size; /* bytes; 0: not given */
	int64_t timeout;     /* seconds; 0: for ever; -1: not given */
	bool insecure, allow_other, allow_root;
};

/* 0, -ENOMEM, or -EINVAL with a message for a usage error. */
int options_parse(int argc, char **argv, struct options *ret, struct smr_error *err);
/* Fills in what the command line left open: from the configuration, then what is built in; a value
 * that is not valid there is -EINVAL. Cache directory and socket are left to config_cache_dir and config_socket_path. */
int options_complete(struct options *o, const struct config *c, struct smr_error *err);
/* Makes paths independent of the working directory `cwd`: the store unless it is a URL, mount
 * point, cache directory, socket, CA file. -ENOMEM. */
int options_absolute(struct options *o, const char *cwd);
/* Frees the strings and zeroes the struct. */
void options_done(struct options *o);

/* The directory of a store that is one, or NULL for a URL. Points into `store`. */
const char *options_store_path(const char *store);
/* What /proc/mounts may show of the store: its URL without user, password and query. NULL: no
 * memory; the caller frees it. */
char *options_public_store(const char *store);
/* A value with backslashes before what separates options. NULL: no memory; the caller frees it. */
char *options_escape(const char *value);

/* The longest read deadline that the kernel's own limits leave room for:
 * fs.fuse.default_request_timeout and max_request_timeout abort the whole mount when a request
 * takes longer, so 0.8 of what applies. Arguments in seconds, 0 = not set, as in the sysctls; the
 * result in milliseconds, 0 = for ever. */
uint32_t options_clamp_timeout(int64_t timeout, uint64_t default_limit, uint64_t max_limit);

#endif
