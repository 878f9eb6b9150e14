/* SPDX-License-Identifier: BSD-3-Clause */
#include "mount.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../chunker/core/cleanup.h"
#include "../chunker/core/fd.h"
#include "../chunker/core/log.h"
#include "../chunker/core/units.h"
#include "mountinfo.h"

#define READ_AHEAD_KB "1024"

struct mount {
	struct fuse_session *session;
	char *path;            /* absolute, without links */
	unsigned major, minor; /* 0:0 until mount_tune */
};

/* ---- before ---- */

/* Is `path` the directory `dir` or something below it? Parts at the end of `path` may not exist
 * yet. */
static bool is_below(const char *path, const char *dir)
{
	char *known auto_free = strdup(path);
	char real[PATH_MAX];
	size_t n = strlen(dir);
	while (known && !realpath(known, real)) {
		char *slash = strrchr(known, '/');
		if (errno != ENOENT || !slash || slash == known)
			return false;
		*slash = '\0';
	}
	return known && strncmp(real, dir, n) == 0 && (real[n] == '/' || real[n] == '\0');
}

static int check_below(const char *what, const char *path, const char *dir, struct smr_error *err)
{
	if (!path || !is_below(path, dir))
		return 0;
	return error_set(err, -ELOOP,
		"the %s %s is below the mount point %s, which would hide it: mount elsewhere", what,
		path, dir);
}

static int check_mountpoint(const char *path, char ret_real[PATH_MAX], struct smr_error *err)
{
	struct stat st;
	if (stat(path, &st) < 0) {
		int r = -errno;
		if (r == -ENOENT)
			return error_set(err, r, "the mount point %s does not exist: mkdir -p %s",
				path, path);
		if (r == -ENOTCONN)
			return error_set(err, r,
				"a dead mount is on %s: fusermount3 -u %s (or umount) takes it "
				"away",
				path, path);
		return error_set_errno(err, r, "the mount point %s", path);
	}
	if (!S_ISDIR(st.st_mode))
		return error_set(err, -ENOTDIR, "the mount point %s is not a directory", path);
	if (!realpath(path, ret_real))
		return error_set_errno(err, -errno, "the mount point %s", path);
	return 0;
}

static int check_device(struct smr_error *err)
{
	if (access("/dev/fuse", F_OK) < 0)
		return error_set(err, -ENODEV,
			"/dev/fuse is missing: load the kernel module with \"modprobe fuse\"");
	if (access("/dev/fuse", R_OK | W_OK) < 0)
		return error_set_errno(err, -errno,
			"/dev/fuse cannot be opened by this user (its mode is usually 0666)");
	return 0;
}

static int check(const struct options *o, char ret_real[PATH_MAX], struct smr_error *err)
{
	int r = check_mountpoint(o->mountpoint, ret_real, err);
	if (r == 0)
		r = check_below("store", options_store_path(o->store), ret_real, err);
	if (r == 0)
		r = check_below("cache directory", o->cache_dir, ret_real, err);
	if (r == 0)
		r = check_below("CA file", o->ca_file, ret_real, err);
	if (r == 0)
		r = check_device(err);
	return r;
}

/* ---- mounting ---- */

/* libfuse's own messages, a line each. */
static void on_fuse_log(enum fuse_log_level level, const char *fmt, va_list ap)
{
	char line[512];
	vsnprintf(line, sizeof(line), fmt, ap);
	line[strcspn(line, "\n")] = '\0';
	log_line(level <= FUSE_LOG_ERR       ? LOG_LEVEL_ERROR
		 : level <= FUSE_LOG_WARNING ? LOG_LEVEL_WARN
					     : LOG_LEVEL_DEBUG,
		"%s", line);
}

/* The options for libfuse, mount(2) and fusermount3 together. NULL: no memory. */
static char *mount_options(const struct options *o)
{
	char *name auto_free = o->fsname ? strdup(o->fsname) : options_public_store(o->store);
	char *escaped auto_free = name ? options_escape(name) : NULL;
	char *all;
	bool others = o->allow_other || (geteuid() == 0 && !o->allow_root);
	if (!escaped ||
		asprintf(&all,
			"ro,nosuid,nodev,noatime,default_permissions,subtype=smrfs,fsname=%s%s%s%s%"
			"s%s",
			escaped, others ? ",allow_other" : "", o->allow_root ? ",allow_root" : "",
			o->debug ? ",debug" : "", o->mount_options ? "," : "",
			o->mount_options ? o->mount_options : "") < 0)
		return NULL;
	return all;
}

