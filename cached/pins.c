/* SPDX-License-Identifier: BSD-3-Clause */
#include "pins.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../chunker/core/cleanup.h"
#include "../chunker/core/fd.h"
#include "../chunker/core/log.h"

#define SUFFIX        ".recipe"
#define FILE_NAME_MAX (NAME_LEN_MAX + sizeof(SUFFIX))
/* Ids that are collected for one call. */
#define BATCH 256u

struct pin {
	struct recipe *recipe;
	struct pin *next;
};

struct pins {
	int dir_fd;
	struct local *local;
	pthread_mutex_t lock;
	struct pin *first; /* under lock */
};

static void recipe_freep(struct recipe **r)
{
	recipe_free(*r);
}

/* ---- the chunks of a recipe ---- */

/* The first n of them. An image may hold one chunk twice: pins are counted, so that is as well. */
static void unpin_chunks(struct pins *p, const struct recipe *r, uint64_t n)
{
	struct chunkid ids[BATCH];

	for (uint64_t i = 0; i < n;) {
		unsigned k = 0;

		while (k < BATCH && i < n)
			ids[k++] = recipe_entry(r, i++).id;
		local_unpin(p->local, ids, k);
	}
}

static int pin_chunks(struct pins *p, const struct recipe *r)
{
	uint64_t n = recipe_info(r)->n_chunks, done = 0;
	struct chunkid ids[BATCH];

	while (done < n) {
		unsigned k = 0;
		int failed;

		while (k < BATCH && done + k < n) {
			ids[k] = recipe_entry(r, done + k).id;
			k++;
		}
		failed = local_pin(p->local, ids, k);
		if (failed < 0) {
			unpin_chunks(p, r, done);
			return failed;
		}
		done += k;
	}
	return 0;
}

int pins_hold(struct pins *p, const struct recipe *recipe)
{
	return pin_chunks(p, recipe);
}

void pins_let_go(struct pins *p, const struct recipe *recipe)
{
	unpin_chunks(p, recipe, recipe_info(recipe)->n_chunks);
}

/* ---- call with p->lock held, or before others know p ---- */

static struct pin **find(struct pins *p, const char *name)
{
	struct pin **at = &p->first;

	while (*at && strcmp(recipe_info((*at)->recipe)->name, name) != 0)
		at = &(*at)->next;
	return at;
}

/* Takes over the recipe when it succeeds. */
static int pin_new(struct pins *p, struct recipe *recipe)
{
	struct pin *pin = malloc(sizeof(*pin));
	int r = pin ? pin_chunks(p, recipe) : -ENOMEM;

	if (r < 0) {
		free(pin);
		return r;
	}
	*pin = (struct pin){.recipe = recipe, .next = p->first};
	p->first = pin;
	return 0;
}

static void pin_free(struct pins *p, struct pin **at, bool unpin)
{
	struct pin *pin = *at;

	*at = pin->next;
	if (unpin)
		unpin_chunks(p, pin->recipe, recipe_info(pin->recipe)->n_chunks);
	recipe_free(pin->recipe);
	free(pin);
}

/* ---- start ---- */

static int load(struct pins *p, const char *file)
{
	struct recipe *recipe auto_with(recipe_freep) = NULL;
	struct buf bytes auto_with(buf_done);
	size_t len = strlen(file) - strlen(SUFFIX);
	int r;

	buf_init(&bytes, RECIPE_FILE_MAX);
	r = fd_read_file(p->dir_fd, file, &bytes);
	if (r == 0)
		r = recipe_from_bytes(bytes.data, bytes.len, &recipe, NULL);
	if (r == 0 && (strlen(recipe_info(recipe)->name) != len ||
			      memcmp(recipe_info(recipe)->name, file, len) != 0))
		r = -EBADMSG;
	if (r == 0)
		r = pin_new(p, recipe);
	if (r == 0)
		recipe = NULL;
	return r;
}

