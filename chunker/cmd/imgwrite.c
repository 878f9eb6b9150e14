/* SPDX-License-Identifier: BSD-3-Clause */
#include "imgwrite.h"

#include <errno.h>
#include <pthread.h>
#include <unistd.h>

#include "../core/cleanup.h"
#include "../core/fd.h"
#include "gather.h"

#define ZEROS_BYTES (64u << 10)

struct writing {
	const struct imgwrite *w;
	int fd;
	uint64_t base;

	pthread_mutex_t lock;
	pthread_cond_t turn; /* stream: `next` moved, or it failed */
	uint64_t next;       /* stream: the entry whose chunk is written next */
	uint64_t position;   /* stream: bytes written so far */
	int result;          /* the first failure */
	struct smr_error err;
};

static struct gather_want want(void *user, uint64_t i)
{
	const struct recipe *r = ((struct writing *)user)->w->recipe;
	return (struct gather_want){recipe_entry(r, i).id, recipe_info(r)->chunk_size};
}

static int failed(struct writing *s, int code, const struct smr_error *err)
{
	locked(&s->lock);
	if (s->result == 0) {
		s->result = code;
		s->err = *err;
	}
	pthread_cond_broadcast(&s->turn);
	return code;
}

static int write_failed(struct writing *s, int code)
{
	struct smr_error err = {0};
	if (code == -EPIPE)
		error_set(&err, code, "%s: the reader has gone; the output is incomplete",
			s->w->target);
	else
		error_set_errno(&err, code, "cannot write %s", s->w->target);
	return failed(s, code, &err);
}

static int gather_failed(struct writing *s, int code, uint64_t i, const struct smr_error *cause)
{
	struct smr_error err = {0};
	struct recipe_entry e = recipe_entry(s->w->recipe, i);
	gather_error(
		&err, code, s->w->store, recipe_info(s->w->recipe)->name, e.index, &e.id, cause);
	return failed(s, code, &err);
}

/* Where chunk `index` lies in the image, and how much of it does. */
static uint64_t chunk_range(const struct recipe *r, uint64_t index, size_t *ret_n)
{
	const struct recipe_info *info = recipe_info(r);
	uint64_t offset = index * info->chunk_size, left = info->image_size - offset;
	*ret_n = left < info->chunk_size ? (size_t)left : info->chunk_size;
	return offset;
}

static int got_for_file(
	void *user, uint64_t i, int r, const struct gather_data *data, const struct smr_error *err)
{
	struct writing *s = user;
	if (r < 0)
		return gather_failed(s, r, i, err);
	size_t n;
	uint64_t offset = chunk_range(s->w->recipe, recipe_entry(s->w->recipe, i).index, &n);
	r = fd_pwrite_sparse(s->fd, data->pool, n, s->base + offset);
	if (r < 0)
		return write_failed(s, r);
	progress_add(s->w->progress, n, n);
	return 0;
}

static int write_zeros(struct writing *s, uint64_t n)
{
	static const char zeros[ZEROS_BYTES];
	int r = 0;
	while (n > 0 && r == 0) {
		size_t step = n < sizeof(zeros) ? (size_t)n : sizeof(zeros);
		r = fd_write(s->fd, zeros, step);
		n -= step;
	}
	return r;
}

/* Holds the calling thread until its chunk is the next; -ECANCELED when it will never be. */
static int wait_for_turn(struct writing *s, uint64_t i)
{
	locked(&s->lock);
	while (s->next != i && s->result == 0)
		pthread_cond_wait(&s->turn, &s->lock);
	return s->result == 0 ? 0 : -ECANCELED;
}

static int got_for_stream(
	void *user, uint64_t i, int r, const struct gather_data *data, const struct smr_error *err)
{
	struct writing *s = user;
	/* Waiting before failing, too: what comes before this chunk is written, and the message is
	 * about the first chunk that is missing. */
	if (wait_for_turn(s, i) < 0)
		return -ECANCELED;
	if (r < 0)
		return gather_failed(s, r, i, err);

	/* `position` belongs to the thread whose turn it is. */
	size_t n;
	uint64_t offset = chunk_range(s->w->recipe, recipe_entry(s->w->recipe, i).index, &n);
	r = write_zeros(s, offset - s->position);
	if (r == 0)
		r = fd_write(s->fd, data->pool, n);
	if (r < 0)
		return write_failed(s, r);
	progress_add(s->w->progress, n, n);

	locked(&s->lock);
	s->position = offset + n;
	s->next = i + 1;
	pthread_cond_broadcast(&s->turn);
	return 0;
}

static int run(struct writing *s,
	int (*got)(void *, uint64_t, int, const struct gather_data *, const struct smr_error *),
	struct smr_error *err)
{
	struct gather g = {
		.store = s->w->store,
		.n = recipe_info(s->w->recipe)->n_chunks,
		.cancel = s->w->cancel,
		.want = want,
		.got = got,
		.user = s,
	};
	int r = gather_run(&g);
	if (s->result < 0) {
		if (err)
			*err = s->err;
		return s->result;
	}
	return r;
}

int imgwrite_file(const struct imgwrite *w, int fd, uint64_t base, struct smr_error *err)
{
	struct writing s = {.w = w, .fd = fd, .base = base};
	pthread_mutex_init(&s.lock, NULL);
	pthread_cond_init(&s.turn, NULL);
	int r = 0;
	if (ftruncate(fd, (off_t)(base + recipe_info(w->recipe)->image_size)) < 0)
		r = error_set_errno(err, -errno, "cannot write %s", w->target);
	if (r == 0)
		r = run(&s, got_for_file, err);
	pthread_cond_destroy(&s.turn);
	pthread_mutex_destroy(&s.lock);
	return r;
}

int imgwrite_stream(const struct imgwrite *w, int fd, struct smr_error *err)
{
	struct writing s = {.w = w, .fd = fd};
	pthread_mutex_init(&s.lock, NULL);
	pthread_cond_init(&s.turn, NULL);
	int r = run(&s, got_for_stream, err);
	if (r == 0) {
		r = write_zeros(&s, recipe_info(w->recipe)->image_size - s.position);
		if (r < 0) {
			write_failed(&s, r);
			if (err)
				*err = s.err;
		}
	}
	pthread_cond_destroy(&s.turn);
	pthread_mutex_destroy(&s.lock);
	return r;
}
