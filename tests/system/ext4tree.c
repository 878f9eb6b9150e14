/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Trees for the tests of ext4 images: made up from a seed, built in any order, and described, so that what is mounted can
 * be compared with what was meant.
 *
 *     ext4tree random SEED ENTRIES ORDER IMAGE [CHUNK-SIZE]   image of a made-up tree; prints its description
 *     ext4tree cases ORDER IMAGE              the same of a tree of everything that is rare
 *     ext4tree wide ENTRIES IMAGE             one directory
 *     ext4tree many ENTRIES IMAGE             small files in many directories; prints the memory it took
 *     ext4tree from DIRECTORY IMAGE           image of what is there
 *     ext4tree describe DIRECTORY [holes]     a line for everything there, sorted
 *
 * ORDER is a seed too: of the order in which the tree is filled. A line of a description is: path, type and mode, owner, links,
 * size, mtime, device, target, SHA-256 over the blocks that are not zeros, bytes that are no holes, xattrs, and the first
 * path with the same inode. With "holes" missing, bytes that are no holes are not told.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "../../chunker/build/ext4_image.h"
#include "../../chunker/core/le.h"

#define BLOCK      4096u
#define ATTRS_MAX  12
#define TIME_FIRST (-(INT64_C(1) << 31))
#define TIME_LAST  INT64_C(10737418239)
#define die(...)   (fprintf(stderr, __VA_ARGS__), fputc('\n', stderr), exit(1))

/* ---- the model ---- */

struct attr {
	char name[256];
	unsigned char value[4096];
	size_t len;
};

/* An inode. Data of a file: block b is there if b % period == phase (period 1: all), random bytes of `seed`. */
struct inode {
	struct tree_attr a;
	uint64_t size, period, phase, seed;
	char *target;
	struct attr *attrs;
	size_t n_attrs;
	uint32_t n_names, node;
	const char *first; /* path that sorts first */
	size_t first_len;
};

struct name {
	char *path;
	size_t len;
	uint32_t inode;
};

struct model {
	struct inode *inodes;
	struct name *names;
	uint32_t n_inodes, n_names, cap_inodes, cap_names;
};

static uint64_t state;

static uint64_t mix(uint64_t x)
{
	x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
	x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
	return x ^ (x >> 31);
}

static uint64_t rnd(uint64_t below)
{
	state += 0x9e3779b97f4a7c15u;
	return mix(state) % below;
}

static void *must(void *p)
{
	if (!p)
		die("no memory");
	return p;
}

static uint32_t add_inode(struct model *m, struct tree_attr a)
{
	if (m->n_inodes == m->cap_inodes) {
		m->cap_inodes = m->cap_inodes * 2 + 64;
		m->inodes = must(reallocarray(m->inodes, m->cap_inodes, sizeof(*m->inodes)));
	}
	m->inodes[m->n_inodes] = (struct inode){.a = a, .period = 1, .seed = m->n_inodes + 1};
	return m->n_inodes++;
}

static void add_name(struct model *m, const void *path, size_t len, uint32_t inode)
{
	if (m->n_names == m->cap_names) {
		m->cap_names = m->cap_names * 2 + 64;
		m->names = must(reallocarray(m->names, m->cap_names, sizeof(*m->names)));
	}
	struct name *n = &m->names[m->n_names++];
	*n = (struct name){must(malloc(len + 1)), len, inode};
	memcpy(n->path, path, len);
	n->path[len] = 0;
	m->inodes[inode].n_names++;
}

static struct inode *add(struct model *m, const char *path, struct tree_attr a)
{
	uint32_t i = add_inode(m, a);

	add_name(m, path, strlen(path), i);
	return &m->inodes[i];
}

static void add_attr(struct inode *in, const char *name, const void *value, size_t len)
{
	if (!in->attrs)
		in->attrs = must(calloc(ATTRS_MAX, sizeof(*in->attrs)));
	struct attr *x = &in->attrs[in->n_attrs++];
	snprintf(x->name, sizeof(x->name), "%s", name);
	memcpy(x->value, value, len);
	x->len = len;
}

static void set_target(struct inode *in, const char *target)
{
	in->target = must(strdup(target));
	in->a.target = in->target;
	in->a.target_len = strlen(target);
}

/* ---- contents ---- */

static void block_bytes(uint64_t seed, uint64_t block, unsigned char *out)
{
	for (unsigned i = 0; i < BLOCK; i += 8) {
		uint64_t v = mix(seed * 0x2545f4914f6cdd1du + block * 512 + i / 8) | 1;
		memcpy(out + i, &v, 8);
	}
}

static uint64_t next_block(const struct inode *in, uint64_t from)
{
	uint64_t rest = from % in->period;

	return from + (in->phase + in->period - rest) % in->period;
}

typedef int sink(void *arg, uint64_t block, const unsigned char *data, size_t n);

