/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Image names: [A-Za-z0-9._-]{1,200}, not starting with a dot. They are file names, URL path segments and
 * NBD export names unescaped, which is why the alphabet is this small.
 */
#ifndef CORE_NAME_H
#define CORE_NAME_H

#include <stdbool.h>
#include <stddef.h>

#include "chunkid.h"
#include "error.h"

#define NAME_LEN_MAX 200

bool name_valid(const char *s);

/* From a path: the last component without ".img"; '/' and ':' inside become '_'. -EINVAL (with a message that
 * shows the name and points at --name) when the result is not a valid name. `ret` holds NAME_LEN_MAX + 1. */
int name_from_path(const char *path, char *ret, struct smr_error *err);

/* Splits "NAME" or "NAME@sha256:HEX". *ret_pinned says whether a digest was given. -EINVAL with a message. */
int name_parse_pinned(const char *s, char *ret_name, struct chunkid *ret_digest, bool *ret_pinned,
	struct smr_error *err);

#endif
