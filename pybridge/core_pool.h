/* The threads that run Python, the pool, and the queues of records and parts.
 *
 * core_the_pool owns the threads, the mounts and the queue, and lives as long as the process. The pool's mutex guards
 * the members whose comments mention it, and is never held while a thread waits for the GIL. A list owns the records in
 * it. A thread that takes a record from a list owns the record until the thread publishes the last part of the
 * response. */
#pragma once

#include "core_python.h"
#include "shim.h"

/* =============================================================================
 * The three ways to run Python: on the pool's threads (core_threads.c), on the event loop (core_inline.c, --threads 0),
 * and on the asyncio thread (asgi_thread.c).
 *
 * live_start_pool sets the mode of the pool, core_the_pool.mode, to &core_threads or &core_inline. The handlers of a
 * mount run in the mode of the pool, or in &asgi_mode (core_mount.mode). Each thread belongs to one mode
 * (core_thread.mode). */

typedef struct {
  core_record *first, *last;
} core_list;

struct core_thread;

typedef struct core_mode {
  /* Whether code on threads of this mode is permitted to wait for a client. In inline mode the wait would never end,
   * because only the waiting thread could send data to the client. On the asyncio thread the wait would block all
   * tasks. */
  int may_wait;

  /* Called once by live_start_pool, with the GIL, on Python's main thread; returns 0, or -1 with errno. */
  int (*prepare)(void);

  /* --- records; without the GIL, on any thread, and without the pool's mutex unless a comment says otherwise */

  /* Queues the chain of records from first to last, of which n records are new requests. The caller must hold the
   * pool's mutex, and must then call the function start or wake. */
  void (*enqueue)(core_record *first, core_record *last, int n);
  /* Starts the records that the event loop has queued. In inline mode, takes the GIL and runs the records. Called on
   * the event loop. Returns -1, or an exit status like core_serve. */
  int (*start)(void);
  void (*wake)(void);
  /* Makes the thread that runs rec continue the iterator of rec. */
  void (*resume)(core_record *rec);
  /* Removes rec from the queue, and returns whether rec was in the queue. The caller must hold the mutex. */
  int (*dequeue)(core_record *rec);
  /* Adds an input to rec, on the event loop, and takes ownership of the input. The caller must then call the function
   * start. */
  void (*deliver)(core_record *rec, core_input *in);
  /* Called after the client of rec has disconnected. */
  void (*cancelled)(core_record *rec);
  /* Returns the state of a record that a thread has taken: CORE_RUNNING, or a value that follows CORE_RUNNING in
   * shim.h. */
  int (*state_of)(core_record *rec, int *thread);
  /* Called on the thread of rec, with the GIL, before the last part of rec is published, to release the objects that
   * the mode keeps for rec. NULL if the mode keeps no objects. */
  void (*forget)(core_record *rec);

  /* --- threads; called on the thread t itself, with the GIL */

  /* Wakes the event loop for parts that the current thread has published. */
  void (*wake_loop)(void);
  /* Called when the handler on t has called write(). Sends the published parts. If threads of the mode are permitted to
   * wait, then waits until the client has received enough, or until the atomic flag *ends is set. */
  void (*written)(struct core_thread *t, core_record *rec, const uint8_t *ends);
  /* Whether the iterator of rec must yield its thread after a chunk. The parameter ns is the time for which the
   * iterator has used the thread. */
  int (*stream_yields)(const struct core_thread *t, const core_record *rec, uint64_t ns);
  /* Whether a WebSocket must yield its thread between two messages. The parameter ns is the approximate time that its
   * callbacks have taken. */
  int (*messages_yield)(const struct core_thread *t, uint64_t ns);

  /* --- only in modes of the pool; on any thread, without the pool's mutex unless a comment says otherwise */

  /* Called without the GIL when the event loop begins to run, on the thread of the event loop. A write to the
   * descriptor in the parameter signals wakes the event loop. */
  void (*attached)(int signals);
  /* Makes Python's main thread run the application's signal handlers. */
  void (*signalled)(void);
  /* Makes a thread free the objects of released parts (core_output.c). */
  void (*collect)(void);
  /* Makes a second thread replace t, which does not return from its job; the caller must hold the mutex. */
  void (*replace)(struct core_thread *t);
} core_mode;

