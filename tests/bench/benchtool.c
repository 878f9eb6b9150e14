/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The reads and timings of the benchmarks. Every verb prints one line of numbers. FILE may be a block device; MAP is a sparse
 * file of the same content whose data extents say what is worth reading (holes cost nothing and would flatter).
 *
 *     drop FILE                         forgets the page cache of FILE
 *     seq FILE MAP                      1 MiB reads in order                         bytes per second
 *     rand FILE MAP THREADS SECONDS     4 KiB O_DIRECT reads anywhere                reads per second
 *     open FILE COUNT                   open, read 4 KiB, close                      microseconds each
 *     cold FILE MAP THREADS COUNT SEED  COUNT reads a thread, each of a chunk that   reads per second, and the
 *                                       no other read touches                        median read in milliseconds
 *     extents MAP                       writes the data of MAP to standard output
 *     run COMMAND...                    its standard output goes to standard error   seconds, CPU seconds, peak KiB
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define BLOCK (1u << 20)
#define PAGE  4096u
/* The chunk size of the images that are measured. */
#define CHUNK (512u << 10)

static _Noreturn void die(const char *what)
{
	fprintf(stderr, "benchtool: %s: %s\n", what, strerror(errno));
	exit(1);
}

static double now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static int open_or_die(const char *path, int flags)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | flags);

	if (fd < 0)
		die(path);
	return fd;
}

static void *buffer(size_t n)
{
	void *p;

	if (posix_memalign(&p, PAGE, n))
		die("memory");
	memset(p, 0, n);
	return p;
}

static unsigned long number(const char *s)
{
	char *end;
	unsigned long n = strtoul(s, &end, 10);

	if (*end || !n) {
		errno = EINVAL;
		die(s);
	}
	return n;
}

/* Positions of the pieces of `size` bytes, aligned to it, that lie wholly in data of the file. */
struct pieces {
	uint64_t *at;
	size_t n;
};

static struct pieces find_pieces(const char *map, uint64_t size)
{
	struct pieces p = {0};
	int fd = open_or_die(map, 0);
	off_t data, hole = 0;
	size_t capacity = 0;

	while ((data = lseek(fd, hole, SEEK_DATA)) >= 0) {
		hole = lseek(fd, data, SEEK_HOLE);
		for (uint64_t at = ((uint64_t)data + size - 1) / size * size;
			at + size <= (uint64_t)hole; at += size) {
			if (p.n == capacity) {
				capacity = capacity ? capacity * 2 : 4096;
				p.at = reallocarray(p.at, capacity, sizeof(*p.at));
				if (!p.at)
					die("memory");
			}
			p.at[p.n++] = at;
		}
	}
	close(fd);
	if (!p.n) {
		errno = ENODATA;
		die(map);
	}
	return p;
}

static uint64_t next_random(uint64_t *state)
{
	/* xorshift64* (Vigna 2016) */
	*state ^= *state >> 12;
	*state ^= *state << 25;
	*state ^= *state >> 27;
	return *state * 0x2545f4914f6cdd1dull;
}

/* ---- verbs ---- */

static void drop(int fd)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		die("fstat");
	if (S_ISBLK(st.st_mode) ? ioctl(fd, BLKFLSBUF, 0) < 0
				: posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED) != 0)
		die("drop");
}

static int verb_drop(char **arg)
{
	drop(open_or_die(arg[0], 0));
	return 0;
}

static int verb_seq(char **arg)
{
	struct pieces p = find_pieces(arg[1], BLOCK);
	int fd = open_or_die(arg[0], 0);
	void *data = buffer(BLOCK);
	double start = now();

	for (size_t i = 0; i < p.n; i++)
		if (pread(fd, data, BLOCK, (off_t)p.at[i]) != BLOCK)
			die(arg[0]);
	printf("%.0f\n", (double)p.n * BLOCK / (now() - start));
	return 0;
}

struct reader {
	pthread_t thread;
	const char *path;
	const struct pieces *pieces;
	uint64_t seed;
	double seconds;    /* rand */
	size_t from, step; /* cold: positions in pieces */
	size_t n;          /* cold: reads to do; rand: reads done */
	double *took;      /* cold */
};

static void *read_randomly(void *arg)
{
	struct reader *r = arg;
	int fd = open_or_die(r->path, O_DIRECT);
	void *data = buffer(PAGE);
	double end = now() + r->seconds;

	while (now() < end) {
		for (unsigned i = 0; i < 16; i++, r->n++) {
			uint64_t at = r->pieces->at[next_random(&r->seed) % r->pieces->n];

			if (pread(fd, data, PAGE, (off_t)at) != PAGE)
				die(r->path);
		}
	}
	free(data);
	close(fd);
	return NULL;
}

static int verb_rand(char **arg)
{
	struct pieces p = find_pieces(arg[1], PAGE);
	size_t threads = number(arg[2]), done = 0;
	struct reader *r = calloc(threads, sizeof(*r));
	double start = now();

	if (!r)
		die("memory");
	for (size_t i = 0; i < threads; i++) {
		r[i] = (struct reader){.path = arg[0],
			.pieces = &p,
			.seed = 88172645463325252ull + i,
			.seconds = (double)number(arg[3])};
		pthread_create(&r[i].thread, NULL, read_randomly, &r[i]);
	}
	for (size_t i = 0; i < threads; i++) {
		pthread_join(r[i].thread, NULL);
		done += r[i].n;
	}
	printf("%.0f\n", (double)done / (now() - start));
	return 0;
}

