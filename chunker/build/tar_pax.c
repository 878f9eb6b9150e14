// SPDX-License-Identifier: BSD-3-Clause
#include "tar_pax.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "tar_reader.h"

#define XATTRS_MAX 4096u /* of a file */

static const char schily_xattr[] = "SCHILY.xattr.";
static const char libarchive_xattr[] = "LIBARCHIVE.xattr.";

void tar_pax_init(struct tar_pax *p)
{
	*p = (struct tar_pax){0};
	/* Texts may be there twice: as a record and decoded, each with a NUL. */
	buf_init(&p->bytes, 4 * TAR_EXTENSION_MAX);
}

void tar_pax_done(struct tar_pax *p)
{
	buf_done(&p->bytes);
	free(p->xattrs);
	free(p->regions);
	p->xattrs = NULL;
	p->regions = NULL;
}

void tar_pax_reset(struct tar_pax *p)
{
	struct tar_pax kept = {.bytes = p->bytes,
		.xattrs = p->xattrs,
		.cap_xattrs = p->cap_xattrs,
		.regions = p->regions,
		.cap_regions = p->cap_regions};

	*p = kept;
	buf_reset(&p->bytes);
}

int tar_pax_text(struct tar_pax *p, const char *s, size_t n, struct tar_text *ret)
{
	size_t at = p->bytes.len;
	int r = buf_reserve(&p->bytes, n + 1);

	if (r < 0)
		return r;
	buf_append(&p->bytes, s, n);
	buf_append(&p->bytes, "", 1);
	*ret = (struct tar_text){.set = true, .at = at, .len = n};
	return 0;
}

int tar_pax_region(struct tar_pax *p, uint64_t offset, uint64_t n)
{
	if (p->n_regions == TAR_REGIONS_MAX)
		return -EFBIG;
	if (p->n_regions == p->cap_regions) {
		size_t cap = p->cap_regions ? p->cap_regions * 2 : 16;
		void *regions = reallocarray(p->regions, cap, sizeof(*p->regions));
		if (!regions)
			return -ENOMEM;
		p->regions = regions;
		p->cap_regions = cap;
	}
	p->regions[p->n_regions++] = (struct tar_region){offset, n};
	return 0;
}

/* ---- numbers ---- */

int tar_decimal(const char *s, size_t n, uint64_t *ret)
{
	uint64_t v = 0;

	if (n == 0)
		return -EBADMSG;
	for (size_t i = 0; i < n; i++) {
		if (s[i] < '0' || s[i] > '9' || __builtin_mul_overflow(v, 10, &v) ||
			__builtin_add_overflow(v, (uint64_t)(s[i] - '0'), &v))
			return -EBADMSG;
	}
	*ret = v;
	return 0;
}

/* Two's complement over the field, the topmost bit being the mark. */
static int base_256(const unsigned char *p, size_t n, int64_t *ret)
{
	bool negative = p[0] & 0x40;
	uint64_t v = negative ? UINT64_MAX : 0;

	for (size_t i = 0; i < n; i++) {
		uint8_t b = i ? p[i] : (uint8_t)((p[0] & 0x7f) | (negative ? 0x80 : 0));
		/* What falls off at the top must be sign only. */
		if ((v >> 55) != (negative ? 0x1ffu : 0))
			return -EBADMSG;
		v = v << 8 | b;
	}
	*ret = (int64_t)v;
	return 0;
}

int tar_number(const void *field, size_t n, int64_t *ret)
{
	const unsigned char *p = field, *end = p + n;
	int64_t v = 0;

	if (*p & 0x80)
		return base_256(p, n, ret);
	while (p < end && *p == ' ')
		p++;
	for (; p < end && *p >= '0' && *p <= '7'; p++) {
		if (v >> 59)
			return -EBADMSG;
		v = v * 8 + (*p - '0');
	}
	for (; p < end; p++)
		if (*p != ' ' && *p != 0)
			return -EBADMSG;
	*ret = v;
	return 0;
}

/* [-]seconds[.fraction]; what is beyond nanoseconds is cut off, towards zero as Go does. */
static int parse_time(const char *s, size_t n, int64_t *ret, uint32_t *ret_ns)
{
	bool negative = n > 0 && *s == '-';
	const char *dot;
	uint64_t seconds;
	uint32_t ns = 0, unit = 100000000;

	if (negative) {
		s++;
		n--;
	}
	dot = memchr(s, '.', n);
	if (tar_decimal(s, dot ? (size_t)(dot - s) : n, &seconds) < 0 || seconds > INT64_MAX / 2)
		return -EBADMSG;
	for (const char *p = dot ? dot + 1 : s + n; p < s + n; p++, unit /= 10) {
		if (*p < '0' || *p > '9')
			return -EBADMSG;
		ns += (uint32_t)(*p - '0') * unit;
	}
	*ret = negative ? -(int64_t)seconds : (int64_t)seconds;
	if (negative && ns) {
		(*ret)--;
		ns = 1000000000 - ns;
	}
	*ret_ns = ns;
	return 0;
}

