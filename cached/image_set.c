/* SPDX-License-Identifier: BSD-3-Clause */
/* The loader of chunks, and the timer: deadlines of reads, second tries, news of use to the cache.
 */
#include "image_set.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "../chunker/core/cleanup.h"
#include "../chunker/core/clock.h"
#include "../chunker/core/log.h"

#ifndef MADV_POPULATE_READ
#define MADV_POPULATE_READ 22 /* since Linux 5.14 */
#endif

#define MAPS_MAX          8192
#define READ_AHEAD        (32u << 20)
#define TOUCH_INTERVAL_NS (2 * CLOCK_NS_PER_S)
#define TOUCH_BATCH       256
#define DROP_BATCH        256
#define RETRY_FIRST_NS    (100 * CLOCK_NS_PER_MS)
#define RETRY_MAX_NS      CLOCK_NS_PER_S
/* Recipes are rare and small; a stalled store must not keep those of other stores waiting. */
#define LOADERS 4

static void loaded(struct cache_get *get, int r, int fd);

/* ---- pending reads; call with set->lock held ---- */

void image_set_pend(struct image_set *set, struct image_read *rd)
{
	struct image_read *after = set->pending_last;

	/* All reads have the same time to live, so this loop ends at once but for reads that waited
	 * for a recipe. */
	while (after && rd->deadline_ns && after->deadline_ns > rd->deadline_ns)
		after = after->prev;
	rd->prev = after;
	rd->next = after ? after->next : set->pending;
	*(rd->prev ? &rd->prev->next : &set->pending) = rd;
	*(rd->next ? &rd->next->prev : &set->pending_last) = rd;
	if (set->pending == rd && rd->deadline_ns)
		pthread_cond_signal(&set->wake);
}

void image_set_unpend(struct image_set *set, struct image_read *rd)
{
	*(rd->prev ? &rd->prev->next : &set->pending) = rd->next;
	*(rd->next ? &rd->next->prev : &set->pending_last) = rd->prev;
	rd->prev = rd->next = NULL;
}

static void unwait(struct image_read_slot *slot)
{
	struct image_read_slot **p = &slot->entry->waiters;

	while (*p != slot)
		p = &(*p)->next;
	*p = slot->next;
	slot->read = NULL;
	slot->entry = NULL;
}

static void unwait_recipe(struct image_read *rd)
{
	struct image_read **p = &rd->image->reads;

	while (*p != rd)
		p = &(*p)->next_loading;
	*p = rd->next_loading;
}

void image_set_answer(
	struct image_set *set, struct image_read *rd, int result, struct image_set_todo *todo)
{
	rd->state = IMAGE_READ_DONE;
	rd->result = result;
	rd->next = todo->done;
	todo->done = rd;
	set->answering++;
}

void image_set_finish(
	struct image_set *set, struct image_read *rd, int result, struct image_set_todo *todo)
{
	if (rd->state == IMAGE_READ_LOADING)
		unwait_recipe(rd);
	for (unsigned i = 0; i < rd->n_slots; i++)
		if (rd->slots[i].read)
			unwait(&rd->slots[i]);
	image_set_unpend(set, rd);
	image_set_answer(set, rd, result, todo);
}

struct chunkmap_entry *image_set_want(struct image *img, const struct chunkid *id,
	enum store_priority prio, struct image_set_todo *todo)
{
	const struct recipe_info *info = recipe_info(image_recipe(img));
	struct image_set *set = img->set;
	uint32_t size = info->chunk_size;
	struct chunkmap_entry *e = chunkmap_find(set->map, id);

	if (e)
		return e->size == size ? e : NULL;
	e = chunkmap_add(set->map, id, size);
	if (!e)
		return NULL;
	e->set = set;
	e->get = (struct cache_get){.id = *id,
		.chunk_size = size,
		.priority = prio,
		.image = cache_image_tag(&info->digest),
		.store = img->store,
		.done = loaded};
	e->next_free = todo->load;
	todo->load = e;
	return e;
}

/* ---- */