static struct fuse_session *new_session(
	const struct options *o, const struct fuse_lowlevel_ops *ops, void *userdata)
{
	char *options auto_free = mount_options(o);
	struct fuse_args args = FUSE_ARGS_INIT(0, NULL);
	struct fuse_session *se = NULL;
	if (options && fuse_opt_add_arg(&args, "smrfs") == 0 &&
		fuse_opt_add_arg(&args, "-o") == 0 && fuse_opt_add_arg(&args, options) == 0)
		se = fuse_session_new(&args, ops, sizeof(*ops), userdata);
	fuse_opt_free_args(&args);
	return se;
}

static bool in_path(const char *program)
{
	const char *all = getenv("PATH");
	for (const char *dir = all ? all : ""; *dir; dir += *dir == ':') {
		char path[PATH_MAX];
		int n = (int)strcspn(dir, ":");
		snprintf(path, sizeof(path), "%.*s/%s", n, dir, program);
		if (access(path, X_OK) == 0)
			return true;
		dir += n;
	}
	return false;
}

static void mount_freep(struct mount **m)
{
	mount_free(*m);
}

int mount_new(const struct options *o, const struct fuse_lowlevel_ops *ops, void *userdata,
	struct mount **ret, struct smr_error *err)
{
	char real[PATH_MAX];
	int r = check(o, real, err);
	if (r < 0)
		return r;
	fuse_set_log_func(on_fuse_log);
	struct mount *m auto_with(mount_freep) = calloc(1, sizeof(*m));
	if (!m || !(m->path = strdup(real)) || !(m->session = new_session(o, ops, userdata)))
		return error_set(err, -ENOMEM, "cannot set up FUSE");
	if (fuse_session_mount(m->session, m->path) < 0) {
		if (geteuid() != 0 && !in_path("fusermount3"))
			return error_set(err, -EIO,
				"mounting without root needs fusermount3: install the package "
				"fuse3");
		return error_set(err, -EIO, "cannot mount on %s, for the reason above", real);
	}
	*ret = take_ptr(m);
	return 0;
}

struct fuse_session *mount_session(struct mount *m)
{
	return m->session;
}

void mount_free(struct mount *m)
{
	if (!m)
		return;
	if (m->session)
		fuse_session_destroy(m->session);
	free(m->path);
	free(m);
}

/* ---- the kernel's parameters ---- */

static int find_device(const char *path, unsigned *ret_major, unsigned *ret_minor)
{
	FILE *f = fopen("/proc/self/mountinfo", "re");
	char *line = NULL;
	size_t cap = 0;
	int r = -ENOENT;
	if (!f)
		return -errno;
	/* the last one is on top */
	while (getline(&line, &cap, f) >= 0)
		if (mountinfo_parse(line, path, ret_major, ret_minor))
			r = 0;
	free(line);
	fclose(f);
	return r;
}

int mount_tune(struct mount *m)
{
	char path[64];
	/* from mountinfo: stat() would be a request to this very process */
	int r = find_device(m->path, &m->major, &m->minor);
	if (r < 0)
		return r;
	snprintf(path, sizeof(path), "/sys/class/bdi/%u:%u/read_ahead_kb", m->major, m->minor);
	int fd auto_close = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	return fd_write(fd, READ_AHEAD_KB, strlen(READ_AHEAD_KB));
}

/* ---- the end ---- */

static void detach(const char *path)
{
	char *argv[] = {(char *)"fusermount3", (char *)"-u", (char *)"-q", (char *)"-z",
		(char *)"--", (char *)path, NULL};
	pid_t pid;
	if (umount2(path, MNT_DETACH | UMOUNT_NOFOLLOW) == 0 || geteuid() == 0)
		return;
	if (posix_spawnp(&pid, argv[0], NULL, NULL, argv, environ) == 0)
		while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
			;
}

void mount_end(struct mount *m)
{
	unsigned major, minor;
	fuse_session_unmount(m->session);
	/* libfuse leaves a mount alone whose connection was aborted. */
	if ((m->major || m->minor) && find_device(m->path, &major, &minor) == 0 &&
		major == m->major && minor == m->minor)
		detach(m->path);
}

/* ---- limits ---- */

static uint64_t read_seconds(const char *path)
{
	uint64_t seconds = 0;
	struct buf text auto_with(buf_done);
	buf_init(&text, 64);
	if (fd_read_file(AT_FDCWD, path, &text) < 0)
		return 0;
	char *s = (char *)text.data;
	if (!buf_cstr(&text))
		return 0;
	s[strcspn(s, "\n")] = '\0';
	return units_parse_uint(s, 0, UINT32_MAX, &seconds) < 0 ? 0 : seconds;
}

void mount_request_timeouts(uint64_t *ret_default, uint64_t *ret_max)
{
	*ret_default = read_seconds("/proc/sys/fs/fuse/default_request_timeout");
	*ret_max = read_seconds("/proc/sys/fs/fuse/max_request_timeout");
}