static int each_block(const struct inode *in, sink *f, void *arg)
{
	unsigned char data[BLOCK];
	uint64_t n_blocks = (in->size + BLOCK - 1) / BLOCK;
	int r = 0;

	for (uint64_t b = next_block(in, 0); b < n_blocks && r == 0; b = next_block(in, b + 1)) {
		block_bytes(in->seed, b, data);
		uint64_t left = in->size - b * BLOCK;
		r = f(arg, b, data, left < BLOCK ? left : BLOCK);
	}
	return r;
}

struct hashing {
	struct chunkid_hasher *h;
	uint64_t bytes;
};

static int hash_block(void *arg, uint64_t block, const unsigned char *data, size_t n)
{
	struct hashing *h = arg;
	uint8_t number[8];

	le_put64(number, block);
	chunkid_hasher_add(h->h, number, 8);
	chunkid_hasher_add(h->h, data, n);
	h->bytes += n;
	return 0;
}

struct spooling {
	struct spool *s;
	uint64_t at;
};

static int spool_block(void *arg, uint64_t block, const unsigned char *data, size_t n)
{
	struct spooling *s = arg;
	int r = spool_skip(s->s, block * BLOCK - s->at, NULL);

	s->at = block * BLOCK + n;
	return r < 0 ? r : spool_write(s->s, data, n, NULL);
}

/* ---- from the model to an image ---- */

static uint32_t xattrs_of(struct tree *t, const struct inode *in)
{
	struct tree_xattr x[ATTRS_MAX];
	uint32_t set;

	for (size_t i = 0; i < in->n_attrs; i++)
		x[i] = (struct tree_xattr){in->attrs[i].name, strlen(in->attrs[i].name),
			in->attrs[i].value, in->attrs[i].len};
	if (tree_xattrs(t, x, in->n_attrs, &set) < 0)
		die("xattrs");
	return set;
}

static void put_inode(struct tree *t, struct spool *s, const struct tree_place *p, struct inode *in)
{
	struct tree_content c;
	struct tree_attr a = in->a;
	int r;

	a.xattrs = xattrs_of(t, in);
	if (S_ISREG(a.mode)) {
		struct spooling arg = {s, 0};
		spool_begin(s);
		r = each_block(in, spool_block, &arg);
		if (r == 0)
			r = spool_skip(s, in->size - arg.at, NULL);
		if (r == 0)
			r = spool_finish(s, &c, NULL);
		if (r < 0)
			die("spool: %s", strerror(-r));
		a.content = &c;
	}
	r = p->name_len ? tree_put(t, p->dir, p->name, p->name_len, &a, &in->node)
			: tree_set_dir(t, TREE_ROOT, &a);
	if (r < 0)
		die("tree_put: %s", strerror(-r));
}

static void shuffle(struct model *m, uint64_t order)
{
	state = order;
	for (uint32_t i = m->n_names; order && i > 1; i--) {
		uint32_t k = (uint32_t)rnd(i);
		struct name n = m->names[k];
		m->names[k] = m->names[i - 1];
		m->names[i - 1] = n;
	}
}

/* Directories that are needed before their turn are made for the time being; the first name of an inode brings it. */
static void fill(struct model *m, uint64_t order, struct tree *t, struct spool *s)
{
	struct tree_place p;

	shuffle(m, order);
	for (uint32_t i = 0; i < m->n_inodes; i++)
		m->inodes[i].node = TREE_NONE;
	for (uint32_t i = 0; i < m->n_names; i++) {
		struct inode *in = &m->inodes[m->names[i].inode];
		int r = tree_walk(t, m->names[i].path, m->names[i].len, TREE_MKDIRS, &p);
		if (r == 0 && in->node != TREE_NONE)
			r = tree_link(t, p.dir, p.name, p.name_len, in->node);
		else if (r == 0)
			put_inode(t, s, &p, in);
		if (r < 0)
			die("%s: %s", m->names[i].path, strerror(-r));
	}
}

static void write_image(const struct tree *t, struct spool *s, const char *path, uint32_t chunk)
{
	const struct ext4_options opts = {.chunk_size = chunk};
	struct ext4_image *img;
	struct smr_error err = {0};
	int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	int r = fd < 0 ? -errno : ext4_image_new(t, s, &opts, &img, &err);

	if (r == 0)
		r = ext4_image_write(img, fd, NULL, NULL, &err);
	if (r < 0)
		die("%s: %s", path, error_text(&err, r));
	const struct ext4_info *info = ext4_image_info(img);
	fprintf(stderr, "size %llu metadata %llu data %llu inodes %u dropped xattrs %llu\n",
		(unsigned long long)info->size, (unsigned long long)info->meta_end,
		(unsigned long long)info->data_bytes, info->n_inodes,
		(unsigned long long)info->n_dropped_xattrs);
	ext4_image_free(img);
	close(fd);
}

/* ---- describing ---- */

static void print_bytes(const char *s, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		unsigned char c = (unsigned char)s[i];
		if (c > ' ' && c < 127 && c != '\\')
			putchar(c);
		else
			printf("\\%02x", c);
	}
}

