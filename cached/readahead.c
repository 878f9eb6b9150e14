/* SPDX-License-Identifier: BSD-3-Clause */
#include "readahead.h"

#include <stddef.h>

/* Two frontend threads deliver the kernel's own read-ahead out of order by a request or two. */
#define SLACK (2u << 20)
/* Reads that add up to less are no run: the kernel rounds a single small read up to this much. */
#define RUN_MIN      (256u << 10)
#define WINDOW_START 2

static uint64_t least(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

/* The stream that the read is nearest to, or a new one in place of the stalest. */
static struct readahead_stream *find(struct readahead *ra, uint64_t offset)
{
	struct readahead_stream *stalest = &ra->streams[0], *nearest = NULL;
	uint64_t nearest_by = (uint64_t)SLACK + 1;

	for (unsigned i = 0; i < READAHEAD_STREAMS; i++) {
		struct readahead_stream *s = &ra->streams[i];
		uint64_t by = offset > s->next ? offset - s->next : s->next - offset;
		if (s->used && by < nearest_by) {
			nearest = s;
			nearest_by = by;
		}
		if (s->used < stalest->used)
			stalest = s;
	}
	if (nearest)
		return nearest;
	*stalest = (struct readahead_stream){.next = offset};
	return stalest;
}

/* Accounts for one read. What was read before counts for nothing. */
static void follow(struct readahead_stream *s, uint64_t offset, uint64_t end, uint64_t first)
{
	uint64_t fresh = end > s->next ? least(end - offset, end - s->next) : 0;
	uint64_t late = least(end - offset - fresh, s->gap);

	s->gap -= late;
	if (offset > s->next)
		s->gap += offset - s->next;
	/* A known reader may leave things out, as long as it reads more than that. */
	if (s->window)
		s->gap -= least(s->gap, fresh);
	if (s->gap > SLACK)
		*s = (struct readahead_stream){0};
	s->followed = s->run && (s->followed || fresh || late);
	s->run += fresh + late;
	if (fresh) {
		s->next = end;
		s->first = first;
	}
}

bool readahead_feed(struct readahead *ra, uint64_t offset, uint32_t length, uint64_t first,
	uint64_t n_entries, uint32_t max_window, uint64_t *ret_from, uint64_t *ret_to)
{
	struct readahead_stream *s = find(ra, offset);
	uint64_t to;

	follow(s, offset, offset + length, first);
	s->used = ++ra->clock;
	if (s->window == 0) {
		if (!s->followed || s->run < RUN_MIN || s->gap || max_window == 0)
			return false;
		s->window = (uint32_t)least(WINDOW_START, max_window);
		s->ahead = s->first;
	} else {
		if (s->ahead < s->first)
			s->ahead = s->first;
		/* More than half of what was asked for is still ahead of the reader. */
		if (s->ahead - s->first > s->window / 2)
			return false;
		s->window = s->window < max_window / 2 ? 2 * s->window : max_window;
	}
	to = least(s->first + s->window, n_entries);
	if (to <= s->ahead)
		return false;
	*ret_from = s->ahead;
	*ret_to = to;
	s->ahead = to;
	return true;
}
