/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A web server on loopback for a directory, which serves its chunks late, wrong or not at all when the test
 * says so. A thread per connection; each GET below chunks/ is counted.
 */
#ifndef TESTS_UNIT_WEB_ORIGIN_H
#define TESTS_UNIT_WEB_ORIGIN_H

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#define WEB_ORIGIN_CONNECTIONS 256

enum web_origin_fault {
	WEB_ORIGIN_OK,
	WEB_ORIGIN_FLIP,     /* a wrong byte */
	WEB_ORIGIN_EMPTY,    /* no bytes */
	WEB_ORIGIN_503,      /* try later */
	WEB_ORIGIN_404,      /* absent */
	WEB_ORIGIN_TRUNCATE, /* half of it, then the connection ends */
	WEB_ORIGIN_FAULTS
};

struct web_origin {
	char dir[600], url[64];
	int fd;
	pthread_t acceptor, threads[WEB_ORIGIN_CONNECTIONS];
	int connections[WEB_ORIGIN_CONNECTIONS];
	unsigned n_threads;
	atomic_bool stop;
	atomic_uint delay_ms, gets;
	/* the nth GET of a chunk: how it goes; NULL: well */
	enum web_origin_fault (*fault)(unsigned n);
};

struct web_origin_job {
	struct web_origin *o;
	int fd;
};

static inline bool web_origin_send(int fd, const void *data, size_t n)
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

static inline bool web_origin_status(int fd, const char *status)
{
	char text[128];

	snprintf(text, sizeof(text), "HTTP/1.1 %s\r\nContent-Length: 0\r\n\r\n", status);
	return web_origin_send(fd, text, strlen(text));
}

static inline enum web_origin_fault web_origin_chunk(struct web_origin *o)
{
	unsigned n = atomic_fetch_add(&o->gets, 1);
	unsigned delay = atomic_load(&o->delay_ms);

	for (unsigned i = 0; i < delay && !atomic_load(&o->stop); i += 10)
		usleep((delay - i < 10 ? delay - i : 10) * 1000);
	return o->fault ? o->fault(n) : WEB_ORIGIN_OK;
}

/* true: the connection goes on. */
static inline bool web_origin_answer(struct web_origin *o, int fd, const char *path, bool head)
{
	enum web_origin_fault fault =
		strstr(path, "/chunks/") ? web_origin_chunk(o) : WEB_ORIGIN_OK;
	char file[1300], header[128];
	struct stat st;
	bool ok = false;

	if (fault == WEB_ORIGIN_503 || fault == WEB_ORIGIN_404)
		return web_origin_status(fd, fault == WEB_ORIGIN_404 ? "404 No" : "503 Later");
	snprintf(file, sizeof(file), "%s%s", o->dir, path);
	int in = open(file, O_RDONLY | O_CLOEXEC);
	if (in < 0 || fstat(in, &st) < 0 || !S_ISREG(st.st_mode)) {
		if (in >= 0)
			close(in);
		return web_origin_status(fd, "404 No");
	}
	size_t n = fault == WEB_ORIGIN_EMPTY ? 0 : (size_t)st.st_size;
	char *body = malloc(n + 1);
	if (body && pread(in, body, n, 0) == (ssize_t)n) {
		if (fault == WEB_ORIGIN_FLIP)
			body[n / 2] ^= 1;
		snprintf(header, sizeof(header), "HTTP/1.1 200 OK\r\nContent-Length: %zu\r\n\r\n",
			n);
		ok = web_origin_send(fd, header, strlen(header)) &&
		     (head || web_origin_send(fd, body, fault == WEB_ORIGIN_TRUNCATE ? n / 2 : n));
	}
	free(body);
	close(in);
	return ok && fault != WEB_ORIGIN_TRUNCATE;
}

static inline void *web_origin_connection(void *arg)
{
	struct web_origin_job *job = arg;
	char text[8192], method[8], path[600];
	size_t n = 0;
	bool on = true;

	while (on) {
		ssize_t got = recv(job->fd, text + n, sizeof(text) - 1 - n, 0);
		if (got <= 0)
			break;
		n += (size_t)got;
		text[n] = '\0';
		if (!strstr(text, "\r\n\r\n"))
			continue;
		n = 0;
		on = sscanf(text, "%7s %599s", method, path) == 2 &&
		     web_origin_answer(job->o, job->fd, path, strcmp(method, "HEAD") == 0);
	}
	shutdown(job->fd, SHUT_RDWR);
	free(job);
	return NULL;
}

static inline void *web_origin_main(void *arg)
{
	struct web_origin *o = arg;
	struct pollfd p = {.fd = o->fd, .events = POLLIN};

	while (!atomic_load(&o->stop)) {
		int one = 1;
		if (poll(&p, 1, 20) <= 0 || o->n_threads == WEB_ORIGIN_CONNECTIONS)
			continue;
		int fd = accept4(o->fd, NULL, NULL, SOCK_CLOEXEC);
		if (fd < 0)
			continue;
		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
		struct web_origin_job *job = malloc(sizeof(*job));
		if (!job)
			abort();
		*job = (struct web_origin_job){o, fd};
		o->connections[o->n_threads] = fd;
		if (pthread_create(&o->threads[o->n_threads], NULL, web_origin_connection, job) !=
			0)
			abort();
		o->n_threads++;
	}
	return NULL;
}

/* Aborts when it cannot. */
static inline void web_origin_start(struct web_origin *o, const char *dir)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof(a);

	memset(o, 0, sizeof(*o));
	snprintf(o->dir, sizeof(o->dir), "%s", dir);
	o->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (bind(o->fd, (struct sockaddr *)&a, sizeof(a)) < 0 || listen(o->fd, 128) < 0 ||
		getsockname(o->fd, (struct sockaddr *)&a, &len) < 0 ||
		pthread_create(&o->acceptor, NULL, web_origin_main, o) != 0)
		abort();
	snprintf(o->url, sizeof(o->url), "http://127.0.0.1:%u", ntohs(a.sin_port));
}

/* From then on its port refuses connections. */
static inline void web_origin_stop(struct web_origin *o)
{
	atomic_store(&o->stop, true);
	pthread_join(o->acceptor, NULL);
	close(o->fd);
	for (unsigned i = 0; i < o->n_threads; i++)
		shutdown(o->connections[i], SHUT_RDWR);
	for (unsigned i = 0; i < o->n_threads; i++) {
		pthread_join(o->threads[i], NULL);
		close(o->connections[i]);
	}
}

#endif
