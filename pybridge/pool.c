/* The pool: its mutex, its start and end, and the calls of the event loop in any mode. */
#include "interp.h"
#include "kind.h"
#include "messages.h"
#include "queue.h"
#include "request.h"
#include "stack.h"
#include "waits.h"

#include <errno.h>
#include <semaphore.h>
#include <stdlib.h>
#include <time.h>

fapws_pool fapws_the_pool;
#define P fapws_the_pool

static fapws_thread main_thread;
static __thread fapws_thread *to_wake; /* by fapws_unlock() */

uint64_t fapws_now_ns(void) {
  struct timespec ts;
  clock_gettime(CLOCK_MONOTONIC, &ts);
  return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

void fapws_cond_init(pthread_cond_t *c) {
  pthread_condattr_t a;
  pthread_condattr_init(&a);
  pthread_condattr_setclock(&a, CLOCK_MONOTONIC);
  pthread_cond_init(c, &a);
  pthread_condattr_destroy(&a);
}

/* --- waking; P.mu is held --------------------------------------------------- */

void fapws_wake_thread(fapws_thread *t) {
  if (t->state != FAPWS_THREAD_IDLE) return;
  t->state = FAPWS_THREAD_BUSY;
  P.idle--;
  if (to_wake) sem_post(&to_wake->sleep); /* a second one at once is rare */
  to_wake = t;
}

static void post(void) {
  fapws_thread *t = to_wake;
  to_wake = NULL;
  if (t) sem_post(&t->sleep);
}

/* Wakes after the mutex is free: on one CPU the woken thread may run at once, and would have to wait for the mutex. */
void fapws_unlock(void) {
  pthread_mutex_unlock(&P.mu);
  post();
}

void fapws_lock(void) { pthread_mutex_lock(&P.mu); }

void fapws_wait(pthread_cond_t *c) {
  post();
  pthread_cond_wait(c, &P.mu);
}

int fapws_wait_until(pthread_cond_t *c, const struct timespec *until) {
  post();
  return pthread_cond_timedwait(c, &P.mu, until) != ETIMEDOUT;
}

void fapws_wait_ns(pthread_cond_t *c, uint64_t ns) {
  uint64_t until = fapws_now_ns() + ns;
  fapws_wait_until(c, &(struct timespec){(time_t)(until / 1000000000u), (long)(until % 1000000000u)});
}

/* --- calls from Go --------------------------------------------------------- */

fapws_shared *fapws_pool_start(const fapws_pool_options *o) {
  pthread_mutex_init(&P.mu, NULL);
  fapws_cond_init(&P.monitor);
  fapws_flow_init();
  sem_init(&main_thread.sleep, 0, 0);
  P.max = o->threads > FAPWS_MAX_THREADS ? FAPWS_MAX_THREADS : o->threads;
  P.mode = o->threads > 0 ? &fapws_threads : &fapws_inline;
  P.parallel = fapws_is_parallel();
  P.cpus = o->cpus;
  P.debug = o->debug;
  P.stamped = o->stamped;
  P.send_fields = o->send_fields;
  P.signal_fd = P.exit_code = -1;
  P.max_event = o->max_event;
  P.nmounts = o->mounts + 1;
  P.mounts = calloc((size_t)P.nmounts, sizeof *P.mounts);
  for (int i = 0; i < o->mounts; i++) {
    fapws_mount *m = &P.mounts[i];
    fapws_mount_bind(m, o->targets[i].kind);
    m->relative = o->targets[i].relative;
    m->callable = o->targets[i].callable;
    Py_XINCREF(m->callable);
    m->environ = o->targets[i].environ;
    m->start = o->targets[i].start;
    m->name = PyUnicode_FromString(o->names[i]);
    m->place = o->targets[i].place ? strdup(o->targets[i].place) : NULL;
    /* Unknown handlers count as slow. */
    m->run_ns = m->wait_ns = m->close_ns = m->chunk_ns = 10 * FAPWS_SLOW_NS;
  }
  fapws_mount *presence = &P.mounts[o->mounts];
  if (!(presence->callable = fapws_presence_handler()) ||
      !(presence->name = PyUnicode_FromString("on_join and on_leave")))
    return NULL;
  presence->run_ns = presence->wait_ns = 10 * FAPWS_HEAVY_NS; /* no request must wait behind callbacks */
  fapws_mount_bind(presence, FAPWS_WSGI);
  main_thread.mode = P.mode;
  main_thread.state = FAPWS_THREAD_BUSY;
  main_thread.python = PyThreadState_Get();
  main_thread.id = pthread_self();
  fapws_this_thread = &main_thread;
  P.threads[0] = &main_thread;
  P.nthreads = 1;
  if (fapws_environ_init(o) < 0) return NULL;
  if (fapws_errorlog_init() < 0) fapws_report("creating wsgi.errors of hosts; using stderr", NULL);
  return P.mode->prepare() < 0 || fapws_asyncio.prepare() < 0 ? NULL : &P.shared;
}

int fapws_pool_is_parallel(void) { return P.parallel; }

void fapws_pool_attach(int signals, int event, int32_t *state) {
  P.event_fd = event;
  P.loop_state = state;
  __atomic_store_n(&P.signal_fd, signals,
                   __ATOMIC_SEQ_CST); /* last, because threads of the application check it first */
  if (__atomic_load_n(&P.shared.messages, __ATOMIC_SEQ_CST)) fapws_wake_loop();
  P.mode->attached(signals);
}

void fapws_loop_has_seen(void) {
  P.mode->wake();
  fapws_asyncio.wake();
}

/* Queues the first records of a chain, as far as they have the same mode, and returns the rest. */
static fapws_record *enqueue_some(fapws_record *first, uint64_t now) {
  const fapws_mode *mode = fapws_mode_of(first);
  fapws_record *last = first, *next;
  int n = 1;
  for (first->since_ns = now; (next = last->next) && fapws_mode_of(next) == mode; last = next, n++)
    next->since_ns = now;
  fapws_lock();
  mode->enqueue(first, last, n);
  fapws_unlock();
  return next;
}

int fapws_flush(uintptr_t first) {
  struct timespec now; /* the same for all: reading the clock is not free */
  clock_gettime(fapws_waits_are_counted() ? CLOCK_MONOTONIC : CLOCK_MONOTONIC_COARSE, &now);
  for (fapws_record *rec = (fapws_record *)first; rec;)
    rec = enqueue_some(rec, (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec);
  fapws_enqueue_delivered();
  fapws_asyncio.start();
  return P.mode->start();
}

void fapws_request_exit(int code) {
  fapws_lock();
  P.exit_code = code;
  __atomic_store_n(&P.stopping, 1, __ATOMIC_RELAXED);
  fapws_unlock();
}

int fapws_pool_stop(int ms) {
  uint64_t until = fapws_now_ns() + (uint64_t)ms * 1000000u;
  fapws_lock();
  __atomic_store_n(&P.stopping, 1, __ATOMIC_RELAXED);
  for (int i = 0; i < P.nthreads; i++) fapws_wake_thread(P.threads[i]);
  __atomic_store_n(&P.monitor_parked, 0, __ATOMIC_RELAXED);
  pthread_cond_broadcast(&P.monitor);
  while (P.live > 0) {
    uint64_t now = fapws_now_ns();
    if (now >= until) break;
    fapws_wait_ns(&P.monitor, until - now);
  }
  int left = P.live;
  fapws_unlock();
  return left;
}

void fapws_resume(fapws_record *rec) {
  rec->job = FAPWS_NEXT;
  fapws_mode_of(rec)->resume(rec);
}

void fapws_signalled(void) { P.mode->signalled(); }
