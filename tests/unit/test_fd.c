/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "../../chunker/core/fd.h"

/* An empty directory for each test; the working directory is inside. */
static char dir[] = "/tmp/test_fd.XXXXXX";

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	return remove(path);
}

static int setup(void **state)
{
	(void)state;
	strcpy(dir + strlen(dir) - 6, "XXXXXX");
	return !mkdtemp(dir) || chdir(dir) < 0;
}

static int teardown(void **state)
{
	(void)state;
	return chdir("/") < 0 || nftw(dir, remove_one, 16, FTW_DEPTH | FTW_PHYS) < 0;
}

static void write_file(const char *path, const void *data, size_t n)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	assert_int_equal(fd_write(fd, data, n), 0);
	close(fd);
}

static unsigned count_entries(const char *path)
{
	char command[128];
	unsigned n = 0;
	snprintf(command, sizeof(command), "ls -A '%s' | wc -l", path);
	FILE *f = popen(command, "r");
	assert_non_null(f);
	assert_int_equal(fscanf(f, "%u", &n), 1);
	pclose(f);
	return n;
}

static void test_reads_stop_at_the_end_of_the_file(void **state)
{
	(void)state;
	write_file("f", "0123456789", 10);
	int fd = open("f", O_RDONLY | O_CLOEXEC);
	char data[16];
	size_t n = 99;
	assert_int_equal(fd_read(fd, data, 4, &n), 0);
	assert_int_equal(n, 4);
	assert_int_equal(fd_read(fd, data, sizeof(data), &n), 0);
	assert_int_equal(n, 6);
	assert_memory_equal(data, "456789", 6);
	assert_int_equal(fd_read(fd, data, sizeof(data), &n), 0);
	assert_int_equal(n, 0);
	assert_int_equal(fd_pread(fd, data, 5, 8, &n), 0);
	assert_int_equal(n, 2);
	assert_memory_equal(data, "89", 2);
	assert_int_equal(fd_pread(fd, data, 5, 1000, &n), 0);
	assert_int_equal(n, 0);
	close(fd);
	n = 99;
	assert_int_equal(fd_read(-1, data, 1, &n), -EBADF);
	assert_int_equal(fd_pread(-1, data, 1, 0, &n), -EBADF);
	assert_int_equal(fd_write(-1, data, 1), -EBADF);
	assert_int_equal(fd_pwrite(-1, data, 1, 0), -EBADF);
	assert_int_equal(n, 99);
}

static void on_signal(int signo)
{
	(void)signo;
}

struct dripper {
	int ends[2]; /* of a pipe */
	pthread_t reader;
};

/* Writes a few bytes at a time and interrupts the reader before each. */
static void *drip(void *arg)
{
	struct dripper *d = arg;
	for (int i = 0; i < 20; i++) {
		usleep(2000);
		pthread_kill(d->reader, SIGUSR1);
		if (write(d->ends[1], "abc", 3) != 3)
			break;
	}
	close(d->ends[1]);
	return NULL;
}

static void test_reads_survive_signals_and_pieces(void **state)
{
	(void)state;
	/* without SA_RESTART, so that read(2) fails with EINTR */
	struct sigaction act = {.sa_handler = on_signal}, before;
	sigaction(SIGUSR1, &act, &before);
	struct dripper arg = {.reader = pthread_self()};
	assert_int_equal(pipe2(arg.ends, O_CLOEXEC), 0);
	pthread_t thread;
	assert_int_equal(pthread_create(&thread, NULL, drip, &arg), 0);
	char data[100];
	size_t n = 0;
	assert_int_equal(fd_read(arg.ends[0], data, sizeof(data), &n), 0);
	assert_int_equal(n, 60);
	pthread_join(thread, NULL);
	close(arg.ends[0]);
	sigaction(SIGUSR1, &before, NULL);
}

