/* SPDX-License-Identifier: BSD-3-Clause */
/* The calls of a remote cache that wait for their answer. */
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "../chunker/core/cleanup.h"
#include "../chunker/core/fd.h"
#include "../chunker/store/listing.h"
#include "remote_impl.h"

/* ---- one call ---- */

bool remote_calls_answered(struct remote *r, const struct proto_message *m, int *fd)
{
	struct remote_call *c = r->calls;

	while (c && c->request != m->request)
		c = c->next;
	if (!c)
		return false;
	c->done = true;
	c->result = m->result;
	c->value = m->value;
	c->data_len = m->data_len;
	if (m->data_len)
		memcpy(c->data, m->data, m->data_len);
	c->data[m->data_len] = '\0';
	c->fd = take_fd(fd);
	pthread_cond_broadcast(&r->answered);
	return true;
}

static int why_not(const struct remote *r)
{
	return r->stopped ? -ECANCELED : r->lost ? -ENOTCONN : 0;
}

static void unlink_call(struct remote *r, struct remote_call *c)
{
	struct remote_call **p = &r->calls;

	while (*p != c)
		p = &(*p)->next;
	*p = c->next;
	r->n_calls--;
	pthread_cond_broadcast(&r->answered);
}

static int wait_for_answer(struct remote *r, struct proto_message *m, struct remote_call *c)
{
	int result;

	locked(&r->lock);
	while ((result = why_not(r)) == 0 && r->n_calls == PROTO_REQUESTS)
		pthread_cond_wait(&r->answered, &r->lock);
	if (result < 0)
		return result;
	c->next = r->calls;
	r->calls = c;
	r->n_calls++;
	c->request = remote_send_request(r, m);
	while (!c->done && (result = why_not(r)) == 0)
		pthread_cond_wait(&r->answered, &r->lock);
	unlink_call(r, c);
	if (!c->done)
		return result;
	/* An owner that ends. */
	if (c->result == -ECANCELED) {
		remote_send_break(r);
		return -ENOTCONN;
	}
	return c->result;
}

static void call_done(struct remote_call *c)
{
	cleanup_closep(&c->fd);
}

/* Sends `m` and waits. On success an answer that needs a descriptor has one. */
static int call(struct remote *r, struct proto_message *m, bool wants_fd, struct remote_call *c,
	struct smr_error *err)
{
	int result = wait_for_answer(r, m, c);

	if (result < 0 && c->done && c->data_len && result == c->result)
		return error_set(err, result, "%s", c->data);
	if (result == -ENOTCONN)
		return error_set(err, result, "the owner of the cache has gone");
	if (result == 0 && wants_fd && c->fd == -EMFILE)
		return error_set_errno(err, -EMFILE, "cannot take what the cache sent");
	if (result == 0 && wants_fd && c->fd < 0)
		return error_set(err, -EBADMSG, "the cache sent no descriptor");
	return result;
}

/* All of a file, whatever its offset: the sender shares that. */
static int read_file(int fd, struct buf *b)
{
	struct stat st;
	size_t n;
	int result = fstat(fd, &st) < 0 ? -errno : 0;

	if (result == 0 && (st.st_size < 0 || (uint64_t)st.st_size > b->max))
		result = -EFBIG;
	if (result == 0)
		result = buf_reserve(b, (size_t)st.st_size);
	if (result == 0)
		result = fd_pread(fd, b->data + b->len, (size_t)st.st_size, 0, &n);
	if (result == 0)
		b->len += n;
	return result;
}

/* ---- cache.h ---- */

/* NULL for a call that concerns no store. */
static uint32_t handle_of(const struct cache_store *s)
{
	return s ? s->handle : 0;
}

static struct cache_store *find_store(struct remote *r, const char *url)
{
	struct cache_store *s;

	locked(&r->lock);
	s = r->stores;
	while (s && strcmp(s->url, url) != 0)
		s = s->next;
	return s;
}

