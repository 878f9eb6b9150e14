/* SPDX-License-Identifier: BSD-3-Clause */
#include "signals.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>

struct signals {
	void (*on_signal)(void *user, int sig);
	void *user;
	sigset_t set;
	atomic_bool stop;
	pthread_t thread;
};

static void *signals_main(void *arg)
{
	struct signals *s = arg;
	int sig;
	while (sigwait(&s->set, &sig) == 0 && !atomic_load(&s->stop))
		s->on_signal(s->user, sig);
	return NULL;
}

int signals_new(void (*on_signal)(void *user, int sig), void *user, struct signals **ret,
	struct smr_error *err)
{
	struct signals *s = calloc(1, sizeof(*s));
	if (!s)
		return error_set_errno(err, -ENOMEM, "cannot handle signals");
	s->on_signal = on_signal;
	s->user = user;
	signal(SIGPIPE, SIG_IGN);
	sigemptyset(&s->set);
	sigaddset(&s->set, SIGTERM);
	sigaddset(&s->set, SIGINT);
	struct sigaction hup;
	if (sigaction(SIGHUP, NULL, &hup) < 0 || hup.sa_handler != SIG_IGN)
		sigaddset(&s->set, SIGHUP);
	pthread_sigmask(SIG_BLOCK, &s->set, NULL);
	int r = -pthread_create(&s->thread, NULL, signals_main, s);
	if (r < 0) {
		free(s);
		return error_set_errno(err, r, "cannot handle signals");
	}
	pthread_setname_np(s->thread, "smrfs-signals");
	*ret = s;
	return 0;
}

void signals_free(struct signals *s)
{
	if (!s)
		return;
	atomic_store(&s->stop, true);
	pthread_kill(s->thread, SIGTERM);
	pthread_join(s->thread, NULL);
	free(s);
}
