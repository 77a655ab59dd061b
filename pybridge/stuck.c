/* Gives up requests that waited too long, and threads that do not return. Any thread, without the GIL, which these
 * threads may hold. */
#include "output.h"
#include "queue.h"
#include "shim_stack.h"

#include <unistd.h>

#define P fapws_the_pool

int fapws_dequeue_expired(uintptr_t number) {
  fapws_record *rec = (fapws_record *)number;
  fapws_lock();
  int found = fapws_mode_of(rec)->dequeue(rec);
  if (found) fapws_count_queued(-1);
  fapws_unlock();
  if (!found) return 0;
  if (rec->spool >= 0) close(rec->spool);
  rec->spool = -1;
  if (rec->socket > 0) close(rec->socket);
  rec->socket = 0;
  fapws_part *p = &rec->part0;
  fapws_part_reset(p, rec);
  p->last = p->failed = 1;
  fapws_push_part(p);
  fapws_wake_loop();
  return 1;
}

int fapws_mark_thread_stuck(int index, uintptr_t number, unsigned long jobs) {
  fapws_lock();
  fapws_thread *t = P.threads[index];
  int same = fapws_jobs_of(t) == jobs && __atomic_load_n(&t->current, __ATOMIC_RELAXED) == (fapws_record *)number;
  if (same && !t->stuck) t->mode->replace(t);
  fapws_unlock();
  return same;
}
