/* SPDX-License-Identifier: BSD-3-Clause */
/* smr import FILE.recipe --chunks DIR: take over an image that Go stream-my-root has cut. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../core/cleanup.h"
#include "../core/codec.h"
#include "../core/fd.h"
#include "../core/idmap.h"
#include "../core/progress.h"
#include "../store/flat.h"
#include "args.h"
#include "gather.h"
#include "interrupt.h"
#include "published.h"

struct values {
	const char *chunks, *name;
	uint64_t size;
};

static const struct args_option options[] = {
	ARGS_STRING("chunks", 0, struct values, chunks, "DIR", "where the recipe's chunks are"),
	ARGS_SIZE("size", 0, struct values, size, "BYTES",
		"size of the image (else the recipe's, else that of its ext4)"),
	ARGS_STRING("name", 'n', struct values, name, "NAME",
		"name of the image (else the file's, without .recipe and .img)"),
	ARGS_END,
};

struct importing {
	struct store *from, *to;
	struct recipe *recipe;
	uint64_t *wanted; /* table positions of the chunks to copy, each id once */
	uint64_t n_wanted;
	struct progress *progress;

	pthread_mutex_t lock; /* guards the rest */
	struct cutter_result totals;
	int result;
	struct smr_error err;
};

/* ---- the recipe ---- */

static int read_text(const char *path, struct flat_recipe *ret, struct smr_error *err)
{
	struct buf text auto_with(buf_done);
	buf_init(&text, FLAT_TEXT_MAX);
	int r = fd_read_file(AT_FDCWD, path, &text);
	if (r < 0)
		return error_set_errno(err, r, "cannot read %s", path);
	r = flat_parse((const char *)text.data, text.len, ret, err);
	return r < 0 ? error_wrap(err, r, "%s", path) : 0;
}

/* The superblock is in the image's first chunk. An image that does not begin with one has no ext4 to ask: 0. */
static int read_ext4_size(
	struct store *from, const struct flat_recipe *f, uint64_t *ret, struct smr_error *err)
{
	*ret = 0;
	if (f->n_entries == 0 || f->entries[0].index != 0)
		return 0;
	struct buf wire auto_with(buf_done);
	auto_free void *pool = malloc(FLAT_CHUNK_SIZE);
	buf_init(&wire, codec_wire_max(FLAT_CHUNK_SIZE));
	struct smr_error why = {0};
	const struct chunkid *id = &f->entries[0].id;
	int r = pool ? store_get_wait(from, id, &wire, &why) : -ENOMEM;
	if (r == 0)
		r = codec_decode_verify(wire.data, wire.len, id, pool, FLAT_CHUNK_SIZE);
	if (r < 0)
		return gather_error(err, r, from, "the recipe", 0, id, &why);
	if (flat_ext4_size(pool, FLAT_CHUNK_SIZE, ret, NULL) < 0)
		*ret = 0;
	return 0;
}

static int make_recipe(const char *path, const char *name, uint64_t size, struct store *from,
	struct recipe **ret, struct smr_error *err)
{
	struct flat_recipe f auto_with(flat_recipe_done) = {0};
	uint64_t ext4_size = 0;
	int r = read_text(path, &f, err);
	if (r < 0)
		return r;
	if (!size && !f.size)
		r = read_ext4_size(from, &f, &ext4_size, err);
	if (r < 0)
		return r;
	r = flat_convert(&f, name, size, ext4_size, ret, err);
	if (r == -EINVAL)
		return error_set(
			err, r, "%s does not say the image's size; give it with --size", path);
	return r < 0 ? error_wrap(err, r, "%s", path) : 0;
}

/* "dir/x.img.recipe" is x. */
static int choose_name(const char *path, const char *asked, char *ret, struct smr_error *err)
{
	static const char suffix[] = ".recipe";
	size_t n = strlen(path), m = sizeof(suffix) - 1;
	if (asked) {
		snprintf(ret, NAME_LEN_MAX + 1, "%s", asked);
		return 0;
	}
	auto_free char *stem = strdup(path);
	if (!stem)
		return -ENOMEM;
	if (n > m && strcmp(path + n - m, suffix) == 0)
		stem[n - m] = '\0';
	return name_from_path(stem, ret, err);
}

/* ---- the chunks ---- */

/* Each id once, and only those that the store does not have. */
static int choose_wanted(struct importing *k, struct smr_error *err)
{
	uint64_t n = recipe_info(k->recipe)->n_chunks;
	struct idmap *seen = idmap_new();
	k->wanted = calloc(n ? n : 1, sizeof(*k->wanted));
	int r = seen && k->wanted ? 0 : -ENOMEM;
	for (uint64_t i = 0; i < n && r >= 0; i++) {
		struct recipe_entry e = recipe_entry(k->recipe, i);
		uint64_t wire_len;
		r = idmap_put(seen, &e.id, 0);
		if (r != 1)
			continue;
		k->totals.n_distinct++;
		r = store_has(k->to, &e.id, &wire_len, err);
		if (r == -ENOENT) {
			k->wanted[k->n_wanted++] = i;
			r = 0;
		}
	}
	idmap_free(seen);
	return r < 0 ? r : 0;
}

