/* SPDX-License-Identifier: BSD-3-Clause */
#include "table.h"

#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <wchar.h>
#include <wctype.h>

#include "../core/cleanup.h"

struct table {
	size_t n_columns;
	const char *align;
	char **cells;
	size_t n_cells, cap;
	bool failed;
};

struct table *table_new(size_t n, const char *align)
{
	struct table *t = calloc(1, sizeof(*t));
	if (t) {
		t->n_columns = n;
		t->align = align;
	}
	return t;
}

void table_free(struct table *t)
{
	if (!t)
		return;
	for (size_t i = 0; i < t->n_cells; i++)
		free(t->cells[i]);
	free(t->cells);
	free(t);
}

char *table_clean(const char *text, size_t n)
{
	char *copy = malloc(n + 1);
	if (!copy)
		return NULL;
	mbstate_t state = {0};
	size_t out = 0;
	for (size_t i = 0; i < n;) {
		wchar_t wc;
		size_t len = mbrtowc(&wc, text + i, n - i, &state);
		bool invalid = len == (size_t)-1 || len == (size_t)-2 || len == 0;
		if (invalid) {
			state = (mbstate_t){0};
			len = 1;
		}
		if (invalid || !iswprint((wint_t)wc)) {
			copy[out++] = '?';
		} else {
			memcpy(copy + out, text + i, len);
			out += len;
		}
		i += len;
	}
	copy[out] = '\0';
	return copy;
}

static char *format(const char *fmt, va_list ap)
{
	char *text = NULL;
	int n = vasprintf(&text, fmt, ap);
	if (n < 0)
		return NULL;
	char *clean = table_clean(text, (size_t)n);
	free(text);
	return clean;
}

void table_cell(struct table *t, const char *fmt, ...)
{
	if (t->n_cells == t->cap) {
		size_t cap = t->cap ? t->cap * 2 : 64;
		char **p = realloc(t->cells, cap * sizeof(*p));
		if (!p) {
			t->failed = true;
			return;
		}
		t->cells = p;
		t->cap = cap;
	}
	va_list ap;
	va_start(ap, fmt);
	char *text = format(fmt, ap);
	va_end(ap);
	if (text)
		t->cells[t->n_cells++] = text;
	else
		t->failed = true;
}

/* Columns on a terminal; what was cleaned is printable. */
static size_t text_width(const char *s)
{
	size_t width = 0;
	mbstate_t state = {0};
	for (size_t left = strlen(s); left > 0;) {
		wchar_t wc;
		size_t len = mbrtowc(&wc, s, left, &state);
		if (len == (size_t)-1 || len == (size_t)-2 || len == 0)
			return width + left;
		int w = wcwidth(wc);
		width += w > 0 ? (size_t)w : 0;
		s += len;
		left -= len;
	}
	return width;
}

static const char *cell_text(const struct table *t, size_t i)
{
	return t->cells[i][0] ? t->cells[i] : "-";
}

static void print_cell(const struct table *t, size_t i, const size_t *widths, FILE *out)
{
	size_t column = i % t->n_columns;
	bool last = column == t->n_columns - 1;
	const char *text = cell_text(t, i);
	int pad = (int)(widths[column] - text_width(text));

	if (t->align[column] == 'r')
		fprintf(out, "%*s%s", pad, "", text);
	else
		fprintf(out, "%s%*s", text, last ? 0 : pad, "");
	fputs(last ? "\n" : "  ", out);
}

int table_print(const struct table *t, FILE *out)
{
	auto_free size_t *widths = calloc(t->n_columns, sizeof(*widths));
	if (t->failed || !widths)
		return -ENOMEM;
	for (size_t i = 0; i < t->n_cells; i++) {
		size_t width = text_width(cell_text(t, i));
		if (width > widths[i % t->n_columns])
			widths[i % t->n_columns] = width;
	}
	for (size_t i = 0; i < t->n_cells; i++)
		print_cell(t, i, widths, out);
	return 0;
}
