/* SPDX-License-Identifier: BSD-3-Clause */
#include "units.h"

#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

/* The digits at *s, which moves behind them. */
static int parse_digits(const char **s, uint64_t *ret)
{
	uint64_t v = 0;
	if (!is_digit(**s))
		return -EINVAL;
	bool over = false;
	for (; is_digit(**s); (*s)++)
		over |= __builtin_mul_overflow(v, 10, &v) ||
			__builtin_add_overflow(v, **s - '0', &v);
	if (over)
		return -ERANGE;
	*ret = v;
	return 0;
}

/* The factor of a suffix, 0 for none that is known. */
static uint64_t unit_factor(const char *s)
{
	static const struct {
		const char *suffix;
		uint64_t factor;
	} units[] = {
		{"", 1},
		{"B", 1},
		{"K", 1ull << 10},
		{"KiB", 1ull << 10},
		{"kB", 1000ull},
		{"M", 1ull << 20},
		{"MiB", 1ull << 20},
		{"MB", 1000000ull},
		{"G", 1ull << 30},
		{"GiB", 1ull << 30},
		{"GB", 1000000000ull},
		{"T", 1ull << 40},
		{"TiB", 1ull << 40},
		{"TB", 1000000000000ull},
	};
	for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++)
		if (strcasecmp(s, units[i].suffix) == 0)
			return units[i].factor;
	return 0;
}

int units_parse_size(const char *s, uint64_t *ret_bytes)
{
	uint64_t whole, fraction = 0, scale = 1;
	int r = parse_digits(&s, &whole);
	if (r < 0 && r != -ERANGE)
		return r;
	bool over = r < 0;
	bool has_fraction = *s == '.';
	if (has_fraction) {
		s++;
		if (!is_digit(*s))
			return -EINVAL;
		/* the thirteenth digit is worth less than a byte of a terabyte: read, not counted
		 */
		for (; is_digit(*s); s++) {
			if (scale >= 1000000000000)
				continue;
			fraction = fraction * 10 + (uint64_t)(*s - '0');
			scale *= 10;
		}
	}
	if (*s == ' ' && s[1] != '\0')
		s++;
	uint64_t factor = unit_factor(s);
	if (factor == 0 || (has_fraction && factor == 1))
		return -EINVAL;
	uint64_t part = (uint64_t)((unsigned __int128)fraction * factor / scale);
	uint64_t bytes;
	if (over || __builtin_mul_overflow(whole, factor, &bytes) ||
		__builtin_add_overflow(bytes, part, &bytes))
		return -ERANGE;
	*ret_bytes = bytes;
	return 0;
}

/* value in units of `unit`, rounded to nearest: three figures, at most `decimals` of them behind
 * the point, no trailing zeros there. */
static void format_scaled(
	uint64_t value, uint64_t unit, int decimals, const char *suffix, char *ret)
{
	uint64_t scale = decimals == 2 ? 100 : 10;
	uint64_t n;
	for (;; scale /= 10, decimals--) {
		uint64_t step = unit / scale;
		n = value / step + (value % step >= step - step / 2);
		if (n < 1000 || decimals == 0)
			break;
	}
	for (; decimals > 0 && n % 10 == 0; decimals--, scale /= 10)
		n /= 10;
	unsigned whole = (unsigned)(n / scale), part = (unsigned)(n % scale);
	if (decimals == 2)
		snprintf(ret, UNITS_TEXT_MAX, "%u.%02u %s", whole, part, suffix);
	else if (decimals == 1)
		snprintf(ret, UNITS_TEXT_MAX, "%u.%u %s", whole, part, suffix);
	else
		snprintf(ret, UNITS_TEXT_MAX, "%u %s", whole, suffix);
}

char *units_format_size(uint64_t bytes, char ret[UNITS_TEXT_MAX])
{
	static const struct {
		const char *suffix;
		uint64_t unit;
		int decimals;
	} units[] = {{"EB", 1000000000000000000u, 2}, {"PB", 1000000000000000u, 2},
		{"TB", 1000000000000u, 2}, {"GB", 1000000000u, 2}, {"MB", 1000000u, 1},
		{"kB", 1000u, 1}};
	for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
		/* what would round to "1000 kB" is "1 MB" */
		if (bytes < units[i].unit - units[i].unit / 2000)
			continue;
		format_scaled(bytes, units[i].unit, units[i].decimals, units[i].suffix, ret);
		return ret;
	}
	snprintf(ret, UNITS_TEXT_MAX, "%" PRIu64 " B", bytes);
	return ret;
}

int units_parse_uint(const char *s, uint64_t min, uint64_t max, uint64_t *ret)
{
	uint64_t v;
	const char *end = s;
	int r = parse_digits(&end, &v);
	if (*end != '\0')
		return -EINVAL;
	if (r < 0)
		return r;
	if (v < min || v > max)
		return -ERANGE;
	*ret = v;
	return 0;
}

char *units_format_duration(uint64_t ns, char ret[UNITS_TEXT_MAX])
{
	const uint64_t us = 1000, ms = 1000 * us, s = 1000 * ms, min = 60 * s, hour = 60 * min,
		       day = 24 * hour;
	if (ns < us)
		snprintf(ret, UNITS_TEXT_MAX, "%" PRIu64 " ns", ns);
	else if (ns < ms)
		snprintf(ret, UNITS_TEXT_MAX, "%" PRIu64 " us", ns / us);
	else if (ns < s)
		snprintf(ret, UNITS_TEXT_MAX, "%" PRIu64 " ms", ns / ms);
	else if (ns < 10 * s)
		snprintf(ret, UNITS_TEXT_MAX, "%" PRIu64 ".%" PRIu64 " s", ns / s,
			ns % s / (100 * ms));
	else if (ns < min)
		snprintf(ret, UNITS_TEXT_MAX, "%" PRIu64 " s", ns / s);
	else if (ns < hour)
		snprintf(ret, UNITS_TEXT_MAX, "%" PRIu64 " min", ns / min);
	else if (ns < day)
		snprintf(ret, UNITS_TEXT_MAX, "%" PRIu64 " h", ns / hour);
	else
		snprintf(ret, UNITS_TEXT_MAX, "%" PRIu64 " %s", ns / day,
			ns < 2 * day ? "day" : "days");
	return ret;
}

char *units_format_count(uint64_t n, char ret[UNITS_TEXT_MAX + 4])
{
	char digits[UNITS_TEXT_MAX];
	int len = snprintf(digits, sizeof(digits), "%" PRIu64, n);
	char *to = ret;
	for (int i = 0; i < len; i++) {
		if (i > 0 && (len - i) % 3 == 0)
			*to++ = ',';
		*to++ = digits[i];
	}
	*to = '\0';
	return ret;
}
