/* Inline mode (--threads 0): the event loop runs queued records in turns. A long turn ends early, so that the event
 * loop sends finished parts and reads input before the rest runs. All on the event loop's thread, unless mode.h says
 * otherwise. */
#include "interp.h"
#include "output.h"
#include "queue.h"
#include "stack.h"

#define P fapws_the_pool

static int over; /* Python is ending */

/* Requests a turn, without wake_pending: the event loop clears that after it has checked turn, when it takes parts, so
 * a request in between would be lost. */
static void request_turn(void) {
  __atomic_store_n(&P.shared.turn, 1, __ATOMIC_SEQ_CST);
  fapws_signal_loop();
}

/* Runs the queued records; those that are added meanwhile run in another turn. */
static void run_inbox(void) {
  fapws_thread *t = P.threads[0];
  fapws_lock();
  fapws_record *rec = t->inbox, *last = t->inbox_tail;
  t->inbox = t->inbox_tail = NULL;
  fapws_unlock();
  /* With 250 us for each turn, their ends cost a tenth of the CPU of a page of Flask. */
  uint64_t most = rec ? fapws_notify_after(&P.mounts[rec->mount]) : 0;
  for (uint64_t spent = 0; rec && spent < most && !(rec->job == FAPWS_RUN && fapws_loop_is_behind());) {
    fapws_record *next = rec->next;
    if (rec->job == FAPWS_RUN) fapws_count_queued(-1);
    fapws_count_job(t);
    uint64_t began = rec->job == FAPWS_NEXT ? fapws_now_ns() : 0;
    spent += began ? 0 : fapws_run_ns(&P.mounts[rec->mount]);
    fapws_run(t, rec);
    spent += began ? fapws_now_ns() - began : 0;
    rec = next;
  }
  t->unsignalled = 0;
  if (!rec) return;
  fapws_lock();
  last->next = t->inbox;
  if (!t->inbox) t->inbox_tail = last;
  t->inbox = rec;
  fapws_unlock();
  request_turn();
}

static void written(fapws_thread *t, fapws_record *rec) {
  if (!P.shared.turning || fapws_this_thread != t) return; /* called on a thread of the application */
  fapws_count_job(t);                                      /* progress, see fapws_inline_record */
  t->unsignalled = 0;
  fapws_loop_send_now();
  fapws_collect_garbage();
}

static int start(void) {
  if (over || !__atomic_load_n(&P.shared.turn, __ATOMIC_SEQ_CST)) return -1;
  if (P.shared.turning) { /* called from written: the turn on the stack has to end first */
    request_turn();
    return -1;
  }
  __atomic_store_n(&P.shared.turning, 1, __ATOMIC_SEQ_CST);
  __atomic_store_n(&P.shared.turn, 0, __ATOMIC_SEQ_CST);
  fapws_take_gil();
  if (P.check_signals) P.check_signals = 0, fapws_check_signals();
  run_inbox();
  fapws_collect_garbage();
  fapws_release_gil();
  __atomic_store_n(&P.shared.turning, 0, __ATOMIC_SEQ_CST);
  return P.exit_code;
}

void fapws_inline_finish(void) {
  const fapws_thread *t = P.threads[0]; /* NULL: the event loop has never run handlers */
  unsigned long before;
  do { /* until a turn runs nothing: requests may wait for the event loop, which takes no parts now */
    before = t ? t->jobs : 0;
    start();
  } while (t && t->jobs != before);
  over = 1;
}

/* --- the rest of the mode --------------------------------------------------- */

static int prepare(void) { return 0; } /* the event loop's thread exists */

static void enqueue(fapws_record *first, fapws_record *last, int n) {
  fapws_append_inbox(P.threads[0], first, last);
  fapws_count_queued(n);
  __atomic_store_n(&P.shared.turn, 1, __ATOMIC_RELAXED); /* for start; wake orders it */
}

static void resume(fapws_record *rec) {
  fapws_lock();
  fapws_append_inbox(P.threads[0], rec, rec);
  fapws_unlock();
  request_turn();
}

static int dequeue(fapws_record *rec) {
  return rec->job == FAPWS_RUN && fapws_unlink_from(&P.threads[0]->inbox, &P.threads[0]->inbox_tail, rec);
}

static void wake_loop(void) {} /* its thread is this one */

/* A chunk must not wait for the next one (PEP 3333), and this thread sends it, unless another one sends finished parts
 * during a turn (Handler.Attend). The chunk has been published. */
static int stream_yields(const fapws_thread *t, const fapws_record *rec, uint64_t ns) {
  if (rec->chunk_ns > FAPWS_SLOW_NS || ns > FAPWS_UNSIGNALLED_NS) return 1;
  if (__atomic_load_n(&P.shared.attended, __ATOMIC_SEQ_CST)) return 0;
  __atomic_store_n(&P.shared.unattended, 1, __ATOMIC_RELAXED);
  return rec->started;
}

static int messages_yield(const fapws_thread *t, uint64_t ns) { return ns > FAPWS_UNSIGNALLED_NS; }

static void signalled(void) {
  P.check_signals = 1;
  request_turn();
}

static void attached(int signals) {
  fapws_take_gil();
  fapws_watch_signals(signals);
  fapws_take_timeout_signal();
  signalled(); /* one may have arrived before */
  fapws_release_gil();
}

static void replace(fapws_thread *t) {} /* inline mode has one thread */

const fapws_mode fapws_inline = {
    .prepare = prepare,
    .enqueue = enqueue,
    .start = start,
    .wake = request_turn,
    .resume = resume,
    .dequeue = dequeue,
    .deliver = fapws_pool_deliver,
    .cancelled = fapws_pool_cancelled,
    .state_of = fapws_pool_state_of,
    .forget = fapws_pool_forget,
    .wake_loop = wake_loop,
    .written = written,
    .stream_yields = stream_yields,
    .messages_yield = messages_yield,
    .attached = attached,
    .signalled = signalled,
    .collect = request_turn,
    .replace = replace,
};
