/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Is a thread about to die? The kernel sends INTERRUPT for whatever wakes the one that waits for an
 * answer: signals that it handles, a tracer. A regular file answers none of them with EINTR, and
 * programs rely on it: to qemu-img, an lseek that fails so means that there are no holes. Only who
 * is being killed does not mind.
 */
#ifndef FS_KILLED_H
#define FS_KILLED_H

#include <stdbool.h>
#include <sys/types.h>

/* Has a thread with this /proc/TID/status a SIGKILL pending? It has one for every signal whose
 * default action is to end the process, too. Pure. */
bool killed_parse(const char *status);
/* false also if the thread cannot be seen from here. Any thread. */
bool killed_pending(pid_t tid);

#endif
