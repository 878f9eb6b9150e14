/* SPDX-License-Identifier: BSD-3-Clause */
#include "follow.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../chunker/core/cleanup.h"
#include "../chunker/core/clock.h"
#include "../chunker/core/fd.h"

/* From an answer to the next request: through a switch of context 3 us or less, through idle CPUs
 * 15 us or more. */
#define FAR_NS   10000u
#define PAUSE_NS (1 * CLOCK_NS_PER_MS)
/* So many far requests in a row before a look. It costs as much as a few requests, and too eager a
 * one runs after a thread that the scheduler has not yet settled: 3 and 16 are half as fast. */
#define FAR_RUN  8u
#define WAIT_MAX 1024u
#define STAT_MAX 1024
/* proc(5): fields are counted from 1, the third comes after the name in parentheses */
#define FIELD_PROCESSOR 39

int follow_parse_cpu(const char *stat)
{
	const char *p = strrchr(stat, ')'); /* the name may hold anything */
	for (int field = 2; p && field < FIELD_PROCESSOR; field++)
		p = strchr(p + 1, ' ');
	if (!p)
		return -1;
	char *end;
	long cpu = strtol(p + 1, &end, 10);
	return end == p + 1 || cpu < 0 || cpu >= CPU_SETSIZE ? -1 : (int)cpu;
}

static int cpu_of(pid_t tid)
{
	char path[32], text[STAT_MAX];
	size_t n;
	snprintf(path, sizeof(path), "/proc/%d/stat", (int)tid);
	int fd auto_close = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || fd_read(fd, text, sizeof(text) - 1, &n) < 0)
		return -1;
	text[n] = '\0';
	return follow_parse_cpu(text);
}

void follow_init(struct follow *f)
{
	*f = (struct follow){.cpu = -1, .wait = FAR_RUN};
	f->off = sched_getaffinity(0, sizeof(f->all), &f->all) < 0 || CPU_COUNT(&f->all) < 2;
}

/* Is it now on another CPU than before? */
static bool bind_to(struct follow *f, int cpu)
{
	cpu_set_t one;
	if (cpu < 0 || cpu == f->cpu || !CPU_ISSET(cpu, &f->all))
		return false;
	CPU_ZERO(&one);
	CPU_SET(cpu, &one);
	if (sched_setaffinity(0, sizeof(one), &one) < 0) {
		f->off = true;
		return false;
	}
	f->cpu = cpu;
	return true;
}

void follow_end(struct follow *f)
{
	f->n_far = 0;
	f->wait = FAR_RUN;
	if (f->cpu < 0)
		return;
	sched_setaffinity(0, sizeof(f->all), &f->all);
	f->cpu = -1;
}

void follow_request(struct follow *f, pid_t tid, uint64_t now_ns)
{
	if (f->off)
		return;
	uint64_t gap = now_ns - f->answered_ns;
	if (tid != f->tid || gap > PAUSE_NS)
		follow_end(f);
	f->tid = tid;
	if (gap <= FAR_NS)
		f->n_far = 0;
	else if (++f->n_far >= f->wait) {
		f->n_far = 0;
		/* One that is here already thinks for longer between requests; nor is it of use to
		 * look often for one that cannot be seen. */
		if (tid > 0 && bind_to(f, cpu_of(tid)))
			f->wait = FAR_RUN;
		else if (f->wait < WAIT_MAX)
			f->wait *= 2;
	}
}

void follow_answered(struct follow *f, uint64_t now_ns)
{
	f->answered_ns = now_ns;
}
