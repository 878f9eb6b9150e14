/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Standard output: results and nothing else. What is written may sit in stdio's buffer until
 * output_finish, which is where a full disk or a reader that has gone shows.
 */
#ifndef CMD_OUTPUT_H
#define CMD_OUTPUT_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../core/chunkid.h"
#include "../store/store.h"

#define OUTPUT_JSON_VERSION 1

/* Keeps descriptors 0 to 2 from being given to files: one that is closed gets /dev/null, where
 * writing still fails. Call first. */
void output_init(void);

/* Writes the object with "version" in front, and a newline. Takes the reference; NULL, from a
 * json_pack that failed, is -ENOMEM. */
int output_json(json_t *object);

/* Flushes and says, on standard error, what went wrong. 0 or a negative errno. */
int output_finish(void);

/* Values for JSON: text that need not be UTF-8 (its other bytes become '?'); an id in whole, or
 * null for zeros; a number that may not be known, then null; seconds since the epoch as RFC 3339,
 * or null for 0. */
json_t *output_json_text(const char *s, size_t n);
json_t *output_json_store(const struct store *s); /* its URL */
json_t *output_json_number(uint64_t n, bool known);
json_t *output_json_id(const struct chunkid *id);
json_t *output_json_time(int64_t seconds);

/* "sha256:9f3c41d2…": enough of a digest for a person to compare. Returns `ret`. */
#define OUTPUT_DIGEST_MAX 24
char *output_short_digest(const struct chunkid *digest, char ret[OUTPUT_DIGEST_MAX]);

#endif
