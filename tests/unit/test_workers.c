/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "../../chunker/core/workers.h"

/* Holds a thread until the test lets it go. */
struct gate {
	struct work work;
	sem_t entered, open;
};

static void gate_run(struct work *w)
{
	struct gate *g = (struct gate *)(void *)w;
	sem_post(&g->entered);
	sem_wait(&g->open);
}

static void gate_init(struct gate *g)
{
	g->work.run = gate_run;
	sem_init(&g->entered, 0, 0);
	sem_init(&g->open, 0, 0);
}

static void gate_done(struct gate *g)
{
	sem_destroy(&g->entered);
	sem_destroy(&g->open);
}

/* Appends its letter to a log that only one thread writes. */
struct letter {
	struct work work;
	char c;
	char *log;
};

static void letter_run(struct work *w)
{
	struct letter *l = (struct letter *)(void *)w;
	l->log[strlen(l->log)] = l->c;
}

static void test_urgent_jobs_run_first_and_equals_in_order(void **state)
{
	(void)state;
	struct workers *w;
	struct gate gate;
	gate_init(&gate);
	assert_int_equal(workers_new("test", 1, &w), 0);
	workers_add(w, &gate.work, WORKERS_IDLE);
	sem_wait(&gate.entered);

	char log[16] = "";
	struct letter jobs[] = {
		{.c = 'e'}, {.c = 'c'}, {.c = 'a'}, {.c = 'f'}, {.c = 'd'}, {.c = 'b'}};
	static const enum workers_priority prios[] = {WORKERS_IDLE, WORKERS_AHEAD, WORKERS_DEMAND};
	for (int i = 0; i < 6; i++) {
		jobs[i].work.run = letter_run;
		jobs[i].log = log;
		workers_add(w, &jobs[i].work, prios[i % 3]);
	}
	sem_post(&gate.open);
	workers_free(w);
	assert_string_equal(log, "abcdef");
	gate_done(&gate);
}

struct counted {
	struct work work;
	atomic_uint *count;
};

static void counted_run_and_free(struct work *w)
{
	struct counted *c = (struct counted *)(void *)w;
	atomic_fetch_add(c->count, 1);
	free(c);
}

static void *add_many(void *arg)
{
	void **args = arg;
	for (int i = 0; i < 2000; i++) {
		struct counted *c = malloc(sizeof(*c));
		*c = (struct counted){.work.run = counted_run_and_free, .count = args[1]};
		workers_add(args[0], &c->work, (enum workers_priority)(i % WORKERS_PRIORITIES));
	}
	return NULL;
}

static void test_free_runs_every_job_that_many_threads_added(void **state)
{
	(void)state;
	struct workers *w;
	atomic_uint count = 0;
	pthread_t adders[4];
	assert_int_equal(workers_new("test", 3, &w), 0);
	void *args[] = {w, &count};
	for (int i = 0; i < 4; i++)
		assert_int_equal(pthread_create(&adders[i], NULL, add_many, args), 0);
	for (int i = 0; i < 4; i++)
		pthread_join(adders[i], NULL);
	workers_free(w);
	assert_int_equal(atomic_load(&count), 8000);
}

struct chain {
	struct work work;
	struct workers *w;
	int left;
	sem_t *end;
};

static void chain_run(struct work *w)
{
	struct chain *c = (struct chain *)(void *)w;
	if (c->left-- == 0)
		sem_post(c->end);
	else
		workers_add(c->w, &c->work, WORKERS_AHEAD);
}

static void test_a_job_may_queue_itself_again(void **state)
{
	(void)state;
	struct workers *w;
	sem_t end;
	sem_init(&end, 0, 0);
	assert_int_equal(workers_new("test", 2, &w), 0);
	struct chain c = {.work.run = chain_run, .w = w, .left = 1000, .end = &end};
	workers_add(w, &c.work, WORKERS_AHEAD);
	sem_wait(&end);
	workers_free(w);
	assert_int_equal(c.left, -1);
	sem_destroy(&end);
}

static void test_all_threads_work_at_once(void **state)
{
	(void)state;
	struct workers *w;
	struct gate gates[4];
	assert_int_equal(workers_new("test", 4, &w), 0);
	for (int i = 0; i < 4; i++) {
		gate_init(&gates[i]);
		workers_add(w, &gates[i].work, WORKERS_DEMAND);
	}
	for (int i = 0; i < 4; i++)
		sem_wait(&gates[i].entered);
	for (int i = 0; i < 4; i++)
		sem_post(&gates[i].open);
	workers_free(w);
	for (int i = 0; i < 4; i++)
		gate_done(&gates[i]);
}

struct inspection {
	struct work work;
	sigset_t blocked;
	char name[16];
};

static void inspect_run(struct work *w)
{
	struct inspection *i = (struct inspection *)(void *)w;
	pthread_sigmask(SIG_SETMASK, NULL, &i->blocked);
	pthread_getname_np(pthread_self(), i->name, sizeof(i->name));
}

static void test_threads_are_named_and_take_no_signals(void **state)
{
	(void)state;
	struct workers *w;
	struct inspection i = {.work.run = inspect_run};
	sigset_t before, after;
	pthread_sigmask(SIG_SETMASK, NULL, &before);
	assert_int_equal(workers_new("a-long-thread-name", 1, &w), 0);
	pthread_sigmask(SIG_SETMASK, NULL, &after);
	assert_int_equal(sigismember(&after, SIGTERM), sigismember(&before, SIGTERM));
	workers_add(w, &i.work, WORKERS_DEMAND);
	workers_free(w);
	assert_string_equal(i.name, "a-long-threa");
	assert_true(sigismember(&i.blocked, SIGTERM) && sigismember(&i.blocked, SIGCHLD));
}

static void test_no_threads_are_refused(void **state)
{
	(void)state;
	struct workers *w = NULL;
	assert_int_equal(workers_new("test", 0, &w), -EINVAL);
	assert_null(w);
	workers_free(NULL);
	assert_int_equal(workers_new("test", 2, &w), 0);
	workers_free(w);
}

static void test_there_is_at_least_one_cpu(void **state)
{
	(void)state;
	assert_in_range(workers_cpus(), 1, 100000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_urgent_jobs_run_first_and_equals_in_order),
		cmocka_unit_test(test_free_runs_every_job_that_many_threads_added),
		cmocka_unit_test(test_a_job_may_queue_itself_again),
		cmocka_unit_test(test_all_threads_work_at_once),
		cmocka_unit_test(test_threads_are_named_and_take_no_signals),
		cmocka_unit_test(test_no_threads_are_refused),
		cmocka_unit_test(test_there_is_at_least_one_cpu),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
