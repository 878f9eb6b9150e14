/* SPDX-License-Identifier: BSD-3-Clause */
#include "flat.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "../core/cleanup.h"
#include "../core/le.h"

/* SHA-256 of 512 KiB of zeros. */
#define ZERO_CHUNK "07854d2fef297a06ba81685e660c332de36d5d18d546927d30daad6d7fda1541"

/* struct ext2_super_block, as in the kernel's Documentation/filesystems/ext4. */
#define SUPER_OFFSET   1024
#define SUPER_BYTES    1024
#define SUPER_MAGIC    0xef53u
#define INCOMPAT_64BIT 0x80u
#define LOG_BLOCK_MAX  6 /* 64 KiB */

enum {
	SUPER_BLOCKS_LO = 4,
	SUPER_LOG_BLOCK = 24,
	SUPER_MAGIC_AT = 56,
	SUPER_INCOMPAT = 96,
	SUPER_BLOCKS_HI = 336,
};

struct parser {
	struct flat_recipe out;
	uint64_t room;
	struct chunkid zero;
	unsigned long line;
	struct smr_error *err;
};

void flat_recipe_done(struct flat_recipe *f)
{
	free(f->entries);
	*f = (struct flat_recipe){0};
}

/* Digits at *s up to `end`; moves *s behind them. false: none, or more than `max`. */
static bool take_number(const char **s, const char *end, uint64_t max, uint64_t *ret)
{
	const char *p = *s;
	uint64_t n = 0;

	for (; p < end && *p >= '0' && *p <= '9'; p++) {
		n = n * 10 + (uint64_t)(*p - '0');
		if (n > max)
			return false;
	}
	if (p == *s)
		return false;
	*s = p;
	*ret = n;
	return true;
}

static int add(struct parser *p, uint64_t index, const struct chunkid *id)
{
	struct flat_recipe *f = &p->out;

	if (index < f->slots)
		return error_set(p->err, -EBADMSG, "line %lu: chunk %" PRIu64 " does not ascend",
			p->line, index);
	f->slots = index + 1;
	if (chunkid_equal(id, &p->zero))
		return 0;
	if (f->n_entries == p->room) {
		uint64_t room = p->room ? p->room * 2 : 256;
		struct recipe_entry *more = reallocarray(f->entries, room, sizeof(*more));

		if (!more)
			return -ENOMEM;
		f->entries = more;
		p->room = room;
	}
	f->entries[f->n_entries++] = (struct recipe_entry){(uint32_t)index, *id};
	return 0;
}

static int parse_size_line(struct parser *p, const char *s, const char *end)
{
	uint64_t size;

	if (!take_number(&s, end, RECIPE_IMAGE_MAX, &size) || s != end || size == 0)
		return error_set(p->err, -EBADMSG, "line %lu: not a valid size", p->line);
	if (p->out.size)
		return error_set(p->err, -EBADMSG, "line %lu: a second size", p->line);
	p->out.size = size;
	return 0;
}

static int parse_line(struct parser *p, const char *s, const char *end)
{
	struct chunkid id;
	uint64_t index;

	if (end > s && end[-1] == '\r')
		end--;
	if (s == end)
		return 0;
	if (end - s > 5 && memcmp(s, "size=", 5) == 0)
		return parse_size_line(p, s + 5, end);
	if (!take_number(&s, end, UINT64_MAX / 100, &index) || end - s != 1 + CHUNKID_HEX ||
		*s != ' ' || chunkid_parse(s + 1, &id) < 0)
		return error_set(p->err, -EBADMSG,
			"line %lu: neither \"INDEX SHA256\" nor \"size=BYTES\"", p->line);
	if (index >= RECIPE_IMAGE_MAX / FLAT_CHUNK_SIZE)
		return error_set(p->err, -EFBIG, "line %lu: chunk %" PRIu64 " is beyond 64 TiB",
			p->line, index);
	return add(p, index, &id);
}

int flat_parse(const char *text, size_t n, struct flat_recipe *ret, struct smr_error *err)
{
	struct parser p = {.err = err};
	const char *end = text + n;
	int r = 0;

	chunkid_parse(ZERO_CHUNK, &p.zero);
	while (r == 0 && text < end) {
		const char *eol = memchr(text, '\n', (size_t)(end - text));

		eol = eol ? eol : end;
		p.line++;
		r = parse_line(&p, text, eol);
		text = eol < end ? eol + 1 : end;
	}
	if (r < 0) {
		flat_recipe_done(&p.out);
		return r;
	}
	*ret = p.out;
	return 0;
}

int flat_ext4_size(const void *chunk, size_t n, uint64_t *ret, struct smr_error *err)
{
	const uint8_t *s = (const uint8_t *)chunk + SUPER_OFFSET;
	uint64_t blocks, size;
	uint32_t log_block;

	if (n < SUPER_OFFSET + SUPER_BYTES ||
		(le_get32(s + SUPER_MAGIC_AT) & 0xffff) != SUPER_MAGIC)
		return error_set(err, -EBADMSG, "no ext4 in the image");
	blocks = le_get32(s + SUPER_BLOCKS_LO);
	if (le_get32(s + SUPER_INCOMPAT) & INCOMPAT_64BIT)
		blocks |= (uint64_t)le_get32(s + SUPER_BLOCKS_HI) << 32;
	log_block = le_get32(s + SUPER_LOG_BLOCK);
	if (log_block > LOG_BLOCK_MAX || blocks == 0 ||
		__builtin_mul_overflow(blocks, 1024ull << log_block, &size) ||
		size > RECIPE_IMAGE_MAX)
		return error_set(err, -EBADMSG, "the image's ext4 has an impossible size");
	*ret = size;
	return 0;
}

int flat_convert(const struct flat_recipe *f, const char *name, uint64_t size, uint64_t ext4_size,
	struct recipe **ret, struct smr_error *err)
{
	struct recipe_spec spec = {
		.name = name,
		.chunk_size = FLAT_CHUNK_SIZE,
		.entries = f->entries,
		.n_entries = f->n_entries,
	};
	struct buf out auto_with(buf_done);
	uint64_t listed = f->slots * FLAT_CHUNK_SIZE;
	int r;

	buf_init(&out, RECIPE_FILE_MAX);
	spec.image_size = size ? size : f->size;
	if (!spec.image_size && ext4_size)
		spec.image_size = listed > ext4_size + FLAT_CHUNK_SIZE - 1 ? listed : ext4_size;
	if (!spec.image_size)
		return error_set(err, -EINVAL,
			"the image's size is not known; a line size=BYTES in the recipe tells it");
	if (f->slots && (f->slots - 1) * FLAT_CHUNK_SIZE >= spec.image_size)
		return error_set(err, -EBADMSG,
			"chunk %" PRIu64 " lies behind the image's end at %" PRIu64 " bytes",
			f->slots - 1, spec.image_size);
	r = recipe_encode(&spec, &out, err);
	return r < 0 ? r : recipe_from_bytes(out.data, out.len, ret, err);
}
