/* SPDX-License-Identifier: BSD-3-Clause */
#include "transport.h"

#include <curl/curl.h>
#include <errno.h>
#include <malloc.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "retry.h"
#include "url.h"

#define CONNECT_TIMEOUT_MS 5000L
#define LOW_SPEED_BYTES    1024L
#define RECEIVE_BUFFER     (64L << 10)

/* A curl handle and what must live as long as an exchange. Kept and used again. */
struct transport_handle {
	struct transport_handle *next;
	CURL *easy;
	struct curl_slist *headers;
	int body_r; /* why on_body gave up */
	char message[CURL_ERROR_SIZE];
};

struct transport {
	CURLM *multi;
	char *ca_file;
	struct transport_handle *idle;
};

/* ---- life ---- */

static void global_init(void)
{
	curl_global_init(CURL_GLOBAL_DEFAULT);
#ifdef __GLIBC__
	/* Bodies of half a megabyte come and go all the time. By default each is given back to the kernel and
	 * faulted in again, which costs as much as receiving it (measured: 0.37 s against 0.19 s for 390 MB). */
	mallopt(M_MMAP_THRESHOLD, 4 << 20);
	mallopt(M_TRIM_THRESHOLD, 32 << 20);
#endif
}

int transport_new(unsigned connections, const char *ca_file, struct transport **ret)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	struct transport *t = calloc(1, sizeof(*t));

	if (!t)
		return -ENOMEM;
	pthread_once(&once, global_init);
	t->multi = curl_multi_init();
	t->ca_file = ca_file ? strdup(ca_file) : NULL;
	if (!t->multi || (ca_file && !t->ca_file)) {
		transport_free(t);
		return -ENOMEM;
	}
	curl_multi_setopt(t->multi, CURLMOPT_PIPELINING, CURLPIPE_MULTIPLEX);
	curl_multi_setopt(t->multi, CURLMOPT_MAX_HOST_CONNECTIONS, (long)connections);
	/* By default idle ones beyond four times the exchanges of the moment would be closed. */
	curl_multi_setopt(t->multi, CURLMOPT_MAXCONNECTS, (long)(2 * connections));
	*ret = t;
	return 0;
}

const char *transport_ca_file(void)
{
	return curl_version_info(CURLVERSION_NOW)->cainfo;
}

void transport_free(struct transport *t)
{
	if (!t)
		return;
	while (t->idle) {
		struct transport_handle *h = t->idle;

		t->idle = h->next;
		curl_easy_cleanup(h->easy);
		free(h);
	}
	curl_multi_cleanup(t->multi);
	free(t->ca_file);
	free(t);
}

static struct transport_handle *take_handle(struct transport *t)
{
	struct transport_handle *h = t->idle;

	if (h) {
		t->idle = h->next;
		return h;
	}
	h = calloc(1, sizeof(*h));
	if (h)
		h->easy = curl_easy_init();
	if (h && !h->easy) {
		free(h);
		h = NULL;
	}
	return h;
}

/* An exchange that is cut off takes its connection with it. */
void transport_abort(struct transport *t, struct transport_exchange *x)
{
	struct transport_handle *h = x->handle;

	if (!h)
		return;
	curl_multi_remove_handle(t->multi, h->easy);
	curl_easy_reset(h->easy);
	curl_slist_free_all(h->headers);
	h->headers = NULL;
	h->next = t->idle;
	t->idle = h;
	x->handle = NULL;
}

void transport_exchange_done(struct transport_exchange *x)
{
	buf_done(&x->body);
	buf_done(&x->head);
	free(x->redirect);
	x->redirect = NULL;
}

/* ---- what curl calls ---- */

static bool is_success(long status)
{
	return (status >= 200 && status <= 299) || status == 304;
}

