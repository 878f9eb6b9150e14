/* SPDX-License-Identifier: BSD-3-Clause */
#include "scan.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "../core/cleanup.h"
#include "../core/fd.h"
#include "../core/le.h"
#include "../core/log.h"
#include "listing.h"

#define SUFFIX ".recipe"

static void closedirp(DIR **d)
{
	if (*d)
		closedir(*d);
}

static int read_exactly(int fd, void *data, size_t n, uint64_t offset)
{
	size_t got;
	int r = fd_pread(fd, data, n, offset, &got);

	if (r < 0)
		return r;
	return got == n ? 0 : -EBADMSG;
}

/* Bytes of the image in stored chunks: all of them are whole, but perhaps the image's last one. */
static int read_data_size(int fd, const struct recipe_info *info, uint64_t *ret)
{
	uint64_t size = info->n_chunks * info->chunk_size;
	uint8_t index[4];
	int r;

	if (info->n_chunks) {
		uint64_t last = info->table_offset + (info->n_chunks - 1) * RECIPE_ENTRY_BYTES;

		r = read_exactly(fd, index, sizeof(index), last);
		if (r < 0)
			return r;
		uint64_t end = ((uint64_t)le_get32(index) + 1) * info->chunk_size;
		if (end > info->image_size)
			size -= end - info->image_size;
	}
	/* A table that makes no sense shows when the recipe is opened. */
	*ret = size < info->image_size ? size : info->image_size;
	return 0;
}

/* The source and the digest are the end of the file. */
static int read_tail(int fd, const struct recipe_info *info, struct store_image *img)
{
	char tail[RECIPE_SOURCE_MAX + 8 + CHUNKID_BYTES];
	size_t n = (size_t)(info->file_size - info->source_offset);
	int r = n > sizeof(tail) ? -EBADMSG : read_exactly(fd, tail, n, info->source_offset);

	if (r < 0)
		return r;
	listing_set_source(img, tail, info->source_len);
	memcpy(img->digest.b, tail + n - CHUNKID_BYTES, CHUNKID_BYTES);
	return 0;
}

static int read_recipe(int fd, const char *name, struct store_image *ret, struct smr_error *err)
{
	char head[RECIPE_HEADER_BYTES + NAME_LEN_MAX];
	struct store_image img = {0};
	struct recipe_info info;
	struct stat st;
	size_t n;
	int r;

	if (fstat(fd, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode))
		return error_set(err, -EBADMSG, "not a file");
	r = fd_pread(fd, head, sizeof(head), 0, &n);
	if (r < 0)
		return r;
	r = recipe_parse_header(head, n, &info, err);
	if (r < 0)
		return r;
	if (strcmp(info.name, name) != 0)
		return error_set(err, -EBADMSG, "it is the recipe of %s", info.name);
	if (info.file_size != (uint64_t)st.st_size)
		return error_set(err, -EBADMSG, "it has lost or gained bytes");
	r = read_data_size(fd, &info, &img.data_size);
	if (r == 0)
		r = read_tail(fd, &info, &img);
	if (r < 0)
		return r;
	strcpy(img.name, name);
	img.recipe_size = info.file_size;
	img.image_size = info.image_size;
	img.chunk_size = info.chunk_size;
	img.n_chunks = info.n_chunks;
	img.created = st.st_mtime;
	*ret = img;
	return 0;
}

/* 1: a recipe that is left out. */
static int scan_file(int dir, const char *file, struct store_list *l)
{
	struct smr_error err = {0};
	struct store_image img;
	char name[NAME_LEN_MAX + 1];
	size_t n = strlen(file);
	int r;

	if (n <= strlen(SUFFIX) || n - strlen(SUFFIX) > NAME_LEN_MAX ||
		strcmp(file + n - strlen(SUFFIX), SUFFIX) != 0)
		return 1;
	n -= strlen(SUFFIX);
	memcpy(name, file, n);
	name[n] = '\0';
	if (!name_valid(name))
		return 1;
	int fd auto_close = openat(dir, file, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	r = fd < 0 ? -errno : read_recipe(fd, name, &img, &err);
	if (r == -EMFILE || r == -ENFILE || r == -ENOMEM)
		return r; /* not the recipe's fault */
	if (r < 0) {
		log_debug("%s left out of the list: %s", file, error_text(&err, r));
		return r == -ENOENT ? 1 : listing_add_damaged(l, name);
	}
	return listing_add(l, &img);
}

int scan_recipes(struct bucket *b, const char *prefix, struct store_list *l, struct smr_error *err)
{
	struct dirent *e;
	int fd, r;

	r = b->ops->open(b, prefix, &fd, err);
	if (r < 0)
		return r == -ENOENT ? 0 : r;
	DIR *d auto_with(closedirp) = fdopendir(fd);
	if (!d) {
		r = -errno;
		close(fd);
		return error_set_errno(err, r, "%s/%s", b->url, prefix);
	}
	while ((errno = 0, e = readdir(d))) {
		r = scan_file(fd, e->d_name, l);
		if (r < 0)
			return error_set_errno(err, r, "%s/%s%s", b->url, prefix, e->d_name);
	}
	if (errno)
		return error_set_errno(err, -errno, "%s/%s", b->url, prefix);
	listing_sort(l);
	return 0;
}
