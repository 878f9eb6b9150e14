/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * An HTTP server that misbehaves to order: a thread that accepts, a thread per connection. What it does follows from the path:
 *
 *     /ok/N            N bytes                          /stall          reads the request, says nothing
 *     /stallbody       half a body, then nothing        /drip           a byte every 20 ms
 *     /truncated       half a body, then close          /reset          half a body, then RST
 *     /endless         a body without end               /status/N       that status, with a small page
 *     /bigerror        503 with an endless page         /close          accepts, closes
 *     /slow/MS/N       N bytes after MS                 /steady/N/MS    N bytes evenly over MS
 *     /firstslow/MS/S  10 bytes after MS the first time, then status S
 *     /redirect/URL    302 to what follows              /echo           request line, headers and body come back
 *     /flaky/K/PATH    as 503 K times, then PATH        /after/S/K/PATH as that, with "Retry-After: S"
 *     /flakystall/K/PATH, /flakyreset/K/PATH, /flakytruncated/K/PATH    likewise
 */
#ifndef TESTS_FAULT_SERVER_H
#define TESTS_FAULT_SERVER_H

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/socket.h>
#include <time.h>

#include "store_fixture.h"

#define FAULT_CONNECTIONS 512

struct fault_server {
	int fd;
	unsigned port;
	pthread_t thread;
	pthread_t connections[FAULT_CONNECTIONS];
	unsigned n_connections; /* atomic */
	pthread_mutex_t lock;   /* of paths */
	int stop;               /* atomic */
	unsigned n_requests;    /* atomic */
	unsigned n_failed;      /* atomic: how often a flaky path has failed */
	char paths[256][32];    /* of the first requests, as they came */
	char url[64];
};

struct fault_connection {
	struct fault_server *server;
	int fd;
};

static inline bool fault_send(int fd, const void *data, size_t n)
{
	const char *p = data;

	while (n) {
		ssize_t sent = send(fd, p, n, MSG_NOSIGNAL);

		if (sent <= 0)
			return false;
		p += sent;
		n -= (size_t)sent;
	}
	return true;
}

static inline bool fault_text(int fd, const char *text)
{
	return fault_send(fd, text, strlen(text));
}

/* Until the client goes or the server stops. */
static inline void fault_hang(struct fault_server *s, int fd)
{
	struct pollfd p = {.fd = fd, .events = POLLIN | POLLRDHUP};

	while (!__atomic_load_n(&s->stop, __ATOMIC_RELAXED)) {
		if (poll(&p, 1, 20) != 0)
			return;
	}
}

static inline bool fault_body(struct fault_server *s, int fd, size_t n, unsigned over_ms)
{
	char head[128], block[4096];
	unsigned steps = over_ms ? over_ms / 10 : 1;
	struct timespec next;

	memset(block, 'x', sizeof(block));
	snprintf(head, sizeof(head),
		"HTTP/1.1 200 OK\r\nContent-Length: %zu\r\nETag: \"e\"\r\n\r\n", n);
	if (!fault_text(fd, head))
		return false;
	clock_gettime(CLOCK_MONOTONIC, &next);
	for (unsigned i = 0; i < steps; i++) {
		size_t part = n * (i + 1) / steps - n * i / steps;

		/* To the clock: sleeps that come late do not add up. */
		next.tv_nsec += over_ms ? 10000000 : 0;
		if (next.tv_nsec >= 1000000000) {
			next.tv_nsec -= 1000000000;
			next.tv_sec++;
		}
		clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &next, NULL);
		if (__atomic_load_n(&s->stop, __ATOMIC_RELAXED))
			return false;
		for (size_t m; part; part -= m) {
			m = part < sizeof(block) ? part : sizeof(block);
			if (!fault_send(fd, block, m))
				return false;
		}
	}
	return true;
}

