/* Threads mode: a queue of records, and the threads that run these records.
 *
 * The GIL permits one thread to run at a time, so one thread, the drainer, runs quick handlers one after the other.
 * Moving averages show which handlers are slow. Before the drainer runs a slow handler, a different thread becomes the
 * drainer, so that queued requests do not wait for the slow handler. If a handler is slow unexpectedly, the monitor
 * replaces the drainer within two ticks.
 *
 * Without the GIL, each thread that is awake takes records and wakes another thread if much work is left in the
 * queue. */
#include "core.h"

#include <errno.h>
#include <sys/syscall.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define the_pool core_the_pool
#define LARGE_BYTES (1 << 20) /* size from which parts of responses count in the_pool.large */
#define RETIRE_S 10           /* seconds without work after which a thread other than thread 0 ends */

__thread core_thread *core_this_thread;
static __thread PyThreadState *saved_state;

/* --- idle threads; the mutex is held ----------------------------------------- */

/* Sleeps until core_wake_thread is called. Threads other than thread 0 sleep for at most RETIRE_S. The caller must hold
 * the_pool.mu, which is released during the sleep. The thread sleeps on a semaphore, because a condition variable of
 * glibc would mark the_pool.mu as contended, so that each release costs a system call. */
static void sleep_idle(core_thread *t) {
  struct timespec until;
  t->state = CORE_THREAD_IDLE;
  the_pool.idle++;
  core_unlock();
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
  core_lock();
  if (t->state == CORE_THREAD_IDLE) {
    t->state = CORE_THREAD_BUSY;
    the_pool.idle--;
    t->retire = !t->streams && !t->inbox.first;
    /* Just when RETIRE_S ended, a different thread has selected this thread to be woken, so the semaphore of this
     * thread will be posted soon. */
  } else if (!awake) {
    core_unlock();
    while (sem_wait(&t->sleep) != 0) {
    }
    core_lock();
  }
}

void core_appoint_drainer(void) {
  if (the_pool.drainer || the_pool.idle == 0 || !the_pool.queue.first || core_loop_is_behind()) return;
  /* The number of counted threads can exceed the_pool.max, because a thread that was not counted during its job counts
   * again. */
  if (core_counted_threads() - the_pool.idle >= the_pool.max) return;
  for (int i = 0; i < the_pool.nthreads; i++) {
    core_thread *t = the_pool.threads[i];
    if (t->state == CORE_THREAD_IDLE) {
      the_pool.drainer = t;
      core_wake_thread(t);
      return;
    }
  }
}

static int is_slow(const core_record *rec) {
  if (UNLIKELY(the_pool.hurry)) return 1;
  const core_mount *m = core_mount_of(rec);
  if (rec->run.job == CORE_NEXT) return rec->run.chunk_ns > CORE_SLOW_NS;
  uint64_t runs = core_run_ns(m);
  return runs > CORE_HEAVY_NS ||
         (runs > CORE_SLOW_NS && (the_pool.shared.parallel || core_average_of(&m->wait_ns) > CORE_SLOW_NS));
}

/* Returns the bytes that the response of rec is likely to need at once, if they are worth counting. */
static int64_t expected_bytes(const core_record *rec) {
  int64_t large = __atomic_load_n(&core_mount_of(rec)->large, __ATOMIC_RELAXED);
  return rec->run.job == CORE_RUN && large >= LARGE_BYTES ? large : 0;
}

core_record *core_next_in_queue(void) {
  core_record *rec = the_pool.queue.first;
  while (UNLIKELY(rec && the_pool.large && the_pool.large + expected_bytes(rec) > the_pool.shared.large_max &&
                  expected_bytes(rec)))
    rec = rec->next;
  return rec;
}

/* Takes the next record for t, alternately from its inbox and from the queue, so that iterators and new requests both
 * make progress; the caller must hold the_pool.mu. */
static core_record *take(core_thread *t) {
  int mine = the_pool.shared.parallel || the_pool.drainer == NULL || the_pool.drainer == t;
  core_record *queued = mine ? core_next_in_queue() : NULL;
  int may_drain = queued && core_counted_threads() - the_pool.idle <= the_pool.max && !core_loop_is_behind();
  core_record *rec = NULL;
  if (t->inbox.first && (!may_drain || t->prefer_inbox)) {
    t->prefer_inbox = 0;
    rec = core_list_pop(&t->inbox);
  } else if (may_drain) {
    t->prefer_inbox = 1;
    rec = queued;
    core_list_unlink(&the_pool.queue, rec);
    if (rec->run.job == CORE_RUN) core_count_queued(-1);
    the_pool.pops++;
    the_pool.drainer = t;
  }
  if (rec == NULL) {
    if (the_pool.drainer == t) the_pool.drainer = NULL;
    return NULL;
  }
  if (the_pool.drainer == t && (is_slow(rec) || core_queue_is_long())) the_pool.drainer = NULL;
  if (the_pool.drainer == NULL) core_appoint_drainer();
  core_count_job(t);
  return rec;
}

