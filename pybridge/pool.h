/* The pool, which runs records: pool.c, inline.c and run.c.
 *
 * The pool lives as long as the process, with its mounts and their objects. Its mutex guards the fields that say so,
 * and is never held while a thread waits for the GIL. A record in a list belongs to the list; the thread that takes it
 * owns it until it publishes the last part, or puts the record into a list again. */
#ifndef FAPWS_POOL_H
#define FAPWS_POOL_H

#include "cpython.h"
#include "mode.h"
#include "threads.h"

/* No request waits behind a handler that is slower than the first, if it waits for something, or than the second, if it
 * only computes: because of the GIL such handlers gain nothing by running at the same time. Without the GIL
 * (fapws_pool.parallel) they do. */
#define FAPWS_SLOW_NS 100000u
#define FAPWS_HEAVY_NS 1000000u
/* A handler that is faster is timed once in 16 calls: reading the clock costs as much as it does. */
#define FAPWS_QUICK_NS 20000u
/* Work in the queue that is worth waking another thread for. */
#define FAPWS_LONG_NS 100000u
/* Approximate maximum time until the event loop is woken for finished parts, if few requests wait. */
#define FAPWS_UNSIGNALLED_NS 250000
/* Approximate maximum time that an iterator, or a WebSocket, keeps a thread that other records wait for. */
#define FAPWS_SHARE_NS 1000000u

/* eventloop.Waker: values of *State. */
#define FAPWS_LOOP_ASLEEP 1
#define FAPWS_LOOP_CALLED 2

/* One entry of PATHS. Lives as long as the process; constant except for state and the averages. */
typedef struct {
  const struct fapws_kind *kinds[2]; /* of requests, and of requests for a WebSocket (kind.h) */
  const fapws_mode *mode;
  int relative;       /* ASGI: the scope's path is what follows root_path */
  PyObject *state;    /* owned, or NULL. ASGI: its lifespan's scope['state'], a dict */
  PyObject *callable; /* owned */
  PyObject *name;     /* owned: its name in log lines */
  char *place;        /* malloc. Name of a WebSocket in all processes; NULL: not a WebSocket */
  PyObject *environ;  /* borrowed, immortal: the class of its environ, NULL a dict */
  PyObject *start;    /* borrowed, immortal: the class of its start_response, NULL the built-in one */
  /* Approximate, and atomic: threads change them without a lock. */
  unsigned calls;
  uint64_t run_ns;   /* moving average of one call */
  uint64_t wait_ns;  /* the same, with 0 for calls in which the thread did not wait */
  uint64_t close_ns; /* moving average of close() of its results */
  uint64_t chunk_ns; /* moving average of one next() of its iterators */
} fapws_mount;

/* Moves a moving average towards sample, in ns: run.c. Any thread, without a lock. */
void fapws_average(uint64_t *average, uint64_t sample);
static inline uint64_t fapws_average_of(const uint64_t *average) { return __atomic_load_n(average, __ATOMIC_RELAXED); }
/* The average of one call of the handler of m. */
static inline uint64_t fapws_run_ns(const fapws_mount *m) { return fapws_average_of(&m->run_ns); }

typedef struct {
  fapws_shared shared;
  const fapws_mode *mode;                   /* &fapws_threads or &fapws_inline */
  pthread_mutex_t mu;                       /* guards the following members up to pops */
  fapws_record *head, *tail;                /* the queue */
  fapws_thread *drainer;                    /* the thread that runs quick jobs, see threads.c */
  fapws_thread *threads[FAPWS_MAX_THREADS]; /* [0]: Python's main thread */
  int nthreads, live, idle;
  int stuck;                    /* threads of live that do not return: others may replace them */
  int waiting;                  /* threads of live in write(), or send() of a WebSocket, whose client does not read */
  int stopping, monitor_parked; /* written as atomics, for threads that look without the mutex */
  int check_signals;
  int exit_code;          /* of sys.exit in a signal handler of the application, or -1 */
  unsigned long pops;     /* progress of the queue, for the monitor */
  pthread_cond_t monitor; /* of mu */
  int serving;            /* atomic: thread 0 serves; until then the first request waits for it */
  int signal_fd; /* of eventloop.Waker; atomic. This and the following members are constant once the event loop runs */
  int event_fd;
  int32_t *loop_state; /* of eventloop.Waker: FAPWS_LOOP_... */
  int max;             /* maximum number of threads; 0: inline */
  int parallel;        /* several threads may run Python at the same time: constant */
  int cpus;            /* on which they do: constant */
  int debug;
  int stamped;
  int send_fields;
  int max_event; /* 0: not yet known */
  fapws_mount *mounts;
  int nmounts;
  fapws_part *garbage; /* atomic: stack of released parts with an owner (garbage.c) */
} fapws_pool;

extern fapws_pool fapws_the_pool;

/* --- pool.c: without the GIL ------------------------------------------------ */

uint64_t fapws_now_ns(void);
/* Initializes a condition variable with deadlines of CLOCK_MONOTONIC. */
void fapws_cond_init(pthread_cond_t *c);
/* The pool's mutex. All functions that release it, also for the time of a wait, wake the thread that fapws_wake_thread
 * has named. */
void fapws_lock(void);
void fapws_unlock(void);
/* Waits for c, for up to ns, or until a time of CLOCK_MONOTONIC (0: it is later now). The mutex is held. */
void fapws_wait(pthread_cond_t *c);
void fapws_wait_ns(pthread_cond_t *c, uint64_t ns);
int fapws_wait_until(pthread_cond_t *c, const struct timespec *until);
/* Takes t out of IDLE, if it is there. The mutex is held. */
void fapws_wake_thread(fapws_thread *t);
/* Threads that count for max. The mutex is held. */
static inline int fapws_counted_threads(void) {
  return fapws_the_pool.live - fapws_the_pool.stuck - fapws_the_pool.waiting;
}
/* Whether another thread would shorten the time until the queue is empty. The mutex is held. */
static inline int fapws_queue_is_long(void) {
  const fapws_pool *p = &fapws_the_pool;
  return p->parallel && p->head &&
         __atomic_load_n(&p->shared.queued, __ATOMIC_RELAXED) * fapws_run_ns(&p->mounts[p->head->mount]) >
             FAPWS_LONG_NS;
}
/* Ends fapws_serve with code. */
void fapws_request_exit(int code);
/* Has the thread of rec continue rec's iterator. */
void fapws_resume(fapws_record *rec);
/* The mode that rec runs in. */
static inline const fapws_mode *fapws_mode_of(const fapws_record *rec) {
  return fapws_the_pool.mounts[rec->mount].mode;
}

/* --- handler.go ------------------------------------------------------------- */

/* Makes the event loop send finished parts. Inline mode, on the event loop, while it runs a handler; it does not start
 * another. */
void fapws_loop_send_now(void);

/* --- run.c ------------------------------------------------------------------ */

/* Gives rec, a request, to t, and initializes the members of the Python side. 0: it will not run, and belongs to the
 * event loop again. */
int fapws_record_begin(fapws_thread *t, fapws_record *rec);
/* Runs rec's job on t, a thread of the pool, until t is free again; on the asyncio thread, the next turn of its
 * iterator. */
void fapws_run(fapws_thread *t, fapws_record *rec);
/* Measures a call, for the averages of its mount. */
typedef struct {
  uint64_t began;
  long waits;
  uint8_t timed, watched;
} fapws_timing;
void fapws_begin_timing(fapws_timing *x, fapws_mount *m);
void fapws_end_timing(const fapws_timing *x, fapws_mount *m);

#endif
