/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Keeps a thread on the CPU of the one whose requests it answers.
 *
 * A program that waits for every answer before it asks again is never running at the same time as
 * the thread that answers. On one CPU the two hand over by a switch of context; on two, each
 * handover wakes an idle CPU, which in a virtual machine takes ten times as long, and the scheduler,
 * which sees two threads and two CPUs, keeps them apart. So when requests of one thread keep coming
 * late after the answer to the one before, its CPU is looked up and the answering thread is bound to
 * it; requests of another, or a pause, set it free.
 *
 * For the thread that calls it.
 */
#ifndef FS_FOLLOW_H
#define FS_FOLLOW_H

#include <sched.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct follow {
	cpu_set_t all; /* the thread's CPUs before it was bound to one */
	int cpu;       /* bound to it; -1: free */
	pid_t tid;
	unsigned n_far; /* requests in a row that came late */
	unsigned wait;  /* look at so many */
	uint64_t answered_ns;
	bool off; /* nothing to choose from, or not allowed */
};

void follow_init(struct follow *f);
/* A request of thread `tid` (0: not known) came at `now_ns`. */
void follow_request(struct follow *f, pid_t tid, uint64_t now_ns);
void follow_answered(struct follow *f, uint64_t now_ns);
/* Free again. */
void follow_end(struct follow *f);

/* The CPU that a thread with this /proc/TID/stat ran on last; -1 if it does not say. Pure. */
int follow_parse_cpu(const char *stat);

#endif
