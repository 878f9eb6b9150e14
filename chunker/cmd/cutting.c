/* SPDX-License-Identifier: BSD-3-Clause */
#include "cutting.h"

#include <errno.h>
#include <stdio.h>

#include "../core/codec.h"
#include "../core/log.h"
#include "../core/workers.h"

int cutting_check(const struct cmd *c, const struct cutting *v)
{
	if (v->chunk_size && !codec_chunk_size_valid(v->chunk_size))
		return args_usage(c, "--chunk-size: a power of two from 64K to 4M");
	return ARGS_RUN;
}

int cutting_fill_in(const struct cmd *c, struct cutting *v, unsigned level, struct smr_error *err)
{
	int r = 0;
	if (!v->level)
		r = cmd_config_uint(c, "level", 1, CUTTING_LEVEL_MAX, level, &v->level, err);
	if (r == 0 && !v->jobs)
		r = cmd_config_uint(c, "jobs", 1, CUTTING_JOBS_MAX, workers_cpus(), &v->jobs, err);
	return r;
}

int cutting_chunk_size(const struct cmd *c, const struct cutting *v, uint32_t of_store,
	uint32_t *ret, struct smr_error *err)
{
	uint64_t size = v->chunk_size ? v->chunk_size : of_store;
	int r = 0;
	if (!size)
		r = cmd_config_size(c, "chunk_size", CODEC_CHUNK_DEFAULT, &size, err);
	if (r < 0)
		return r;
	if (!codec_chunk_size_valid(size))
		return error_set(err, -EINVAL,
			"chunk_size is %llu bytes, not a power of two from 64K to 4M",
			(unsigned long long)size);
	*ret = (uint32_t)size;
	return 0;
}

int cutting_open_store(const struct cmd *c, const struct cutting *v, struct store **ret,
	uint32_t *ret_chunk_size, struct smr_error *err)
{
	struct store *store = NULL;
	uint32_t of_store = 0, chunk_size = 0;
	int r = cutting_chunk_size(c, v, 0, &chunk_size, err);
	if (r == 0)
		r = cmd_open_store(c, true, chunk_size, &store, err);
	if (r == 0)
		r = store_chunk_size(store, &of_store, err);
	if (r == 0)
		r = cutting_chunk_size(c, v, of_store, &chunk_size, err);
	if (r < 0) {
		store_free(store);
		return r;
	}
	if (of_store && of_store != chunk_size)
		log_warn("%s: its other images are cut to %u KiB; nothing will be shared with them",
			store_url(store), of_store >> 10);
	*ret = store;
	*ret_chunk_size = chunk_size;
	return 0;
}

void cutting_print_defaults(const struct cmd *c, unsigned level)
{
	struct cutting v = {0};
	uint64_t size = CODEC_CHUNK_DEFAULT;
	if (cutting_fill_in(c, &v, level, NULL) < 0 ||
		cmd_config_size(c, "chunk_size", CODEC_CHUNK_DEFAULT, &size, NULL) < 0)
		return;
	printf("  %-10s  %llu KiB, unless the store has another\n", "chunk-size",
		(unsigned long long)size >> 10);
	printf("  %-10s  %llu\n", "level", (unsigned long long)v.level);
	printf("  %-10s  %llu\n", "jobs", (unsigned long long)v.jobs);
}
