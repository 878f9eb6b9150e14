/* SPDX-License-Identifier: BSD-3-Clause */
/* One blob into a file: what is readable and when, and that a slow server cannot hold it for ever. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>

#include "../../chunker/build/registry_download.h"
#include "../../chunker/core/clock.h"
#include "fault_server.h"
#include "tempdir.h"

#define SIZE 200000u

struct fixture {
	struct fault_server server;
	struct tempdir dir;
	struct transport *transport;
	struct registry_download d;
	char base[128];
	uint64_t came, readable;
};

static void progress(void *user, size_t n, uint64_t readable)
{
	struct fixture *f = user;

	f->came += n;
	assert_true(readable >= f->readable && readable <= f->d.size);
	f->readable = readable;
}

/* A blob of SIZE bytes 'x', below PATH of the server of faults. */
static void start(struct fixture *f, const char *path, double seconds)
{
	unsigned char *all = malloc(SIZE);

	memset(f, 0, sizeof(*f));
	fault_start(&f->server, 0);
	tempdir_init(&f->dir);
	assert_int_equal(transport_new(1, NULL, &f->transport), 0);
	snprintf(f->base, sizeof(f->base), "%s%s", f->server.url, path);
	assert_non_null(all);
	memset(all, 'x', SIZE);
	f->d = (struct registry_download){.base = f->base,
		.origin = f->server.url,
		.size = SIZE,
		.fd = openat(f->dir.fd, "blob", O_RDWR | O_CREAT | O_CLOEXEC, 0600),
		.deadline_ns = clock_ns() + (uint64_t)(seconds * CLOCK_NS_PER_S),
		.progress = progress,
		.user = f};
	chunkid_hash(all, SIZE, &f->d.digest);
	assert_true(f->d.fd >= 0);
	free(all);
}

static void stop(struct fixture *f)
{
	close(f->d.fd);
	transport_free(f->transport);
	fault_stop(&f->server);
	tempdir_done(&f->dir);
}

static void test_a_whole_blob_is_readable_as_it_comes(void **state)
{
	struct fixture f;

	(void)state;
	start(&f, "/ok/200000", 60);
	assert_int_equal(registry_download(f.transport, &f.d, NULL), 0);
	assert_int_equal(f.came, SIZE);
	assert_int_equal(f.readable, SIZE);
	assert_int_equal(registry_download_check(f.d.fd, SIZE, &f.d.digest, NULL), 0);
	stop(&f);
}

static void test_what_comes_after_a_break_waits_for_the_digest(void **state)
{
	struct fixture f;

	(void)state;
	/* The first answer ends after 10 bytes; the second is the whole again, as this server knows no ranges. */
	start(&f, "/flakytruncated/1/ok/200000", 60);
	assert_int_equal(registry_download(f.transport, &f.d, NULL), 0);
	assert_int_equal(f.came, SIZE);
	assert_int_equal(f.readable, 10);
	assert_int_equal(registry_download_check(f.d.fd, SIZE, &f.d.digest, NULL), 0);
	stop(&f);
}

static void test_wrong_bytes_are_not_fetched_again_without_a_break(void **state)
{
	struct fixture f;

	(void)state;
	start(&f, "/ok/200000", 60);
	f.d.digest.b[0] ^= 1;
	assert_int_equal(registry_download(f.transport, &f.d, NULL), -EBADMSG);
	assert_int_equal(fault_requests(&f.server), 1);
	stop(&f);
}

static void test_wrong_bytes_after_a_break_are_fetched_once_more(void **state)
{
	struct fixture f;

	(void)state;
	start(&f, "/flakytruncated/1/ok/200000", 60);
	f.d.digest.b[0] ^= 1;
	assert_int_equal(registry_download(f.transport, &f.d, NULL), -EBADMSG);
	assert_int_equal(fault_requests(&f.server), 3);
	assert_int_equal(f.came, 2 * SIZE);
	stop(&f);
}

static void test_a_blob_of_another_size_is_refused_at_once(void **state)
{
	struct fixture f;
	struct smr_error err;

	(void)state;
	start(&f, "/ok/200001", 60);
	assert_int_equal(registry_download(f.transport, &f.d, &err), -EBADMSG);
	assert_non_null(strstr(err.message, "longer"));
	stop(&f);
	start(&f, "/ok/199999", 60);
	assert_int_equal(registry_download(f.transport, &f.d, &err), -EBADMSG);
	assert_non_null(strstr(err.message, "shorter"));
	assert_int_equal(fault_requests(&f.server), 1);
	stop(&f);
	start(&f, "/endless", 60);
	assert_int_equal(registry_download(f.transport, &f.d, &err), -EBADMSG);
	stop(&f);
}

static void test_a_drip_ends_at_the_deadline(void **state)
{
	struct fixture f;
	struct smr_error err;
	uint64_t begun = clock_ns();

	(void)state;
	/* 5 kB a second: far above what a connection must bring */
	start(&f, "/steady/200000/40000", 1.5);
	assert_int_equal(registry_download(f.transport, &f.d, &err), -ETIMEDOUT);
	assert_non_null(strstr(err.message, "slow"));
	assert_true(clock_ns() - begun < 6 * CLOCK_NS_PER_S);
	assert_true(f.came > 1000 && f.came < 100000);
	stop(&f);
}

static void test_who_cancels_is_not_kept_waiting(void **state)
{
	struct fixture f;
	atomic_bool cancel = true;
	uint64_t begun = clock_ns();

	(void)state;
	start(&f, "/stall", 60);
	f.d.cancel = &cancel;
	assert_int_equal(registry_download(f.transport, &f.d, NULL), -ECANCELED);
	assert_true(clock_ns() - begun < 2 * CLOCK_NS_PER_S);
	stop(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_whole_blob_is_readable_as_it_comes),
		cmocka_unit_test(test_what_comes_after_a_break_waits_for_the_digest),
		cmocka_unit_test(test_wrong_bytes_are_not_fetched_again_without_a_break),
		cmocka_unit_test(test_wrong_bytes_after_a_break_are_fetched_once_more),
		cmocka_unit_test(test_a_blob_of_another_size_is_refused_at_once),
		cmocka_unit_test(test_a_drip_ends_at_the_deadline),
		cmocka_unit_test(test_who_cancels_is_not_kept_waiting),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
