// SPDX-License-Identifier: BSD-3-Clause
#include "regauth_helper.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../core/cleanup.h"
#include "../core/clock.h"

#define POLL_MS      100
#define NAME_MAX_LEN 64
#define NAME_CHARS   "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-"

extern char **environ;

static void set_attributes(posix_spawnattr_t *attr)
{
	sigset_t set;

	posix_spawnattr_init(attr);
	sigemptyset(&set);
	posix_spawnattr_setsigmask(attr, &set);
	sigaddset(&set, SIGPIPE);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	posix_spawnattr_setsigdefault(attr, &set);
	posix_spawnattr_setpgroup(attr, 0);
	posix_spawnattr_setflags(
		attr, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETPGROUP);
}

/* Its standard input and output are one socket. */
static int start(const char *program, int socket, pid_t *ret_pid)
{
	char *const argv[] = {(char *)program, (char *)"get", NULL};
	posix_spawn_file_actions_t actions;
	posix_spawnattr_t attr;
	int r;

	set_attributes(&attr);
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_adddup2(&actions, socket, STDIN_FILENO);
	posix_spawn_file_actions_adddup2(&actions, socket, STDOUT_FILENO);
	posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, "/dev/null", O_WRONLY, 0);
	r = posix_spawnp(ret_pid, program, &actions, &attr, argv, environ);
	posix_spawn_file_actions_destroy(&actions);
	posix_spawnattr_destroy(&attr);
	return -r;
}

/* How long it may go on. */
struct patience {
	uint64_t deadline_ns;
	const atomic_bool *cancel;
};

static int check_patience(const struct patience *p)
{
	if (p->cancel && atomic_load(p->cancel))
		return -ECANCELED;
	return clock_ns() >= p->deadline_ns ? -ETIMEDOUT : 0;
}

/* Until the helper closes its output. */
static int read_output(int fd, const struct patience *patience, struct buf *ret)
{
	char data[4096];
	int r = 0;

	while (r == 0) {
		struct pollfd p = {.fd = fd, .events = POLLIN};
		ssize_t n;

		r = check_patience(patience);
		if (r < 0 || poll(&p, 1, POLL_MS) <= 0)
			continue;
		n = recv(fd, data, sizeof(data), MSG_DONTWAIT);
		if (n == 0 || (n < 0 && errno == ECONNRESET))
			break;
		if (n < 0 && errno != EINTR && errno != EAGAIN)
			r = -errno;
		if (n > 0)
			r = buf_append(ret, data, (size_t)n);
	}
	explicit_bzero(data, sizeof(data));
	return r;
}

/* It may have closed its output and go on: the deadline holds for that too. */
static int wait_for_end(pid_t pid, const struct patience *patience, int *ret_status)
{
	for (;;) {
		pid_t got = waitpid(pid, ret_status, WNOHANG);

		if (got == pid)
			return 0;
		if (got < 0 && errno != EINTR)
			return -errno;
		if (check_patience(patience) < 0)
			return check_patience(patience);
		usleep(5000);
	}
}

static int talk(int fd, pid_t pid, const char *server, const struct patience *patience,
	struct buf *ret, int *ret_status)
{
	size_t n = strlen(server);
	int r = 0;

	/* Short enough for the socket's buffer; one that reads nothing and ends is asked for its status. */
	if (send(fd, server, n, MSG_NOSIGNAL | MSG_DONTWAIT) < 0 && errno != EPIPE)
		r = -errno;
	shutdown(fd, SHUT_WR);
	if (r == 0)
		r = read_output(fd, patience, ret);
	if (r == 0)
		r = wait_for_end(pid, patience, ret_status);
	if (r < 0 && r != -ECHILD) {
		kill(-pid, SIGKILL);
		waitpid(pid, ret_status, 0);
	}
	return r;
}

static bool says_unknown(struct buf *out)
{
	const char *s = buf_cstr(out);

	return s && strstr(s, "credentials not found");
}

int regauth_helper_get(const char *name, const char *server, unsigned timeout_s,
	const atomic_bool *cancel, struct buf *ret, struct smr_error *err)
{
	struct patience patience = {clock_ns() + timeout_s * CLOCK_NS_PER_S, cancel};
	char program[NAME_MAX_LEN + 32];
	int fds[2], r, status = 0;
	pid_t pid;

	if (!*name || strlen(name) > NAME_MAX_LEN || name[strspn(name, NAME_CHARS)])
		return error_set(err, -EINVAL, "'%.80s' is no name of a credential helper", name);
	snprintf(program, sizeof(program), "docker-credential-%s", name);
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) < 0)
		return error_set_errno(err, -errno, "starting %s", program);
	r = start(program, fds[1], &pid);
	close(fds[1]);
	if (r == 0)
		r = talk(fds[0], pid, server, &patience, ret, &status);
	close(fds[0]);
	if (r == -ETIMEDOUT)
		return error_set(err, r, "%s says nothing for %u seconds", program, timeout_s);
	if (r == -ECANCELED)
		return error_set(err, r, "stopped");
	if (r == -EFBIG)
		return error_set(err, r, "%s says more than credentials are long", program);
	if (r < 0)
		return error_set_errno(err, r, "running %s", program);
	if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
		return 0;
	if (says_unknown(ret))
		return error_set(err, -ENOENT, "%s has no credentials for %s", program, server);
	return error_set(err, -EIO, "%s fails; run it by hand to see why: echo %s | %s get",
		program, server, program);
}