/* If too many parts were published since rec was taken, puts rec back at the head of the queue, and returns 1. The
 * caller must hold the GIL. Handlers that ran while the caller waited for the GIL have published their parts. */
static int put_back(core_record *rec) {
  if (LIKELY(rec->run.job != CORE_RUN || !core_loop_is_behind())) return 0;
  CORE_LOCKED();
  core_list_prepend(&the_pool.queue, rec, rec);
  core_count_queued(1);
  the_pool.pops--;
  return 1;
}

static void run_job(core_thread *t, core_record *rec) {
  if (UNLIKELY(core_garbage_is_large())) core_collect_garbage();
  if (UNLIKELY(put_back(rec))) return;
  const core_mount *m = core_mount_of(rec);
  uint64_t most = core_notify_after(m);
  /* Wakes the event loop before a slow job, so that finished parts do not wait for the job. */
  if (t->unsignalled && (is_slow(rec) || t->unsignalled_ns + core_run_ns(m) > most)) core_notify(t);
  t->unsignalled_ns += core_run_ns(m);
  core_run(t, rec);
  if (t->unsignalled_ns > most) core_notify(t);
}

static void go_idle(core_thread *t) {
  core_collect_garbage();
  core_notify(t);
  saved_state = PyEval_SaveThread();
}

static void thread_loop(core_thread *t) {
  int have_gil = 1;
  core_this_thread = t;
  core_lock();
  while (!t->retire) {
    int surplus = core_counted_threads() > the_pool.max && t->index && !t->streams && !t->inbox.first;
    core_record *rec = surplus ? NULL : take(t);
    the_pool.large += t->large = rec ? expected_bytes(rec) : 0;
    int check = t->index == 0 && the_pool.check_signals;
    /* No thread was idle when the last objects were released, so this thread must not sleep before it frees them. */
    int collect = t->collect || (!rec && !have_gil && core_garbage_is_large());
    t->collect = 0;
    if (check) the_pool.check_signals = 0;
    if (rec || check || collect) {
      core_unlock();
      if (!have_gil) {
        if (core_waits_are_counted() && rec)
          core_take_gil_counted(saved_state);
        else
          PyEval_RestoreThread(saved_state);
        have_gil = 1;
      }
      if (check) core_check_signals();
      if (rec) run_job(t, rec);
      core_lock();
      if (UNLIKELY(t->aside)) core_set_aside(t, CORE_COUNTS);
      the_pool.large -= t->large;
    } else if (have_gil) {
      core_unlock();
      go_idle(t);
      have_gil = 0;
      core_lock();
    } else if (the_pool.stopping || surplus) {
      break;
    } else {
      sleep_idle(t);
    }
  }
  if (the_pool.drainer == t) the_pool.drainer = NULL;
  t->state = CORE_THREAD_ENDING;
  the_pool.live--;
  core_appoint_drainer();
  if (the_pool.stopping) pthread_cond_broadcast(&the_pool.monitor);
  core_unlock();
}

/* Installs the functions that the application has passed to threading.settrace and threading.setprofile, so that
 * coverage tools, profilers and debuggers notice the thread. */
static void begin_traced(void) {
  static const char *const hooks[][2] = {{"_trace_hook", "settrace"}, {"_profile_hook", "setprofile"}};
  PyObject *threading = PyDict_GetItemString(PyImport_GetModuleDict(), "threading");
  for (int i = 0; threading && i < 2; i++) {
    PyObject *hook = PyObject_GetAttrString(threading, hooks[i][0]);
    if (!hook)
      PyErr_Clear();
    else if (hook != Py_None && core_done(core_call("sys", hooks[i][1], "(O)", hook)) < 0)
      PyErr_Print();
    Py_XDECREF(hook);
  }
}

static void *thread_main(void *arg) {
  core_thread *t = arg;
  char name[16]; /* name of the thread, shown by top -H, ps -L and gdb */
  snprintf(name, sizeof name, "fapws-py-%d", t->index);
  pthread_setname_np(pthread_self(), name);
  t->tid = (pid_t)syscall(SYS_gettid);
  /* The thread state is kept as long as the thread, because creating a thread state for each request would take longer
   * than the request. */
  PyGILState_STATE gil = PyGILState_Ensure();
  t->python = PyThreadState_Get();
  begin_traced();
  thread_loop(t);
  if (__atomic_load_n(&the_pool.stopping, __ATOMIC_RELAXED)) return NULL; /* Python can have ended already */
  PyEval_RestoreThread(saved_state);
  Py_CLEAR(t->spare_start);
  if (CORE_PARALLEL) the_pool.thread_ends();
  t->python = NULL;
  PyGILState_Release(gil);
  core_lock();
  t->state = CORE_THREAD_GONE;
  core_unlock();
  return NULL;
}

