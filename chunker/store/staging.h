/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Where a writer of a directory store prepares its files before they are renamed to their keys:
 *
 *     tmp/lock            flock: one writer at a time changes recipes, index and roots
 *     tmp/w-PID-N/lock    flock: held while this writer lives
 *     tmp/w-PID-N/M       a file being prepared
 *
 * A writer whose lock is free is dead, whatever became of its pid, and its files are swept by the
 * next one. So tmp/ holds nothing of worth while no writer runs.
 *
 * Any thread may call anything but free.
 */
#ifndef STORE_STAGING_H
#define STORE_STAGING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../core/error.h"

#define STAGING_DIR "tmp"

struct staging;

/* `root`: the store's directory; must stay open. Sweeps what dead writers left. */
int staging_open(int root, struct staging **ret, struct smr_error *err);
/* Files that were not published are removed. NULL is fine. */
void staging_free(struct staging *s);

/* Writes a file of mode 0644 under the umask. `sync`: its bytes are durable when this returns. */
int staging_write(struct staging *s, const void *data, size_t n, bool sync, uint64_t *ret_file);
/* Renames it to `key`, making directories (0755 under the umask) on the way. */
int staging_publish(struct staging *s, uint64_t file, const char *key);
void staging_discard(struct staging *s, uint64_t file);
/* Makes renames to `key`, and removals of it, durable: fsync of its directory and those above. */
int staging_sync_names(int root, const char *key);

/* The lock of the whole store; waits. Closing the descriptor releases it. */
int staging_lock(int root, int *ret_fd);

#endif
