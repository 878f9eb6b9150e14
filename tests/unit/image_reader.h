/* SPDX-License-Identifier: BSD-3-Clause */
/* Reads of images that a test waits for. */
#ifndef TESTS_UNIT_IMAGE_READER_H
#define TESTS_UNIT_IMAGE_READER_H

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../cached/image.h"
#include "../../chunker/core/cleanup.h"
#include "../../chunker/core/clock.h"

struct reader {
	struct image_read rd;
	pthread_mutex_t lock;
	pthread_cond_t changed;
	unsigned calls; /* of done() */
	int result;
};

static inline void reader_done(struct image_read *rd, int r)
{
	struct reader *t = rd->user;

	locked(&t->lock);
	t->calls++;
	t->result = r;
	pthread_cond_broadcast(&t->changed);
}

/* What image_read says. Memory of a reader may hold anything before. */
static inline int reader_start(
	struct reader *t, struct image *img, uint64_t offset, uint32_t length)
{
	memset(t, 0xa5, sizeof(*t));
	pthread_mutex_init(&t->lock, NULL);
	pthread_cond_init(&t->changed, NULL);
	t->calls = 0;
	t->rd.image = img;
	t->rd.offset = offset;
	t->rd.length = length;
	t->rd.done = reader_done;
	t->rd.user = t;
	return image_read(&t->rd);
}

/* The result of a read that is pending. Aborts after ten seconds. */
static inline int reader_wait(struct reader *t)
{
	struct timespec until;

	locked(&t->lock);
	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += 10;
	while (t->calls == 0)
		if (pthread_cond_timedwait(&t->changed, &t->lock, &until) == ETIMEDOUT) {
			fprintf(stderr, "a read never ended\n");
			abort();
		}
	return t->result;
}

static inline unsigned reader_calls(struct reader *t)
{
	locked(&t->lock);
	return t->calls;
}

/* Is what was read these bytes, all of them? */
static inline bool reader_equals(const struct reader *t, const unsigned char *bytes)
{
	size_t n = 0;

	for (unsigned i = 0; i < t->rd.n_iov; i++) {
		const struct iovec *v = &t->rd.iov[i];
		if (n + v->iov_len > t->rd.length || memcmp(v->iov_base, bytes + n, v->iov_len))
			return false;
		n += v->iov_len;
	}
	return n == t->rd.length;
}

static inline void reader_end(struct reader *t)
{
	image_read_end(&t->rd);
	pthread_mutex_destroy(&t->lock);
	pthread_cond_destroy(&t->changed);
}

/* Reads and compares: 0, a negative errno, or -EILSEQ for wrong bytes. `all` is the whole image. */
static inline int read_and_compare(
	struct image *img, uint64_t offset, uint32_t length, const unsigned char *all)
{
	struct reader t;
	int r = reader_start(&t, img, offset, length);

	if (r == -EINPROGRESS)
		r = reader_wait(&t);
	if (r == 0 && !reader_equals(&t, all + offset))
		r = -EILSEQ;
	reader_end(&t);
	return r;
}

#endif
