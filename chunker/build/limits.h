/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What an image may cost whoever builds it, over all its layers. A layer is compressed by strangers: a few megabytes of it
 * can claim to be anything. Plain values; 0 stands for the default.
 */
#ifndef BUILD_LIMITS_H
#define BUILD_LIMITS_H

#include <stdint.h>

#define LIMITS_BYTES_DEFAULT   (64ull << 30)
#define LIMITS_RATIO_DEFAULT   100u
#define LIMITS_ENTRIES_DEFAULT 2000000u

/* The ratio counts from here on: small layers of zeros are no bomb. Bytes. */
#define LIMITS_RATIO_FROM (1ull << 30)
/* Of the tree, which leaves a decompressor's window and the rest of the program within 512 MiB. */
#define LIMITS_TREE_BYTES (320ull << 20)

struct limits {
	uint64_t bytes;   /* what comes out of the compression, and what may be kept of it */
	uint64_t ratio;   /* bytes out for a byte in, of one layer */
	uint64_t entries; /* records of archives, and names of the tree */
};

/* What is used up so far. */
struct limits_used {
	uint64_t bytes, entries;
};

static inline struct limits limits_or_defaults(const struct limits *l)
{
	struct limits ret = l ? *l : (struct limits){0};

	if (!ret.bytes)
		ret.bytes = LIMITS_BYTES_DEFAULT;
	if (!ret.ratio)
		ret.ratio = LIMITS_RATIO_DEFAULT;
	if (!ret.entries)
		ret.entries = LIMITS_ENTRIES_DEFAULT;
	return ret;
}

#endif
