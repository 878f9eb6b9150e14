/* SPDX-License-Identifier: BSD-3-Clause */
#include "killed.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../chunker/core/cleanup.h"
#include "../chunker/core/fd.h"

#define STATUS_MAX 8192

bool killed_parse(const char *status)
{
	static const char key[] = "\nSigPnd:";
	const char *at = strstr(status, key);
	if (!at)
		return false;
	return strtoull(at + strlen(key), NULL, 16) & 1ull << (SIGKILL - 1);
}

bool killed_pending(pid_t tid)
{
	char path[32], text[STATUS_MAX];
	size_t n;
	snprintf(path, sizeof(path), "/proc/%d/status", (int)tid);
	int fd auto_close = tid > 0 ? open(path, O_RDONLY | O_CLOEXEC) : -1;
	if (fd < 0 || fd_read(fd, text, sizeof(text) - 1, &n) < 0)
		return false;
	text[n] = '\0';
	return killed_parse(text);
}
