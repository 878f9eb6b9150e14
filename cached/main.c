/* SPDX-License-Identifier: BSD-3-Clause */
/* smr-cached: the cache of this machine, and the commands that ask it. */
#include <errno.h>
#include <locale.h>
#include <stdio.h>
#include <string.h>

#include "../chunker/core/cleanup.h"
#include "../chunker/core/log.h"
#include "serve.h"
#include "settings.h"
#include "verbs.h"

#define EXIT_USAGE 2

/* A bad configuration must not stand in the way of help. */
static int complete(struct settings *s, struct smr_error *err)
{
	struct config *config = NULL;
	int r = config_load(&config, err);

	if (r == 0)
		r = settings_complete(s, config, err);
	config_free(config);
	return s->help ? 0 : r;
}

static int usage(const struct settings *s, const char *why)
{
	const char *verb = settings_verb_name(s->verb);

	log_error("%s (see `smr-cached%s%s --help`)", why, *verb ? " " : "", verb);
	return EXIT_USAGE;
}

static int run(struct settings *s)
{
	struct smr_error err = {0};
	int r = complete(s, &err);

	if (r < 0) {
		log_error("%s", error_text(&err, r));
		return 1;
	}
	if (s->help) {
		settings_help(s);
		return 0;
	}
	return s->verb == SETTINGS_SERVE ? serve_run(s) : verbs_run(s);
}

/* Output that did not arrive is a failure. */
static int flush_output(int code)
{
	bool failed = ferror(stdout) != 0;

	errno = 0;
	if (fflush(stdout) == 0 && !failed)
		return code;
	log_error("standard output: %s; the output is incomplete", strerror(errno ? errno : EIO));
	return 1;
}

int main(int argc, char **argv)
{
	struct settings s auto_with(settings_done);
	struct smr_error err = {0};
	int r, code = 0;

	log_init("smr-cached", LOG_LEVEL_INFO);
	/* For the progress line: whether a bar can be shown. */
	setlocale(LC_CTYPE, "");
	r = settings_parse(argc, argv, &s, &err);
	if (r == -EINVAL)
		return usage(&s, error_text(&err, r));
	if (r < 0) {
		log_error("%s", error_text(&err, r));
		return 1;
	}
	if (s.debug)
		log_init("smr-cached", LOG_LEVEL_DEBUG);
	if (s.version)
		puts("smr-cached " SMR_VERSION);
	else
		code = run(&s);
	return flush_output(code);
}