static int verb_open(char **arg)
{
	size_t n = number(arg[1]);
	void *data = buffer(PAGE);
	double start = now();

	for (size_t i = 0; i < n; i++) {
		int fd = open_or_die(arg[0], 0);

		if (pread(fd, data, PAGE, 0) != PAGE)
			die(arg[0]);
		close(fd);
	}
	printf("%.3f\n", (now() - start) * 1e6 / (double)n);
	return 0;
}

static void *read_cold(void *arg)
{
	struct reader *r = arg;
	int fd = open_or_die(r->path, 0);
	void *data = buffer(PAGE);

	posix_fadvise(fd, 0, 0, POSIX_FADV_RANDOM);
	for (size_t i = 0; i < r->n; i++) {
		uint64_t at = r->pieces->at[r->from + i * r->step];
		double start = now();

		if (pread(fd, data, PAGE, (off_t)at) != PAGE)
			die(r->path);
		r->took[i] = now() - start;
	}
	free(data);
	close(fd);
	return NULL;
}

static int compare_doubles(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return x < y ? -1 : x > y;
}

static int verb_cold(char **arg)
{
	struct pieces p = find_pieces(arg[1], CHUNK);
	size_t threads = number(arg[2]), count = number(arg[3]);
	uint64_t seed = number(arg[4]) * 0x9e3779b97f4a7c15ull;
	double *took = calloc(threads * count, sizeof(*took)), start;
	struct reader *r = calloc(threads, sizeof(*r));

	if (!took || !r)
		die("memory");
	if (p.n < threads * count) {
		errno = ERANGE;
		die("too few chunks");
	}
	for (size_t i = 0; i < threads * count; i++) { /* Fisher-Yates */
		size_t j = i + next_random(&seed) % (p.n - i);
		uint64_t at = p.at[j];

		p.at[j] = p.at[i];
		p.at[i] = at;
	}
	start = now();
	for (size_t i = 0; i < threads; i++) {
		r[i] = (struct reader){.path = arg[0],
			.pieces = &p,
			.from = i,
			.step = threads,
			.n = count,
			.took = took + i * count};
		pthread_create(&r[i].thread, NULL, read_cold, &r[i]);
	}
	for (size_t i = 0; i < threads; i++)
		pthread_join(r[i].thread, NULL);
	start = now() - start;
	qsort(took, threads * count, sizeof(*took), compare_doubles);
	printf("%.2f %.3f\n", (double)(threads * count) / start, took[threads * count / 2] * 1e3);
	return 0;
}

static int verb_extents(char **arg)
{
	int fd = open_or_die(arg[0], 0);
	char *data = buffer(BLOCK);
	off_t at, hole = 0;

	while ((at = lseek(fd, hole, SEEK_DATA)) >= 0) {
		hole = lseek(fd, at, SEEK_HOLE);
		while (at < hole) {
			size_t want = hole - at < BLOCK ? (size_t)(hole - at) : BLOCK;
			ssize_t n = pread(fd, data, want, at);

			if (n <= 0 || fwrite(data, 1, (size_t)n, stdout) != (size_t)n)
				die(arg[0]);
			at += n;
		}
	}
	return fflush(stdout) ? 1 : 0;
}

static double seconds(struct timeval t)
{
	return (double)t.tv_sec + (double)t.tv_usec / 1e6;
}

static int verb_run(char **arg)
{
	double start = now();
	struct rusage used;
	pid_t pid = fork();
	int status;

	if (pid < 0)
		die("fork");
	if (pid == 0) {
		dup2(2, 1);
		execvp(arg[0], arg);
		die(arg[0]);
	}
	if (wait4(pid, &status, 0, &used) < 0)
		die("wait");
	start = now() - start;
	/* of the command and what it waited for; the peak is that of the largest process */
	printf("%.3f %.3f %ld\n", start, seconds(used.ru_utime) + seconds(used.ru_stime),
		used.ru_maxrss);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}

static const struct verb {
	const char *name;
	int n_args; /* -1: at least one */
	int (*run)(char **arg);
} verbs[] = {
	{"drop", 1, verb_drop},
	{"seq", 2, verb_seq},
	{"rand", 4, verb_rand},
	{"open", 2, verb_open},
	{"cold", 5, verb_cold},
	{"extents", 1, verb_extents},
	{"run", -1, verb_run},
};

int main(int argc, char **argv)
{
	for (size_t i = 0; argc > 2 && i < sizeof(verbs) / sizeof(verbs[0]); i++) {
		if (strcmp(argv[1], verbs[i].name) == 0 &&
			(verbs[i].n_args < 0 || verbs[i].n_args == argc - 2))
			return verbs[i].run(argv + 2);
	}
	fprintf(stderr, "usage: benchtool VERB ARG... (see the top of benchtool.c)\n");
	return 2;
}