int64_t transport_expected(const struct transport_exchange *x)
{
	curl_off_t len = -1;

	if (x->handle)
		curl_easy_getinfo(x->handle->easy, CURLINFO_CONTENT_LENGTH_DOWNLOAD_T, &len);
	return len;
}

/* Makes room for the whole body at its first byte. */
static int begin_body(struct transport_exchange *x)
{
	int64_t len = transport_expected(x);

	curl_easy_getinfo(x->handle->easy, CURLINFO_RESPONSE_CODE, &x->status);
	x->body.max = is_success(x->status) ? x->max_bytes : TRANSPORT_ERROR_MAX;
	if (!is_success(x->status) || len <= 0)
		return 0;
	return (uint64_t)len > x->max_bytes ? -EFBIG : buf_reserve(&x->body, (size_t)len);
}

static size_t on_body(char *data, size_t size, size_t n, void *arg)
{
	struct transport_exchange *x = arg;
	int r = 0;

	n *= size;
	if (x->sink)
		curl_easy_getinfo(x->handle->easy, CURLINFO_RESPONSE_CODE, &x->status);
	if (x->sink && is_success(x->status)) {
		x->handle->body_r = x->sink(x, data, n);
		return x->handle->body_r < 0 ? 0 : n;
	}
	if (x->body.len == 0)
		r = begin_body(x);
	if (r == 0)
		r = buf_append(&x->body, data, n);
	x->handle->body_r = r;
	return r < 0 ? 0 : n; /* 0 ends the exchange */
}

static size_t on_header(char *line, size_t size, size_t n, void *arg)
{
	struct transport_exchange *x = arg;

	n *= size;
	/* 100 Continue and the like are followed by the real one. */
	if (n > 5 && strncmp(line, "HTTP/", 5) == 0)
		buf_reset(&x->head);
	return buf_append(&x->head, line, n) < 0 ? 0 : n;
}

bool transport_header(const struct buf *head, const char *name, char *ret, size_t size)
{
	const char *line = (const char *)head->data, *end = line + head->len;
	size_t name_len = strlen(name);

	while (line < end) {
		const char *eol = memchr(line, '\n', (size_t)(end - line));

		eol = eol ? eol : end;
		if ((size_t)(eol - line) > name_len && line[name_len] == ':' &&
			strncasecmp(line, name, name_len) == 0) {
			const char *value = line + name_len + 1, *last = eol;

			while (value < last && strchr(" \t", *value))
				value++;
			while (last > value && strchr(" \t\r", last[-1]))
				last--;
			if ((size_t)(last - value) >= size)
				return false;
			memcpy(ret, value, (size_t)(last - value));
			ret[last - value] = '\0';
			return true;
		}
		line = eol + 1;
	}
	return false;
}

int64_t transport_header_date(const struct buf *head, const char *name)
{
	char text[64];

	if (!transport_header(head, name, text, sizeof(text)))
		return -1;
	return curl_getdate(text, NULL);
}

/* ---- starting ---- */

static void set_connection(
	struct transport *t, const struct transport_exchange *x, const struct url *url)
{
	CURL *easy = x->handle->easy;

	curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
	/* A resolver that hangs must not hold the thread when its exchange is aborted. */
	curl_easy_setopt(easy, CURLOPT_QUICK_EXIT, 1L);
	curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
	curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_2TLS);
	curl_easy_setopt(easy, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
	if (t->ca_file)
		curl_easy_setopt(easy, CURLOPT_CAINFO, t->ca_file);
	if (url_is_loopback(url))
		curl_easy_setopt(easy, CURLOPT_PROXY, "");
	curl_easy_setopt(easy, CURLOPT_TCP_KEEPALIVE, 1L);
	curl_easy_setopt(easy, CURLOPT_BUFFERSIZE, RECEIVE_BUFFER);
	curl_easy_setopt(easy, CURLOPT_FRESH_CONNECT, x->new_connection ? 1L : 0L);
	curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, CONNECT_TIMEOUT_MS);
	curl_easy_setopt(easy, CURLOPT_LOW_SPEED_LIMIT, LOW_SPEED_BYTES);
	curl_easy_setopt(easy, CURLOPT_LOW_SPEED_TIME, (long)x->silent_s);
}