/* =============================================================================
 * The threads of the pool. The functions are called without the GIL.
 *
 * The pool owns the core_thread objects, which live as long as the process: a new thread reuses the object of a thread
 * that ended. Only the thread itself changes its core_thread object, except for members guarded by the pool's mutex. */

/* A thread in the state CORE_THREAD_ENDING accepts no further jobs, and releases its Python objects. */
enum core_thread_state { CORE_THREAD_NEW, CORE_THREAD_IDLE, CORE_THREAD_BUSY, CORE_THREAD_ENDING, CORE_THREAD_GONE };

/* Reasons why a thread does not count for core_pool.max during its job, so that a second thread is permitted to run in
 * its place. CORE_WAITS_FOR_CLIENT: write() or send() waits for a slow client. CORE_WAITS: the handler has waited for a
 * long time, but not for its client (core_monitor.c). CORE_STUCK: the request has timed out. */
typedef enum { CORE_COUNTS, CORE_WAITS_FOR_CLIENT, CORE_WAITS, CORE_STUCK, CORE_ASIDE_REASONS } core_aside;

typedef struct core_thread {
  int index;
  const struct core_mode *mode;
  enum core_thread_state state; /* guarded by pool.mu */
  pthread_t id;
  pid_t tid;
  sem_t sleep; /* posted to wake the thread from the IDLE state */
  int retire;  /* the thread has been idle for RETIRE_S, and will end */
  /* Guarded by pool.mu: records whose iterators run on this thread; in inline mode, all records. */
  core_list inbox;
  int streams;             /* number of iterators that have begun, but not ended; the thread must wait for their end */
  unsigned long jobs;      /* atomic, written by the thread itself: number of jobs that the thread has taken */
  int prefer_inbox;        /* the next job is from the inbox, not a new request */
  int collect;             /* the thread was woken to free released objects */
  int unsignalled;         /* number of parts for which the event loop was not woken yet */
  uint64_t unsignalled_ns; /* approximate duration of the jobs that have made the unsignalled parts */
  PyObject *spare_start;   /* owned: a Start_response object for the next request */
  PyThreadState *python;
  core_record *current; /* the record whose code the thread runs; written under the GIL */
  int raised;           /* under the GIL: fapws.Timeout was raised for the record in the member current */
  int signalled;        /* under the GIL: the signal of a timeout was sent, but was not handled yet */
  core_aside aside;     /* guarded by pool.mu; changed by core_set_aside */
  int64_t large;        /* guarded by pool.mu: bytes that the response of the current job may need at once; 0 if few */
  struct {
    unsigned long jobs;
    uint64_t cpu_ns;            /* CPU time of the thread when the monitor last checked the thread */
    uint64_t since_ns;          /* when the monitor first saw the job, or last saw the job use the CPU */
    uint64_t own_ns, others_ns; /* CPU time of the thread, and of all handlers, at the time since_ns */
  } seen;
} core_thread;

/* Returns the thread that has taken rec, or NULL; can be called on any thread. */
static inline core_thread *core_thread_of(const core_record *rec) {
  return __atomic_load_n(&rec->run.thread, __ATOMIC_RELAXED);
}
static inline void core_give_to(core_record *rec, core_thread *t) {
  __atomic_store_n(&rec->run.thread, t, __ATOMIC_RELAXED);
}

/* Returns the number of jobs that t has taken; can be called on any thread. */
static inline unsigned long core_jobs_of(const core_thread *t) { return __atomic_load_n(&t->jobs, __ATOMIC_RELAXED); }
static inline void core_count_job(core_thread *t) { __atomic_store_n(&t->jobs, t->jobs + 1, __ATOMIC_RELAXED); }

/* =============================================================================
 * The pool, which runs records. */

/* If a call of a handler takes longer than one of these two times, queued requests are given to a second thread instead
 * of waiting for the handler. CORE_SLOW_NS is for handlers that wait, and, without the GIL (core_shared.parallel), for
 * all handlers. CORE_HEAVY_NS is for handlers that only compute, which under the GIL run no faster with a second
 * thread. */
#define CORE_SLOW_NS 100000u
#define CORE_HEAVY_NS 1000000u
/* If a call of a handler takes less than this time, only one in 16 calls is timed, because reading the clock for each
 * call would be too slow. */
