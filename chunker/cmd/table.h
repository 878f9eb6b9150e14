/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Aligned columns for people. Cells are collected first, since a column is as wide as its widest
 * cell; they are cleaned of control characters, for sources and configs come from whoever published
 * an image.
 *
 * Not thread-safe. Memory failures are remembered and reported by table_print.
 */
#ifndef CMD_TABLE_H
#define CMD_TABLE_H

#include <stddef.h>
#include <stdio.h>

struct table;

/* `n` columns; `align` has a letter for each, 'l' or 'r'. NULL: no memory. */
struct table *table_new(size_t n, const char *align);
void table_free(struct table *t);
/* The next cell, row by row. */
void table_cell(struct table *t, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* Two spaces between columns, none at a line's end; "-" for a cell that is empty. 0 or -ENOMEM. */
int table_print(const struct table *t, FILE *out);

/* A copy of `n` bytes of text fit for a terminal: '?' for control characters and what is not valid
 * UTF-8 in this locale. NULL: no memory. Free with free(). */
char *table_clean(const char *text, size_t n);

#endif