static void set_callbacks(struct transport_exchange *x)
{
	CURL *easy = x->handle->easy;

	curl_easy_setopt(easy, CURLOPT_PRIVATE, x);
	curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, x->handle->message);
	curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_body);
	curl_easy_setopt(easy, CURLOPT_WRITEDATA, x);
	if (x->keep_headers) {
		curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, on_header);
		curl_easy_setopt(easy, CURLOPT_HEADERDATA, x);
	}
}

static int set_request(const struct transport_exchange *x)
{
	CURL *easy = x->handle->easy;

	curl_easy_setopt(easy, CURLOPT_USERAGENT, "smr/" SMR_VERSION);
	if (strcmp(x->method, "HEAD") == 0) {
		curl_easy_setopt(easy, CURLOPT_NOBODY, 1L);
	} else if (strcmp(x->method, "GET") != 0) {
		curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, x->method);
		if (x->data) {
			curl_easy_setopt(
				easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)x->data_len);
			curl_easy_setopt(easy, CURLOPT_POSTFIELDS, x->data);
		}
	}
	for (size_t i = 0; x->headers && x->headers[i]; i++) {
		struct curl_slist *more = curl_slist_append(x->handle->headers, x->headers[i]);

		if (!more)
			return -ENOMEM;
		x->handle->headers = more;
	}
	curl_easy_setopt(easy, CURLOPT_HTTPHEADER, x->handle->headers);
	if (x->user) {
		curl_easy_setopt(easy, CURLOPT_USERNAME, x->user);
		curl_easy_setopt(easy, CURLOPT_PASSWORD, x->password ? x->password : "");
		curl_easy_setopt(easy, CURLOPT_HTTPAUTH, CURLAUTH_BASIC);
	}
	/* The one that copies much and may fail. */
	return curl_easy_setopt(easy, CURLOPT_URL, x->url) == CURLE_OK ? 0 : -ENOMEM;
}

int transport_start(struct transport *t, struct transport_exchange *x)
{
	struct url url;
	int r = url_parse(x->url, &url, &x->err);

	if (r < 0)
		return r;
	x->r = 0;
	x->again = false;
	x->err.message[0] = '\0';
	x->status = 0;
	x->content_len = -1;
	x->retry_after_s = 0;
	transport_exchange_done(x);
	buf_init(&x->body, x->max_bytes);
	buf_init(&x->head, TRANSPORT_HEADERS_MAX);
	x->handle = take_handle(t);
	if (!x->handle)
		return -ENOMEM;
	x->handle->body_r = 0;
	x->handle->message[0] = '\0';
	set_connection(t, x, &url);
	set_callbacks(x);
	r = set_request(x);
	if (r == 0 && curl_multi_add_handle(t->multi, x->handle->easy) != CURLM_OK)
		r = -ENOMEM;
	if (r < 0)
		transport_abort(t, x);
	return r;
}

/* ---- ending ---- */