#define CORE_QUICK_NS 20000u
/* Without the GIL, a further thread is woken if the jobs in the queue would together take longer than this time. */
#define CORE_LONG_NS 100000u
/* Approximate maximum time for which a finished part waits until the event loop is woken, if few requests are
 * queued. */
#define CORE_UNSIGNALLED_NS 250000
/* Approximate maximum time for which an iterator or a WebSocket uses a thread without a break if other records wait for
 * the thread. */
#define CORE_SHARE_NS 1000000u

/* Values of *core_pool.loop_state, which is the state of an eventloop.Waker. */
#define CORE_LOOP_ASLEEP 1
#define CORE_LOOP_CALLED 2

/* An entry of PATHS. A core_mount lives as long as the process, and is constant except for the member state, the number
 * of calls, and the averages. */
typedef struct {
  const struct core_kind *kinds[2]; /* protocol for plain requests, and protocol for requests for a WebSocket */
  const core_mode *mode;
  int relative;    /* ASGI: scope['path'] does not begin with scope['root_path'] */
  PyObject *state; /* ASGI: the dict scope['state'] that the lifespan has filled */
  PyObject *callable;
  PyObject *name; /* owned: name of the handler in log lines */
  /* Text that identifies the mount's fapws.WebSocket in all processes, or NULL if the mount has none. Allocated by
   * malloc. */
  char *place;
  PyObject *environ; /* borrowed, immortal: the class of environ, or NULL for a dict */
  PyObject *start;   /* borrowed, immortal: the class of start_response, or NULL for the built-in one */
  /* Number of calls. This number and the following averages are atomic, and only approximate, because threads change
   * them without a lock. */
  unsigned calls;
  uint64_t run_ns;   /* moving average of the duration of a call */
  uint64_t wait_ns;  /* the same average, but calls that did not wait count as 0 */
  uint64_t close_ns; /* moving average of the duration of a result's close() */
  uint64_t chunk_ns; /* moving average of the duration of an iterator's next() */
  /* Size in bytes of the largest recent part of a response, or 0 if all parts are small. */
  int64_t large;
} core_mount;

static inline uint64_t core_average_of(const uint64_t *average) { return __atomic_load_n(average, __ATOMIC_RELAXED); }
static inline uint64_t core_run_ns(const core_mount *m) { return core_average_of(&m->run_ns); }

typedef struct {
  core_shared shared;
  const core_mode *mode;
  const core_mode *coroutines; /* &asgi_mode, the mode of mounts whose handlers are coroutines */
  void (*thread_ends)(void);   /* called with the GIL by a thread that is about to end, to free its caches */
  pthread_mutex_t mu;          /* guards the following members, up to and including the member pops */
  core_list queue;
  core_thread *drainer;                   /* the thread that runs quick jobs (core_threads.c) */
  core_thread *threads[CORE_MAX_THREADS]; /* element 0 is Python's main thread */
  int nthreads, live, idle;
  /* Number of threads for each reason (core_aside); the element CORE_COUNTS has no meaning. */
  int aside[CORE_ASIDE_REASONS];
  int hurry;                    /* all threads have waited recently, so every handler is treated as slow */
  int stopping, monitor_parked; /* written atomically, because threads read them without the mutex */
  int check_signals;
  int64_t large;          /* sum of core_thread.large over all threads that are not set aside */
  int exit_code;          /* exit status if a signal handler of the application called sys.exit, otherwise -1 */
  unsigned long pops;     /* number of records taken from the queue, for the monitor */
  pthread_cond_t monitor; /* signalled to wake the monitor; belongs to the mutex mu */
  /* Atomic: nonzero after thread 0 has begun to run handlers. While the member is 0, requests wait, and no further
   * thread is started. */
  int serving;
  /* Atomic: descriptor that wakes the event loop (eventloop.Waker). This member and all following members except
   * garbage are constant while the event loop runs. */
  int signal_fd;
  int event_fd;
  int32_t *loop_state; /* state of the event loop (eventloop.Waker): CORE_LOOP_... */
  int max;
  int cpus; /* number of processors that threads can use at the same time */
  int debug;
  int send_fields;
  int max_event; /* maximum size of an event in bytes, or 0 before the settings are known */
  core_mount *mounts;
  int nmounts;
  core_part *garbage; /* atomic: stack of released parts that own an object (core_output.c) */
} core_pool;

/* --- core_pool.c: without the GIL -------------------------------------------- */

