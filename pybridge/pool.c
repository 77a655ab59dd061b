/* The queue between the loop and Python, and the threads that empty it.
 *
 * The GIL lets one thread run at a time, so quick handlers are best run by one
 * thread in a row: the drainer. What decides is a moving average per handler:
 * before a thread starts a slow one it gives the role away, so that nobody
 * waits behind it. A wrong guess is put right by the monitor within two ticks.
 * The same guess decides when the loop is woken: see publish.c.
 */
#include "interp.h"
#include "kind.h"
#include "messages.h"
#include "queue.h"
#include "request.h"
#include "stack.h"

#include <errno.h>
#include <semaphore.h>
#include <time.h>
#include <stdlib.h>
#include <unistd.h>

#define TICK_NS 2500000L          /* of the monitor while there is work */
#define QUIET_TICKS 100           /* ticks without work before it sleeps */
#define RETURN_TICKS 100          /* ticks that a thread has between two jobs before another is started */
#define RETIRE_S 10               /* idle seconds before an extra thread ends */

fapws_pool fapws_the_pool;
#define P fapws_the_pool

static fapws_thread main_thread;
static __thread PyThreadState *saved_state;
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
void fapws_unlock(void) {
  pthread_mutex_unlock(&P.mu);
  post();
}

void fapws_lock(void) { pthread_mutex_lock(&P.mu); }

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
  fapws_unlock();
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
  fapws_lock();
  if (t->state == FAPWS_THREAD_IDLE) {
    t->state = FAPWS_THREAD_BUSY;
    P.idle--;
    t->retire = !t->streams && !t->inbox;
  } else if (!awake) { /* woken at the last moment: the post is there or comes */
    fapws_unlock();
    while (sem_wait(&t->sleep) != 0) {
    }
    fapws_lock();
  }
}

/* Gives the queue to an idle thread, the lowest first: thread 0 is the one
 * that the script's own objects belong to, and the others get to retire. */
static void appoint_drainer(void) {
  if (P.drainer || P.idle == 0 || !P.head || fapws_loop_is_behind()) return;
  if (P.live - P.lost - P.idle >= P.max) return; /* one has come back that had been written off */
  for (int i = 0; i < P.nthreads; i++) {
    fapws_thread *t = P.threads[i];
    if (t->state == FAPWS_THREAD_IDLE) {
      P.drainer = t;
      fapws_wake_thread(t);
      return;
    }
  }
}

/* --- a thread -------------------------------------------------------------- */

static int is_slow(const fapws_record *rec) {
  const fapws_mount *m = &P.mounts[rec->mount];
  if (rec->job == FAPWS_NEXT) return rec->chunk_ns > FAPWS_SLOW_NS;
  return m->run_ns > FAPWS_HEAVY_NS || (m->run_ns > FAPWS_SLOW_NS && m->wait_ns > FAPWS_SLOW_NS);
}

/* The next job for t, or NULL. P.mu is held. Iterators and fresh requests
 * take turns, so that neither starves the other. */
