/* SPDX-License-Identifier: BSD-3-Clause */
#include "channel.h"

#include <linux/fuse.h>
#include <sys/uio.h>
#include <unistd.h>

#include "server.h"

/* op_init has set parallel_dirops, so this is the answer to INIT, in the thread that reads it. */
static void patch_init(struct server *s, const struct iovec *iov, int count)
{
	const struct fuse_out_header *head = iov[0].iov_base;
	s->parallel_dirops = false;
	if (head->error == 0 && count == 2 && iov[1].iov_len == sizeof(struct fuse_init_out))
		((struct fuse_init_out *)iov[1].iov_base)->flags |= FUSE_PARALLEL_DIROPS;
}

static ssize_t channel_writev(int fd, struct iovec *iov, int count, void *userdata)
{
	struct server *s = userdata;
	if (s->parallel_dirops)
		patch_init(s, iov, count);
	return writev(fd, iov, count);
}

/* loop.c reads for itself, but libfuse insists on having it. */
static ssize_t channel_read(int fd, void *buf, size_t n, void *userdata)
{
	(void)userdata;
	return read(fd, buf, n);
}

int channel_install(struct fuse_session *se)
{
	static const struct fuse_custom_io io = {.writev = channel_writev, .read = channel_read};
	return fuse_session_custom_io(se, &io, fuse_session_fd(se));
}
