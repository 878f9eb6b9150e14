/* SPDX-License-Identifier: BSD-3-Clause */
#include "ociconfig.h"

#include <errno.h>
#include <string.h>

#include "../core/buf.h"
#include "../core/error.h"

#define COMMAND_MAX 4096

static const char *string_of(const json_t *object, const char *key)
{
	const char *s = json_string_value(json_object_get(object, key));
	return s && *s ? s : NULL;
}

static void line(struct table *t, const char *key, const char *value)
{
	if (!value)
		return;
	table_cell(t, "%s", key);
	table_cell(t, "%s", value);
}

/* Arguments with a space between them; for reading, not for a shell. */
static void append_words(struct buf *b, const json_t *array)
{
	size_t i;
	json_t *word;
	json_array_foreach(array, i, word)
	{
		const char *s = json_string_value(word);
		if (s && b->len > 0)
			buf_append_str(b, " ");
		if (s)
			buf_append_str(b, s);
	}
}

int ociconfig_command(const char *json, size_t n, char **ret)
{
	json_t *root = json_loadb(json, n, JSON_REJECT_DUPLICATES, NULL);
	json_t *config = json_object_get(root, "config");
	struct buf b;
	int r = -ENOENT;
	buf_init(&b, COMMAND_MAX);
	append_words(&b, json_object_get(config, "Entrypoint"));
	append_words(&b, json_object_get(config, "Cmd"));
	if (b.len > 0) {
		*ret = buf_cstr(&b) ? strdup(buf_cstr(&b)) : NULL;
		r = *ret ? 0 : -ENOMEM;
		if (r == 0)
			error_clean(*ret);
	}
	buf_done(&b);
	json_decref(root);
	return r;
}

static json_t *strings_of(const json_t *config, const char *key)
{
	json_t *ret = json_array();
	size_t i;
	json_t *word;
	json_array_foreach(json_object_get(config, key), i, word)
	{
		if (json_is_string(word))
			json_array_append(ret, word);
	}
	return ret;
}

static json_t *text_of(const json_t *object, const char *key)
{
	const char *s = string_of(object, key);
	return s ? json_string(s) : json_null();
}

json_t *ociconfig_run(const char *json, size_t n)
{
	json_t *root = json_loadb(json, n, JSON_REJECT_DUPLICATES, NULL), *ret = NULL;
	const json_t *config = json_object_get(root, "config");
	if (json_is_object(root))
		ret = json_pack("{s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "entrypoint",
			strings_of(config, "Entrypoint"), "cmd", strings_of(config, "Cmd"), "env",
			strings_of(config, "Env"), "user", text_of(config, "User"), "workdir",
			text_of(config, "WorkingDir"), "stop_signal", text_of(config, "StopSignal"),
			"os", text_of(root, "os"), "architecture", text_of(root, "architecture"));
	json_decref(root);
	return ret;
}

static void command_line(struct table *t, const json_t *config)
{
	struct buf b;
	buf_init(&b, COMMAND_MAX);
	append_words(&b, json_object_get(config, "Entrypoint"));
	append_words(&b, json_object_get(config, "Cmd"));
	if (b.len > 0)
		line(t, "runs", buf_cstr(&b));
	buf_done(&b);
}

static void ports_line(struct table *t, json_t *config)
{
	struct buf b;
	const char *port;
	json_t *value;
	buf_init(&b, COMMAND_MAX);
	json_object_foreach(json_object_get(config, "ExposedPorts"), port, value)
	{
		if (b.len > 0)
			buf_append_str(&b, " ");
		buf_append_str(&b, port);
	}
	if (b.len > 0)
		line(t, "ports", buf_cstr(&b));
	buf_done(&b);
}

void ociconfig_lines(struct table *t, const char *json, size_t n)
{
	json_t *root = json_loadb(json, n, JSON_REJECT_DUPLICATES, NULL);
	if (!json_is_object(root)) {
		line(t, "config", "not an image configuration");
		json_decref(root);
		return;
	}
	const char *os = string_of(root, "os"), *arch = string_of(root, "architecture");
	const char *variant = string_of(root, "variant");
	if (os && arch) {
		table_cell(t, "platform");
		table_cell(t, "%s/%s%s%s", os, arch, variant ? "/" : "", variant ? variant : "");
	}
	json_t *config = json_object_get(root, "config");
	command_line(t, config);
	line(t, "user", string_of(config, "User"));
	line(t, "directory", string_of(config, "WorkingDir"));
	ports_line(t, config);
	size_t n_env = json_array_size(json_object_get(config, "Env"));
	if (n_env) {
		table_cell(t, "environment");
		table_cell(t, "%zu variable%s", n_env, n_env == 1 ? "" : "s");
	}
	json_decref(root);
}
