/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The machine's one cache, whoever owns it: cache.h for frontends. Connect to the cache's socket; else
 * take the cache's lock and become the owner (engine.h), listening there for others (rpc_server.h);
 * else wait a moment, with jitter, and try again. When the owner goes, the same again: reconnecting
 * *is* the election. Stores are opened again at the new owner, it is told what is mapped here, and
 * GETs that nobody answered are sent again; whoever reads notices nothing but the time. What was
 * answered before stays valid: descriptors and maps are this process's own.
 *
 *     JOINING ──connected──► REMOTE ──connection lost──► JOINING
 *        └──── lock taken ─► OWNER (until cache_free)
 *
 *     invariant                                 JOINING          REMOTE    OWNER
 *     link                                      NULL             remote    engine
 *     GETs wait here                            yes              no        no
 *     a thread may be inside the old link       until it noticed no        -
 *     stores have a handle at the link          no               yes, but those it could not open
 *     holds are known to the owner              no               yes       yes
 *
 * GETs have no time limit here (their readers have); blocking calls return -ECONNRESET when there is no
 * owner for 5 s.
 */
#ifndef CACHED_SHARED_H
#define CACHED_SHARED_H

#include "engine.h"

#define SHARED_SOCKET_NAME "cached.sock"

struct shared_options {
	struct engine_options engine; /* if it has to own the cache; with never_own, unused */
	const char *socket;           /* NULL: SHARED_SOCKET_NAME in the cache directory */
	bool never_own;               /* only ever connect */
	const char *name;             /* remote_options.name */
	/* Asked now and then while shared_new waits for another process to begin or end: true makes it
	 * fail with -ECANCELED. May be NULL. */
	bool (*cancelled)(void *user);
	void *user;
};

/* Call after fork: it starts threads. Waits at most 5 s for an owner that is just beginning or ending.
 * -ENOTCONN: nobody is there, and never_own. -EBUSY: the cache has an owner (the message names its pid)
 * who does not listen at this socket. Others: the errors of engine_new and remote_new. Strings are
 * copied.
 *
 * A cache whose socket cannot be made (a path too long for a sockaddr_un, a read-only directory) is
 * owned without listening, with a log line. */
int shared_new(const struct shared_options *opts, struct cache **ret, struct smr_error *err);

#endif