void image_set_release(struct image_set *set, struct chunkmap_entry *list)
{
	struct chunkid ids[DROP_BATCH];

	while (list) {
		struct chunkmap_entry *last = list, *rest;
		unsigned n = 0;

		for (;; last = last->next_free) {
			/* One that never was mapped has nothing to give back. */
			if (last->base)
				ids[n++] = last->id;
			if (n == DROP_BATCH || !last->next_free)
				break;
		}
		rest = last->next_free;
		last->next_free = NULL;
		chunkmap_release(list);
		if (n)
			cache_dropped(set->cache, ids, n);
		list = rest;
	}
}

void image_set_do(struct image_set *set, struct image_set_todo *todo)
{
	struct chunkmap_entry *first = NULL;
	unsigned n = 0;

	/* Collected in front, asked for in order. */
	while (todo->load) {
		struct chunkmap_entry *e = todo->load;
		todo->load = e->next_free;
		e->next_free = first;
		first = e;
	}
	while (first) {
		struct chunkmap_entry *e = first;
		first = e->next_free;
		e->next_free = NULL;
		cache_get(set->cache, &e->get);
	}
	while (todo->done) {
		struct image_read *rd = todo->done;
		todo->done = rd->next;
		rd->next = NULL;
		rd->done(rd, rd->result);
		n++;
	}
	image_set_release(set, take_ptr(todo->release));
	if (n == 0)
		return;
	locked(&set->lock);
	set->answering -= n;
	if (set->answering == 0)
		pthread_cond_broadcast(&set->idle);
}

/* Wrong size or unreadable: the bytes never become visible. */
static int map_chunk(const struct chunkmap_entry *e, void **ret)
{
	struct stat st;
	void *base;

	/* A map that reaches beyond the end of the file would fault. */
	if (fstat(e->fd, &st) < 0 || st.st_size != e->size)
		return -EBADMSG;
	base = mmap(NULL, e->size, PROT_READ, MAP_SHARED, e->fd, 0);
	if (base == MAP_FAILED)
		return -errno;
	if (madvise(base, e->size, MADV_POPULATE_READ) == 0) {
		*ret = base;
		return 0;
	}
	int r = -errno;
	munmap(base, e->size);
	/* What an access would be killed for. */
	if (r == -EFAULT || r == -EHWPOISON)
		return -EBADMSG;
	if (r != -EINVAL)
		return r;
	/* A kernel before 5.14: it populates, but does not tell of errors. */
	base = mmap(NULL, e->size, PROT_READ, MAP_SHARED | MAP_POPULATE, e->fd, 0);
	if (base == MAP_FAILED)
		return -errno;
	*ret = base;
	return 0;
}

static bool may_work_later(int r)
{
	return store_error_is_transient(r) || r == -ENOMEM || r == -EMFILE || r == -ENFILE;
}

/* A read that waits for the entry and is of an image of that store, or of another one. */
static struct image_read *waiting_read(
	const struct chunkmap_entry *e, const struct cache_store *store, bool is)
{
	for (const struct image_read_slot *slot = e->waiters; slot; slot = slot->next)
		if ((slot->read->image->store == store) == is)
			return slot->read;
	return NULL;
}

static void fail(struct image_set *set, struct chunkmap_entry *e, int r)
{
	struct image_set_todo todo = {0};
	struct image_read *rd;

	{
		locked(&set->lock);
		/* Finishing takes all of the read's waits out of their lists. */
		while (!may_work_later(r) && (rd = waiting_read(e, e->get.store, true)))
			image_set_finish(set, rd, -EIO, &todo);
		/* As long as somebody waits and has time, what may work later is tried again, and so
		 * are the stores of other images. */
		if (e->waiters) {
			uint64_t pause = RETRY_FIRST_NS << (e->tries < 5 ? e->tries : 5);
			rd = waiting_read(e, e->get.store, false);
			if (rd)
				e->get.store = rd->image->store;
			e->tries++;
			e->retry_ns = clock_ns() + (pause < RETRY_MAX_NS ? pause : RETRY_MAX_NS);
			e->next_retry = set->retries;
			set->retries = e;
			pthread_cond_signal(&set->wake);
		} else {
			chunkmap_failed(set->map, e);
			if (chunkmap_loading(set->map) == 0)
				pthread_cond_broadcast(&set->idle);
			todo.release = e;
		}
	}
	image_set_do(set, &todo);
}

