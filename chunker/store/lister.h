/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What images a store has, and cheaply whether that has changed. A local bucket is read itself;
 * another one tells by index.json of each live root, asked for with the ETag of what is known. An
 * image of the active root hides one of the same name in a retired one.
 *
 * Any thread.
 */
#ifndef STORE_LISTER_H
#define STORE_LISTER_H

#include "loader.h"

#define LISTER_TAG_MAX 128 /* bytes, as in store.h */

struct lister;

struct lister *lister_new(struct bucket *b, struct loader *l); /* NULL: no memory */
void lister_free(struct lister *l);                            /* NULL is fine */

/* Contract of store_list. Blocks. */
int lister_list(struct lister *l, char *tag, struct store_list *ret, struct smr_error *err);

#endif
