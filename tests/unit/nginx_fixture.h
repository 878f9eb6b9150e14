/* SPDX-License-Identifier: BSD-3-Clause */
/* A real nginx on a free port of the loopback, serving a directory, with TLS on a second port. */
#ifndef TESTS_NGINX_FIXTURE_H
#define TESTS_NGINX_FIXTURE_H

#include <arpa/inet.h>
#include <fcntl.h>
#include <limits.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "store_fixture.h"

struct nginx {
	pid_t pid;
	unsigned port, tls_port;
	char dir[256]; /* of its configuration: ca.pem is there */
	char url[64], tls_url[64];
};

/* A port that was free a moment ago. */
static inline unsigned free_port(void)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof(a);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_int_equal(bind(fd, (struct sockaddr *)&a, sizeof(a)), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&a, &len), 0);
	close(fd);
	return ntohs(a.sin_port);
}

static inline bool port_answers(unsigned port)
{
	struct sockaddr_in a = {.sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
		.sin_port = htons((uint16_t)port)};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	bool answers = connect(fd, (struct sockaddr *)&a, sizeof(a)) == 0;

	close(fd);
	return answers;
}

/* A certificate authority, and a certificate of 127.0.0.1 by it. */
static inline void make_certificates(const char *dir)
{
	char command[2048];

	snprintf(command, sizeof(command),
		"cd %s && exec >openssl.log 2>&1 && "
		"printf 'subjectAltName=IP:127.0.0.1' > ext && "
		"openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 "
		"-subj '/CN=test authority' -keyout ca.key -out ca.pem && "
		"openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes "
		"-subj '/CN=127.0.0.1' -keyout server.key -out server.csr && "
		"openssl x509 -req -in server.csr -CA ca.pem -CAkey ca.key -CAcreateserial "
		"-days 2 -extfile ext -out server.pem",
		dir);
	assert_int_equal(system(command), 0);
}

/* `extra` goes into each server block. */
static inline void write_nginx_conf(struct nginx *n, const char *root, const char *extra)
{
	char conf[4096];

	snprintf(conf, sizeof(conf),
		"daemon off; master_process off; pid %s/pid; error_log %s/error.log;\n"
		"events { worker_connections 512; }\n"
		"http { access_log %s/access.log; sendfile on; keepalive_requests 100000;\n"
		"  client_body_temp_path %s/b; proxy_temp_path %s/p; fastcgi_temp_path %s/f;\n"
		"  uwsgi_temp_path %s/u; scgi_temp_path %s/s;\n"
		"  server { listen 127.0.0.1:%u; root %s; %s }\n"
		"  server { listen 127.0.0.1:%u ssl http2; root %s; ssl_certificate "
		"%s/server.pem;\n"
		"    ssl_certificate_key %s/server.key; %s } }\n",
		n->dir, n->dir, n->dir, n->dir, n->dir, n->dir, n->dir, n->dir, n->port, root,
		extra, n->tls_port, root, n->dir, n->dir, extra);
	write_text(below(n->dir, "nginx.conf"), conf);
}

/* Where ./dev put nginx is in PATH; where Debian puts it is not in everybody's. */
static inline void find_nginx(char *ret, size_t size)
{
	char path[8192];

	snprintf(path, sizeof(path), "%s:/usr/sbin", getenv("PATH"));
	for (char *rest = path, *dir; (dir = strsep(&rest, ":"));) {
		snprintf(ret, size, "%s/nginx", dir);
		if (access(ret, X_OK) == 0)
			return;
	}
	print_message("no nginx here\n");
	exit(getenv("CI") ? 1 : 77);
}

static inline void nginx_start(struct nginx *n, const char *root, const char *extra)
{
	const char *tmp = getenv("TMPDIR");
	char program[PATH_MAX];

	find_nginx(program, sizeof(program));
	memset(n, 0, sizeof(*n));
	snprintf(n->dir, sizeof(n->dir), "%s/smr-nginx-XXXXXX", tmp ? tmp : "/tmp");
	assert_non_null(mkdtemp(n->dir));
	/* Its workers, were it started by root, would drop to a user who may not read. */
	n->port = free_port();
	n->tls_port = free_port();
	snprintf(n->url, sizeof(n->url), "http://127.0.0.1:%u", n->port);
	snprintf(n->tls_url, sizeof(n->tls_url), "https://127.0.0.1:%u", n->tls_port);
	make_certificates(n->dir);
	write_nginx_conf(n, root, extra);
	n->pid = fork();
	assert_true(n->pid >= 0);
	if (n->pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		int fd = open(below(n->dir, "stderr"), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
		dup2(fd, 2);
		execl(program, "nginx", "-p", n->dir, "-c", below(n->dir, "nginx.conf"), NULL);
		_exit(127);
	}
	for (unsigned i = 0; i < 500 && !(port_answers(n->port) && port_answers(n->tls_port)); i++)
		usleep(10000);
	assert_true(port_answers(n->port));
}

static inline void nginx_stop(struct nginx *n)
{
	if (n->pid > 0) {
		kill(n->pid, SIGKILL);
		waitpid(n->pid, NULL, 0);
	}
	n->pid = 0;
	if (n->dir[0])
		fixture_remove(n->dir);
}

/* Requests so far whose line contains `what`. */
static inline unsigned nginx_count(const struct nginx *n, const char *what)
{
	FILE *f = fopen(below(n->dir, "access.log"), "r");
	char line[4096];
	unsigned count = 0;

	while (f && fgets(line, sizeof(line), f))
		count += strstr(line, what) != NULL;
	if (f)
		fclose(f);
	return count;
}

#endif