static int compare_attrs(const void *a, const void *b)
{
	return strcmp(((const struct attr *)a)->name, ((const struct attr *)b)->name);
}

struct line {
	const char *path, *first;
	size_t len, first_len;
	struct stat st;
	const char *target;
	struct hashing data; /* h: finished by print_line */
	bool holes;
	struct attr *attrs;
	size_t n_attrs;
};

static void print_line(struct line *l)
{
	const struct stat *st = &l->st;
	bool dir = S_ISDIR(st->st_mode), dev = S_ISCHR(st->st_mode) || S_ISBLK(st->st_mode);
	struct chunkid id;
	char hex[CHUNKID_HEX + 1];

	print_bytes(l->path, l->len);
	printf(" %o %u:%u links %u size %lld mtime %lld.%09ld", st->st_mode, st->st_uid, st->st_gid,
		dir ? 0 : (unsigned)st->st_nlink, dir ? 0 : (long long)st->st_size,
		(long long)st->st_mtim.tv_sec, st->st_mtim.tv_nsec);
	if (dev)
		printf(" device %u:%u", major(st->st_rdev), minor(st->st_rdev));
	if (l->target)
		printf(" -> %s", l->target);
	if (S_ISREG(st->st_mode)) {
		chunkid_hasher_finish(l->data.h, &id);
		chunkid_format(&id, hex);
		printf(" %s", hex);
		if (l->holes)
			printf(" data %llu", (unsigned long long)l->data.bytes);
	}
	if (l->n_attrs)
		qsort(l->attrs, l->n_attrs, sizeof(*l->attrs), compare_attrs);
	for (size_t i = 0; i < l->n_attrs; i++) {
		printf(" %s=", l->attrs[i].name);
		print_bytes((const char *)l->attrs[i].value, l->attrs[i].len);
	}
	if (!dir && st->st_nlink > 1) {
		printf(" is ");
		print_bytes(l->first, l->first_len);
	}
	putchar('\n');
}

static int compare_names(const void *va, const void *vb)
{
	const struct name *a = va, *b = vb;
	size_t n = a->len < b->len ? a->len : b->len;
	int c = memcmp(a->path, b->path, n);

	return c ? c : (a->len > b->len) - (a->len < b->len);
}

static void describe_model(struct model *m)
{
	qsort(m->names, m->n_names, sizeof(*m->names), compare_names);
	for (uint32_t i = m->n_names; i-- > 0;) {
		m->inodes[m->names[i].inode].first = m->names[i].path;
		m->inodes[m->names[i].inode].first_len = m->names[i].len;
	}
	for (uint32_t i = 0; i < m->n_names; i++) {
		struct inode *in = &m->inodes[m->names[i].inode];
		struct line l = {.path = m->names[i].path,
			.len = m->names[i].len,
			.first = in->first,
			.first_len = in->first_len,
			.target = in->target,
			.holes = true,
			.attrs = in->attrs,
			.n_attrs = in->n_attrs};
		bool late = in->a.mtime > TIME_LAST, early = in->a.mtime < TIME_FIRST;
		l.data.h = must(chunkid_hasher_new());
		l.st.st_mode = in->a.mode;
		l.st.st_uid = in->a.uid;
		l.st.st_gid = in->a.gid;
		l.st.st_nlink = in->n_names;
		l.st.st_size = in->target ? (off_t)in->a.target_len : (off_t)in->size;
		l.st.st_mtim.tv_sec = late ? TIME_LAST : early ? TIME_FIRST : in->a.mtime;
		l.st.st_mtim.tv_nsec = late || early ? 0 : in->a.mtime_ns;
		l.st.st_rdev = makedev(in->a.major, in->a.minor);
		if (S_ISREG(in->a.mode))
			each_block(in, hash_block, &l.data);
		/* A block that is there is there as a whole. */
		l.data.bytes = (l.data.bytes + BLOCK - 1) / BLOCK * BLOCK;
		print_line(&l);
		chunkid_hasher_free(l.data.h);
	}
}

/* ---- a folder of this machine ---- */

static struct attr *read_attrs(const char *path, size_t *ret_n)
{
	char list[4096];
	ssize_t n = llistxattr(path, list, sizeof(list));
	struct attr *attrs = must(calloc(ATTRS_MAX, sizeof(*attrs)));

	*ret_n = 0;
	for (char *name = list; n > 0 && name < list + n; name += strlen(name) + 1) {
		struct attr *x = &attrs[(*ret_n)++];
		memcpy(x->name, name, strnlen(name, sizeof(x->name) - 1));
		ssize_t len = lgetxattr(path, name, x->value, sizeof(x->value));
		if (len < 0)
			die("%s: %s: %s", path, name, strerror(errno));
		x->len = (size_t)len;
	}
	return attrs;
}

