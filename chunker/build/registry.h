/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Images in registries, as a source (source.h): the pull half of the OCI distribution specification and what Docker's
 * registry does beyond it.
 *
 *     registry.c           reference -> manifest -> config -> struct source
 *     registry_blobs       layers, several at a time, ahead of who reads them
 *     registry_download    one layer, resumed
 *     registry_http        one request: redirects, authentication, repetition
 *     regauth              which credentials or token a request carries; regauth_creds, _helper, _challenge
 *     layer_cache          layers that need no network the next time
 *
 * https, and for loopback (or with `insecure`) http where nobody speaks https. Every body is bounded and compared with its
 * digest; `urls` of layers are ignored.
 */
#ifndef BUILD_REGISTRY_H
#define BUILD_REGISTRY_H

#include "source.h"

/* `arg` as imageref_parse takes it. Fetches manifest and config, no layer; so -EINVAL: not a reference; -EACCES: a login is
 * needed or refused; network errors as in store.h; the others as in source.h. `opts` may be NULL, and is copied. */
int registry_open(const char *arg, const struct source_options *opts, struct source **ret,
	struct smr_error *err);

#endif