static void map_work(struct work *w)
{
	struct chunkmap_entry *e =
		(struct chunkmap_entry *)((char *)w - offsetof(struct chunkmap_entry, work));
	struct image_set *set = e->set;
	struct image_set_todo todo = {0};
	struct image_read_slot *slot, *next;
	void *base = NULL;
	int r = map_chunk(e, &base);

	close(take_fd(&e->fd));
	if (r < 0) {
		if (r == -EBADMSG)
			cache_bad(set->cache, &e->id);
		cache_dropped(set->cache, &e->id, 1);
		/* What is damaged is fetched anew, what lacks memory may have it later. */
		fail(set, e, -EIO);
		return;
	}
	{
		locked(&set->lock);
		for (slot = chunkmap_ready(set->map, e, base); slot; slot = next) {
			struct image_read *rd = slot->read;
			next = slot->next;
			slot->read = NULL;
			chunkmap_ref(e);
			rd->iov[slot->iov].iov_base = (char *)base + slot->skip;
			if (--rd->pending == 0)
				image_set_finish(set, rd, 0, &todo);
		}
		chunkmap_unref(set->map, e);
		todo.release = chunkmap_reap(set->map);
		if (chunkmap_loading(set->map) == 0)
			pthread_cond_broadcast(&set->idle);
	}
	image_set_do(set, &todo);
}

static void loaded(struct cache_get *get, int r, int fd)
{
	struct chunkmap_entry *e =
		(struct chunkmap_entry *)((char *)get - offsetof(struct chunkmap_entry, get));

	if (r < 0) {
		fail(e->set, e, r);
		return;
	}
	e->fd = fd;
	e->work.run = map_work;
	workers_add(e->set->mappers, &e->work,
		get->priority == STORE_DEMAND ? WORKERS_DEMAND : WORKERS_AHEAD);
}

/* The cache must not be called from here: the timer's thread undoes the map. */
static void evicted(void *user, const struct chunkid *id)
{
	struct image_set *set = user;
	locked(&set->lock);

	chunkmap_drop(set->map, id);
	pthread_cond_signal(&set->wake);
}

/* ---- the timer ---- */

/* Moves what is due to todo; returns when to look again. Call with set->lock held. */
static uint64_t collect_due(struct image_set *set, uint64_t now, struct image_set_todo *todo)
{
	uint64_t wake = now + TOUCH_INTERVAL_NS;
	struct chunkmap_entry **p = &set->retries, *e;

	while (set->pending && set->pending->deadline_ns && set->pending->deadline_ns <= now)
		image_set_finish(set, set->pending, -EIO, todo);
	if (set->pending && set->pending->deadline_ns && set->pending->deadline_ns < wake)
		wake = set->pending->deadline_ns;
	while ((e = *p)) {
		if (e->retry_ns <= now || set->stopped) {
			*p = e->next_retry;
			e->get.priority = STORE_DEMAND;
			e->doomed = false; /* what was evicted is not what will come */
			e->next_free = todo->load;
			todo->load = e;
			continue;
		}
		if (e->retry_ns < wake)
			wake = e->retry_ns;
		p = &e->next_retry;
	}
	return wake;
}

static void *timer_main(void *arg)
{
	struct image_set *set = arg;
	struct chunkid touched[TOUCH_BATCH];
	uint64_t touch_ns = 0;

	pthread_mutex_lock(&set->lock);
	while (!set->quit) {
		struct image_set_todo todo = {0};
		uint64_t now = clock_ns(), wake = collect_due(set, now, &todo);
		unsigned n = 0;

		if (now >= touch_ns) {
			n = chunkmap_collect_touched(set->map, touched, TOUCH_BATCH);
			touch_ns = n == TOUCH_BATCH ? now : now + TOUCH_INTERVAL_NS;
		}
		todo.release = chunkmap_reap(set->map);
		if (todo.done || todo.load || todo.release || n) {
			pthread_mutex_unlock(&set->lock);
			if (n)
				cache_touch(set->cache, touched, n);
			image_set_do(set, &todo);
			pthread_mutex_lock(&set->lock);
			continue;
		}
		struct timespec until = clock_timespec(wake);
		pthread_cond_timedwait(&set->wake, &set->lock, &until);
	}
	pthread_mutex_unlock(&set->lock);
	return NULL;
}

