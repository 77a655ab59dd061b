/* Runs one job of a record on a thread: a request, the next chunks of an iterator, or inputs. All functions need the
 * GIL. */
#include "core.h"

#include <sys/resource.h>

static long count_waits(void) {
  struct rusage used;
  return getrusage(RUSAGE_THREAD, &used) == 0 ? used.ru_nvcsw : 0;
}

void core_average(uint64_t *average, uint64_t sample) {
  /* If two threads add a sample at the same time, one sample can be lost. */
  uint64_t before = __atomic_load_n(average, __ATOMIC_RELAXED);
  /* A single slow call, such as one with a page fault, must not make a handler count as slow. */
  uint64_t most = before * 4 + 50000;
  if (sample > most) sample = most;
  __atomic_store_n(average, before - before / 8 + sample / 8, __ATOMIC_RELAXED);
}

/* Counts a call of the handler; two simultaneous calls can count as one call. */
static unsigned count_call(core_mount *m) {
  unsigned n = __atomic_load_n(&m->calls, __ATOMIC_RELAXED) + 1;
  __atomic_store_n(&m->calls, n, __ATOMIC_RELAXED);
  return n;
}

void core_begin_timing(core_timing *x, core_mount *m) {
  uint64_t usual = core_run_ns(m);
  x->timed = usual > CORE_QUICK_NS || (count_call(m) & 15) == 0;
  /* The waits of slow handlers are counted, because a second thread helps only if handlers wait: the GIL permits one
   * thread to compute. */
  x->watched = usual > CORE_SLOW_NS;
  x->waits = x->watched ? count_waits() : 0;
  x->began = x->timed ? core_now_ns() : 0;
}

void core_end_timing(const core_timing *x, core_mount *m) {
  if (!x->timed) return;
  uint64_t took = core_now_ns() - x->began;
  core_average(&m->run_ns, took);
  if (x->watched) core_average(&m->wait_ns, count_waits() != x->waits ? took : 0);
}

int core_record_begin(core_thread *t, core_record *rec) {
  if (UNLIKELY(core_may_defer(rec)) && core_defer(t, rec)) return 0;
  if (core_waits_are_counted()) core_count_queue_wait(rec);
  if (UNLIKELY(rec->req.timed)) rec->run.began_ns = core_now_ns();
  core_give_to(rec, t);
  if (LIKELY(!__atomic_load_n(&rec->cancelled, __ATOMIC_RELAXED))) return 1;
  if (t->mode->forget) t->mode->forget(rec);
  core_publish(t, core_give_up(rec));
  return 0;
}

void core_run(core_thread *t, core_record *rec) {
  uint8_t job = rec->run.job;
  if (LIKELY(job == CORE_RUN) && !core_record_begin(t, rec)) return;
  core_give_to(rec, t);
  __atomic_store_n(&t->current, rec, __ATOMIC_RELAXED);
  if (LIKELY(job == CORE_RUN))
    core_kind_of(rec)->run(t, rec);
  else if (job == CORE_INPUTS)
    core_kind_of(rec)->run_inputs(t, rec);
  else
    core_kind_of(rec)->resume(t, rec);
  __atomic_store_n(&t->current, NULL, __ATOMIC_RELAXED);
  if (UNLIKELY(t->raised)) core_withdraw_timeout(t);
}
