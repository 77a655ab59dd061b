/* The threads of the pool: threads.c and monitor.c. Without the GIL.
 *
 * The pool owns fapws_thread objects, which live as long as the process: a thread that ends leaves its object to the next
 * one. Only the thread itself changes its object, except for fields that are marked as guarded by the pool's mutex. */
#ifndef FAPWS_THREADS_H
#define FAPWS_THREADS_H

#include "cpython.h"

#include <pthread.h>
#include <semaphore.h>

#define FAPWS_MAX_THREADS 256

struct fapws_mode;

enum fapws_thread_state { FAPWS_THREAD_NEW, FAPWS_THREAD_IDLE, FAPWS_THREAD_BUSY, FAPWS_THREAD_GONE };

/* A thread that runs handlers. Allocated once, used again by the next thread of its index. */
typedef struct fapws_thread {
  int index;
  const struct fapws_mode *mode;
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

/* The calling thread, if it runs handlers. */
extern __thread fapws_thread *fapws_this_thread;

/* --- threads.c: the pool's mutex is held -------------------------------------- */

/* Gives the queue to an idle thread, if no thread has it. The lowest first: thread 0 is the one that the script's own
 * objects belong to, and the others get to retire. */
void fapws_appoint_drainer(void);
/* Starts one more thread, if that is possible. */
void fapws_spawn_thread(void);

/* --- monitor.c --------------------------------------------------------------- */

/* Starts the thread that watches the others, unless it runs. 0, or -1 with errno. */
int fapws_start_monitor(void);
/* Wakes the monitor if it sleeps. The mutex is held. */
void fapws_wake_monitor(void);

#endif
