/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Where an image comes from: its layers in order, and what is said about them.
 *
 *     REFERENCE                  a registry        docker.io/library/debian:12, debian, docker://HOST/PATH@sha256:HEX
 *     oci:DIR[:REF]              an OCI image layout
 *     docker-archive:FILE[:REF]  what `docker save` writes, compressed or not
 *     tar:FILE                   one layer
 *     dir:PATH                   a file tree of this machine   (dir_source.h: no layers)
 *     img:FILE                   a disk image                  (imgfile.h: no tree)
 *
 * A client (registry, oci_layout, docker_archive, tar_source) fills in a struct source and yields the bytes of blobs as
 * they are stored; source_blob_read compares them with the digest and size that the manifest has, whoever the client is.
 * What is inside the compression is verified by diff_id in layer.c. A client trusts nothing that it parses: bounded bodies,
 * strict digests (manifest.h).
 *
 * A source belongs to one thread. Blobs that are open may be read by other threads, each by one at a time, until
 * source_free. A client that downloads in parallel does so behind open and read; what is not asked for in order of the
 * layers costs only time.
 *
 * errnos, beside those of I/O: -EBADMSG: not what the digests say, or no image at all; -ENOENT: no such image, or
 * none for the platform; -EFBIG: over a limit; -ENOTSUP: a kind of image or layer that this program does not know.
 */
#ifndef BUILD_SOURCE_H
#define BUILD_SOURCE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../core/chunkid.h"
#include "../core/error.h"
#include "../core/name.h"
#include "limits.h"
#include "platform.h"

#define SOURCE_LAYERS_MAX 1024u

enum source_kind {
	SOURCE_REGISTRY,
	SOURCE_OCI,
	SOURCE_DOCKER_ARCHIVE,
	SOURCE_TAR,
	SOURCE_DIR,
	SOURCE_IMG,
};

/* By the prefix alone; *ret_rest is what follows it, inside `arg`. */
enum source_kind source_kind(const char *arg, const char **ret_rest);

struct source_options {
	const struct platform *platform; /* NULL: this machine's; an image without a choice is taken
					    as it is then */
	const char *temp_dir;      /* for files that are gone at the end; NULL: as spool_new */
	const atomic_bool *cancel; /* looked at where waiting can take long; may be NULL */
	const struct limits
		*limits; /* of archives that are compressed as a whole; NULL: defaults */
	/* Registries: */
	bool insecure;          /* plain http to hosts that are not loopback */
	const char *ca_file;    /* PEM, trusted beside the system's; may be NULL */
	const char *cache_dir;  /* of layers, by digest; NULL: none is kept */
	uint64_t cache_bytes;   /* it may have; 0: the default of layer_cache.h */
	unsigned n_connections; /* 0: the client's choice */
	/* `n` more bytes came from the network, of `total` that are to come (0: not known yet). From any thread; may be
	 * NULL. */
	void (*progress)(void *user, uint64_t n, uint64_t total);
	void *user;
};

struct source_layer {
	bool has_digest;
	struct chunkid digest; /* of the blob, as it is stored */
	bool has_diff_id;
	struct chunkid diff_id; /* of the tar in it */
	bool has_size;
	uint64_t size; /* of the blob, bytes */
};

struct source;

/* What a client implements. NULL: no open, read or close for sources without layers. */
struct source_ops {
	/* Starts blob of layer `i`. *ret_blob is the client's own. May block. */
	int (*open)(struct source *s, size_t i, void **ret_blob, struct smr_error *err);
	/* The next bytes, at most `n`; *ret_n 0 only at the end. May block. */
	int (*read)(struct source *s, void *blob, void *data, size_t n, size_t *ret_n,
		struct smr_error *err);
	void (*close)(struct source *s, void *blob);
	void (*free)(struct source *s); /* the client's struct too; source_done first */
};

/* First member of every client's struct. */
struct source {
	const struct source_ops *ops;
	enum source_kind kind;
	char *reference; /* for the recipe and messages: nothing of this machine but names of files */
	char name[NAME_LEN_MAX +
		  1];      /* what the image is called unless told otherwise; "": nothing valid */
	bool has_manifest; /* of the image, after the choice of platform */
	struct chunkid manifest;
	char *config; /* JSON of the image configuration; NULL: none */
	size_t config_len;
	struct source_layer *layers; /* the lowest first */
	size_t n_layers;
	uint64_t n_cached;       /* layers that need no network */
	uint64_t download_bytes; /* what the others take of it */
};

/* `arg` of any kind with layers. -EINVAL for dir: and img:. `opts` may be NULL. */
int source_open(const char *arg, const struct source_options *opts, struct source **ret,
	struct smr_error *err);
void source_free(struct source *s); /* NULL is fine */

/* ---- blobs ---- */

struct source_blob;

int source_blob_open(struct source *s, size_t i, struct source_blob **ret, struct smr_error *err);
/* The next bytes, at most `n`; *ret_n is 0 only at the end, and the end is reached only when digest and size are what
 * they should be: -EBADMSG otherwise. Nothing that was read is good before that. */
int source_blob_read(
	struct source_blob *b, void *data, size_t n, size_t *ret_n, struct smr_error *err);
/* Bytes read so far. */
uint64_t source_blob_bytes(const struct source_blob *b);
void source_blob_close(struct source_blob *b); /* at any time; NULL is fine */

/* ---- for clients ---- */

/* Takes what a manifest and a config say about layers: `digests` and sizes from the manifest, diff_ids from the config, as
 * many of each (-EBADMSG). Fills s->config (copied), s->layers, s->n_layers. */
struct manifest;
int source_take_manifest(struct source *s, const struct manifest *m, const char *config,
	size_t config_len, const struct platform *platform, struct smr_error *err);
/* Frees what is in the struct, not the struct. */
void source_done(struct source *s);

/* The name of an image with this reference: "docker.io/library/" and "docker.io/" in front are left out, then '/' and ':'
 * become '_'; a digest counts only where there is no tag, with its first 12 digits. "" where that is no valid name. */
void source_name_of_reference(const char *reference, char ret[NAME_LEN_MAX + 1]);
/* The same of a file: its last component without .tar, .tar.gz, .tgz, .tar.zst. */
void source_name_of_path(const char *path, char ret[NAME_LEN_MAX + 1]);

#endif
