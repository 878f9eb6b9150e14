/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A readable image: recipe + cache. What smrfs and smr-nbd are thin adapters over.
 *
 * A read resolves to segments: mapped chunk memory and zeros. What is local is answered within
 * image_read; otherwise the read is pending and done() is called from the thread that completed it,
 * so a cold miss never holds a frontend thread, and neither does a major fault (maps are populated
 * by workers before a read sees them).
 *
 * Ownership: an image_set owns the map table, deadlines and read-ahead shared by its images; images
 * are reference-counted. Thread rule: any thread may call anything; done() may call anything but
 * image_set_stop and image_set_free.
 */
#ifndef CACHED_IMAGE_H
#define CACHED_IMAGE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>

#include "cache.h"

struct image_set;
struct image;

struct image_set_options {
	uint32_t timeout_ms; /* a read's deadline: -EIO after it; 0: never */
	unsigned n_workers;  /* that map and populate; 0: number of CPUs */
	unsigned max_maps;   /* 0: min(8192, vm.max_map_count / 4) */
	uint32_t read_ahead; /* largest window in bytes; 0: 32 MiB */
};

/* The cache must outlive the set. 0 or a negative errno. */
int image_set_new(struct cache *cache, const struct image_set_options *opts, struct image_set **ret,
	struct smr_error *err);
/* For shutdown: fails every pending read with -EIO and every later one at once. When this returns no
 * read is pending and no done() of one is running. */
void image_set_stop(struct image_set *set);
/* Waits for what it asked of the cache, so cache_stop first. All images must have been released,
 * all reads ended. NULL is fine. */
void image_set_free(struct image_set *set);

/* An image as a listing describes it. Its recipe is loaded by the first use (see image_wait).
 * Starts with one reference. */
int image_new(struct image_set *set, struct cache_store *store, const struct store_image *info,
	struct image **ret);
struct image *image_ref(struct image *img);
void image_unref(struct image *img); /* NULL is fine */
/* As listed, until the recipe is loaded: then with what it says. Either stays valid and as it is as
 * long as the image. */
const struct store_image *image_info(const struct image *img);

/* "Call me when the recipe is loaded." Owned by the caller, alive until done(). `r` is 0 or a
 * negative errno (the next try loads again); a store that cannot be reached is asked again until the
 * set's timeout. done() runs on a thread that may not block. */
struct image_wait {
	void (*done)(struct image_wait *w, int r);
	struct image_wait *next; /* image's own */
};
/* 0: it is loaded already, done() is not called. -EINPROGRESS: done() will be called, perhaps
 * before this returns. */
int image_load(struct image *img, struct image_wait *w);
/* NULL until loaded; then valid as long as the image. */
const struct recipe *image_recipe(const struct image *img);

/* lseek(2) SEEK_DATA and SEEK_HOLE at chunk granularity on a loaded image. 0 and the offset, or
 * -ENXIO. */
int image_seek(const struct image *img, uint64_t offset, bool hole, uint64_t *ret);

#define IMAGE_READ_MAX (1u << 20)
/* Segments of the longest read at the smallest chunk size. */
#define IMAGE_IOV_MAX 18

/* One read. Owned by the caller from image_read to image_read_end, which must be called once for
 * every read, whatever its result. iov is valid in between, after success; the memory must only be
 * handed to the kernel (writev, sendmsg): touching it in user space could fault on a damaged disk.
 */
struct image_read {
	struct image *image;
	uint64_t offset; /* bytes; offset + length must lie within the image */
	uint32_t length; /* 1..IMAGE_READ_MAX */
	void (*done)(struct image_read *rd, int r);
	void *user;

	struct iovec iov[IMAGE_IOV_MAX];
	unsigned n_iov;

	/* the set's own */
	struct image_read *prev, *next;  /* pending reads, by deadline */
	struct image_read *next_loading; /* reads that wait for the image's recipe */
	struct image_read_slot {
		const struct chunkid *id;
		uint32_t skip;                /* where in the chunk the segment starts */
		uint32_t iov;                 /* which iov it fills */
		struct chunkmap_entry *entry; /* referenced, or waited for while `read` is set */
		struct image_read *read;      /* set while waiting */
		struct image_read_slot *next; /* waiters of the entry */
	} slots[IMAGE_IOV_MAX];
	unsigned n_slots;
	unsigned pending; /* slots that wait */
	enum {
		IMAGE_READ_DONE,
		IMAGE_READ_LOADING, /* the recipe */
		IMAGE_READ_WAITING  /* for chunks */
	} state;
	int result;
	uint64_t deadline_ns; /* 0: none */
};

/* 0: iov is filled. -EINPROGRESS: done() will be called, perhaps before this returns. Others:
 * failed at once. done()'s r is 0 or -EIO (deadline, missing, corrupt, unreachable, shutdown) or
 * -EINTR (image_read_cancel). */
int image_read(struct image_read *rd);
/* Ends a pending read early with -EINTR; true if its done() has been called with that by now, false
 * if it completes or completed otherwise. */
bool image_read_cancel(struct image_read *rd);
/* Releases what the read holds. */
void image_read_end(struct image_read *rd);
/* The kernel could not access iov (EFAULT): the chunks under it are dropped and reported to the
 * cache. Call before image_read_end; then read again, once. */
void image_read_bad(struct image_read *rd);

/* Brings [offset, offset + length) into the pool in the background; nothing reports back. */
void image_prefetch(struct image *img, uint64_t offset, uint64_t length, enum store_priority prio);

#endif
