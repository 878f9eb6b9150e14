/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "../../cached/proto.h"
#include "../../chunker/core/codec.h"
#include "../../chunker/core/le.h"

static const struct chunkid ids[3] = {{{1}}, {{2}}, {{3}}};

#define TEXT(t)                              \
	{                                    \
		.s = (t), .n = sizeof(t) - 1 \
	}

/* One of each type. */
static const struct proto_message messages[] = {
	{.type = PROTO_HELLO, .request = 1, .text = TEXT("smrfs /mnt")},
	{.type = PROTO_OPEN,
		.request = 2,
		.flags = PROTO_OPEN_INSECURE,
		.timeout_ms = 30000,
		.text = TEXT("http://h/s"),
		.text2 = TEXT("/etc/ca.pem")},
	{.type = PROTO_LIST, .request = 3, .store = 1, .tag = {'e'}},
	{.type = PROTO_RECIPE, .request = 4, .store = 1, .id = {{7}}, .text = TEXT("debian_12")},
	{.type = PROTO_GET,
		.request = 5,
		.store = 1,
		.size = CODEC_CHUNK_DEFAULT,
		.priority = STORE_AHEAD,
		.image = 0x01020304,
		.id = {{9}}},
	{.type = PROTO_STATUS, .request = 6},
	{.type = PROTO_CONTROL,
		.request = 7,
		.verb = CACHE_HYDRATE,
		.store = 1,
		.flags = PROTO_CONTROL_WAIT,
		.text = TEXT("debian_12")},
	{.type = PROTO_PREFETCH,
		.store = 1,
		.size = CODEC_CHUNK_MIN,
		.priority = STORE_HYDRATE,
		.ids = ids,
		.n_ids = 3},
	{.type = PROTO_TOUCH, .ids = ids, .n_ids = 2},
	{.type = PROTO_BAD, .ids = ids, .n_ids = 1},
	{.type = PROTO_DROPPED, .ids = ids, .n_ids = 3},
	{.type = PROTO_HELD, .ids = ids, .n_ids = 2},
	{.type = PROTO_PING, .request = 9},
	{.type = PROTO_ANSWER,
		.request = 8,
		.result = -ENOENT,
		.value = 64,
		.data = "gone",
		.data_len = 4},
	{.type = PROTO_EVICTED, .ids = ids, .n_ids = 3},
};

#define N_MESSAGES (sizeof(messages) / sizeof(messages[0]))

static void check_text(const struct proto_text *a, const struct proto_text *b)
{
	assert_int_equal(a->n, b->n);
	if (a->n)
		assert_memory_equal(a->s, b->s, a->n);
}

static void test_each_message_arrives_as_it_was_sent(void **state)
{
	(void)state;
	for (size_t i = 0; i < N_MESSAGES; i++) {
		const struct proto_message *m = &messages[i];
		unsigned char packet[PROTO_MAX];
		struct proto_message got;
		int n = proto_encode(m, packet);

		assert_true(n >= (int)PROTO_HEAD);
		assert_int_equal(proto_decode(packet, (size_t)n, &got, NULL), 0);
		assert_int_equal(got.type, m->type);
		assert_int_equal(got.request, m->request);
		assert_int_equal(got.store, m->store);
		assert_int_equal(got.size, m->size);
		assert_int_equal(got.flags, m->flags);
		assert_int_equal(got.timeout_ms, m->timeout_ms);
		assert_int_equal(got.priority, m->priority);
		assert_int_equal(got.verb, m->verb);
		assert_int_equal(got.image, m->image);
		assert_int_equal(got.result, m->result);
		assert_int_equal(got.value, m->value);
		assert_true(chunkid_equal(&got.id, &m->id));
		assert_memory_equal(got.tag, m->tag, PROTO_TAG);
		check_text(&got.text, &m->text);
		check_text(&got.text2, &m->text2);
		assert_int_equal(got.data_len, m->data_len);
		if (m->data_len)
			assert_memory_equal(got.data, m->data, m->data_len);
		assert_int_equal(got.n_ids, m->n_ids);
		if (m->n_ids)
			assert_memory_equal(got.ids, m->ids, m->n_ids * sizeof(*m->ids));
		assert_int_equal(proto_is_for_owner(m->type),
			m->type != PROTO_ANSWER && m->type != PROTO_EVICTED);
	}
}

/* What other versions of this program, and other machines, send. */
static void test_the_bytes_of_a_get(void **state)
{
	static const unsigned char expected[] = {5, 0, 1, 0, 64, 0, 0, 0, 5, 0, 0, 0, 0, 0, 0, 0, 1,
		0, 0, 0, 0, 0, 8, 0, 1, 0, 0, 0, 4, 3, 2, 1, 9};
	unsigned char packet[PROTO_MAX];

	(void)state;
	assert_int_equal(proto_encode(&messages[4], packet), 64);
	assert_memory_equal(packet, expected, sizeof(expected));
}

static void refused(const void *packet, size_t n)
{
	struct proto_message m = {.value = 77};
	struct smr_error err = {0};

	assert_int_equal(proto_decode(packet, n, &m, &err), -EBADMSG);
	assert_true(err.message[0]);
	assert_int_equal(m.value, 77);
}

