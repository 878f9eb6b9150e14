/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Requests of the kernel and the slots that they are read into.
 *
 * A slot is 8 KiB of a memfd, larger than any request a read-only mount gets but bulk FORGETs. It
 * is free again only when its request was answered, so the memfd is at any time a journal of what
 * the kernel waits for, and a successor that is handed the memfd and the /dev/fuse descriptor could
 * answer in this process's place. Slot 0 is for INIT. Free slots are taken last in, first out, so
 * that few pages are ever touched.
 *
 * With each slot comes a struct request, the state of an operation that cannot answer at once:
 *
 *     request_begin ─┬─ answered at once ──────────── request_end    the slot is read into again
 *                    └─ another thread completes it ─ request_wait   the slot is the request's own
 *
 *     event     set by
 *     READY     request_wait: libfuse's part of the request is set up
 *     DONE      request_done: there is a result
 *     INTR      the kernel's INTERRUPT, of one that is being killed (killed.h)
 *     REPLIED   whoever answered
 *
 * The event that first makes READY and (DONE or INTR) true has its thread answer: with DONE by
 * finish(), else by EINTR and cancel(). Before READY only request_wait's thread touches the
 * fuse_req_t, afterwards only the one that answers. The second of DONE and REPLIED releases request
 * and slot. So a request is answered exactly once, whatever order completion, interrupt and set-up
 * come in, and what another thread still works on is never freed under it.
 */
#ifndef FS_REQUEST_H
#define FS_REQUEST_H

#define FUSE_USE_VERSION 312
#include <fuse_lowlevel.h>
#include <stdatomic.h>

#include "../cached/catalog.h"
#include "../cached/image.h"

#define REQUEST_SLOT_BYTES 8192u
#define REQUEST_SLOTS      4096u

struct requests;
struct request;
struct rootdir;

/* What a kind of request does; each may be NULL but finish. */
struct request_ops {
	/* Answers; `r` as given to request_done. Runs in any thread and must not block. */
	void (*finish)(struct request *rq, int r);
	/* The answer was EINTR: ends early what request_done is still awaited from. */
	void (*cancel)(struct request *rq);
	/* Frees what the operation holds, after the answer and the completion. */
	void (*release)(struct request *rq);
};

struct request {
	fuse_req_t req;
	const struct request_ops *ops;
	struct server *server;
	struct image *image; /* a reference, dropped with the request; may be NULL */
	/* what the operation stores for finish() */
	uint64_t offset;
	size_t size;
	int which; /* lseek: whence; getxattr: index of the attribute */
	struct rootdir *dir;
	union {
		struct image_read read;
		struct {
			struct catalog_wait find;
			struct image_wait load;
		};
	};

	/* request.c's own */
	struct requests *table;
	struct request *next_free;
	atomic_uint state;
	int result;
};

/* `server` is what fuse_req_userdata gives, too. -ENOMEM, or what memfd_create and mmap say. */
int request_table_new(struct server *server, struct requests **ret);
/* All of them must be free. NULL is fine. */
void request_table_free(struct requests *t);

/* ---- for the read loop ---- */

/* Slot 0's, for INIT. */
struct request *request_table_first(struct requests *t);
/* A free one; waits while there is none. NULL after request_table_stop. */
struct request *request_table_take(struct requests *t);
void request_table_give(struct requests *t, struct request *rq);
/* Ends all waiting in request_table_take. */
void request_table_stop(struct requests *t);
/* Waits until every request that waits for a completion was released. */
void request_table_drain(struct requests *t);
/* The slot's memory: REQUEST_SLOT_BYTES. */
void *request_slot(const struct request *rq);

/* The request whose slot this thread has just read into; NULL once it belongs to a completion. */
void request_set_current(struct request *rq);
struct request *request_current(void);

/* ---- for operations ---- */

/* The state for `req`, which this thread is about to process. */
struct request *request_begin(fuse_req_t req, const struct request_ops *ops);
/* It was answered at once. */
void request_end(struct request *rq);
/* Another thread will call, or has called, request_done. The caller must not touch `rq` or its
 * fuse_req_t again. */
void request_wait(struct request *rq);
/* The completion: once, from any thread, also before request_wait. */
void request_done(struct request *rq, int r);

#endif
