/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Numbers for people, both ways. Sizes are decimal in text ("58.2 MB"); on input K, M, G, T are binary as in
 * dd, truncate and mount options, kB/MB/GB/TB decimal, KiB/MiB/GiB/TiB binary.
 */
#ifndef CORE_UNITS_H
#define CORE_UNITS_H

#include <stddef.h>
#include <stdint.h>

#define UNITS_TEXT_MAX 24

/* "10G", "512k", "1.5GiB", "4096". 0, -EINVAL, -ERANGE. */
int units_parse_size(const char *s, uint64_t *ret_bytes);
/* "0 B", "812 B", "1.2 kB", "58.2 MB", "112 MB", "1.24 GB". Returns `ret`. */
char *units_format_size(uint64_t bytes, char ret[UNITS_TEXT_MAX]);
/* A whole decimal number in [min, max]; nothing but digits. 0, -EINVAL, -ERANGE. */
int units_parse_uint(const char *s, uint64_t min, uint64_t max, uint64_t *ret);
/* "31 ms", "4.2 s", "3 min", "3 days". Returns `ret`. */
char *units_format_duration(uint64_t ns, char ret[UNITS_TEXT_MAX]);
/* "6,204". Returns `ret`. */
char *units_format_count(uint64_t n, char ret[UNITS_TEXT_MAX + 4]);

#endif