/* The blocks that are not zeros; bytes: that are no holes. */
static void read_content(const char *path, uint64_t size, struct hashing *h, struct spooling *s)
{
	static const unsigned char zeros[BLOCK];
	unsigned char data[BLOCK];
	uint64_t data_bytes = 0;
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	off_t at = 0, end;

	if (fd < 0)
		die("%s: %s", path, strerror(errno));
	while ((at = lseek(fd, at, SEEK_DATA)) >= 0) {
		end = lseek(fd, at, SEEK_HOLE);
		data_bytes += (uint64_t)(end - at + BLOCK - 1) / BLOCK * BLOCK;
		for (off_t b = at / BLOCK * BLOCK; b < end; b += BLOCK) {
			ssize_t n = pread(fd, data, BLOCK, b);
			if (n <= 0)
				die("%s: cannot be read at %lld", path, (long long)b);
			if (memcmp(data, zeros, (size_t)n) == 0)
				continue;
			if (h)
				hash_block(h, (uint64_t)b / BLOCK, data, (size_t)n);
			else if (spool_block(s, (uint64_t)b / BLOCK, data, (size_t)n) < 0)
				die("%s: spool", path);
		}
		at = end;
	}
	if (s && spool_skip(s->s, size - s->at, NULL) < 0)
		die("%s: spool", path);
	if (h)
		h->bytes = data_bytes;
	close(fd);
}

struct seen {
	char *path;
	size_t len; /* of the part below the directory that was asked for, at path + skip */
	size_t skip;
	struct stat st;
};

struct seens {
	struct seen *s;
	size_t n, cap;
};

static void collect(struct seens *all, const char *path, size_t skip)
{
	struct stat st;

	if (lstat(path, &st) < 0)
		die("%s: %s", path, strerror(errno));
	if (all->n == all->cap) {
		all->cap = all->cap * 2 + 64;
		all->s = must(reallocarray(all->s, all->cap, sizeof(*all->s)));
	}
	all->s[all->n++] = (struct seen){must(strdup(path)), strlen(path) - skip, skip, st};
	if (!S_ISDIR(st.st_mode))
		return;
	DIR *d = opendir(path);
	struct dirent *e;
	char *child = must(malloc(strlen(path) + 258));
	while (d && (e = readdir(d))) {
		if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
			continue;
		size_t n = strlen(path);
		sprintf(child, "%s%s%s", path, path[n - 1] == '/' ? "" : "/", e->d_name);
		collect(all, child, skip);
	}
	free(child);
	closedir(d);
}

static int compare_seen(const void *va, const void *vb)
{
	const struct seen *a = va, *b = vb;
	return strcmp(a->path + a->skip, b->path + b->skip);
}

static int compare_by_inode(const void *va, const void *vb)
{
	const struct seen *a = *(const struct seen *const *)va,
			  *b = *(const struct seen *const *)vb;

	if (a->st.st_ino != b->st.st_ino)
		return a->st.st_ino < b->st.st_ino ? -1 : 1;
	return (a > b) - (a < b);
}

/* Everything below `dir`, sorted; `ret_first[i]`: the first with the inode of i. */
static struct seens collect_all(const char *dir, size_t **ret_first)
{
	struct seens all = {0};
	size_t n = strlen(dir);
	char *path = must(malloc(n + 2));

	sprintf(path, "%s%s", dir, dir[n - 1] == '/' ? "" : "/");
	collect(&all, path, strlen(path));
	free(path);
	qsort(all.s, all.n, sizeof(*all.s), compare_seen);
	struct seen **by = must(calloc(all.n, sizeof(*by)));
	for (size_t i = 0; i < all.n; i++)
		by[i] = &all.s[i];
	qsort(by, all.n, sizeof(struct seen *), compare_by_inode);
	*ret_first = must(calloc(all.n, sizeof(**ret_first)));
	for (size_t i = 0, first = 0; i < all.n; i++) {
		if (by[i]->st.st_ino != by[first]->st.st_ino)
			first = i;
		(*ret_first)[by[i] - all.s] = (size_t)(by[first] - all.s);
	}
	free(by);
	return all;
}

static void free_seen(struct seens *all, size_t *first)
{
	for (size_t i = 0; i < all->n; i++)
		free(all->s[i].path);
	free(all->s);
	free(first);
}

static void read_target(const struct seen *s, char target[4097])
{
	ssize_t n = readlink(s->path, target, 4096);

	if (n < 0)
		die("%s: %s", s->path, strerror(errno));
	target[n] = 0;
}

static void describe_folder(const char *dir, bool holes)
{
	size_t *first;
	struct seens all = collect_all(dir, &first);

	for (size_t i = 0; i < all.n; i++) {
		const struct seen *s = &all.s[i], *f = &all.s[first[i]];
		char target[4097];
		struct line l = {.path = s->path + s->skip,
			.len = s->len,
			.first = f->path + f->skip,
			.first_len = f->len,
			.st = s->st,
			.holes = holes};
		if (S_ISLNK(s->st.st_mode)) {
			read_target(s, target);
			l.target = target;
		}
		l.attrs = read_attrs(s->path, &l.n_attrs);
		l.data.h = must(chunkid_hasher_new());
		if (S_ISREG(s->st.st_mode))
			read_content(s->path, (uint64_t)s->st.st_size, &l.data, NULL);
		print_line(&l);
		chunkid_hasher_free(l.data.h);
		free(l.attrs);
	}
	free_seen(&all, first);
}

