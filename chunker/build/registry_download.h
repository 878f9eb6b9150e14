/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * One blob into a file: resumed, bounded in bytes and time, verified. Blocking; on the calling thread's own transport.
 *
 * What came before the first break of a connection is as good as the registry; what is put behind it is not before the digest
 * says so: the blob may have become another one meanwhile. If it is wrong then, it is fetched once more from the start.
 */
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
	uint64_t size;        /* bytes */
	int fd;               /* empty, to be written */
	uint64_t deadline_ns; /* of clock_ns, for all of it */
	/* `n` more bytes came; the first `readable` bytes of the file may be used (never fewer than were said before). */
	void (*progress)(void *user, size_t n, uint64_t readable);
	void *user;
};

/* -EBADMSG: other bytes than the digest says; -ETIMEDOUT: the deadline; -ECANCELED; I/O and network errors. */
int registry_download(
	struct transport *t, const struct registry_download *d, struct smr_error *err);

/* Does the file have this digest? -EBADMSG, I/O errors, -ECANCELED. */
int registry_download_check(
	int fd, uint64_t size, const struct chunkid *digest, const atomic_bool *cancel);

#endif
