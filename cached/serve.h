/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The daemon: the engine behind its socket, for as long as no signal ends it.
 *
 *     own the cache -> socket (systemd's, or our own) -> serve -> READY=1 -> ... SIGTERM, SIGINT -> STOPPING=1
 *         -> the socket's name goes -> everybody is disconnected -> the cache is marked as clean
 *
 * Under systemd (sd_notify(3), sd_listen_fds(3)) it takes the socket that it is given, says when it is ready, and feeds the
 * watchdog as long as the thread of the socket comes round and the cache answers.
 */
#ifndef CACHED_SERVE_H
#define CACHED_SERVE_H

#include "settings.h"

/* Call before threads are started: it blocks signals. Logs what fails. The exit code. */
int serve_run(const struct settings *s);

#endif
