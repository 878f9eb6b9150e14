/* SPDX-License-Identifier: BSD-3-Clause */
/* The commands of smr-cached: each asks whoever owns the cache over its socket, and says what it answered. */
#ifndef CACHED_VERBS_H
#define CACHED_VERBS_H

#include "settings.h"

/* Any verb but SETTINGS_SERVE. Results to standard output, which the caller flushes; errors are logged. The exit code. */
int verbs_run(const struct settings *s);

#endif