static void put_seen(struct tree *t, struct spool *s, const struct seen *e, uint32_t *ret_node)
{
	char target[4097] = "";
	struct tree_xattr x[ATTRS_MAX];
	struct tree_content c;
	struct tree_place p;
	size_t n;
	struct attr *attrs = read_attrs(e->path, &n);
	struct tree_attr a = {.mode = e->st.st_mode,
		.uid = e->st.st_uid,
		.gid = e->st.st_gid,
		.mtime = e->st.st_mtim.tv_sec,
		.mtime_ns = (uint32_t)e->st.st_mtim.tv_nsec,
		.target = target,
		.major = major(e->st.st_rdev),
		.minor = minor(e->st.st_rdev)};
	for (size_t i = 0; i < n; i++)
		x[i] = (struct tree_xattr){
			attrs[i].name, strlen(attrs[i].name), attrs[i].value, attrs[i].len};
	int r = tree_xattrs(t, x, n, &a.xattrs);
	if (S_ISLNK(a.mode)) {
		read_target(e, target);
		a.target_len = strlen(target);
	} else if (S_ISREG(a.mode)) {
		struct spooling arg = {s, 0};
		spool_begin(s);
		read_content(e->path, (uint64_t)e->st.st_size, NULL, &arg);
		spool_finish(s, &c, NULL);
		a.content = &c;
	}
	if (r == 0)
		r = tree_walk(t, e->path + e->skip, e->len, 0, &p);
	if (r == 0)
		r = e->len ? tree_put(t, p.dir, p.name, p.name_len, &a, ret_node)
			   : tree_set_dir(t, TREE_ROOT, &a);
	if (r < 0)
		die("%s: %s", e->path, strerror(-r));
	free(attrs);
}

static void image_from(const char *dir, const char *image)
{
	size_t *first;
	struct seens all = collect_all(dir, &first);
	uint32_t *nodes = must(calloc(all.n, sizeof(*nodes)));
	struct tree *t = must(tree_new(NULL));
	struct tree_place p;
	struct spool *s;

	if (spool_new(NULL, 0, &s, NULL) < 0)
		die("no spool");
	for (size_t i = 0; i < all.n; i++) {
		const struct seen *e = &all.s[i];
		if (first[i] == i) {
			put_seen(t, s, e, &nodes[i]);
			continue;
		}
		int r = tree_walk(t, e->path + e->skip, e->len, 0, &p);
		if (r == 0)
			r = tree_link(t, p.dir, p.name, p.name_len, nodes[first[i]]);
		if (r < 0)
			die("%s: %s", e->path, strerror(-r));
	}
	write_image(t, s, image, 512 << 10);
	tree_free(t);
	spool_free(s);
	free(nodes);
	free_seen(&all, first);
}

/* ---- made-up trees ---- */

static struct tree_attr random_attr(uint32_t type)
{
	struct tree_attr a = {.mode = type | (uint32_t)rnd(010000)};

	a.uid = rnd(4) ? (uint32_t)rnd(1000) : (uint32_t)rnd(UINT32_MAX);
	a.gid = rnd(4) ? (uint32_t)rnd(1000) : (uint32_t)rnd(UINT32_MAX);
	a.mtime = rnd(8) ? (int64_t)rnd(1u << 31) : (int64_t)rnd(20000000000) - 4000000000;
	a.mtime_ns = (uint32_t)rnd(1000000000);
	return a;
}

static void random_attrs(struct inode *in)
{
	static const char *const spaces[] = {"user.", "trusted.", "security."};
	unsigned char value[700];
	char name[64];
	bool user = S_ISREG(in->a.mode) || S_ISDIR(in->a.mode);

	for (uint64_t n = rnd(8) ? 0 : 1 + rnd(4), i = 0; i < n; i++) {
		const char *space = spaces[user ? rnd(3) : 1 + rnd(2)];
		size_t len = rnd(3) ? rnd(30) : rnd(sizeof(value));
		snprintf(name, sizeof(name), "%sx%llu%.*s", space, (unsigned long long)i,
			(int)rnd(12), "abcdefghijkl");
		for (size_t k = 0; k < len; k++)
			value[k] = (unsigned char)rnd(256);
		add_attr(in, name, value, len);
	}
}

static void random_content(struct inode *in)
{
	uint64_t kind = rnd(1000);

	in->size = kind < 150   ? 0
		   : kind < 900 ? rnd(12000)
		   : kind < 990 ? rnd(200000)
				: rnd(1200000);
	if (kind >= 998)
		in->size = 5000000 + rnd(2000000);
	if (rnd(10) == 0) {
		in->period = 1 + rnd(300);
		in->phase = rnd(in->period);
	}
}

