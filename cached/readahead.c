/* SPDX-License-Identifier: BSD-3-Clause */
#include "readahead.h"

/* Two frontend threads deliver the kernel's own read-ahead out of order by a request or two. */
#define SLACK (2u << 20)
/* Reads that add up to less are no run: the kernel rounds a single small read up to this much. */
#define RUN_MIN      (256u << 10)
#define WINDOW_START 2

static struct readahead_stream *find(struct readahead *ra, uint64_t offset)
{
	struct readahead_stream *stalest = &ra->streams[0];

	for (unsigned i = 0; i < READAHEAD_STREAMS; i++) {
		struct readahead_stream *s = &ra->streams[i];
		if (s->run && offset + SLACK >= s->next && offset <= s->next + SLACK)
			return s;
		if (s->used < stalest->used)
			stalest = s;
	}
	*stalest = (struct readahead_stream){.next = offset};
	return stalest;
}

bool readahead_feed(struct readahead *ra, uint64_t offset, uint32_t length, uint64_t first,
	uint64_t n_entries, uint32_t max_window, uint64_t *ret_from, uint64_t *ret_to)
{
	struct readahead_stream *s = find(ra, offset);
	uint64_t end = offset + length, to;

	s->used = ++ra->clock;
	s->run += length;
	if (end > s->next)
		s->next = end;
	if (s->run < RUN_MIN || s->run == length || max_window == 0)
		return false;
	if (s->window == 0) {
		s->window = WINDOW_START < max_window ? WINDOW_START : max_window;
		s->ahead = first;
	}
	if (s->ahead < first)
		s->ahead = first;
	/* At least half of the window is still ahead of the reader. */
	if (s->ahead - first > s->window / 2)
		return false;
	to = first + s->window;
	if (to > n_entries)
		to = n_entries;
	s->window = s->window < max_window / 2 ? 2 * s->window : max_window;
	if (to <= s->ahead)
		return false;
	*ret_from = s->ahead;
	*ret_to = to;
	s->ahead = to;
	return true;
}
