/* The asyncio thread and its list of records with events: async.c.
 *
 * There is one such thread; fapws_the_async lives as long as the process. The pool's mutex guards the list and the
 * events of its records; all else belongs to the asyncio thread, under the GIL, unless it is marked atomic. */
#ifndef FAPWS_ASYNC_H
#define FAPWS_ASYNC_H

#include "pool.h"

/* Events of a record that the asyncio thread runs (bits). */
enum {
  FAPWS_EVENT_RUN = 1,      /* the record is new */
  FAPWS_EVENT_NEXT = 2,     /* its iterator continues */
  FAPWS_EVENT_INPUT = 4,    /* inputs have arrived */
  FAPWS_EVENT_ROOM = 8,     /* the client has received enough of the response */
  FAPWS_EVENT_GONE = 16,    /* the client disconnected */
  FAPWS_EVENT_OVERDUE = 32, /* it timed out */
};

typedef struct {
  PyObject *loop;              /* owned: asyncio's */
  fapws_thread thread;         /* stands for the asyncio thread */
  int depth;                   /* not 0: a caller further up the stack will wake the event loop for published parts */
  struct fapws_exchange *live; /* owned: exchanges that have not ended */
  int event;                   /* eventfd that wakes the thread; 0: there is no such thread */
  int asleep;                  /* atomic: the thread will not check the list until event is written */
  unsigned long turns;         /* atomic: number of calls of turn() */
  unsigned long left_at; /* fapws_async_progress() plus one when the thread was given up; 0: it was not. Guarded by the
                            pool's mutex */
  int asked;             /* atomic: argument plus one of fapws_async_stop; 0: not called, or the thread knows */
  int stopping;          /* the thread knows that fapws_async_stop was called */
  fapws_record *head, *tail; /* records with events; guarded by the pool's mutex */
} fapws_async;
extern fapws_async fapws_the_async;

/* Adds events (FAPWS_EVENT_...) to rec, puts it into the list, and wakes the thread. Any thread, without the GIL. */
void fapws_post_event(fapws_record *rec, unsigned events);
/* Wakes the thread if it sleeps. Any thread, without the GIL. */
void fapws_async_wake(void);
/* Wakes the event loop for published parts, unless a caller further up the stack will. */
void fapws_async_notify(void);

#endif
