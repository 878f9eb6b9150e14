/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the local cache costs by itself: a pool of COUNT chunks of 512 KiB, of which 16 KiB are not zeros (a disk for benchmarks seldom
 * has room for the rest). Every verb prints one line of numbers.
 *
 *     fill DIR COUNT      puts them                                           microseconds each
 *     evict DIR COUNT     opens the cache with room for none, closes it       microseconds each
 *     unlink DIR COUNT    unlinks the pool's files, and syncs the disk        microseconds each
 *     index DIR COUNT     leaves an index of COUNT chunks, and no files       seconds
 *     start DIR COUNT     opens a clean cache of COUNT chunks                 seconds; resident memory then, and
 *                                                                             after each was used and recorded, KiB
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "../../cached/index.h"
#include "../../cached/local.h"
#include "../../chunker/core/clock.h"

#define CHUNK       (512u << 10)
#define DATA        (16u << 10)
#define TOUCH_BATCH 512u
#define INDEX_AHEAD 100000u /* records queued before the writer is waited for */

static _Noreturn void die(const char *what, int r)
{
	fprintf(stderr, "evictbench: %s: %s\n", what, strerror(-r));
	exit(1);
}

static void require(const char *what, int r)
{
	if (r < 0)
		die(what, r);
}

static struct chunkid id_of(uint32_t n)
{
	struct chunkid id;

	chunkid_hash(&n, sizeof(n), &id);
	return id;
}

static void ignore(void *user, const struct chunkid *id)
{
	(void)user;
	(void)id;
}

static struct local *open_cache(int dir_fd, const char *dir, uint64_t size)
{
	struct local_options opts = {.dir = dir, .size = size, .evicted = ignore};
	struct smr_error err = {0};
	struct local *l;

	require(dir, local_open(dir_fd, &opts, &l, &err));
	return l;
}

static double us_each(uint64_t since_ns, uint32_t count)
{
	return (double)(clock_ns() - since_ns) / 1e3 / count;
}

/* KiB. */
static long resident(void)
{
	FILE *f = fopen("/proc/self/status", "re");
	char line[128];
	long kib = 0;

	while (f && fgets(line, sizeof(line), f))
		sscanf(line, "VmRSS: %ld", &kib);
	if (f)
		fclose(f);
	return kib;
}

static void fill(int dir_fd, const char *dir, uint32_t count)
{
	struct local *l = open_cache(dir_fd, dir, UINT64_MAX);
	unsigned char *bytes = calloc(1, CHUNK);
	uint64_t t = clock_ns();

	if (!bytes)
		die("memory", -ENOMEM);
	memset(bytes, 0x5a, DATA);
	for (uint32_t i = 0; i < count; i++) {
		struct chunkid id = id_of(i);
		int fd;

		require("put", local_put(l, &id, bytes, CHUNK, &fd));
		close(fd);
	}
	printf("%.2f\n", us_each(t, count));
	free(bytes);
	local_close(l);
}

static void evict(int dir_fd, const char *dir, uint32_t count)
{
	struct cache_counters c = {0};
	uint64_t t = clock_ns();
	struct local *l = open_cache(dir_fd, dir, 0);

	local_counters(l, &c);
	local_close(l);
	if (c.evicted != count)
		die("not all were evicted", -EINVAL);
	printf("%.2f\n", us_each(t, count));
}

static uint32_t unlink_all_in(int dir_fd, const char *path)
{
	int fd = openat(dir_fd, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = fd < 0 ? NULL : fdopendir(fd);
	uint32_t n = 0;

	if (!d)
		return 0;
	for (struct dirent *e; (e = readdir(d));)
		n += e->d_name[0] != '.' && unlinkat(fd, e->d_name, 0) == 0;
	closedir(d);
	return n;
}

static void unlink_all(int dir_fd, const char *dir, uint32_t count)
{
	uint64_t t = clock_ns();
	uint32_t n = 0;
	char path[16];

	for (unsigned i = 0; i < 256; i++) {
		snprintf(path, sizeof(path), "pool/%02x", i);
		n += unlink_all_in(dir_fd, path);
	}
	if (n != count)
		die(dir, -ENOENT);
	syncfs(dir_fd); /* as a cache does that closes */
	printf("%.2f\n", us_each(t, count));
}

static void make_index(int dir_fd, const char *dir, uint32_t count)
{
	uint64_t t = clock_ns();
	struct index *x;
	bool kept;

	require(dir, index_open(dir_fd, &x, &kept, NULL));
	for (uint32_t i = 0; i < count; i++) {
		struct chunkid id = id_of(i);
		struct index_record rec = {
			.stamp = {.ino = i + 1, .ctime_ns = i, .size = CHUNK, .bytes = CHUNK},
			.used = {.last = (uint32_t)time(NULL) - i % 1000000,
				.prev = i % 3 ? i + 1 : 0}};

		index_put(x, &id, &rec);
		if (i % INDEX_AHEAD == 0)
			index_flush(x);
	}
	index_close(x, true);
	printf("%.3f\n", us_each(t, 1) / 1e6);
}

static void start(int dir_fd, const char *dir, uint32_t count)
{
	static struct chunkid ids[TOUCH_BATCH];
	struct cache_counters c = {0};
	uint64_t t = clock_ns();
	struct local *l = open_cache(dir_fd, dir, UINT64_MAX);
	double seconds = us_each(t, 1) / 1e6;
	long before = resident();

	local_counters(l, &c);
	if (c.live_chunks != count)
		die("not all are known", -EINVAL);
	for (uint32_t i = 0; i < count; i += TOUCH_BATCH) {
		uint32_t n = count - i < TOUCH_BATCH ? count - i : TOUCH_BATCH;

		for (uint32_t k = 0; k < n; k++)
			ids[k] = id_of(i + k);
		local_touch(l, ids, n);
		usleep(n);
	}
	sleep(2);
	printf("%.3f %ld %ld\n", seconds, before, resident());
	local_close(l);
}

static const struct {
	const char *name;
	void (*run)(int dir_fd, const char *dir, uint32_t count);
} verbs[] = {
	{"fill", fill},
	{"evict", evict},
	{"unlink", unlink_all},
	{"index", make_index},
	{"start", start},
};

int main(int argc, char **argv)
{
	uint32_t count = argc == 4 ? (uint32_t)strtoul(argv[3], NULL, 10) : 0;

	for (size_t i = 0; count && i < sizeof(verbs) / sizeof(verbs[0]); i++) {
		int fd;

		if (strcmp(argv[1], verbs[i].name) != 0)
			continue;
		fd = open(argv[2], O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		if (fd < 0)
			die(argv[2], -errno);
		verbs[i].run(fd, argv[2], count);
		close(fd);
		return 0;
	}
	fprintf(stderr, "usage: evictbench fill|evict|unlink|index|start DIR COUNT\n");
	return 2;
}
