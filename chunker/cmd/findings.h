/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What `smr verify` looks at and what it found: images with their recipes, the check of their
 * chunks, and the report for people and for programs. Plain data of one thread.
 */
#ifndef CMD_FINDINGS_H
#define CMD_FINDINGS_H

#include <stdbool.h>
#include <stddef.h>

#include "check.h"
#include "cmd.h"

struct finding {
	char name[NAME_LEN_MAX + 1];
	struct recipe *recipe; /* NULL: damaged, `err` says how */
	struct smr_error err;
	uint64_t missing, damaged; /* chunks of the image, an id counted as often as it is used */
};

struct findings {
	struct store *store; /* the caller's */
	struct finding *images;
	size_t n, cap;
	struct check *check;
	struct check_totals totals;
	bool data;               /* chunks were rehashed, not only asked for */
	bool every;              /* all images of the store were looked at, so the next two count */
	int unreferenced_result; /* 0 or -EOPNOTSUPP */
	struct check_unreferenced unreferenced;
};

int findings_init(struct findings *f, struct store *s);
void findings_done(struct findings *f);
/* One more image, "NAME" or "NAME@sha256:DIGEST". A damaged recipe is a finding; an absent one is
 * an error. */
int findings_add(struct findings *f, const char *arg, struct smr_error *err);
/* All images that the store lists. */
int findings_add_all(struct findings *f, struct smr_error *err);
/* Looks at the chunks. Errors as check_run. */
int findings_look(struct findings *f, bool data, bool quiet, const atomic_bool *cancel,
	struct smr_error *err);

/* Images that cannot be read in full. */
size_t findings_count(const struct findings *f);
/* Damage goes to standard error, a line each, the verdict to standard output if all is well. */
void findings_print(const struct findings *f, bool quiet);
/* 0 or -ENOMEM. */
int findings_print_json(const struct findings *f);

#endif
