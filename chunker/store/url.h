/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * URLs of the kind that stores have (RFC 3986, the part of it that is needed): SCHEME://[USER[:PASSWORD]@]HOST[:PORT][/PATH].
 * Strict: printable ASCII only, a host is a name or an address literal. Pure; any thread.
 */
#ifndef STORE_URL_H
#define STORE_URL_H

#include <stdbool.h>
#include <stdint.h>

#include "../core/error.h"

#define URL_MAX      8192 /* bytes, with the NUL; signed ones of blob stores are long */
#define URL_HOST_MAX 256

struct url {
	char scheme[8];          /* lower case */
	char host[URL_HOST_MAX]; /* lower case; an IPv6 address without its brackets */
	uint16_t port;           /* what the URL says, else the scheme's; 0: neither */
	bool has_user;
	char user[256], password[256]; /* percent-decoded */
	char path[URL_MAX];            /* "" or "/..."; query and fragment included; as it stands */
	char bare[URL_MAX]; /* the URL without user and password, without slashes at its end */
};

/* -EINVAL with a message that shows no password. */
int url_parse(const char *s, struct url *ret, struct smr_error *err);

/* 127.0.0.0/8, ::1 or localhost: what does not leave the machine. */
bool url_is_loopback(const struct url *u);

/* May a client that was sent to `from` follow a redirect to `to`? The same host; the same scheme and port or from http to
 * https; no credentials in it. */
bool url_may_follow(const char *from, const char *to);

#endif
