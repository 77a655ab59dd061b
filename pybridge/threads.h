/* The threads of the pool: threads.c and monitor.c. Without the GIL.
 *
 * The pool owns the fapws_thread objects, which live as long as the process: when a thread ends, the next one uses its
 * object again. Only the thread changes its object, except for members guarded by the pool's mutex. */
#ifndef FAPWS_THREADS_H
#define FAPWS_THREADS_H

#include "cpython.h"

#include <pthread.h>
#include <semaphore.h>

#define FAPWS_MAX_THREADS 256

struct fapws_mode;

/* ENDING: takes no more jobs, and gives up its Python objects. GONE: the object may be used again. */
enum fapws_thread_state {
  FAPWS_THREAD_NEW,
  FAPWS_THREAD_IDLE,
  FAPWS_THREAD_BUSY,
  FAPWS_THREAD_ENDING,
  FAPWS_THREAD_GONE
};

/* A thread that runs handlers. Allocated once, used again by the next thread of its index. */
typedef struct fapws_thread {
  int index;
  const struct fapws_mode *mode;
  enum fapws_thread_state state; /* guarded by pool.mu */
  pthread_t id;
  sem_t sleep;                      /* posted when the thread leaves the IDLE state */
  int retire;                       /* it was idle for a while, and ends */
  fapws_record *inbox, *inbox_tail; /* guarded by pool.mu: iterators of this thread (inline: all records) */
  int streams;                      /* iterators it owns; it may not retire before they end */
  unsigned long jobs;               /* atomic, written by the thread: how many it has taken */
  int prefer_inbox;                 /* the next job is an iterator's, not a new request */
  int collect;                      /* woken to free released objects */
  int unsignalled;                  /* parts published without waking the loop */
  uint64_t unsignalled_ns;          /* approximate time that they took */
  PyObject *spare_start;            /* owned: a Start_response to use again */
  PyThreadState *python;            /* thread state, from start to end */
  fapws_record *current;            /* the record whose code it runs; written under the GIL */
  int raised;                       /* under the GIL: fapws.Timeout was raised for current */
  int signalled;                    /* under the GIL: a signal was sent for that, and not handled yet */
  int stuck;                        /* guarded by pool.mu: it does not return from its job */
} fapws_thread;

/* The calling thread, if it runs handlers. */
extern __thread fapws_thread *fapws_this_thread;

/* The thread that has taken rec, or NULL. Any thread. */
static inline fapws_thread *fapws_thread_of(const fapws_record *rec) {
  return __atomic_load_n(&rec->thread, __ATOMIC_RELAXED);
}
static inline void fapws_give_to(fapws_record *rec, fapws_thread *t) {
  __atomic_store_n(&rec->thread, t, __ATOMIC_RELAXED);
}

/* How many jobs t has taken. Any thread. */
static inline unsigned long fapws_jobs_of(const fapws_thread *t) { return __atomic_load_n(&t->jobs, __ATOMIC_RELAXED); }
static inline void fapws_count_job(fapws_thread *t) { __atomic_store_n(&t->jobs, t->jobs + 1, __ATOMIC_RELAXED); }

/* --- threads.c: the pool's mutex is held -------------------------------------- */

/* Makes an idle thread the drainer, if there is none. The lowest index first: many objects of scripts belong to thread
 * 0, and the others may retire. */
void fapws_appoint_drainer(void);
/* Starts one more thread, if possible. */
void fapws_spawn_thread(void);
/* The calling thread waits for its client, and then continues: between the two calls another one may run in its place,
 * so that clients that do not read hold up no others. */
void fapws_pause_thread(void);
void fapws_continue_thread(void);

/* --- monitor.c --------------------------------------------------------------- */

/* Starts the monitor unless it runs. 0, or -1 with errno. */
int fapws_start_monitor(void);
/* Wakes the monitor if it sleeps. The mutex is held. */
void fapws_wake_monitor(void);

#endif
