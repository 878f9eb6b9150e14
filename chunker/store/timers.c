/* SPDX-License-Identifier: BSD-3-Clause */
#include "timers.h"

#include <stddef.h>

/* Neither a nor b has siblings; the result has none. */
static struct timer *meld(struct timer *a, struct timer *b)
{
	if (!a || !b)
		return a ? a : b;
	if (b->at_ns < a->at_ns) {
		struct timer *swap = a;

		a = b;
		b = swap;
	}
	b->next = a->child;
	if (b->next)
		b->next->link = &b->next;
	a->child = b;
	b->link = &a->child;
	return a;
}

/* Two passes: pairs from left to right, then the pairs from right to left. */
static struct timer *meld_siblings(struct timer *list)
{
	struct timer *pairs = NULL, *root = NULL;

	while (list) {
		struct timer *a = list, *b = a->next;

		list = b ? b->next : NULL;
		a->next = NULL;
		if (b)
			b->next = NULL;
		a = meld(a, b);
		a->next = pairs;
		pairs = a;
	}
	while (pairs) {
		struct timer *next = pairs->next;

		pairs->next = NULL;
		root = meld(root, pairs);
		pairs = next;
	}
	return root;
}

static void set_root(struct timers *t, struct timer *root)
{
	t->root = root;
	if (root)
		root->link = &t->root;
}

void timers_cancel(struct timers *t, struct timer *tm)
{
	struct timer *children;

	if (!tm->link)
		return;
	*tm->link = tm->next;
	if (tm->next)
		tm->next->link = tm->link;
	children = meld_siblings(tm->child);
	tm->child = tm->next = NULL;
	tm->link = NULL;
	/* The root had no siblings: t->root is NULL then. */
	set_root(t, meld(t->root, children));
}

void timers_set(struct timers *t, struct timer *tm, uint64_t at_ns)
{
	timers_cancel(t, tm);
	tm->at_ns = at_ns;
	set_root(t, meld(t->root, tm));
}