/* Names that sort in ways one would not think of first, and any bytes. */
static size_t random_name(char *name, uint64_t unique)
{
	static const char odd[] = " !+,-.0Aa~\xff\x80\x01";
	size_t n = 0, len = rnd(20) ? rnd(12) : rnd(240);

	if (rnd(3) == 0)
		for (; n < len; n++)
			name[n] = odd[rnd(sizeof(odd) - 1)];
	return n + (size_t)sprintf(name + n, "%llx", (unsigned long long)unique);
}

static void make_random(struct model *m, uint64_t seed, uint32_t n_entries)
{
	static const uint32_t types[] = {S_IFDIR, S_IFLNK, S_IFIFO, S_IFSOCK, S_IFCHR, S_IFBLK};
	uint32_t *dirs = must(calloc(n_entries + 1, sizeof(*dirs)));
	uint32_t n_dirs = 1;
	char path[8192];

	state = seed;
	add(m, "", random_attr(S_IFDIR));
	for (uint32_t i = 1; i < n_entries; i++) {
		const struct name *dir = &m->names[dirs[rnd(4) ? rnd(n_dirs) : n_dirs - 1]];
		if (dir->len > 3000)
			dir = &m->names[0];
		size_t n = dir->len;
		memcpy(path, dir->path, n);
		if (n)
			path[n++] = '/';
		n += random_name(path + n, i);
		if (rnd(12) == 0) {
			uint32_t k = m->names[rnd(m->n_names)].inode;
			if (!S_ISDIR(m->inodes[k].a.mode)) {
				add_name(m, path, n, k);
				continue;
			}
		}
		uint32_t type = rnd(10) < 7 ? S_IFREG : types[rnd(10) < 7 ? rnd(2) : rnd(6)];
		uint32_t k = add_inode(m, random_attr(type));
		struct inode *in = &m->inodes[k];
		add_name(m, path, n, k);
		if (type == S_IFDIR)
			dirs[n_dirs++] = m->n_names - 1;
		else if (type == S_IFREG)
			random_content(in);
		else if (type == S_IFLNK) {
			char target[4096];
			size_t len = 1 + (rnd(8) ? rnd(80) : rnd(4095));
			memset(target, 't', len);
			target[len] = 0;
			in->a.mode = S_IFLNK | 0777;
			set_target(in, target);
		} else if (type == S_IFCHR || type == S_IFBLK) {
			in->a.major = rnd(2) ? (uint32_t)rnd(256) : (uint32_t)rnd(4096);
			in->a.minor = rnd(2) ? (uint32_t)rnd(256) : (uint32_t)rnd(1 << 20);
		}
		random_attrs(in);
	}
	free(dirs);
}

static struct tree_attr plain(uint32_t mode, int64_t mtime, uint32_t ns)
{
	return (struct tree_attr){.mode = mode, .mtime = mtime, .mtime_ns = ns};
}

static void make_dates(struct model *m)
{
	static const int64_t dates[] = {INT64_MIN, -3000000000, TIME_FIRST - 1, TIME_FIRST, -1, 0,
		1, INT32_MAX, (int64_t)INT32_MAX + 1, UINT32_MAX, (int64_t)UINT32_MAX + 1,
		6442450944, 8589934591, 8589934592, TIME_LAST, TIME_LAST + 1, 15032385535,
		INT64_MAX};
	char path[64];

	add(m, "dates", plain(S_IFDIR | 0755, 1, 0));
	for (size_t i = 0; i < sizeof(dates) / sizeof(dates[0]); i++) {
		snprintf(path, sizeof(path), "dates/%lld", (long long)dates[i]);
		add(m, path, plain(S_IFREG | 0644, dates[i], 999999999));
	}
}

