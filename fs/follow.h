/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Keeps a thread on the CPU of the one whose requests it answers.
 *
 * A program that waits for every answer before it asks again is never running at the same time as
 * the thread that answers. On one CPU the two hand over by a switch of context; on two, each
 * handover wakes an idle CPU, which in a virtual machine takes ten times as long, and the scheduler,
 * which sees two threads and two CPUs, keeps them apart. So after a run of requests from one thread
 * its CPU is looked up, now and then again, and the answering thread is bound to it; requests of
 * another, or a pause, set it free.
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
	unsigned run;     /* requests in a row from it */
	uint64_t last_ns; /* when the last one came */
	bool off;         /* nothing to choose from, or not allowed */
};

void follow_init(struct follow *f);
/* A request of thread `tid` (0: not known) came at `now_ns`. */
void follow_request(struct follow *f, pid_t tid, uint64_t now_ns);
/* Free again. */
void follow_end(struct follow *f);

/* The CPU that a thread with this /proc/TID/stat ran on last; -1 if it does not say. Pure. */
int follow_parse_cpu(const char *stat);

#endif