static int keep_store(struct remote *r, const char *url, uint32_t handle, struct cache_store **ret)
{
	struct cache_store *s = calloc(1, sizeof(*s));

	if (!s || !(s->url = strdup(url))) {
		free(s);
		return -ENOMEM;
	}
	s->handle = handle;
	locked(&r->lock);
	s->next = r->stores;
	r->stores = s;
	*ret = s;
	return 0;
}

int remote_calls_open_store(struct cache *c, const char *url, const struct store_options *opts,
	struct cache_store **ret, struct smr_error *err)
{
	static const struct store_options none;
	struct remote *r = remote_of(c);
	struct proto_message m = {.type = PROTO_OPEN};
	struct remote_call answer auto_with(call_done) = {.fd = -1};
	int result;

	*ret = find_store(r, url);
	if (*ret)
		return 0;
	if (!opts)
		opts = &none;
	m.flags = opts->insecure ? PROTO_OPEN_INSECURE : 0;
	m.timeout_ms = opts->timeout_ms;
	if ((result = proto_text_set(&m.text, url)) < 0 ||
		(result = proto_text_set(&m.text2, opts->ca_file)) < 0)
		return error_set_errno(err, result, "%s", url);
	result = call(r, &m, false, &answer, err);
	return result < 0 ? result : keep_store(r, url, answer.value, ret);
}

int remote_calls_list(struct cache *c, struct cache_store *s, char tag[128], struct store_list *ret,
	struct smr_error *err)
{
	struct proto_message m = {.type = PROTO_LIST, .store = s->handle};
	struct remote_call answer auto_with(call_done) = {.fd = -1};
	struct buf json auto_with(buf_done) = {0};
	int result;

	if (tag)
		memcpy(m.tag, tag, PROTO_TAG);
	result = call(remote_of(c), &m, true, &answer, err);
	if (result < 0)
		return result;
	buf_init(&json, LISTING_FILE_MAX);
	result = read_file(answer.fd, &json);
	if (result < 0)
		return error_set_errno(err, result, "cannot read the list of images");
	result = listing_parse(json.data, json.len, ret, err);
	if (result == 0 && tag && answer.data_len == PROTO_TAG)
		memcpy(tag, answer.data, PROTO_TAG);
	return result;
}

int remote_calls_recipe(struct cache *c, struct cache_store *s, const char *name,
	const struct chunkid *digest, struct recipe **ret, struct smr_error *err)
{
	static const struct chunkid none;
	struct proto_message m = {.type = PROTO_RECIPE, .store = s->handle};
	struct remote_call answer auto_with(call_done) = {.fd = -1};
	struct recipe *recipe;
	int result = proto_text_set(&m.text, name);

	if (result < 0)
		return result;
	if (digest)
		m.id = *digest;
	result = call(remote_of(c), &m, true, &answer, err);
	if (result == 0)
		result = recipe_open_fd(answer.fd, &recipe, err);
	if (result < 0)
		return result;
	if (strcmp(recipe_info(recipe)->name, name) != 0 ||
		(digest && !chunkid_equal(digest, &none) &&
			!chunkid_equal(digest, &recipe_info(recipe)->digest))) {
		recipe_free(recipe);
		return error_set(err, -EBADMSG, "%s: the cache sent another recipe", name);
	}
	*ret = recipe;
	return 0;
}

int remote_calls_status(struct cache *c, struct buf *json, struct smr_error *err)
{
	struct proto_message m = {.type = PROTO_STATUS};
	struct remote_call answer auto_with(call_done) = {.fd = -1};
	int result = call(remote_of(c), &m, true, &answer, err);

	return result < 0 ? result : read_file(answer.fd, json);
}

int remote_calls_control(struct cache *c, enum cache_verb verb, struct cache_store *s,
	const char *name, bool wait, struct buf *text, struct smr_error *err)
{
	struct proto_message m = {.type = PROTO_CONTROL,
		.verb = verb,
		.store = handle_of(s),
		.flags = wait ? PROTO_CONTROL_WAIT : 0};
	struct remote_call answer auto_with(call_done) = {.fd = -1};
	int result = proto_text_set(&m.text, name);

	if (result == 0)
		result = call(remote_of(c), &m, false, &answer, err);
	return result < 0 ? result : buf_append(text, answer.data, answer.data_len);
}
