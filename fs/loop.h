/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The threads that read requests from /dev/fuse and process them: one per CPU, since an operation
 * that would wait is completed by another thread. In place of libfuse's own loop because requests
 * are read into the slots of request.h.
 *
 * loop_new, loop_start, loop_wait and loop_free are for one thread; loop_stop is for any.
 */
#ifndef FS_LOOP_H
#define FS_LOOP_H

#include "../chunker/core/error.h"
#include "request.h"

struct loop;

/* What a request may be larger than its slot: bulk FORGETs, and what the kernel insists on for
 * writes (max_write of the INIT answer must not be more). */
#define LOOP_OVERFLOW_BYTES (1u << 20)

/* Both arguments must outlive the loop. */
int loop_new(struct fuse_session *se, struct requests *requests, struct loop **ret,
	struct smr_error *err);
/* Answers INIT, which mount(2) has queued, and starts the threads. All signals are blocked in them
 * but SIGUSR1, which loop_stop wakes them by. */
int loop_start(struct loop *l, struct smr_error *err);
/* Waits until the threads have ended. 0: the file system was unmounted, or loop_stop was called; or
 * what reading from the device failed with. Requests that wait for completions may be unanswered
 * still. */
int loop_wait(struct loop *l);
/* Ends every thread after the request it is processing. */
void loop_stop(struct loop *l);
/* No thread may be running. NULL is fine. */
void loop_free(struct loop *l);

#endif
