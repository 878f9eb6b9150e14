/* SPDX-License-Identifier: BSD-3-Clause */
#include "status.h"

#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "../chunker/core/cleanup.h"

/* A bound that nobody's cache reaches, against documents made to exhaust memory. */
#define LIST_MAX 65536u

static void decrefp(json_t **j)
{
	json_decref(*j);
}

#define auto_json auto_with(decrefp)

/* ---- encoding. A NULL, for want of memory, makes what it is put into NULL. ---- */

/* Paths and names from clients need not be UTF-8; what is not becomes '?'. */
static json_t *text(const char *s)
{
	json_t *j = json_string(s);
	char *copy auto_free = j ? NULL : strdup(s);

	for (char *p = copy; p && *p; p++)
		if ((unsigned char)*p & 0x80)
			*p = '?';
	return j || !copy ? j : json_string(copy);
}

static json_t *number(uint64_t n)
{
	return json_integer(n > INT64_MAX ? INT64_MAX : (json_int_t)n);
}

static json_t *quantile(const struct metrics_latency *l, unsigned permille)
{
	return number(metrics_quantile_us(l, permille));
}

static json_t *encode_tier(const struct status_tier *t)
{
	const struct metrics_latency *l = &t->latency;
	json_t *buckets = json_array();

	for (unsigned i = 0; i < METRICS_BUCKETS; i++) {
		uint64_t bound = metrics_bound_us(i);

		if (l->bucket[i])
			json_array_append_new(buckets,
				json_pack("[oo]", bound == UINT64_MAX ? json_null() : number(bound),
					number(l->bucket[i])));
	}
	return json_pack("{so so s{so so so so so}}", "gets", number(l->count), "bytes",
		number(t->bytes), "latency", "sum_us", number(l->sum_us), "p50_us",
		quantile(l, 500), "p90_us", quantile(l, 900), "p99_us", quantile(l, 990), "buckets",
		buckets);
}

/* Into `object`, or its member that the row names. */
static int encode_numbers(json_t *object, const struct status_number *table, const void *base)
{
	for (; table->name; table++) {
		json_t *in = object;

		if (table->group && !(in = json_object_get(object, table->group))) {
			in = json_object();
			if (json_object_set_new(object, table->group, in) < 0)
				return -ENOMEM;
		}
		if (json_object_set_new(in, table->name, number(*status_number_at(base, table))) <
			0)
			return -ENOMEM;
	}
	return 0;
}

static int append(json_t *list, json_t *object, const struct status_number *table, const void *base)
{
	if (table && object && encode_numbers(object, table, base) < 0) {
		json_decref(object);
		return -ENOMEM;
	}
	return json_array_append_new(list, object) < 0 ? -ENOMEM : 0;
}

static int encode_lists(json_t *root, const struct status *s)
{
	json_t *stores = json_array(), *images = json_array(), *clients = json_array();
	char hex[CHUNKID_HEX + 1];
	int r = 0;

	/* What could not be set was released by the attempt; so are all others, with the root. */
	if (json_object_set_new(root, "stores", stores) |
		json_object_set_new(root, "images", images) |
		json_object_set_new(root, "clients", clients))
		return -ENOMEM;
	for (size_t i = 0; i < s->n_stores && r == 0; i++)
		r = append(stores,
			json_pack("{so so}", "url", text(s->stores[i].url), "origin",
				encode_tier(&s->stores[i].origin)),
			NULL, NULL);
	for (size_t i = 0; i < s->n_images && r == 0; i++) {
		const struct status_image *m = &s->images[i];
		chunkid_format(&m->digest, hex);
		r = append(images,
			json_pack("{so ss so}", "name", text(m->name), "digest", hex, "store",
				text(m->store)),
			status_image_numbers, m);
	}
	for (size_t i = 0; i < s->n_clients && r == 0; i++)
		r = append(clients, json_pack("{so}", "name", text(s->clients[i].name)),
			status_client_numbers, &s->clients[i]);
	return r;
}

int status_json_encode(const struct status *s, struct buf *json)
{
	json_t *root auto_json = json_pack("{si}", "version", STATUS_VERSION);
	json_t *cache = root ? json_object() : NULL;
	char *dump auto_free = NULL;
	int r;

	if (!cache || json_object_set_new(root, "cache", cache) < 0 ||
		json_object_set_new(cache, "directory", text(s->directory ? s->directory : "")) <
			0 ||
		encode_numbers(root, status_numbers, s) < 0 ||
		json_object_set_new(root, "pool", encode_tier(&s->pool)) < 0 ||
		encode_lists(root, s) < 0)
		return -ENOMEM;
	dump = json_dumps(root, JSON_INDENT(1));
	if (!dump)
		return -ENOMEM;
	r = buf_append_str(json, dump);
	return r < 0 ? r : buf_append_str(json, "\n");
}

/* ---- decoding: false for what is not as status.h has it ---- */

static bool get_number(const json_t *j, uint64_t *ret)
{
	if (!json_is_integer(j) || json_integer_value(j) < 0)
		return false;
	*ret = (uint64_t)json_integer_value(j);
	return true;
}

