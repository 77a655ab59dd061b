/* Flow control. An iterator that is ahead of its client is parked and occupies no thread; only write() and send() of a
 * WebSocket wait on their thread, because the handler continues when they return. Another thread runs in its place. */
#include "response.h"

#include <time.h>

#define WINDOW_BYTES (256 * 1024) /* how far an iterator may be ahead of its client */
#define PIPELINE_RUNNING 2        /* maximum number of pipelined requests of a connection that run at the same time */
#define STREAMS_BYTES (16 << 20)  /* how far all streams of a connection may be ahead of its client */
enum { ITERATOR = 1, WRITER };    /* record.parked */

int fapws_must_wait(fapws_record *rec) { return __atomic_load_n(&rec->unacked, __ATOMIC_RELAXED) > WINDOW_BYTES; }

int fapws_defer(fapws_thread *t, fapws_record *rec) {
  fapws_pipeline *line = rec->pipeline;
  int running = __atomic_add_fetch(&line->running, 1, __ATOMIC_SEQ_CST);
  int64_t unacked = __atomic_load_n(&line->unacked, __ATOMIC_SEQ_CST);
  rec->counted = 1;
  if (fapws_is_cancelled(rec) || rec->resumed) return 0;
  if (LIKELY(rec->multiplexed ? unacked <= STREAMS_BYTES : running <= PIPELINE_RUNNING && unacked <= WINDOW_BYTES))
    return 0;
  __atomic_sub_fetch(&line->running, 1, __ATOMIC_SEQ_CST);
  rec->counted = 0;
  fapws_give_to(rec, NULL);
  fapws_part *p = &rec->part0;
  fapws_part_reset(p, rec);
  p->op = FAPWS_OP_DEFERRED;
  fapws_publish(t, p); /* rec is the loop's from here on */
  return 1;
}

int fapws_park(fapws_record *rec) {
  fapws_lock();
  int must = __atomic_load_n(&rec->unacked, __ATOMIC_SEQ_CST) > WINDOW_BYTES && !fapws_is_cancelled(rec);
  rec->parked = must ? ITERATOR : 0;
  int parked = rec->parked;
  fapws_unlock();
  return parked;
}

static pthread_cond_t writers; /* signaled when a client has room, or has disconnected */

void fapws_flow_init(void) { fapws_cond_init(&writers); }

int fapws_is_cancelled(fapws_record *rec) { return __atomic_load_n(&rec->cancelled, __ATOMIC_SEQ_CST) != 0; }

void fapws_wait_for_room(fapws_record *rec) {
  if (LIKELY(!fapws_must_wait(rec))) return;
  const uint8_t *ends = &((const fapws_start_object *)rec->start)->ends;
  Py_BEGIN_ALLOW_THREADS fapws_lock();
  fapws_pause_thread();
  while (__atomic_load_n(&rec->unacked, __ATOMIC_SEQ_CST) > WINDOW_BYTES && !fapws_is_cancelled(rec) &&
         !__atomic_load_n(ends, __ATOMIC_RELAXED)) {
    rec->parked = WRITER;
    fapws_wait(&writers);
  }
  rec->parked = 0;
  fapws_continue_thread();
  fapws_unlock();
  Py_END_ALLOW_THREADS
}

void fapws_wait_for_writers(const uint32_t *number) {
  Py_BEGIN_ALLOW_THREADS fapws_lock();
  pthread_cond_broadcast(&writers);
  while (__atomic_load_n(number, __ATOMIC_ACQUIRE)) fapws_wait(&writers);
  fapws_unlock();
  Py_END_ALLOW_THREADS
}

void fapws_writer_left(void) {
  fapws_lock();
  pthread_cond_broadcast(&writers);
  fapws_unlock();
}

int fapws_wait_for_client(fapws_record *rec, double seconds) {
  struct timespec until;
  clock_gettime(CLOCK_MONOTONIC, &until);
  double end = (double)until.tv_sec + (double)until.tv_nsec / 1e9 + seconds;
  if (seconds >= 0 && seconds < 1e9) {
    until.tv_sec = (time_t)end;
    until.tv_nsec = (long)((end - (double)until.tv_sec) * 1e9);
  }
  int room, late = 0;
  Py_BEGIN_ALLOW_THREADS fapws_lock();
  rec->senders++;
  fapws_pause_thread();
  for (;;) {
    room = __atomic_load_n(&rec->unacked, __ATOMIC_SEQ_CST) <= WINDOW_BYTES;
    if (room || late || !rec->open || fapws_is_cancelled(rec)) break;
    if (seconds >= 0 && seconds < 1e9)
      late = !fapws_wait_until(&writers, &until);
    else
      fapws_wait(&writers);
  }
  fapws_continue_thread();
  if (--rec->senders == 0 && !rec->open) pthread_cond_broadcast(&writers);
  fapws_unlock();
  Py_END_ALLOW_THREADS return room;
}

void fapws_release_senders(fapws_record *rec) {
  if (rec->senders) pthread_cond_broadcast(&writers);
  /* They need the mutex to return, and not the GIL. */
  while (rec->senders) fapws_wait(&writers);
}

static void unpark(fapws_record *rec) {
  fapws_lock();
  int was = rec->parked;
  rec->parked = 0;
  if (was == WRITER || rec->senders) pthread_cond_broadcast(&writers);
  fapws_unlock();
  if (was == ITERATOR) fapws_resume(rec);
}

void fapws_acked(uintptr_t record, int64_t n) {
  fapws_record *rec = (fapws_record *)record;
  if (UNLIKELY(rec->pipeline != NULL)) __atomic_sub_fetch(&rec->pipeline->unacked, n, __ATOMIC_SEQ_CST);
  int64_t left = __atomic_sub_fetch(&rec->unacked, n, __ATOMIC_SEQ_CST);
  if (left <= WINDOW_BYTES / 2 && left + n > WINDOW_BYTES / 2) unpark(rec);
}

void fapws_cancel(fapws_record *rec) {
  __atomic_store_n(&rec->cancelled, 1, __ATOMIC_SEQ_CST);
  fapws_mode_of(rec)->cancelled(rec);
}

void fapws_pool_cancelled(fapws_record *rec) {
  unpark(rec);
  if (UNLIKELY(rec->websocket)) fapws_schedule(rec); /* for on_close */
}
