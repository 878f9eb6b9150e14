/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Recognises sequential readers of one image and says how far ahead of them to fetch. There is no
 * file handle to tell readers apart (open is answered with ENOSYS), so a reader is a stream: a
 * position that reads keep continuing. The window starts small and doubles with every half of
 * it consumed, so a few adjacent reads cost two chunks and a long run fills the link.
 *
 * Reads that arrive a little early leave a gap, which those that they overtook fill. A stream is
 * sequential once enough was read and no gap is left; that tells it from random reads, which in a
 * small image are always near each other but leave ever more gaps.
 *
 * Positions ahead are counted in *table entries*, not bytes: what is between them is zeros and
 * needs no fetching. Pure; the caller serialises.
 */
#ifndef CACHED_READAHEAD_H
#define CACHED_READAHEAD_H

#include <stdbool.h>
#include <stdint.h>

#define READAHEAD_STREAMS 16

struct readahead {
	struct readahead_stream {
		uint64_t next;   /* bytes: where the stream goes on */
		uint64_t run;    /* bytes read so far, each once */
		uint64_t gap;    /* bytes before `next` that were skipped */
		uint64_t first;  /* table entries from this one on lie behind `next` */
		uint64_t ahead;  /* table entries before this one have been asked for */
		uint32_t window; /* entries, as last asked for; 0: not sequential yet */
		uint32_t used;   /* for replacing the stalest stream; 0: none */
		bool followed;   /* more than the read that began it */
	} streams[READAHEAD_STREAMS];
	uint32_t clock;
};

/* Feeds one read. `first` is the table position of the first chunk at or after the read's end,
 * `n_entries` the position where to stop at the latest (the table's length), `max_window` in entries.
 * True: entries [*ret_from, *ret_to) should be fetched now. */
bool readahead_feed(struct readahead *ra, uint64_t offset, uint32_t length, uint64_t first,
	uint64_t n_entries, uint32_t max_window, uint64_t *ret_from, uint64_t *ret_to);

#endif
