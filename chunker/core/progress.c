/* SPDX-License-Identifier: BSD-3-Clause */
#include "progress.h"

#include <langinfo.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "cleanup.h"
#include "clock.h"
#include "units.h"

#define QUIET_NS   CLOCK_NS_PER_S /* what is done by then shows nothing */
#define REDRAW_NS  (100 * CLOCK_NS_PER_MS)
#define BAR_MAX    20u
#define BAR_MIN    8u
#define LINE_BYTES 512u

struct progress {
	const char *label;
	uint64_t total, started_ns;
	bool utf8, colour;
	atomic_uint_least64_t done, bytes;

	pthread_t thread;
	pthread_mutex_t lock; /* guards stopping, label, total and started_ns */
	pthread_cond_t wake;
	bool stopping;
};

/* What one drawing of the line shows. */
struct line {
	const char *label;
	uint64_t done, total, bytes, elapsed_ns;
};

static void format_bar(const struct line *s, unsigned width, bool utf8, char *ret, size_t size)
{
	uint64_t done = s->done < s->total ? s->done : s->total;
	unsigned full = (unsigned)((double)done / (double)s->total * width);
	size_t at = 0;
	for (unsigned i = 0; i < width && at + 4 < size; i++) {
		const char *mark = i < full ? (utf8 ? "█" : "#") : (utf8 ? "░" : ".");
		at += (size_t)snprintf(ret + at, size - at, "%s", mark);
	}
}

/* The line for a terminal of so many columns, without colour. Narrow ones lose the bar first, then the rate, then the label. */
static void format_line(const struct line *s, unsigned columns, bool utf8, char *ret, unsigned size)
{
	char amount[UNITS_TEXT_MAX], rate[UNITS_TEXT_MAX], bar[BAR_MAX * 3 + 4] = "";
	double seconds = (double)s->elapsed_ns / CLOCK_NS_PER_S;
	double per_second = seconds > 0 ? (double)s->bytes / seconds : 0;
	units_format_size(s->bytes, amount);
	units_format_size((uint64_t)per_second, rate);

	/* "  label  BAR  amount  rate/s"; the last column stays free, some terminals wrap there. */
	unsigned room = columns > 0 ? columns - 1 : 0;
	unsigned label = (unsigned)strlen(s->label) + 2, figure = (unsigned)strlen(amount) + 2;
	unsigned speed = (unsigned)strlen(rate) + 4;
	unsigned used = label + figure + speed;
	if (s->total > 0 && used + BAR_MIN + 2 <= room) {
		unsigned width = room - used - 2 < BAR_MAX ? room - used - 2 : BAR_MAX;
		format_bar(s, width, utf8, bar, sizeof(bar));
		snprintf(ret, size, "  %s  %s  %s  %s/s", s->label, bar, amount, rate);
	} else if (used <= room) {
		snprintf(ret, size, "  %s  %s  %s/s", s->label, amount, rate);
	} else if (label + figure <= room) {
		snprintf(ret, size, "  %s  %s", s->label, amount);
	} else {
		snprintf(ret, size, "%.*s", (int)room, amount);
	}
}

static unsigned terminal_columns(void)
{
	struct winsize w;
	if (ioctl(STDERR_FILENO, TIOCGWINSZ, &w) < 0 || w.ws_col == 0)
		return 80;
	return w.ws_col;
}

static void draw(struct progress *p, uint64_t now)
{
	struct line s = {
		.label = p->label,
		.done = atomic_load_explicit(&p->done, memory_order_relaxed),
		.total = p->total,
		.bytes = atomic_load_explicit(&p->bytes, memory_order_relaxed),
		.elapsed_ns = now - p->started_ns,
	};
	char text[LINE_BYTES], line[LINE_BYTES + 32];
	format_line(&s, terminal_columns(), p->utf8, text, sizeof(text));
	int n = snprintf(line, sizeof(line), "\r%s%s%s\033[K", p->colour ? "\033[36m" : "", text,
		p->colour ? "\033[0m" : "");
	if (write(STDERR_FILENO, line, (size_t)n) < 0)
		return; /* a terminal that has gone needs no progress */
}

static void *draw_loop(void *arg)
{
	struct progress *p = arg;
	bool drawn = false;
	locked(&p->lock);
	uint64_t next = p->started_ns + QUIET_NS;
	while (!p->stopping) {
		struct timespec at = clock_timespec(next);
		pthread_cond_timedwait(&p->wake, &p->lock, &at);
		uint64_t now = clock_ns();
		if (p->stopping || now < next)
			continue;
		draw(p, now);
		drawn = true;
		next = now + REDRAW_NS;
	}
	if (drawn && write(STDERR_FILENO, "\r\033[K", 4) < 0)
		return NULL;
	return NULL;
}

static bool can_show(bool quiet)
{
	const char *term = getenv("TERM");
	return !quiet && isatty(STDERR_FILENO) && term && strcmp(term, "dumb") != 0;
}

struct progress *progress_start(const char *label, uint64_t total, bool quiet)
{
	struct progress *p = can_show(quiet) ? calloc(1, sizeof(*p)) : NULL;
	if (!p)
		return NULL;
	const char *no_colour = getenv("NO_COLOR");
	p->label = label;
	p->total = total;
	p->started_ns = clock_ns();
	p->utf8 = strcmp(nl_langinfo(CODESET), "UTF-8") == 0;
	p->colour = !no_colour || !*no_colour;
	pthread_mutex_init(&p->lock, NULL);
	pthread_condattr_t attr;
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&p->wake, &attr);
	pthread_condattr_destroy(&attr);

	/* Signals are for the threads that wait for them. */
	sigset_t all, old;
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	int r = pthread_create(&p->thread, NULL, draw_loop, p);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (r != 0) {
		pthread_cond_destroy(&p->wake);
		pthread_mutex_destroy(&p->lock);
		free(p);
		return NULL;
	}
	return p;
}

void progress_add(struct progress *p, uint64_t done, uint64_t bytes)
{
	if (!p)
		return;
	atomic_fetch_add_explicit(&p->done, done, memory_order_relaxed);
	atomic_fetch_add_explicit(&p->bytes, bytes, memory_order_relaxed);
}

void progress_reach(struct progress *p, uint64_t done, uint64_t bytes)
{
	if (!p)
		return;
	uint_least64_t seen = atomic_load_explicit(&p->done, memory_order_relaxed);
	while (seen < done && !atomic_compare_exchange_weak_explicit(&p->done, &seen, done,
				      memory_order_relaxed, memory_order_relaxed))
		;
	atomic_fetch_add_explicit(&p->bytes, bytes, memory_order_relaxed);
}

void progress_change(struct progress *p, const char *label, uint64_t total)
{
	if (!p)
		return;
	locked(&p->lock);
	p->label = label;
	p->total = total;
	p->started_ns = clock_ns();
	atomic_store_explicit(&p->done, 0, memory_order_relaxed);
	atomic_store_explicit(&p->bytes, 0, memory_order_relaxed);
}

void progress_stop(struct progress *p)
{
	if (!p)
		return;
	{
		locked(&p->lock);
		p->stopping = true;
		pthread_cond_signal(&p->wake);
	}
	pthread_join(p->thread, NULL);
	pthread_cond_destroy(&p->wake);
	pthread_mutex_destroy(&p->lock);
	free(p);
}
