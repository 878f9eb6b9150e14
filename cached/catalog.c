/* SPDX-License-Identifier: BSD-3-Clause */
#include "catalog.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "../chunker/core/cleanup.h"
#include "../chunker/core/clock.h"
#include "../chunker/core/log.h"

#define FRESH_MS 1000
#define WAIT_MS  5000

struct row {
	char name[NAME_LEN_MAX + 1];
	struct chunkid digest; /* as listed */
	struct image *image;
};

struct catalog {
	struct image_set *set;
	struct cache *cache;
	struct cache_store *store;
	struct catalog_options opts;
	uint64_t fresh_ns, wait_ns;
	char tag[128];    /* the lister's */
	bool was_failing; /* the lister's: one log line an outage */

	pthread_mutex_t lock;
	pthread_cond_t work, wake; /* the lister's, the timer's */
	struct row *rows;          /* sorted by name */
	size_t n;
	uint64_t listed_ns; /* when the last listing that succeeded began; 0: none */
	bool wanted, quit, cannot_list;
	struct catalog_wait *finds, *lists; /* waiting for the next listing */
	bool has_lister, has_timer;
	pthread_t lister, timer;
};

/* ---- call with c->lock held ---- */

static struct row *find_row(struct catalog *c, const char *name)
{
	size_t low = 0, high = c->n;

	while (low < high) {
		size_t mid = low + (high - low) / 2;
		int order = strcmp(name, c->rows[mid].name);
		if (order == 0)
			return &c->rows[mid];
		if (order < 0)
			high = mid;
		else
			low = mid + 1;
	}
	return NULL;
}

static bool is_fresh(const struct catalog *c, uint64_t now)
{
	return c->listed_ns && now - c->listed_ns < c->fresh_ns;
}

static void want_refresh(struct catalog *c)
{
	c->wanted = true;
	pthread_cond_signal(&c->work);
}

static void add_wait(struct catalog *c, struct catalog_wait **list, struct catalog_wait *w)
{
	w->deadline_ns = clock_ns() + c->wait_ns;
	w->next = *list;
	*list = w;
	want_refresh(c);
	pthread_cond_signal(&c->wake);
}

/* ---- answers, without the lock ---- */

static void answer_find(struct catalog *c, struct catalog_wait *w, int r)
{
	struct image *image = NULL;

	if (r == 0) {
		locked(&c->lock);
		struct row *row = find_row(c, w->name);
		if (row)
			image = image_ref(row->image);
		else
			r = -ENOENT;
	}
	w->done(w, r, image);
}

/* A stale list is better than none when the store cannot be asked. */
static void answer_lists(struct catalog_wait *lists)
{
	while (lists) {
		struct catalog_wait *w = lists;
		lists = w->next;
		w->done(w, 0, NULL);
	}
}

/* ---- the lister ---- */

/* Builds the new rows: images whose recipe is the same are kept. Call with c->lock held. */
static int merge(struct catalog *c, const struct store_list *list, struct row **ret_rows)
{
	struct row *rows = calloc(list->n ? list->n : 1, sizeof(*rows));
	size_t i;
	int r = 0;

	if (!rows)
		return -ENOMEM;
	for (i = 0; i < list->n && r == 0; i++) {
		const struct store_image *info = &list->images[i];
		const struct row *old = find_row(c, info->name);

		memcpy(rows[i].name, info->name, sizeof(rows[i].name));
		rows[i].digest = info->digest;
		if (old && chunkid_equal(&old->digest, &info->digest))
			rows[i].image = image_ref(old->image);
		else
			r = image_new(c->set, c->store, info, &rows[i].image);
	}
	if (r < 0) {
		while (i--)
			image_unref(rows[i].image);
		free(rows);
		return r;
	}
	*ret_rows = rows;
	return 0;
}

/* Tells of every name whose image is not the same in both. */
static void tell_changes(
	struct catalog *c, const struct row *old, size_t n_old, const struct row *new, size_t n_new)
{
	size_t i = 0, j = 0;

	while (c->opts.changed && (i < n_old || j < n_new)) {
		int order = i == n_old ? 1 : j == n_new ? -1 : strcmp(old[i].name, new[j].name);
		if (order != 0 || old[i].image != new[j].image)
			c->opts.changed(c->opts.user, order <= 0 ? old[i].name : new[j].name);
		i += order <= 0;
		j += order >= 0;
	}
}

