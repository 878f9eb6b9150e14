/* SPDX-License-Identifier: BSD-3-Clause */
#include "loop.h"

#include <errno.h>
#include <linux/fuse.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <unistd.h>

#include "../chunker/core/cleanup.h"
#include "../chunker/core/clock.h"
#include "../chunker/core/workers.h"
#include "crew.h"
#include "follow.h"

#define KICK_MS 10
/* Who reads more at once is better off on a CPU of its own. */
#define FOLLOW_BYTES (32u << 10)

struct thread {
	struct loop *loop;
	pthread_t id;
	/* REQUEST_SLOT_BYTES of room, then what a request has beyond its slot: only in this rare
	 * case are its parts put together here. */
	unsigned char *large;
	pid_t tid; /* who sent the last request */
	struct follow follow;
	struct crew_seat seat;
};

struct loop {
	struct fuse_session *se;
	struct requests *requests;
	struct crew crew;
	atomic_bool stop;

	pthread_mutex_t lock;
	pthread_cond_t changed; /* a thread ended, or stop was set; CLOCK_MONOTONIC */
	unsigned n_running;
	int result;

	unsigned n_threads, n_started;
	struct thread threads[];
};

static size_t large_bytes(void)
{
	return REQUEST_SLOT_BYTES + LOOP_OVERFLOW_BYTES;
}

static void on_kick(int sig)
{
	(void)sig; /* it is enough that readv returns */
}

