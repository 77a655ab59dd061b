/* Inline mode (--threads 0): the event loop runs queued records in turns. A long turn ends early, so that the event
 * loop sends finished parts and reads input before the remaining records run. All functions run on the event loop's
 * thread, unless core_pool.h states otherwise. */
#include "core.h"

#define the_pool core_the_pool

static int over;

/* Makes the event loop begin a turn, whether wake_pending is set or not. The event loop first checks the member turn,
 * and then clears wake_pending. If this function did nothing while wake_pending is set, a turn that is requested
 * between these two steps would be lost. */
static void request_turn(void) {
  __atomic_store_n(&the_pool.shared.turn, 1, __ATOMIC_SEQ_CST);
  core_signal_loop();
}

static void run_inbox(void) {
  core_thread *t = the_pool.threads[0];
  core_lock();
  core_record *rec = t->inbox.first, *last = t->inbox.last;
  t->inbox = (core_list){NULL, NULL};
  core_unlock();
  /* After each turn, the event loop sends parts. With a lower limit, that would use much CPU time. */
  uint64_t most = rec ? core_notify_after(core_mount_of(rec)) : 0;
  for (uint64_t spent = 0; rec && spent < most && !(rec->run.job == CORE_RUN && core_loop_is_behind());) {
    core_record *next = rec->next;
    if (rec->run.job == CORE_RUN) core_count_queued(-1);
    core_count_job(t);
    uint64_t began = rec->run.job == CORE_NEXT ? core_now_ns() : 0;
    spent += began ? 0 : core_run_ns(core_mount_of(rec));
    core_run(t, rec);
    spent += began ? core_now_ns() - began : 0;
    rec = next;
  }
  t->unsignalled = 0;
  if (!rec) return;
  core_lock();
  core_list_prepend(&t->inbox, rec, last);
  core_unlock();
  request_turn();
}

static void written(core_thread *t, core_record *rec, const uint8_t *ends) {
  /* write() may be called on a thread that the application has started. */
  if (!the_pool.shared.turning || core_this_thread != t) return;
  if (rec->run.started) core_count_job(t); /* early hints do not extend the timeout */
  t->unsignalled = 0;
  core_loop_send_now();
  core_collect_garbage();
}

static int start(void) {
  if (over || !__atomic_load_n(&the_pool.shared.turn, __ATOMIC_SEQ_CST)) return -1;
  if (the_pool.shared
          .turning) { /* called by a handler's write(): the new turn must wait for the end of the current one */
    request_turn();
    return -1;
  }
  __atomic_store_n(&the_pool.shared.turning, 1, __ATOMIC_SEQ_CST);
  __atomic_store_n(&the_pool.shared.turn, 0, __ATOMIC_SEQ_CST);
  core_take_gil();
  if (the_pool.check_signals) the_pool.check_signals = 0, core_check_signals();
  run_inbox();
  core_collect_garbage();
  core_release_gil();
  __atomic_store_n(&the_pool.shared.turning, 0, __ATOMIC_SEQ_CST);
  return the_pool.exit_code;
}

void core_inline_finish(void) {
  CORE_CHECK(CORE_NO_GIL | CORE_ON_MAIN);
  const core_thread *t = the_pool.threads[0]; /* NULL before the pool was started */
  unsigned long before;
  /* Repeated until a turn runs no job. Records can remain even then: a request does not begin while too many parts wait
   * for the event loop, and the event loop no longer takes parts. */
  do {
    before = t ? t->jobs : 0;
    start();
  } while (t && t->jobs != before);
  over = 1;
}

uintptr_t core_inline_record(unsigned long *jobs) {
  *jobs = core_jobs_of(the_pool.threads[0]);
  return (uintptr_t)__atomic_load_n(&the_pool.threads[0]->current, __ATOMIC_RELAXED);
}

static int prepare(void) { return 0; }

static void enqueue(core_record *first, core_record *last, int n) {
  core_list_append(&the_pool.threads[0]->inbox, first, last);
  core_count_queued(n);
  /* The store tells the function start that a turn must begin. */
  __atomic_store_n(&the_pool.shared.turn, 1, __ATOMIC_RELAXED);
}

static void resume(core_record *rec) {
  core_lock();
  core_list_append(&the_pool.threads[0]->inbox, rec, rec);
  core_unlock();
  request_turn();
}

static int dequeue(core_record *rec) {
  return rec->run.job == CORE_RUN && core_list_unlink(&the_pool.threads[0]->inbox, rec);
}

static void wake_loop(void) {}

/* A chunk that was published must be sent before the next chunk is made (PEP 3333). The thread that runs the iterator
 * is also the thread that sends, so the iterator must yield, unless a second thread sends finished parts during a turn
 * (Handler.Attend). */
static int stream_yields(const core_thread *t, const core_record *rec, uint64_t ns) {
  if (rec->run.chunk_ns > CORE_SLOW_NS || ns > CORE_UNSIGNALLED_NS) return 1;
  if (__atomic_load_n(&the_pool.shared.attended, __ATOMIC_SEQ_CST)) return 0;
  __atomic_store_n(&the_pool.shared.unattended, 1, __ATOMIC_RELAXED);
  return rec->run.started;
}

static int messages_yield(const core_thread *t, uint64_t ns) { return ns > CORE_UNSIGNALLED_NS; }

static void signalled(void) {
  the_pool.check_signals = 1;
  request_turn();
}

static void attached(int signals) {
  core_take_gil();
  core_watch_signals(signals);
  core_take_timeout_signal();
  signalled();
  core_release_gil();
}

static void replace(core_thread *t) {}

const core_mode core_inline = {
    .prepare = prepare,
    .enqueue = enqueue,
    .start = start,
    .wake = request_turn,
    .resume = resume,
    .dequeue = dequeue,
    .deliver = core_pool_deliver,
    .cancelled = core_pool_cancelled,
    .state_of = core_pool_state_of,
    .wake_loop = wake_loop,
    .written = written,
    .stream_yields = stream_yields,
    .messages_yield = messages_yield,
    .attached = attached,
    .signalled = signalled,
    .collect = request_turn,
    .replace = replace,
};
