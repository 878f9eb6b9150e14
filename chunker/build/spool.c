// SPDX-License-Identifier: BSD-3-Clause
#include "spool.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../core/cleanup.h"
#include "../core/fd.h"
#include "../core/le.h"

#define BUFFER_BYTES (1u << 20)

struct spool {
	int fd;
	uint64_t max;          /* bytes that may be written; 0: any */
	uint64_t flushed;      /* bytes in the file */
	unsigned char *buffer; /* BUFFER_BYTES; what comes behind them */
	size_t n_buffer;

	/* the content that is being written */
	struct chunkid_hasher *hasher;
	uint64_t size;
	unsigned char block[TREE_BLOCK]; /* size % TREE_BLOCK bytes of its last block */
	struct tree_extent *extents;
	size_t n_extents, cap_extents;
};

static const unsigned char zeros[TREE_BLOCK];

static int open_unlinked(const char *dir)
{
	char path[4096];
	int fd = open(dir, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);

	if (fd >= 0 || (errno != EOPNOTSUPP && errno != EISDIR && errno != EINVAL))
		return fd >= 0 ? fd : -errno;
	/* A file system without O_TMPFILE. */
	if (snprintf(path, sizeof(path), "%s/smr-spool-XXXXXX", dir) >= (int)sizeof(path))
		return -ENAMETOOLONG;
	fd = mkostemp(path, O_CLOEXEC);
	if (fd < 0)
		return -errno;
	unlink(path);
	return fd;
}

int spool_open_temp(const char *dir, struct smr_error *err)
{
	int fd;

	if (!dir)
		dir = getenv("TMPDIR");
	if (!dir || !*dir)
		dir = "/var/tmp";
	fd = open_unlinked(dir);
	if (fd < 0)
		return error_set_errno(err, fd, "cannot create a temporary file in %s", dir);
	return fd;
}

int spool_new(const char *dir, uint64_t max_bytes, struct spool **ret, struct smr_error *err)
{
	struct spool *s = calloc(1, sizeof(*s));

	if (!s)
		return -ENOMEM;
	s->max = max_bytes;
	s->buffer = malloc(BUFFER_BYTES);
	s->hasher = chunkid_hasher_new();
	s->fd = s->buffer && s->hasher ? spool_open_temp(dir, err) : -ENOMEM;
	if (s->fd < 0) {
		int r = s->fd;
		spool_free(s);
		return r;
	}
	*ret = s;
	return 0;
}

void spool_free(struct spool *s)
{
	if (!s)
		return;
	if (s->fd >= 0)
		close(s->fd);
	chunkid_hasher_free(s->hasher);
	free(s->buffer);
	free(s->extents);
	free(s);
}

void spool_begin(struct spool *s)
{
	struct chunkid unused;

	if (s->size)
		chunkid_hasher_finish(s->hasher, &unused);
	s->size = 0;
	s->n_extents = 0;
}

int spool_flush(struct spool *s, struct smr_error *err)
{
	int r = fd_pwrite(s->fd, s->buffer, s->n_buffer, s->flushed);

	if (r < 0)
		return error_set_errno(err, r, "cannot write the temporary file");
	s->flushed += s->n_buffer;
	s->n_buffer = 0;
	return 0;
}

static int append(struct spool *s, const unsigned char *data, size_t n, struct smr_error *err)
{
	int r;

	if (s->max && spool_bytes(s) + n > s->max)
		return error_set(err, -EFBIG, "more than %llu bytes of file contents",
			(unsigned long long)s->max);
	if (n > BUFFER_BYTES - s->n_buffer) {
		r = spool_flush(s, err);
		if (r < 0)
			return r;
	}
	memcpy(s->buffer + s->n_buffer, data, n);
	s->n_buffer += n;
	return 0;
}

