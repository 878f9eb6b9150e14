/* SPDX-License-Identifier: BSD-3-Clause */
#include "flatstore.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "../core/cleanup.h"
#include "../core/codec.h"
#include "../core/log.h"
#include "flat.h"
#include "listing.h"
#include "roots.h"

static void closedirp(DIR **d)
{
	if (*d)
		closedir(*d);
}

/* ---- one recipe ---- */

/* The size that the image's own superblock states. */
static int read_ext4_size(
	struct bucket *b, const struct flat_recipe *f, uint64_t *ret, struct smr_error *err)
{
	struct buf wire auto_with(buf_done);
	char hex[CHUNKID_HEX + 1], key[BUCKET_KEY_MAX];
	int r;

	buf_init(&wire, codec_wire_max(FLAT_CHUNK_SIZE));
	if (!f->n_entries || f->entries[0].index != 0)
		return error_set(err, -EBADMSG,
			"no ext4 in the image, and no line size=BYTES in the recipe");
	unsigned char *chunk auto_free = malloc(FLAT_CHUNK_SIZE);
	if (!chunk)
		return -ENOMEM;
	chunkid_format(&f->entries[0].id, hex);
	snprintf(key, sizeof(key), "%s.zst", hex);
	r = bucket_read(b, key, NULL, &wire, err);
	if (r < 0)
		return r == -ENOENT ? error_set(err, -EBADMSG, "its first chunk is missing") : r;
	r = codec_decode_verify(wire.data, wire.len, &f->entries[0].id, chunk, FLAT_CHUNK_SIZE);
	if (r < 0)
		return error_set_errno(err, r, "its first chunk is damaged");
	return flat_ext4_size(chunk, FLAT_CHUNK_SIZE, ret, err);
}

static int convert(struct bucket *b, const char *name, const struct buf *text, struct recipe **ret,
	struct smr_error *err)
{
	struct flat_recipe f auto_with(flat_recipe_done) = {0};
	uint64_t ext4_size = 0;
	int r = flat_parse((const char *)text->data, text->len, &f, err);

	if (r == 0 && !f.size)
		r = read_ext4_size(b, &f, &ext4_size, err);
	return r < 0 ? r : flat_convert(&f, name, 0, ext4_size, ret, err);
}

int flatstore_get_recipe(
	struct bucket *b, const char *name, struct recipe **ret, struct smr_error *err)
{
	static const char *const suffixes[] = {".recipe", ".img.recipe"};
	struct buf text auto_with(buf_done);
	char key[BUCKET_KEY_MAX];
	int r = -ENOENT;

	buf_init(&text, FLAT_TEXT_MAX);
	for (unsigned i = 0; r == -ENOENT && i < 2; i++) {
		snprintf(key, sizeof(key), "%s%s", name, suffixes[i]);
		r = bucket_read(b, key, NULL, &text, err);
	}
	if (r < 0)
		return r;
	r = convert(b, name, &text, ret, err);
	return r < 0 ? error_wrap(err, r, "%s/%s", b->url, key) : 0;
}

/* ---- the directory ---- */

static bool ends_with(const char *s, const char *suffix)
{
	size_t n = strlen(s), m = strlen(suffix);

	return n > m && strcmp(s + n - m, suffix) == 0;
}

static int open_top(struct bucket *b, DIR **ret, struct smr_error *err)
{
	int fd, r = b->ops->open(b, ".", &fd, err);

	if (r < 0)
		return r;
	*ret = fdopendir(fd);
	if (*ret)
		return 0;
	r = -errno;
	close(fd);
	return error_set_errno(err, r, "%s", b->url);
}

int flatstore_is_one(struct bucket *b, struct smr_error *err)
{
	DIR *d auto_with(closedirp) = NULL;
	struct dirent *e;
	int r = open_top(b, &d, err);

	while (r == 0 && (errno = 0, e = readdir(d))) {
		if (ends_with(e->d_name, ".zst") || ends_with(e->d_name, ".recipe"))
			return 1;
	}
	return r < 0 || errno == 0 ? r : error_set_errno(err, -errno, "%s", b->url);
}

static int add_image(struct bucket *b, const char *name, const struct stat *st,
	struct store_list *l, struct smr_error *err)
{
	struct store_image img = {
		.recipe_size = (uint64_t)st->st_size,
		.created = st->st_mtime,
	};
	struct recipe *recipe;
	int r = flatstore_get_recipe(b, name, &recipe, err);

	if (r == -ENOMEM || r == -EMFILE || r == -ENFILE)
		return r; /* not the recipe's fault */
	if (r < 0) {
		log_debug("%s left out of the list: %s", name, error_text(err, r));
		return r == -ENOENT ? 0 : listing_add_damaged(l, name);
	}
	const struct recipe_info *info = recipe_info(recipe);
	strcpy(img.name, name);
	img.digest = info->digest;
	img.image_size = info->image_size;
	img.data_size = recipe_data_bytes(recipe);
	img.chunk_size = info->chunk_size;
	img.n_chunks = info->n_chunks;
	recipe_free(recipe);
	return listing_add(l, &img);
}

/* "NAME.recipe" or "NAME.img.recipe" to NAME; false: neither, or the second beside the first. */
static bool image_name(int dir, const char *file, char *ret)
{
	char plain[BUCKET_KEY_MAX];
	size_t n = strlen(file);

	if (!ends_with(file, ".recipe"))
		return false;
	n -= strlen(".recipe");
	if (n > NAME_LEN_MAX + strlen(".img"))
		return false;
	snprintf(plain, sizeof(plain), "%.*s", (int)n, file);
	if (ends_with(plain, ".img")) {
		plain[n - strlen(".img")] = '\0';
		strcat(plain, ".recipe");
		if (faccessat(dir, plain, F_OK, 0) == 0)
			return false;
		n -= strlen(".img");
		plain[n] = '\0';
	}
	if (!name_valid(plain))
		return false;
	strcpy(ret, plain);
	return true;
}

int flatstore_list(struct bucket *b, struct store_list *l, struct smr_error *err)
{
	DIR *d auto_with(closedirp) = NULL;
	char name[NAME_LEN_MAX + 1];
	struct dirent *e;
	struct stat st;
	int r = open_top(b, &d, err);

	while (r == 0 && (errno = 0, e = readdir(d))) {
		if (image_name(dirfd(d), e->d_name, name) &&
			fstatat(dirfd(d), e->d_name, &st, 0) == 0)
			r = add_image(b, name, &st, l, err);
	}
	if (r == 0 && errno)
		r = error_set_errno(err, -errno, "%s", b->url);
	listing_sort(l);
	return r;
}
