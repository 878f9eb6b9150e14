/* SPDX-License-Identifier: BSD-3-Clause */
/* Packets of both directions. What is accepted is the same packet when it is encoded again; what is refused says why. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "../../cached/proto.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct proto_message m, again;
	struct smr_error err = {0};
	unsigned char packet[PROTO_MAX];
	char text[PROTO_TEXT_MAX + 1];
	int len;

	if (proto_decode(data, n, &m, &err) < 0) {
		if (!err.message[0])
			abort();
		return 0;
	}
	if (proto_text_copy(&m.text, text, sizeof(text)) < 0 || strlen(text) != m.text.n ||
		proto_text_copy(&m.text2, text, sizeof(text)) < 0 || m.n_ids > PROTO_IDS_MAX)
		abort();
	len = proto_encode(&m, packet);
	if (len < 0 || (size_t)len != n || memcmp(packet, data, n) != 0 ||
		proto_decode(packet, (size_t)len, &again, &err) < 0 || again.type != m.type)
		abort();
	return 0;
}
