// SPDX-License-Identifier: BSD-3-Clause
#include "registry_blobs.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../core/cleanup.h"
#include "../core/clock.h"
#include "../core/fd.h"
#include "registry_download.h"

#define WAIT_MS     100
#define THREADS_MAX 16u

enum state { IDLE, RUNNING, DONE, FAILED };

/* A blob, for all layers that are this one. */
struct slot {
	struct chunkid digest;
	uint64_t size;
	unsigned n_layers; /* that have it */
	enum state state;
	unsigned n_readers, n_closed;
	int fd;             /* -1: none; open as long as it is RUNNING or DONE */
	uint64_t available; /* bytes in the file */
	int r;              /* of FAILED */
	struct smr_error err;
};

struct registry_blobs {
	struct registry_blobs_options opts;
	size_t n_slots, n_layers, n_cached;
	size_t *slot_of; /* layer -> slot */
	unsigned n_threads;
	pthread_t threads[THREADS_MAX];
	atomic_bool stop;
	pthread_mutex_t lock;
	pthread_cond_t work, moved; /* for threads; for readers */
	/* below: lock held */
	bool started;
	unsigned n_files;
	uint64_t total; /* bytes that the network has to bring */
	struct slot *slots;
};

struct registry_blob {
	struct registry_blobs *blobs;
	struct slot *slot;
	uint64_t at;
};

/* ---- files ---- */

static int temp_file(const char *dir)
{
	char path[4096];
	int fd;

	if (!dir)
		dir = getenv("TMPDIR");
	if (!dir || !*dir)
		dir = "/var/tmp";
	if (snprintf(path, sizeof(path), "%s/smr-layer.XXXXXX", dir) >= (int)sizeof(path))
		return -ENAMETOOLONG;
	fd = mkostemp(path, O_CLOEXEC);
	if (fd < 0)
		return -errno;
	unlink(path);
	return fd;
}

static void close_file(struct registry_blobs *b, struct slot *s)
{
	if (s->fd >= 0) {
		close(s->fd);
		b->n_files--;
	}
	s->fd = -1;
	s->available = 0;
	s->state = IDLE;
}

/* ---- what a thread does; no lock held ---- */

struct job {
	struct registry_blobs *blobs;
	struct slot *slot;
};

static void set_file(struct registry_blobs *b, struct slot *s, int fd, uint64_t available)
{
	locked(&b->lock);
	s->fd = fd;
	s->available = available;
	b->n_files++;
	pthread_cond_broadcast(&b->moved);
}

static void brought(void *user, size_t n, uint64_t readable)
{
	struct job *j = user;
	struct registry_blobs *b = j->blobs;
	const struct source_options *o = b->opts.opts;
	uint64_t total;

	pthread_mutex_lock(&b->lock);
	if (j->slot->available < readable)
		j->slot->available = readable;
	total = b->total;
	pthread_cond_broadcast(&b->moved);
	pthread_mutex_unlock(&b->lock);
	if (o->progress)
		o->progress(o->user, n, total);
}

/* true: it was there and is good. */
static bool from_cache(struct registry_blobs *b, struct slot *s)
{
	int fd = layer_cache_get(b->opts.cache, &s->digest, s->size);
	int r;

	if (fd < 0)
		return false;
	r = registry_download_check(fd, s->size, &s->digest, &b->stop);
	if (r == 0) {
		set_file(b, s, fd, s->size);
		return true;
	}
	close(fd);
	if (r == -EBADMSG)
		layer_cache_drop(b->opts.cache, &s->digest);
	pthread_mutex_lock(&b->lock);
	b->total += s->size;
	pthread_mutex_unlock(&b->lock);
	return false;
}

static int get(struct registry_blobs *b, struct slot *s, struct transport *t, struct smr_error *err)
{
	struct job job = {b, s};
	struct registry_download d = {.base = b->opts.base,
		.origin = b->opts.origin,
		.auth = b->opts.auth,
		.insecure = b->opts.opts->insecure,
		.cancel = &b->stop,
		.digest = s->digest,
		.size = s->size,
		.deadline_ns =
			clock_ns() + (REGISTRY_BLOBS_GRACE_S + s->size / REGISTRY_BLOBS_RATE_MIN) *
					     CLOCK_NS_PER_S,
		.progress = brought,
		.user = &job};
	bool keep;
	int r;

	if (b->opts.cache && from_cache(b, s))
		return 0;
	d.fd = b->opts.cache ? layer_cache_create(b->opts.cache) : -EOPNOTSUPP;
	keep = d.fd >= 0;
	if (!keep)
		d.fd = temp_file(b->opts.opts->temp_dir);
	if (d.fd < 0)
		return error_set_errno(err, d.fd, "cannot make a temporary file for a layer");
	set_file(b, s, d.fd, 0);
	r = registry_download(t, &d, err);
	if (r == 0 && keep)
		layer_cache_keep(b->opts.cache, d.fd, &s->digest, s->size);
	return r;
}