/* Without NULs, for that is how json_string_value ends. */
static bool get_text(const json_t *j, char *to, size_t n)
{
	if (!json_is_string(j) || json_string_length(j) >= n ||
		strlen(json_string_value(j)) != json_string_length(j))
		return false;
	strcpy(to, json_string_value(j));
	return true;
}

static bool get_numbers(const json_t *object, const struct status_number *table, void *base)
{
	for (; table->name; table++) {
		const json_t *in = table->group ? json_object_get(object, table->group) : object;

		if (!get_number(json_object_get(in, table->name), status_number_at(base, table)))
			return false;
	}
	return true;
}

static bool get_bucket(const json_t *pair, struct metrics_latency *l)
{
	const json_t *bound = json_array_get(pair, 0);
	uint64_t us = 0, n;
	unsigned i = METRICS_BUCKETS - 1;

	if (!json_is_null(bound)) {
		if (!get_number(bound, &us) || us == 0 || us > UINT64_MAX / 1000)
			return false;
		i = metrics_bucket(us * 1000 - 1);
	}
	if (!get_number(json_array_get(pair, 1), &n) ||
		__builtin_add_overflow(l->count, n, &l->count))
		return false;
	l->bucket[i] += n; /* no more than the sum of all */
	return true;
}

static bool get_tier(const json_t *j, struct status_tier *ret)
{
	const json_t *latency = json_object_get(j, "latency");
	const json_t *buckets = json_object_get(latency, "buckets");
	size_t i;
	const json_t *pair;

	if (!get_number(json_object_get(j, "bytes"), &ret->bytes) ||
		!get_number(json_object_get(latency, "sum_us"), &ret->latency.sum_us) ||
		!json_is_array(buckets) || json_array_size(buckets) > METRICS_BUCKETS)
		return false;
	json_array_foreach(buckets, i, pair) if (!get_bucket(pair, &ret->latency)) return false;
	return true;
}

/* 0, -EBADMSG or -ENOMEM. */
static int get_store(const json_t *j, struct status *s)
{
	const char *url = json_string_value(json_object_get(j, "url"));
	struct status_store *store = url ? status_add_store(s, url) : NULL;

	if (!store)
		return url ? -ENOMEM : -EBADMSG;
	return get_tier(json_object_get(j, "origin"), &store->origin) ? 0 : -EBADMSG;
}

static int get_image(const json_t *j, struct status *s)
{
	const char *url = json_string_value(json_object_get(j, "store"));
	struct status_image *m = url ? status_add_image(s, url) : NULL;
	char hex[CHUNKID_HEX + 1];

	if (!m)
		return url ? -ENOMEM : -EBADMSG;
	if (!get_text(json_object_get(j, "name"), m->name, sizeof(m->name)) ||
		!get_text(json_object_get(j, "digest"), hex, sizeof(hex)) ||
		chunkid_parse(hex, &m->digest) < 0 || !get_numbers(j, status_image_numbers, m))
		return -EBADMSG;
	return 0;
}

static int get_client(const json_t *j, struct status *s)
{
	struct status_client *c = status_add_client(s);

	if (!c)
		return -ENOMEM;
	return get_text(json_object_get(j, "name"), c->name, sizeof(c->name)) &&
			       get_numbers(j, status_client_numbers, c)
		       ? 0
		       : -EBADMSG;
}

static int get_list(
	const json_t *list, int (*get)(const json_t *, struct status *), struct status *s)
{
	size_t i;
	const json_t *j;
	int r = json_is_array(list) && json_array_size(list) <= LIST_MAX ? 0 : -EBADMSG;

	if (r == 0)
		json_array_foreach(list, i, j) if ((r = get(j, s)) < 0) break;
	return r;
}

static int decode(const json_t *root, struct status *s)
{
	const char *directory =
		json_string_value(json_object_get(json_object_get(root, "cache"), "directory"));
	int r;

	if (!directory || !get_numbers(root, status_numbers, s) ||
		!get_tier(json_object_get(root, "pool"), &s->pool))
		return -EBADMSG;
	if (!(s->directory = strdup(directory)))
		return -ENOMEM;
	if ((r = get_list(json_object_get(root, "stores"), get_store, s)) < 0 ||
		(r = get_list(json_object_get(root, "images"), get_image, s)) < 0)
		return r;
	return get_list(json_object_get(root, "clients"), get_client, s);
}

int status_json_decode(const char *json, size_t n, struct status *ret, struct smr_error *err)
{
	struct status s auto_with(status_done) = {0};
	json_error_t where;
	json_t *root auto_json = json_loadb(json, n, JSON_REJECT_DUPLICATES, &where);
	uint64_t version;
	int r;

	if (!get_number(json_object_get(root, "version"), &version))
		return error_set(err, -EBADMSG, "the status is not a JSON document with a version");
	if (version != STATUS_VERSION)
		return error_set(err, -ENOTSUP,
			"the status has version %llu, this program knows %u",
			(unsigned long long)version, STATUS_VERSION);
	r = decode(root, &s);
	if (r < 0)
		return error_set_errno(err, r, "the status");
	*ret = s;
	s = (struct status){0};
	return 0;
}
