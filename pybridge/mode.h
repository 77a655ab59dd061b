/* The three ways to run Python: on the pool's threads (threads.c), on the event loop (inline.c, --threads 0), and on the
 * asyncio thread (async.c).
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

  /* Puts the chain from first to last, of which n are requests, behind the records that wait. Any thread; the pool's
   * mutex is held. start or wake has to follow. */
  void (*enqueue)(fapws_record *first, fapws_record *last, int n);
  /* Has records that were enqueued on the event loop run. On the event loop, without the mutex; runs them there, with
   * the GIL, in inline mode. Returns as fapws_serve. */
  int (*start)(void);
  /* Has records that were enqueued run soon. Any thread, without the mutex. */
  void (*wake)(void);
  /* Has the thread of rec continue rec's iterator. Any thread, without the mutex. */
  void (*resume)(fapws_record *rec);
  /* Takes rec, whose request no thread has taken, from the records that wait. Any thread; the mutex is held. Returns
   * whether it was there. */
  int (*dequeue)(fapws_record *rec);
  /* Hands over an input, which it owns from here on. On the event loop, without the mutex; start has to follow. */
  void (*deliver)(fapws_record *rec, fapws_input *in);
  /* The client of rec has disconnected. Any thread, without the mutex. */
  void (*cancelled)(fapws_record *rec);
  /* The FAPWS_ state of rec, which its thread has taken (shim_stack.h). Any thread. */
  int (*state_of)(fapws_record *rec, int *thread);
  /* Gives up what belongs to the mode in rec, whose last part will be published. On its thread, with the GIL. */
  void (*forget)(fapws_record *rec);

  /* --- threads; called on t itself, with the GIL */

  /* Wakes the event loop for parts that t has published. Not needed if t is the event loop's. */
  void (*wake_loop)(void);
  /* The handler on t has called write(): sends the parts, and waits for the client where that is possible. */
  void (*written)(struct fapws_thread *t, fapws_record *rec);
  /* Whether the iterator of rec gives its thread up after a chunk. ns: since it has the thread. */
  int (*stream_yields)(const struct fapws_thread *t, const fapws_record *rec, uint64_t ns);
  /* Whether a WebSocket gives its thread up between two messages. ns: what its callbacks have taken, about. */
  int (*messages_yield)(const struct fapws_thread *t, uint64_t ns);

  /* --- the mode of the pool: &fapws_asyncio has none of these */

  /* The event loop runs from here on, and signals writes to it. On the event loop, without the GIL. */
  void (*attached)(int signals);
  /* Has the application's signal handlers run on Python's main thread. Any thread, without the mutex. */
  void (*signalled)(void);
  /* Has objects of released parts freed (garbage.c). Any thread, without the mutex. */
  void (*collect)(void);
  /* Has another thread take the place of t, which does not return from its job. Any thread; the mutex is held. */
  void (*replace)(struct fapws_thread *t);
} fapws_mode;

extern const fapws_mode fapws_threads, fapws_inline, fapws_asyncio;

#endif
