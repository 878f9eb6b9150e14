/* SPDX-License-Identifier: BSD-3-Clause */
#include "process.h"

#include <malloc.h>
#include <pthread.h>
#include <sys/resource.h>

#include "log.h"

/* Well below the size of a huge page, which the kernel would otherwise put under each thread's
 * stack. */
#define STACK_BYTES (512u << 10)

void process_limit_memory(void)
{
	/* One arena a thread would multiply what is free but not given back. */
	mallopt(M_ARENA_MAX, 2);
#ifndef __SANITIZE_THREAD__ /* which keeps megabytes of its own on each stack */
	pthread_attr_t attr;
	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, STACK_BYTES);
	pthread_setattr_default_np(&attr);
	pthread_attr_destroy(&attr);
#endif
}

void process_raise_descriptors(void)
{
	struct rlimit limit;
	if (getrlimit(RLIMIT_NOFILE, &limit) < 0 || limit.rlim_cur == limit.rlim_max)
		return;
	limit.rlim_cur = limit.rlim_max;
	if (setrlimit(RLIMIT_NOFILE, &limit) < 0)
		log_debug("the limit of open files stays as it is");
}
