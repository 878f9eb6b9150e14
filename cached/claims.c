/* SPDX-License-Identifier: BSD-3-Clause */
#include "claims.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "../chunker/core/idmap.h"

enum telling { QUIET, TO_TELL, AWAITED };

struct claim {
	struct chunkid id;
	struct claimant *who;
	unsigned asked, held;
	unsigned told; /* AWAITED: drops until what is gone is dropped */
	bool stale;    /* evicted since the first of `asked` */
	enum telling telling;
	uint64_t told_at;
	LIST_ENTRY(claim) of_id;
	TAILQ_ENTRY(claim) of_who; /* in to_tell or awaited */
};

LIST_HEAD(claim_list, claim);

struct claims {
	struct idmap *by_id; /* -> struct claim_list *, not empty */
};

struct claims *claims_new(void)
{
	struct claims *t = calloc(1, sizeof(*t));

	if (t && !(t->by_id = idmap_new())) {
		free(t);
		return NULL;
	}
	return t;
}

void claims_free(struct claims *t)
{
	if (!t)
		return;
	assert(idmap_count(t->by_id) == 0);
	idmap_free(t->by_id);
	free(t);
}

/* ---- one claim ---- */

static struct claim *find(const struct claimant *who, const struct chunkid *id)
{
	uint64_t v;

	return who->by_id && idmap_get(who->by_id, id, &v) ? (struct claim *)(uintptr_t)v : NULL;
}

static struct claim_list *list_of(const struct claims *t, const struct chunkid *id)
{
	uint64_t v;

	return idmap_get(t->by_id, id, &v) ? (struct claim_list *)(uintptr_t)v : NULL;
}

static void set_telling(struct claim *c, enum telling to)
{
	if (c->telling == TO_TELL)
		TAILQ_REMOVE(&c->who->to_tell, c, of_who);
	else if (c->telling == AWAITED)
		TAILQ_REMOVE(&c->who->awaited, c, of_who);
	c->telling = to;
	if (to == TO_TELL)
		TAILQ_INSERT_TAIL(&c->who->to_tell, c, of_who);
	else if (to == AWAITED)
		TAILQ_INSERT_TAIL(&c->who->awaited, c, of_who);
}

static int begin(struct claimant *who)
{
	if (who->by_id)
		return 0;
	who->by_id = idmap_new();
	if (!who->by_id)
		return -ENOMEM;
	TAILQ_INIT(&who->to_tell);
	TAILQ_INIT(&who->awaited);
	return 0;
}

static int claim_new(
	struct claims *t, struct claimant *who, const struct chunkid *id, struct claim **ret)
{
	struct claim_list *list = list_of(t, id);
	struct claim *c = calloc(1, sizeof(*c));
	bool fresh = !list;

	if (fresh)
		list = calloc(1, sizeof(*list));
	if (!c || !list || begin(who) < 0 ||
		(fresh && idmap_put(t->by_id, id, (uintptr_t)list) < 0))
		goto fail;
	if (idmap_put(who->by_id, id, (uintptr_t)c) < 0) {
		if (fresh)
			idmap_del(t->by_id, id, NULL);
		goto fail;
	}
	c->id = *id;
	c->who = who;
	LIST_INSERT_HEAD(list, c, of_id);
	*ret = c;
	return 0;
fail:
	if (fresh)
		free(list);
	free(c);
	return -ENOMEM;
}

static void claim_free(struct claims *t, struct claim *c)
{
	struct claim_list *list = list_of(t, &c->id);

	set_telling(c, QUIET);
	LIST_REMOVE(c, of_id);
	if (LIST_EMPTY(list)) {
		idmap_del(t->by_id, &c->id, NULL);
		free(list);
	}
	free(c);
}

static void forget_if_empty(struct claims *t, struct claim *c)
{
	if (c->asked || c->held)
		return;
	idmap_del(c->who->by_id, &c->id, NULL);
	claim_free(t, c);
}

/* ---- */

int claims_ask(struct claims *t, struct claimant *who, const struct chunkid *id)
{
	struct claim *c = find(who, id);
	int r = c ? 0 : claim_new(t, who, id, &c);

	if (r == 0)
		c->asked++;
	return r;
}

bool claims_answer(struct claims *t, struct claimant *who, const struct chunkid *id, bool got)
{
	struct claim *c = find(who, id);
	bool tell = got && c->stale;

	c->asked--;
	c->held += got;
	if (tell)
		set_telling(c, TO_TELL);
	if (c->asked == 0)
		c->stale = false;
	forget_if_empty(t, c);
	return tell;
}

int claims_hold(struct claims *t, struct claimant *who, const struct chunkid *id)
{
	struct claim *c = find(who, id);
	int r = c ? 0 : claim_new(t, who, id, &c);

	if (r == 0)
		c->held++;
	return r;
}

bool claims_drop(struct claims *t, struct claimant *who, const struct chunkid *id)
{
	struct claim *c = find(who, id);

	if (!c || c->held == 0)
		return false;
	c->held--;
	/* What is gone was asked for first, and is dropped first. */
	if (c->telling == AWAITED && --c->told == 0)
		set_telling(c, QUIET);
	if (c->held == 0)
		set_telling(c, QUIET);
	forget_if_empty(t, c);
	return true;
}

bool claims_holds(const struct claimant *who, const struct chunkid *id)
{
	const struct claim *c = find(who, id);

	return c && c->held;
}

void claims_evicted(struct claims *t, const struct chunkid *id,
	void (*tell)(void *user, struct claimant *who), void *user)
{
	struct claim_list *list = list_of(t, id);
	struct claim *c;

	if (!list)
		return;
	LIST_FOREACH(c, list, of_id)
	{
		c->stale = c->asked > 0;
		if (c->held == 0)
			continue;
		set_telling(c, TO_TELL);
		tell(user, c->who);
	}
}

unsigned claims_tell(struct claimant *who, struct chunkid *ret_ids, unsigned max, uint64_t now)
{
	struct claim *c;
	unsigned n = 0;

	while (who->by_id && n < max && (c = TAILQ_FIRST(&who->to_tell))) {
		ret_ids[n++] = c->id;
		c->told = c->held;
		c->told_at = now;
		set_telling(c, AWAITED);
	}
	return n;
}

uint64_t claims_owes_since(const struct claimant *who)
{
	const struct claim *c = who->by_id ? TAILQ_FIRST(&who->awaited) : NULL;

	return c ? c->told_at : 0;
}

void claims_leave(struct claims *t, struct claimant *who,
	void (*gone)(void *user, const struct chunkid *id), void *user)
{
	struct chunkid id;
	size_t cursor = 0;
	uint64_t v;

	if (!who->by_id)
		return;
	while (idmap_next(who->by_id, &cursor, &id, &v)) {
		struct claim *c = (struct claim *)(uintptr_t)v;

		for (unsigned i = 0; i < c->held; i++)
			gone(user, &id);
		claim_free(t, c);
	}
	idmap_free(who->by_id);
	*who = (struct claimant){0};
}