static void make_attrs(struct model *m)
{
	/* u32 version 2; tag, permissions, id: owner rwx, user 70000 r-x, group r-x, group 5 r--, mask rwx, others none */
	static const unsigned char acl[] = {2, 0, 0, 0, 1, 0, 7, 0, 255, 255, 255, 255, 2, 0, 5, 0,
		0x70, 0x11, 1, 0, 4, 0, 5, 0, 255, 255, 255, 255, 8, 0, 4, 0, 5, 0, 0, 0, 16, 0, 7,
		0, 255, 255, 255, 255, 32, 0, 0, 0, 255, 255, 255, 255};
	static const unsigned char ping[] = {
		1, 0, 0, 2, 0, 32, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0};
	unsigned char value[4000];
	struct inode *in;

	memset(value, 'v', sizeof(value));
	add(m, "attrs", plain(S_IFDIR | 0755, 1, 0));
	in = add(m, "attrs/acl", plain(S_IFDIR | 0770, 1, 0));
	add_attr(in, "system.posix_acl_access", acl, sizeof(acl));
	add_attr(in, "system.posix_acl_default", acl, sizeof(acl));
	in = add(m, "attrs/capable", plain(S_IFREG | 0755, 1, 0));
	add_attr(in, "security.capability", ping, sizeof(ping));
	in = add(m, "attrs/full-inode", plain(S_IFREG | 0644, 1, 0));
	add_attr(in, "user.a", value, 64);
	in = add(m, "attrs/overfull-inode", plain(S_IFREG | 0644, 1, 0));
	add_attr(in, "user.a", value, 69);
	in = add(m, "attrs/full-block", plain(S_IFREG | 0644, 1, 0));
	add_attr(in, "user.a", value, 4000);
	in = add(m, "attrs/both", plain(S_IFREG | 0644, 1, 0));
	add_attr(in, "user.empty", "", 0);
	add_attr(in, "user.bb", value, 300);
	add_attr(in, "trusted.overlay.opaque", "y", 1);
	add_attr(in, "user.a", value, 20);
	add_attr(in, "user.c", value, 301);
	in = add(m, "attrs/symlink", plain(S_IFLNK | 0777, 1, 0));
	set_target(in, "both");
	add_attr(in, "trusted.t", value, 200);
}

static void make_sparse(struct model *m)
{
	static const struct {
		const char *path;
		uint64_t size, period, phase;
	} files[] = {
		{"sparse/only-hole", 1 << 20, UINT64_MAX, UINT64_MAX - 1},
		{"sparse/small-hole", 100000, 100, 99},
		{"sparse/5-extents", 40000, 2, 1},       /* one block of extents */
		{"sparse/1361-extents", 11149312, 2, 0}, /* just more than one level holds */
		{"sparse/3000-extents", 49152000, 4, 3},
		{"sparse/units", 40 << 20, 300, 7}, /* units of A without data */
		{"sparse/tebibytes", (15ull << 40) + 5, 1ull << 28, 5},
		{"sparse/end", (3ull << 30) + 1, 786433, 786432},
		{"sparse/dense", 3 << 20, 1, 0},
		{"sparse/exactly-A", 512 << 10, 1, 0},
		{"sparse/below-A", (512 << 10) - 1, 1, 0},
	};

	add(m, "sparse", plain(S_IFDIR | 0755, 1, 0));
	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
		struct inode *in = add(m, files[i].path, plain(S_IFREG | 0600, 5, 5));
		in->size = files[i].size;
		in->period = files[i].period;
		in->phase = files[i].phase;
	}
}

static void make_names(struct model *m)
{
	char path[4096];
	size_t n = 0;

	for (int len = 1; len <= 260; len++) {
		memset(path, 'n', sizeof(path));
		memcpy(path, "names/", 6);
		path[6 + len] = 0;
		if (len <= 255)
			add(m, path, plain(S_IFREG | 0644, len, 0));
	}
	add(m, "names", plain(S_IFDIR | 01777, 1, 0));
	/* 8 blocks without an index, 9 with one, and two levels of it */
	static const unsigned sizes[] = {0, 1, 120, 127, 128, 130, 15000};
	for (size_t k = 0; k < sizeof(sizes) / sizeof(sizes[0]); k++) {
		snprintf(path, sizeof(path), "dir%u", sizes[k]);
		add(m, path, plain(S_IFDIR | 0755, 1, 0));
		for (unsigned i = 0; i < sizes[k]; i++) {
			n = (size_t)snprintf(path, sizeof(path), "dir%u/%07u", sizes[k], i);
			memset(path + n, 'x', 240);
			path[n + 240] = 0;
			add(m, path, plain(S_IFREG | 0644, i, 0));
		}
	}
	n = 0;
	for (int i = 0; i < 900; i++) {
		n += (size_t)snprintf(path + n, sizeof(path) - n, "%sd", i ? "/" : "");
		add(m, path, plain(S_IFDIR | 0711, i, 0));
	}
}

