/* Flow control: an iterator that is too far ahead of its client is parked, and then occupies no thread. In contrast,
 * write() and the send() of a WebSocket wait on their thread, because the handler must continue when the call returns.
 * While a thread waits, a second thread of the pool replaces it. */
#include "core.h"

#include <stdlib.h>

#define the_pool core_the_pool
/* Maximum bytes of a response that wait for the client before the handler must wait. */
#define WINDOW_BYTES (256 * 1024)
/* A handler that waits continues when at most this number of bytes waits, because each wake-up costs more than a part.
 * Meanwhile, the kernel has bytes for the client. */
#define RESUME_BYTES (32 * 1024)
#define PIPELINE_RUNNING 2 /* maximum number of pipelined requests of a connection that run at the same time */
/* Maximum bytes of all streams of a connection that wait for the client before a request is deferred. */
#define STREAMS_BYTES (16 << 20)
enum { ITERATOR = 1, WRITER }; /* values of record.run.parked */

int core_must_wait(core_record *rec) { return __atomic_load_n(&rec->run.unacked, __ATOMIC_RELAXED) > WINDOW_BYTES; }

int core_defer(core_thread *t, core_record *rec) {
  core_pipeline *line = rec->req.pipeline;
  int running = __atomic_add_fetch(&line->running, 1, __ATOMIC_SEQ_CST);
  int64_t unacked = __atomic_load_n(&line->unacked, __ATOMIC_SEQ_CST);
  rec->run.counted = 1;
  if (core_is_cancelled(rec) || rec->req.resumed) return 0;
  if (LIKELY(rec->req.shares ? unacked <= STREAMS_BYTES : running <= PIPELINE_RUNNING && unacked <= WINDOW_BYTES))
    return 0;
  __atomic_sub_fetch(&line->running, 1, __ATOMIC_SEQ_CST);
  rec->run.counted = 0;
  core_give_to(rec, NULL);
  core_part *p = &rec->part0;
  core_part_reset(p, rec);
  p->op = CORE_OP_DEFERRED;
  core_publish(t, p);
  return 1;
}

int core_park(core_record *rec) {
  CORE_LOCKED();
  int must = __atomic_load_n(&rec->run.unacked, __ATOMIC_SEQ_CST) > WINDOW_BYTES && !core_is_cancelled(rec);
  return rec->run.parked = must ? ITERATOR : 0;
}

static pthread_cond_t writers;

void core_flow_init(void) { core_cond_init(&writers); }

int core_is_cancelled(core_record *rec) { return __atomic_load_n(&rec->cancelled, __ATOMIC_SEQ_CST) != 0; }

void core_wait_for_room(core_record *rec, const uint8_t *ends) {
  if (LIKELY(!core_must_wait(rec))) return;
  int may;
  Py_BEGIN_ALLOW_THREADS
  core_lock();
  may = core_pause_thread();
  while (may && __atomic_load_n(&rec->run.unacked, __ATOMIC_SEQ_CST) > WINDOW_BYTES && !core_is_cancelled(rec) &&
         !__atomic_load_n(ends, __ATOMIC_RELAXED)) {
    rec->run.parked = WRITER;
    core_wait(&writers);
  }
  rec->run.parked = 0;
  if (may) core_continue_thread();
  core_unlock();
  Py_END_ALLOW_THREADS
  if (UNLIKELY(!may)) {
    core_log(rec, "response ended: too many threads wait for clients that do not read");
    __atomic_store_n(&rec->cancelled, 1, __ATOMIC_SEQ_CST);
  }
}

void core_wait_for_writers(const uint32_t *number) {
  Py_BEGIN_ALLOW_THREADS
  core_lock();
  pthread_cond_broadcast(&writers);
  while (__atomic_load_n(number, __ATOMIC_ACQUIRE)) core_wait(&writers);
  core_unlock();
  Py_END_ALLOW_THREADS
}

void core_writer_left(void) {
  CORE_LOCKED();
  pthread_cond_broadcast(&writers);
}

int core_wait_for_client(core_record *rec, double seconds) {
  double most = seconds >= 0 && seconds < 1e9 ? seconds : 1e9; /* 30 years if the caller sets no limit */
  uint64_t until = core_now_ns() + (uint64_t)(most * 1e9);
  int room, late = 0, may;
  Py_BEGIN_ALLOW_THREADS
  core_lock();
  rec->inputs.senders++;
  may = core_pause_thread();
  for (;;) {
    room = __atomic_load_n(&rec->run.unacked, __ATOMIC_SEQ_CST) <= WINDOW_BYTES;
    if (room || late || !may || !rec->inputs.open || core_is_cancelled(rec)) break;
    late = !core_wait_until(&writers, until);
  }
  if (may) core_continue_thread();
  if (--rec->inputs.senders == 0 && !rec->inputs.open) pthread_cond_broadcast(&writers);
  core_unlock();
  Py_END_ALLOW_THREADS
  return room;
}

