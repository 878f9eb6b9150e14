/* SPDX-License-Identifier: BSD-3-Clause */
#include "retry.h"

#include <errno.h>

#include "../core/clock.h"

bool retry_status(long status)
{
	if (status == 408 || status == 429)
		return true;
	return status >= 500 && status <= 599 && status != 501 && status != 505;
}

/* `n` of a full 32-bit random number. */
static uint64_t part(uint64_t n, uint32_t random)
{
	return (uint64_t)((double)n * ((double)random / UINT32_MAX));
}

uint64_t retry_delay_ns(unsigned attempt, uint64_t asked_s, uint32_t random)
{
	unsigned doublings = attempt > 1 ? attempt - 1 : 0;
	uint64_t ms = doublings < 10 ? (uint64_t)RETRY_FIRST_MS << doublings : RETRY_CAP_MS;
	uint64_t ns, asked_ns;

	if (ms > RETRY_CAP_MS)
		ms = RETRY_CAP_MS;
	ns = ms * CLOCK_NS_PER_MS;
	ns = ns / 2 + part(ns / 2, random);
	if (asked_s > UINT32_MAX)
		asked_s = UINT32_MAX;
	asked_ns = asked_s * CLOCK_NS_PER_S;
	asked_ns += part(asked_ns / 4, random);
	return asked_ns > ns ? asked_ns : ns;
}

int retry_errno(long status)
{
	switch (status) {
	case 401:
	case 403:
	case 407:
		return -EACCES;
	case 404:
	case 410:
		return -ENOENT;
	case 408:
	case 504:
		return -ETIMEDOUT;
	default:
		return retry_status(status) ? -EIO : -EBADMSG;
	}
}
