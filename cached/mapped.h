/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Pages of a file that another module has mapped. They count as memory of this process while it has
 * touched them, though the page cache would hold them anyway; a database that is read through from time
 * to time ends up there whole. Any thread.
 */
#ifndef CACHED_MAPPED_H
#define CACHED_MAPPED_H

#include <stddef.h>

/* The mapping, as /proc/self/maps has it, that `at` is in. 0, -ENOENT or another negative errno. */
int mapped_find(const void *at, void **ret_start, size_t *ret_bytes);
/* Lets go of its pages; the next access to each takes it from the page cache again. Only for a shared
 * mapping of a file: in a private one it would undo what was written. */
void mapped_release(void *start, size_t bytes);

#endif
