/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A read-only bucket behind a web server: a key is a path below the URL.
 */
#ifndef STORE_HTTP_H
#define STORE_HTTP_H

#include "bucket.h"

/* No network I/O. -EINVAL: not a URL for a store; -EPERM: plain http beyond loopback without opts->insecure. */
int http_open(const char *url, const struct store_options *opts, struct bucket **ret,
	struct smr_error *err);

#endif
