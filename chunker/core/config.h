/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Where the defaults come from: a flag, else the environment (SMR_STORE, SMR_CACHE), else /etc/smr.conf,
 * else what is built in. /etc/smr.conf has `key = value` lines, '#' comments; the keys are the names of
 * the flags. An unknown key is an error that names file and line; SMR_CONF names another file (an empty
 * value: none).
 *
 * Read once at start by main; immutable afterwards.
 */
#ifndef CORE_CONFIG_H
#define CORE_CONFIG_H

#include <stdbool.h>
#include <stddef.h>

#include "error.h"

#define CONFIG_SOCKET_SHARED "/run/smr/cached.sock"

struct config;

/* A missing default file is an empty configuration; a missing file that SMR_CONF names is -ENOENT.
 * -EINVAL: a bad line. */
int config_load(struct config **ret, struct smr_error *err);
/* The same from text: `origin` is the file's name in messages. The environment is not looked at. */
int config_parse(
	const char *text, size_t n, const char *origin, struct config **ret, struct smr_error *err);
void config_free(struct config *c);
/* The value of a key after environment and file, or NULL. Valid as long as the config.
 * Keys: store, cache, cache_size, min_free, socket, timeout, insecure, chunk_size, level, jobs, layer_cache. */
const char *config_get(const struct config *c, const char *key);
/* A yes or no; *ret is left alone where there is none. -EINVAL: neither. */
int config_get_flag(const struct config *c, const char *key, bool *ret, struct smr_error *err);
/* The cache directory: "cache", else /var/cache/smr for root, else $XDG_CACHE_HOME/smr, else ~/.cache/smr.
 * -ENOENT with a message when there is no home. `ret` holds `size` bytes. */
int config_cache_dir(const struct config *c, char *ret, unsigned long size, struct smr_error *err);
/* Where the owner of that cache directory listens: "socket", else /run/smr/cached.sock for /var/cache/smr, which the daemon and
 * all frontends share, else cached.sock in the directory. -ENAMETOOLONG. */
int config_socket_path(const struct config *c, const char *cache_dir, char *ret, unsigned long size,
	struct smr_error *err);

#endif