static void test_every_other_length_is_refused(void **state)
{
	(void)state;
	for (size_t i = 0; i < N_MESSAGES; i++) {
		unsigned char packet[PROTO_MAX + 1] = {0};
		size_t n = (size_t)proto_encode(&messages[i], packet);
		bool open_end = messages[i].type == PROTO_ANSWER;

		/* Cut short, whether it says so or lies. */
		for (size_t cut = 0; cut < n; cut++) {
			refused(packet, cut);
			if (open_end && cut >= PROTO_HEAD + 8)
				continue;
			if (messages[i].n_ids && cut > PROTO_HEAD && (n - cut) % CHUNKID_BYTES == 0)
				continue;
			le_put32(packet + 4, (uint32_t)cut);
			refused(packet, cut);
			le_put32(packet + 4, (uint32_t)n);
		}
		/* A byte more. */
		refused(packet, n + 1);
		le_put32(packet + 4, (uint32_t)n + 1);
		refused(packet, n);
		if (!open_end)
			refused(packet, n + 1);
		le_put32(packet + 4, UINT32_MAX);
		refused(packet, n);
	}
}

/* A number in the packet is replaced: refused. */
static void refused_with(const struct proto_message *m, size_t at, uint32_t value)
{
	unsigned char packet[PROTO_MAX];
	int n = proto_encode(m, packet);

	assert_true(n > 0);
	le_put32(packet + at, value);
	refused(packet, (size_t)n);
}

static void test_impossible_values_are_refused(void **state)
{
	(void)state;
	refused_with(&messages[0], 0, PROTO_HELLO | 2u << 16); /* version */
	refused_with(&messages[5], 0, 0 | 1u << 16);           /* types */
	refused_with(&messages[5], 0, (PROTO_PING + 1) | 1u << 16);
	refused_with(&messages[5], 0, 63 | 1u << 16);
	refused_with(&messages[5], 0, 66 | 1u << 16);
	refused_with(&messages[5], 8, 0);  /* no request number */
	refused_with(&messages[8], 8, 1);  /* one where none belongs */
	refused_with(&messages[1], 16, 2); /* flags */
	refused_with(&messages[4], 20, 0); /* chunk sizes */
	refused_with(&messages[4], 20, 4097);
	refused_with(&messages[4], 20, UINT32_MAX);
	refused_with(&messages[4], 24, STORE_PRIORITIES);
	refused_with(&messages[6], 16, 0); /* verbs */
	refused_with(&messages[6], 16, CACHE_SCRUB + 1);
	refused_with(&messages[13], 16, 1); /* results */
	refused_with(&messages[13], 16, (uint32_t)-4096);
}

static void test_texts_have_no_nul_and_an_end(void **state)
{
	struct proto_message m = {.type = PROTO_HELLO, .request = 1, .text = TEXT("a\0b")};
	unsigned char packet[PROTO_MAX];
	int n = proto_encode(&m, packet);
	char big[PROTO_TEXT_MAX + 2], to[4];
	struct proto_text t;

	(void)state;
	refused(packet, (size_t)n);
	/* Longer than the packet. */
	n = proto_encode(&messages[0], packet);
	packet[PROTO_HEAD]++;
	refused(packet, (size_t)n);

	memset(big, 'x', sizeof(big));
	big[PROTO_TEXT_MAX + 1] = '\0';
	assert_int_equal(proto_text_set(&t, big), -ENAMETOOLONG);
	big[PROTO_TEXT_MAX] = '\0';
	assert_int_equal(proto_text_set(&t, big), 0);
	m.text = t;
	assert_true(proto_encode(&m, packet) > 0);
	m.text.n++;
	assert_int_equal(proto_encode(&m, packet), -EMSGSIZE);
	assert_int_equal(proto_text_copy(&t, to, sizeof(to)), -ENAMETOOLONG);
	assert_int_equal(proto_text_set(&t, "abcd"), 0);
	assert_int_equal(proto_text_copy(&t, to, sizeof(to)), -ENAMETOOLONG);
	assert_int_equal(proto_text_set(&t, "abc"), 0);
	assert_int_equal(proto_text_copy(&t, to, sizeof(to)), 0);
	assert_string_equal(to, "abc");
	assert_int_equal(proto_text_set(&t, NULL), 0);
	assert_int_equal(t.n, 0);
}

static void test_what_does_not_fit_is_not_sent(void **state)
{
	static struct chunkid many[PROTO_IDS_MAX + 1];
	static char data[PROTO_TEXT_MAX + 1];
	struct proto_message m = {.type = PROTO_TOUCH, .ids = many, .n_ids = PROTO_IDS_MAX};
	unsigned char packet[PROTO_MAX];

	(void)state;
	assert_int_equal(proto_encode(&m, packet), PROTO_HEAD + PROTO_IDS_MAX * CHUNKID_BYTES);
	m.n_ids++;
	assert_int_equal(proto_encode(&m, packet), -EMSGSIZE);
	m.n_ids = 0;
	assert_int_equal(proto_encode(&m, packet), -EMSGSIZE);
	m = (struct proto_message){
		.type = PROTO_ANSWER, .request = 1, .data = data, .data_len = sizeof(data)};
	assert_int_equal(proto_encode(&m, packet), -EMSGSIZE);
	m.data_len--;
	assert_true(proto_encode(&m, packet) > 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_each_message_arrives_as_it_was_sent),
		cmocka_unit_test(test_the_bytes_of_a_get),
		cmocka_unit_test(test_every_other_length_is_refused),
		cmocka_unit_test(test_impossible_values_are_refused),
		cmocka_unit_test(test_texts_have_no_nul_and_an_end),
		cmocka_unit_test(test_what_does_not_fit_is_not_sent),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