/* ---- xattrs ---- */

static int add_xattr(struct tar_pax *p, struct tar_text name, struct tar_text value)
{
	if (p->n_xattrs == XATTRS_MAX)
		return -EFBIG;
	if (p->n_xattrs == p->cap_xattrs) {
		size_t cap = p->cap_xattrs ? p->cap_xattrs * 2 : 8;
		void *xattrs = reallocarray(p->xattrs, cap, sizeof(*p->xattrs));
		if (!xattrs)
			return -ENOMEM;
		p->xattrs = xattrs;
		p->cap_xattrs = cap;
	}
	p->xattrs[p->n_xattrs++] = (struct tar_xattr_text){name, value};
	return 0;
}

static int schily(struct tar_pax *p, const char *name, size_t n, const char *value, size_t n_value)
{
	struct tar_text name_text, value_text;
	int r = tar_pax_text(p, name, n, &name_text);

	if (r == 0)
		r = tar_pax_text(p, value, n_value, &value_text);
	return r < 0 ? r : add_xattr(p, name_text, value_text);
}

static int hex(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* %XX of names, in place. Returns the length, or -EBADMSG. */
static ssize_t url_decode(char *s, size_t n)
{
	size_t out = 0;

	for (size_t i = 0; i < n; i++) {
		if (s[i] != '%') {
			s[out++] = s[i];
			continue;
		}
		if (n - i < 3 || hex(s[i + 1]) < 0 || hex(s[i + 2]) < 0)
			return -EBADMSG;
		s[out++] = (char)(hex(s[i + 1]) << 4 | hex(s[i + 2]));
		i += 2;
	}
	return (ssize_t)out;
}

static int base64_digit(char c)
{
	static const char digits[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	const char *p = c ? strchr(digits, c) : NULL;

	return p ? (int)(p - digits) : -1;
}

/* Base 64 without line ends, padded or not, in place. Returns the length, or -EBADMSG. */
static ssize_t base64_decode(char *s, size_t n)
{
	size_t out = 0;
	uint32_t bits = 0;
	unsigned n_bits = 0;

	for (int i = 0; i < 2 && n > 0 && s[n - 1] == '='; i++)
		n--;
	if (n % 4 == 1)
		return -EBADMSG;
	for (size_t i = 0; i < n; i++) {
		int d = base64_digit(s[i]);
		if (d < 0)
			return -EBADMSG;
		bits = bits << 6 | (uint32_t)d;
		n_bits += 6;
		if (n_bits >= 8) {
			n_bits -= 8;
			s[out++] = (char)(bits >> n_bits);
		}
	}
	return (ssize_t)out;
}

static int libarchive(
	struct tar_pax *p, const char *name, size_t n, const char *value, size_t n_value)
{
	struct tar_text name_text, value_text;
	ssize_t decoded;
	int r = tar_pax_text(p, name, n, &name_text);

	if (r == 0)
		r = tar_pax_text(p, value, n_value, &value_text);
	if (r < 0)
		return r;
	decoded = url_decode((char *)p->bytes.data + name_text.at, n);
	if (decoded < 0)
		return -EBADMSG;
	name_text.len = (size_t)decoded;
	decoded = base64_decode((char *)p->bytes.data + value_text.at, n_value);
	if (decoded < 0)
		return -EBADMSG;
	value_text.len = (size_t)decoded;
	return add_xattr(p, name_text, value_text);
}

/* ---- records ---- */

static int sparse_map(struct tar_pax *p, const char *s, size_t n)
{
	const char *end = s + n;
	uint64_t number[2];
	int r = 0;

	p->n_regions = 0;
	while (s < end && r == 0) {
		for (int i = 0; i < 2 && r == 0; i++) {
			const char *comma = memchr(s, ',', (size_t)(end - s));
			if (!comma && i == 0)
				return -EBADMSG;
			if (!comma)
				comma = end;
			r = tar_decimal(s, (size_t)(comma - s), &number[i]);
			s = comma < end ? comma + 1 : end;
		}
		if (r == 0)
			r = tar_pax_region(p, number[0], number[1]);
	}
	return r;
}

static int sparse_record(struct tar_pax *p, const char *key, const char *value, size_t n)
{
	uint64_t number = 0;
	int r = 0;

	p->sparse = true;
	if (strcmp(key, "name") == 0)
		return tar_pax_text(p, value, n, &p->sparse_name);
	if (strcmp(key, "map") == 0)
		return sparse_map(p, value, n);
	r = tar_decimal(value, n, &number);
	if (r < 0)
		return r;
	if (strcmp(key, "major") == 0) {
		p->version_major = number;
		p->has_version = true;
	} else if (strcmp(key, "minor") == 0) {
		p->version_minor = number;
	} else if (strcmp(key, "realsize") == 0 || strcmp(key, "size") == 0) {
		p->realsize = number;
		p->has_realsize = true;
	} else if (strcmp(key, "offset") == 0) {
		r = p->has_offset ? -EBADMSG : tar_pax_region(p, number, 0);
		p->has_offset = true;
	} else if (strcmp(key, "numbytes") == 0) {
		if (!p->has_offset)
			return -EBADMSG;
		p->regions[p->n_regions - 1].n = number;
		p->has_offset = false;
	} else if (strcmp(key, "numblocks") != 0) {
		return -EBADMSG;
	}
	return r;
}

/* A record that takes its value back when that is empty. */
static int number_record(const char *value, size_t n, uint64_t *ret, bool *ret_has)
{
	*ret_has = n > 0;
	return n > 0 ? tar_decimal(value, n, ret) : 0;
}

static int text_record(struct tar_pax *p, const char *value, size_t n, struct tar_text *ret)
{
	ret->set = false;
	return n > 0 ? tar_pax_text(p, value, n, ret) : 0;
}

static bool has_prefix(const char *key, size_t n, const char *prefix, size_t n_prefix)
{
	return n > n_prefix && memcmp(key, prefix, n_prefix) == 0;
}

/* `key` is NUL-terminated for comparisons, and has no other NUL. */
static int record(struct tar_pax *p, const char *key, size_t n_key, const char *value, size_t n)
{
	if (has_prefix(key, n_key, schily_xattr, sizeof(schily_xattr) - 1))
		return schily(p, key + sizeof(schily_xattr) - 1, n_key - sizeof(schily_xattr) + 1,
			value, n);
	if (has_prefix(key, n_key, libarchive_xattr, sizeof(libarchive_xattr) - 1))
		return libarchive(p, key + sizeof(libarchive_xattr) - 1,
			n_key - sizeof(libarchive_xattr) + 1, value, n);
	if (strncmp(key, "GNU.sparse.", 11) == 0)
		return sparse_record(p, key + 11, value, n);
	if (strcmp(key, "path") == 0)
		return text_record(p, value, n, &p->path);
	if (strcmp(key, "linkpath") == 0)
		return text_record(p, value, n, &p->target);
	if (strcmp(key, "size") == 0)
		return number_record(value, n, &p->size, &p->has_size);
	if (strcmp(key, "uid") == 0)
		return number_record(value, n, &p->uid, &p->has_uid);
	if (strcmp(key, "gid") == 0)
		return number_record(value, n, &p->gid, &p->has_gid);
	if (strcmp(key, "SCHILY.devmajor") == 0)
		return number_record(value, n, &p->major, &p->has_major);
	if (strcmp(key, "SCHILY.devminor") == 0)
		return number_record(value, n, &p->minor, &p->has_minor);
	if (strcmp(key, "mtime") == 0) {
		p->has_mtime = n > 0;
		return n > 0 ? parse_time(value, n, &p->mtime, &p->mtime_ns) : 0;
	}
	return 0; /* atime, comment, uname...: nothing that an image holds */
}

int tar_pax_parse(struct tar_pax *p, const char *records, size_t n, struct smr_error *err)
{
	char key[1024];
	const char *at = n ? records : "", *end = at + n;

	while (at < end) {
		const char *blank = memchr(at, ' ', (size_t)(end - at)), *equals;
		uint64_t len;
		int r;

		if (!blank || tar_decimal(at, (size_t)(blank - at), &len) < 0 ||
			len > (uint64_t)(end - at) || len < (uint64_t)(blank - at) + 3 ||
			at[len - 1] != '\n')
			return error_set(err, -EBADMSG, "a pax record has a wrong length");
		equals = memchr(blank + 1, '=', (size_t)(at + len - 1 - (blank + 1)));
		if (!equals || equals == blank + 1)
			return error_set(err, -EBADMSG, "a pax record has no key");
		size_t n_key = (size_t)(equals - (blank + 1));
		/* Only names of xattrs are long, and none of these may be. */
		if (n_key >= sizeof(key) || memchr(blank + 1, 0, n_key))
			return error_set(err, -EBADMSG, "a pax record has no valid key");
		memcpy(key, blank + 1, n_key);
		key[n_key] = 0;
		r = record(p, key, n_key, equals + 1, (size_t)(at + len - 1 - (equals + 1)));
		if (r == -EFBIG)
			return error_set(err, r, "the pax record '%.100s' is one too many", key);
		if (r < 0)
			return error_set(err, r, "the pax record '%.100s' has no valid value", key);
		at += len;
	}
	if (p->has_offset)
		return error_set(err, -EBADMSG, "a sparse region has no length");
	return 0;
}
