/* Inline mode: the loop itself runs what waits, in turns. */
#include "interp.h"
#include "output.h"
#include "queue.h"

#define P fapws_the_pool

static int turning; /* fapws_turn is on the stack; of the loop's thread */

/* Inline mode: runs what waits now; who asks for another turn gets it later.
 * When it takes long, the loop sends what is finished before the rest runs. */
static void run_inbox(void) {
  fapws_thread *t = P.threads[0];
  fapws_lock();
  fapws_record *rec = t->inbox, *last = t->inbox_tail;
  t->inbox = t->inbox_tail = NULL;
  fapws_unlock();
  for (uint64_t spent = 0; rec && spent < FAPWS_UNSIGNALLED_NS && !(rec->job == FAPWS_RUN && fapws_loop_is_behind());) {
    fapws_record *next = rec->next;
    if (rec->job == FAPWS_RUN) fapws_count_queued(-1);
    __atomic_store_n(&t->jobs, t->jobs + 1, __ATOMIC_RELAXED);
    spent += rec->job == FAPWS_NEXT ? rec->chunk_ns : P.mounts[rec->mount].run_ns;
    fapws_run(t, rec);
    rec = next;
  }
  t->unsignalled = 0;
  if (!rec) return;
  fapws_lock();
  last->next = t->inbox;
  if (!t->inbox) t->inbox_tail = last;
  t->inbox = rec;
  fapws_unlock();
  fapws_want_turn();
}

void fapws_send_written(fapws_thread *t) {
  if (!turning || fapws_this_thread != t) return;
  __atomic_store_n(&t->jobs, t->jobs + 1, __ATOMIC_RELAXED); /* it has moved: see fapws_inline_record */
  t->unsignalled = 0;
  fapws_loop_send_now();
  if (P.garbage) fapws_collect_garbage();
}

int fapws_turn(void) {
  if (turning) { /* by fapws_send_written: the one that is on the stack has to end first */
    fapws_want_turn();
    return -1;
  }
  turning = 1;
  __atomic_store_n(&P.shared.turn, 0, __ATOMIC_SEQ_CST);
  fapws_take_gil();
  if (P.check_signals) P.check_signals = 0, fapws_check_signals();
  run_inbox();
  if (P.garbage) fapws_collect_garbage();
  fapws_release_gil();
  turning = 0;
  return P.exit_code;
}
