/* Lists of records: the queue, and the inbox of each thread, which has its iterators and, in inline mode, all records.
 * A list owns its records. The pool's mutex is held. */
#ifndef FAPWS_QUEUE_H
#define FAPWS_QUEUE_H

#include "pool.h"

/* Without the mutex, too: inline, the event loop takes records of which it has the whole list. */
static inline void fapws_count_queued(int n) {
  __atomic_add_fetch(&fapws_the_pool.shared.queued, (uint32_t)n, __ATOMIC_RELAXED);
}

/* n: the number of requests among them, which count towards the maximum of the queue. */
static inline void fapws_push_queue(fapws_record *first, fapws_record *last, int n) {
  last->next = NULL;
  *(fapws_the_pool.tail ? &fapws_the_pool.tail->next : &fapws_the_pool.head) = first;
  fapws_the_pool.tail = last;
  fapws_count_queued(n);
}

static inline fapws_record *fapws_pop_queue(void) {
  fapws_record *rec = fapws_the_pool.head;
  fapws_the_pool.head = rec->next;
  if (!fapws_the_pool.head) fapws_the_pool.tail = NULL;
  if (rec->job == FAPWS_RUN) fapws_count_queued(-1);
  fapws_the_pool.pops++;
  return rec;
}

/* Undoes fapws_pop_queue. */
static inline void fapws_unpop_queue(fapws_record *rec) {
  rec->next = fapws_the_pool.head;
  fapws_the_pool.head = rec;
  if (!fapws_the_pool.tail) fapws_the_pool.tail = rec;
  if (rec->job == FAPWS_RUN) fapws_count_queued(1);
  fapws_the_pool.pops--;
}

static inline void fapws_append_inbox(fapws_thread *t, fapws_record *first, fapws_record *last) {
  last->next = NULL;
  *(t->inbox_tail ? &t->inbox_tail->next : &t->inbox) = first;
  t->inbox_tail = last;
}

static inline fapws_record *fapws_pop_inbox(fapws_thread *t) {
  fapws_record *rec = t->inbox;
  t->inbox = rec->next;
  if (!t->inbox) t->inbox_tail = NULL;
  return rec;
}

/* Takes rec out of a list, if it is in there. */
static inline int fapws_unlink_from(fapws_record **first, fapws_record **last, fapws_record *rec) {
  fapws_record *before = NULL;
  for (fapws_record *r = *first; r; before = r, r = r->next) {
    if (r != rec) continue;
    *(before ? &before->next : first) = rec->next;
    if (*last == rec) *last = before;
    return 1;
  }
  return 0;
}

#endif
