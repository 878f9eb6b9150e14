/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Who we are at a registry, from what `docker login` and `podman login` leave behind; the first that knows the registry:
 *
 *     $REGISTRY_AUTH_FILE                        only this, where it is set
 *     $XDG_RUNTIME_DIR/containers/auth.json      (or /run/containers/UID/auth.json)
 *     ~/.config/containers/auth.json             ($XDG_CONFIG_HOME)
 *     $DOCKER_CONFIG/config.json, or ~/.docker/config.json
 *
 *     {"credHelpers": {HOST: NAME}, "credsStore": NAME, "auths": {KEY: {"auth": BASE64("USER:PASSWORD")}}}
 *
 * In each: the helper of the host, then entries of auths, then the store. KEY is HOST, HOST/PATH (podman: the longest that
 * leads to the image counts), or what docker once wrote: https://HOST/v1/.
 */
#ifndef BUILD_REGAUTH_CREDS_H
#define BUILD_REGAUTH_CREDS_H

#include <stdatomic.h>
#include <stddef.h>

#include "../core/error.h"

#define REGAUTH_CREDS_FILE_MAX (1u << 20)

struct regauth_creds {
	char *user, *password;
	char *identity; /* an OAuth2 refresh token in place of both */
};

/* For the image `path` at `host` ("docker.io", "HOST:PORT"). Nothing known: 0 and all NULL. -EBADMSG: a file is malformed;
 * -EACCES...: not readable; what helpers give, which `cancel` (may be NULL) ends. The messages name the file and show no secret. */
int regauth_creds_find(const char *host, const char *path, const atomic_bool *cancel,
	struct regauth_creds *ret, struct smr_error *err);

/* The same for the text of one such file. -ENOENT: it knows nothing. */
int regauth_creds_parse(const char *json, size_t n, const char *host, const char *path,
	const atomic_bool *cancel, struct regauth_creds *ret, struct smr_error *err);

/* Wipes and frees what is in it. */
void regauth_creds_done(struct regauth_creds *c);

#endif