int loop_new(struct fuse_session *se, struct requests *requests, struct loop **ret,
	struct smr_error *err)
{
	unsigned n = workers_cpus() < 2 ? 2 : workers_cpus();
	struct loop *l = calloc(1, sizeof(*l) + n * sizeof(l->threads[0]));
	if (!l)
		return error_set_errno(err, -ENOMEM, "cannot set up the request loop");
	l->se = se;
	l->requests = requests;
	crew_init(&l->crew, workers_cpus());
	l->n_threads = n;
	pthread_condattr_t monotonic;
	pthread_condattr_init(&monotonic);
	pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	pthread_mutex_init(&l->lock, NULL);
	pthread_cond_init(&l->changed, &monotonic);
	pthread_condattr_destroy(&monotonic);
	for (unsigned i = 0; i < n; i++) {
		l->threads[i].loop = l;
		/* zero pages that are hardly ever touched */
		void *p = mmap(NULL, large_bytes(), PROT_READ | PROT_WRITE,
			MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
		if (p == MAP_FAILED) {
			loop_free(l);
			return error_set_errno(err, -ENOMEM, "cannot set up the request loop");
		}
		l->threads[i].large = p;
	}
	struct sigaction kick = {.sa_handler = on_kick};
	sigaction(SIGUSR1, &kick, NULL);
	*ret = l;
	return 0;
}

void loop_free(struct loop *l)
{
	if (!l)
		return;
	for (unsigned i = 0; i < l->n_threads; i++)
		if (l->threads[i].large)
			munmap(l->threads[i].large, large_bytes());
	crew_done(&l->crew);
	pthread_cond_destroy(&l->changed);
	pthread_mutex_destroy(&l->lock);
	free(l);
}

/* Reads one request into the slot. 0 with *ret_buf, -ENODEV when the file system was unmounted,
 * -EAGAIN when there is nothing to process this time. */
static int read_request(struct thread *t, struct request *rq, struct fuse_buf *ret_buf)
{
	unsigned char *slot = request_slot(rq);
	struct iovec iov[2] = {
		{.iov_base = slot, .iov_len = REQUEST_SLOT_BYTES},
		{.iov_base = t->large + REQUEST_SLOT_BYTES, .iov_len = LOOP_OVERFLOW_BYTES},
	};
	ssize_t n = readv(fuse_session_fd(t->loop->se), iov, 2);
	if (n < 0) {
		/* ENOENT: the request was interrupted before it was read */
		if (errno == EINTR || errno == EAGAIN || errno == ENOENT)
			return -EAGAIN;
		return -errno;
	}
	*ret_buf = (struct fuse_buf){.size = (size_t)n, .mem = slot};
	if ((size_t)n > REQUEST_SLOT_BYTES) {
		memcpy(t->large, slot, REQUEST_SLOT_BYTES);
		ret_buf->mem = t->large;
	}
	return 0;
}

static void process_request(struct thread *t, struct request *rq, const struct fuse_buf *buf)
{
	request_set_current(rq);
	fuse_session_process_buf(t->loop->se, buf);
	if (buf->mem == t->large)
		madvise(t->large, large_bytes(), MADV_DONTNEED);
}

static uint32_t bytes_wanted(const struct fuse_buf *buf)
{
	const struct fuse_in_header *in = buf->mem;
	const struct fuse_read_in *read = (const void *)(in + 1);
	bool is_read = in->opcode == FUSE_READ && buf->size >= sizeof(*in) + sizeof(*read);
	return is_read ? read->size : 0;
}

/* One request, or none if reading was interrupted. Leaves in *rq the slot for the next one, NULL if
 * it has become the request's own. */
static int handle_request(struct thread *t, struct request **rq)
{
	struct loop *l = t->loop;
	struct fuse_buf buf;
	int r = read_request(t, *rq, &buf);
	if (r < 0)
		return r == -EAGAIN ? 0 : r;
	const struct fuse_in_header *in = buf.mem;
	uint64_t start = clock_ns();
	bool small = bytes_wanted(&buf) <= FOLLOW_BYTES;
	bool alone = small && (pid_t)in->pid == t->tid;
	t->tid = (pid_t)in->pid;
	if (small && crew_is_one(&l->crew))
		follow_request(&t->follow, (pid_t)in->pid, start);
	else
		follow_end(&t->follow);
	process_request(t, *rq, &buf);
	*rq = request_current();
	uint64_t end = clock_ns();
	follow_answered(&t->follow, end);
	crew_report(&l->crew, &t->seat, alone, end - start);
	return 0;
}

static bool is_stopped(struct loop *l)
{
	return atomic_load_explicit(&l->stop, memory_order_relaxed);
}

/* Requests, for as long as this thread is needed. */
static int thread_shift(struct thread *t)
{
	struct loop *l = t->loop;
	struct request *rq = NULL;
	int r = 0;
	do {
		if (!rq && !(rq = request_table_take(l->requests)))
			break;
		r = handle_request(t, &rq);
	} while (r == 0 && crew_stays(&l->crew) && !is_stopped(l));
	if (rq)
		request_table_give(l->requests, rq);
	return r;
}

static int thread_run(struct thread *t)
{
	struct loop *l = t->loop;
	int r = 0;
	follow_init(&t->follow);
	while (r == 0 && !is_stopped(l) && crew_join(&l->crew)) {
		r = thread_shift(t);
		follow_end(&t->follow);
		crew_leave(&l->crew);
	}
	return r == -ENODEV ? 0 : r;
}

static void *thread_main(void *arg)
{
	struct thread *t = arg;
	struct loop *l = t->loop;
	int r = thread_run(t);
	locked(&l->lock);
	if (r < 0 && l->result == 0)
		l->result = r;
	/* one that fails takes the others along */
	if (r < 0)
		atomic_store(&l->stop, true);
	l->n_running--;
	pthread_cond_broadcast(&l->changed);
	return NULL;
}

/* The first request of a mount. Its answer sets the limits of all that follows, so nothing else is
 * read before. */
static int answer_init(struct loop *l, struct smr_error *err)
{
	struct request *rq = request_table_first(l->requests);
	struct fuse_buf buf;
	int r;
	do
		r = read_request(&l->threads[0], rq, &buf);
	while (r == -EAGAIN && !atomic_load(&l->stop));
	if (r == 0) {
		process_request(&l->threads[0], rq, &buf);
		if (fuse_session_exited(l->se))
			r = -EPROTO;
	}
	if (r == -ENODEV)
		return error_set(err, r, "unmounted before it was ready");
	if (r < 0)
		return error_set_errno(err, r, "the kernel's FUSE does not start");
	return 0;
}

static int start_threads(struct loop *l)
{
	sigset_t mask, before;
	sigfillset(&mask);
	sigdelset(&mask, SIGUSR1);
	pthread_sigmask(SIG_SETMASK, &mask, &before);
	int r = 0;
	locked(&l->lock);
	while (r == 0 && l->n_started < l->n_threads) {
		struct thread *t = &l->threads[l->n_started];
		r = pthread_create(&t->id, NULL, thread_main, t);
		if (r == 0)
			pthread_setname_np(l->threads[l->n_started++].id, "smrfs-fuse");
	}
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	l->n_running = l->n_started;
	return l->n_started > 0 ? 0 : -r; /* fewer than wanted are slower, no failure */
}

int loop_start(struct loop *l, struct smr_error *err)
{
	int r = answer_init(l, err);
	if (r < 0)
		return r;
	r = start_threads(l);
	if (r < 0)
		return error_set_errno(err, r, "cannot start threads");
	return 0;
}

int loop_wait(struct loop *l)
{
	pthread_mutex_lock(&l->lock);
	while (l->n_running > 0) {
		if (!atomic_load(&l->stop)) {
			pthread_cond_wait(&l->changed, &l->lock);
			continue;
		}
		/* A kick is lost on a thread that is just about to call readv: again and again. */
		request_table_stop(l->requests);
		crew_stop(&l->crew);
		for (unsigned i = 0; i < l->n_started; i++)
			pthread_kill(l->threads[i].id, SIGUSR1);
		struct timespec until = clock_timespec(clock_ns() + KICK_MS * CLOCK_NS_PER_MS);
		pthread_cond_timedwait(&l->changed, &l->lock, &until);
	}
	pthread_mutex_unlock(&l->lock);
	for (unsigned i = 0; i < l->n_started; i++)
		pthread_join(l->threads[i].id, NULL);
	l->n_started = 0;
	return l->result;
}

void loop_stop(struct loop *l)
{
	locked(&l->lock);
	atomic_store(&l->stop, true);
	pthread_cond_broadcast(&l->changed);
}
