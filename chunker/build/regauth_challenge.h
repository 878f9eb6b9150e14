/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What a registry wants to know who we are: its WWW-Authenticate headers (RFC 9110, 11.6.1), of which Bearer (RFC 6750 and
 * the registries' token specification) and Basic are understood.
 *
 *     Bearer realm="https://auth.example.org/token",service="registry.example.org",scope="repository:a/b:pull"
 *     Basic realm="whatever"
 *
 * Also what the token endpoint answers. All of it comes from strangers. Pure; any thread.
 */
#ifndef BUILD_REGAUTH_CHALLENGE_H
#define BUILD_REGAUTH_CHALLENGE_H

#include <stdbool.h>
#include <stddef.h>

#include "../core/buf.h"
#include "../core/error.h"

#define REGAUTH_CHALLENGE_WORD_MAX  1024
#define REGAUTH_CHALLENGE_JSON_MAX  (1u << 20)
#define REGAUTH_CHALLENGE_TOKEN_MAX (48u << 10) /* what fits into a request's header */

struct regauth_challenge {
	bool basic, bearer;                     /* which of them were offered */
	char realm[REGAUTH_CHALLENGE_WORD_MAX]; /* of Bearer; the others may be "" */
	char service[REGAUTH_CHALLENGE_WORD_MAX];
	char scope[REGAUTH_CHALLENGE_WORD_MAX];
	char error[64];
};

/* One header's value: any number of challenges. Adds to *c, which begins zeroed; the first Bearer counts. Unknown schemes
 * and parameters are passed over. -EBADMSG: not well formed, a parameter twice or too long; *c is unchanged then. */
int regauth_challenge_parse(
	const char *value, size_t n, struct regauth_challenge *c, struct smr_error *err);

/* All WWW-Authenticate headers in the head of an answer. -EBADMSG: none that is understood. */
int regauth_challenge_find(
	const struct buf *head, struct regauth_challenge *ret, struct smr_error *err);

/* "token" or "access_token" of a JSON body, as it may stand in a header; *ret is to be freed. *ret_expires_s: how long it is
 * good, 60 where that is not said. -EBADMSG, -EFBIG. */
int regauth_challenge_token(
	const char *json, size_t n, char **ret, unsigned *ret_expires_s, struct smr_error *err);

#endif
