/* The queue between the loop and Python, and the threads that empty it.
 *
 * The GIL lets one thread run at a time, so quick handlers are best run by one
 * thread in a row: the drainer. What decides is a moving average per handler:
 * before a thread starts a slow one it gives the role away, so that nobody
 * waits behind it. A wrong guess is put right by the monitor within two ticks.
 * The same guess decides when the loop is woken: after every slow handler, but
 * only once per run of quick ones.
 */
#include "bridge.h"

#include <errno.h>
#include <semaphore.h>
#include <time.h>
#include <stdlib.h>
#include <unistd.h>

#define TICK_NS 2500000L          /* of the monitor while there is work */
#define QUIET_TICKS 100           /* ticks without work before it sleeps */
#define RETIRE_S 10               /* idle seconds before an extra thread ends */
#define UNSIGNALLED_MAX 256       /* finished parts the loop may not know of */
#define UNSIGNALLED_NS 250000     /* ... and how long the first of them may wait */
#define WINDOW_BYTES (256 * 1024) /* an iterator may be ahead of its client by */
#define GARBAGE_BYTES (1 << 20)   /* released objects that idle threads may hold */

fapws_pool fapws_the_pool;
#define P fapws_the_pool

static fapws_thread main_thread;
static int64_t garbage_bytes;
static unsigned long pops; /* guarded by mu: progress of the queue, for the monitor */
static __thread PyThreadState *saved_state;
static __thread fapws_thread *to_wake; /* by unlock() */

