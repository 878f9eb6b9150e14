/* SPDX-License-Identifier: BSD-3-Clause */
#include "proto.h"

#include <errno.h>
#include <string.h>

#include "../chunker/core/codec.h"
#include "../chunker/core/le.h"

/* What the bodies of messages are made of, in this order. */
enum part {
	PART_STORE = 1,
	PART_SIZE = 2,
	PART_FLAGS = 4,
	PART_TIMEOUT = 8,
	PART_VERB = 16, /* before the store */
	PART_PRIORITY = 32,
	PART_TAG = 64,
	PART_ID = 128,
	PART_TEXT = 256,
	PART_TEXT2 = 512,
	PART_RESULT = 1024, /* result and value; data is what follows */
	PART_IDS = 2048,    /* what follows */
	PART_IMAGE = 4096,  /* before the id */
};

static unsigned parts_of(unsigned type)
{
	switch (type) {
	case PROTO_HELLO:
		return PART_TEXT;
	case PROTO_OPEN:
		return PART_FLAGS | PART_TIMEOUT | PART_TEXT | PART_TEXT2;
	case PROTO_LIST:
		return PART_STORE | PART_TAG;
	case PROTO_RECIPE:
		return PART_STORE | PART_ID | PART_TEXT;
	case PROTO_GET:
		return PART_STORE | PART_SIZE | PART_PRIORITY | PART_IMAGE | PART_ID;
	case PROTO_CONTROL:
		return PART_VERB | PART_STORE | PART_FLAGS | PART_TEXT;
	case PROTO_PREFETCH:
		return PART_STORE | PART_SIZE | PART_PRIORITY | PART_IDS;
	case PROTO_TOUCH:
	case PROTO_BAD:
	case PROTO_DROPPED:
	case PROTO_HELD:
	case PROTO_EVICTED:
		return PART_IDS;
	case PROTO_ANSWER:
		return PART_RESULT;
	default: /* STATUS and PING have none */
		return 0;
	}
}

bool proto_is_for_owner(enum proto_type type)
{
	return type >= PROTO_HELLO && type <= PROTO_PING;
}

/* Do messages of this type want an answer, or are they one? */
static bool has_request(unsigned type)
{
	return type <= PROTO_CONTROL || type == PROTO_PING || type == PROTO_ANSWER;
}

/* ---- encoding ---- */

struct writer {
	unsigned char *at, *end;
	bool full;
};

static void put_bytes(struct writer *w, const void *data, size_t n)
{
	if (n > (size_t)(w->end - w->at)) {
		w->full = true;
		return;
	}
	if (n)
		memcpy(w->at, data, n);
	w->at += n;
}

static void put_u32(struct writer *w, uint32_t v)
{
	unsigned char b[4];
	le_put32(b, v);
	put_bytes(w, b, sizeof(b));
}

static void put_text(struct writer *w, const struct proto_text *t)
{
	unsigned char b[2];
	le_put16(b, t->n);
	put_bytes(w, b, sizeof(b));
	put_bytes(w, t->s, t->n);
	if (t->n > PROTO_TEXT_MAX)
		w->full = true;
}

static void put_body(struct writer *w, const struct proto_message *m)
{
	unsigned parts = parts_of(m->type);
	if (parts & PART_VERB)
		put_u32(w, m->verb);
	if (parts & PART_STORE)
		put_u32(w, m->store);
	if (parts & PART_SIZE)
		put_u32(w, m->size);
	if (parts & PART_FLAGS)
		put_u32(w, m->flags);
	if (parts & PART_TIMEOUT)
		put_u32(w, m->timeout_ms);
	if (parts & PART_PRIORITY)
		put_u32(w, m->priority);
	if (parts & PART_IMAGE)
		put_u32(w, m->image);
	if (parts & PART_TAG)
		put_bytes(w, m->tag, PROTO_TAG);
	if (parts & PART_ID)
		put_bytes(w, &m->id, sizeof(m->id));
	if (parts & PART_TEXT)
		put_text(w, &m->text);
	if (parts & PART_TEXT2)
		put_text(w, &m->text2);
	if (parts & PART_RESULT) {
		put_u32(w, (uint32_t)m->result);
		put_u32(w, m->value);
		put_bytes(w, m->data, m->data_len);
		w->full |= m->data_len > PROTO_TEXT_MAX;
	}
	if (parts & PART_IDS) {
		if (m->n_ids < 1 || m->n_ids > PROTO_IDS_MAX)
			w->full = true;
		else
			put_bytes(w, m->ids, m->n_ids * sizeof(*m->ids));
	}
}

int proto_encode(const struct proto_message *m, unsigned char *packet)
{
	struct writer w = {.at = packet + PROTO_HEAD, .end = packet + PROTO_MAX};
	put_body(&w, m);
	if (w.full)
		return -EMSGSIZE;
	size_t n = (size_t)(w.at - packet);
	le_put16(packet, (uint16_t)m->type);
	le_put16(packet + 2, PROTO_VERSION);
	le_put32(packet + 4, (uint32_t)n);
	le_put64(packet + 8, m->request);
	return (int)n;
}

/* ---- decoding ---- */

struct reader {
	const unsigned char *at, *end;
	bool short_of; /* bytes */
};

static const unsigned char *get_bytes(struct reader *r, size_t n)
{
	static const unsigned char zeros[PROTO_TAG];
	if (n > (size_t)(r->end - r->at)) {
		r->short_of = true;
		return zeros; /* for fields of fixed size, of which the tag is the largest */
	}
	r->at += n;
	return r->at - n;
}

