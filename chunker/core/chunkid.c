/* SPDX-License-Identifier: BSD-3-Clause */
#include "chunkid.h"

#include <errno.h>
#include <openssl/evp.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

struct chunkid_hasher {
	EVP_MD_CTX *ctx;
};

/* Set once by sha256_setup, read-only afterwards. Fetching an algorithm costs more than hashing a
 * small buffer. */
static pthread_once_t sha256_once = PTHREAD_ONCE_INIT;
static EVP_MD *sha256_md;
static pthread_key_t sha256_ctx_key;

static void die(const char *what)
{
	fprintf(stderr, "SHA-256: %s\n", what);
	abort();
}

static void sha256_ctx_free(void *ctx)
{
	EVP_MD_CTX_free(ctx);
}

static void sha256_setup(void)
{
	sha256_md = EVP_MD_fetch(NULL, "SHA256", NULL);
	if (!sha256_md)
		die("the crypto library does not provide it");
	if (pthread_key_create(&sha256_ctx_key, sha256_ctx_free) != 0)
		die("no thread-specific key left");
}

/* This thread's context, freed when the thread ends. */
static EVP_MD_CTX *sha256_ctx(void)
{
	pthread_once(&sha256_once, sha256_setup);
	EVP_MD_CTX *ctx = pthread_getspecific(sha256_ctx_key);
	if (ctx)
		return ctx;
	ctx = EVP_MD_CTX_new();
	if (!ctx || pthread_setspecific(sha256_ctx_key, ctx) != 0)
		die("no memory");
	return ctx;
}

static void sha256_begin(EVP_MD_CTX *ctx)
{
	if (EVP_DigestInit_ex2(ctx, sha256_md, NULL) != 1)
		die("cannot start");
}

static void sha256_add(EVP_MD_CTX *ctx, const void *data, size_t n)
{
	if (n > 0 && EVP_DigestUpdate(ctx, data, n) != 1)
		die("cannot update");
}

static void sha256_end(EVP_MD_CTX *ctx, struct chunkid *ret)
{
	unsigned len = 0;
	if (EVP_DigestFinal_ex(ctx, ret->b, &len) != 1 || len != CHUNKID_BYTES)
		die("cannot finish");
}

void chunkid_hash(const void *data, size_t n, struct chunkid *ret)
{
	EVP_MD_CTX *ctx = sha256_ctx();
	sha256_begin(ctx);
	sha256_add(ctx, data, n);
	sha256_end(ctx, ret);
}

struct chunkid_hasher *chunkid_hasher_new(void)
{
	pthread_once(&sha256_once, sha256_setup);
	struct chunkid_hasher *h = malloc(sizeof(*h));
	if (!h)
		return NULL;
	h->ctx = EVP_MD_CTX_new();
	if (!h->ctx) {
		free(h);
		return NULL;
	}
	sha256_begin(h->ctx);
	return h;
}

void chunkid_hasher_add(struct chunkid_hasher *h, const void *data, size_t n)
{
	sha256_add(h->ctx, data, n);
}

void chunkid_hasher_finish(struct chunkid_hasher *h, struct chunkid *ret)
{
	sha256_end(h->ctx, ret);
	sha256_begin(h->ctx);
}

void chunkid_hasher_free(struct chunkid_hasher *h)
{
	if (!h)
		return;
	EVP_MD_CTX_free(h->ctx);
	free(h);
}

void chunkid_format(const struct chunkid *id, char ret[CHUNKID_HEX + 1])
{
	static const char digits[] = "0123456789abcdef";
	for (size_t i = 0; i < CHUNKID_BYTES; i++) {
		ret[2 * i] = digits[id->b[i] >> 4];
		ret[2 * i + 1] = digits[id->b[i] & 15];
	}
	ret[CHUNKID_HEX] = '\0';
}

void chunkid_format_short(const struct chunkid *id, char ret[16])
{
	char hex[CHUNKID_HEX + 1];
	chunkid_format(id, hex);
	snprintf(ret, 16, "%.4s\xe2\x80\xa6%.4s", hex, hex + CHUNKID_HEX - 4);
}

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	return -1;
}

int chunkid_parse(const char *s, struct chunkid *ret)
{
	struct chunkid id;
	for (size_t i = 0; i < CHUNKID_BYTES; i++) {
		/* one at a time: a NUL ends the string, nothing behind it may be read */
		int high = hex_digit(s[2 * i]);
		if (high < 0)
			return -EINVAL;
		int low = hex_digit(s[2 * i + 1]);
		if (low < 0)
			return -EINVAL;
		id.b[i] = (uint8_t)(high << 4 | low);
	}
	*ret = id;
	return 0;
}
