/* SPDX-License-Identifier: BSD-3-Clause */
#include "reclaim.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

#include "../chunker/core/cleanup.h"
#include "../chunker/core/clock.h"
#include "../chunker/core/codec.h"

#define SPARE_MAX (512ull << 20)

/* Others fill the disk too, so it is looked at from time to time, and after so many bytes of ours, or a
 * quarter of min_free. */
#define LOOK_INTERVAL_NS (5 * CLOCK_NS_PER_S)
#define LOOK_BYTES       (8ull << 20)
/* Some file systems free what was unlinked only later, as do those who hold it: where the space did not
 * come at once, the next look waits, lest what is missing be evicted twice. */
#define SETTLE_NS CLOCK_NS_PER_S

struct reclaim {
	struct reclaim_options opts;
	uint64_t high, low, look_bytes;
	uint64_t settled_ns; /* no look at the disk before; the thread's own */
	pthread_t thread;

	pthread_mutex_t lock;
	pthread_cond_t wake;
	/* below: with lock held */
	uint64_t written; /* since the disk was looked at */
	bool kicked, stop;
};

static uint64_t spare(uint64_t size)
{
	uint64_t part = size / 16;

	if (part < CODEC_CHUNK_MAX)
		return 0;
	return part < SPARE_MAX ? part : SPARE_MAX;
}

uint64_t reclaim_low(uint64_t size)
{
	return size - spare(size);
}

uint64_t reclaim_high(uint64_t size)
{
	return size - spare(size) / 2;
}

static bool stopped(struct reclaim *r)
{
	locked(&r->lock);
	return r->stop;
}

/* How many bytes the disk lacks, with a sixteenth more so that the next look is not in vain. */
static uint64_t shortage(struct reclaim *r, uint64_t pending, uint64_t *ret_free)
{
	uint64_t min = r->opts.min_free, have;

	if (!min || clock_ns() < r->settled_ns || r->opts.disk_free(r->opts.user, &have) < 0 ||
		have >= min || pending >= min - have)
		return 0;
	*ret_free = have;
	return min - have - pending + min / 16;
}

static void settle(struct reclaim *r, uint64_t missing, uint64_t had)
{
	uint64_t have;

	if (r->opts.disk_free(r->opts.user, &have) < 0 || have < had + missing / 2)
		r->settled_ns = clock_ns() + SETTLE_NS;
}

static void reclaim_round(struct reclaim *r)
{
	uint64_t target = UINT64_MAX, missing, had = 0;
	struct reclaim_state state;

	r->opts.state(r->opts.user, &state);
	if (state.used > r->high)
		target = r->low;
	missing = shortage(r, state.pending, &had);
	if (missing) {
		uint64_t left = state.used > missing ? state.used - missing : 0;

		target = left < target ? left : target;
	}
	while (target < UINT64_MAX && !stopped(r) && r->opts.evict(r->opts.user, target))
		;
	if (missing)
		settle(r, missing, had);
}

static void *reclaim_main(void *arg)
{
	struct reclaim *r = arg;

	pthread_mutex_lock(&r->lock);
	while (!r->stop) {
		struct timespec until = clock_timespec(clock_ns() + LOOK_INTERVAL_NS);
		int rc = 0;

		while (!r->stop && !r->kicked && rc != ETIMEDOUT)
			rc = r->opts.min_free ? pthread_cond_timedwait(&r->wake, &r->lock, &until)
					      : pthread_cond_wait(&r->wake, &r->lock);
		if (r->stop)
			break;
		r->kicked = false;
		r->written = 0;
		pthread_mutex_unlock(&r->lock);
		reclaim_round(r);
		pthread_mutex_lock(&r->lock);
	}
	pthread_mutex_unlock(&r->lock);
	return NULL;
}

int reclaim_new(const struct reclaim_options *opts, struct reclaim **ret)
{
	struct reclaim *r = calloc(1, sizeof(*r));
	pthread_condattr_t attr;
	int rc;

	if (!r)
		return -ENOMEM;
	r->opts = *opts;
	r->high = reclaim_high(opts->size);
	r->low = reclaim_low(opts->size);
	r->look_bytes = opts->min_free / 4 < LOOK_BYTES ? opts->min_free / 4 : LOOK_BYTES;
	pthread_mutex_init(&r->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&r->wake, &attr);
	pthread_condattr_destroy(&attr);
	rc = pthread_create(&r->thread, NULL, reclaim_main, r);
	if (rc) {
		pthread_cond_destroy(&r->wake);
		pthread_mutex_destroy(&r->lock);
		free(r);
		return -rc;
	}
	pthread_setname_np(r->thread, "smr-reclaim");
	*ret = r;
	return 0;
}

void reclaim_free(struct reclaim *r)
{
	if (!r)
		return;
	pthread_mutex_lock(&r->lock);
	r->stop = true;
	pthread_cond_signal(&r->wake);
	pthread_mutex_unlock(&r->lock);
	pthread_join(r->thread, NULL);
	pthread_cond_destroy(&r->wake);
	pthread_mutex_destroy(&r->lock);
	free(r);
}

void reclaim_note(struct reclaim *r, uint64_t bytes, uint64_t used)
{
	if (used <= r->high && !r->opts.min_free)
		return;
	locked(&r->lock);
	r->written += bytes;
	if (used > r->high || r->written >= r->look_bytes) {
		r->kicked = true;
		pthread_cond_signal(&r->wake);
	}
}
