/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * When to try again: exponential backoff with jitter (so that a thousand clients of one origin that comes back do not come
 * as one), or what the server asked for. Pure; any thread.
 */
#ifndef STORE_RETRY_H
#define STORE_RETRY_H

#include <stdbool.h>
#include <stdint.h>

#define RETRY_FIRST_MS 50u
#define RETRY_CAP_MS   2000u

/* An HTTP status that may be gone the next time: 408, 429 and 5xx, but not 501 and 505. */
bool retry_status(long status);

/* Nanoseconds to wait after attempt number `attempt` (1, 2, ...) failed. `asked_s`: Retry-After in seconds, 0: none.
 * `random`: any number; the delay lies within [1/2, 1] of the backoff, or [1, 1 1/4] of what was asked. */
uint64_t retry_delay_ns(unsigned attempt, uint64_t asked_s, uint32_t random);

/* The errno of an HTTP status that is not a success, as store.h defines them. */
int retry_errno(long status);

#endif