/* Starts requests that were waiting because of CORE_UNSEEN_MAX; any thread, without the mutex of the pool. */
void core_may_start(void);

extern core_pool core_the_pool;
static inline core_mount *core_mount_of(const core_record *rec) { return &core_the_pool.mounts[rec->req.mount]; }

/* Creates the pool, but not its mounts, with the GIL, on Python's main thread. The parameters coroutines and
 * thread_ends become members of the pool. */
void core_pool_start(const core_options *o, const core_mode *coroutines, void (*thread_ends)(void));
/* Ends rec, whose handler never ran, and releases the objects of rec. Returns the part0 of rec, which the caller must
 * publish as the last part. */
core_part *core_give_up(core_record *rec);
uint64_t core_now_ns(void);
void core_cond_init(pthread_cond_t *c);
/* Lock and unlock the pool's mutex. Each function that releases the mutex, even if only during a wait, also wakes the
 * thread that core_wake_thread has selected. */
void core_lock(void);
void core_unlock(void);
/* Wait until c is signalled; the caller must hold the mutex. core_wait_until returns 1 if c was signalled, or 0 if the
 * deadline passed first. The parameter until is the deadline, in ns, like core_now_ns. */
void core_wait(pthread_cond_t *c);
int core_wait_until(pthread_cond_t *c, uint64_t until);
/* If t is idle, ends its idle state, and selects t to be woken when the mutex is released; the caller must hold the
 * mutex. */
void core_wake_thread(core_thread *t);
/* Returns the number of threads that count for core_pool.max; the caller must hold the mutex. */
static inline int core_counted_threads(void) {
  const int *aside = core_the_pool.aside;
  return core_the_pool.live - aside[CORE_WAITS_FOR_CLIENT] - aside[CORE_WAITS] - aside[CORE_STUCK];
}
/* Whether a further thread would empty the queue earlier; the caller must hold the mutex. */
static inline int core_queue_is_long(void) {
  const core_pool *p = &core_the_pool;
  return p->shared.parallel && p->queue.first &&
         __atomic_load_n(&p->shared.queued, __ATOMIC_RELAXED) * core_run_ns(core_mount_of(p->queue.first)) >
             CORE_LONG_NS;
}
void core_request_exit(int code);
void core_resume(core_record *rec);
static inline const core_mode *core_mode_of(const core_record *rec) { return core_mount_of(rec)->mode; }

/* Locks the mutex until the end of the block. */
#define CORE_LOCKED() __attribute__((cleanup(core_unlock_after))) int core_locked = (core_lock(), 1)
static inline void core_unlock_after(const int *locked) { core_unlock(); }

/* --- core_threads.c; the pool's mutex is held -------------------------------- */

/* The core_thread of the current thread, or NULL if the thread does not run handlers. */
extern __thread core_thread *core_this_thread;
extern const core_mode core_threads;
/* If no thread is the drainer, makes the idle thread with the lowest index the drainer. Thread 0 is preferred because
 * many Python objects can be used only on Python's main thread, and because the threads with higher indices can end
 * when they stay idle. */
void core_appoint_drainer(void);
/* Starts a further thread, if possible, and returns whether the thread was started. */
int core_spawn_thread(void);
/* Sets the reason why t does not count for core_pool.max. A thread that does not count is not the drainer, so an idle
 * thread becomes the drainer instead. */
void core_set_aside(core_thread *t, core_aside why);
/* Returns the first record of the queue that can run now, or NULL; the caller must hold the mutex. Requests with large
 * responses wait while others are being made, because each thread could otherwise hold a large object. */
core_record *core_next_in_queue(void);
/* Marks the current thread as waiting for its client. Until core_continue_thread is called, a second thread is
 * permitted to run in its place, so that slow clients do not delay other clients. Returns 1 if the current thread is
 * permitted to wait. Returns 0 if too many of the CORE_MAX_THREADS threads already wait. */
int core_pause_thread(void);
void core_continue_thread(void);

/* --- core_monitor.c --------------------------------------------------------------- */

/* Starts the monitor unless it already runs; returns 0, or -1 with errno. */
int core_start_monitor(void);
/* Wakes the monitor if it sleeps; the caller must hold the mutex. */
void core_wake_monitor(void);
/* Returns the start of the period in which no thread has taken a record although the queue is not empty, in ns like
 * core_now_ns. Returns 0 if the queue is empty. The caller must hold the mutex. */