void core_release_senders(core_record *rec) {
  if (rec->inputs.senders) pthread_cond_broadcast(&writers);
  /* The waiting threads need only the mutex to return, so they can return even if the current thread keeps the GIL. */
  while (rec->inputs.senders) core_wait(&writers);
}

static void unpark(core_record *rec) {
  core_lock();
  int was = rec->run.parked;
  rec->run.parked = 0;
  if (was == WRITER || rec->inputs.senders) pthread_cond_broadcast(&writers);
  core_unlock();
  if (was == ITERATOR) core_resume(rec);
}

void core_acked(uintptr_t record, int64_t n) {
  CORE_CHECK(CORE_NO_GIL | CORE_SERVING | CORE_ENDED);
  core_record *rec = (core_record *)record;
  if (UNLIKELY(rec->req.pipeline != NULL)) __atomic_sub_fetch(&rec->req.pipeline->unacked, n, __ATOMIC_SEQ_CST);
  int64_t left = __atomic_sub_fetch(&rec->run.unacked, n, __ATOMIC_SEQ_CST);
  if (left <= RESUME_BYTES && left + n > RESUME_BYTES) unpark(rec);
}

void core_cancel(core_record *rec) {
  CORE_CHECK(CORE_NO_GIL | CORE_SERVING | CORE_ENDED);
  __atomic_store_n(&rec->cancelled, 1, __ATOMIC_SEQ_CST);
  core_mode_of(rec)->cancelled(rec);
}

void core_pool_cancelled(core_record *rec) {
  unpark(rec);
  if (UNLIKELY(rec->req.websocket)) core_schedule(rec);
}

/* --- inputs; without the GIL ---------------------------------------------
 *
 * Passes inputs of WebSockets with callbacks from the event loop to a thread of the pool. */

static core_list delivered; /* used by the event loop only: records that have inputs, but are not in the queue yet */

void core_deliver(uintptr_t record, uintptr_t input) {
  CORE_CHECK(CORE_NO_GIL | CORE_ON_LOOP | CORE_SERVING | CORE_ENDED);
  core_record *rec = (core_record *)record;
  if (UNLIKELY(((core_input *)input)->op == CORE_OP_CLOSE)) __atomic_store_n(&rec->closing, 1, __ATOMIC_RELAXED);
  core_mode_of(rec)->deliver(rec, (core_input *)input);
}

void core_pool_deliver(core_record *rec, core_input *in) {
  core_lock();
  int open = rec->inputs.open, wake = open && !rec->inputs.scheduled;
  if (open) {
    core_append_input(rec, in);
    rec->inputs.scheduled = 1;
  }
  core_unlock();
  if (!open) free(in);
  if (!wake) return;
  rec->run.job = CORE_INPUTS;
  core_list_append(&delivered, rec, rec);
}

void core_enqueue_delivered(void) {
  if (!delivered.first) return;
  CORE_LOCKED();
  the_pool.mode->enqueue(delivered.first, delivered.last, 0);
  delivered = (core_list){NULL, NULL};
}

static void enqueue(core_record *rec) {
  rec->run.job = CORE_INPUTS;
  the_pool.mode->enqueue(rec, rec, 0);
}

void core_schedule(core_record *rec) {
  core_lock();
  int due = rec->inputs.open && !rec->inputs.scheduled;
  if (due) {
    rec->inputs.scheduled = 1;
    enqueue(rec);
  }
  core_unlock();
  if (due) the_pool.mode->wake();
}

void core_give_way(core_record *rec) {
  core_lock();
  enqueue(rec);
  core_unlock();
  the_pool.mode->wake();
}

PyObject *core_input_message(const core_input *in) {
  return in->op == CORE_OP_TEXT ? PyUnicode_DecodeUTF8(in->data, (Py_ssize_t)in->len, NULL)
                                : PyBytes_FromStringAndSize(in->data, (Py_ssize_t)in->len);
}

core_part *core_credit_part(core_record *rec, const core_input *in) {
  rec->run.credit += (int64_t)in->len + CORE_INPUT_COST;
  if (rec->run.credit < CORE_INPUT_WINDOW / 8) return NULL;
  core_part *p = core_part_new(rec, 0);
  if (!p)
    return PyErr_Clear(), NULL; /* run.credit keeps its value, so a part for a later input will report this input too */
  p->op = CORE_OP_CREDIT;
  p->number = rec->run.credit;
  rec->run.credit = 0;
  return p;
}

void core_free_inputs(core_input *in) {
  while (in) {
    core_input *next = in->next;
    free(in);
    in = next;
  }
}
