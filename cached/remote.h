/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A cache that another process owns: cache.h over its socket (proto.h). One thread receives; a GET
 * beyond the window waits its turn, demand first, and a part of the window is kept for demand.
 *
 * When the owner goes, or says that it is about to (-ECANCELED), every GET that was not answered is
 * handed back, so that whoever finds the next owner asks that one. Nothing blocks but what cache.h
 * says blocks: an owner that does not read its socket is disconnected in the end.
 *
 * The peer must be uid 0, our own, or the owner of a directory that only that user may write: who names a
 * socket there trusts them. A descriptor that comes is a regular file, or a memfd sealed, of exactly
 * the chunk's size, else the answer counts as -EBADMSG; without room for it (MSG_CTRUNC) as -EMFILE.
 */
#ifndef CACHED_REMOTE_H
#define CACHED_REMOTE_H

#include "cache.h"

struct remote_options {
	const char *socket; /* path; not used after remote_new */
	const char *name;   /* who we are, for the owner's status: "smrfs /var/lib/smr" */
	/* The connection is gone: on remote's thread, once, with the GETs that were not answered
	 * (linked by `next`, in order of asking, urgent ones first where they had not been sent; may be
	 * NULL); later, on the caller's thread, with each GET that still comes. It must not free the
	 * cache. Blocking calls return -ENOTCONN by themselves, which no store does. NULL: GETs end with -ECONNRESET. */
	void (*lost)(void *user, struct cache_get *gets);
	void *user;
};

/* Connects and says HELLO, for at most 5 s. -ENOENT, -ECONNREFUSED: nobody is there. -ENAMETOOLONG: no
 * socket can be there. -EPERM: somebody else's. -EPROTO: it speaks something else, or another version.
 * -ECONNRESET, -ETIMEDOUT: it went away, or does not answer. Call after fork: it starts a thread. */
int remote_new(const struct remote_options *opts, struct cache **ret, struct smr_error *err);

#endif