uint64_t core_stalled_since(void);
/* Returns how long the first request in the queue has waited, in ns, or 0 if the queue is empty or a thread is idle.
 * The caller must hold the mutex. */
uint64_t core_first_waits(uint64_t now);

/* --- core_inline.c ----------------------------------------------------------- */

extern const core_mode core_inline;

/* --- handler.go ------------------------------------------------------------- */

/* In inline mode, on the event loop, sends finished parts while a handler runs, without starting a further handler. */
void core_loop_send_now(void);

/* --- core_run.c ------------------------------------------------------------------ */

/* Adds a sample, in ns, to a moving average; can be called on any thread, without a lock. */
void core_average(uint64_t *average, uint64_t sample);
/* Gives rec, a request, to the thread t, and initializes the members of rec that the Python side uses. Returns 1, or 0
 * if the request must not run and the event loop owns rec again. */
int core_record_begin(core_thread *t, core_record *rec);
/* Runs the next job of rec on the thread t. On a thread of the pool, core_run returns when t is free for a different
 * record. On the asyncio thread, core_run returns when the iterator yields the thread. */
void core_run(core_thread *t, core_record *rec);
/* Measures one call of a handler, for the averages of its mount. */
typedef struct {
  uint64_t began;
  long waits;
  uint8_t timed, watched;
} core_timing;
void core_begin_timing(core_timing *x, core_mount *m);
void core_end_timing(const core_timing *x, core_mount *m);

/* =============================================================================
 * The protocols by which handlers are called. On the pool's threads: WSGI, for all plain functions of PATHS
 * (wsgi_run.c), and callbacks of a fapws.WebSocket (live_websocket.c). On the asyncio thread: ASGI for HTTP
 * (asgi_http.c), ASGI for WebSockets (asgi_websocket.c), and async functions (asgi_handler.c).
 *
 * A core_kind implements one of these protocols. A mount has one core_kind for plain requests, and one for requests for
 * a WebSocket (core_mount.kinds, live_module.c). */

/* All functions of a core_kind are called with the GIL, on the thread to which t refers. */
typedef struct core_kind {
  /* Runs the handler of rec, a request that has just begun on the thread t. The response can be incomplete when the
   * function returns. */
  void (*run)(core_thread *t, core_record *rec);
  /* Continues the iterator of rec, or is NULL if handlers of this kind do not return iterators. */
  void (*resume)(core_thread *t, core_record *rec);
  /* Runs the callbacks for the inputs of rec, or is NULL if core_mode.deliver does not queue records of this kind. */
  void (*run_inputs)(core_thread *t, core_record *rec);
} core_kind;

static inline const core_kind *core_kind_of(const core_record *rec) {
  return core_mount_of(rec)->kinds[rec->req.websocket != 0];
}

/* =============================================================================
 * Lists of records: the queue, and the inbox of each thread. The inbox contains records whose iterators continue on the
 * thread and, in inline mode, all records. The caller must hold the pool's mutex. */

/* core_count_queued can also be called without the mutex, by the event loop in inline mode. */
static inline void core_count_queued(int n) {
  __atomic_add_fetch(&core_the_pool.shared.queued, (uint32_t)n, __ATOMIC_RELAXED);
}

static inline void core_list_append(core_list *list, core_record *first, core_record *last) {
  last->next = NULL;
  *(list->last ? &list->last->next : &list->first) = first;
  list->last = last;
}

static inline void core_list_prepend(core_list *list, core_record *first, core_record *last) {
  last->next = list->first;
  list->first = first;
  if (!list->last) list->last = last;
}

static inline core_record *core_list_pop(core_list *list) {
  core_record *rec = list->first;
  list->first = rec->next;
  if (!list->first) list->last = NULL;
  return rec;
}

/* Removes rec from the list, and returns whether the list contained rec. */
static inline int core_list_unlink(core_list *list, core_record *rec) {
  core_record *before = NULL;
  for (core_record *r = list->first; r; before = r, r = r->next) {
    if (r != rec) continue;
    *(before ? &before->next : &list->first) = rec->next;
    if (list->last == rec) list->last = before;
    return 1;
  }
  return 0;
}

/* =============================================================================
 * Measures how long requests and threads wait; called with the GIL, unless the comment of a function says otherwise. */

