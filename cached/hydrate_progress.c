/* SPDX-License-Identifier: BSD-3-Clause */
#include "hydrate_progress.h"

#include <stdlib.h>
#include <string.h>

#include "../chunker/core/cleanup.h"
#include "../chunker/core/clock.h"
#include "../chunker/core/progress.h"
#include "status.h"

#define ASK_NS (500 * CLOCK_NS_PER_MS)

struct hydrate_progress {
	struct cache *cache;
	const char *image;
	struct progress *line;
	uint64_t seen; /* bytes, the thread's */
	pthread_t thread;
	pthread_mutex_t lock; /* guards stopping */
	pthread_cond_t wake;
	bool stopping;
};

/* The image's newest version is the one that is not complete. */
static const struct status_image *find_image(const struct status *s, const char *name)
{
	const struct status_image *found = NULL;

	for (size_t i = 0; i < s->n_images; i++) {
		const struct status_image *m = &s->images[i];

		if (strcmp(m->name, name) == 0 && (!found || m->local_bytes < m->bytes))
			found = m;
	}
	return found;
}

static void look(struct hydrate_progress *p, bool first)
{
	struct buf json auto_with(buf_done);
	struct status s auto_with(status_done) = {0};
	const struct status_image *m = NULL;

	buf_init(&json, STATUS_MAX);
	if (cache_status(p->cache, &json, NULL) == 0 &&
		status_json_decode((const char *)json.data, json.len, &s, NULL) == 0)
		m = find_image(&s, p->image);
	if (!m)
		return;
	if (first || p->seen == 0)
		progress_change(p->line, "hydrate", m->bytes);
	/* What was there before is not what came now. */
	progress_reach(p->line, m->local_bytes,
		p->seen && m->local_bytes > p->seen ? m->local_bytes - p->seen : 0);
	p->seen = m->local_bytes;
}

static void *ask_loop(void *arg)
{
	struct hydrate_progress *p = arg;
	bool first = true;
	locked(&p->lock);

	while (!p->stopping) {
		struct timespec until = clock_timespec(clock_ns() + ASK_NS);

		pthread_cond_timedwait(&p->wake, &p->lock, &until);
		if (p->stopping)
			break;
		pthread_mutex_unlock(&p->lock);
		look(p, first);
		pthread_mutex_lock(&p->lock);
		first = false;
	}
	return NULL;
}

struct hydrate_progress *hydrate_progress_start(struct cache *cache, const char *image, bool quiet)
{
	struct hydrate_progress *p = calloc(1, sizeof(*p));
	pthread_condattr_t monotonic;

	if (!p || !(p->line = progress_start("hydrate", 0, quiet))) {
		free(p);
		return NULL;
	}
	p->cache = cache;
	p->image = image;
	pthread_mutex_init(&p->lock, NULL);
	pthread_condattr_init(&monotonic);
	pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	pthread_cond_init(&p->wake, &monotonic);
	pthread_condattr_destroy(&monotonic);
	if (pthread_create(&p->thread, NULL, ask_loop, p) == 0)
		return p;
	progress_stop(p->line);
	pthread_cond_destroy(&p->wake);
	pthread_mutex_destroy(&p->lock);
	free(p);
	return NULL;
}

void hydrate_progress_stop(struct hydrate_progress *p)
{
	if (!p)
		return;
	{
		locked(&p->lock);
		p->stopping = true;
		pthread_cond_signal(&p->wake);
	}
	pthread_join(p->thread, NULL);
	progress_stop(p->line);
	pthread_cond_destroy(&p->wake);
	pthread_mutex_destroy(&p->lock);
	free(p);
}
