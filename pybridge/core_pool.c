/* The pool: its mutex, its start and its end, and the functions that Go calls in all modes. */
#include "core.h"

#include <errno.h>
#include <sys/syscall.h>
#include <semaphore.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#define the_pool core_the_pool

core_pool core_the_pool = {.mu = PTHREAD_MUTEX_INITIALIZER};

static core_thread main_thread;

/* the_pool.loop_state points to this variable until core_pool_attach is called. The value 0 means that no event loop
 * sleeps. The asyncio thread can publish a part even before core_pool_attach is called. */
static int32_t no_loop;
static __thread core_thread *to_wake;

uint64_t core_now_ns(void) {
  struct timespec ts;
  clock_gettime(CLOCK_MONOTONIC, &ts);
  return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

void core_cond_init(pthread_cond_t *c) {
  pthread_condattr_t a;
  pthread_condattr_init(&a);
  pthread_condattr_setclock(&a, CLOCK_MONOTONIC);
  pthread_cond_init(c, &a);
  pthread_condattr_destroy(&a);
}

/* --- waking; the_pool.mu is held --------------------------------------------------- */

void core_wake_thread(core_thread *t) {
  if (t->state != CORE_THREAD_IDLE) return;
  t->state = CORE_THREAD_BUSY;
  the_pool.idle--;
  if (to_wake) sem_post(&to_wake->sleep);
  to_wake = t;
}

static void post(void) {
  core_thread *t = to_wake;
  to_wake = NULL;
  if (t) sem_post(&t->sleep);
}

/* Releases the mutex, and then wakes the selected thread. In the opposite order, the woken thread could run at once,
 * and would have to wait for the mutex. */
void core_unlock(void) {
  pthread_mutex_unlock(&the_pool.mu);
  post();
}

void core_lock(void) { pthread_mutex_lock(&the_pool.mu); }

void core_wait(pthread_cond_t *c) {
  post();
  pthread_cond_wait(c, &the_pool.mu);
}

int core_wait_until(pthread_cond_t *c, uint64_t until) {
  struct timespec at = {(time_t)(until / 1000000000u), (long)(until % 1000000000u)};
  post();
  return pthread_cond_timedwait(c, &the_pool.mu, &at) != ETIMEDOUT;
}

void core_pool_start(const core_options *o, const core_mode *coroutines, void (*thread_ends)(void)) {
  CORE_CHECK(CORE_GIL | CORE_ON_MAIN | CORE_LOADING);
  core_cond_init(&the_pool.monitor);
  core_flow_init();
  sem_init(&main_thread.sleep, 0, 0);
  the_pool.max = o->threads > CORE_MAX_THREADS ? CORE_MAX_THREADS : o->threads;
  the_pool.mode = o->threads > 0 ? &core_threads : &core_inline;
  the_pool.coroutines = coroutines;
  the_pool.thread_ends = thread_ends;
  the_pool.shared.parallel = core_is_parallel();
  the_pool.cpus = o->cpus;
  the_pool.debug = o->debug;
  the_pool.send_fields = o->send_fields;
  the_pool.signal_fd = the_pool.exit_code = -1;
  the_pool.loop_state = &no_loop;
  the_pool.max_event = o->max_event;
  main_thread.mode = the_pool.mode;
  main_thread.state = CORE_THREAD_BUSY;
  main_thread.python = PyThreadState_Get();
  main_thread.id = pthread_self();
  main_thread.tid = (pid_t)syscall(SYS_gettid);
  core_this_thread = &main_thread;
  the_pool.threads[0] = &main_thread;
  the_pool.nthreads = 1;
  if (core_errorlog_init() < 0) core_report("creating wsgi.errors of hosts; using stderr", NULL);
}

/* --- calls from Go --------------------------------------------------------- */

void core_pool_attach(int signals, int event, int32_t *state) {
  CORE_CHECK(CORE_NO_GIL | CORE_ON_LOOP | CORE_SERVING);
  the_pool.event_fd = event;
  __atomic_store_n(&the_pool.loop_state, state, __ATOMIC_RELEASE);
  __atomic_store_n(&the_pool.signal_fd, signals,
                   /* The member signal_fd is stored last, because threads of the application check signal_fd before
                    * they use the members stored above. */
                   __ATOMIC_SEQ_CST);
  __atomic_store_n(&the_pool.shared.wake_pending, 0, __ATOMIC_SEQ_CST);
  core_wake_loop();
  the_pool.mode->attached(signals);
}

void core_loop_has_seen(void) {
  CORE_CHECK(CORE_NO_GIL | CORE_SERVING | CORE_ENDED);
  core_may_start();
}

void core_may_start(void) {
  the_pool.mode->wake();
  the_pool.coroutines->wake();
}

static uint64_t arrival(const core_record *rec, uint64_t now) { return UNLIKELY(rec->req.timed) ? core_now_ns() : now; }

static core_record *enqueue_some(core_record *first, uint64_t now) {
  const core_mode *mode = core_mode_of(first);
  core_record *last = first, *next;
  int n = 1;
  for (first->req.since_ns = arrival(first, now); (next = last->next) && core_mode_of(next) == mode; last = next, n++)
    next->req.since_ns = arrival(next, now);
  CORE_LOCKED();
  mode->enqueue(first, last, n);
  return next;
}

int core_flush(uintptr_t first) {
  CORE_CHECK(CORE_NO_GIL | CORE_ON_LOOP | CORE_SERVING | CORE_ENDED);
  struct timespec now;
  clock_gettime(core_waits_are_counted() ? CLOCK_MONOTONIC : CLOCK_MONOTONIC_COARSE, &now);
  for (core_record *rec = (core_record *)first; rec;)
    rec = enqueue_some(rec, (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec);
  core_enqueue_delivered();
  the_pool.coroutines->start();
  return the_pool.mode->start();
}

void core_request_exit(int code) {
  CORE_LOCKED();
  the_pool.exit_code = code;
  __atomic_store_n(&the_pool.stopping, 1, __ATOMIC_RELAXED);
}

static unsigned long all_jobs(void) {
  unsigned long n = 0;
  for (int i = 0; i < the_pool.nthreads; i++) n += core_jobs_of(the_pool.threads[i]);
  return n;
}

int core_pool_stop(int ms, int most) {
  CORE_CHECK(CORE_NO_GIL | CORE_SERVING);
  uint64_t now = core_now_ns(), end = now + (uint64_t)most * 1000000u;
  CORE_LOCKED();
  __atomic_store_n(&the_pool.stopping, 1, __ATOMIC_RELAXED);
  for (int i = 0; i < the_pool.nthreads; i++) core_wake_thread(the_pool.threads[i]);
  __atomic_store_n(&the_pool.monitor_parked, 0, __ATOMIC_RELAXED);
  pthread_cond_broadcast(&the_pool.monitor);
  /* Threads run the queued jobs before they end. On a busy machine, the next one may take its time. */
  uint64_t patience = (uint64_t)ms * 1000000u;
  for (unsigned long jobs = all_jobs() + 1; the_pool.live > 0 && now < end && jobs != all_jobs(); now = core_now_ns()) {
    uint64_t until = now + patience < end ? now + patience : end;
    jobs = all_jobs();
    while (the_pool.live > 0 && core_wait_until(&the_pool.monitor, until)) {
    }
    patience = (uint64_t)ms * 5000000u;
  }
  return the_pool.live;
}

void core_resume(core_record *rec) {
  rec->run.job = CORE_NEXT;
  core_mode_of(rec)->resume(rec);
}

void core_signalled(void) {
  CORE_CHECK(CORE_NO_GIL | CORE_ON_LOOP | CORE_SERVING | CORE_ENDED);
  the_pool.mode->signalled();
}

/* --- requests and threads that are given up ------------------------------
 *
 * Ends requests that have waited too long for a thread, and replaces threads that do not return from a job. Any thread
 * can call the functions. They do not take the GIL, because a thread that does not return can hold it. */

core_part *core_give_up(core_record *rec) {
  if (rec->run.spool >= 0) close(rec->run.spool);
  rec->run.spool = -1;
  if (rec->run.socket > 0) close(rec->run.socket);
  rec->run.socket = 0;
  core_part *p = &rec->part0;
  core_part_reset(p, rec);
  p->last = p->failed = 1;
  return p;
}

int core_dequeue_expired(uintptr_t number) {
  CORE_CHECK(CORE_NO_GIL | CORE_SERVING);
  core_record *rec = (core_record *)number;
  core_lock();
  int found = core_mode_of(rec)->dequeue(rec);
  if (found) core_count_queued(-1);
  core_unlock();
  if (!found) return 0;
  core_push_part(core_give_up(rec));
  core_wake_loop();
  return 1;
}

int core_mark_thread_stuck(int index, uintptr_t number, unsigned long jobs) {
  CORE_CHECK(CORE_NO_GIL | CORE_SERVING);
  CORE_LOCKED();
  core_thread *t = the_pool.threads[index];
  int same = core_jobs_of(t) == jobs && __atomic_load_n(&t->current, __ATOMIC_RELAXED) == (core_record *)number;
  if (same) t->mode->replace(t);
  return same;
}
