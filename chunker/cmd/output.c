/* SPDX-License-Identifier: BSD-3-Clause */
#include "output.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "../core/log.h"

void output_init(void)
{
	/* open() takes the lowest free number, which is `fd` as those below are open by now.
	 * Read-only on purpose. */
	for (int fd = 0; fd <= 2; fd++)
		if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", O_RDONLY) != fd)
			_exit(1);
}

int output_json(json_t *object)
{
	json_t *root = object ? json_pack("{s:i}", "version", OUTPUT_JSON_VERSION) : NULL;
	if (!root || json_object_update(root, object) < 0) {
		json_decref(object);
		json_decref(root);
		return -ENOMEM;
	}
	json_decref(object);
	/* Errors of the stream are found by output_finish. */
	json_dumpf(root, stdout, JSON_INDENT(2));
	putchar('\n');
	json_decref(root);
	return 0;
}

int output_finish(void)
{
	bool failed = ferror(stdout) != 0;
	errno = 0;
	if (fflush(stdout) == 0 && !failed)
		return 0;
	int code = errno ? -errno : -EIO;
	if (code == -EPIPE)
		log_error("standard output: the reader has gone; the output is incomplete");
	else
		log_error("standard output: %s; the output is incomplete", strerror(-code));
	return code;
}

json_t *output_json_text(const char *s, size_t n)
{
	json_t *text = json_stringn(s, n);
	if (text)
		return text;
	char *ascii = malloc(n + 1);
	for (size_t i = 0; i < n && ascii; i++)
		ascii[i] = (unsigned char)s[i] < 0x80 ? s[i] : '?';
	text = ascii ? json_stringn(ascii, n) : NULL;
	free(ascii);
	return text;
}

json_t *output_json_store(const struct store *s)
{
	return output_json_text(store_url(s), strlen(store_url(s)));
}

json_t *output_json_number(uint64_t n, bool known)
{
	return known ? json_integer((json_int_t)n) : json_null();
}

json_t *output_json_id(const struct chunkid *id)
{
	static const struct chunkid zeros;
	char hex[CHUNKID_HEX + 1];
	if (chunkid_equal(id, &zeros))
		return json_null();
	chunkid_format(id, hex);
	return json_string(hex);
}

json_t *output_json_time(int64_t seconds)
{
	char text[40];
	time_t t = (time_t)seconds;
	struct tm tm;
	if (seconds == 0 || !gmtime_r(&t, &tm))
		return json_null();
	strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ", &tm);
	return json_string(text);
}

char *output_short_digest(const struct chunkid *digest, char ret[OUTPUT_DIGEST_MAX])
{
	char hex[CHUNKID_HEX + 1];
	chunkid_format(digest, hex);
	snprintf(ret, OUTPUT_DIGEST_MAX, "sha256:%.8s…", hex);
	return ret;
}
