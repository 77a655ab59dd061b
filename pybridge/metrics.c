/* How long requests wait for a thread, and threads for the GIL. Nothing is counted before fapws_count_waits. */
#include "shim_metrics.h"
#include "waits.h"

#include <string.h>

#define P fapws_the_pool

int fapws_counts_waits;

static int64_t bounds[FAPWS_BUCKETS_MAX]; /* constant once fapws_counts_waits is set */
static int buckets;
static fapws_durations queue_wait, gil_wait;
static int waiting; /* atomic: threads in fapws_take_gil_counted */

void fapws_count_waits(const int64_t *given, int n) {
  if (__atomic_load_n(&fapws_counts_waits, __ATOMIC_ACQUIRE) || n >= FAPWS_BUCKETS_MAX) return;
  memcpy(bounds, given, (size_t)n * sizeof *given);
  buckets = n;
  __atomic_store_n(&fapws_counts_waits, 1, __ATOMIC_RELEASE);
}

/* With a GIL there is one writer at a time, and a store is enough. */
static void add(int64_t *to, int64_t n) {
  if (FAPWS_PARALLEL)
    __atomic_add_fetch(to, n, __ATOMIC_RELAXED);
  else
    __atomic_store_n(to, __atomic_load_n(to, __ATOMIC_RELAXED) + n, __ATOMIC_RELAXED);
}

static void observe(fapws_durations *d, int64_t ns) {
  int i = 0;
  if (ns < 0) ns = 0;
  while (i < buckets && ns > bounds[i]) i++;
  add(&d->counts[i], 1);
  add(&d->sum_ns, ns);
}

/* Reading the clock costs as much as a small handler. Behind a quick one the time is known well enough, unless rec has
 * come later than that. */
void fapws_count_queue_wait(const fapws_record *rec) {
  static FAPWS_PER_THREAD uint64_t now;
  static FAPWS_PER_THREAD int known; /* for how many further requests now is good */
  if (!known || rec->since_ns > now) {
    now = fapws_now_ns();
    known = 8;
  }
  observe(&queue_wait, (int64_t)(now - rec->since_ns));
  uint64_t takes = fapws_run_ns(&P.mounts[rec->mount]);
  known = takes <= FAPWS_QUICK_NS ? known - 1 : 0;
  now += takes;
}

void fapws_take_gil_counted(PyThreadState *state) {
  uint64_t began = fapws_now_ns();
  __atomic_add_fetch(&waiting, 1, __ATOMIC_RELAXED);
  PyEval_RestoreThread(state);
  __atomic_sub_fetch(&waiting, 1, __ATOMIC_RELAXED);
  observe(&gil_wait, (int64_t)(fapws_now_ns() - began));
}

void fapws_read_waits(fapws_waits *out) {
  fapws_lock();
  *out = (fapws_waits){.live = P.live, .idle = P.idle, .stuck = P.stuck};
  fapws_unlock();
  out->waiting = __atomic_load_n(&waiting, __ATOMIC_RELAXED);
  out->queued = (int)__atomic_load_n(&P.shared.queued, __ATOMIC_RELAXED);
  out->queue_wait = &queue_wait;
  out->gil_wait = &gil_wait;
}
