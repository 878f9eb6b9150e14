/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Images whose chunks are not evicted, remembered over restarts:
 *
 *     CACHE/pins/NAME.recipe     0400 below 0700: the recipe that was pinned under this name
 *
 * The recipe itself and not its digest alone, so that what is pinned needs neither the store nor CACHE/recipes, which forgets
 * what is not used. A name has one pin: pinning the image again after it was replaced pins the new one in place of the old.
 *
 * Any thread. A lock serialises changes and is held across their I/O: pins change when a person says so.
 */
#ifndef CACHED_PINS_H
#define CACHED_PINS_H

#include "../chunker/core/recipe.h"
#include "local.h"

struct pins;

/* Pins what was pinned. A recipe that is damaged is left out, with a log line, and its file stays for the next PIN to
 * replace. -ENOMEM; errnos of mkdir and open. */
int pins_open(int cache_fd, struct local *l, struct pins **ret, struct smr_error *err);
void pins_close(struct pins *p); /* the pins stay; NULL is fine */
/* Takes over the recipe. -ENOSPC, -EROFS, ...: cannot be remembered, so it is not pinned; -ENOMEM. */
int pins_add(struct pins *p, struct recipe *recipe, struct smr_error *err);
/* -ENOENT: no such pin. */
int pins_remove(struct pins *p, const char *name, struct smr_error *err);
/* The chunks of the recipe are not evicted until it is let go, as often as it was held; nothing is remembered. -ENOMEM, -EOVERFLOW. */
int pins_hold(struct pins *p, const struct recipe *recipe);
void pins_let_go(struct pins *p, const struct recipe *recipe);
/* Visits every pinned recipe, with the lock held: visit() must not call pins. */
void pins_each(struct pins *p, void (*visit)(void *user, const struct recipe *recipe), void *user);

#endif
