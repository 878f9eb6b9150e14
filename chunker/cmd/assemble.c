/* SPDX-License-Identifier: BSD-3-Clause */
#include "assemble.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../build/layer_cache.h"
#include "../build/source_file.h"
#include "../core/cleanup.h"
#include "../core/log.h"
#include "../core/progress.h"
#include "../core/units.h"

int assemble_check(const struct cmd *c, const struct assemble_options *o)
{
	struct platform p;
	struct smr_error err = {0};
	uint64_t bytes;
	if (o->platform && platform_parse(o->platform, &p, &err) < 0)
		return args_usage(c, "--platform: %s", err.message);
	if (o->layer_cache && units_parse_size(o->layer_cache, &bytes) < 0)
		return args_usage(c, "--layer-cache: '%s' is not a size (such as 4096, 512K, 10G)",
			o->layer_cache);
	return ARGS_RUN;
}

static struct limits limits_of(const struct assemble_options *o)
{
	return (struct limits){
		.bytes = o->max_size, .ratio = o->max_ratio, .entries = o->max_entries};
}

static int open_local(struct assemble *a, const char *kind, struct smr_error *err)
{
	a->reference = source_local_reference(kind, a->path, NULL);
	if (!a->reference)
		return -ENOMEM;
	if (a->kind == SOURCE_IMG) {
		/* An image without a valid name needs --name, and add says so. */
		if (name_from_path(a->path, a->name, NULL) < 0)
			a->name[0] = 0;
		return imgfile_open(&a->file, a->path, err);
	}
	/* The folder's real name: "." is none. */
	source_name_of_path(a->reference + strlen("dir:"), a->name);
	return 0;
}

/* Where layers are kept: "" where they are not. `ret_dir` holds PATH_MAX bytes. */
static int layer_cache(const struct cmd *c, const char *given, char *ret_dir, uint64_t *ret_bytes,
	struct smr_error *err)
{
	uint64_t bytes = LAYER_CACHE_MAX_DEFAULT;
	int r = given ? units_parse_size(given, &bytes)
		      : cmd_config_size(c, "layer_cache", bytes, &bytes, err);
	if (r < 0)
		return r;
	ret_dir[0] = 0;
	*ret_bytes = bytes;
	/* Who has no home keeps nothing. */
	if (bytes && config_cache_dir(c->config, ret_dir, PATH_MAX - sizeof("/layers"), NULL) == 0)
		strcat(ret_dir, "/layers");
	return 0;
}

void assemble_print_defaults(const struct cmd *c)
{
	char dir[PATH_MAX], size[UNITS_TEXT_MAX];
	uint64_t bytes;
	if (layer_cache(c, NULL, dir, &bytes, NULL) == 0 && *dir)
		printf("  %-10s  %s, up to %s\n", "layers", dir, units_format_size(bytes, size));
}

static void on_download(void *user, uint64_t bytes, uint64_t total)
{
	struct assemble_reading *g = user;
	locked(&g->lock);
	if (!atomic_load(&g->downloading))
		return;
	progress_add(g->progress, bytes, bytes);
	if (atomic_fetch_add(&g->downloaded, bytes) + bytes < total)
		return;
	progress_change(g->progress, "merge", g->total);
	progress_add(g->progress, atomic_load(&g->read), 0);
	atomic_store(&g->downloading, false);
}

static void on_progress(void *user, uint64_t bytes, uint64_t files)
{
	struct assemble_reading *g = user;
	(void)files;
	atomic_fetch_add(&g->read, bytes);
	if (!atomic_load(&g->downloading))
		progress_add(g->progress, bytes, bytes);
}

