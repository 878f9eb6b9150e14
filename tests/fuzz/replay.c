/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Runs a fuzz target without a fuzzer: over the empty input and over every file of the folders that are
 * its arguments. A finding ends the process, after the name of its input; a folder that is missing or
 * empty is a failure too, for then nothing was tested.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../../chunker/core/buf.h"
#include "../../chunker/core/cleanup.h"
#include "../../chunker/core/fd.h"

#define REPLAY_INPUT_MAX (64u << 20)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

/* From memory of exactly this size, so that a sanitizer sees reads beyond it. */
static int run_bytes(const void *data, size_t n)
{
	uint8_t *exact auto_free = malloc(n ? n : 1);
	if (!exact)
		return -ENOMEM;
	if (n > 0)
		memcpy(exact, data, n);
	LLVMFuzzerTestOneInput(exact, n);
	return 0;
}

static int run_file(int dirfd, const char *name)
{
	struct buf b auto_with(buf_done);
	buf_init(&b, REPLAY_INPUT_MAX);
	int r = fd_read_file(dirfd, name, &b);
	return r < 0 ? r : run_bytes(b.data, b.len);
}

/* Returns the number of files, or a negative errno. */
static int run_folder(const char *path)
{
	struct dirent **entries = NULL;
	int dirfd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dirfd < 0)
		return -errno;
	int n = scandirat(dirfd, ".", &entries, NULL, alphasort), files = 0;
	int r = n < 0 ? -errno : 0;
	for (int i = 0; i < n; i++) {
		if (r == 0 && entries[i]->d_name[0] != '.') {
			fprintf(stderr, "%s/%s\n", path, entries[i]->d_name);
			r = run_file(dirfd, entries[i]->d_name);
			files++;
		}
		free(entries[i]);
	}
	free(entries);
	close(dirfd);
	return r < 0 ? r : files;
}

int main(int argc, char **argv)
{
	if (argc < 2) {
		fprintf(stderr, "usage: %s FOLDER...\n", argv[0]);
		return 2;
	}
	fprintf(stderr, "the empty input\n");
	int r = run_bytes(NULL, 0);
	for (int i = 1; r >= 0 && i < argc; i++) {
		r = run_folder(argv[i]);
		if (r == 0)
			r = -ENODATA;
		if (r < 0)
			fprintf(stderr, "%s: %s\n", argv[i], strerror(-r));
		else
			fprintf(stderr, "%s: %d files\n", argv[i], r);
	}
	return r < 0;
}
