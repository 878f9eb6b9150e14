/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * One line of progress on standard error, for what takes more than a second and only where a person
 * looks: a terminal that can move its cursor, and no -q.
 *
 *     chunk  ████████████░░░░░░░░  1.2 GB  212 MB/s
 *
 * It is drawn by a thread of its own, so that progress_add is two atomic additions from any thread.
 * Between start and stop nobody else may write to the terminal.
 */
#ifndef CORE_PROGRESS_H
#define CORE_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>

struct progress;

/* `total` in whatever unit progress_add's `done` is; 0: not known, no bar. NULL when there is
 * nothing to show, which the other functions take. */
struct progress *progress_start(const char *label, uint64_t total, bool quiet);
/* `done` towards the total, and the bytes that were worked on meanwhile, for the figures. */
void progress_add(struct progress *p, uint64_t done, uint64_t bytes);
/* At least so much of the total is done. */
void progress_reach(struct progress *p, uint64_t done, uint64_t bytes);
/* The same line for what comes next, from zero on. Any thread. */
void progress_change(struct progress *p, const char *label, uint64_t total);
/* Clears the line and frees. */
void progress_stop(struct progress *p);

#endif