static struct gather_want want(void *user, uint64_t i)
{
	const struct importing *k = user;
	struct recipe_entry e = recipe_entry(k->recipe, k->wanted[i]);
	return (struct gather_want){e.id, recipe_info(k->recipe)->chunk_size};
}

/* The object goes over as it is: decoded only to know that it is what its name says. */
static int got(void *user, uint64_t i, int r, const struct gather_data *data,
	const struct smr_error *cause)
{
	struct importing *k = user;
	const struct recipe_info *info = recipe_info(k->recipe);
	struct recipe_entry e = recipe_entry(k->recipe, k->wanted[i]);
	struct smr_error err = {0};
	if (r < 0)
		gather_error(&err, r, k->from, info->name, e.index, &e.id, cause);
	else
		r = store_put(k->to, &e.id, data->wire, data->wire_len, &err);
	if (r == 0)
		progress_add(k->progress, 1, data->wire_len);

	locked(&k->lock);
	if (r == 0) {
		k->totals.n_new++;
		k->totals.new_bytes += data->wire_len;
	} else if (k->result == 0) {
		k->result = r;
		k->err = err;
	}
	return r;
}

static int copy_chunks(
	struct importing *k, bool quiet, const atomic_bool *cancel, struct smr_error *err)
{
	int r = choose_wanted(k, err);
	if (r < 0)
		return r;
	struct gather g = {
		.store = k->from,
		.n = k->n_wanted,
		.cancel = cancel,
		.want = want,
		.got = got,
		.user = k,
	};
	pthread_mutex_init(&k->lock, NULL);
	k->progress = progress_start("import", k->n_wanted, quiet);
	r = gather_run(&g);
	progress_stop(k->progress);
	pthread_mutex_destroy(&k->lock);
	if (k->result < 0 && err)
		*err = k->err;
	if (r < 0)
		store_flush(k->to, NULL); /* keeps what was copied, for the next run */
	return k->result < 0 ? k->result : r;
}

static int publish(struct importing *k, struct smr_error *err)
{
	const struct recipe_info *info = recipe_info(k->recipe);
	struct recipe *old = NULL;
	k->totals.image_size = info->image_size;
	k->totals.data_bytes = recipe_data_bytes(k->recipe);
	k->totals.n_chunks = info->n_chunks;
	k->totals.digest = info->digest;
	if (store_get_recipe(k->to, info->name, &old, NULL) == 0) {
		k->totals.old_digest = recipe_info(old)->digest;
		k->totals.replaced = !chunkid_equal(&k->totals.old_digest, &info->digest);
		recipe_free(old);
	}
	return store_put_recipe(k->to, k->recipe, &k->totals.same, err);
}

/* ---- the verb ---- */

static int import(const struct cmd *c, const struct values *v, const char *path, const char *name,
	struct interrupt *intr, struct smr_error *err)
{
	struct importing k = {0};
	struct store_options from_opts = {.insecure = c->insecure};
	int r = store_open(v->chunks, &from_opts, &k.from, err);
	if (r == 0) {
		interrupt_set_store(intr, k.from);
		r = make_recipe(path, name, v->size, k.from, &k.recipe, err);
	}
	if (r == 0)
		r = cmd_open_store(c, true, FLAT_CHUNK_SIZE, &k.to, err);
	if (r == 0)
		r = copy_chunks(&k, c->quiet, &intr->hit, err);
	if (r == 0)
		r = publish(&k, err);
	if (r == 0)
		r = published_print(c, k.to, name, FLAT_CHUNK_SIZE, &k.totals, NULL);
	interrupt_set_store(intr, NULL);
	free(k.wanted);
	recipe_free(k.recipe);
	store_free(k.to);
	store_free(k.from);
	return r;
}

static int run(struct cmd *c, int argc, char **argv)
{
	struct values v = {0};
	struct args args;
	struct smr_error err = {0};
	struct interrupt intr;
	char name[NAME_LEN_MAX + 1];
	int code = args_parse(c, argc, argv, &v, 1, 1, &args);
	if (code != ARGS_RUN)
		return code;
	if (!v.chunks)
		return args_usage(c, "--chunks DIR is missing");
	if (v.name && !name_valid(v.name))
		return args_usage(c, "--name: '%s' cannot be the name of an image", v.name);

	int r = choose_name(args.operand[0], v.name, name, &err);
	if (r == 0)
		r = interrupt_start(&intr, &err);
	if (r < 0)
		return cmd_fail(c, r, &err);
	r = import(c, &v, args.operand[0], name, &intr, &err);
	code = 0;
	if (r < 0 && intr.hit)
		code = interrupt_exit(&intr, "nothing was published; the same command continues "
					     "where it stopped");
	else if (r < 0)
		code = cmd_fail(c, r, &err);
	interrupt_done(&intr);
	return code;
}

const struct cmd_verb cmd_import = {
	.name = "import",
	.operands = "FILE.recipe --chunks DIR",
	.summary = "Take over an image that stream-my-root has cut",
	.options = options,
	.example = "import debian.recipe --chunks chunks",
	.run = run,
	.trouble = 1,
};