uint64_t fapws_now_ns(void) {
  struct timespec ts;
  clock_gettime(CLOCK_MONOTONIC, &ts);
  return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

static void cond_init(pthread_cond_t *c) {
  pthread_condattr_t a;
  pthread_condattr_init(&a);
  pthread_condattr_setclock(&a, CLOCK_MONOTONIC);
  pthread_cond_init(c, &a);
  pthread_condattr_destroy(&a);
}

/* --- towards the loop ------------------------------------------------------ */

static void wake_loop(void) {
  if (__atomic_exchange_n(&P.shared.wake_pending, 1, __ATOMIC_SEQ_CST) == 0) {
    /* A full socket is fine: the loop is awake then. */
    while (write(P.wake_fd, "", 1) < 0 && errno == EINTR) {
    }
  }
}

/* Inline mode: makes the loop call fapws_turn soon. */
static void want_turn(void) {
  __atomic_store_n(&P.shared.turn, 1, __ATOMIC_SEQ_CST);
  wake_loop();
}

void fapws_publish(fapws_thread *t, fapws_part *p) {
  __atomic_add_fetch(&p->rec->unacked, (int64_t)p->body_len + p->count, __ATOMIC_RELAXED);
  fapws_part *old = __atomic_load_n(&P.shared.done, __ATOMIC_RELAXED);
  do {
    p->next = old;
  } while (!__atomic_compare_exchange_n(&P.shared.done, &old, p, 1, __ATOMIC_RELEASE, __ATOMIC_RELAXED));
  if (++t->unsignalled >= UNSIGNALLED_MAX) fapws_notify(t);
}

void fapws_notify(fapws_thread *t) {
  if (t->unsignalled == 0) return;
  t->unsignalled = 0;
  t->unsignalled_ns = 0;
  if (!P.inline_mode) wake_loop();
}

/* --- queues; P.mu is held -------------------------------------------------- */

static void push_queue(fapws_record *first, fapws_record *last, int n) {
  last->next = NULL;
  if (P.tail)
    P.tail->next = first;
  else
    P.head = first;
  P.tail = last;
  __atomic_store_n(&P.shared.queued, P.shared.queued + (uint32_t)n, __ATOMIC_RELAXED);
}

static fapws_record *pop_queue(void) {
  fapws_record *rec = P.head;
  P.head = rec->next;
  if (!P.head) P.tail = NULL;
  __atomic_store_n(&P.shared.queued, P.shared.queued - 1, __ATOMIC_RELAXED);
  pops++;
  return rec;
}

static void append_inbox(fapws_thread *t, fapws_record *first, fapws_record *last) {
  last->next = NULL;
  if (t->inbox_tail)
    t->inbox_tail->next = first;
  else
    t->inbox = first;
  t->inbox_tail = last;
}

static fapws_record *pop_inbox(fapws_thread *t) {
  fapws_record *rec = t->inbox;
  t->inbox = rec->next;
  if (!t->inbox) t->inbox_tail = NULL;
  return rec;
}

static void wake_thread(fapws_thread *t) {
  if (t->state != FAPWS_THREAD_IDLE) return;
  t->state = FAPWS_THREAD_BUSY;
  P.idle--;
  if (to_wake) sem_post(&to_wake->sleep); /* rare: two at once */
  to_wake = t;
}

static void post(void) {
  fapws_thread *t = to_wake;
  to_wake = NULL;
  if (t) sem_post(&t->sleep);
}

/* Wakes only after the mutex is free: on one CPU the woken thread may run at
 * once, and would have to give way again. */
static void unlock(void) {
  pthread_mutex_unlock(&P.mu);
  post();
}

static void lock(void) { pthread_mutex_lock(&P.mu); }

static void cond_wait_ns(pthread_cond_t *c, uint64_t ns) {
  uint64_t until = fapws_now_ns() + ns;
  struct timespec ts = {(time_t)(until / 1000000000u), (long)(until % 1000000000u)};
  post();
  pthread_cond_timedwait(c, &P.mu, &ts);
}

/* Sleeps until wake_thread; an extra thread for RETIRE_S at most. P.mu is held.
 * Not a condition variable: glibc's takes its mutex back as a contended one,
 * and giving that up again costs a system call. */
static void sleep_idle(fapws_thread *t) {
  struct timespec until;
  t->state = FAPWS_THREAD_IDLE;
  P.idle++;
  unlock();
  int awake;
  if (t->index == 0) {
    while ((awake = sem_wait(&t->sleep) == 0) == 0 && errno == EINTR) {
    }
  } else {
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += RETIRE_S;
    while ((awake = sem_timedwait(&t->sleep, &until) == 0) == 0 && errno == EINTR) {
    }
  }
  lock();
  if (t->state == FAPWS_THREAD_IDLE) {
    t->state = FAPWS_THREAD_BUSY;
    P.idle--;
    t->retire = !t->streams && !t->inbox;
  } else if (!awake) { /* woken at the last moment: the post is there or comes */
    unlock();
    while (sem_wait(&t->sleep) != 0) {
    }
    lock();
  }
}

/* Gives the queue to an idle thread, the lowest first: thread 0 is the one
 * that the script's own objects belong to, and the others get to retire. */
static void appoint_drainer(void) {
  if (P.drainer || P.idle == 0 || !P.head) return;
  for (int i = 0; i < P.nthreads; i++) {
    fapws_thread *t = P.threads[i];
    if (t->state == FAPWS_THREAD_IDLE) {
      P.drainer = t;
      wake_thread(t);
      return;
    }
  }
}

/* --- a thread -------------------------------------------------------------- */

static int is_slow(const fapws_record *rec) {
  const fapws_mount *m = &P.mounts[rec->mount];
  if (rec->job == FAPWS_NEXT) return rec->chunk_ns > FAPWS_SLOW_NS;
  return m->run_ns > FAPWS_SLOW_NS;
}

/* The next job for t, or NULL. P.mu is held. Iterators and fresh requests
 * take turns, so that neither starves the other. */
static fapws_record *take(fapws_thread *t) {
  int may_drain = P.head && (P.drainer == NULL || P.drainer == t);
  fapws_record *rec = NULL;
  if (t->inbox && (!may_drain || t->prefer_inbox)) {
    t->prefer_inbox = 0;
    rec = pop_inbox(t);
  } else if (may_drain) {
    t->prefer_inbox = 1;
    rec = pop_queue();
    P.drainer = t;
  }
  if (rec == NULL) {
    if (P.drainer == t) P.drainer = NULL;
    return NULL;
  }
  if (P.drainer == t && is_slow(rec)) P.drainer = NULL;
  if (P.drainer == NULL) appoint_drainer();
  t->jobs++;
  return rec;
}

static void run_job(fapws_thread *t, fapws_record *rec) {
  /* What is finished must not wait for something slow. */
  if (t->unsignalled && is_slow(rec)) fapws_notify(t);
  t->unsignalled_ns += P.mounts[rec->mount].run_ns;
  fapws_run(t, rec);
  if (t->unsignalled_ns > UNSIGNALLED_NS) fapws_notify(t);
}

static void go_idle(fapws_thread *t) {
  if (P.garbage) fapws_collect_garbage();
  fapws_notify(t);
  saved_state = PyEval_SaveThread();
}

static void thread_loop(fapws_thread *t) {
  int have_gil = 1;
  lock();
  while (!t->retire) {
    fapws_record *rec = take(t);
    int check = t->index == 0 && P.check_signals, collect = t->collect;
    t->collect = 0;
    if (check) P.check_signals = 0;
    if (rec || check || collect) {
      unlock();
      if (!have_gil) PyEval_RestoreThread(saved_state), have_gil = 1;
      if (check) fapws_check_signals();
      if (rec) run_job(t, rec);
      lock();
    } else if (have_gil) {
      unlock();
      go_idle(t);
      have_gil = 0;
      lock(); /* something may have come meanwhile */
    } else if (P.stopping) {
      break;
    } else {
      sleep_idle(t);
    }
  }
  if (P.drainer == t) P.drainer = NULL;
  t->state = FAPWS_THREAD_GONE;
  P.live--;
  if (P.stopping) pthread_cond_broadcast(&P.monitor);
  unlock();
}

static void *thread_main(void *arg) {
  fapws_thread *t = arg;
  /* One state for the life of the thread: making one per request would cost
   * more than the request. */
  PyGILState_STATE gil = PyGILState_Ensure();
  thread_loop(t);
  if (__atomic_load_n(&P.stopping, __ATOMIC_RELAXED)) return NULL; /* Python may be gone */
  PyEval_RestoreThread(saved_state);
  Py_CLEAR(t->spare_start);
  PyGILState_Release(gil);
  return NULL;
}

/* P.mu is held. */
static void spawn(void) {
  fapws_thread *t = NULL;
  for (int i = 1; i < P.nthreads; i++) {
    if (P.threads[i]->state == FAPWS_THREAD_GONE) {
      t = P.threads[i];
      break;
    }
  }
  if (!t) {
    if (P.nthreads >= P.max || !(t = calloc(1, sizeof *t))) return;
    t->index = P.nthreads;
    sem_init(&t->sleep, 0, 0);
    P.threads[P.nthreads++] = t;
  }
  t->state = FAPWS_THREAD_BUSY;
  t->jobs = 0;
  t->retire = 0;
  pthread_attr_t attr;
  pthread_attr_init(&attr);
  pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
  if (pthread_create(&t->id, &attr, thread_main, t) == 0)
    P.live++;
  else
    t->state = FAPWS_THREAD_GONE;
  pthread_attr_destroy(&attr);
}

/* --- the monitor ----------------------------------------------------------- */

static void *monitor_main(void *arg) {
  (void)arg;
  unsigned long last_pops = 0, last_jobs = 0;
  fapws_thread *last_drainer = NULL;
  int quiet = 0, still = 0;
  lock();
  while (!P.stopping) {
    int work = P.shared.queued > 0 || P.drainer != NULL || P.shared.done != NULL;
    quiet = work ? 0 : quiet + 1;
    if (quiet > QUIET_TICKS) {
      P.monitor_parked = 1;
      while (P.monitor_parked && !P.stopping) pthread_cond_wait(&P.monitor, &P.mu);
      quiet = 0;
    }
    cond_wait_ns(&P.monitor, TICK_NS);
    /* Two ticks in one job: it is stuck, not just preempted by the loop. */
    still = P.drainer && P.drainer == last_drainer && P.drainer->jobs == last_jobs ? still + 1 : 0;
    if (still >= 2) P.drainer = NULL;
    last_drainer = P.drainer;
    last_jobs = P.drainer ? P.drainer->jobs : 0;
    appoint_drainer();
    if (P.serving && P.shared.queued > 0 && P.idle == 0 && P.live < P.max && pops == last_pops) spawn();
    last_pops = pops;
    if (P.shared.done && !P.shared.wake_pending) {
      unlock();
      wake_loop();
      lock();
    }
  }
  unlock();
  return NULL;
}

/* P.mu is held. */
static void rouse_monitor(void) {
  if (P.monitor_parked) {
    P.monitor_parked = 0;
    pthread_cond_signal(&P.monitor);
  }
}

/* --- calls from Go --------------------------------------------------------- */

fapws_shared *fapws_pool_start(const fapws_pool_options *o) {
  pthread_mutex_init(&P.mu, NULL);
  cond_init(&P.monitor);
  sem_init(&main_thread.sleep, 0, 0);
  P.max = o->threads > FAPWS_MAX_THREADS ? FAPWS_MAX_THREADS : o->threads;
  P.inline_mode = o->threads == 0;
  P.debug = o->debug;
  P.wake_fd = P.exit_code = -1;
  P.nmounts = o->mounts;
  P.mounts = calloc((size_t)o->mounts, sizeof *P.mounts);
  for (int i = 0; i < o->mounts; i++) {
    fapws_mount *m = &P.mounts[i];
    m->callable = o->callables[i];
    Py_XINCREF(m->callable);
    m->name = PyUnicode_FromString(o->names[i]);
    /* Nobody knows how long it takes: suppose slow. */
    m->run_ns = m->chunk_ns = 10 * FAPWS_SLOW_NS;
  }
  main_thread.state = FAPWS_THREAD_BUSY;
  P.threads[0] = &main_thread;
  P.nthreads = P.live = 1;
  if (fapws_environ_init(P.max > 1) < 0) return NULL;
  if (!P.inline_mode) {
    P.monitor_parked = 0;
    if (pthread_create(&P.monitor_id, NULL, monitor_main, NULL) != 0) return NULL;
    pthread_detach(P.monitor_id);
  }
  return &P.shared;
}

void fapws_pool_attach(int fd) {
  P.wake_fd = fd;
  if (!P.inline_mode) return;
  fapws_take_gil();
  fapws_watch_signals(fd);
  want_turn(); /* a signal may have come before the watch */
  P.check_signals = 1;
  fapws_release_gil();
}

int fapws_submit(uintptr_t chain, uintptr_t end, int n) {
  fapws_record *first = (fapws_record *)chain, *last = (fapws_record *)end;
  lock();
  if (P.inline_mode) {
    append_inbox(&main_thread, first, last);
  } else {
    push_queue(first, last, n);
    appoint_drainer();
    rouse_monitor();
  }
  unlock();
  return P.inline_mode ? fapws_turn() : -1;
}

/* Inline mode: runs what waits now; who asks for another turn gets it later.
 * When it takes long, the loop sends what is finished before the rest runs. */
static void run_inbox(void) {
  fapws_thread *t = &main_thread;
  lock();
  fapws_record *rec = t->inbox, *last = t->inbox_tail;
  t->inbox = t->inbox_tail = NULL;
  unlock();
  for (uint64_t spent = 0; rec && spent < UNSIGNALLED_NS;) {
    fapws_record *next = rec->next;
    spent += rec->job == FAPWS_NEXT ? rec->chunk_ns : P.mounts[rec->mount].run_ns;
    fapws_run(t, rec);
    rec = next;
  }
  t->unsignalled = 0;
  if (!rec) return;
  lock();
  last->next = t->inbox;
  if (!t->inbox) t->inbox_tail = last;
  t->inbox = rec;
  unlock();
  want_turn();
}

int fapws_turn(void) {
  __atomic_store_n(&P.shared.turn, 0, __ATOMIC_SEQ_CST);
  fapws_take_gil();
  if (P.check_signals) P.check_signals = 0, fapws_check_signals();
  run_inbox();
  if (P.garbage) fapws_collect_garbage();
  fapws_release_gil();
  return P.exit_code;
}

int fapws_serve(void) {
  fapws_take_gil();
  fapws_watch_signals(P.wake_fd);
  __atomic_store_n(&P.serving, 1, __ATOMIC_RELAXED);
  fapws_check_signals(); /* one may have come before the watch */
  thread_loop(&main_thread);
  return P.exit_code;
}

void fapws_request_exit(int code) {
  lock();
  P.exit_code = code;
  P.stopping = 1;
  unlock();
}

int fapws_pool_stop(int ms) {
  uint64_t until = fapws_now_ns() + (uint64_t)ms * 1000000u;
  lock();
  P.stopping = 1;
  for (int i = 0; i < P.nthreads; i++) wake_thread(P.threads[i]);
  if (P.monitor_parked) P.monitor_parked = 0;
  pthread_cond_broadcast(&P.monitor);
  while (!P.inline_mode && P.live > 0) {
    uint64_t now = fapws_now_ns();
    if (now >= until) break;
    cond_wait_ns(&P.monitor, until - now);
  }
  int left = P.live;
  unlock();
  return left;
}

void fapws_requeue(fapws_record *rec) {
  fapws_thread *t = rec->thread;
  lock();
  rec->job = FAPWS_NEXT;
  append_inbox(t, rec, rec);
  if (!P.inline_mode) wake_thread(t);
  unlock();
  if (P.inline_mode) want_turn();
}

int fapws_must_wait(fapws_record *rec) { return __atomic_load_n(&rec->unacked, __ATOMIC_RELAXED) > WINDOW_BYTES; }

int fapws_park(fapws_record *rec) {
  lock();
  rec->parked = __atomic_load_n(&rec->unacked, __ATOMIC_SEQ_CST) > WINDOW_BYTES &&
                !__atomic_load_n(&rec->cancelled, __ATOMIC_SEQ_CST);
  int parked = rec->parked;
  unlock();
  return parked;
}

static void unpark(fapws_record *rec) {
  lock();
  int was = rec->parked;
  rec->parked = 0;
  unlock();
  if (was) fapws_requeue(rec);
}

void fapws_acked(uintptr_t record, int64_t n) {
  fapws_record *rec = (fapws_record *)record;
  int64_t left = __atomic_sub_fetch(&rec->unacked, n, __ATOMIC_SEQ_CST);
  if (left <= WINDOW_BYTES / 2 && left + n > WINDOW_BYTES / 2) unpark(rec);
}

void fapws_cancel(fapws_record *rec) {
  __atomic_store_n(&rec->cancelled, 1, __ATOMIC_SEQ_CST);
  unpark(rec);
}

void fapws_part_free(uintptr_t number) {
  fapws_part *part = (fapws_part *)number;
  if (!part->owner) {
    free(part->buf);
    free(part);
    return;
  }
  /* Counted first: once it is on the list, the collector may free it. */
  int64_t held = __atomic_add_fetch(&garbage_bytes, (int64_t)part->body_len, __ATOMIC_RELAXED);
  fapws_part *old = __atomic_load_n(&P.garbage, __ATOMIC_RELAXED);
  do {
    part->next = old;
  } while (!__atomic_compare_exchange_n(&P.garbage, &old, part, 1, __ATOMIC_RELEASE, __ATOMIC_RELAXED));
  if (held < GARBAGE_BYTES) return;
  /* An idle interpreter must not sit on a large page for ever. */
  if (P.inline_mode) {
    want_turn();
    return;
  }
  lock();
  if (P.threads[0]->state == FAPWS_THREAD_IDLE) {
    P.threads[0]->collect = 1;
    wake_thread(P.threads[0]);
  }
  unlock();
}

void fapws_collect_garbage(void) {
  fapws_part *p = __atomic_exchange_n(&P.garbage, NULL, __ATOMIC_ACQUIRE);
  while (p) {
    fapws_part *next = p->next;
    __atomic_sub_fetch(&garbage_bytes, (int64_t)p->body_len, __ATOMIC_RELAXED);
    Py_DECREF((PyObject *)p->owner);
    free(p->buf);
    free(p);
    p = next;
  }
}

void fapws_signalled(void) {
  if (P.inline_mode) {
    P.check_signals = 1;
    want_turn();
    return;
  }
  lock();
  P.check_signals = 1;
  wake_thread(&main_thread);
  unlock();
}