/* ---- threads ---- */

/* Lock held. */
static struct slot *pick(struct registry_blobs *b)
{
	struct slot *ahead = NULL;

	for (size_t i = 0; i < b->n_slots; i++) {
		struct slot *s = &b->slots[i];

		if (s->state != IDLE)
			continue;
		if (s->n_readers > 0)
			return s;
		if (!ahead && s->n_closed < s->n_layers && b->n_files < REGISTRY_BLOBS_AHEAD)
			ahead = s;
	}
	return ahead;
}

/* Lock held. */
static void ended(struct registry_blobs *b, struct slot *s, int r, const struct smr_error *err)
{
	s->state = r < 0 ? FAILED : DONE;
	if (r == 0)
		s->available = s->size;
	s->r = r;
	s->err = *err;
	if (s->n_readers == 0 && s->n_closed >= s->n_layers)
		close_file(b, s);
	pthread_cond_broadcast(&b->moved);
}

static void *thread_main(void *arg)
{
	struct registry_blobs *b = arg;
	struct transport *t = NULL;
	int start_r = transport_new(1, b->opts.opts->ca_file, &t);
	locked(&b->lock);

	while (!atomic_load(&b->stop)) {
		struct slot *s = pick(b);
		struct smr_error err = {0};
		int r = start_r;

		if (!s) {
			pthread_cond_wait(&b->work, &b->lock);
			continue;
		}
		s->state = RUNNING;
		pthread_mutex_unlock(&b->lock);
		if (r == 0)
			r = get(b, s, t, &err);
		pthread_mutex_lock(&b->lock);
		ended(b, s, r, &err);
	}
	transport_free(t);
	return NULL;
}

/* Lock held. One thread is enough to get there. */
static int start_threads(struct registry_blobs *b)
{
	unsigned n =
		b->opts.opts->n_connections ? b->opts.opts->n_connections : REGISTRY_BLOBS_DEFAULT;
	sigset_t all, old;
	int r = 0;

	if (n > THREADS_MAX)
		n = THREADS_MAX;
	if (n > b->n_slots)
		n = (unsigned)b->n_slots;
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	for (b->n_threads = 0; b->n_threads < n; b->n_threads++) {
		r = pthread_create(&b->threads[b->n_threads], NULL, thread_main, b);
		if (r != 0)
			break;
	}
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	b->started = b->n_threads > 0;
	return b->started ? 0 : -r;
}

/* ---- life ---- */

static int by_digest(const void *a, const void *b, void *arg)
{
	const struct source_layer *layers = arg;
	const size_t *x = a, *y = b;
	int c = chunkid_compare(&layers[*x].digest, &layers[*y].digest);

	return c ? c : (*x > *y) - (*x < *y);
}

/* Layers of the same digest get the slot of the lowest of them. `order` has room for all. */
static void assign_slots(struct registry_blobs *b, size_t *order)
{
	struct source_layer *layers = b->opts.source->layers;

	for (size_t i = 0; i < b->n_layers; i++)
		order[i] = i;
	qsort_r(order, b->n_layers, sizeof(*order), by_digest, layers);
	for (size_t i = 0; i < b->n_layers; i++) {
		bool same = i > 0 &&
			    chunkid_equal(&layers[order[i - 1]].digest, &layers[order[i]].digest);
		b->slot_of[order[i]] = same ? b->slot_of[order[i - 1]] : order[i];
	}
	for (size_t i = 0; i < b->n_layers; i++) {
		struct slot *s;

		if (b->slot_of[i] == i) {
			s = &b->slots[b->n_slots];
			*s = (struct slot){
				.digest = layers[i].digest, .size = layers[i].size, .fd = -1};
			b->slot_of[i] = b->n_slots++;
		} else {
			b->slot_of[i] = b->slot_of[b->slot_of[i]];
		}
		b->slots[b->slot_of[i]].n_layers++;
	}
}

static void count_cached(struct registry_blobs *b)
{
	for (size_t i = 0; i < b->n_slots; i++) {
		struct slot *s = &b->slots[i];

		if (b->opts.cache && layer_cache_has(b->opts.cache, &s->digest, s->size))
			b->n_cached += s->n_layers;
		else
			b->total += s->size;
	}
}

