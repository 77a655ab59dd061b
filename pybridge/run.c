/* Runs one job of a record on a thread: a request, the next chunks of an iterator, or inputs. With the GIL. */
#include "interp.h"
#include "kind.h"
#include "request.h"
#include "response.h"
#include "stack.h"
#include "waits.h"

#include <sys/resource.h>

/* How often this thread has waited: for a lock, a disk, a socket. */
static long waits(void) {
  struct rusage used;
  return getrusage(RUSAGE_THREAD, &used) == 0 ? used.ru_nvcsw : 0;
}

void fapws_average(uint64_t *average, uint64_t sample) {
  uint64_t before = __atomic_load_n(average, __ATOMIC_RELAXED); /* a sample at the same time may be lost */
  /* A single outlier (a page fault, another process) must not make a handler count as slow. */
  uint64_t most = before * 4 + 50000;
  if (sample > most) sample = most;
  __atomic_store_n(average, before - before / 8 + sample / 8, __ATOMIC_RELAXED);
}

/* How often m was called, about: calls at the same time may count once. */
static unsigned count_call(fapws_mount *m) {
  unsigned n = __atomic_load_n(&m->calls, __ATOMIC_RELAXED) + 1;
  __atomic_store_n(&m->calls, n, __ATOMIC_RELAXED);
  return n;
}

void fapws_begin_timing(fapws_timing *x, fapws_mount *m) {
  /* Reading the clock costs as much as a small handler. */
  uint64_t usual = fapws_run_ns(m);
  x->timed = usual > FAPWS_QUICK_NS || (count_call(m) & 15) == 0;
  /* A handler that only computes gains nothing by another thread, because of the GIL. */
  x->watched = usual > FAPWS_SLOW_NS;
  x->waits = x->watched ? waits() : 0;
  x->began = x->timed ? fapws_now_ns() : 0;
}

void fapws_end_timing(const fapws_timing *x, fapws_mount *m) {
  if (!x->timed) return;
  uint64_t took = fapws_now_ns() - x->began;
  fapws_average(&m->run_ns, took);
  if (x->watched) fapws_average(&m->wait_ns, waits() != x->waits ? took : 0);
}

static PyObject *call(fapws_thread *t, fapws_record *rec) {
  if (rec->has_body && !(rec->input = fapws_input_new(rec))) return NULL;
  const fapws_mount *m = &fapws_the_pool.mounts[rec->mount];
  PyObject *environ = fapws_environ(rec, m->environ, rec->input);
  if (!environ) return NULL;
  rec->environ = environ;
  if (UNLIKELY(rec->socket) && fapws_expose_socket(rec) < 0) return NULL;
  PyObject *start = fapws_start_for(t, rec, m->start);
  if (!start) return NULL;
  rec->start = start;
  PyObject *args[] = {environ, start};
  return PyObject_Vectorcall(m->callable, args, 2, NULL);
}

int fapws_record_begin(fapws_thread *t, fapws_record *rec) {
  if (UNLIKELY(fapws_may_defer(rec)) && fapws_defer(t, rec)) return 0;
  if (fapws_waits_are_counted()) fapws_count_queue_wait(rec);
  fapws_give_to(rec, t);
  rec->iter = rec->result = rec->start = rec->input = rec->environ = rec->exchange = NULL;
  rec->started = rec->whole = rec->bodyless = rec->single = 0;
  rec->declared = -1;
  rec->sent = rec->unacked = rec->credit = 0;
  if (LIKELY(!__atomic_load_n(&rec->cancelled, __ATOMIC_RELAXED))) return 1;
  fapws_stream_end(t, rec, 1); /* the client disconnected: the handler does not run */
  return 0;
}

static void run_request(fapws_thread *t, fapws_record *rec) {
  fapws_mount *m = &fapws_the_pool.mounts[rec->mount];
  fapws_timing timing;
  fapws_begin_timing(&timing, m);
  PyObject *result = call(t, rec);
  fapws_exit_child();
  fapws_end_writes(rec);
  if (UNLIKELY(rec->socket_object) && result && fapws_socket_was_used(rec)) {
    rec->result = result; /* for its close(); nothing is sent */
    fapws_stream_end(t, rec, 1);
    fapws_end_timing(&timing, m);
    return;
  }
  FAPWS_BEGIN_HOLD_IF(rec->start); /* other threads may change the head */
  int how = result ? fapws_answer(t, rec, result) : -1;
  fapws_end_timing(&timing, m);
  if (UNLIKELY(how < 0)) {
    fapws_fail(t, rec);
  } else if (how > 0) {
    fapws_stream(t, rec);
  }
  FAPWS_END_HOLD_IF();
  Py_XDECREF(result);
}

static void stream(fapws_thread *t, fapws_record *rec) {
  FAPWS_BEGIN_HOLD_IF(rec->start);
  fapws_stream(t, rec);
  FAPWS_END_HOLD_IF();
}

const fapws_kind fapws_wsgi = {.run = run_request};

void fapws_run(fapws_thread *t, fapws_record *rec) {
  uint8_t job = rec->job;
  if (LIKELY(job == FAPWS_RUN) && !fapws_record_begin(t, rec)) return;
  fapws_give_to(rec, t);
  __atomic_store_n(&t->current, rec, __ATOMIC_RELAXED);
  if (LIKELY(job == FAPWS_RUN))
    fapws_kind_of(rec)->run(t, rec);
  else if (job == FAPWS_INPUTS)
    fapws_kind_of(rec)->run_inputs(t, rec);
  else
    stream(t, rec);
  /* fapws_drop has done so unless the record continues later. */
  __atomic_store_n(&t->current, NULL, __ATOMIC_RELAXED);
  if (UNLIKELY(t->raised)) fapws_withdraw_timeout(t);
}
