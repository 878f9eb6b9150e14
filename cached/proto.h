/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What frontends and the owner of a cache say to each other, over a SOCK_SEQPACKET socket: one
 * message a packet, with at most one descriptor (SCM_RIGHTS).
 *
 *     message  = type:u16 version:u16 length:u32 request:u64 body     little-endian; length: of all of it
 *     text     = length:u16 bytes                                     no NUL inside
 *     id       = 32 bytes
 *
 *     client                                             owner
 *       HELLO    text (who: shown in status)       ──►
 *                                                  ◄──   ANSWER   value: the window
 *       OPEN     flags:u32 timeout_ms:u32
 *                text (URL or name) text (CA file) ──►
 *                                                  ◄──   ANSWER   value: the store's handle
 *       LIST     store:u32 tag:128                 ──►
 *                                                  ◄──   ANSWER   data: the new tag; descriptor: index.json (listing.h)
 *       RECIPE   store:u32 id (digest) text (name) ──►
 *                                                  ◄──   ANSWER   descriptor: the recipe file
 *       GET      store:u32 size:u32 priority:u32
 *                image:u32 id                      ──►
 *                                                  ◄──   ANSWER   descriptor: the chunk's pool form
 *       STATUS                                     ──►
 *                                                  ◄──   ANSWER   descriptor: JSON
 *       CONTROL  verb:u32 store:u32 flags:u32
 *                text (name)                       ──►
 *                                                  ◄──   ANSWER   data: a line for people
 *       PREFETCH store:u32 size:u32 priority:u32 id...  ──►       no answer
 *       TOUCH    id...                             ──►            used since: hits on maps
 *       BAD      id...                             ──►            could not be read
 *                                                  ◄──   EVICTED  id...     drop your maps of them
 *       DROPPED  id...                             ──►            none of them is mapped here any more
 *       HELD     id...                             ──►            an earlier owner sent these, and they are held still
 *       PING                                       ──►
 *                                                  ◄──   ANSWER   at once, whatever else is asked for
 *
 *     ANSWER   = result:i32 value:u32 data                            result: 0 or a negative errno;
 *                                                                     data: with an error, its text
 *
 * HELLO comes first and once. `request` is the client's number, unique among its outstanding ones,
 * 0 where there is no answer; answers come in any order. At most PROTO_WINDOW GETs of a client are
 * outstanding, and PROTO_REQUESTS others. Whoever breaks a rule is disconnected. JSON comes in a
 * sealed memfd; every descriptor is read-only.
 *
 * Pure: no I/O. Decoders trust nothing: they are given what a peer sent.
 */
#ifndef CACHED_PROTO_H
#define CACHED_PROTO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cache.h"

#define PROTO_VERSION  1u
#define PROTO_MAX      16384u /* bytes of a message */
#define PROTO_HEAD     16u
#define PROTO_IDS_MAX  256u  /* ids in a message */
#define PROTO_TEXT_MAX 4096u /* bytes of a text, and of an answer's data */
#define PROTO_TAG      128u
#define PROTO_WINDOW   64u
#define PROTO_REQUESTS 64u

enum proto_type {
	PROTO_HELLO = 1,
	PROTO_OPEN,
	PROTO_LIST,
	PROTO_RECIPE,
	PROTO_GET,
	PROTO_STATUS,
	PROTO_CONTROL,
	PROTO_PREFETCH,
	PROTO_TOUCH,
	PROTO_BAD,
	PROTO_DROPPED,
	PROTO_HELD,
	PROTO_PING,
	PROTO_ANSWER = 64,
	PROTO_EVICTED,
};

/* OPEN's flags */
#define PROTO_OPEN_INSECURE 1u

/* CONTROL's flags: answer when it is done, not when it has begun (HYDRATE, SCRUB) */
#define PROTO_CONTROL_WAIT 1u

struct proto_text {
	const char *s; /* into the packet; not terminated */
	uint16_t n;
};

/* One message, decoded or to be encoded. What a type does not have is ignored, and zeros after
 * decoding. Pointers are into the packet that was decoded. */
struct proto_message {
	enum proto_type type;
	uint64_t request;
	uint32_t store, size, flags, timeout_ms;
	enum store_priority priority;
	enum cache_verb verb;
	uint32_t image;               /* GET: cache_image_tag */
	struct chunkid id;            /* RECIPE, GET */
	unsigned char tag[PROTO_TAG]; /* LIST */
	struct proto_text text, text2;
	int32_t result; /* ANSWER */
	uint32_t value;
	const void *data; /* ANSWER */
	uint16_t data_len;
	/* PREFETCH, TOUCH, BAD, DROPPED, HELD, EVICTED: n_ids times 32 bytes, 1 to PROTO_IDS_MAX; not aligned for
	 * anything but bytes, as is struct chunkid */
	const struct chunkid *ids;
	uint32_t n_ids;
};

/* Into `packet` of PROTO_MAX bytes. The length; -EMSGSIZE: a text, the data or the ids are too long. */
int proto_encode(const struct proto_message *m, unsigned char *packet);
/* -EBADMSG (the message says what): not a message of this version, every rule above broken. */
int proto_decode(const void *packet, size_t n, struct proto_message *ret, struct smr_error *err);
/* Is it one that the owner (`true`: a client) may be sent? */
bool proto_is_for_owner(enum proto_type type);
/* Fills in a text from a string of at most PROTO_TEXT_MAX bytes; -ENAMETOOLONG. */
int proto_text_set(struct proto_text *t, const char *s);
/* Copies into `to` of `n` bytes, with a NUL; -ENAMETOOLONG. */
int proto_text_copy(const struct proto_text *t, char *to, size_t n);

#endif
