/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A summary of an image configuration (OCI image specification 1.0, config.md) for people. It comes
 * from whoever published the image: whatever is not of the expected type is left out.
 */
#ifndef CMD_OCICONFIG_H
#define CMD_OCICONFIG_H

#include <jansson.h>
#include <stddef.h>

#include "table.h"

/* Adds two-column rows: platform, command, user, directory, number of variables, ports. One that
 * says so if it is no JSON. */
void ociconfig_lines(struct table *t, const char *json, size_t n);

/* What the image runs, in one line, to be freed. -ENOENT: it does not say; -ENOMEM. */
int ociconfig_command(const char *json, size_t n, char **ret);

/* What whoever runs the image has to know, as an object: entrypoint, cmd, env (arrays), user, workdir, stop_signal
 * (strings or null), os, architecture. NULL: not an image configuration, or no memory. A new reference. */
json_t *ociconfig_run(const char *json, size_t n);

#endif