static void test_sparse_write_leaves_zero_pages_as_holes(void **state)
{
	(void)state;
	enum { PAGE = 4096, PAGES = 64 };
	unsigned char *data = calloc(PAGES, PAGE);
	data[0] = 1;
	data[3 * PAGE + 17] = 1;
	memset(data + 20 * PAGE, 5, 3 * PAGE);
	data[PAGES * PAGE - 1] = 9;
	int fd = open("sparse", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	assert_int_equal(ftruncate(fd, PAGES * PAGE), 0);
	assert_int_equal(fd_pwrite_sparse(fd, data, PAGES * PAGE, 0), 0);
	unsigned char *back = malloc(PAGES * PAGE);
	size_t n;
	assert_int_equal(fd_pread(fd, back, PAGES * PAGE, 0, &n), 0);
	assert_int_equal(n, PAGES * PAGE);
	assert_memory_equal(data, back, PAGES * PAGE);
	struct stat st;
	assert_int_equal(fstat(fd, &st), 0);
	if (lseek(fd, PAGE, SEEK_DATA) != PAGE)
		assert_int_equal(st.st_blocks * 512, 6 * PAGE);
	close(fd);
	free(data);
	free(back);
}

static void test_sparse_write_at_odd_offsets_writes_what_it_must(void **state)
{
	(void)state;
	static const size_t offsets[] = {0, 1, 4095, 4096, 5000},
			    lengths[] = {0, 1, 100, 4096, 10000};
	for (size_t i = 0; i < 5; i++)
		for (size_t k = 0; k < 5; k++) {
			unsigned char data[10000] = {0}, back[20000];
			unsigned char expected[20000] = {0};
			for (size_t b = 0; b < lengths[k]; b += 977)
				data[b] = (unsigned char)(b % 3);
			memcpy(expected + offsets[i], data, lengths[k]);
			int fd = memfd_create("x", MFD_CLOEXEC);
			size_t n;
			assert_int_equal(ftruncate(fd, sizeof(back)), 0);
			assert_int_equal(fd_pwrite_sparse(fd, data, lengths[k], offsets[i]), 0);
			assert_int_equal(fd_pread(fd, back, sizeof(back), 0, &n), 0);
			assert_memory_equal(back, expected, sizeof(back));
			close(fd);
		}
}

static void test_read_file_appends_and_keeps_to_the_maximum(void **state)
{
	(void)state;
	write_file("f", "content", 7);
	struct buf b;
	buf_init(&b, 11);
	assert_int_equal(buf_append_str(&b, "old "), 0);
	assert_int_equal(fd_read_file(AT_FDCWD, "f", &b), 0);
	assert_string_equal(buf_cstr(&b), "old content");
	assert_int_equal(fd_read_file(AT_FDCWD, "f", &b), -EFBIG);
	assert_string_equal(buf_cstr(&b), "old content");
	assert_int_equal(fd_read_file(AT_FDCWD, "absent", &b), -ENOENT);
	assert_int_equal(fd_read_file(AT_FDCWD, ".", &b), -EISDIR);
	assert_string_equal(buf_cstr(&b), "old content");
	write_file("empty", "", 0);
	assert_int_equal(fd_read_file(AT_FDCWD, "empty", &b), 0);
	assert_int_equal(b.len, 11);
	buf_done(&b);
}

static void test_read_file_takes_files_whose_size_is_not_known(void **state)
{
	(void)state;
	struct buf b, small;
	buf_init(&b, 1 << 20);
	buf_init(&small, 5);
	assert_int_equal(fd_read_file(AT_FDCWD, "/proc/self/status", &b), 0);
	assert_true(b.len > 100);
	assert_int_equal(fd_read_file(AT_FDCWD, "/proc/self/status", &small), -EFBIG);
	assert_int_equal(small.len, 0);
	buf_done(&b);
	buf_done(&small);
}

static void test_replace_leaves_one_whole_file(void **state)
{
	(void)state;
	struct stat st;
	struct buf b;
	buf_init(&b, 1000);
	mode_t mask = umask(022);
	assert_int_equal(mkdir("sub", 0700), 0);
	assert_int_equal(fd_replace_file(AT_FDCWD, "sub/f", "one", 3, 0644), 0);
	assert_int_equal(fd_replace_file(AT_FDCWD, "sub/f", "second", 6, 0640), 0);
	umask(mask);
	assert_int_equal(fd_read_file(AT_FDCWD, "sub/f", &b), 0);
	assert_string_equal(buf_cstr(&b), "second");
	assert_int_equal(stat("sub/f", &st), 0);
	assert_int_equal(st.st_mode & 07777, 0640);
	assert_int_equal(count_entries("sub"), 1);

	int sub = open("sub", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_int_equal(fd_replace_file(sub, "f", "", 0, 0600), 0);
	close(sub);
	char path[128];
	snprintf(path, sizeof(path), "%s/sub/g", dir);
	assert_int_equal(fd_replace_file(AT_FDCWD, path, "abs", 3, 0600), 0);
	assert_int_equal(stat("sub/f", &st), 0);
	assert_int_equal(st.st_size, 0);
	buf_done(&b);
}

static void test_a_failed_replace_leaves_no_temporary_file(void **state)
{
	(void)state;
	assert_int_equal(mkdir("target", 0700), 0);
	assert_int_equal(fd_replace_file(AT_FDCWD, "target", "x", 1, 0600), -EISDIR);
	assert_int_equal(count_entries("."), 1);
	assert_int_equal(fd_replace_file(AT_FDCWD, "absent/f", "x", 1, 0600), -ENOENT);
	assert_int_equal(count_entries("."), 1);
}

static void test_temporary_names_differ_from_call_to_call(void **state)
{
	(void)state;
	char a[64], b[64], expected[64];
	assert_int_equal(fd_temp_name("dir/x", a, sizeof(a)), 0);
	assert_int_equal(fd_temp_name("dir/x", b, sizeof(b)), 0);
	assert_string_not_equal(a, b);
	int n = snprintf(expected, sizeof(expected), "dir/x.tmp.%d.", (int)getpid());
	assert_memory_equal(a, expected, (size_t)n);
	char small[10] = "untouched";
	assert_int_equal(fd_temp_name("dir/x", small, sizeof(small)), -ENAMETOOLONG);
	assert_string_equal(small, "untouched");
}

static void test_mkdirs_makes_what_is_missing(void **state)
{
	(void)state;
	struct stat st;
	char path[300];
	assert_int_equal(fd_mkdirs(AT_FDCWD, "a/b//c/", 0700), 0);
	assert_int_equal(fd_mkdirs(AT_FDCWD, "a/b/c", 0700), 0);
	assert_int_equal(stat("a/b/c", &st), 0);
	assert_true(S_ISDIR(st.st_mode));
	int a = open("a", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_int_equal(fd_mkdirs(a, "x/y", 0700), 0);
	close(a);
	assert_int_equal(stat("a/x/y", &st), 0);
	snprintf(path, sizeof(path), "%s/abs/path", dir);
	assert_int_equal(fd_mkdirs(AT_FDCWD, path, 0700), 0);
	assert_int_equal(fd_mkdirs(AT_FDCWD, "/", 0700), 0);
	assert_int_equal(fd_mkdirs(AT_FDCWD, ".", 0700), 0);
	assert_int_equal(symlink("a", "link"), 0);
	assert_int_equal(fd_mkdirs(AT_FDCWD, "link/z", 0700), 0);
	assert_int_equal(stat("a/z", &st), 0);
}

static void test_mkdirs_does_not_replace_what_is_not_a_directory(void **state)
{
	(void)state;
	write_file("f", "", 0);
	assert_int_equal(symlink("nowhere", "dangling"), 0);
	assert_int_equal(fd_mkdirs(AT_FDCWD, "f", 0700), -ENOTDIR);
	assert_int_equal(fd_mkdirs(AT_FDCWD, "f/g", 0700), -ENOTDIR);
	assert_int_equal(fd_mkdirs(AT_FDCWD, "dangling", 0700), -ENOTDIR);
	assert_int_equal(fd_mkdirs(AT_FDCWD, "", 0700), -ENOENT);
	char path[5000];
	memset(path, 'x', sizeof(path));
	path[sizeof(path) - 1] = '\0';
	assert_int_equal(fd_mkdirs(AT_FDCWD, path, 0700), -ENAMETOOLONG);
}

static void test_a_sealed_memfd_cannot_change(void **state)
{
	(void)state;
	int fd = fd_sealed_memfd("sealed", "content", 7);
	assert_true(fd >= 0);
	assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
	char data[16];
	size_t n;
	assert_int_equal(fd_pread(fd, data, sizeof(data), 0, &n), 0);
	assert_int_equal(n, 7);
	assert_memory_equal(data, "content", 7);
	assert_int_equal(fd_pwrite(fd, "x", 1, 0), -EPERM);
	assert_int_equal(ftruncate(fd, 0), -1);
	assert_int_equal(ftruncate(fd, 100), -1);
	assert_ptr_equal(mmap(NULL, 7, PROT_WRITE, MAP_SHARED, fd, 0), MAP_FAILED);
	assert_int_equal(fcntl(fd, F_ADD_SEALS, 0), -1);
	close(fd);
	fd = fd_sealed_memfd("empty", NULL, 0);
	assert_true(fd >= 0);
	close(fd);
}

#define IN_DIRECTORY(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		IN_DIRECTORY(test_reads_stop_at_the_end_of_the_file),
		IN_DIRECTORY(test_reads_survive_signals_and_pieces),
		IN_DIRECTORY(test_sparse_write_leaves_zero_pages_as_holes),
		IN_DIRECTORY(test_sparse_write_at_odd_offsets_writes_what_it_must),
		IN_DIRECTORY(test_read_file_appends_and_keeps_to_the_maximum),
		IN_DIRECTORY(test_read_file_takes_files_whose_size_is_not_known),
		IN_DIRECTORY(test_replace_leaves_one_whole_file),
		IN_DIRECTORY(test_a_failed_replace_leaves_no_temporary_file),
		IN_DIRECTORY(test_temporary_names_differ_from_call_to_call),
		IN_DIRECTORY(test_mkdirs_makes_what_is_missing),
		IN_DIRECTORY(test_mkdirs_does_not_replace_what_is_not_a_directory),
		IN_DIRECTORY(test_a_sealed_memfd_cannot_change),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
