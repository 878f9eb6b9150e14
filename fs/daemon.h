/* SPDX-License-Identifier: BSD-3-Clause */
/* One mount from the parsed command line to its end. */
#ifndef FS_DAEMON_H
#define FS_DAEMON_H

#include "options.h"

/* Mounts, goes into the background unless o->foreground, serves until it is unmounted or told to
 * end by a signal. `o` is complete, its paths are absolute. The exit status; what went wrong is
 * logged. */
int daemon_run(const struct options *o);

#endif
