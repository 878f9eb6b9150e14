/* SPDX-License-Identifier: BSD-3-Clause */
#include "interrupt.h"

#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "../core/cleanup.h"
#include "../core/log.h"

static void hit(struct interrupt *i, int signo)
{
	atomic_store(&i->signal, signo);
	atomic_store(&i->hit, true);
	locked(&i->lock);
	if (i->store && !store_is_local(i->store))
		store_stop(i->store);
}

/* They are still blocked in every other thread, so it is this one that dies, and the process with
 * it. */
static void die(int signo)
{
	sigset_t one;
	sigemptyset(&one);
	sigaddset(&one, signo);
	signal(signo, SIG_DFL);
	raise(signo);
	pthread_sigmask(SIG_UNBLOCK, &one, NULL);
}

static void *wait_loop(void *arg)
{
	struct interrupt *i = arg;
	struct pollfd fds[] = {{i->signal_fd, POLLIN, 0}, {i->stop_fd, POLLIN, 0}};

	for (;;) {
		if (poll(fds, 2, -1) < 0 && errno != EINTR)
			return NULL;
		if (fds[1].revents)
			return NULL;
		struct signalfd_siginfo info;
		if (!fds[0].revents || read(i->signal_fd, &info, sizeof(info)) != sizeof(info))
			continue;
		if (atomic_load(&i->hit))
			die((int)info.ssi_signo);
		hit(i, (int)info.ssi_signo);
	}
}

int interrupt_start(struct interrupt *i, struct smr_error *err)
{
	static const int signals[] = {SIGINT, SIGTERM, SIGHUP};
	*i = (struct interrupt){.signal_fd = -1, .stop_fd = -1};
	sigemptyset(&i->set);
	for (unsigned k = 0; k < sizeof(signals) / sizeof(*signals); k++) {
		/* What the parent ignores (nohup, a shell's background jobs) stays ignored. */
		struct sigaction now;
		if (sigaction(signals[k], NULL, &now) == 0 && now.sa_handler != SIG_IGN)
			sigaddset(&i->set, signals[k]);
	}
	pthread_mutex_init(&i->lock, NULL);
	pthread_sigmask(SIG_BLOCK, &i->set, &i->old);
	i->signal_fd = signalfd(-1, &i->set, SFD_CLOEXEC | SFD_NONBLOCK);
	i->stop_fd = eventfd(0, EFD_CLOEXEC);
	int r = i->signal_fd < 0 || i->stop_fd < 0 ? -errno : 0;
	if (r == 0)
		r = -pthread_create(&i->thread, NULL, wait_loop, i);
	if (r == 0)
		return 0;
	cleanup_closep(&i->signal_fd);
	cleanup_closep(&i->stop_fd);
	pthread_sigmask(SIG_SETMASK, &i->old, NULL);
	pthread_mutex_destroy(&i->lock);
	return error_set_errno(err, r, "cannot watch for signals");
}

void interrupt_set_store(struct interrupt *i, struct store *store)
{
	locked(&i->lock);
	i->store = store;
	if (store && atomic_load(&i->hit) && !store_is_local(store))
		store_stop(store);
}

void interrupt_release(struct interrupt *i)
{
	/* The signal is fatal to the process as soon as one thread does not block it. */
	pthread_sigmask(SIG_SETMASK, &i->old, NULL);
}

void interrupt_done(struct interrupt *i)
{
	eventfd_write(i->stop_fd, 1);
	pthread_join(i->thread, NULL);
	close(i->signal_fd);
	close(i->stop_fd);
	pthread_sigmask(SIG_SETMASK, &i->old, NULL);
	pthread_mutex_destroy(&i->lock);
}

int interrupt_exit(struct interrupt *i, const char *hint)
{
	int signo = atomic_load(&i->signal);
	log_error("interrupted; %s", hint);
	return 128 + signo;
}
