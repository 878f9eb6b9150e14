/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * One chunk out of a store of several roots, without ever holding a thread:
 *
 *     ROOTS --have them--> TRY root 0 --absent--> TRY root 1 --absent--> ... --absent--> AGAIN
 *     AGAIN: the roots were read a second ago or less, or are unchanged: -ENOENT
 *            they have changed since (a generation moved on): TRY root 0 of the new ones
 *
 * Any other outcome of a try is the outcome.
 */
#ifndef STORE_FETCH_H
#define STORE_FETCH_H

#include "loader.h"

/* Contract of store_get. */
void fetch_start(struct bucket *b, struct loader *l, struct store_get *g);

#endif
