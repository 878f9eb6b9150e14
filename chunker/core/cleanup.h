/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Scope-bound ownership: a variable marked with one of these is released when it leaves its scope;
 * take_ptr() and take_fd() move the ownership out of it.
 */
#ifndef CORE_CLEANUP_H
#define CORE_CLEANUP_H

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

static inline void cleanup_freep(void *p)
{
	free(*(void **)p);
}

/* errno is kept: destructors run between a failing call and the return of its errno. */
static inline void cleanup_closep(int *fd)
{
	int saved_errno = errno;
	if (*fd >= 0)
		close(*fd);
	errno = saved_errno;
}

static inline void cleanup_unlockp(pthread_mutex_t **m)
{
	if (*m)
		pthread_mutex_unlock(*m);
}

static inline pthread_mutex_t *cleanup_lock(pthread_mutex_t *m)
{
	pthread_mutex_lock(m);
	return m;
}

#define auto_with(fn) __attribute__((cleanup(fn)))
#define auto_free     auto_with(cleanup_freep)
#define auto_close    auto_with(cleanup_closep)
/* Holds the mutex until the end of the enclosing block. */
#define CLEANUP_CAT2(a, b) a##b
#define CLEANUP_CAT(a, b)  CLEANUP_CAT2(a, b)
#define locked(mutex)                                                              \
	pthread_mutex_t *CLEANUP_CAT(locked_, __LINE__) auto_with(cleanup_unlockp) \
		__attribute__((unused)) = cleanup_lock(mutex)

#define take_ptr(p)                         \
	({                                  \
		__typeof__(p) taken_ = (p); \
		(p) = NULL;                 \
		taken_;                     \
	})

static inline int take_fd(int *fd)
{
	int taken = *fd;
	*fd = -1;
	return taken;
}

#endif
