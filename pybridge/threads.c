/* Threads mode: a queue, and the threads that run its records.
 *
 * The GIL lets one thread run at a time, so one thread, the drainer, runs quick handlers one after the other. Moving
 * averages tell which handlers are slow: before a thread starts a slow one, another thread becomes the drainer, so that
 * no request waits behind it. The monitor corrects wrong guesses within two ticks. The averages also tell when to wake
 * the event loop (publish.c).
 *
 * Without the GIL each thread that is awake takes records, and one that leaves much work in the queue wakes another. */
#include "pool.h"
#include "interp.h"
#include "output.h"
#include "queue.h"
#include "request.h"
#include "response.h"
#include "stack.h"
#include "waits.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define RETIRE_S 10 /* idle seconds before an extra thread ends */

#define P fapws_the_pool

static __thread PyThreadState *saved_state;

/* --- idle threads; the mutex is held ----------------------------------------- */

/* Sleeps until wake_thread; extra threads up to RETIRE_S. P.mu is held. A condition variable of glibc would take its
 * mutex as a contended one, whose release costs a system call. */
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
  } else if (!awake) { /* woken at the last moment: the post is on its way */
    fapws_unlock();
    while (sem_wait(&t->sleep) != 0) {
    }
    fapws_lock();
  }
}

void fapws_appoint_drainer(void) {
  if (P.drainer || P.idle == 0 || !P.head || fapws_loop_is_behind()) return;
  if (fapws_counted_threads() - P.idle >= P.max) return; /* a thread that did not count has returned */
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
  uint64_t runs = fapws_run_ns(m);
  return runs > FAPWS_HEAVY_NS ||
         (runs > FAPWS_SLOW_NS && (P.parallel || fapws_average_of(&m->wait_ns) > FAPWS_SLOW_NS));
}

/* The next job for t, or NULL. P.mu is held. Iterators and new requests alternate, so neither starves the other. */
static fapws_record *take(fapws_thread *t) {
  int mine = P.parallel || P.drainer == NULL || P.drainer == t;
  int may_drain = P.head && mine && fapws_counted_threads() - P.idle <= P.max && !fapws_loop_is_behind();
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
  if (P.drainer == t && (is_slow(rec) || fapws_queue_is_long())) P.drainer = NULL;
  if (P.drainer == NULL) fapws_appoint_drainer();
  fapws_count_job(t);
  return rec;
}

/* Puts rec back to the head of the queue if too many answers were published since t took it, and returns whether it
 * did. With the GIL: a handler that held it has published its answer by now. */
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
  uint64_t most = fapws_notify_after(m);
  /* Finished parts must not wait for a slow job. */
  if (t->unsignalled && (is_slow(rec) || t->unsignalled_ns + fapws_run_ns(m) > most)) fapws_notify(t);
  t->unsignalled_ns += fapws_run_ns(m);
  fapws_run(t, rec);
  if (t->unsignalled_ns > most) fapws_notify(t);
}

static void go_idle(fapws_thread *t) {
  fapws_collect_garbage();
  fapws_notify(t);
  saved_state = PyEval_SaveThread();
}

static void thread_loop(fapws_thread *t) {
  int have_gil = 1;
  fapws_this_thread = t;
  fapws_lock();
  while (!t->retire) {
    /* One too many, because a thread that did not count has returned. */
    int surplus = fapws_counted_threads() > P.max && t->index && !t->streams && !t->inbox;
    fapws_record *rec = surplus ? NULL : take(t);
    int check = t->index == 0 && P.check_signals, collect = t->collect;
    t->collect = 0;
    if (check) P.check_signals = 0;
    if (rec || check || collect) {
      fapws_unlock();
      if (!have_gil) {
        if (fapws_waits_are_counted() && rec)
          fapws_take_gil_counted(saved_state);
        else
          PyEval_RestoreThread(saved_state);
        have_gil = 1;
      }
      if (check) fapws_check_signals();
      if (rec) run_job(t, rec);
      fapws_lock();
      if (UNLIKELY(t->stuck)) t->stuck = 0, P.stuck--;
    } else if (have_gil) {
      fapws_unlock();
      go_idle(t);
      have_gil = 0;
      fapws_lock(); /* there may be work by now */
    } else if (P.stopping || surplus) {
      break;
    } else {
      sleep_idle(t);
    }
  }
  if (P.drainer == t) P.drainer = NULL;
  t->state = FAPWS_THREAD_ENDING;
  P.live--;
  fapws_appoint_drainer();
  if (P.stopping) pthread_cond_broadcast(&P.monitor);
  fapws_unlock();
}