int registry_blobs_new(const struct registry_blobs_options *opts, struct registry_blobs **ret)
{
	struct registry_blobs *b = calloc(1, sizeof(*b));
	size_t n = opts->source->n_layers;
	size_t *order auto_free = calloc(n + 1, sizeof(*order));
	pthread_condattr_t attr;

	if (!b)
		return -ENOMEM;
	b->opts = *opts;
	pthread_mutex_init(&b->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&b->work, &attr);
	pthread_cond_init(&b->moved, &attr);
	pthread_condattr_destroy(&attr);
	b->slots = calloc(n + 1, sizeof(*b->slots));
	b->slot_of = calloc(n + 1, sizeof(*b->slot_of));
	if (!order || !b->slots || !b->slot_of) {
		registry_blobs_free(b);
		return -ENOMEM;
	}
	b->n_layers = n;
	assign_slots(b, order);
	count_cached(b);
	*ret = b;
	return 0;
}

void registry_blobs_free(struct registry_blobs *b)
{
	if (!b)
		return;
	pthread_mutex_lock(&b->lock);
	atomic_store(&b->stop, true);
	pthread_cond_broadcast(&b->work);
	pthread_mutex_unlock(&b->lock);
	for (unsigned i = 0; i < b->n_threads; i++)
		pthread_join(b->threads[i], NULL);
	for (size_t i = 0; i < b->n_slots; i++)
		close_file(b, &b->slots[i]);
	pthread_cond_destroy(&b->work);
	pthread_cond_destroy(&b->moved);
	pthread_mutex_destroy(&b->lock);
	free(b->slots);
	free(b->slot_of);
	free(b);
}

size_t registry_blobs_cached(const struct registry_blobs *b)
{
	return b->n_cached;
}

uint64_t registry_blobs_bytes(const struct registry_blobs *b)
{
	return b->total;
}

/* ---- readers ---- */

int registry_blobs_open(
	struct registry_blobs *b, size_t layer, struct registry_blob **ret, struct smr_error *err)
{
	struct registry_blob *blob = calloc(1, sizeof(*blob));
	locked(&b->lock);
	int r = !blob ? -ENOMEM : b->started ? 0 : start_threads(b);

	if (r < 0) {
		free(blob);
		return error_set_errno(err, r, "starting to download");
	}
	blob->blobs = b;
	blob->slot = &b->slots[b->slot_of[layer]];
	blob->slot->n_readers++;
	pthread_cond_broadcast(&b->work);
	*ret = blob;
	return 0;
}

/* Until there is something at blob->at, or never will be. Lock held. */
static int wait_for_bytes(struct registry_blob *blob, struct smr_error *err)
{
	struct registry_blobs *b = blob->blobs;
	const atomic_bool *cancel = b->opts.opts->cancel;
	const struct slot *s = blob->slot;

	while (s->state != DONE && s->available <= blob->at) {
		struct timespec ts = clock_timespec(clock_ns() + WAIT_MS * CLOCK_NS_PER_MS);

		if (s->state == FAILED) {
			if (err)
				*err = s->err;
			return s->r;
		}
		if (cancel && atomic_load(cancel)) {
			atomic_store(&b->stop, true);
			pthread_cond_broadcast(&b->work);
			return error_set(err, -ECANCELED, "stopped");
		}
		pthread_cond_timedwait(&b->moved, &b->lock, &ts);
	}
	return 0;
}

int registry_blobs_read(
	struct registry_blob *blob, void *data, size_t n, size_t *ret_n, struct smr_error *err)
{
	struct registry_blobs *b = blob->blobs;
	uint64_t there;
	size_t got = 0;
	int r, fd;

	pthread_mutex_lock(&b->lock);
	r = wait_for_bytes(blob, err);
	there = blob->slot->available;
	fd = blob->slot->fd; /* stays open as long as there is a reader */
	pthread_mutex_unlock(&b->lock);
	if (r == 0 && there > blob->at) {
		if (n > there - blob->at)
			n = (size_t)(there - blob->at);
		r = fd_pread(fd, data, n, blob->at, &got);
		if (r == 0 && got < n)
			r = -EIO;
		if (r < 0)
			error_set_errno(err, r, "cannot read a downloaded layer back");
	}
	if (r < 0)
		return r;
	blob->at += got;
	*ret_n = got;
	return 0;
}

void registry_blobs_close(struct registry_blob *blob)
{
	struct registry_blobs *b = blob->blobs;
	struct slot *s = blob->slot;

	pthread_mutex_lock(&b->lock);
	s->n_readers--;
	s->n_closed++;
	if (s->n_readers == 0 && s->n_closed >= s->n_layers && s->state != RUNNING)
		close_file(b, s);
	pthread_cond_broadcast(&b->work);
	pthread_mutex_unlock(&b->lock);
	free(blob);
}
