/* SPDX-License-Identifier: BSD-3-Clause */
/* smr [-s STORE] COMMAND: images and the stores that hold them. */
#include <locale.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "../core/log.h"
#include "args.h"
#include "cmd.h"
#include "output.h"

static const struct cmd_verb *const verbs[] = {
	&cmd_add,
	&cmd_build,
	&cmd_chunk,
	&cmd_import,
	&cmd_ls,
	&cmd_info,
	&cmd_run_config,
	&cmd_cat,
	&cmd_verify,
	&cmd_diff,
	&cmd_rm,
};

#define N_VERBS (sizeof(verbs) / sizeof(verbs[0]))

static void help(const struct cmd *c)
{
	printf("usage: smr [-s STORE] COMMAND [OPTION...] [ARGUMENT...]\n\n"
	       "Disk images, cut into chunks, in a store that machines mount them from.\n\n"
	       "commands:\n");
	for (size_t i = 0; i < N_VERBS; i++)
		printf("  %-10s  %s\n", verbs[i]->name, verbs[i]->summary);
	printf("\noptions:\n");
	args_help_common(c);
	printf("\nexample:\n"
	       "  smr -s /srv/smr chunk debian.img\n"
	       "  smrfs /srv/smr /mnt         # then: losetup -r, mount /mnt/debian.img\n"
	       "\ndefaults here:\n  %-10s  %s\n"
	       "\n`smr COMMAND --help` tells more, and so does smr(1).\n",
		"store",
		c->store_url ? c->store_url : "none: needs -s, SMR_STORE or /etc/smr.conf");
}

static const struct cmd_verb *find_verb(const char *name)
{
	for (size_t i = 0; i < N_VERBS; i++)
		if (strcmp(verbs[i]->name, name) == 0)
			return verbs[i];
	return NULL;
}

/* A bad configuration must not stand in the way of help. */
static bool wants_help(int argc, char **argv)
{
	for (int i = 1; i < argc; i++)
		if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0)
			return true;
	return false;
}

static int take_config(struct cmd *c, const struct config *config, struct smr_error *err)
{
	c->config = config;
	c->store_url = config_get(config, "store");
	return cmd_config_flag(c, "insecure", &c->insecure, err);
}

static int run(struct cmd *c, int argc, char **argv)
{
	int next = 0;
	int code = args_parse_common(c, argc, argv, &next);
	if (code != ARGS_RUN)
		return code;
	if (c->show_version) {
		printf("smr %s\n", SMR_VERSION);
		return 0;
	}
	if (next == argc && !c->help)
		return args_usage(c, "which command?");
	/* `smr help` and `smr help VERB`, as many programs have it */
	if (next < argc && strcmp(argv[next], "help") == 0) {
		c->help = true;
		next++;
	}
	if (next == argc) {
		help(c);
		return 0;
	}
	c->verb = find_verb(argv[next]);
	if (!c->verb)
		return args_usage(c, "there is no command '%s'", argv[next]);
	return c->verb->run(c, argc - next, argv + next);
}

int main(int argc, char **argv)
{
	struct cmd c = {0};
	struct config *config = NULL;
	struct smr_error err = {0};

	output_init();
	log_init("smr", LOG_LEVEL_INFO);
	/* LC_CTYPE alone: how wide a character is and whether it can be shown. Numbers stay as
	 * programs read them. */
	setlocale(LC_CTYPE, "");
	signal(SIGPIPE, SIG_IGN);

	int r = config_load(&config, &err);
	if (r == 0)
		r = take_config(&c, config, &err);
	int code = 1;
	if (r < 0 && !wants_help(argc, argv))
		log_error("%s", error_text(&err, r));
	else
		code = run(&c, argc, argv);
	/* Output that did not arrive is a failure, whatever the verb thinks of itself. */
	if (output_finish() < 0)
		code = c.verb ? c.verb->trouble : 1;
	config_free(config);
	return code;
}
