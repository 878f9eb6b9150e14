/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * References of images in registries, as docker normalises them (distribution/reference: grammar of reference.go).
 *
 *     [docker://][HOST[:PORT]/]PATH[:TAG][@sha256:HEX]
 *
 * What stands before the first '/' is a host when it has a '.' or a ':', an upper-case letter, or is "localhost"; otherwise
 * the host is docker.io, where a PATH of one component is below library/. Without TAG and digest the tag is "latest"; with a
 * digest the tag only says what the image is called.
 *
 * A plain value. Pure; any thread.
 */
#ifndef BUILD_IMAGEREF_H
#define BUILD_IMAGEREF_H

#include <stdbool.h>

#include "../core/chunkid.h"
#include "../core/error.h"

#define IMAGEREF_NAME_MAX 255 /* characters of HOST:PORT/PATH */
#define IMAGEREF_TAG_MAX  128
#define IMAGEREF_TEXT_MAX (2 * IMAGEREF_NAME_MAX + IMAGEREF_TAG_MAX + CHUNKID_HEX + 16)

struct imageref {
	char host[IMAGEREF_NAME_MAX +
		  1]; /* with the port, as it was written: "docker.io", "[::1]:5000" */
	char path[IMAGEREF_NAME_MAX + 1]; /* "library/debian" */
	char tag[IMAGEREF_TAG_MAX + 1];   /* "": none, and there is a digest */
	bool has_digest;
	struct chunkid digest;
};

/* -EINVAL with a message. */
int imageref_parse(const char *s, struct imageref *ret, struct smr_error *err);

/* "docker.io/library/debian:12", "HOST/PATH:TAG@sha256:HEX"; parses to the same. Returns `ret`. */
char *imageref_format(const struct imageref *ref, char ret[IMAGEREF_TEXT_MAX]);

/* HOST[:PORT] to connect to: docker.io's registry has another name. */
const char *imageref_endpoint(const struct imageref *ref);

/* What follows /v2/PATH/manifests/: the digest, or else the tag. Returns `ret`. */
char *imageref_object(const struct imageref *ref, char ret[IMAGEREF_TAG_MAX + 1]);

#endif