static void make_others(struct model *m)
{
	static const uint32_t devs[][2] = {
		{0, 0}, {5, 1}, {255, 255}, {256, 0}, {8, 256}, {4095, 1048575}, {1, 3}};
	char path[8192];
	uint32_t inode;

	for (size_t i = 0; i < sizeof(devs) / sizeof(devs[0]); i++) {
		for (int block = 0; block < 2; block++) {
			snprintf(path, sizeof(path), "dev/%s%u-%u", block ? "b" : "c", devs[i][0],
				devs[i][1]);
			struct inode *in =
				add(m, path, plain((block ? S_IFBLK : S_IFCHR) | 0666, 1, 0));
			in->a.major = devs[i][0];
			in->a.minor = devs[i][1];
		}
	}
	add(m, "dev", plain(S_IFDIR | 0755, 1, 0));
	add(m, "fifo", plain(S_IFIFO | 04755, 1, 0));
	add(m, "socket", plain(S_IFSOCK | 02755, 1, 0));
	static const int lengths[] = {1, 58, 59, 60, 61, 4095};
	for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
		snprintf(path, sizeof(path), "symlink%d", lengths[i]);
		struct inode *in = add(m, path, plain(S_IFLNK | 0777, 1, 0));
		snprintf(path, sizeof(path), "%0*d", lengths[i], 7);
		set_target(in, path);
	}
	struct inode *owned = add(m, "owned", plain(S_IFREG | 06755, 1, 0));
	owned->a.uid = 4294967294u;
	owned->a.gid = 65536;
	static const uint32_t types[] = {S_IFREG, S_IFLNK, S_IFCHR, S_IFIFO};
	for (int i = 0; i < 4; i++) {
		inode = add_inode(m, plain(types[i] | 0777, 9, 9));
		if (types[i] == S_IFLNK)
			set_target(&m->inodes[inode], "somewhere");
		m->inodes[inode].size = types[i] == S_IFREG ? 12345 : 0;
		for (int k = 0; k < 3; k++) {
			snprintf(path, sizeof(path), "links%d/%d", (k * 7 + i) % 3, i);
			add_name(m, path, strlen(path), inode);
		}
	}
	for (int k = 0; k < 3; k++) {
		snprintf(path, sizeof(path), "links%d", k);
		add(m, path, plain(S_IFDIR | 0755, 1, 0));
	}
}

static int from_model(struct model *m, uint64_t order, const char *image, uint32_t chunk)
{
	struct tree *t = must(tree_new(NULL));
	struct spool *s;

	if (spool_new(NULL, 0, &s, NULL) < 0)
		die("no spool");
	fill(m, order, t, s);
	write_image(t, s, image, chunk);
	describe_model(m);
	tree_free(t);
	spool_free(s);
	return 0;
}

/* ---- large trees, without a model ---- */

static long peak_kib(void)
{
	struct rusage ru;

	getrusage(RUSAGE_SELF, &ru);
	return ru.ru_maxrss;
}

static int make_many(uint32_t n, uint32_t per_dir, const char *image)
{
	struct tree *t = must(tree_new(NULL));
	struct tree_place p;
	struct tree_content c;
	struct tree_attr a = plain(S_IFREG | 0644, 1600000000, 1);
	struct spool *s;
	char path[128], data[64];
	uint32_t node;

	if (spool_new(NULL, 0, &s, NULL) < 0)
		die("no spool");
	for (uint32_t i = 0; i < n; i++) {
		int len = per_dir ? snprintf(path, sizeof(path),
					    "usr/lib/node_modules/package-%u/file-%07u.js",
					    i / per_dir, i)
				  : snprintf(path, sizeof(path), "%u", i);
		spool_begin(s);
		if (per_dir)
			spool_write(
				s, data, (size_t)sprintf(data, "module.exports = %u\n", i), NULL);
		int r = spool_finish(s, &c, NULL);
		a.content = &c;
		if (r == 0)
			r = tree_walk(t, path, (size_t)len, TREE_MKDIRS, &p);
		if (r == 0)
			r = tree_put(t, p.dir, p.name, p.name_len, &a, &node);
		if (r < 0)
			die("%s: %s", path, strerror(-r));
	}
	fprintf(stderr, "tree %llu bytes, peak %ld KiB\n", (unsigned long long)tree_bytes(t),
		peak_kib());
	write_image(t, s, image, 512 << 10);
	fprintf(stderr, "peak %ld KiB\n", peak_kib());
	tree_free(t);
	spool_free(s);
	return 0;
}

static uint64_t number(const char *s)
{
	return strtoull(s, NULL, 10);
}

int main(int argc, char **argv)
{
	static struct model m; /* until the end: nothing frees it */
	const char *verb = argc > 1 ? argv[1] : "";

	if (strcmp(verb, "random") == 0 && (argc == 6 || argc == 7)) {
		make_random(&m, number(argv[2]), (uint32_t)number(argv[3]));
		return from_model(&m, number(argv[4]), argv[5],
			argc == 7 ? (uint32_t)number(argv[6]) : 512 << 10);
	}
	if (strcmp(verb, "cases") == 0 && argc == 4) {
		add(&m, "", plain(S_IFDIR | 01755, 1234567890, 123456789));
		make_dates(&m);
		make_attrs(&m);
		make_sparse(&m);
		make_names(&m);
		make_others(&m);
		return from_model(&m, number(argv[2]), argv[3], 512 << 10);
	}
	if (strcmp(verb, "wide") == 0 && argc == 4)
		return make_many((uint32_t)number(argv[2]), 0, argv[3]);
	if (strcmp(verb, "many") == 0 && argc == 4)
		return make_many((uint32_t)number(argv[2]), 20, argv[3]);
	if (strcmp(verb, "from") == 0 && argc == 4)
		return image_from(argv[2], argv[3]), 0;
	if (strcmp(verb, "describe") == 0 && (argc == 3 || argc == 4))
		return describe_folder(argv[2], argc == 4), 0;
	fprintf(stderr, "usage: see the top of ext4tree.c\n");
	return 2;
}
