/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Cuts a disk image into chunks and publishes it: the image's data is read by all CPUs, each chunk
 * hashed, encoded and put where the store does not have it yet, and the recipe last. The same image
 * under the same name gives the same recipe, byte for byte, whatever the number of threads and
 * wherever the image lies.
 *
 * Memory: two chunks and a zstd context a thread, plus 36 bytes a stored chunk.
 */
#ifndef BUILD_CUTTER_H
#define BUILD_CUTTER_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "../core/chunkid.h"
#include "../store/store.h"
#include "imgsource.h"

struct cutter_options {
	const char *name;    /* of the image, name_valid() */
	uint32_t chunk_size; /* bytes; 0: default */
	int level;           /* of zstd; 0: default */
	unsigned n_threads;  /* 0: one a CPU */
	bool repair; /* fetch what the store has already, and put it anew where it is damaged */
	const atomic_bool *cancel; /* looked at before every chunk; may be NULL */
	/* What the recipe says of the image beside its chunks; the same meaning and limits as in
	 * struct recipe_spec. Zeros: nothing is known. */
	uint32_t layout;
	uint64_t meta_end;
	const char *config;
	size_t config_len;
	const char *source;
	const struct chunkid *manifest_digest;
	/* Bytes [0, position) of the image have been handed out, `data_bytes` more were worked on.
	 * From any of the threads, several at once; may be NULL. */
	void (*progress)(void *user, uint64_t position, uint64_t data_bytes);
	void *user;
};

struct cutter_result {
	struct chunkid digest;     /* of the recipe */
	uint64_t image_size;       /* bytes */
	uint64_t data_bytes;       /* bytes of the image in stored chunks */
	uint64_t n_chunks;         /* chunks of the image that are not zeros */
	uint64_t n_distinct;       /* different ones among them */
	uint64_t n_new;            /* chunks the store did not have */
	uint64_t n_repaired;       /* chunks it had, damaged */
	uint64_t new_bytes;        /* wire form of both */
	bool same;                 /* the store had this very recipe */
	bool replaced;             /* the name stood for another image */
	struct chunkid old_digest; /* of that; valid when replaced */
};

/* -ECANCELED: *cancel became true. -ESTALE: the image changed while it was read. -EFBIG: more chunks
 * than a recipe can hold. On failure no recipe was published; the chunks put so far stay, so that
 * the next run continues. */
int cutter_cut(struct store *store, const struct imgsource *img, const struct cutter_options *opts,
	struct cutter_result *ret, struct smr_error *err);

#endif