/* ---- */

static unsigned default_maps(void)
{
	unsigned long limit = 65530;
	FILE *f = fopen("/proc/sys/vm/max_map_count", "re");

	if (f) {
		if (fscanf(f, "%lu", &limit) != 1)
			limit = 65530;
		fclose(f);
	}
	limit /= 4;
	return limit < MAPS_MAX ? (unsigned)limit : MAPS_MAX;
}

static int start(struct image_set *set, const struct image_set_options *opts)
{
	unsigned n = opts->n_workers ? opts->n_workers : workers_cpus();
	void *zeros = mmap(NULL, IMAGE_READ_MAX, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	int r;

	if (zeros == MAP_FAILED)
		return -errno;
	set->zeros = zeros;
	set->map = chunkmap_new(opts->max_maps ? opts->max_maps : default_maps());
	if (!set->map)
		return -ENOMEM;
	if ((r = workers_new("smr-map", n, &set->mappers)) < 0 ||
		(r = workers_new("smr-recipe", LOADERS, &set->loaders)) < 0)
		return r;
	r = -pthread_create(&set->timer, NULL, timer_main, set);
	set->has_timer = r == 0;
	return r;
}

int image_set_new(struct cache *cache, const struct image_set_options *opts, struct image_set **ret,
	struct smr_error *err)
{
	struct image_set *set = calloc(1, sizeof(*set));
	pthread_condattr_t monotonic;
	int r;

	if (!set)
		return -ENOMEM;
	set->cache = cache;
	set->timeout_ns = opts->timeout_ms * CLOCK_NS_PER_MS;
	set->read_ahead = opts->read_ahead ? opts->read_ahead : READ_AHEAD;
	pthread_mutex_init(&set->lock, NULL);
	pthread_condattr_init(&monotonic);
	pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	pthread_cond_init(&set->wake, &monotonic);
	pthread_cond_init(&set->idle, &monotonic);
	pthread_condattr_destroy(&monotonic);
	r = start(set, opts);
	if (r < 0) {
		image_set_free(set);
		return error_set_errno(err, r, "cannot start the reader");
	}
	cache_on_evicted(cache, evicted, set);
	*ret = set;
	return 0;
}

void image_set_stop(struct image_set *set)
{
	struct image_set_todo todo = {0};

	{
		locked(&set->lock);
		set->stopped = true;
		while (set->pending)
			image_set_finish(set, set->pending, -EIO, &todo);
		pthread_cond_signal(&set->wake);
		pthread_cond_broadcast(&set->idle);
	}
	image_set_do(set, &todo);
	locked(&set->lock);
	while (set->answering)
		pthread_cond_wait(&set->idle, &set->lock);
}

void image_set_free(struct image_set *set)
{
	if (!set)
		return;
	if (set->has_timer) {
		image_set_stop(set);
		pthread_mutex_lock(&set->lock);
		while (chunkmap_loading(set->map))
			pthread_cond_wait(&set->idle, &set->lock);
		set->quit = true;
		pthread_cond_signal(&set->wake);
		pthread_mutex_unlock(&set->lock);
		pthread_join(set->timer, NULL);
	}
	cache_on_evicted(set->cache, NULL, NULL);
	workers_free(set->loaders);
	workers_free(set->mappers);
	if (set->map) {
		chunkmap_drop_all(set->map);
		image_set_release(set, chunkmap_reap(set->map));
	}
	chunkmap_free(set->map);
	if (set->zeros)
		munmap((void *)(uintptr_t)set->zeros, IMAGE_READ_MAX);
	pthread_cond_destroy(&set->wake);
	pthread_cond_destroy(&set->idle);
	pthread_mutex_destroy(&set->lock);
	free(set);
}
