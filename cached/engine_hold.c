/* SPDX-License-Identifier: BSD-3-Clause */
#include "engine_impl.h"

#include "../chunker/core/cleanup.h"

int engine_hold_add(struct engine *e, const struct chunkid *id)
{
	locked(&e->hold_lock);
	return holders_add(e->holders, id);
}

void engine_hold_drop(struct cache *c, const struct chunkid *ids, unsigned n)
{
	struct engine *e = engine_of(c);

	for (unsigned i = 0; i < n; i++) {
		locked(&e->hold_lock);
		/* Within the lock: who holds it next is not to lose what he will have. */
		if (holders_drop(e->holders, &ids[i]))
			local_dropped(e->local, &ids[i]);
	}
}

bool engine_hold_is(void *engine, const struct chunkid *id)
{
	struct engine *e = engine;
	locked(&e->hold_lock);

	return holders_has(e->holders, id);
}
