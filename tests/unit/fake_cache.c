/* SPDX-License-Identifier: BSD-3-Clause */
#include "fake_cache.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "../../chunker/core/cleanup.h"
#include "../../chunker/core/clock.h"
#include "sample.h"

#define THREADS 4
#define STORES  4

struct chunk {
	struct chunkid id;
	unsigned content;
	uint32_t size;
	unsigned char *bytes;
	unsigned gets, failures;
	int failure;
	enum store_priority priority;
	struct chunk *next;
};

struct cache_store {
	int failure;
};

struct fake_cache {
	struct cache base;
	struct cache_store stores[STORES];

	pthread_mutex_t lock;
	pthread_cond_t changed;
	struct chunk *chunks;
	struct fake_image *images;
	struct cache_get *queue, **queue_tail;
	unsigned held, tickets;
	bool hold, stopped, quit;
	int (*on_get)(void *user, const struct cache_get *);
	void *on_get_user;
	unsigned gets, bads, touched;
	int recipe_failure, list_failure;
	bool stall_recipes, stall_lists, names_only;
	unsigned recipe_calls, list_calls;
	uint64_t meta_end, changes;
	pthread_t threads[THREADS];
};

static struct fake_cache *of(struct cache *c)
{
	return (struct fake_cache *)c;
}

static void die(const char *what)
{
	fprintf(stderr, "fake cache: %s\n", what);
	abort();
}