static fapws_record *take(fapws_thread *t) {
  int may_drain = P.head && (P.drainer == NULL || P.drainer == t) && P.live - P.lost - P.idle <= P.max && !fapws_loop_is_behind();
  fapws_record *rec = NULL;
  if (t->inbox && (!may_drain || t->prefer_inbox)) {
    t->prefer_inbox = 0;
    rec = fapws_pop_inbox(t);
  } else if (may_drain) {
    t->prefer_inbox = 1;
    rec = fapws_pop_queue();
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

/* How long finished parts may wait for others before the loop is told. Where
 * requests wait long already, a quarter more saves most of the wake-ups. */
static uint64_t patience(const fapws_mount *m) {
  uint64_t quarter = __atomic_load_n(&P.shared.queued, __ATOMIC_RELAXED) * m->run_ns / 4;
  if (quarter < FAPWS_UNSIGNALLED_NS) return FAPWS_UNSIGNALLED_NS;
  return quarter < 8 * FAPWS_UNSIGNALLED_NS ? quarter : 8 * FAPWS_UNSIGNALLED_NS;
}

/* Returns whether rec, which t took before an answer was published that the loop has not seen, has gone back to the
 * head of the queue. GIL held: a handler that keeps the GIL has published its answer by now. */
static int put_back(fapws_record *rec) {
  if (LIKELY(rec->job != FAPWS_RUN || !fapws_loop_is_behind())) return 0;
  fapws_lock();
  fapws_unpop_queue(rec);
  fapws_unlock();
  return 1;
}

static void run_job(fapws_thread *t, fapws_record *rec) {
  if (UNLIKELY(put_back(rec))) return;
  const fapws_mount *m = &P.mounts[rec->mount];
  uint64_t most = patience(m);
  /* What is finished must not wait for something slow. */
  if (t->unsignalled && (is_slow(rec) || t->unsignalled_ns + m->run_ns > most)) fapws_notify(t);
  t->unsignalled_ns += m->run_ns;
  fapws_run(t, rec);
  if (t->unsignalled_ns > most) fapws_notify(t);
}

static void go_idle(fapws_thread *t) {
  if (P.garbage) fapws_collect_garbage();
  fapws_notify(t);
  saved_state = PyEval_SaveThread();
}

static void thread_loop(fapws_thread *t) {
  int have_gil = 1;
  fapws_this_thread = t;
  fapws_lock();
  while (!t->retire) {
    /* One too many, because one has come back that had been written off. */
    int surplus = P.live - P.lost > P.max && t->index && !t->streams && !t->inbox;
    fapws_record *rec = surplus ? NULL : take(t);
    int check = t->index == 0 && P.check_signals, collect = t->collect;
    t->collect = 0;
    if (check) P.check_signals = 0;
    if (rec || check || collect) {
      fapws_unlock();
      if (!have_gil) PyEval_RestoreThread(saved_state), have_gil = 1;
      if (check) fapws_check_signals();
      if (rec) run_job(t, rec);
      fapws_lock();
      if (UNLIKELY(t->lost)) t->lost = 0, P.lost--;
    } else if (have_gil) {
      fapws_unlock();
      go_idle(t);
      have_gil = 0;
      fapws_lock(); /* something may have come meanwhile */
    } else if (P.stopping || surplus) {
      break;
    } else {
      sleep_idle(t);
    }
  }
  if (P.drainer == t) P.drainer = NULL;
  t->state = FAPWS_THREAD_GONE;
  P.live--;
  appoint_drainer();
  if (P.stopping) pthread_cond_broadcast(&P.monitor);
  fapws_unlock();
}

static void *thread_main(void *arg) {
  fapws_thread *t = arg;
  char name[16]; /* shown by top -H, ps -L and gdb; Go's threads are called as the process */
  snprintf(name, sizeof name, "fapws-py-%d", t->index);
  pthread_setname_np(pthread_self(), name);
  /* One state for the life of the thread: making one per request would cost
   * more than the request. */
  PyGILState_STATE gil = PyGILState_Ensure();
  t->python = PyThreadState_Get();
  thread_loop(t);
  if (__atomic_load_n(&P.stopping, __ATOMIC_RELAXED)) return NULL; /* Python may be gone */
  PyEval_RestoreThread(saved_state);
  Py_CLEAR(t->spare_start);
  t->python = NULL;
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
    if (P.nthreads >= P.max + P.lost || P.nthreads >= FAPWS_MAX_THREADS || !(t = calloc(1, sizeof *t))) return;
    t->index = P.nthreads;
    sem_init(&t->sleep, 0, 0);
    P.threads[P.nthreads++] = t;
  }
  t->mode = &fapws_threads;
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

/* In place of those that do not return come as many others, and no more. */
static int may_spawn(void) { return P.live - P.lost < P.max && P.live < 2 * P.max; }

/* Whether a thread is between two jobs: it will take the next one as soon as it gets the
 * processor and the GIL, which takes longer than a tick on a busy machine. P.mu is held. */
static int one_returns(void) {
  for (int i = 0; i < P.nthreads; i++) {
    fapws_thread *t = P.threads[i];
    if (t->state == FAPWS_THREAD_BUSY && !t->lost && !__atomic_load_n(&t->current, __ATOMIC_RELAXED)) return 1;
  }
  return 0;
}

static void *monitor_main(void *arg) {
  (void)arg;
  pthread_setname_np(pthread_self(), "fapws-monitor");
  unsigned long last_pops = 0, last_jobs = 0;
  fapws_thread *last_drainer = NULL;
  int quiet = 0, still = 0, returning = 0;
  fapws_lock();
  while (!P.stopping) {
    int work = P.head || P.drainer != NULL || P.shared.done != NULL;
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
    if (P.serving && P.head && P.idle == 0 && may_spawn() && P.pops == last_pops) {
      returning = one_returns() ? returning + 1 : RETURN_TICKS;
      if (returning >= RETURN_TICKS) spawn(), returning = 0;
    } else {
      returning = 0;
    }
    last_pops = P.pops;
    if (P.shared.done && !P.shared.wake_pending) {
      fapws_unlock();
      fapws_wake_loop();
      fapws_lock();
    }
  }
  fapws_unlock();
  return NULL;
}

int fapws_start_monitor(void) {
  static pthread_t monitor; /* 0: it does not run */
  if (monitor) return 0;
  if ((errno = pthread_create(&monitor, NULL, monitor_main, NULL)) != 0) return -1;
  pthread_detach(monitor);
  return 0;
}

void fapws_wake_monitor(void) {
  if (P.monitor_parked) {
    P.monitor_parked = 0;
    pthread_cond_signal(&P.monitor);
  }
}

/* --- calls from Go --------------------------------------------------------- */

fapws_shared *fapws_pool_start(const fapws_pool_options *o) {
  pthread_mutex_init(&P.mu, NULL);
  fapws_cond_init(&P.monitor);
  fapws_flow_init();
  sem_init(&main_thread.sleep, 0, 0);
  P.max = o->threads > FAPWS_MAX_THREADS ? FAPWS_MAX_THREADS : o->threads;
  P.mode = o->threads > 0 ? &fapws_threads : &fapws_inline;
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
    /* Nobody knows how long it takes: suppose slow. */
    m->run_ns = m->wait_ns = m->close_ns = m->chunk_ns = 10 * FAPWS_SLOW_NS;
  }
  fapws_mount *notices = &P.mounts[o->mounts];
  if (!(notices->callable = fapws_noticed()) || !(notices->name = PyUnicode_FromString("on_join and on_leave"))) return NULL;
  notices->run_ns = notices->wait_ns = 10 * FAPWS_HEAVY_NS; /* it may do anything: nobody shall wait behind it */
  fapws_mount_bind(notices, FAPWS_WSGI);
  main_thread.mode = P.mode;
  main_thread.state = FAPWS_THREAD_BUSY;
  main_thread.python = PyThreadState_Get();
  main_thread.id = pthread_self();
  fapws_this_thread = &main_thread;
  P.threads[0] = &main_thread;
  P.nthreads = 1;
  if (fapws_environ_init(o) < 0) return NULL;
  if (fapws_errorlog_init() < 0) fapws_report("making wsgi.errors of hosts, which is stderr", NULL);
  return P.mode->prepare() < 0 || fapws_asyncio.prepare() < 0 ? NULL : &P.shared;
}

void fapws_pool_attach(int signals, int event, int32_t *state) {
  P.event_fd = event;
  P.loop_state = state;
  __atomic_store_n(&P.signal_fd, signals, __ATOMIC_SEQ_CST); /* threads of the application look at it first */
  if (__atomic_load_n(&P.shared.messages, __ATOMIC_SEQ_CST)) fapws_wake_loop();
  P.mode->attached(signals);
}

void fapws_loop_has_seen(void) {
  P.mode->wake();
  fapws_asyncio.wake();
}

int fapws_flush(uintptr_t first) {
  struct timespec now; /* one cheap look for all of them */
  clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
  fapws_lock();
  for (fapws_record *rec = (fapws_record *)first, *next; rec; rec = next) {
    next = rec->next;
    rec->since_ns = (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
    fapws_mode_of(rec)->enqueue(rec);
  }
  fapws_enqueue_delivered();
  fapws_unlock();
  fapws_asyncio.start();
  return P.mode->start();
}

int fapws_serve(void) {
  fapws_take_gil();
  fapws_watch_signals(P.signal_fd);
  __atomic_store_n(&P.serving, 1, __ATOMIC_RELAXED);
  fapws_check_signals(); /* one may have come before the watch */
  thread_loop(&main_thread);
  return P.exit_code;
}

void fapws_request_exit(int code) {
  fapws_lock();
  P.exit_code = code;
  P.stopping = 1;
  fapws_unlock();
}

int fapws_pool_stop(int ms) {
  uint64_t until = fapws_now_ns() + (uint64_t)ms * 1000000u;
  fapws_lock();
  P.stopping = 1;
  for (int i = 0; i < P.nthreads; i++) fapws_wake_thread(P.threads[i]);
  if (P.monitor_parked) P.monitor_parked = 0;
  pthread_cond_broadcast(&P.monitor);
  while (P.live > 0) {
    uint64_t now = fapws_now_ns();
    if (now >= until) break;
    cond_wait_ns(&P.monitor, until - now);
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

/* --- the mode --------------------------------------------------------------- */

static int prepare(void) {
  P.live = 1;
  return fapws_start_monitor();
}

static void enqueue(fapws_record *rec) {
  fapws_push_queue(rec);
  appoint_drainer();
  fapws_wake_monitor();
}

static int start(void) { return -1; } /* enqueue has woken the drainer */

static void wake(void) {
  fapws_lock();
  appoint_drainer();
  fapws_unlock();
}

static void resume(fapws_record *rec) {
  fapws_lock();
  fapws_append_inbox(rec->thread, rec);
  fapws_wake_thread(rec->thread);
  fapws_unlock();
}

static int dequeue(fapws_record *rec) { return fapws_unlink_from(&P.head, &P.tail, rec); }

static void written(fapws_thread *t, fapws_record *rec) {
  fapws_notify(t);
  fapws_wait_for_room(rec);
}

static int others_wait(const fapws_thread *t) { return t->inbox || P.head; }

static int stream_yields(const fapws_thread *t, const fapws_record *rec, uint64_t ns) {
  return (rec->chunk_ns > FAPWS_SLOW_NS || ns > FAPWS_SHARE_NS) && others_wait(t);
}

static int messages_yield(const fapws_thread *t, uint64_t ns) { return ns > FAPWS_SHARE_NS && others_wait(t); }

static void attached(int signals) { (void)signals; } /* fapws_serve watches them */

static void signalled(void) {
  fapws_lock();
  P.check_signals = 1;
  fapws_wake_thread(&main_thread);
  fapws_unlock();
}

static void collect(void) {
  fapws_lock();
  if (main_thread.state == FAPWS_THREAD_IDLE) {
    main_thread.collect = 1;
    fapws_wake_thread(&main_thread);
  }
  fapws_unlock();
}

static void replace(fapws_thread *t) {
  t->lost = 1;
  P.lost++;
  if (P.drainer == t) P.drainer = NULL;
  fapws_wake_monitor();
}

const fapws_mode fapws_threads = {
    .may_wait = 1,
    .prepare = prepare,
    .enqueue = enqueue,
    .start = start,
    .wake = wake,
    .resume = resume,
    .dequeue = dequeue,
    .deliver = fapws_pool_deliver,
    .cancelled = fapws_pool_cancelled,
    .state_of = fapws_pool_state_of,
    .forget = fapws_pool_forget,
    .wake_loop = fapws_wake_loop,
    .written = written,
    .stream_yields = stream_yields,
    .messages_yield = messages_yield,
    .attached = attached,
    .signalled = signalled,
    .collect = collect,
    .replace = replace,
};