int assemble_open(struct assemble *a, const struct cmd *c, const struct assemble_options *o,
	const char *arg, struct interrupt *intr, struct smr_error *err)
{
	struct platform platform;
	struct limits limits = limits_of(o);
	struct source_options opts = {
		.cancel = &intr->hit, .limits = &limits, .insecure = c->insecure, .ca_file = o->ca};
	char layers[PATH_MAX];
	int r = o->platform ? platform_parse(o->platform, &platform, err) : 0;
	if (r < 0)
		return r;
	if (o->platform)
		opts.platform = &platform;
	a->file.fd = -1;
	a->kind = source_kind(arg, &a->path);
	if (a->kind == SOURCE_DIR)
		return open_local(a, "dir", err);
	if (a->kind == SOURCE_IMG)
		return open_local(a, "img", err);
	r = layer_cache(c, o->layer_cache, layers, &opts.cache_bytes, err);
	if (r < 0)
		return r;
	opts.cache_dir = *layers ? layers : NULL;
	opts.progress = on_download;
	opts.user = &a->reading;
	r = source_open(arg, &opts, &a->source, err);
	if (r < 0)
		return r;
	a->reference = strdup(a->source->reference);
	snprintf(a->name, sizeof(a->name), "%s", a->source->name);
	return a->reference ? 0 : -ENOMEM;
}

static uint64_t blob_bytes(const struct source *s)
{
	uint64_t total = 0;
	for (size_t i = 0; s && i < s->n_layers; i++)
		total += s->layers[i].has_size ? s->layers[i].size : 0;
	return total;
}

static void stop_progress(struct assemble_reading *g)
{
	struct progress *p;
	{
		locked(&g->lock);
		atomic_store(&g->downloading, false);
		p = take_ptr(g->progress);
	}
	progress_stop(p);
}

static int flatten(struct assemble *a, const struct cmd *c, const struct limits *limits,
	struct interrupt *intr, struct smr_error *err)
{
	struct assemble_reading *g = &a->reading;
	struct flatten_options opts = {
		.limits = limits, .cancel = &intr->hit, .progress = on_progress, .user = g};
	bool network = a->kind == SOURCE_REGISTRY && a->source->n_cached < a->source->n_layers;
	g->total = blob_bytes(a->source);
	atomic_store(&g->downloading, network);
	g->progress = progress_start(network ? "download" : "merge",
		network ? a->source->download_bytes : g->total, c->quiet);
	int r = a->source ? flatten_layers(a->source, &opts, &a->flat, err)
			  : flatten_dir(a->path, &opts, &a->flat, err);
	stop_progress(g);
	return r;
}

static int lay_out(
	struct assemble *a, uint32_t chunk_size, uint64_t min_size, struct smr_error *err)
{
	struct ext4_options opts = {.chunk_size = chunk_size};
	int r = ext4_image_new(a->flat.tree, a->flat.spool, &opts, &a->image, err);
	if (r == 0 && ext4_image_info(a->image)->size < min_size) {
		opts.free_bytes = min_size - ext4_image_info(a->image)->size;
		ext4_image_free(a->image);
		a->image = NULL;
		r = ext4_image_new(a->flat.tree, a->flat.spool, &opts, &a->image, err);
	}
	if (r < 0)
		return error_wrap(err, r, "%s", a->reference);
	a->n_entries = tree_n_entries(a->flat.tree);
	tree_free(a->flat.tree);
	a->flat.tree = NULL;
	return 0;
}

int assemble_build(struct assemble *a, const struct cmd *c, const struct assemble_options *o,
	uint32_t chunk_size, uint64_t min_size, struct interrupt *intr, struct smr_error *err)
{
	struct limits limits = limits_of(o);
	if (a->kind == SOURCE_IMG)
		return 0;
	int r = flatten(a, c, &limits, intr, err);
	if (r == 0)
		r = lay_out(a, chunk_size, min_size, err);
	if (r == 0 && ext4_image_info(a->image)->n_dropped_xattrs)
		log_warn("%s: %llu xattrs are of other systems and left out", a->reference,
			(unsigned long long)ext4_image_info(a->image)->n_dropped_xattrs);
	return r;
}

struct imgsource assemble_image(struct assemble *a)
{
	return a->image ? ext4_image_source(a->image, a->reference) : imgfile_source(&a->file);
}

void assemble_done(struct assemble *a)
{
	ext4_image_free(a->image);
	flatten_done(&a->flat);
	source_free(a->source);
	if (a->file.fd >= 0)
		imgfile_close(&a->file);
	free(a->reference);
}