static int load_all(struct pins *p, struct smr_error *err)
{
	auto_close int fd = openat(p->dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = fd < 0 ? NULL : fdopendir(fd);
	const struct dirent *e;
	int r = 0;

	if (!d)
		return error_set_errno(err, -errno, "cannot read pins/ in the cache directory");
	take_fd(&fd);
	while (r != -ENOMEM && (e = readdir(d))) {
		size_t n = strlen(e->d_name);

		/* Temporaries have another end. */
		if (n <= strlen(SUFFIX) || strcmp(e->d_name + n - strlen(SUFFIX), SUFFIX) != 0)
			continue;
		r = load(p, e->d_name);
		if (r < 0)
			log_warn("pins/%s cannot be used (%s); pin the image again", e->d_name,
				strerror(-r));
	}
	closedir(d);
	return r == -ENOMEM ? r : 0;
}

int pins_open(int cache_fd, struct local *l, struct pins **ret, struct smr_error *err)
{
	struct pins *p;
	int r = fd_mkdirs(cache_fd, "pins", 0700);

	if (r < 0 && r != -EROFS && r != -ENOSPC && r != -EDQUOT)
		return error_set_errno(err, r, "cannot make pins/ in the cache directory");
	p = calloc(1, sizeof(*p));
	if (!p)
		return -ENOMEM;
	p->local = l;
	pthread_mutex_init(&p->lock, NULL);
	p->dir_fd = openat(cache_fd, "pins", O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	/* A disk that is full or read-only cannot remember pins, but serves. */
	if (p->dir_fd < 0 && r == 0)
		r = error_set_errno(err, -errno, "cannot open pins/ in the cache directory");
	else
		r = p->dir_fd < 0 ? 0 : load_all(p, err);
	if (r < 0) {
		pins_close(p);
		return r;
	}
	*ret = p;
	return 0;
}

void pins_close(struct pins *p)
{
	if (!p)
		return;
	while (p->first)
		pin_free(p, &p->first, false);
	cleanup_closep(&p->dir_fd);
	pthread_mutex_destroy(&p->lock);
	free(p);
}

/* ---- */

static int write_recipe(struct pins *p, const struct recipe *recipe)
{
	char file[FILE_NAME_MAX];
	size_t n;
	const void *bytes = recipe_bytes(recipe, &n);

	if (p->dir_fd < 0)
		return -EROFS;
	snprintf(file, sizeof(file), "%s" SUFFIX, recipe_info(recipe)->name);
	return fd_replace_file(p->dir_fd, file, bytes, n, 0400);
}

int pins_add(struct pins *p, struct recipe *recipe, struct smr_error *err)
{
	struct recipe *own auto_with(recipe_freep) = recipe;
	struct pin **old;
	int r;
	locked(&p->lock);

	r = write_recipe(p, recipe);
	if (r < 0)
		return error_set_errno(
			err, r, "the pin of %s cannot be kept", recipe_info(recipe)->name);
	/* The new one first: what both have is never without a pin. */
	r = pin_new(p, recipe);
	if (r < 0)
		return r;
	own = NULL;
	old = &p->first->next;
	while (*old && strcmp(recipe_info((*old)->recipe)->name, recipe_info(recipe)->name) != 0)
		old = &(*old)->next;
	if (*old)
		pin_free(p, old, true);
	return 0;
}

int pins_remove(struct pins *p, const char *name, struct smr_error *err)
{
	char file[FILE_NAME_MAX];
	struct pin **at;
	locked(&p->lock);

	at = find(p, name);
	snprintf(file, sizeof(file), "%.*s" SUFFIX, NAME_LEN_MAX, name);
	if (!name_valid(name) || (unlinkat(p->dir_fd, file, 0) < 0 && errno == ENOENT && !*at))
		return error_set(err, -ENOENT, "%s is not pinned", name);
	if (*at)
		pin_free(p, at, true);
	return 0;
}

void pins_each(struct pins *p, void (*visit)(void *user, const struct recipe *recipe), void *user)
{
	locked(&p->lock);
	for (const struct pin *pin = p->first; pin; pin = pin->next)
		visit(user, pin->recipe);
}
