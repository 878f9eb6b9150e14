/* SPDX-License-Identifier: BSD-3-Clause */
/* One blob into a file: resumed, bounded, verified. Blocking; on the calling thread's own transport. */
#ifndef BUILD_REGISTRY_DOWNLOAD_H
#define BUILD_REGISTRY_DOWNLOAD_H

#include <stdatomic.h>

#include "../core/chunkid.h"
#include "../store/transport.h"
#include "regauth.h"

struct registry_download {
	const char *base, *origin; /* as in registry_blobs.h */
	struct regauth *auth;
	bool insecure;
	const atomic_bool *cancel; /* may be NULL */
	struct chunkid digest;
	uint64_t size; /* bytes */
	int fd;        /* empty, to be written */
	/* `n` more bytes are in the file. */
	void (*progress)(void *user, size_t n);
	void *user;
};

/* -EBADMSG: other bytes than the digest says; -ECANCELED; I/O and network errors. */
int registry_download(
	struct transport *t, const struct registry_download *d, struct smr_error *err);

/* Does the file have this digest? -EBADMSG, I/O errors, -ECANCELED. */
int registry_download_check(
	int fd, uint64_t size, const struct chunkid *digest, const atomic_bool *cancel);

#endif
