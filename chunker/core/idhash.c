/* SPDX-License-Identifier: BSD-3-Clause */
#include "idhash.h"

#include <sys/random.h>

#include "clock.h"

void idhash_init(struct idhash *h)
{
	if (getrandom(h->key, sizeof(h->key), 0) == sizeof(h->key))
		return;
	/* only under a seccomp filter: what little varies between processes */
	for (size_t i = 0; i < sizeof(h->key) / sizeof(h->key[0]); i++)
		h->key[i] = (clock_ns() + i) * 0x9e3779b97f4a7c15u ^ (uintptr_t)h;
}
