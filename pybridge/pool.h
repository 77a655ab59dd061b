/* What runs records: pool.c, inline.c and run.c; threads.h has the threads. */
#ifndef FAPWS_POOL_H
#define FAPWS_POOL_H

#include "cpython.h"
#include "mode.h"

#include <pthread.h>
#include <semaphore.h>

/* A handler slower than this is run so that no other request waits behind it, if it waits
 * for something. One that only computes would not run faster beside others,
 * for the GIL lets one run: it has to be slower than the second. */
#define FAPWS_SLOW_NS 100000u
#define FAPWS_HEAVY_NS 1000000u
/* How long, about, finished parts may wait for others before the loop is woken, if few requests wait. */
#define FAPWS_UNSIGNALLED_NS 250000
/* About how long an iterator, or the callbacks of a WebSocket, may keep a thread that others wait for. */
#define FAPWS_SHARE_NS 1000000u
#define FAPWS_MAX_THREADS 256

/* exchange.Waker: values of *State. */
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
  char *place;        /* malloc. Name of a WebSocket in all processes; NULL: it is none */
  PyObject *environ;  /* borrowed, immortal: the class of its environ, NULL a dict */
  PyObject *start;    /* borrowed, immortal: the class of its start_response, NULL the built-in one */
  unsigned calls;
  uint64_t run_ns;    /* moving average of one call */
  uint64_t wait_ns;   /* the same, where calls count as 0 in which the thread never waited */
  uint64_t close_ns;  /* moving average of close() of its results */
  uint64_t chunk_ns;  /* moving average of one next() of its iterators */
} fapws_mount;

enum fapws_thread_state { FAPWS_THREAD_NEW, FAPWS_THREAD_IDLE, FAPWS_THREAD_BUSY, FAPWS_THREAD_GONE };

/* A thread that runs handlers. Allocated once, used again by the next thread of its index. */
typedef struct fapws_thread {
  int index;
  const fapws_mode *mode;
  enum fapws_thread_state state; /* guarded by pool.mu */
  pthread_t id;
  sem_t sleep;                   /* posted when the thread leaves the IDLE state */
  int retire;                    /* idle for long: it ends */
  fapws_record *inbox, *inbox_tail; /* guarded by pool.mu: iterators of this thread (inline: all records) */
  int streams;                   /* iterators it owns; it may not retire before they end */
  unsigned long jobs;            /* guarded by pool.mu: how many it has taken */
  int prefer_inbox;              /* whose turn it is: iterators or new requests */
  int collect;                   /* woken to free released objects */
  int unsignalled;               /* parts published without waking the loop */
  uint64_t unsignalled_ns;       /* about how long they took */
  PyObject *spare_start;         /* owned: a Start_response to use again */
  PyThreadState *python;         /* its state, from start to end */
  fapws_record *current;         /* the record whose code it runs; written under the GIL */
  int raised;                    /* under the GIL: fapws.Timeout was raised for current */
  int signalled;                 /* likewise, by a signal that has not been handled yet */
  int stuck;                      /* guarded by pool.mu: it does not return from its job */
} fapws_thread;

typedef struct {
  fapws_shared shared;
  const fapws_mode *mode; /* &fapws_threads or &fapws_inline */
  pthread_mutex_t mu; /* never held while waiting for the GIL */
  fapws_record *head, *tail;
  fapws_thread *drainer; /* the thread that takes the quick jobs one after the other */
  fapws_thread *threads[FAPWS_MAX_THREADS]; /* never freed */
  int nthreads, live, idle, max;
  int stuck; /* of live: given up, others may take their place */
  unsigned long pops; /* progress of the queue, for the monitor */
  int stopping;
  int serving; /* atomic: thread 0 has come; before, the first request waits for it */
  int check_signals;
  int debug;
  int stamped;
  int send_fields;
  int max_event; /* 0: not known yet */
  int signal_fd, event_fd; /* of exchange.Waker */
  int32_t *loop_state; /* likewise: FAPWS_LOOP_...; Go's memory outside of its heap */
  fapws_part *garbage; /* atomic stack: released parts whose owner awaits a decref */
  fapws_mount *mounts;
  int nmounts;
  int exit_code; /* asked for by the application's signal handler, -1 none */
  pthread_cond_t monitor;
  int monitor_parked;
} fapws_pool;

extern fapws_pool fapws_the_pool;
/* The calling thread, if it runs handlers. */
extern __thread fapws_thread *fapws_this_thread;

/* --- pool.c: without the GIL ------------------------------------------------ */

uint64_t fapws_now_ns(void);
/* A condition whose deadlines are of CLOCK_MONOTONIC. */
void fapws_cond_init(pthread_cond_t *c);
/* The pool's mutex. fapws_unlock wakes the thread that fapws_wake_thread has named. */
void fapws_lock(void);
void fapws_unlock(void);
/* Waits for c for up to ns. The mutex is held. */
void fapws_wait_ns(pthread_cond_t *c, uint64_t ns);
/* Takes t out of IDLE, if it is there. The mutex is held. */
void fapws_wake_thread(fapws_thread *t);
/* Ends fapws_serve with code. */
void fapws_request_exit(int code);
/* Has the thread of rec continue rec's iterator. */
void fapws_resume(fapws_record *rec);
/* The mode that rec runs in. */
static inline const fapws_mode *fapws_mode_of(const fapws_record *rec) { return fapws_the_pool.mounts[rec->mount].mode; }

/* --- handler.go ------------------------------------------------------------- */

/* Sends finished parts. Inline mode, on the event loop, while it runs handlers. It may run anything of the event loop
 * but a handler. */
void fapws_loop_send_now(void);

/* --- monitor.c --------------------------------------------------------------- */

/* Starts the thread that watches the others, unless it runs. 0, or -1 with errno. */
int fapws_start_monitor(void);
/* Wakes the monitor if it sleeps. The mutex is held. */
void fapws_wake_monitor(void);

/* --- run.c ------------------------------------------------------------------ */

/* Gives rec, a request, to t, and fills in what Python has of it. 0: it is not to be run, and the loop's again. */
int fapws_record_begin(fapws_thread *t, fapws_record *rec);
/* Runs rec's job on t, a thread of the pool, to the point where t is free again; on the asyncio thread, the next turn of
 * its iterator. */
void fapws_run(fapws_thread *t, fapws_record *rec);
/* Moves a moving average towards sample, in ns. */
void fapws_average(uint64_t *average, uint64_t sample);
/* Measures a call, for the averages of its mount. */
typedef struct {
  uint64_t began;
  long waits;
  uint8_t timed, watched;
} fapws_timing;
void fapws_begin_timing(fapws_timing *x, fapws_mount *m);
void fapws_end_timing(const fapws_timing *x, fapws_mount *m);

#endif