static int take_list(struct catalog *c, const struct store_list *list, uint64_t began)
{
	struct row *old, *rows;
	size_t n_old;
	int r;

	{
		locked(&c->lock);
		r = merge(c, list, &rows);
		if (r < 0)
			return r;
		old = c->rows;
		n_old = c->n;
		c->rows = rows;
		c->n = list->n;
		c->listed_ns = began;
	}
	/* Only the lister replaces rows, so the new ones stay as they are for now. */
	tell_changes(c, old, n_old, rows, list->n);
	for (size_t i = 0; i < n_old; i++)
		image_unref(old[i].image);
	free(old);
	return 0;
}

static int refresh(struct catalog *c, struct smr_error *err)
{
	struct store_list list = {0};
	uint64_t began = clock_ns();
	int r = cache_list(c->cache, c->store, c->tag, &list, err);

	if (r == 0) {
		r = take_list(c, &list, began);
		store_list_done(&list);
		if (r < 0)
			memset(c->tag, 0, sizeof(c->tag));
	} else if (r == -EALREADY) {
		locked(&c->lock);
		c->listed_ns = began;
		r = 0;
	} else if (r == -EOPNOTSUPP) {
		locked(&c->lock);
		c->cannot_list = true;
		c->listed_ns = began;
	}
	return r;
}

/* A store that cannot list still has recipes by name: what was found once is added to the rows. */
static int find_unlisted(struct catalog *c, const char *name)
{
	struct smr_error err = {0};
	struct store_image info = {0};
	struct recipe *recipe;
	struct image *image;
	int r = cache_recipe(c->cache, c->store, name, NULL, &recipe, &err);

	if (r < 0)
		return r;
	const struct recipe_info *ri = recipe_info(recipe);
	memcpy(info.name, ri->name, sizeof(info.name));
	info.digest = ri->digest;
	info.recipe_size = ri->file_size;
	info.image_size = ri->image_size;
	info.data_size = recipe_data_bytes(recipe);
	info.chunk_size = ri->chunk_size;
	info.n_chunks = ri->n_chunks;
	recipe_free(recipe);
	r = image_new(c->set, c->store, &info, &image);
	if (r < 0)
		return r;
	locked(&c->lock);
	size_t at = 0;
	while (at < c->n && strcmp(c->rows[at].name, name) < 0)
		at++;
	struct row *grown = reallocarray(c->rows, c->n + 1, sizeof(*grown));
	if (!grown) {
		image_unref(image);
		return -ENOMEM;
	}
	c->rows = grown;
	memmove(&grown[at + 1], &grown[at], (c->n - at) * sizeof(*grown));
	c->n++;
	grown[at].image = image;
	grown[at].digest = info.digest;
	memcpy(grown[at].name, info.name, sizeof(info.name));
	return 0;
}

static void log_outage(struct catalog *c, int r, const struct smr_error *err)
{
	bool failing = r < 0 && r != -EOPNOTSUPP && r != -ECANCELED;

	if (failing && !c->was_failing)
		log_warn("cannot list the store: %s", error_text(err, r));
	else if (!failing && c->was_failing && r == 0)
		log_info("the store can be listed again");
	c->was_failing = failing;
}

/* One name that waited for the listing. */
static void settle_find(struct catalog *c, struct catalog_wait *w, int r)
{
	if (r == -EOPNOTSUPP) {
		r = find_unlisted(c, w->name);
		if (r < 0) {
			w->done(w, r, NULL);
			return;
		}
	}
	answer_find(c, w, r);
}

