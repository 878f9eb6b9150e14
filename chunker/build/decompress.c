// SPDX-License-Identifier: BSD-3-Clause
#include "decompress.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>
#include <zstd.h>
#include <zstd_errors.h>

#define INPUT_BYTES    (128u << 10)
#define WINDOW_LOG_MAX 27 /* 128 MiB */

enum format { UNKNOWN, PLAIN, GZIP, ZSTD };

struct decompress {
	decompress_read_fn *read;
	void *user;
	uint64_t max_ratio, ratio_from;
	enum format format;
	unsigned char *input; /* INPUT_BYTES; what is not used yet is [at, n) */
	size_t at, n;
	bool input_end;
	bool inside; /* a member or frame has begun and not ended */
	uint64_t n_in, n_out;
	z_stream z;
	bool z_ready;
	ZSTD_DStream *zstd;
};

struct decompress *decompress_new(
	decompress_read_fn *read, void *user, uint64_t max_ratio, uint64_t ratio_from)
{
	struct decompress *d = calloc(1, sizeof(*d));

	if (!d)
		return NULL;
	d->read = read;
	d->user = user;
	d->max_ratio = max_ratio;
	d->ratio_from = ratio_from;
	d->input = malloc(INPUT_BYTES);
	if (!d->input) {
		free(d);
		return NULL;
	}
	return d;
}

void decompress_free(struct decompress *d)
{
	if (!d)
		return;
	if (d->z_ready)
		inflateEnd(&d->z);
	ZSTD_freeDStream(d->zstd);
	free(d->input);
	free(d);
}

/* At least a byte of input, unless it is the end. */
static int fill(struct decompress *d, struct smr_error *err)
{
	int r;

	if (d->at < d->n || d->input_end)
		return 0;
	d->at = 0;
	r = d->read(d->user, d->input, INPUT_BYTES, &d->n, err);
	if (r < 0) {
		d->n = 0;
		return r;
	}
	d->input_end = d->n == 0;
	d->n_in += d->n;
	return 0;
}

/* The magic: as many bytes as there are, up to four. */
static int detect(struct decompress *d, struct smr_error *err)
{
	static const unsigned char gzip[] = {0x1f, 0x8b}, zstd[] = {0x28, 0xb5, 0x2f, 0xfd};

	while (d->n < 4 && !d->input_end) {
		size_t n;
		int r = d->read(d->user, d->input + d->n, INPUT_BYTES - d->n, &n, err);
		if (r < 0)
			return r;
		d->input_end = n == 0;
		d->n += n;
	}
	d->n_in = d->n;
	d->format = PLAIN;
	if (d->n >= 2 && memcmp(d->input, gzip, 2) == 0) {
		d->format = GZIP;
		if (inflateInit2(&d->z, 15 + 16) != Z_OK)
			return -ENOMEM;
		d->z_ready = true;
	} else if (d->n >= 4 && (memcmp(d->input, zstd, 4) == 0 ||
					((d->input[0] & 0xf0) == 0x50 &&
						memcmp(d->input + 1, "\x2a\x4d\x18", 3) == 0))) {
		d->format = ZSTD;
		d->zstd = ZSTD_createDStream();
		if (!d->zstd || ZSTD_isError(ZSTD_DCtx_setParameter(
					d->zstd, ZSTD_d_windowLogMax, WINDOW_LOG_MAX)))
			return -ENOMEM;
	}
	return 0;
}

/* One step of each format: from the input to at most `n` bytes. */
static int step_plain(struct decompress *d, void *data, size_t n, size_t *ret_n)
{
	size_t take = d->n - d->at < n ? d->n - d->at : n;

	memcpy(data, d->input + d->at, take);
	d->at += take;
	*ret_n = take;
	return 0;
}

static int step_gzip(
	struct decompress *d, void *data, size_t n, size_t *ret_n, struct smr_error *err)
{
	unsigned want = n < (1u << 30) ? (unsigned)n : 1u << 30;
	int z;

	if (!d->inside) {
		/* Some writers pad the last member with zeros. */
		if (d->n_out && d->input[d->at] == 0) {
			d->at++;
			*ret_n = 0;
			return 0;
		}
		if (inflateReset(&d->z) != Z_OK)
			return -EIO;
		d->inside = true;
	}
	d->z.next_in = d->input + d->at;
	d->z.avail_in = (unsigned)(d->n - d->at);
	d->z.next_out = data;
	d->z.avail_out = want;
	z = inflate(&d->z, Z_NO_FLUSH);
	if (z == Z_MEM_ERROR)
		return -ENOMEM;
	if (z != Z_OK && z != Z_STREAM_END && z != Z_BUF_ERROR)
		return error_set(err, -EBADMSG, "the gzip data is damaged%s%s",
			d->z.msg ? ": " : "", d->z.msg ? d->z.msg : "");
	d->inside = z != Z_STREAM_END;
	d->at = d->n - d->z.avail_in;
	*ret_n = want - d->z.avail_out;
	return 0;
}

static int step_zstd(
	struct decompress *d, void *data, size_t n, size_t *ret_n, struct smr_error *err)
{
	ZSTD_inBuffer in = {d->input, d->n, d->at};
	ZSTD_outBuffer out = {data, n, 0};
	size_t hint = ZSTD_decompressStream(d->zstd, &out, &in);

	if (ZSTD_isError(hint)) {
		switch (ZSTD_getErrorCode(hint)) {
		case ZSTD_error_frameParameter_windowTooLarge:
			return error_set(
				err, -EFBIG, "the zstd data needs a window of more than 128 MiB");
		case ZSTD_error_memory_allocation:
			return -ENOMEM;
		default:
			return error_set(err, -EBADMSG, "the zstd data is damaged: %s",
				ZSTD_getErrorName(hint));
		}
	}
	d->inside = hint != 0;
	d->at = in.pos;
	*ret_n = out.pos;
	return 0;
}

static int step(struct decompress *d, void *data, size_t n, size_t *ret_n, struct smr_error *err)
{
	switch (d->format) {
	case GZIP:
		return step_gzip(d, data, n, ret_n, err);
	case ZSTD:
		return step_zstd(d, data, n, ret_n, err);
	default:
		return step_plain(d, data, n, ret_n);
	}
}

static int check_ratio(const struct decompress *d, struct smr_error *err)
{
	if (d->max_ratio && d->n_out > d->ratio_from && d->n_out / d->max_ratio > d->n_in)
		return error_set(err, -EFBIG,
			"more than %llu bytes come out of each byte; if it is no bomb, raise "
			"--max-ratio",
			(unsigned long long)d->max_ratio);
	return 0;
}

int decompress_read(
	struct decompress *d, void *data, size_t n, size_t *ret_n, struct smr_error *err)
{
	size_t done = 0, got = 0;
	int r = d->format == UNKNOWN ? detect(d, err) : 0;

	while (r == 0 && done < n) {
		r = fill(d, err);
		if (r < 0)
			break;
		/* zstd may hold output back when the input is at its end. */
		bool drained = d->at == d->n;
		if (drained && !(d->format == ZSTD && d->inside))
			break;
		r = step(d, (char *)data + done, n - done, &got, err);
		if (r == 0 && drained && got == 0)
			break;
		if (r == 0) {
			done += got;
			d->n_out += got;
			r = check_ratio(d, err);
		}
	}
	if (r == 0 && done < n && d->inside)
		r = error_set(err, -EBADMSG, "the compressed data is cut off");
	if (r < 0)
		return r;
	*ret_n = done;
	return 0;
}