static inline void fault_reset(int fd)
{
	struct linger l = {1, 0};

	fault_text(fd, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nxxxxxxxxxx");
	usleep(5000);
	setsockopt(fd, SOL_SOCKET, SO_LINGER, &l, sizeof(l));
}

static inline bool fault_status(int fd, unsigned status, const char *extra)
{
	char text[256];

	snprintf(text, sizeof(text),
		"HTTP/1.1 %u Whatever\r\n%sContent-Length: 18\r\n\r\n<h1>sorry</h1>\r\n\r\n",
		status, extra);
	return fault_text(fd, text);
}

static inline bool fault_endless(struct fault_server *s, int fd, const char *status)
{
	char block[4096];

	memset(block, 'x', sizeof(block));
	fault_text(fd, "HTTP/1.1 ");
	fault_text(fd, status);
	fault_text(fd, "\r\nConnection: close\r\n\r\n");
	while (!__atomic_load_n(&s->stop, __ATOMIC_RELAXED) && fault_send(fd, block, sizeof(block)))
		;
	return false;
}

static inline bool fault_drip(struct fault_server *s, int fd)
{
	fault_text(fd, "HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n");
	while (!__atomic_load_n(&s->stop, __ATOMIC_RELAXED) && fault_text(fd, "x"))
		usleep(20000);
	return false;
}

static inline bool fault_path(
	struct fault_server *s, int fd, const char *path, const char *request, size_t request_len);

/* "/K/PATH": fails `how` the first K times. */
static inline bool fault_flaky(struct fault_server *s, int fd, const char *how, const char *rest,
	const char *request, size_t n, const char *extra)
{
	char *end;
	unsigned long k = strtoul(rest + 1, &end, 10);

	if (__atomic_fetch_add(&s->n_failed, 1, __ATOMIC_RELAXED) >= k)
		return fault_path(s, fd, end, request, n);
	if (strcmp(how, "status") == 0)
		return fault_status(fd, 503, extra);
	return fault_path(s, fd, how, request, n);
}

static inline bool fault_starts(const char **path, const char *with)
{
	size_t n = strlen(with);

	if (strncmp(*path, with, n) != 0 || ((*path)[n] && (*path)[n] != '/'))
		return false;
	*path += n;
	return true;
}

/* true: the connection is kept. */
static inline bool fault_path(
	struct fault_server *s, int fd, const char *path, const char *request, size_t n)
{
	char text[600];
	char *end;

	if (fault_starts(&path, "/ok"))
		return fault_body(s, fd, strtoul(path + 1, NULL, 10), 0);
	if (fault_starts(&path, "/slow")) {
		usleep((unsigned)strtoul(path + 1, &end, 10) * 1000);
		return fault_body(s, fd, strtoul(end + 1, NULL, 10), 0);
	}
	if (fault_starts(&path, "/firstslow")) {
		unsigned ms = (unsigned)strtoul(path + 1, &end, 10);
		if (__atomic_fetch_add(&s->n_failed, 1, __ATOMIC_RELAXED))
			return fault_status(fd, (unsigned)strtoul(end + 1, NULL, 10), "");
		usleep(ms * 1000);
		return fault_body(s, fd, 10, 0);
	}
	if (fault_starts(&path, "/steady")) {
		size_t bytes = strtoul(path + 1, &end, 10);
		return fault_body(s, fd, bytes, (unsigned)strtoul(end + 1, NULL, 10));
	}
	if (fault_starts(&path, "/stallbody"))
		fault_text(fd, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nxxxxxxxxxx");
	else if (!fault_starts(&path, "/stall"))
		goto others;
	fault_hang(s, fd);
	return false;
others:
	if (fault_starts(&path, "/truncated"))
		return fault_text(fd, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nxxxxxxxxxx") &&
		       false;
	if (fault_starts(&path, "/reset")) {
		fault_reset(fd);
		return false;
	}
	if (fault_starts(&path, "/close"))
		return false;
	if (fault_starts(&path, "/drip"))
		return fault_drip(s, fd);
	if (fault_starts(&path, "/endless"))
		return fault_endless(s, fd, "200 OK");
	if (fault_starts(&path, "/bigerror"))
		return fault_endless(s, fd, "503 No");
	if (fault_starts(&path, "/status"))
		return fault_status(fd, (unsigned)strtoul(path + 1, NULL, 10), "");
	if (fault_starts(&path, "/redirect")) {
		snprintf(text, sizeof(text), "Location: %s\r\n", path + 1);
		return fault_status(fd, 302, text);
	}
	if (fault_starts(&path, "/echo")) {
		snprintf(text, sizeof(text), "HTTP/1.1 200 OK\r\nContent-Length: %zu\r\n\r\n", n);
		return fault_text(fd, text) && fault_send(fd, request, n);
	}
	if (fault_starts(&path, "/flaky"))
		return fault_flaky(s, fd, "status", path, request, n, "");
	if (fault_starts(&path, "/after")) {
		snprintf(text, sizeof(text), "Retry-After: %lu\r\n", strtoul(path + 1, &end, 10));
		return fault_flaky(s, fd, "status", end, request, n, text);
	}
	if (fault_starts(&path, "/flakystall"))
		return fault_flaky(s, fd, "/stall", path, request, n, "");
	if (fault_starts(&path, "/flakyreset"))
		return fault_flaky(s, fd, "/reset", path, request, n, "");
	if (fault_starts(&path, "/flakytruncated"))
		return fault_flaky(s, fd, "/truncated", path, request, n, "");
	return fault_status(fd, 404, "");
}

/* One request with its body into `text`; 0: the client is gone. */
static inline size_t fault_receive(struct fault_server *s, int fd, char *text, size_t size)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};
	size_t n = 0, want = 0;

	for (;;) {
		int ready = poll(&p, 1, 20);

		if (__atomic_load_n(&s->stop, __ATOMIC_RELAXED))
			return 0;
		if (ready <= 0)
			continue;
		ssize_t got = recv(fd, text + n, size - 1 - n, 0);
		if (got <= 0)
			return 0;
		n += (size_t)got;
		text[n] = '\0';
		char *end = strstr(text, "\r\n\r\n");
		char *length = strcasestr(text, "content-length:");
		if (end && !want)
			want = (size_t)(end + 4 - text) +
			       (length && length < end ? strtoul(length + 15, NULL, 10) : 0);
		if (want && n >= want)
			return want;
	}
}

static inline void *fault_connection_main(void *arg)
{
	struct fault_connection *c = arg;
	struct fault_server *s = c->server;
	static const size_t size = 300000;
	char *text = malloc(size), path[512];
	bool keep = true;

	while (keep && text) {
		size_t n = fault_receive(s, c->fd, text, size);

		if (n == 0 || sscanf(text, "%*s %511s", path) != 1)
			break;
		unsigned i = __atomic_fetch_add(&s->n_requests, 1, __ATOMIC_RELAXED);
		pthread_mutex_lock(&s->lock);
		if (i < 256)
			snprintf(s->paths[i], sizeof(s->paths[i]), "%.31s", path);
		pthread_mutex_unlock(&s->lock);
		if (strncmp(text, "HEAD ", 5) == 0)
			keep = fault_text(
				c->fd, "HTTP/1.1 200 OK\r\nContent-Length: 12345\r\n\r\n");
		else
			keep = fault_path(s, c->fd, path, text, n);
	}
	free(text);
	close(c->fd);
	free(c);
	return NULL;
}

static inline void *fault_main(void *arg)
{
	struct fault_server *s = arg;
	struct pollfd p = {.fd = s->fd, .events = POLLIN};

	while (!__atomic_load_n(&s->stop, __ATOMIC_RELAXED)) {
		int one = 1;

		if (poll(&p, 1, 20) <= 0 || s->n_connections == FAULT_CONNECTIONS)
			continue;
		int fd = accept4(s->fd, NULL, NULL, SOCK_CLOEXEC);
		if (fd < 0)
			continue;
		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
		struct fault_connection *c = malloc(sizeof(*c));
		*c = (struct fault_connection){s, fd};
		if (pthread_create(
			    &s->connections[s->n_connections], NULL, fault_connection_main, c) == 0)
			__atomic_fetch_add(&s->n_connections, 1, __ATOMIC_RELAXED);
	}
	return NULL;
}

static inline void fault_listen(struct fault_server *s)
{
	struct sockaddr_in a = {.sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
		.sin_port = htons((uint16_t)s->port)};
	socklen_t len = sizeof(a);
	int one = 1;

	s->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	setsockopt(s->fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	assert_int_equal(bind(s->fd, (struct sockaddr *)&a, sizeof(a)), 0);
	assert_int_equal(listen(s->fd, 128), 0);
	assert_int_equal(getsockname(s->fd, (struct sockaddr *)&a, &len), 0);
	s->port = ntohs(a.sin_port);
	snprintf(s->url, sizeof(s->url), "http://127.0.0.1:%u", s->port);
}

/* `port` 0: any. */
static inline void fault_start(struct fault_server *s, unsigned port)
{
	memset(s, 0, sizeof(*s));
	s->port = port;
	pthread_mutex_init(&s->lock, NULL);
	fault_listen(s);
	assert_int_equal(pthread_create(&s->thread, NULL, fault_main, s), 0);
}

static inline void fault_stop(struct fault_server *s)
{
	__atomic_store_n(&s->stop, 1, __ATOMIC_RELAXED);
	pthread_join(s->thread, NULL);
	for (unsigned i = 0; i < s->n_connections; i++)
		pthread_join(s->connections[i], NULL);
	close(s->fd);
}

static inline unsigned fault_connections(struct fault_server *s)
{
	return __atomic_load_n(&s->n_connections, __ATOMIC_RELAXED);
}

static inline unsigned fault_requests(struct fault_server *s)
{
	return __atomic_load_n(&s->n_requests, __ATOMIC_RELAXED);
}

#endif