static void *lister_main(void *arg)
{
	struct catalog *c = arg;

	pthread_mutex_lock(&c->lock);
	while (!c->quit) {
		struct smr_error err = {0};
		int r;

		if (!c->wanted) {
			pthread_cond_wait(&c->work, &c->lock);
			continue;
		}
		c->wanted = false;
		bool cannot_list = c->cannot_list;
		pthread_mutex_unlock(&c->lock);
		r = cannot_list ? -EOPNOTSUPP : refresh(c, &err);
		log_outage(c, r, &err);
		pthread_mutex_lock(&c->lock);
		/* Who came while it was listing is answered too: the listing was not finished when
		 * they asked. */
		struct catalog_wait *lists = take_ptr(c->lists);
		while (c->finds) {
			struct catalog_wait *w = c->finds;
			c->finds = w->next;
			pthread_mutex_unlock(&c->lock);
			settle_find(c, w, r);
			pthread_mutex_lock(&c->lock);
		}
		pthread_mutex_unlock(&c->lock);
		answer_lists(lists);
		pthread_mutex_lock(&c->lock);
	}
	pthread_mutex_unlock(&c->lock);
	return NULL;
}

/* ---- the timer: who waited long enough is answered from what is known ---- */

/* Moves the overdue ones to *due. Returns the next deadline. Call with c->lock held. */
static uint64_t take_due(struct catalog_wait **list, uint64_t now, struct catalog_wait **due)
{
	uint64_t first = UINT64_MAX;
	struct catalog_wait *w;

	while ((w = *list)) {
		if (w->deadline_ns <= now) {
			*list = w->next;
			w->next = *due;
			*due = w;
			continue;
		}
		if (w->deadline_ns < first)
			first = w->deadline_ns;
		list = &w->next;
	}
	return first;
}

static void *timer_main(void *arg)
{
	struct catalog *c = arg;

	pthread_mutex_lock(&c->lock);
	while (!c->quit) {
		struct catalog_wait *finds = NULL, *lists = NULL, *w;
		uint64_t now = clock_ns();
		uint64_t next = take_due(&c->finds, now, &finds);
		uint64_t next_list = take_due(&c->lists, now, &lists);

		if (finds || lists) {
			pthread_mutex_unlock(&c->lock);
			while ((w = finds)) {
				finds = w->next;
				w->done(w, -EIO, NULL);
			}
			answer_lists(lists);
			pthread_mutex_lock(&c->lock);
			continue;
		}
		if (next_list < next)
			next = next_list;
		if (next == UINT64_MAX) {
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
	pthread_condattr_init(&monotonic);
	pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	pthread_cond_init(&c->wake, &monotonic);
	pthread_condattr_destroy(&monotonic);
	r = -pthread_create(&c->lister, NULL, lister_main, c);
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
	struct catalog_wait *w;

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
	while ((w = c->finds)) {
		c->finds = w->next;
		w->done(w, -EIO, NULL);
	}
	while ((w = c->lists)) {
		c->lists = w->next;
		w->done(w, -EIO, NULL);
	}
	for (size_t i = 0; i < c->n; i++)
		image_unref(c->rows[i].image);
	free(c->rows);
	pthread_cond_destroy(&c->work);
	pthread_cond_destroy(&c->wake);
	pthread_mutex_destroy(&c->lock);
	free(c);
}

int catalog_refresh(struct catalog *c, struct smr_error *err)
{
	int r = refresh(c, err);

	return r == -EOPNOTSUPP ? 0 : r;
}

int catalog_find(struct catalog *c, struct catalog_wait *w, struct image **ret)
{
	uint64_t now = clock_ns();
	bool fresh;

	locked(&c->lock);
	if (c->quit)
		return -EIO;
	fresh = is_fresh(c, now);
	struct row *row = find_row(c, w->name);
	if (row) {
		if (!fresh && !c->cannot_list)
			want_refresh(c);
		*ret = image_ref(row->image);
		return 0;
	}
	if (fresh && !c->cannot_list)
		return -ENOENT;
	add_wait(c, &c->finds, w);
	return -EINPROGRESS;
}

int catalog_list(struct catalog *c, struct catalog_wait *w)
{
	locked(&c->lock);
	if (c->quit)
		return -EIO;
	if (c->cannot_list || is_fresh(c, clock_ns()))
		return 0;
	add_wait(c, &c->lists, w);
	return -EINPROGRESS;
}

int catalog_snapshot(struct catalog *c, struct catalog_snapshot *ret)
{
	struct catalog_snapshot s;

	locked(&c->lock);
	s.n = c->n;
	s.images = calloc(c->n ? c->n : 1, sizeof(struct image *));
	if (!s.images)
		return -ENOMEM;
	for (size_t i = 0; i < c->n; i++)
		s.images[i] = image_ref(c->rows[i].image);
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
