/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * How requests to one registry, for pulling one repository, are authenticated: not at all, by Basic, or by tokens, as its 401
 * asks. Shared by all connections of a source.
 *
 *     ask regauth_apply for a request ... 401 ... regauth_challenged with that answer ... again
 *
 * Credentials go to the registry's own origin, and to the realm that it names if that is one of these: its own host; the domain
 * that it is a part of (registry.example.org -> example.org, of two labels at least); auth.docker.io for docker.io; what
 * `auth_hosts` has. Other realms get no request at all: a registry that could choose one could make us ask anybody.
 *
 * Any thread. A token is fetched by the first that needs it while the others wait, that is with the lock held: none of them
 * could go on.
 */
#ifndef BUILD_REGAUTH_H
#define BUILD_REGAUTH_H

#include <stdatomic.h>

#include "../core/buf.h"
#include "../store/transport.h"

#define REGAUTH_HEADER_MAX (50u << 10)

struct regauth;

struct regauth_options {
	const char *origin;     /* "https://HOST[:PORT]": where the registry is */
	const char *host;       /* what credentials are stored under: "docker.io" */
	const char *path;       /* the repository */
	const char *auth_hosts; /* "HOST,HOST": more realms that are fine; may be NULL */
	bool insecure;          /* plain http to hosts that are not loopback */
};

/* Copies what it is told. -ENOMEM. */
int regauth_new(const struct regauth_options *opts, struct regauth **ret);
void regauth_free(struct regauth *a); /* wipes; NULL is fine */

/* What a request carries. Zeroed at first; regauth_request_done wipes it. */
struct regauth_request {
	unsigned long generation; /* of the state that it is made from */
	char *header;             /* "Authorization: Bearer ..." or NULL */
	char *user, *password;    /* of Basic, or NULL */
};

/* For a request to the registry's origin, never to any other. -ENOMEM. */
int regauth_apply(struct regauth *a, struct regauth_request *ret);
void regauth_request_done(struct regauth_request *r);

/* A request with `used` was answered by 401 with this head. 0: another try has something new. -EACCES: there is nothing
 * more to say; else what the token endpoint or the credentials gave. `t` is the calling thread's; `cancel` may be NULL. */
int regauth_challenged(struct regauth *a, struct transport *t, const struct regauth_request *used,
	const struct buf *head, const atomic_bool *cancel, struct smr_error *err);

/* A request was refused with all that could be said: -EACCES, with a message of what is missing. */
int regauth_denied(struct regauth *a, struct smr_error *err);

/* May a request go there? Pure. */
bool regauth_realm_allowed(
	const char *origin, const char *realm, const char *auth_hosts, bool insecure);

#endif
