/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The recipes in a local directory as a list: of each only its header, the last entry of its table,
 * its source and its trailing digest are read, so a thousand take milliseconds. Nothing is verified
 * here but the header.
 */
#ifndef STORE_SCAN_H
#define STORE_SCAN_H

#include "bucket.h"

/* Appends what is below `prefix` (a directory that is not there has none), sorted. Damaged recipes,
 * and such whose inner name is not the file's, are left out with a debug log line. */
int scan_recipes(struct bucket *b, const char *prefix, struct store_list *l, struct smr_error *err);

#endif
