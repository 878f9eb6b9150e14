/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Ctrl-C and friends, for verbs that have something to finish or to take back: SIGINT, SIGTERM and
 * SIGHUP set a flag in place of killing the process, and whoever waits for the network is sent home
 * by store_stop. A second signal kills. A thread takes the signals, so nothing runs in a signal
 * handler.
 *
 * Start before anything else makes threads: they inherit the blocked signals.
 */
#ifndef CMD_INTERRUPT_H
#define CMD_INTERRUPT_H

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>

#include "../store/store.h"

struct interrupt {
	atomic_bool hit;   /* give it to cutter_cut, gather_run */
	atomic_int signal; /* which; 0: none yet */

	/* interrupt.c's own */
	sigset_t set, old;
	int signal_fd, stop_fd;
	pthread_t thread;
	pthread_mutex_t lock; /* guards store */
	struct store *store;
};

int interrupt_start(struct interrupt *i, struct smr_error *err);
/* The store to stop; NULL before it is freed. Local stores are left alone: what was put there is
 * still to be flushed. */
void interrupt_set_store(struct interrupt *i, struct store *store);
/* From here on a signal kills at once: nothing is left to take back, and a thread may wait for a
 * reader that never reads. In the thread that started. */
void interrupt_release(struct interrupt *i);
/* Signals do again what they did before. */
void interrupt_done(struct interrupt *i);
/* Says that it was interrupted and that `hint`; returns the exit code a shell expects, 128 +
 * signal. */
int interrupt_exit(struct interrupt *i, const char *hint);

#endif