int core_spawn_thread(void) {
  core_thread *t = NULL;
  for (int i = 1; i < the_pool.nthreads; i++) {
    if (the_pool.threads[i]->state == CORE_THREAD_GONE) {
      t = the_pool.threads[i];
      break;
    }
  }
  if (!t) {
    if (the_pool.nthreads >= CORE_MAX_THREADS || !(t = calloc(1, sizeof *t))) return 0;
    t->index = the_pool.nthreads;
    sem_init(&t->sleep, 0, 0);
    the_pool.threads[the_pool.nthreads++] = t;
  }
  t->mode = &core_threads;
  t->state = CORE_THREAD_BUSY;
  t->retire = 0;
  t->seen.cpu_ns = 0;
  if (pthread_create(&t->id, NULL, thread_main, t) != 0) {
    t->state = CORE_THREAD_GONE;
    return 0;
  }
  pthread_detach(t->id);
  the_pool.live++;
  return 1;
}

void core_set_aside(core_thread *t, core_aside why) {
  the_pool.large += (t->aside ? t->large : 0) - (why ? t->large : 0);
  the_pool.aside[t->aside]--;
  the_pool.aside[t->aside = why]++;
  if (why == CORE_COUNTS) return;
  if (the_pool.drainer == t) the_pool.drainer = NULL;
  core_appoint_drainer();
  core_wake_monitor();
}

int core_pause_thread(void) {
  core_thread *t = core_this_thread;
  if (!t || !t->mode->may_wait) return 1;
  int others = the_pool.max < CORE_MAX_THREADS / 2 ? the_pool.max : CORE_MAX_THREADS / 2;
  if (the_pool.aside[CORE_WAITS_FOR_CLIENT] >= CORE_MAX_THREADS - others) return 0;
  core_set_aside(t, CORE_WAITS_FOR_CLIENT);
  return 1;
}

void core_continue_thread(void) {
  core_thread *t = core_this_thread;
  if (t && t->mode->may_wait) core_set_aside(t, CORE_COUNTS);
}

int core_serve(void) {
  CORE_CHECK(CORE_NO_GIL | CORE_ON_MAIN | CORE_SERVING);
  core_take_gil();
  core_watch_signals(the_pool.signal_fd);
  __atomic_store_n(&the_pool.serving, 1, __ATOMIC_RELAXED);
  core_check_signals();
  thread_loop(the_pool.threads[0]);
  return the_pool.exit_code;
}

static int prepare(void) {
  the_pool.live = 1;
  return core_start_monitor();
}

static void enqueue(core_record *first, core_record *last, int n) {
  core_list_append(&the_pool.queue, first, last);
  core_count_queued(n);
  core_appoint_drainer();
  core_wake_monitor();
}

static int start(void) { return -1; } /* the function enqueue has already woken the drainer */

static void wake(void) {
  CORE_LOCKED();
  core_appoint_drainer();
}

static void resume(core_record *rec) {
  CORE_LOCKED();
  core_list_append(&((core_thread *)rec->run.thread)->inbox, rec, rec);
  core_wake_thread(rec->run.thread);
}

static int dequeue(core_record *rec) { return core_list_unlink(&the_pool.queue, rec); }

static void written(core_thread *t, core_record *rec, const uint8_t *ends) {
  core_notify(t);
  core_wait_for_room(rec, ends);
}

static int others_wait(const core_thread *t) {
  CORE_LOCKED();
  return t->inbox.first || the_pool.queue.first;
}

static int stream_yields(const core_thread *t, const core_record *rec, uint64_t ns) {
  return (rec->run.chunk_ns > CORE_SLOW_NS || ns > CORE_SHARE_NS) && others_wait(t);
}

static int messages_yield(const core_thread *t, uint64_t ns) { return ns > CORE_SHARE_NS && others_wait(t); }

static void attached(int signals) {} /* core_serve already watches for signals */

static void signalled(void) {
  CORE_LOCKED();
  the_pool.check_signals = 1;
  core_wake_thread(the_pool.threads[0]);
}

/* If no thread is idle, the next thread that ends a job frees the objects. */
static void collect(void) {
  CORE_LOCKED();
  for (int i = 0; i < the_pool.nthreads; i++) {
    core_thread *t = the_pool.threads[i];
    if (t->state == CORE_THREAD_IDLE) {
      t->collect = 1;
      core_wake_thread(t);
      return;
    }
  }
}

static void replace(core_thread *t) { core_set_aside(t, CORE_STUCK); }

const core_mode core_threads = {
    .may_wait = 1,
    .prepare = prepare,
    .enqueue = enqueue,
    .start = start,
    .wake = wake,
    .resume = resume,
    .dequeue = dequeue,
    .deliver = core_pool_deliver,
    .cancelled = core_pool_cancelled,
    .state_of = core_pool_state_of,
    .wake_loop = core_wake_loop,
    .written = written,
    .stream_yields = stream_yields,
    .messages_yield = messages_yield,
    .attached = attached,
    .signalled = signalled,
    .collect = collect,
    .replace = replace,
};
