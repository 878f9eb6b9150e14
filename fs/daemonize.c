/* SPDX-License-Identifier: BSD-3-Clause */
#include "daemonize.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../chunker/core/fd.h"
#include "../chunker/core/log.h"

static void be_child(pid_t parent)
{
	setsid();
	prctl(PR_SET_PDEATHSIG, SIGTERM);
	if (getppid() != parent) /* it died in between */
		raise(SIGTERM);
}

static void wait_for_child(pid_t child, int from_child, int *ret_status, bool *ret_killed)
{
	char byte;
	size_t n = 0;
	int status;
	*ret_killed = false;
	*ret_status = 0;
	if (fd_read(from_child, &byte, 1, &n) == 0 && n == 1)
		return;
	while (waitpid(child, &status, 0) < 0 && errno == EINTR)
		;
	*ret_killed = WIFSIGNALED(status);
	*ret_status = WIFEXITED(status) && WEXITSTATUS(status) ? WEXITSTATUS(status) : 1;
}

int daemonize_fork(int *ret_ready, int *ret_status, bool *ret_killed, struct smr_error *err)
{
	int ends[2];
	if (pipe2(ends, O_CLOEXEC) < 0)
		return error_set_errno(err, -errno, "cannot go into the background");
	pid_t parent = getpid();
	pid_t child = fork();
	if (child < 0) {
		int r = -errno;
		close(ends[0]);
		close(ends[1]);
		return error_set_errno(err, r, "cannot go into the background");
	}
	if (child == 0) {
		close(ends[0]);
		be_child(parent);
		*ret_ready = ends[1];
		return 0;
	}
	close(ends[1]);
	wait_for_child(child, ends[0], ret_status, ret_killed);
	close(ends[0]);
	return 1;
}

void daemonize_ready(int ready)
{
	char byte = 0;
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	prctl(PR_SET_PDEATHSIG, 0);
	/* or the directory that it was started in could not be unmounted */
	if (chdir("/") < 0)
		log_debug("cannot leave the working directory");
	log_to_syslog();
	for (int fd = 0; null >= 0 && fd <= 2; fd++)
		dup2(null, fd);
	if (null > 2)
		close(null);
	/* a parent that is gone already needs no answer */
	(void)!fd_write(ready, &byte, 1);
	close(ready);
}
