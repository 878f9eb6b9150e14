/* SPDX-License-Identifier: BSD-3-Clause */
#include "cmd.h"

#include <errno.h>
#include <string.h>

#include "../core/log.h"
#include "../core/units.h"

int cmd_open_store(const struct cmd *c, bool create, uint32_t chunk_size, struct store **ret,
	struct smr_error *err)
{
	struct store_options opts = {
		.create = create,
		.chunk_size = chunk_size,
		.insecure = c->insecure,
	};
	return store_open(c->store_url, &opts, ret, err);
}

int cmd_open_image(struct store *s, const char *arg, struct recipe **ret, struct smr_error *err)
{
	char name[NAME_LEN_MAX + 1];
	struct chunkid pin;
	bool pinned;
	int r = name_parse_pinned(arg, name, &pin, &pinned, err);
	if (r < 0)
		return r;

	struct recipe *recipe = NULL;
	r = store_get_recipe(s, name, &recipe, err);
	if (r < 0)
		return r;
	const struct chunkid *digest = &recipe_info(recipe)->digest;
	if (pinned && !chunkid_equal(&pin, digest)) {
		char now[CHUNKID_HEX + 1];
		chunkid_format(digest, now);
		recipe_free(recipe);
		return error_set(err, -ESTALE, "%s: %s is sha256:%s now, not what was asked for",
			store_url(s), name, now);
	}
	*ret = recipe;
	return 0;
}

bool cmd_recipe_is_bad(int code)
{
	return code == -EBADMSG || code == -EFBIG || code == -ENOTSUP;
}

int cmd_fail(const struct cmd *c, int code, const struct smr_error *err)
{
	log_error("%s", error_text(err, code));
	return c->verb->trouble;
}

static int bad_value(const char *key, const char *value, struct smr_error *err)
{
	return error_set(err, -EINVAL, "'%s' cannot be used as %s", value, key);
}

int cmd_config_uint(const struct cmd *c, const char *key, uint64_t min, uint64_t max,
	uint64_t fallback, uint64_t *ret, struct smr_error *err)
{
	const char *value = c->config ? config_get(c->config, key) : NULL;
	if (!value)
		*ret = fallback;
	else if (units_parse_uint(value, min, max, ret) < 0)
		return bad_value(key, value, err);
	return 0;
}

int cmd_config_size(const struct cmd *c, const char *key, uint64_t fallback, uint64_t *ret,
	struct smr_error *err)
{
	const char *value = c->config ? config_get(c->config, key) : NULL;
	if (!value)
		*ret = fallback;
	else if (units_parse_size(value, ret) < 0)
		return bad_value(key, value, err);
	return 0;
}

int cmd_config_flag(const struct cmd *c, const char *key, bool *ret, struct smr_error *err)
{
	const char *value = c->config ? config_get(c->config, key) : NULL;
	if (!value)
		return 0;
	bool yes =
		strcmp(value, "yes") == 0 || strcmp(value, "true") == 0 || strcmp(value, "1") == 0;
	bool no =
		strcmp(value, "no") == 0 || strcmp(value, "false") == 0 || strcmp(value, "0") == 0;
	if (!yes && !no)
		return bad_value(key, value, err);
	*ret = yes;
	return 0;
}
