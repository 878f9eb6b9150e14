/* SPDX-License-Identifier: BSD-3-Clause */
/* OCI image layouts and docker archives for tests. Aborts on failure. */
#ifndef TESTS_UNIT_LAYOUT_BUILDER_H
#define TESTS_UNIT_LAYOUT_BUILDER_H

#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../../chunker/core/chunkid.h"

#define LAYOUT_TYPE(what) "application/vnd.oci.image." what

/* A descriptor as JSON: digest and size of some bytes. */
struct layout_blob {
	char hex[CHUNKID_HEX + 1];
	size_t size;
};

static inline struct layout_blob layout_blob_of(const void *data, size_t n)
{
	struct layout_blob b = {.size = n};
	struct chunkid id;

	chunkid_hash(data, n, &id);
	chunkid_format(&id, b.hex);
	return b;
}

static inline void layout_write(int dir, const char *name, const void *data, size_t n)
{
	int fd = openat(dir, name, O_CREAT | O_TRUNC | O_WRONLY, 0644);

	if (fd < 0 || write(fd, data, n) != (ssize_t)n)
		abort();
	close(fd);
}

static inline void layout_init(int dir)
{
	static const char version[] = "{\"imageLayoutVersion\": \"1.0.0\"}";

	if (mkdirat(dir, "blobs", 0755) < 0 || mkdirat(dir, "blobs/sha256", 0755) < 0)
		abort();
	layout_write(dir, "oci-layout", version, strlen(version));
}

static inline struct layout_blob layout_put(int dir, const void *data, size_t n)
{
	struct layout_blob b = layout_blob_of(data, n);
	char path[100];

	snprintf(path, sizeof(path), "blobs/sha256/%s", b.hex);
	layout_write(dir, path, data, n);
	return b;
}

static inline struct layout_blob layout_put_text(int dir, const char *format, ...)
{
	struct layout_blob b;
	va_list args;
	char *s;

	va_start(args, format);
	if (vasprintf(&s, format, args) < 0)
		abort();
	va_end(args);
	b = layout_put(dir, s, strlen(s));
	free(s);
	return b;
}

/* A config and a manifest for one layer, which is not compressed. Returns the manifest. */
static inline struct layout_blob layout_put_image(
	int dir, struct layout_blob layer, const char *arch)
{
	struct layout_blob config = layout_put_text(dir,
		"{\"os\": \"linux\", \"architecture\": \"%s\", "
		"\"rootfs\": {\"type\": \"layers\", \"diff_ids\": [\"sha256:%s\"]}}",
		arch, layer.hex);

	return layout_put_text(dir,
		"{\"schemaVersion\": 2, \"config\": {\"mediaType\": \"" LAYOUT_TYPE(
			"config.v1+json") "\", \"digest\": \"sha256:%s\", \"size\": %zu}, "
					  "\"layers\": [{\"mediaType\": \"" LAYOUT_TYPE(
						  "layer.v1.tar") "\", "
								  "\"digest\": \"sha256:%s\", "
								  "\"size\": %zu}]}",
		config.hex, config.size, layer.hex, layer.size);
}

#endif
