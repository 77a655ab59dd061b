/* The asyncio thread and the list of records that have something for it: async.c.
 *
 * There is one such thread; fapws_the_async lives as long as the process. The pool's mutex guards the list and the events
 * of its records; all else belongs to the asyncio thread, under the GIL, unless it is marked atomic. */
#ifndef FAPWS_ASYNC_H
#define FAPWS_ASYNC_H

#include "pool.h"

/* What has happened to a record that the asyncio thread runs (bits). */
enum {
  FAPWS_EVENT_RUN = 1,      /* it is new */
  FAPWS_EVENT_NEXT = 2,     /* its iterator may continue */
  FAPWS_EVENT_INPUT = 4,    /* inputs have arrived */
  FAPWS_EVENT_ROOM = 8,     /* the client has taken enough of what was sent */
  FAPWS_EVENT_GONE = 16,    /* the client disconnected */
  FAPWS_EVENT_OVERDUE = 32, /* it timed out */
};

typedef struct {
  PyObject *loop;       /* owned: asyncio's */
  fapws_thread thread;  /* stands for the asyncio thread */
  int depth;            /* not 0: a caller further up the stack will wake the loop for what was published */
  struct fapws_exchange *live; /* owned: those that have not ended */
  int event;            /* eventfd that wakes the thread; 0: there is none */
  int asleep;           /* atomic: the thread does not look at the list before event is written */
  unsigned long turns;  /* atomic: of turn() */
  unsigned long left_at; /* fapws_async_progress() when the thread was given up, and one more; 0: never. Guarded by the pool's mutex */
  int asked;            /* atomic: fapws_async_stop was called with as many ms, and one more; 0: not, or it is known */
  int stopping;         /* it was, and the thread knows */
  fapws_record *head, *tail; /* records with events; guarded by the pool's mutex */
} fapws_async;
extern fapws_async fapws_the_async;

/* Adds events (FAPWS_EVENT_...) to rec, puts it into the list, and wakes the thread. Any thread, without the GIL. */
void fapws_post_event(fapws_record *rec, unsigned events);
/* Wakes the thread if it does not look at the list. Any thread, without the GIL. */
void fapws_async_wake(void);
/* Wakes the loop for what was published, unless a caller further up the stack will. */
void fapws_async_notify(void);

#endif
