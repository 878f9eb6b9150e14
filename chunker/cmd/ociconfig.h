/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A summary of an image configuration (OCI image specification 1.0, config.md) for people. It comes
 * from whoever published the image: whatever is not of the expected type is left out.
 */
#ifndef CMD_OCICONFIG_H
#define CMD_OCICONFIG_H

#include <stddef.h>

#include "table.h"

/* Adds two-column rows: platform, command, user, directory, number of variables, ports. One that
 * says so if it is no JSON. */
void ociconfig_lines(struct table *t, const char *json, size_t n);

#endif
