/* SPDX-License-Identifier: BSD-3-Clause */
/* How images are cut, for `smr chunk`, `smr add` and `smr build`: options, else the configuration, else what is built in. */
#ifndef CMD_CUTTING_H
#define CMD_CUTTING_H

#include "args.h"
#include "cmd.h"

#define CUTTING_LEVEL_MAX 22 /* of zstd */
#define CUTTING_JOBS_MAX  256

/* A member of the verb's values; 0: not given. */
struct cutting {
	uint64_t chunk_size, level, jobs;
};

#define CUTTING_OPTION_CHUNK_SIZE(values, member)                     \
	ARGS_SIZE("chunk-size", 0, values, member.chunk_size, "SIZE", \
		"64K to 4M, a power of two (else what the store is cut to)")
#define CUTTING_OPTION_LEVEL(values, member)                                     \
	ARGS_UINT(1, CUTTING_LEVEL_MAX, "level", 'l', values, member.level, "N", \
		"zstd level, 1 to 22")
#define CUTTING_OPTION_JOBS(values, member) \
	ARGS_UINT(1, CUTTING_JOBS_MAX, "jobs", 'j', values, member.jobs, "N", "threads")

/* ARGS_RUN, or the exit code of a usage error. */
int cutting_check(const struct cmd *c, const struct cutting *v);
/* Level, else that of the configuration, else `level`; and jobs. chunk_size stays 0 where it was not
 * given. */
int cutting_fill_in(const struct cmd *c, struct cutting *v, unsigned level, struct smr_error *err);
/* What was asked for, else what the store has, else the configuration's. */
int cutting_chunk_size(const struct cmd *c, const struct cutting *v, uint32_t of_store,
	uint32_t *ret, struct smr_error *err);
/* Opens or makes the store, and warns where its other images are cut differently. */
int cutting_open_store(const struct cmd *c, const struct cutting *v, struct store **ret,
	uint32_t *ret_chunk_size, struct smr_error *err);
void cutting_print_defaults(const struct cmd *c, unsigned level);

#endif
