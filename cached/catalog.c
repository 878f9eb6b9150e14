/* SPDX-License-Identifier: BSD-3-Clause */
#include "catalog.h"

#include <errno.h>
#include <stdlib.h>

#include "../chunker/core/cleanup.h"
#include "../chunker/core/clock.h"
#include "catalog_lister.h"

#define FRESH_MS 1000
#define WAIT_MS  5000
/* Where a store cannot list, to see that a recipe was replaced means to fetch it: done so much
 * seldomer. */
#define UNLISTED_FACTOR 10

/* ---- call with c->lock held ---- */

static bool is_fresh(const struct catalog *c, uint64_t now)
{
	return c->listed_ns && now - c->listed_ns < c->fresh_ns;
}

static void want_refresh(struct catalog *c)
{
	c->wanted = true;
	pthread_cond_signal(&c->work);
}

/* For later questions: nobody waits for it, so it is not asked more often than that. */
static void want_refresh_some_time(struct catalog *c, struct catalog_row *row, uint64_t now)
{
	if (c->cannot_list) {
		if (now - row->asked_ns < UNLISTED_FACTOR * c->fresh_ns)
			return;
		row->wanted = true;
		want_refresh(c);
	} else if (!is_fresh(c, now) && now - c->tried_ns >= c->fresh_ns) {
		want_refresh(c);
	}
}

static void add_wait(struct catalog *c, struct catalog_wait **list, struct catalog_wait *w)
{
	w->deadline_ns = clock_ns() + c->wait_ns;
	w->next = *list;
	*list = w;
	want_refresh(c);
	pthread_cond_signal(&c->wake);
}

/* Takes those that are due. *next becomes the next deadline, if that is sooner. */
static struct catalog_wait *take_due(struct catalog_wait **list, uint64_t now, uint64_t *next)
{
	struct catalog_wait *due = NULL, *w;

	while ((w = *list)) {
		if (w->deadline_ns > now) {
			if (w->deadline_ns < *next)
				*next = w->deadline_ns;
			list = &w->next;
			continue;
		}
		*list = w->next;
		w->next = due;
		due = w;
	}
	return due;
}

/* ---- the timer ---- */

static void *timer_main(void *arg)
{
	struct catalog *c = arg;

	pthread_mutex_lock(&c->lock);
	while (!c->quit) {
		uint64_t now = clock_ns(), next = UINT64_MAX;
		struct catalog_wait *finds = take_due(&c->finds, now, &next);
		struct catalog_wait *lists = take_due(&c->lists, now, &next);

		if (finds || lists) {
			pthread_mutex_unlock(&c->lock);
			catalog_lister_answer(finds, -EIO);
			catalog_lister_answer(lists, 0);
			pthread_mutex_lock(&c->lock);
		} else if (next == UINT64_MAX) {
			pthread_cond_wait(&c->wake, &c->lock);
		} else {
			struct timespec until = clock_timespec(next);
			pthread_cond_timedwait(&c->wake, &c->lock, &until);
		}
	}
	pthread_mutex_unlock(&c->lock);
	return NULL;
}

/* ---- */

int catalog_new(struct image_set *set, struct cache *cache, struct cache_store *store,
	const struct catalog_options *opts, struct catalog **ret, struct smr_error *err)
{
	struct catalog *c = calloc(1, sizeof(*c));
	pthread_condattr_t monotonic;
	int r;

	if (!c)
		return -ENOMEM;
	c->set = set;
	c->cache = cache;
	c->store = store;
	c->opts = *opts;
	c->fresh_ns = (opts->fresh_ms ? opts->fresh_ms : FRESH_MS) * CLOCK_NS_PER_MS;
	c->wait_ns = (opts->wait_ms ? opts->wait_ms : WAIT_MS) * CLOCK_NS_PER_MS;
	pthread_mutex_init(&c->lock, NULL);
	pthread_cond_init(&c->work, NULL);
	pthread_cond_init(&c->listed, NULL);
	pthread_condattr_init(&monotonic);
	pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	pthread_cond_init(&c->wake, &monotonic);
	pthread_condattr_destroy(&monotonic);
	r = -pthread_create(&c->lister, NULL, catalog_lister_main, c);
	c->has_lister = r == 0;
	if (r == 0) {
		r = -pthread_create(&c->timer, NULL, timer_main, c);
		c->has_timer = r == 0;
	}
	if (r < 0) {
		catalog_free(c);
		return error_set_errno(err, r, "cannot start the catalog");
	}
	*ret = c;
	return 0;
}

void catalog_free(struct catalog *c)
{
	if (!c)
		return;
	{
		locked(&c->lock);
		c->quit = true;
		pthread_cond_signal(&c->work);
		pthread_cond_signal(&c->wake);
	}
	if (c->has_lister)
		pthread_join(c->lister, NULL);
	if (c->has_timer)
		pthread_join(c->timer, NULL);
	catalog_lister_answer(c->finds, -EIO);
	catalog_lister_answer(c->lists, -EIO);
	catalog_rows_done(&c->rows);
	pthread_cond_destroy(&c->work);
	pthread_cond_destroy(&c->wake);
	pthread_cond_destroy(&c->listed);
	pthread_mutex_destroy(&c->lock);
	free(c);
}

int catalog_refresh(struct catalog *c, struct smr_error *err)
{
	uint64_t mine;

	locked(&c->lock);
	mine = c->begun + 1;
	c->needed = mine;
	want_refresh(c);
	while (c->ended < mine)
		pthread_cond_wait(&c->listed, &c->lock);
	if (c->result == 0 || c->result == -EOPNOTSUPP)
		return 0;
	if (err)
		*err = c->error;
	return c->result;
}

int catalog_find(struct catalog *c, struct catalog_wait *w, struct image **ret)
{
	uint64_t now = clock_ns();
	struct catalog_row *row;

	locked(&c->lock);
	if (c->quit)
		return -EIO;
	row = catalog_rows_find(&c->rows, w->name);
	if (row) {
		want_refresh_some_time(c, row, now);
		*ret = image_ref(row->image);
		return 0;
	}
	if (!c->cannot_list && is_fresh(c, now))
		return -ENOENT;
	add_wait(c, &c->finds, w);
	return -EINPROGRESS;
}

int catalog_list(struct catalog *c, struct catalog_wait *w)
{
	uint64_t now = clock_ns();

	locked(&c->lock);
	if (c->quit)
		return -EIO;
	if (c->cannot_list || is_fresh(c, now))
		return 0;
	/* It has been tried for longer than anybody waits: what is known is all there is for now. */
	if (c->listing_ns && now - c->listing_ns > c->wait_ns)
		return 0;
	add_wait(c, &c->lists, w);
	return -EINPROGRESS;
}

int catalog_snapshot(struct catalog *c, struct catalog_snapshot *ret)
{
	struct catalog_snapshot s;

	locked(&c->lock);
	s.n = c->rows.n;
	s.images = calloc(s.n ? s.n : 1, sizeof(struct image *));
	if (!s.images)
		return -ENOMEM;
	for (size_t i = 0; i < s.n; i++)
		s.images[i] = image_ref(c->rows.row[i].image);
	*ret = s;
	return 0;
}

void catalog_snapshot_done(struct catalog_snapshot *s)
{
	for (size_t i = 0; i < s->n; i++)
		image_unref(s->images[i]);
	free(s->images);
	*s = (struct catalog_snapshot){0};
}
