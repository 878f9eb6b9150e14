/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Going into the background without losing errors: the parent waits until the child says that it is
 * ready, or ends.
 *
 *     parent                              child
 *     daemonize_fork ─────── fork ──────> daemonize_fork returns 0
 *         waits                           sets up; says what is wrong on the terminal
 *     returns 1   <── one byte, or EOF ── daemonize_ready, or exit
 *
 * Until it is ready the child dies with its parent (by SIGTERM), so Ctrl-C stops both.
 */
#ifndef FS_DAEMONIZE_H
#define FS_DAEMONIZE_H

#include <stdbool.h>

#include "../chunker/core/error.h"

/* Call before threads are started. 0: in the child, a descriptor for daemonize_ready in *ret_ready;
 * 1: in the parent, with the status to exit with in *ret_status, and whether a signal ended the
 * child, which then could not clean up. */
int daemonize_fork(int *ret_ready, int *ret_status, bool *ret_killed, struct smr_error *err);
/* Leaves the terminal: working directory /, standard descriptors to /dev/null, logs to syslog, the
 * parent released with status 0. */
void daemonize_ready(int ready);

#endif
