/* SPDX-License-Identifier: BSD-3-Clause */
#include "mapped.h"

#include <errno.h>
#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/mman.h>

#include "../chunker/core/cleanup.h"

int mapped_find(const void *at, void **ret_start, size_t *ret_bytes)
{
	auto_free char *line = NULL;
	size_t capacity = 0;
	FILE *f = fopen("/proc/self/maps", "re");
	int r = -ENOENT;

	if (!f)
		return -errno;
	while (r == -ENOENT && getline(&line, &capacity, f) >= 0) {
		uintptr_t from, to;
		char shared;

		if (sscanf(line, "%" SCNxPTR "-%" SCNxPTR " %*c%*c%*c%c", &from, &to, &shared) !=
				3 ||
			(uintptr_t)at < from || (uintptr_t)at >= to)
			continue;
		r = shared == 's' ? 0 : -EINVAL;
		if (r == 0) {
			*ret_start = (void *)from;
			*ret_bytes = to - from;
		}
	}
	fclose(f);
	return r;
}

void mapped_release(void *start, size_t bytes)
{
	madvise(start, bytes, MADV_DONTNEED);
}
