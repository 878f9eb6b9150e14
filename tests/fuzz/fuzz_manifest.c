/* SPDX-License-Identifier: BSD-3-Clause */
/* The JSON of images. What is accepted keeps to the limits; what is refused says why. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "../../chunker/build/manifest.h"
#include "../../chunker/build/source.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void said(int r, const struct smr_error *err)
{
	if (r < 0 && !err->message[0])
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	const char *json = n ? (const char *)data : "";
	const struct platform want = {.os = "linux", .arch = "arm", .variant = "v7"};
	struct manifest_descriptor d = {.size = 0};
	struct manifest m = {.n_layers = 0};
	struct platform have;
	struct chunkid *ids = NULL;
	enum manifest_kind kind;
	char *ref = NULL;
	size_t n_ids = 0;

	for (int i = 0; i < 2; i++) {
		struct smr_error err = {0};
		int r = manifest_choose(json, n, i ? "latest" : NULL, &want, &d, &ref, &err);
		said(r, &err);
		if (r == 0 && !memchr(d.media_type, 0, sizeof(d.media_type)))
			abort();
		free(ref);
		ref = NULL;
	}
	struct smr_error err = {0};
	said(manifest_kind(json, n, &kind, &err), &err);
	err.message[0] = 0;
	said(manifest_parse(json, n, &m, &err), &err);
	if (m.n_layers > SOURCE_LAYERS_MAX)
		abort();
	manifest_done(&m);
	err.message[0] = 0;
	said(manifest_diff_ids(json, n, &ids, &n_ids, &have, &err), &err);
	if (n_ids > SOURCE_LAYERS_MAX)
		abort();
	free(ids);
	return 0;
}
