/* SPDX-License-Identifier: BSD-3-Clause */
#include "daemon.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../chunker/core/cleanup.h"
#include "../chunker/core/log.h"
#include "channel.h"
#include "daemonize.h"
#include "loop.h"
#include "mount.h"
#include "ops.h"
#include "server.h"
#include "signals.h"

#define ENDED_EARLY "ended by a signal before it was ready"

struct daemon {
	const struct options *options;
	struct mount *mount;
	struct server server;
	struct requests *requests;
	struct loop *loop;

	pthread_mutex_t lock;
	/* under lock */
	bool serving; /* a signal ends the loop; before, it ends the start */
	bool ending;  /* there was a signal */
};

static void on_signal(void *user, int sig)
{
	struct daemon *d = user;
	log_debug("%s", strsignal(sig));
	locked(&d->lock);
	d->ending = true;
	if (d->serving)
		loop_stop(d->loop);
	else
		server_cancel(&d->server);
}

static uint32_t read_timeout(const struct options *o)
{
	uint64_t by_default, at_most;
	mount_request_timeouts(&by_default, &at_most);
	uint32_t ms = options_clamp_timeout(o->timeout, by_default, at_most);
	if (ms != (uint64_t)o->timeout * 1000)
		log_warn("timeout=%lld is cut to %u s, since the kernel aborts a mount whose "
			 "requests "
			 "take longer (fs.fuse.*_request_timeout)",
			(long long)o->timeout, ms / 1000);
	return ms;
}

static int start_server(struct daemon *d, struct smr_error *err)
{
	const struct options *o = d->options;
	char name[256];
	snprintf(name, sizeof(name), "smrfs %s", o->mountpoint);
	struct server_options so = {
		.store = o->store,
		.cache = {.engine = {.cache_dir = o->cache_dir, .cache_size = o->cache_size},
			.socket = o->socket,
			.name = name},
		.store_options = {.insecure = o->insecure, .ca_file = o->ca_file},
		.timeout_ms = read_timeout(o),
	};
	int r = server_start(&d->server, &so, err);
	return r == -ECANCELED ? error_set(err, r, ENDED_EARLY) : r;
}

/* From here on a signal ends the loop. false: there was one already. */
static bool begin_serving(struct daemon *d)
{
	locked(&d->lock);
	d->serving = !d->ending;
	return d->serving;
}

static int start_loop(struct daemon *d, struct smr_error *err)
{
	int r = request_table_new(&d->server, &d->requests);
	if (r < 0)
		return error_set_errno(err, r, "cannot set up the request table");
	r = channel_install(mount_session(d->mount));
	if (r < 0)
		return error_set_errno(err, r, "cannot set up FUSE");
	r = loop_new(mount_session(d->mount), d->requests, &d->loop, err);
	if (r < 0)
		return r;
	if (!begin_serving(d))
		return error_set(err, -ECANCELED, ENDED_EARLY);
	r = loop_start(d->loop, err);
	if (r < 0)
		return r;
	r = mount_tune(d->mount);
	if (r < 0)
		log_debug("read-ahead stays as it is: %s", strerror(-r));
	return 0;
}

/* Answers everything that was asked, before the connection is closed under it. */
static void wind_down(struct daemon *d)
{
	server_stop(&d->server);
	if (d->requests)
		request_table_drain(d->requests);
}

static int serve(struct daemon *d, int ready, struct smr_error *err)
{
	int r = start_server(d, err);
	if (r == 0)
		r = start_loop(d, err);
	if (r == 0) {
		if (ready >= 0)
			daemonize_ready(ready);
		r = loop_wait(d->loop);
		if (r < 0)
			error_set_errno(err, r, "reading from /dev/fuse");
	}
	wind_down(d);
	return r;
}

/* In the process that serves. */
static int run(struct daemon *d, int ready)
{
	struct smr_error err = {0};
	struct signals *signals = NULL;
	int r = signals_new(on_signal, d, &signals, &err);
	if (r == 0)
		r = serve(d, ready, &err);
	if (r < 0)
		log_error("%s", error_text(&err, r));
	signals_free(signals);
	mount_end(d->mount);
	loop_free(d->loop);
	request_table_free(d->requests);
	server_done(&d->server);
	mount_free(d->mount);
	return r < 0 ? 1 : 0;
}

int daemon_run(const struct options *o)
{
	struct daemon d = {.options = o, .lock = PTHREAD_MUTEX_INITIALIZER};
	struct smr_error err = {0};
	int ready = -1, status = 1;
	bool killed = false;
	server_init(&d.server);
	int r = mount_new(o, &ops_table, &d.server, &d.mount, &err);
	if (r == 0 && !o->foreground)
		r = daemonize_fork(&ready, &status, &killed, &err);
	if (r < 0) {
		log_error("%s", error_text(&err, r));
		if (d.mount)
			mount_end(d.mount);
		mount_free(d.mount);
		return 1;
	}
	if (r == 0)
		return run(&d, ready);
	if (killed) {
		log_error("%s: the daemon was killed before it was ready", o->mountpoint);
		mount_end(d.mount);
	}
	/* What is mounted is the child's, and so is all that ending it would do. */
	_exit(status);
}