/* --- core_metrics.c ---------------------------------------------------------- */

extern int core_waits_enabled; /* atomic */

/* Called directly before the handler of rec runs, to count the time for which rec has waited. */
void core_count_queue_wait(const core_record *rec);
/* Takes the GIL for the current thread, and counts the time for which the thread waited for the GIL; called without the
 * GIL. The parameter state is Python's thread state of the current thread. */
void core_take_gil_counted(PyThreadState *state);
extern PyMethodDef core_metric_methods[];

static inline int core_waits_are_counted(void) {
  return __builtin_expect(__atomic_load_n(&core_waits_enabled, __ATOMIC_RELAXED), 0);
}

/* =============================================================================
 * Parts for the event loop, and inputs from the event loop.
 *
 * The record owns an input until a thread takes the input. shim.h describes who owns a part. */

/* --- core_output.c ----------------------------------------------------------- */

/* Creates a part for rec, with room for this number of bytes in the member buf; the caller must publish or free the
 * part. */
core_part *core_part_new(core_record *rec, size_t room);
void core_part_reset(core_part *p, core_record *rec);
/* Makes room for n further bytes in p->buf. */
int core_part_reserve(core_part *p, size_t n);
/* Frees a part that is not part0, and everything that the part owns. The caller must hold the GIL. */
void core_part_delete(core_part *p);
/* Appends n bytes to p->buf, and stores their offset in *off. */
int core_part_put(core_part *p, const char *data, size_t n, uint32_t *off, uint32_t *len);

/* Bodies with fewer bytes are copied, because copying them is cheaper than keeping their object. */
#define CORE_COPY_BELOW 16384
/* Parts of a response that are published together, linked by their member next. The caller owns all parts except
 * part0. */
typedef struct {
  core_record *rec;
  core_part *first, *last;
} core_chain;
/* Adds n bytes of the object owner to the response body, or fewer if the body would exceed its Content-Length. Copies
 * the bytes into the last part, or adds a part with a reference to owner. Must be called after core_write_head. Returns
 * -1 with MemoryError on failure. */
int core_add_body(core_chain *c, PyObject *owner, const char *data, size_t n);
/* Frees all parts of the chain except part0. */
void core_chain_abandon(core_chain *c);
/* Counts n further bytes of the response body of rec, and returns how many of them the caller can send. If the body
 * exceeds its Content-Length, the result is less than n, and a line is written to the error log. Must be called after
 * core_write_head. */
int64_t core_fit_body(core_record *rec, int64_t n);
/* Whether the response body of rec, which is complete, is shorter than its Content-Length; if so, also writes a line to
 * the error log. */
int core_body_is_short(core_record *rec);
/* Creates a part that closes the WebSocket of rec, with a copy of the text reason. Returns NULL without an exception if
 * memory is exhausted; can be called on any thread, without the GIL. */
core_part *core_close_frame(core_record *rec, int code, const char *reason, size_t n);

/* Whether a close frame is permitted to contain the code (RFC 6455 §7.4). */
int core_sendable_code(long code);
typedef struct {
  PyObject *owner; /* new reference to the object that contains the bytes */
  const char *data;
  Py_ssize_t len;
  int op;
} core_message;
/* Stores the bytes of the object o in *m. A str becomes a text message, and bytes or a similar object a binary message.
 * On failure, sets m->owner to NULL, and returns -1 with an exception. The parameter wrong is the format of the text of
 * a TypeError. The format has two arguments: the name of the type of o, and o itself. */
int core_read_text(PyObject *o, core_message *m, const char *wrong);
int core_read_message(PyObject *o, core_message *m);
core_part *core_part_of(core_record *rec, const core_message *message);
core_part *core_message_part(core_record *rec, PyObject *message);
/* Returns the number by which the event loop identifies the WebSocket of rec. The number changes when the record is
 * reused. */
static inline uint64_t core_socket_number(const core_record *rec) { return (uint64_t)rec->serial << 32 | rec->ticket; }
/* Frees released parts that own Python objects. */
void core_collect_garbage(void);
/* Whether a thread must call core_collect_garbage before its next job; needs no lock. */
int core_garbage_is_large(void);

/* The following functions can be called without the GIL. */

