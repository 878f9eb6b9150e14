/* SPDX-License-Identifier: BSD-3-Clause */
#include "verbs.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "../chunker/core/cleanup.h"
#include "../chunker/core/log.h"
#include "hydrate_progress.h"
#include "remote.h"
#include "status.h"

static const enum cache_verb controls[] = {
	[SETTINGS_PIN] = CACHE_PIN,
	[SETTINGS_UNPIN] = CACHE_UNPIN,
	[SETTINGS_HYDRATE] = CACHE_HYDRATE,
	[SETTINGS_SCRUB] = CACHE_SCRUB,
};

static int connect_to(const struct settings *s, struct cache **ret, struct smr_error *err)
{
	char name[48];
	struct remote_options opts = {.socket = s->socket, .name = name};
	int r;

	snprintf(name, sizeof(name), "smr-cached %s", settings_verb_name(s->verb));
	r = remote_new(&opts, ret, err);
	/* What a member of the group sees, whose own cache is another one. */
	if ((r == -ENOENT || r == -ECONNREFUSED) && strcmp(s->socket, CONFIG_SOCKET_SHARED) != 0 &&
		access(CONFIG_SOCKET_SHARED, F_OK) == 0)
		return error_set(err, r,
			"nobody answers at %s; the cache of this machine is at "
			"--socket " CONFIG_SOCKET_SHARED,
			s->socket);
	if (r == -ENOENT || r == -ECONNREFUSED)
		return error_set(err, r,
			"nobody answers at %s; start the daemon (`systemctl start "
			"smr-cached.socket`, or "
			"`smr-cached`), or name another --socket or --cache",
			s->socket);
	if (r == -EACCES)
		return error_set(err, r,
			"%s: not allowed; it is for root and for members of its group (usermod -aG "
			"smr USER)",
			s->socket);
	return r;
}

/* ---- status ---- */

static int print_status(const struct settings *s, const struct buf *json, struct smr_error *err)
{
	struct status status auto_with(status_done) = {0};
	struct buf text auto_with(buf_done);
	int r;

	buf_init(&text, STATUS_MAX);
	if (s->json) {
		fwrite(json->data, 1, json->len, stdout);
		return 0;
	}
	r = status_json_decode((const char *)json->data, json->len, &status, err);
	if (r == 0)
		r = s->prometheus ? status_prometheus_format(&status, &text)
				  : status_text_format(&status, &text);
	if (r == 0)
		fwrite(text.data, 1, text.len, stdout);
	return r;
}

static int show_status(const struct settings *s, struct cache *cache, struct smr_error *err)
{
	struct buf json auto_with(buf_done);
	int r;

	buf_init(&json, STATUS_MAX);
	r = cache_status(cache, &json, err);
	return r < 0 ? r : print_status(s, &json, err);
}

/* ---- the others ---- */

static int open_store(const struct settings *s, struct cache *cache, struct cache_store **ret,
	struct smr_error *err)
{
	struct store_options opts = {.insecure = s->insecure, .ca_file = s->ca_file};
	int r;

	*ret = NULL;
	if (s->verb != SETTINGS_PIN && s->verb != SETTINGS_HYDRATE)
		return 0;
	r = cache_open_store(cache, s->store, &opts, ret, err);
	if (r < 0 && strcmp(s->store, SETTINGS_STORE_DEFAULT) == 0)
		return error_set(err, r,
			"which store has %s? Use -s STORE, or put `store = STORE` into "
			"/etc/smr.conf",
			s->image);
	if (r < 0 && !strchr(s->store, '/'))
		return error_set(err, r,
			"the daemon knows no store called %s; name one of its --store, a URL, or "
			"./%s for a directory",
			s->store, s->store);
	return r;
}

static const char interrupted[] = "\r\033[Ksmr-cached: interrupted; the cache goes on by itself, "
				  "`smr-cached status` shows how far it is\n";

/* The beginning is for a terminal's progress line. */
static void on_interrupt(int sig)
{
	size_t skip = isatty(STDERR_FILENO) ? 0 : 4;
	ssize_t n = write(STDERR_FILENO, interrupted + skip, sizeof(interrupted) - 1 - skip);

	(void)n;
	_exit(128 + sig);
}

/* What the parent ignores (nohup, a shell's background jobs) stays ignored. */
static void say_when_interrupted(void)
{
	static const int signals[] = {SIGINT, SIGTERM, SIGHUP};

	for (size_t i = 0; i < sizeof(signals) / sizeof(signals[0]); i++)
		if (signal(signals[i], on_interrupt) == SIG_IGN)
			signal(signals[i], SIG_IGN);
}

static int control(const struct settings *s, struct cache *cache, struct smr_error *err)
{
	struct hydrate_progress *progress = NULL;
	struct buf text auto_with(buf_done);
	struct cache_store *store;
	int r = open_store(s, cache, &store, err);

	buf_init(&text, 4096);
	if (r < 0)
		return r;
	if (s->wait)
		say_when_interrupted();
	if (s->wait && s->verb == SETTINGS_HYDRATE)
		progress = hydrate_progress_start(cache, s->image, s->quiet);
	r = cache_control(
		cache, controls[s->verb], store, s->image ? s->image : "", s->wait, &text, err);
	hydrate_progress_stop(progress);
	if (r == -ENOTCONN && s->verb == SETTINGS_HYDRATE)
		return error_set(err, r,
			"the owner of the cache has ended; what was fetched is kept, and a rerun "
			"continues");
	if (r == 0 && !s->quiet)
		printf("%.*s\n", (int)text.len, (const char *)text.data);
	return r;
}

int verbs_run(const struct settings *s)
{
	struct smr_error err = {0};
	struct cache *cache = NULL;
	int r = connect_to(s, &cache, &err);

	if (r == 0)
		r = s->verb == SETTINGS_STATUS ? show_status(s, cache, &err)
					       : control(s, cache, &err);
	if (r < 0)
		log_error("%s", error_text(&err, r));
	if (cache)
		cache_stop(cache);
	cache_free(cache);
	return r < 0 ? 1 : 0;
}
