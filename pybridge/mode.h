/* The three ways to run Python: on the pool's threads (threads.c), on the event loop (inline.c, --threads 0), and on
 * the asyncio thread (async.c).
 *
 * The tables are constant. The pool owns the choice: fapws_the_pool.mode is &fapws_threads or &fapws_inline from
 * fapws_pool_start on. A mount runs in that mode or in &fapws_asyncio (fapws_mount.mode), and a thread belongs to one
 * mode (fapws_thread.mode). Other files call these functions and do not ask which mode it is. */
#ifndef FAPWS_MODE_H
#define FAPWS_MODE_H

#include "record.h"

struct fapws_thread;

typedef struct fapws_mode {
  /* Whether code on its threads may wait for a client: not if only the same thread could make room. */
  int may_wait;

  /* Called once by fapws_pool_start, with the GIL, on Python's main thread. 0, or -1 with errno. */
  int (*prepare)(void);

  /* --- records; without the GIL */

  /* Queues the chain from first to last, of which n are requests. Any thread, with the pool's mutex. The caller has to
   * call start or wake afterwards. */
  void (*enqueue)(fapws_record *first, fapws_record *last, int n);
  /* Has records that were queued on the event loop run. On the event loop, without the mutex; in inline mode it runs
   * them, with the GIL. Returns as fapws_serve. */
  int (*start)(void);
  /* Has queued records run soon. Any thread, without the mutex. */
  void (*wake)(void);
  /* Has the thread of rec continue rec's iterator. Any thread, without the mutex. */
  void (*resume)(fapws_record *rec);
  /* Takes rec out of the queue, and returns whether it was there. Any thread, with the mutex. */
  int (*dequeue)(fapws_record *rec);
  /* Adds an input to rec, and takes it over. On the event loop, without the mutex. The caller has to call start
   * afterwards. */
  void (*deliver)(fapws_record *rec, fapws_input *in);
  /* The client of rec has disconnected. Any thread, without the mutex. */
  void (*cancelled)(fapws_record *rec);
  /* The FAPWS_ state of rec, which its thread has taken (shim_stack.h). Any thread. */
  int (*state_of)(fapws_record *rec, int *thread);
  /* Releases the mode's members of rec before its last part is published. On its thread, with the GIL. */
  void (*forget)(fapws_record *rec);

  /* --- threads; called on t itself, with the GIL */

  /* Wakes the event loop for parts that t has published. */
  void (*wake_loop)(void);
  /* The handler on t has called write(): sends the parts, and waits for the client where that is possible. */
  void (*written)(struct fapws_thread *t, fapws_record *rec);
  /* Whether the iterator of rec yields its thread after a chunk. ns: time since it got the thread. */
  int (*stream_yields)(const struct fapws_thread *t, const fapws_record *rec, uint64_t ns);
  /* Whether a WebSocket yields its thread between two messages. ns: approximate time of its callbacks. */
  int (*messages_yield)(const struct fapws_thread *t, uint64_t ns);

  /* --- only in modes of the pool */

  /* The event loop runs from now on, and wakes when signals is written. On the event loop, without the GIL. */
  void (*attached)(int signals);
  /* Has the application's signal handlers run on Python's main thread. Any thread, without the mutex. */
  void (*signalled)(void);
  /* Has objects of released parts freed (garbage.c). Any thread, without the mutex. */
  void (*collect)(void);
  /* Has another thread replace t, which does not return from its job. Any thread, with the mutex. */
  void (*replace)(struct fapws_thread *t);
} fapws_mode;

extern const fapws_mode fapws_threads, fapws_inline, fapws_asyncio;

#endif