static void *thread_main(void *arg) {
  fapws_thread *t = arg;
  char name[16]; /* for top -H, ps -L and gdb */
  snprintf(name, sizeof name, "fapws-py-%d", t->index);
  pthread_setname_np(pthread_self(), name);
  /* Making a thread state for each request would cost more than the request. */
  PyGILState_STATE gil = PyGILState_Ensure();
  t->python = PyThreadState_Get();
  thread_loop(t);
  if (__atomic_load_n(&P.stopping, __ATOMIC_RELAXED)) return NULL; /* Python may be finalized */
  PyEval_RestoreThread(saved_state);
  Py_CLEAR(t->spare_start);
  if (FAPWS_PARALLEL) {
    fapws_forget_heads();
    fapws_forget_lines();
  }
  t->python = NULL;
  PyGILState_Release(gil);
  fapws_lock();
  t->state = FAPWS_THREAD_GONE;
  fapws_unlock();
  return NULL;
}

void fapws_spawn_thread(void) {
  fapws_thread *t = NULL;
  for (int i = 1; i < P.nthreads; i++) {
    if (P.threads[i]->state == FAPWS_THREAD_GONE) {
      t = P.threads[i];
      break;
    }
  }
  if (!t) {
    if (P.nthreads >= P.max + P.stuck + P.waiting || P.nthreads >= FAPWS_MAX_THREADS || !(t = calloc(1, sizeof *t)))
      return;
    t->index = P.nthreads;
    sem_init(&t->sleep, 0, 0);
    P.threads[P.nthreads++] = t;
  }
  t->mode = &fapws_threads;
  t->state = FAPWS_THREAD_BUSY;
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

void fapws_pause_thread(void) {
  fapws_thread *t = fapws_this_thread;
  if (!t || !t->mode->may_wait) return;
  P.waiting++;
  if (P.drainer == t) P.drainer = NULL;
  fapws_appoint_drainer();
  fapws_wake_monitor();
}

void fapws_continue_thread(void) {
  fapws_thread *t = fapws_this_thread;
  if (t && t->mode->may_wait) P.waiting--;
}

int fapws_serve(void) {
  fapws_take_gil();
  fapws_watch_signals(P.signal_fd);
  __atomic_store_n(&P.serving, 1, __ATOMIC_RELAXED);
  fapws_check_signals(); /* one may have arrived before */
  thread_loop(P.threads[0]);
  return P.exit_code;
}

/* --- the mode --------------------------------------------------------------- */

static int prepare(void) {
  P.live = 1;
  return fapws_start_monitor();
}

static void enqueue(fapws_record *first, fapws_record *last, int n) {
  fapws_push_queue(first, last, n);
  fapws_appoint_drainer();
  fapws_wake_monitor();
}

static int start(void) { return -1; } /* enqueue has woken the drainer */

static void wake(void) {
  fapws_lock();
  fapws_appoint_drainer();
  fapws_unlock();
}

static void resume(fapws_record *rec) {
  fapws_lock();
  fapws_append_inbox(rec->thread, rec, rec);
  fapws_wake_thread(rec->thread);
  fapws_unlock();
}

static int dequeue(fapws_record *rec) { return fapws_unlink_from(&P.head, &P.tail, rec); }

static void written(fapws_thread *t, fapws_record *rec) {
  fapws_notify(t);
  fapws_wait_for_room(rec);
}

static int others_wait(const fapws_thread *t) {
  fapws_lock();
  int wait = t->inbox || P.head;
  fapws_unlock();
  return wait;
}

static int stream_yields(const fapws_thread *t, const fapws_record *rec, uint64_t ns) {
  return (rec->chunk_ns > FAPWS_SLOW_NS || ns > FAPWS_SHARE_NS) && others_wait(t);
}

static int messages_yield(const fapws_thread *t, uint64_t ns) { return ns > FAPWS_SHARE_NS && others_wait(t); }

static void attached(int signals) {} /* fapws_serve watches them */

static void signalled(void) {
  fapws_lock();
  P.check_signals = 1;
  fapws_wake_thread(P.threads[0]);
  fapws_unlock();
}

static void collect(void) {
  fapws_lock();
  if (P.threads[0]->state == FAPWS_THREAD_IDLE) {
    P.threads[0]->collect = 1;
    fapws_wake_thread(P.threads[0]);
  }
  fapws_unlock();
}

static void replace(fapws_thread *t) {
  t->stuck = 1;
  P.stuck++;
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