#define WAIT_UNTIL(f, condition)                                                          \
	do {                                                                              \
		struct timespec until = clock_timespec(clock_ns() + 10 * CLOCK_NS_PER_S); \
		while (!(condition))                                                      \
			if (pthread_cond_timedwait(&(f)->changed, &(f)->lock, &until) ==  \
				ETIMEDOUT)                                                \
				die("waited in vain for " #condition);                    \
	} while (0)

/* ---- content ---- */

static struct chunk *find(struct fake_cache *f, const struct chunkid *id)
{
	struct chunk *c = f->chunks;

	while (c && !chunkid_equal(&c->id, id))
		c = c->next;
	return c;
}

static struct chunk *chunk_of(struct fake_cache *f, unsigned content, uint32_t size)
{
	struct chunk *c;

	for (c = f->chunks; c; c = c->next)
		if (c->content == content && c->size == size)
			return c;
	c = calloc(1, sizeof(*c));
	if (!c || !(c->bytes = malloc(size)))
		die("no memory");
	sample_fill(content, c->bytes, size);
	c->content = content;
	c->size = size;
	chunkid_hash(c->bytes, size, &c->id);
	c->next = f->chunks;
	f->chunks = c;
	return c;
}

struct fake_image *fake_add_image(struct fake_cache *f, const char *name, uint32_t chunk_size,
	const unsigned *contents, unsigned n_slots, uint64_t image_size)
{
	struct fake_image *img = calloc(1, sizeof(*img));
	struct sample sample = {.name = name,
		.chunk_size = chunk_size,
		.contents = contents,
		.n_slots = n_slots,
		.image_size = image_size};

	if (!img)
		die("no memory");
	locked(&f->lock);
	for (unsigned i = 0; i < n_slots; i++)
		if (contents[i])
			chunk_of(f, contents[i], chunk_size);
	sample.meta_end = f->meta_end;
	img->recipe = sample_recipe(&sample);
	img->bytes = sample_bytes(&sample);
	const struct recipe_info *ri = recipe_info(img->recipe);
	img->info = (struct store_image){.digest = ri->digest,
		.recipe_size = ri->file_size,
		.image_size = ri->image_size,
		.data_size = recipe_data_bytes(img->recipe),
		.chunk_size = ri->chunk_size,
		.n_chunks = ri->n_chunks,
		.created = (int64_t)++f->changes};
	snprintf(img->info.name, sizeof(img->info.name), "%s", name);
	for (struct fake_image *i = f->images; i; i = i->next)
		if (strcmp(i->info.name, name) == 0)
			i->listed = false;
	img->listed = true;
	img->next = f->images;
	f->images = img;
	return img;
}

void fake_meta_end(struct fake_cache *f, uint64_t meta_end)
{
	locked(&f->lock);
	f->meta_end = meta_end;
}

void fake_unlist(struct fake_cache *f, const char *name)
{
	locked(&f->lock);
	for (struct fake_image *i = f->images; i; i = i->next)
		if (strcmp(i->info.name, name) == 0)
			i->listed = false;
	f->changes++;
}

void fake_list_names_only(struct fake_cache *f, bool yes)
{
	locked(&f->lock);
	f->names_only = yes;
}

const struct chunkid *fake_chunk_id(struct fake_cache *f, unsigned content, uint32_t chunk_size)
{
	locked(&f->lock);
	return &chunk_of(f, content, chunk_size)->id;
}

/* ---- gets ---- */

static int open_chunk(const struct chunk *c, int r)
{
	size_t n = r == FAKE_SHORT ? c->size / 2 : c->size;
	int fd = memfd_create("fake-chunk", MFD_CLOEXEC);

	if (fd < 0 || pwrite(fd, c->bytes, n, 0) != (ssize_t)n)
		die("cannot make a memfd");
	return fd;
}

/* How the get ends: 0, FAKE_SHORT or a negative errno. Call with f->lock held; gives it away
 * meanwhile. */
static int outcome(struct fake_cache *f, const struct cache_get *g, struct chunk *c)
{
	int r = 0;

	if (f->stopped)
		return -ECANCELED;
	if (g->store && g->store->failure)
		return g->store->failure;
	if (c && c->failures) {
		c->failures--;
		return c->failure;
	}
	if (f->on_get) {
		int (*fn)(void *, const struct cache_get *) = f->on_get;
		void *user = f->on_get_user;
		pthread_mutex_unlock(&f->lock);
		r = fn(user, g);
		pthread_mutex_lock(&f->lock);
	}
	if (r == 0 && (!c || c->size != g->chunk_size))
		r = -ENOENT;
	return r;
}

static void *answer_main(void *arg)
{
	struct fake_cache *f = arg;

	pthread_mutex_lock(&f->lock);
	for (;;) {
		struct cache_get *g = f->queue;
		if (!g && f->quit)
			break;
		if (!g || (f->hold && !f->tickets && !f->stopped)) {
			pthread_cond_wait(&f->changed, &f->lock);
			continue;
		}
		f->queue = g->next;
		if (!f->queue)
			f->queue_tail = &f->queue;
		f->held--;
		if (f->tickets)
			f->tickets--;
		struct chunk *c = find(f, &g->id);
		int r = outcome(f, g, c);
		pthread_mutex_unlock(&f->lock);
		if (r >= 0)
			g->done(g, 0, open_chunk(c, r));
		else
			g->done(g, r, -1);
		pthread_mutex_lock(&f->lock);
	}
	pthread_mutex_unlock(&f->lock);
	return NULL;
}

static void fake_get(struct cache *base, struct cache_get *g)
{
	struct fake_cache *f = of(base);

	locked(&f->lock);
	struct chunk *c = find(f, &g->id);
	f->gets++;
	if (c) {
		c->gets++;
		c->priority = g->priority;
	}
	g->next = NULL;
	*f->queue_tail = g;
	f->queue_tail = &g->next;
	f->held++;
	pthread_cond_broadcast(&f->changed);
}

void fake_fail(struct fake_cache *f, const struct chunkid *id, int r, unsigned times)
{
	locked(&f->lock);
	struct chunk *c = find(f, id);
	if (!c)
		die("no such chunk");
	c->failure = r;
	c->failures = times;
}

void fake_fail_store(struct fake_cache *f, const struct cache_store *store, int r)
{
	locked(&f->lock);
	f->stores[store - f->stores].failure = r;
}

void fake_on_get(struct fake_cache *f, int (*fn)(void *user, const struct cache_get *), void *user)
{
	locked(&f->lock);
	f->on_get = fn;
	f->on_get_user = user;
}

void fake_hold(struct fake_cache *f, bool hold)
{
	locked(&f->lock);
	f->hold = hold;
	f->tickets = 0;
	pthread_cond_broadcast(&f->changed);
}

void fake_let(struct fake_cache *f, unsigned n)
{
	locked(&f->lock);
	f->tickets += n;
	pthread_cond_broadcast(&f->changed);
}

void fake_wait_held(struct fake_cache *f, unsigned n)
{
	locked(&f->lock);
	WAIT_UNTIL(f, f->held >= n);
}

void fake_evict(struct fake_cache *f, const struct chunkid *id)
{
	cache_tell_evicted(&f->base, id);
}

unsigned fake_gets(struct fake_cache *f)
{
	locked(&f->lock);
	return f->gets;
}

unsigned fake_gets_of(struct fake_cache *f, const struct chunkid *id)
{
	locked(&f->lock);
	struct chunk *c = find(f, id);
	return c ? c->gets : 0;
}

enum store_priority fake_priority_of(struct fake_cache *f, const struct chunkid *id)
{
	locked(&f->lock);
	struct chunk *c = find(f, id);
	if (!c)
		die("no such chunk");
	return c->priority;
}

static void fake_touch(struct cache *base, const struct chunkid *ids, unsigned n)
{
	struct fake_cache *f = of(base);

	(void)ids;
	locked(&f->lock);
	f->touched += n;
}

unsigned fake_touched(struct fake_cache *f)
{
	locked(&f->lock);
	return f->touched;
}

static void fake_bad(struct cache *base, const struct chunkid *id)
{
	struct fake_cache *f = of(base);

	(void)id;
	locked(&f->lock);
	f->bads++;
}

unsigned fake_bads(struct fake_cache *f)
{
	locked(&f->lock);
	return f->bads;
}

/* ---- recipes and listings ---- */

static int by_name(const void *a, const void *b)
{
	return strcmp(((const struct store_image *)a)->name, ((const struct store_image *)b)->name);
}

static int fake_list(struct cache *base, struct cache_store *s, char tag[128],
	struct store_list *ret, struct smr_error *err)
{
	struct fake_cache *f = of(base);
	struct store_list list = {0};

	(void)s;
	locked(&f->lock);
	f->list_calls++;
	pthread_cond_broadcast(&f->changed);
	while (f->stall_lists && !f->stopped)
		pthread_cond_wait(&f->changed, &f->lock);
	if (f->stopped || f->list_failure)
		return error_set(err, f->stopped ? -ECANCELED : f->list_failure, "the list fails");
	if (tag[0] && memcmp(tag + 1, &f->changes, sizeof(f->changes)) == 0)
		return -EALREADY;
	tag[0] = 1;
	memcpy(tag + 1, &f->changes, sizeof(f->changes));
	for (struct fake_image *i = f->images; i; i = i->next) {
		if (!i->listed)
			continue;
		list.images = reallocarray(list.images, list.n + 1, sizeof(*list.images));
		if (!list.images)
			die("no memory");
		list.images[list.n] = i->info;
		if (f->names_only) {
			list.images[list.n] = (struct store_image){.created = i->info.created};
			memcpy(list.images[list.n].name, i->info.name, sizeof(i->info.name));
		}
		list.n++;
	}
	if (list.n)
		qsort(list.images, list.n, sizeof(*list.images), by_name);
	*ret = list;
	return 0;
}

static int fake_recipe(struct cache *base, struct cache_store *s, const char *name,
	const struct chunkid *digest, struct recipe **ret, struct smr_error *err)
{
	static const struct chunkid any;
	struct fake_cache *f = of(base);
	struct fake_image *i;
	const void *bytes;
	size_t n;

	(void)s;
	locked(&f->lock);
	f->recipe_calls++;
	pthread_cond_broadcast(&f->changed);
	while (f->stall_recipes && !f->stopped)
		pthread_cond_wait(&f->changed, &f->lock);
	if (f->stopped || f->recipe_failure)
		return error_set(
			err, f->stopped ? -ECANCELED : f->recipe_failure, "the recipe fails");
	for (i = f->images; i; i = i->next)
		if (i->listed && strcmp(i->info.name, name) == 0)
			break;
	if (!i)
		return error_set(err, -ENOENT, "no such image");
	if (digest && !chunkid_equal(digest, &any) && !chunkid_equal(digest, &i->info.digest))
		return error_set(err, -ESTALE, "replaced");
	bytes = recipe_bytes(i->recipe, &n);
	return recipe_from_bytes(bytes, n, ret, err);
}

#define SETTER(name, type, member)                   \
	void name(struct fake_cache *f, type value)  \
	{                                            \
		locked(&f->lock);                    \
		f->member = value;                   \
		pthread_cond_broadcast(&f->changed); \
	}

SETTER(fake_fail_recipes, int, recipe_failure)
SETTER(fake_fail_lists, int, list_failure)
SETTER(fake_stall_recipes, bool, stall_recipes)
SETTER(fake_stall_lists, bool, stall_lists)

unsigned fake_recipe_calls(struct fake_cache *f)
{
	locked(&f->lock);
	return f->recipe_calls;
}

unsigned fake_list_calls(struct fake_cache *f)
{
	locked(&f->lock);
	return f->list_calls;
}

void fake_wait_recipe_calls(struct fake_cache *f, unsigned n)
{
	locked(&f->lock);
	WAIT_UNTIL(f, f->recipe_calls >= n);
}

void fake_wait_list_calls(struct fake_cache *f, unsigned n)
{
	locked(&f->lock);
	WAIT_UNTIL(f, f->list_calls >= n);
}

/* ---- the cache itself ---- */

static int fake_open_store(struct cache *base, const char *url, const struct store_options *opts,
	struct cache_store **ret, struct smr_error *err)
{
	(void)url, (void)opts, (void)err;
	*ret = fake_store(of(base), 0);
	return 0;
}

static void fake_counters(struct cache *base, struct cache_counters *ret)
{
	(void)base;
	*ret = (struct cache_counters){0};
}

static void fake_stop(struct cache *base)
{
	struct fake_cache *f = of(base);

	locked(&f->lock);
	f->stopped = true;
	pthread_cond_broadcast(&f->changed);
}

static void fake_free_base(struct cache *base)
{
	struct fake_cache *f = of(base);

	{
		locked(&f->lock);
		f->stopped = f->quit = true;
		pthread_cond_broadcast(&f->changed);
	}
	for (unsigned i = 0; i < THREADS; i++)
		pthread_join(f->threads[i], NULL);
	for (struct chunk *c = f->chunks, *next; c; c = next) {
		next = c->next;
		free(c->bytes);
		free(c);
	}
	for (struct fake_image *i = f->images, *next; i; i = next) {
		next = i->next;
		recipe_free(i->recipe);
		free(i->bytes);
		free(i);
	}
	pthread_cond_destroy(&f->changed);
	pthread_mutex_destroy(&f->lock);
	cache_done(&f->base);
	free(f);
}

static const struct cache_ops fake_ops = {
	.open_store = fake_open_store,
	.list = fake_list,
	.recipe = fake_recipe,
	.get = fake_get,
	.touch = fake_touch,
	.bad = fake_bad,
	.counters = fake_counters,
	.stop = fake_stop,
	.free = fake_free_base,
};

struct fake_cache *fake_new(void)
{
	struct fake_cache *f = calloc(1, sizeof(*f));
	pthread_condattr_t monotonic;

	if (!f)
		die("no memory");
	cache_init(&f->base, &fake_ops);
	f->queue_tail = &f->queue;
	pthread_mutex_init(&f->lock, NULL);
	pthread_condattr_init(&monotonic);
	pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	pthread_cond_init(&f->changed, &monotonic);
	pthread_condattr_destroy(&monotonic);
	for (unsigned i = 0; i < THREADS; i++)
		if (pthread_create(&f->threads[i], NULL, answer_main, f) != 0)
			die("no thread");
	return f;
}

struct cache *fake_cache(struct fake_cache *f)
{
	return &f->base;
}

void fake_free(struct fake_cache *f)
{
	cache_free(&f->base);
}

struct cache_store *fake_store(struct fake_cache *f, unsigned number)
{
	return &f->stores[number];
}
