/* SPDX-License-Identifier: BSD-3-Clause */
/* From SOURCE on the command line to a disk image that can be read, for `smr build` and `smr add`. */
#ifndef CMD_ASSEMBLE_H
#define CMD_ASSEMBLE_H

#include "../build/ext4_image.h"
#include "../build/flatten.h"
#include "../build/imgfile.h"
#include "../build/source.h"
#include "args.h"
#include "interrupt.h"

/* A member of the verb's values. */
struct assemble_options {
	const char *platform;
	const char *ca;
	const char *layer_cache;                   /* a size; NULL: as configured */
	uint64_t max_size, max_ratio, max_entries; /* 0: default */
};

#define ASSEMBLE_OPTION_CA(values, member)              \
	ARGS_STRING("ca", 0, values, member.ca, "FILE", \
		"PEM file of authorities that registries may be signed by, too")
#define ASSEMBLE_OPTION_LAYER_CACHE(values, member)                       \
	ARGS_STRING("layer-cache", 0, values, member.layer_cache, "SIZE", \
		"keep so much of what registries gave, in the cache directory (10G; 0: nothing)")

#define ASSEMBLE_OPTION_PLATFORM(values, member)                                 \
	ARGS_STRING("platform", 0, values, member.platform, "OS/ARCH[/VARIANT]", \
		"which image of an index (else this machine's)")
#define ASSEMBLE_OPTION_MAX_SIZE(values, member)                  \
	ARGS_SIZE("max-size", 0, values, member.max_size, "SIZE", \
		"refuse layers that are larger when decompressed (64G)")
#define ASSEMBLE_OPTION_MAX_RATIO(values, member)                               \
	ARGS_UINT(1, UINT32_MAX, "max-ratio", 0, values, member.max_ratio, "N", \
		"refuse layers that grow more than so much (100; from 1 GiB on)")
#define ASSEMBLE_OPTION_MAX_ENTRIES(values, member)                                 \
	ARGS_UINT(1, UINT32_MAX, "max-entries", 0, values, member.max_entries, "N", \
		"refuse images of more files (2000000)")

/* Layers on their way: downloaded ones are shown until all are there, then what was read of them. */
struct assemble_reading {
	pthread_mutex_t lock;      /* for downloads, which may outlive the reading */
	struct progress *progress; /* NULL: not now, or nothing is shown */
	atomic_bool downloading;
	atomic_uint_least64_t downloaded, read; /* bytes */
	uint64_t total;                         /* to be read */
};

/* Something opened, then built. ASSEMBLE_INIT before assemble_open; it stays where it is. */
#define ASSEMBLE_INIT                                      \
	{                                                  \
		.reading.lock = PTHREAD_MUTEX_INITIALIZER, \
	}

struct assemble {
	enum source_kind kind;
	const char *path;            /* dir:, img: */
	struct source *source;       /* NULL: dir:, img: */
	char *reference;             /* for the recipe */
	char name[NAME_LEN_MAX + 1]; /* the image's own; "": none that is valid */
	struct assemble_reading reading;
	struct flatten flat;
	struct ext4_image *image;
	struct imgfile file; /* img: */
	uint64_t n_entries;
};

/* ARGS_RUN, or the exit code of a usage error. */
int assemble_check(const struct cmd *c, const struct assemble_options *o);
/* The lines of --help. */
void assemble_print_defaults(const struct cmd *c);
/* What `arg` is. Reads manifests, no layer. */
int assemble_open(struct assemble *a, const struct cmd *c, const struct assemble_options *o,
	const char *arg, struct interrupt *intr, struct smr_error *err);
/* Reads everything and lays it out; an image of at least `min_size` bytes. For img: it does nothing. */
int assemble_build(struct assemble *a, const struct cmd *c, const struct assemble_options *o,
	uint32_t chunk_size, uint64_t min_size, struct interrupt *intr, struct smr_error *err);
/* After assemble_build; valid until assemble_done. */
struct imgsource assemble_image(struct assemble *a);
void assemble_done(struct assemble *a);

#endif