/* The errno of an exchange that brought no answer, and whether another may. */
static int classify(const struct transport_exchange *x, CURLcode code, bool *ret_again)
{
	long os = 0;

	*ret_again = true;
	switch (code) {
	case CURLE_OPERATION_TIMEDOUT:
		return -ETIMEDOUT;
	case CURLE_COULDNT_RESOLVE_HOST:
	case CURLE_COULDNT_RESOLVE_PROXY:
		return -EHOSTUNREACH;
	case CURLE_COULDNT_CONNECT:
		curl_easy_getinfo(x->handle->easy, CURLINFO_OS_ERRNO, &os);
		return os == ECONNREFUSED || os == ETIMEDOUT ? (int)-os : -EHOSTUNREACH;
	case CURLE_SEND_ERROR:
	case CURLE_RECV_ERROR:
	case CURLE_GOT_NOTHING:
	case CURLE_PARTIAL_FILE:
	case CURLE_HTTP2:
	case CURLE_HTTP2_STREAM:
	case CURLE_SSL_CONNECT_ERROR:
	case CURLE_PROXY:
		return -ECONNRESET;
	default:
		break;
	}
	*ret_again = false;
	switch (code) {
	case CURLE_OUT_OF_MEMORY:
		return -ENOMEM;
	case CURLE_PEER_FAILED_VERIFICATION:
	case CURLE_SSL_CACERT_BADFILE:
	case CURLE_SSL_CERTPROBLEM:
	case CURLE_SSL_ISSUER_ERROR:
		return -EACCES;
	default:
		return -EBADMSG;
	}
}

static void failed(struct transport_exchange *x, CURLcode code)
{
	const struct transport_handle *h = x->handle;

	if (h->body_r == -EFBIG) {
		x->r = error_set(&x->err, -EBADMSG, "%s is larger than it may be", x->url);
		return;
	}
	if (h->body_r < 0) {
		x->r = error_set_errno(&x->err, h->body_r, "%s", x->url);
		return;
	}
	x->r = classify(x, code, &x->again);
	if (code == CURLE_COULDNT_CONNECT)
		error_set_errno(&x->err, x->r, "%s", x->url);
	else
		error_set(&x->err, x->r, "%s: %s", x->url,
			h->message[0] ? h->message : curl_easy_strerror(code));
}

static void answered(struct transport_exchange *x)
{
	CURL *easy = x->handle->easy;
	curl_off_t after = 0;
	char *redirect = NULL;

	x->content_len = transport_expected(x);
	if (is_success(x->status))
		return;
	curl_easy_getinfo(easy, CURLINFO_RETRY_AFTER, &after);
	curl_easy_getinfo(easy, CURLINFO_REDIRECT_URL, &redirect);
	x->retry_after_s = after > 0 ? (uint64_t)after : 0;
	x->redirect = redirect ? strdup(redirect) : NULL;
	x->again = retry_status(x->status);
	x->r = retry_errno(x->status);
	if (x->r == -ENOENT)
		error_set(&x->err, x->r, "%s: not found (HTTP %ld)", x->url, x->status);
	else if (x->r == -EACCES)
		error_set(&x->err, x->r, "%s: access denied (HTTP %ld)", x->url, x->status);
	else if (x->status >= 300 && x->status <= 399)
		error_set(&x->err, x->r, "%s: sends us elsewhere, which is not followed (HTTP %ld)",
			x->url, x->status);
	else
		error_set(&x->err, x->r, "%s: HTTP status %ld", x->url, x->status);
}

struct transport_exchange *transport_next(struct transport *t)
{
	CURLMsg *msg;
	int left;

	curl_multi_perform(t->multi, &left);
	while ((msg = curl_multi_info_read(t->multi, &left))) {
		struct transport_exchange *x = NULL;
		CURLcode code = msg->data.result;

		if (msg->msg != CURLMSG_DONE)
			continue;
		curl_easy_getinfo(msg->easy_handle, CURLINFO_PRIVATE, (char **)&x);
		curl_easy_getinfo(msg->easy_handle, CURLINFO_RESPONSE_CODE, &x->status);
		/* An error page that was too long to read says what a short one would have. */
		if (code == CURLE_OK || (x->handle->body_r < 0 && !is_success(x->status)))
			answered(x);
		else
			failed(x, code);
		transport_abort(t, x);
		return x;
	}
	return NULL;
}

void transport_poll(struct transport *t, int ms)
{
	curl_multi_poll(t->multi, NULL, 0, ms, NULL);
}

void transport_wakeup(struct transport *t)
{
	curl_multi_wakeup(t->multi);
}
