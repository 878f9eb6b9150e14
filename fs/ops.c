/* SPDX-License-Identifier: BSD-3-Clause */
#include "ops.h"

#include "entry.h"
#include "file.h"
#include "loop.h"
#include "rootdir.h"

/* Readahead and direct I/O of many readers are background requests; the default of 12 would make a
 * cold store look slow. */
#define MAX_BACKGROUND 1024u

static void op_init(void *userdata, struct fuse_conn_info *conn)
{
	struct server *s = userdata;
	/* Answers go out straight from the mapped chunks; splicing them was half as fast.
	 * Attributes never change, so nothing is to be invalidated by them. */
	conn->want &= ~(FUSE_CAP_SPLICE_READ | FUSE_CAP_SPLICE_WRITE | FUSE_CAP_SPLICE_MOVE |
			FUSE_CAP_AUTO_INVAL_DATA);
	conn->want |= conn->capable &
		      (FUSE_CAP_ASYNC_READ | FUSE_CAP_ASYNC_DIO | FUSE_CAP_PARALLEL_DIROPS |
			      FUSE_CAP_READDIRPLUS | FUSE_CAP_READDIRPLUS_AUTO);
	conn->max_background = MAX_BACKGROUND;
	conn->congestion_threshold = MAX_BACKGROUND * 3 / 4;
	/* It also says how long a READ may be. libfuse 3.14 asks for just this much. */
	if (conn->max_write > LOOP_OVERFLOW_BYTES)
		conn->max_write = LOOP_OVERFLOW_BYTES;
	s->parallel_dirops = conn->want & FUSE_CAP_PARALLEL_DIROPS;
	s->no_open = conn->capable & FUSE_CAP_NO_OPEN_SUPPORT;
}

static void op_forget(fuse_req_t req, fuse_ino_t ino, uint64_t n)
{
	struct server *s = fuse_req_userdata(req);
	nodes_forget(s->nodes, ino, n);
	fuse_reply_none(req);
}

static void op_forget_multi(fuse_req_t req, size_t count, struct fuse_forget_data *forgets)
{
	struct server *s = fuse_req_userdata(req);
	for (size_t i = 0; i < count; i++)
		nodes_forget(s->nodes, forgets[i].ino, forgets[i].nlookup);
	fuse_reply_none(req);
}

const struct fuse_lowlevel_ops ops_table = {
	.init = op_init,
	.lookup = entry_lookup,
	.forget = op_forget,
	.forget_multi = op_forget_multi,
	.getattr = entry_getattr,
	.open = file_open,
	.read = file_read,
	.lseek = file_lseek,
	.getxattr = file_getxattr,
	.listxattr = file_listxattr,
	.opendir = rootdir_open,
	.readdir = rootdir_read,
	.readdirplus = rootdir_read_plus,
	.releasedir = rootdir_release,
	.statfs = rootdir_statfs,
};
