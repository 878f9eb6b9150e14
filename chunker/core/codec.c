/* SPDX-License-Identifier: BSD-3-Clause */
#include "codec.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <zstd.h>
#include <zstd_errors.h>

#include "le.h"

/* A thread's contexts: an encoder's tables are megabytes, made once rather than for each chunk. */
struct contexts {
	ZSTD_CCtx *encoder;
	ZSTD_DCtx *decoder;
};

static pthread_once_t contexts_once = PTHREAD_ONCE_INIT;
static pthread_key_t contexts_key;
static int contexts_key_error;

static void contexts_free(void *p)
{
	struct contexts *c = p;
	ZSTD_freeCCtx(c->encoder);
	ZSTD_freeDCtx(c->decoder);
	free(c);
}

static void contexts_setup(void)
{
	contexts_key_error = pthread_key_create(&contexts_key, contexts_free);
}

static struct contexts *contexts_get(void)
{
	pthread_once(&contexts_once, contexts_setup);
	if (contexts_key_error != 0)
		return NULL;
	struct contexts *c = pthread_getspecific(contexts_key);
	if (c)
		return c;
	c = calloc(1, sizeof(*c));
	if (c && pthread_setspecific(contexts_key, c) != 0) {
		free(c);
		return NULL;
	}
	return c;
}

bool codec_chunk_size_valid(uint64_t size)
{
	return size >= CODEC_CHUNK_MIN && size <= CODEC_CHUNK_MAX && (size & (size - 1)) == 0;
}

size_t codec_wire_max(size_t chunk_size)
{
	return ZSTD_compressBound(chunk_size);
}

int codec_encode(const void *pool, size_t n, int level, void *wire, size_t *ret_wire_len)
{
	/* zstd itself would silently take the nearest level */
	if (level < ZSTD_minCLevel() || level > ZSTD_maxCLevel())
		return -EINVAL;
	struct contexts *c = contexts_get();
	if (!c)
		return -ENOMEM;
	if (!c->encoder) {
		c->encoder = ZSTD_createCCtx();
		if (!c->encoder)
			return -ENOMEM;
	}
	/* No checksum in the frame: the chunk's id covers its content. */
	size_t r = ZSTD_CCtx_setParameter(c->encoder, ZSTD_c_compressionLevel, level);
	if (!ZSTD_isError(r))
		r = ZSTD_compress2(c->encoder, wire, codec_wire_max(n), pool, n);
	if (ZSTD_isError(r))
		return ZSTD_getErrorCode(r) == ZSTD_error_memory_allocation ? -ENOMEM : -EINVAL;
	*ret_wire_len = r;
	return 0;
}

/* One zstd frame from the first byte to the last. The magic number is looked at here because the
 * library would also take skippable frames and the formats from before RFC 8878. */
static bool is_single_frame(const void *wire, size_t wire_len)
{
	if (wire_len < 4 || le_get32(wire) != ZSTD_MAGICNUMBER)
		return false;
	if (ZSTD_getDictID_fromFrame(wire, wire_len) != 0)
		return false;
	return ZSTD_findFrameCompressedSize(wire, wire_len) == wire_len;
}

int codec_decode(const void *wire, size_t wire_len, void *pool, size_t chunk_size)
{
	if (!is_single_frame(wire, wire_len))
		return -EBADMSG;
	struct contexts *c = contexts_get();
	if (!c)
		return -ENOMEM;
	if (!c->decoder) {
		c->decoder = ZSTD_createDCtx();
		if (!c->decoder)
			return -ENOMEM;
	}
	/* One call from memory to memory: the output is its own window, so a frame that asks for a
	 * huge one gets no memory by it, and the library stops at the end of the chunk. */
	size_t n = ZSTD_decompressDCtx(c->decoder, pool, chunk_size, wire, wire_len);
	if (ZSTD_isError(n))
		return ZSTD_getErrorCode(n) == ZSTD_error_memory_allocation ? -ENOMEM : -EBADMSG;
	memset((char *)pool + n, 0, chunk_size - n);
	return 0;
}

int codec_decode_verify(
	const void *wire, size_t wire_len, const struct chunkid *id, void *pool, size_t chunk_size)
{
	int r = codec_decode(wire, wire_len, pool, chunk_size);
	if (r < 0)
		return r;
	struct chunkid actual;
	chunkid_hash(pool, chunk_size, &actual);
	return chunkid_equal(&actual, id) ? 0 : -EBADMSG;
}

bool codec_is_zero(const void *data, size_t n)
{
	/* The first bytes are zero and every byte equals the one 16 before it: memcmp is vectorised
	 * everywhere and stops at the first difference. */
	enum { HEAD = 16 };
	const unsigned char *p = data;
	for (size_t i = 0; i < n && i < HEAD; i++)
		if (p[i] != 0)
			return false;
	return n <= HEAD || memcmp(p, p + HEAD, n - HEAD) == 0;
}
