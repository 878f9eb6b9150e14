/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Pulls an image with the registry client and nothing else: what the scripts 6x start.
 *
 *     regpull [--insecure] [--ca FILE] [--cache DIR] [--platform P] [--connections N] [--limit BYTES] [--cancel MS] REFERENCE [DIR]
 *
 * prints reference, name, manifest digest, how many layers are cached, and a line a layer; its blobs go to DIR/0, DIR/1, ...,
 * the config to DIR/config. --limit: bytes of each layer to be read, then it is closed. --cancel: after so long.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../../chunker/build/registry.h"
#include "../../chunker/core/fd.h"

static atomic_bool cancel;
static atomic_ullong brought;

static void progress(void *user, uint64_t n, uint64_t total)
{
	(void)user;
	(void)total;
	atomic_fetch_add(&brought, n);
}

static void *cancel_later(void *arg)
{
	usleep((useconds_t)atoi(arg) * 1000);
	atomic_store(&cancel, true);
	return NULL;
}

static int save(const char *dir, const char *name, int *ret)
{
	char path[4096];

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	*ret = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	return *ret < 0 ? -errno : 0;
}

static int pull_layer(
	struct source *s, size_t i, const char *dir, uint64_t limit, struct smr_error *err)
{
	static char data[100000];
	char hex[CHUNKID_HEX + 1], name[24];
	struct source_blob *b;
	size_t n = 1;
	int fd = -1, r = source_blob_open(s, i, &b, err);

	if (r < 0)
		return r;
	snprintf(name, sizeof(name), "%zu", i);
	if (dir)
		r = save(dir, name, &fd);
	while (r == 0 && n > 0 && source_blob_bytes(b) < limit) {
		r = source_blob_read(b, data, sizeof(data), &n, err);
		if (r == 0 && fd >= 0)
			r = fd_write(fd, data, n);
	}
	if (fd >= 0)
		close(fd);
	chunkid_format(&s->layers[i].digest, hex);
	if (r == 0)
		printf("layer %zu sha256:%s %" PRIu64 "\n", i, hex, source_blob_bytes(b));
	source_blob_close(b);
	return r;
}

static int pull(const char *reference, const struct source_options *opts, const char *dir,
	uint64_t limit, struct smr_error *err)
{
	struct source *s = NULL;
	char hex[CHUNKID_HEX + 1];
	int fd = -1, r = registry_open(reference, opts, &s, err);

	if (r < 0)
		return r;
	chunkid_format(&s->manifest, hex);
	printf("reference %s\nname %s\nmanifest sha256:%s\nlayers %zu\ncached %" PRIu64 "\n",
		s->reference, s->name, hex, s->n_layers, s->n_cached);
	if (dir)
		r = save(dir, "config", &fd);
	if (fd >= 0) {
		r = fd_write(fd, s->config, s->config_len);
		close(fd);
	}
	for (size_t i = 0; r == 0 && i < s->n_layers; i++)
		r = pull_layer(s, i, dir, limit, err);
	printf("brought %llu\n", (unsigned long long)atomic_load(&brought));
	source_free(s);
	return r;
}

int main(int argc, char **argv)
{
	struct source_options opts = {.cancel = &cancel, .progress = progress};
	struct smr_error err = {0};
	struct platform platform;
	uint64_t limit = UINT64_MAX;
	pthread_t canceler;
	int i = 1, r = 0;

	for (; i < argc && argv[i][0] == '-'; i++) {
		const char *value = i + 1 < argc ? argv[i + 1] : "";

		if (strcmp(argv[i], "--insecure") == 0) {
			opts.insecure = true;
			continue;
		}
		if (strcmp(argv[i], "--ca") == 0)
			opts.ca_file = value;
		else if (strcmp(argv[i], "--cache") == 0)
			opts.cache_dir = value;
		else if (strcmp(argv[i], "--connections") == 0)
			opts.n_connections = (unsigned)atoi(value);
		else if (strcmp(argv[i], "--limit") == 0)
			limit = strtoull(value, NULL, 10);
		else if (strcmp(argv[i], "--cancel") == 0)
			pthread_create(&canceler, NULL, cancel_later, (void *)value);
		else if (strcmp(argv[i], "--platform") == 0) {
			r = platform_parse(value, &platform, &err);
			opts.platform = &platform;
		}
		i++;
	}
	if (r == 0 && i < argc)
		r = pull(argv[i], &opts, argv[i + 1], limit, &err);
	if (r < 0)
		fprintf(stderr, "regpull: %s\n", error_text(&err, r));
	return r < 0;
}