/* Wakes the event loop if it sleeps (eventloop.Waker); can be called on any thread. */
void core_signal_loop(void);
/* Adds a part to the list of finished parts, without waking the event loop; can be called on any thread. */
void core_push_part(core_part *p);
/* Publishes a part. From then on, the event loop can read and release the part at any time. */
void core_publish(core_thread *t, core_part *p);
void core_publish_chain(core_thread *t, const core_chain *c);
void core_notify(core_thread *t);
/* Returns the maximum time, in ns, for which finished parts wait before the event loop is woken for them. If all queued
 * requests are for the mount m, this time is a quarter of the time that they will take. The result is at least
 * CORE_UNSIGNALLED_NS, and at most eight times CORE_UNSIGNALLED_NS. The delay saves most wake-ups. */
uint64_t core_notify_after(const core_mount *m);

/* --- core_flow.c ------------------------------------------------------------- */

void core_flow_init(void);
/* Gives rec, a request that the thread t has taken, back to the event loop if earlier responses on its connection still
 * wait for the client, or if too many requests of the connection run. Returns 1 if the event loop now owns rec; the
 * event loop will resume rec later. */
int core_defer(core_thread *t, core_record *rec);
static inline int core_may_defer(core_record *rec) { return rec->req.pipeline != NULL; }
/* Whether new requests must not begin before the event loop has handled published parts, or before released objects are
 * freed. */
static inline int core_loop_is_behind(void) {
  return __atomic_load_n(&core_the_pool.shared.unseen, __ATOMIC_SEQ_CST) > core_the_pool.shared.unseen_max;
}
/* Whether the handler must not send more, because too much of the response already waits for the client. */
int core_must_wait(core_record *rec);
/* If the client of rec has not received enough of the response yet, marks rec as parked, and returns 1. Otherwise
 * returns 0. */
int core_park(core_record *rec);
/* Releases the GIL, and waits until more data can be sent to the client of rec, or until the WebSocket ends. Waits for
 * at most this number of seconds; a negative number means no limit. Returns whether more data can be sent. */
int core_wait_for_client(core_record *rec, double seconds);
/* Wakes all threads that wait in core_wait_for_client for rec, and waits until their calls have returned; the caller
 * must hold the mutex. */
void core_release_senders(core_record *rec);
/* Waits after write() until the client of rec has received enough of the response, or until *ends is set. */
void core_wait_for_room(core_record *rec, const uint8_t *ends);
/* Wakes all threads in core_wait_for_room, and waits until the atomic counter *writers is 0; releases the GIL during
 * the wait. */
void core_wait_for_writers(const uint32_t *writers);
void core_writer_left(void);
void core_pool_cancelled(core_record *rec);
/* Whether the client of rec has disconnected; can be called on any thread. */
int core_is_cancelled(core_record *rec);

/* The following functions are called without the GIL, unless the comment of a function says otherwise. */

void core_pool_deliver(core_record *rec, core_input *in);
/* Queues the records to which core_pool_deliver has added inputs; must be called on the event loop, without the
 * mutex. */
void core_enqueue_delivered(void);
/* Queues rec for a job CORE_INPUTS, unless rec is already queued, already runs, or no longer takes inputs; can be
 * called on any thread, without the mutex. */
void core_schedule(core_record *rec);
/* Adds rec, which is running, to the end of the queue. */
void core_give_way(core_record *rec);
/* Adds an input to the inputs of rec; the caller must hold the mutex. */
static inline void core_append_input(core_record *rec, core_input *in) {
  in->next = NULL;
  *(rec->inputs.first ? &rec->inputs.last->next : &rec->inputs.first) = in;
  rec->inputs.last = in;
}
/* Removes all inputs of rec, and returns them as a list; the caller must hold the mutex. */
static inline core_input *core_take_inputs(core_record *rec) {
  core_input *in = rec->inputs.first;
  rec->inputs.first = rec->inputs.last = NULL;
  return in;
}
/* Returns the message in an input of a WebSocket, as str or bytes; needs the GIL. */
PyObject *core_input_message(const core_input *in);
/* Counts the bytes of an input as taken by the application, so that the client may send that many more; needs the GIL.
 * Returns a part that reports the number of taken bytes to the event loop. The caller must publish the part. Returns
 * NULL while the number is still small. */
core_part *core_credit_part(core_record *rec, const core_input *in);
void core_free_inputs(core_input *in);
