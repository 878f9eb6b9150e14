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

/* Requests in a row before the first look, and between looks: one costs as much as a few requests. */
#define RUN      32u
#define PAUSE_NS (1 * CLOCK_NS_PER_MS)
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
	*f = (struct follow){.cpu = -1};
	f->off = sched_getaffinity(0, sizeof(f->all), &f->all) < 0 || CPU_COUNT(&f->all) < 2;
}

static void bind_to(struct follow *f, int cpu)
{
	cpu_set_t one;
	if (cpu < 0 || cpu == f->cpu || !CPU_ISSET(cpu, &f->all))
		return;
	CPU_ZERO(&one);
	CPU_SET(cpu, &one);
	if (sched_setaffinity(0, sizeof(one), &one) < 0)
		f->off = true;
	else
		f->cpu = cpu;
}

void follow_end(struct follow *f)
{
	f->run = 0;
	if (f->cpu < 0)
		return;
	sched_setaffinity(0, sizeof(f->all), &f->all);
	f->cpu = -1;
}

void follow_request(struct follow *f, pid_t tid, uint64_t now_ns)
{
	if (f->off)
		return;
	if (tid != f->tid || now_ns - f->last_ns > PAUSE_NS)
		follow_end(f);
	f->tid = tid;
	f->last_ns = now_ns;
	if (++f->run % RUN == 0 && tid > 0)
		bind_to(f, cpu_of(tid));
}