static int add_extent(struct spool *s, uint32_t block)
{
	struct tree_extent *last = s->n_extents ? &s->extents[s->n_extents - 1] : NULL;

	if (last && last->block + last->n_blocks == block) {
		last->n_blocks++;
		return 0;
	}
	if (s->n_extents == UINT32_MAX)
		return -EFBIG;
	if (s->n_extents == s->cap_extents) {
		size_t cap = s->cap_extents ? s->cap_extents * 2 : 16;
		void *p = reallocarray(s->extents, cap, sizeof(*s->extents));
		if (!p)
			return -ENOMEM;
		s->extents = p;
		s->cap_extents = cap;
	}
	s->extents[s->n_extents++] =
		(struct tree_extent){.block = block, .n_blocks = 1, .spool = spool_bytes(s)};
	return 0;
}

/* Block `block` of the content is complete: `n` bytes of it, less than TREE_BLOCK only at the content's end. */
static int put_block(
	struct spool *s, uint64_t block, const unsigned char *data, size_t n, struct smr_error *err)
{
	bool zero = memcmp(data, zeros, n) == 0;
	int r;

	if (block < SPOOL_PLAIN_MAX / TREE_BLOCK) {
		chunkid_hasher_add(s->hasher, data, n);
	} else if (!zero) {
		uint8_t number[8];
		le_put64(number, block);
		chunkid_hasher_add(s->hasher, number, sizeof(number));
		chunkid_hasher_add(s->hasher, data, n);
		chunkid_hasher_add(s->hasher, zeros, TREE_BLOCK - n);
	}
	if (zero)
		return 0;
	r = add_extent(s, (uint32_t)block);
	return r < 0 ? r : append(s, data, n, err);
}

static int check_size(const struct spool *s, uint64_t n, struct smr_error *err)
{
	/* ext4 counts a file's blocks in 32 bits, and the last number is not one. */
	const uint64_t max = (uint64_t)UINT32_MAX * TREE_BLOCK;

	if (n > max - s->size)
		return error_set(err, -EFBIG, "a file of more than 16 TiB");
	return 0;
}

int spool_write(struct spool *s, const void *data, size_t n, struct smr_error *err)
{
	const unsigned char *p = data;
	int r = check_size(s, n, err);

	while (n > 0 && r == 0) {
		size_t in_block = s->size % TREE_BLOCK;
		size_t take = TREE_BLOCK - in_block;
		if (take > n)
			take = n;
		if (take == TREE_BLOCK) {
			r = put_block(s, s->size / TREE_BLOCK, p, take, err);
		} else {
			memcpy(s->block + in_block, p, take);
			if (in_block + take == TREE_BLOCK)
				r = put_block(s, s->size / TREE_BLOCK, s->block, TREE_BLOCK, err);
		}
		s->size += take;
		p += take;
		n -= take;
	}
	return r;
}

int spool_skip(struct spool *s, uint64_t n, struct smr_error *err)
{
	int r = check_size(s, n, err);

	/* Zeros are digested one by one up to SPOOL_PLAIN_MAX, and fill up a block that has begun. */
	while (n > 0 && r == 0) {
		uint64_t in_block = s->size % TREE_BLOCK;
		uint64_t take = TREE_BLOCK - in_block;
		if (in_block == 0 && s->size >= SPOOL_PLAIN_MAX && n >= TREE_BLOCK) {
			take = n - n % TREE_BLOCK;
			s->size += take;
		} else {
			if (take > n)
				take = n;
			r = spool_write(s, zeros, take, err);
		}
		n -= take;
	}
	return r;
}

int spool_finish(struct spool *s, struct tree_content *ret, struct smr_error *err)
{
	size_t rest = s->size % TREE_BLOCK;
	int r = rest ? put_block(s, s->size / TREE_BLOCK, s->block, rest, err) : 0;

	if (r < 0)
		return r;
	chunkid_hasher_finish(s->hasher, &ret->digest);
	ret->size = s->size;
	ret->extents = s->extents;
	ret->n_extents = (uint32_t)s->n_extents;
	s->size = 0; /* the hasher is as new */
	return 0;
}

int spool_read(const struct spool *s, void *data, size_t n, uint64_t offset, struct smr_error *err)
{
	size_t got;
	int r = fd_pread(s->fd, data, n, offset, &got);

	if (r == 0 && got != n)
		r = -EIO;
	if (r < 0)
		return error_set_errno(err, r, "cannot read the temporary file");
	return 0;
}

uint64_t spool_bytes(const struct spool *s)
{
	return s->flushed + s->n_buffer;
}
