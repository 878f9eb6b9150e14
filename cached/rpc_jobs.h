/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Threads for jobs that block, most of them on somebody else's network: there are as many as are needed, up to a
 * limit, and they go when there is nothing to do. Jobs that only need this machine are not kept waiting by those
 * that need another one.
 *
 * A job is embedded in the caller's own object, as in workers.h. Any thread.
 */
#ifndef CACHED_RPC_JOBS_H
#define CACHED_RPC_JOBS_H

#include <stdbool.h>

#define RPC_JOBS_THREADS 64u
#define RPC_JOBS_SLOW    56u /* at most so many of them do slow jobs */

struct rpc_job {
	void (*run)(struct rpc_job *); /* may free it */
	struct rpc_job *next;
};

struct rpc_jobs;

/* Starts the one thread that always is there. 0 or a negative errno. */
int rpc_jobs_new(struct rpc_jobs **ret);
void rpc_jobs_add(struct rpc_jobs *j, struct rpc_job *job, bool slow);
/* Runs what is queued, waits for it, frees. No job may be added any more. NULL is fine. */
void rpc_jobs_free(struct rpc_jobs *j);

#endif
