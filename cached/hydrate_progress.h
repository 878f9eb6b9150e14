/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * How far the hydration of an image is, on the terminal of who waits for it: a thread that asks the cache for its status now and
 * then and feeds core/progress.h.
 */
#ifndef CACHED_HYDRATE_PROGRESS_H
#define CACHED_HYDRATE_PROGRESS_H

#include <stdbool.h>

#include "cache.h"

struct hydrate_progress;

/* NULL where nothing is to be shown, which the other takes. `image` and the cache must outlive it. */
struct hydrate_progress *hydrate_progress_start(struct cache *cache, const char *image, bool quiet);
/* Clears the line. */
void hydrate_progress_stop(struct hydrate_progress *p);

#endif
