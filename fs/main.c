/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../chunker/core/cleanup.h"
#include "../chunker/core/config.h"
#include "../chunker/core/log.h"
#include "../chunker/core/process.h"
#include "../chunker/core/units.h"
#include "daemon.h"
#include "options.h"

#define EXIT_USAGE 2

static const char help[] =
	"usage: smrfs STORE MOUNTPOINT [-f] [-d] [-o OPTION[,OPTION...]]\n"
	"\n"
	"Shows each image NAME of STORE as a read-only file NAME.img, fetching only what is read.\n"
	"STORE is a directory or a URL (http, https). To unmount: umount, or fusermount3 -u.\n"
	"\n"
	"  -f               stay in the foreground\n"
	"  -d               log every request, too\n"
	"  -h, --help       show this\n"
	"  -V, --version    show the version\n"
	"\n"
	"  -o cache=DIR     where chunks are kept: %s\n"
	"  -o socket=PATH   where its owner is found: %s\n"
	"  -o cache_size=N  how much of them: %s\n"
	"  -o timeout=SEC   a read fails after so long, 0 = never: %llu\n"
	"  -o insecure      take plain http from other machines%s\n"
	"  -o ca=FILE       certificates (PEM) to trust in place of the system's\n"
	"  -o fsname=NAME   what mount(8) shows as the source\n"
	"  -o allow_other   let other users in; the default for root\n"
	"  -o allow_root    let root in\n"
	"\n"
	"Other options of mount(8) are taken from an fstab line of type fuse.smrfs. Example:\n"
	"\n"
	"  smrfs https://images.example.org/smr /var/lib/smr\n"
	"  losetup -r -f --show --direct-io=on /var/lib/smr/python_3.12-slim.img\n";

/* The defaults shown are those that would be used here. */
static int show_help(const struct options *o)
{
	char size[UNITS_TEXT_MAX];
	printf(help, o->cache_dir ? o->cache_dir : "(none: HOME is not set)",
		o->socket ? o->socket : "in there", units_format_size(o->cache_size, size),
		(unsigned long long)o->timeout, o->insecure ? ": yes" : "");
	return 0;
}

static int complete_cache(struct options *o, const struct config *config, struct smr_error *err)
{
	char dir[PATH_MAX], path[PATH_MAX];
	int r = config_cache_dir(config, dir, sizeof(dir), err);
	if (r < 0)
		return o->cache_dir || o->help ? 0 : r;
	/* The configured socket is that of the configured cache: another one has its own. */
	bool other = o->cache_dir && strcmp(o->cache_dir, dir) != 0;
	if (!o->cache_dir && !(o->cache_dir = strdup(dir)))
		return -ENOMEM;
	if (o->socket || other)
		return 0;
	r = config_socket_path(config, dir, path, sizeof(path), err);
	if (r == 0 && !(o->socket = strdup(path)))
		r = -ENOMEM;
	return r;
}

static int complete(struct options *o, struct smr_error *err)
{
	struct config *config = NULL;
	char cwd[PATH_MAX];
	int r = config_load(&config, err);
	if (r < 0)
		return r;
	r = options_complete(o, config, err);
	if (r == 0)
		r = complete_cache(o, config, err);
	config_free(config);
	if (r < 0 || o->help)
		return r;
	if (!getcwd(cwd, sizeof(cwd)))
		return error_set_errno(err, -errno, "the working directory");
	return options_absolute(o, cwd);
}

int main(int argc, char **argv)
{
	struct options o auto_with(options_done) = {0};
	struct smr_error err = {0};
	log_init("smrfs", LOG_LEVEL_INFO);
	int r = options_parse(argc, argv, &o, &err);
	if (r < 0) {
		log_error("%s", error_text(&err, r));
		if (r == -EINVAL)
			fputs("usage: smrfs STORE MOUNTPOINT [-f] [-d] [-o OPTION[,OPTION...]]\n"
			      "       smrfs --help\n",
				stderr);
		return r == -EINVAL ? EXIT_USAGE : 1;
	}
	if (o.version) {
		puts("smrfs " SMR_VERSION);
		return 0;
	}
	r = complete(&o, &err);
	if (r < 0) {
		log_error("%s", error_text(&err, r));
		return 1;
	}
	if (o.help)
		return show_help(&o);
	if (o.debug) {
		o.foreground = true;
		log_init("smrfs", LOG_LEVEL_DEBUG);
	}
	process_limit_memory();
	process_raise_descriptors();
	return daemon_run(&o);
}