static uint32_t get_u32(struct reader *r)
{
	return le_get32(get_bytes(r, 4));
}

static struct proto_text get_text(struct reader *r)
{
	uint16_t n = le_get16(get_bytes(r, 2));
	if (n > PROTO_TEXT_MAX || n > (size_t)(r->end - r->at)) {
		r->short_of = true;
		return (struct proto_text){.s = ""};
	}
	return (struct proto_text){.s = (const char *)get_bytes(r, n), .n = n};
}

static void get_ids(struct reader *r, struct proto_message *m)
{
	size_t n = (size_t)(r->end - r->at);
	m->ids = (const struct chunkid *)r->at;
	m->n_ids = (uint32_t)(n / sizeof(*m->ids));
	if (n == 0 || n % sizeof(*m->ids) != 0 || m->n_ids > PROTO_IDS_MAX)
		r->short_of = true;
	else
		r->at = r->end;
}

static void get_body(struct reader *r, struct proto_message *m)
{
	unsigned parts = parts_of(m->type);
	if (parts & PART_VERB)
		m->verb = (enum cache_verb)get_u32(r);
	if (parts & PART_STORE)
		m->store = get_u32(r);
	if (parts & PART_SIZE)
		m->size = get_u32(r);
	if (parts & PART_FLAGS)
		m->flags = get_u32(r);
	if (parts & PART_TIMEOUT)
		m->timeout_ms = get_u32(r);
	if (parts & PART_PRIORITY)
		m->priority = (enum store_priority)get_u32(r);
	if (parts & PART_IMAGE)
		m->image = get_u32(r);
	if (parts & PART_TAG)
		memcpy(m->tag, get_bytes(r, PROTO_TAG), PROTO_TAG);
	if (parts & PART_ID)
		memcpy(&m->id, get_bytes(r, sizeof(m->id)), sizeof(m->id));
	if (parts & PART_TEXT)
		m->text = get_text(r);
	if (parts & PART_TEXT2)
		m->text2 = get_text(r);
	if (parts & PART_RESULT) {
		m->result = (int32_t)get_u32(r);
		m->value = get_u32(r);
		size_t n = (size_t)(r->end - r->at);
		if (n > PROTO_TEXT_MAX)
			r->short_of = true;
		m->data_len = (uint16_t)n;
		m->data = r->at;
		r->at = r->end;
	}
	if (parts & PART_IDS)
		get_ids(r, m);
}

static bool text_is_clean(const struct proto_text *t)
{
	return t->n == 0 || !memchr(t->s, '\0', t->n);
}

static const char *wrong_with(const struct proto_message *m)
{
	unsigned parts = parts_of(m->type);
	if (has_request(m->type) != (m->request != 0))
		return "has no request number, or one it must not have";
	if (!text_is_clean(&m->text) || !text_is_clean(&m->text2))
		return "has a NUL in a text";
	if ((parts & PART_PRIORITY) && m->priority >= STORE_PRIORITIES)
		return "has an unknown priority";
	if ((parts & PART_SIZE) && !codec_chunk_size_valid(m->size))
		return "asks for chunks of an impossible size";
	if ((parts & PART_VERB) && (m->verb < CACHE_PIN || m->verb > CACHE_SCRUB))
		return "has an unknown verb";
	if (m->type == PROTO_OPEN && (m->flags & ~PROTO_OPEN_INSECURE))
		return "has unknown flags";
	if (m->type == PROTO_CONTROL && (m->flags & ~PROTO_CONTROL_WAIT))
		return "has unknown flags";
	if (m->type == PROTO_ANSWER && (m->result > 0 || m->result < -4095))
		return "has an impossible result";
	return NULL;
}

int proto_decode(const void *packet, size_t n, struct proto_message *ret, struct smr_error *err)
{
	const unsigned char *p = packet;
	if (n < PROTO_HEAD || n > PROTO_MAX || le_get32(p + 4) != n)
		return error_set(err, -EBADMSG, "a message of %zu bytes has no right length", n);
	unsigned type = le_get16(p), version = le_get16(p + 2);
	if (version != PROTO_VERSION)
		return error_set(err, -EBADMSG, "a message of protocol version %u, this is %u",
			version, PROTO_VERSION);
	if (type < PROTO_HELLO ||
		(type > PROTO_PING && type != PROTO_ANSWER && type != PROTO_EVICTED))
		return error_set(err, -EBADMSG, "a message of unknown type %u", type);
	struct proto_message m = {.type = (enum proto_type)type, .request = le_get64(p + 8)};
	struct reader r = {.at = p + PROTO_HEAD, .end = p + n};
	get_body(&r, &m);
	if (r.short_of || r.at != r.end)
		return error_set(
			err, -EBADMSG, "a message of type %u is too short or too long", type);
	const char *wrong = wrong_with(&m);
	if (wrong)
		return error_set(err, -EBADMSG, "a message of type %u %s", type, wrong);
	*ret = m;
	return 0;
}

/* ---- texts ---- */

int proto_text_set(struct proto_text *t, const char *s)
{
	size_t n = s ? strlen(s) : 0;
	if (n > PROTO_TEXT_MAX)
		return -ENAMETOOLONG;
	*t = (struct proto_text){.s = s, .n = (uint16_t)n};
	return 0;
}

int proto_text_copy(const struct proto_text *t, char *to, size_t n)
{
	if (t->n >= n)
		return -ENAMETOOLONG;
	if (t->n)
		memcpy(to, t->s, t->n);
	to[t->n] = '\0';
	return 0;
}
