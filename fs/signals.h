/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * SIGTERM, SIGINT and SIGHUP become a call on a thread of its own, where it may take locks and
 * fork; a SIGHUP that is ignored from the start (nohup(1)) stays so. SIGPIPE is ignored.
 */
#ifndef FS_SIGNALS_H
#define FS_SIGNALS_H

#include "../chunker/core/error.h"

struct signals;

/* Call before other threads are started: they inherit the blocked signals. on_signal runs on the
 * thread, once for each signal. */
int signals_new(void (*on_signal)(void *user, int sig), void *user, struct signals **ret,
	struct smr_error *err);
/* Waits for an on_signal that runs; there is none afterwards. The signals stay blocked. NULL is
 * fine. */
void signals_free(struct signals *s);

#endif
