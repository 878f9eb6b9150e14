/* SPDX-License-Identifier: BSD-3-Clause */
#include <stdlib.h>
#include <string.h>

#include "engine_impl.h"

/* Looking for files is a worker's job. */
struct held_job {
	struct work work;
	struct engine *engine;
	unsigned n;
	struct chunkid ids[];
};

static void look(struct work *w)
{
	struct held_job *job = (struct held_job *)w;
	struct engine *e = job->engine;

	/* The file that they have was removed when nobody was left to tell them: its bytes count for nobody, so
	 * it is to go soon. */
	for (unsigned i = 0; i < job->n; i++)
		if (!local_exists(e->local, &job->ids[i]))
			cache_tell_evicted(&e->base, &job->ids[i]);
	free(job);
}

void engine_held(struct cache *c, const struct chunkid *ids, unsigned n)
{
	struct engine *e = engine_of(c);
	struct held_job *job = malloc(sizeof(*job) + n * sizeof(*ids));

	/* Without memory they are not counted when they are evicted, as long as they are held. */
	for (unsigned i = 0; i < n; i++)
		(void)engine_hold_add(e, &ids[i]);
	if (!job)
		return;
	job->work.run = look;
	job->engine = e;
	job->n = n;
	memcpy(job->ids, ids, n * sizeof(*ids));
	workers_add(e->workers, &job->work, WORKERS_AHEAD);
}
