/* SPDX-License-Identifier: BSD-3-Clause */
#include "serve.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#include "../chunker/core/clock.h"
#include "../chunker/core/log.h"
#include "../chunker/core/process.h"
#include "../chunker/core/units.h"
#include "engine.h"
#include "rpc_server.h"
#include "serve_socket.h"

struct daemon {
	const struct settings *settings;
	sigset_t signals;
	struct cache *cache;
	struct serve_socket socket;
	/* One more: what the first one is called, too. */
	struct rpc_store stores[SETTINGS_STORES_MAX + 1];
	unsigned n_stores;
	struct rpc_server *server;
	uint64_t watchdog_us; /* 0: none */
};

/* Called as often as the watchdog wants it. */
static void feed_watchdog(struct daemon *d)
{
	struct cache_counters counters;
	unsigned patience_ms = (unsigned)(d->watchdog_us / 4000) + 1;

	/* A lock that is never given back would keep these from returning, and the watchdog from being fed. */
	cache_counters(d->cache, &counters);
	if (rpc_server_answers(d->server, patience_ms))
		sd_notify(0, "WATCHDOG=1");
	else
		log_warn("the socket's thread has not come round in %u ms", patience_ms);
}

static void wait_for_end(struct daemon *d)
{
	struct timespec pause = clock_timespec(d->watchdog_us * 1000 / 3);
	int sig;

	for (;;) {
		if (d->watchdog_us)
			feed_watchdog(d);
		sig = d->watchdog_us ? sigtimedwait(&d->signals, NULL, &pause)
				     : sigwaitinfo(&d->signals, NULL);
		if (sig >= 0)
			break;
	}
	log_debug("%s", strsignal(sig));
}

/* A store's directory may be mounted later, and its server may be down: that is for whoever asks for it to see. One that can
 * never be opened is said at once. */
static int check_store(struct daemon *d, const struct rpc_store *store, struct smr_error *err)
{
	struct cache_store *opened;
	int r = cache_open_store(d->cache, store->url, &store->options, &opened, err);

	if (r == -EINVAL || r == -EPERM)
		return error_wrap(err, r, "--store %s", store->name);
	if (r < 0)
		log_warn("store %s: %s", store->name, error_text(err, r));
	return 0;
}

static int set_up_stores(struct daemon *d, struct smr_error *err)
{
	const struct settings *s = d->settings;
	bool has_default = s->n_stores == 0;
	int r = 0;

	for (unsigned i = 0; i < s->n_stores && r == 0; i++) {
		struct rpc_store *to = &d->stores[d->n_stores++];

		*to = (struct rpc_store){.name = s->stores[i].name,
			.url = s->stores[i].url,
			.options = {.insecure = s->insecure, .ca_file = s->ca_file}};
		has_default |= strcmp(to->name, SETTINGS_STORE_DEFAULT) == 0;
		r = check_store(d, to, err);
	}
	if (!has_default) {
		d->stores[d->n_stores] = d->stores[0];
		d->stores[d->n_stores++].name = SETTINGS_STORE_DEFAULT;
	}
	return r;
}

static int start(struct daemon *d, struct smr_error *err)
{
	const struct settings *s = d->settings;
	struct engine_options engine = {
		.cache_dir = s->cache_dir, .cache_size = s->size, .min_free = s->min_free};
	struct rpc_server_options rpc = {.stores = d->stores};
	int r = engine_new(&engine, &d->cache, err);

	if (r == 0)
		r = set_up_stores(d, err);
	if (r == 0)
		r = serve_socket_open(&d->socket, s->socket, err);
	if (r < 0)
		return r;
	rpc.listen_fd = d->socket.fd;
	rpc.n_stores = d->n_stores;
	r = rpc_server_new(d->cache, &rpc, &d->server, err);
	if (r == 0)
		d->socket.fd = -1; /* the server's now */
	return r;
}

static void say_ready(const struct daemon *d)
{
	const struct settings *s = d->settings;
	char size[UNITS_TEXT_MAX];

	units_format_size(s->size, size);
	log_info("serving %s (%s at most) at %s", s->cache_dir, size, d->socket.path);
	sd_notifyf(0, "READY=1\nSTATUS=Serving %s, %s at most, at %s", s->cache_dir, size,
		d->socket.path);
}

static void stop(struct daemon *d)
{
	sd_notify(0, "STOPPING=1\nSTATUS=Writing the cache out");
	/* First, so that nobody comes who would be sent away again. */
	serve_socket_unlink(&d->socket);
	if (d->cache)
		cache_stop(d->cache);
	rpc_server_free(d->server);
	serve_socket_close(&d->socket);
	cache_free(d->cache);
}

int serve_run(const struct settings *s)
{
	struct daemon d = {.settings = s, .socket = {.fd = -1}};
	struct smr_error err = {0};
	int r;

	signal(SIGPIPE, SIG_IGN);
	sigemptyset(&d.signals);
	sigaddset(&d.signals, SIGTERM);
	sigaddset(&d.signals, SIGINT);
	sigaddset(&d.signals, SIGHUP);
	pthread_sigmask(SIG_BLOCK, &d.signals, NULL);
	umask(S_IRWXG | S_IRWXO);
	process_limit_memory();
	process_raise_descriptors();
	if (sd_watchdog_enabled(0, &d.watchdog_us) <= 0)
		d.watchdog_us = 0;
	r = start(&d, &err);
	if (r == 0) {
		say_ready(&d);
		wait_for_end(&d);
	} else {
		log_error("%s", error_text(&err, r));
	}
	stop(&d);
	return r < 0 ? 1 : 0;
}
