/* The threads that run Python, the pool, and the queues of records and parts.
 *
 * core_the_pool owns threads, mounts and the queue, and lives as long as the process. The mutex of the pool guards the
 * members that say so, and is never held while a thread waits for the GIL. A record in a list belongs to the list. A
 * thread that takes a record owns the record until the thread publishes the last part of the response. A part belongs
 * to the thread that makes it until it is published, then to the event loop. */
#pragma once

#include "core_python.h"
#include "shim.h"

/* =============================================================================
 * The three ways to run Python: on the pool's threads (core_threads.c), on the event loop (core_inline.c, --threads 0),
 * and on the asyncio thread (asgi_thread.c).
 *
 * The tables of functions are constant. live_start_pool sets the mode of the pool, core_the_pool.mode, to &core_threads
 * or &core_inline. A mount runs in the mode of the pool or in &asgi_mode (core_mount.mode). Each thread belongs to one
 * mode (core_thread.mode). */

typedef struct {
  core_record *first, *last;
} core_list;

struct core_thread;

typedef struct core_mode {
  /* Whether code on threads of this mode may wait for a client. Code must not wait for a client if the thread is the
   * only one that can send data to clients. */
  int may_wait;

  /* Called once by live_start_pool, with the GIL, on Python's main thread. 0, or -1 with errno. */
  int (*prepare)(void);

  /* --- records; without the GIL */

  /* Queues the chain of records from first to last; n of the records are new requests. Any thread, with the pool's
   * mutex. The caller must then call start or wake. */
  void (*enqueue)(core_record *first, core_record *last, int n);
  /* Starts the records that were queued on the event loop. Called on the event loop without the mutex; in inline
   * mode it runs the records, with the GIL. Returns the result of core_serve. */
  int (*start)(void);
  /* Makes queued records run soon. Any thread, without the mutex. */
  void (*wake)(void);
  /* Makes the thread of rec continue rec's iterator. Any thread, without the mutex. */
  void (*resume)(core_record *rec);
  /* Takes rec out of the queue, and returns whether it was there. Any thread, with the mutex. */
  int (*dequeue)(core_record *rec);
  /* Adds an input to rec and takes ownership of the input. On the event loop, without the mutex. The caller must
   * then call start. */
  void (*deliver)(core_record *rec, core_input *in);
  /* Called when the client of rec has disconnected. Any thread, without the mutex. */
  void (*cancelled)(core_record *rec);
  /* Returns where rec is, a record that a thread has taken: CORE_RUNNING ... (shim.h). Any thread. */
  int (*state_of)(core_record *rec, int *thread);
  /* Releases what the mode keeps of rec, before the last part is published. On the thread of rec, with the GIL. NULL
   * if the mode keeps nothing. */
  void (*forget)(core_record *rec);

  /* --- threads; called on t itself, with the GIL */

  /* Wakes the event loop for parts that t has published. */
  void (*wake_loop)(void);
  /* Called when the handler on t has called write(): sends the parts. If the thread may wait, waits for the client
   * until *ends, which is atomic, is set. */
  void (*written)(struct core_thread *t, core_record *rec, const uint8_t *ends);
  /* Whether the iterator of rec yields its thread after a chunk. ns is the time since it got the thread. */
  int (*stream_yields)(const struct core_thread *t, const core_record *rec, uint64_t ns);
  /* Whether a WebSocket yields its thread between two messages. ns is the approximate time of its callbacks. */
  int (*messages_yield)(const struct core_thread *t, uint64_t ns);

  /* --- only in modes of the pool */

  /* Called when the event loop begins to run; signals is the descriptor that wakes it. On the event loop, without
   * the GIL. */
  void (*attached)(int signals);
  /* Makes Python's main thread run the application's signal handlers. Any thread, without the mutex. */
  void (*signalled)(void);
  /* Makes a thread free the objects of released parts (core_output.c). Any thread, without the mutex. */
  void (*collect)(void);
  /* Makes another thread replace t, which does not return from its job. Any thread, with the mutex. */
  void (*replace)(struct core_thread *t);
} core_mode;

/* =============================================================================
 * The threads of the pool. Without the GIL.
 *
 * The pool owns the core_thread objects, which live as long as the process: a new thread reuses the object of a
 * thread that ended. Only the thread changes its object, except for members guarded by the pool's mutex. */

/* An ENDING thread takes no more jobs and releases its Python objects. A new thread may reuse a GONE object. */
enum core_thread_state { CORE_THREAD_NEW, CORE_THREAD_IDLE, CORE_THREAD_BUSY, CORE_THREAD_ENDING, CORE_THREAD_GONE };

/* Reasons not to count a thread for core_pool.max during its job, so that another thread may run in its place:
 * write() or send() waits for a slow client, the handler has waited for something else for a long time
 * (core_monitor.c), or the request has timed out. */
typedef enum { CORE_COUNTS, CORE_WAITS_FOR_CLIENT, CORE_WAITS, CORE_STUCK, CORE_ASIDE_REASONS } core_aside;

typedef struct core_thread {
  int index;
  const struct core_mode *mode;
  enum core_thread_state state; /* guarded by pool.mu */
  pthread_t id;
  pid_t tid;
  sem_t sleep;             /* posted to wake the thread from the IDLE state */
  int retire;              /* the thread was idle for RETIRE_S, and ends */
  core_list inbox;         /* guarded by pool.mu: iterators of this thread (inline: all records) */
  int streams;             /* number of iterators of this thread, which must not end before the iterators */
  unsigned long jobs;      /* atomic, written by the thread: number of jobs it has taken */
  int prefer_inbox;        /* the next job is from the inbox, not a new request */
  int collect;             /* the thread was woken to free released objects */
  int unsignalled;         /* number of parts that were published without waking the event loop */
  uint64_t unsignalled_ns; /* approximate time of the jobs that made the unsignalled parts */
  PyObject *spare_start;   /* owned: a Start_response object for the next request */
  PyThreadState *python;
  core_record *current; /* the record whose code the thread runs; written under the GIL */
  int raised;           /* under the GIL: fapws.Timeout was raised for current */
  int signalled;        /* under the GIL: a signal was sent for the timeout, and was not handled yet */
  core_aside aside;     /* guarded by pool.mu; changed by core_set_aside */
  struct {
    unsigned long jobs;
    uint64_t cpu_ns;            /* CPU time of the thread when the monitor last checked */
    uint64_t since_ns;          /* when the monitor first saw the job, or last saw it use the CPU */
    uint64_t own_ns, others_ns; /* CPU time that the thread, and all handlers, had used at since_ns */
  } seen;
} core_thread;

/* The thread that has taken rec, or NULL. Any thread. */
static inline core_thread *core_thread_of(const core_record *rec) {
  return __atomic_load_n(&rec->run.thread, __ATOMIC_RELAXED);
}
static inline void core_give_to(core_record *rec, core_thread *t) {
  __atomic_store_n(&rec->run.thread, t, __ATOMIC_RELAXED);
}

/* How many jobs t has taken. Any thread. */
static inline unsigned long core_jobs_of(const core_thread *t) { return __atomic_load_n(&t->jobs, __ATOMIC_RELAXED); }
static inline void core_count_job(core_thread *t) { __atomic_store_n(&t->jobs, t->jobs + 1, __ATOMIC_RELAXED); }

/* =============================================================================
 * The pool, which runs records. */

/* Requests do not wait for a handler that is slower than this. The first limit is for handlers that wait, the second
 * limit is for handlers that only compute: with the GIL, such handlers gain nothing from a second thread. Without the
 * GIL (core_shared.parallel), such handlers gain from a second thread. */
#define CORE_SLOW_NS 100000u
#define CORE_HEAVY_NS 1000000u
/* A faster handler is timed once in 16 calls, because reading the clock would be too slow for each call. */
#define CORE_QUICK_NS 20000u
/* Another thread is woken if the jobs in the queue would take this long. */
#define CORE_LONG_NS 100000u
/* Approximate maximum time until the event loop is woken for finished parts, if few requests wait. */
#define CORE_UNSIGNALLED_NS 250000
/* Approximate maximum time that an iterator, or a WebSocket, keeps a thread that other records wait for. */
#define CORE_SHARE_NS 1000000u

/* Values of the state in eventloop.Waker. */
#define CORE_LOOP_ASLEEP 1
#define CORE_LOOP_CALLED 2

/* One entry of PATHS. Lives as long as the process; constant except for state and the averages. */
typedef struct {
  const struct core_kind *kinds[2]; /* kinds of the mount: for plain requests, and for requests for a WebSocket */
  const core_mode *mode;
  int relative;    /* ASGI: the path in the scope does not contain root_path */
  PyObject *state; /* ASGI: the dict scope['state'] that the lifespan has filled */
  PyObject *callable;
  PyObject *name; /* owned: name of the handler in log lines */
  /* Allocated by malloc: a name of the WebSocket that is the same in all processes. NULL if the mount is not a
   * WebSocket. */
  char *place;
  PyObject *environ; /* borrowed, immortal: the class of environ, or NULL for a dict */
  PyObject *start;   /* borrowed, immortal: the class of start_response, or NULL for the built-in one */
  /* Number of calls. The number and the averages are approximate and atomic, because threads change them without a
   * lock. */
  unsigned calls;
  uint64_t run_ns;   /* moving average of the duration of a call */
  uint64_t wait_ns;  /* the same average, in which calls that did not wait count as 0 */
  uint64_t close_ns; /* moving average of the duration of close() of a result */
  uint64_t chunk_ns; /* moving average of the duration of next() of an iterator */
} core_mount;

static inline uint64_t core_average_of(const uint64_t *average) { return __atomic_load_n(average, __ATOMIC_RELAXED); }
static inline uint64_t core_run_ns(const core_mount *m) { return core_average_of(&m->run_ns); }

typedef struct {
  core_shared shared;
  const core_mode *mode;       /* &core_threads or &core_inline */
  const core_mode *coroutines; /* the mode of mounts whose handlers are coroutines */
  void (*thread_ends)(void);   /* Called by a thread before it ends, to free its caches. With the GIL. */
  pthread_mutex_t mu;          /* guards the following members, up to and including pops */
  core_list queue;
  core_thread *drainer;                   /* the thread that runs quick jobs (core_threads.c) */
  core_thread *threads[CORE_MAX_THREADS]; /* element 0 is Python's main thread */
  int nthreads, live, idle;
  int aside[CORE_ASIDE_REASONS]; /* number of threads for each reason (core_aside); element CORE_COUNTS is not used */
  int hurry;                     /* all threads have waited recently, so no handler is expected to be quick */
  int stopping, monitor_parked;  /* written as atomics, because threads read them without the mutex */
  int check_signals;
  int exit_code;          /* exit status if a signal handler of the application called sys.exit, otherwise -1 */
  unsigned long pops;     /* number of records taken from the queue, for the monitor */
  pthread_cond_t monitor; /* wakes the monitor; used with the mutex mu */
  int serving;            /* Atomic: thread 0 runs handlers. Before that, the first request must wait for thread 0. */
  /* Descriptor that wakes the event loop (eventloop.Waker); atomic. From here on, members are constant once the
   * event loop runs. */
  int signal_fd;
  int event_fd;
  int32_t *loop_state; /* state of the event loop (eventloop.Waker): CORE_LOOP_... */
  int max;
  int cpus; /* number of processors that threads use at the same time */
  int debug;
  int stamped;
  int send_fields;
  int max_event; /* limit of the size of an event, or 0 before the settings are known */
  core_mount *mounts;
  int nmounts;
  core_part *garbage; /* Atomic: stack of released parts that own an object (core_output.c). */
} core_pool;

/* --- core_pool.c: without the GIL -------------------------------------------- */

extern core_pool core_the_pool;
static inline core_mount *core_mount_of(const core_record *rec) { return &core_the_pool.mounts[rec->req.mount]; }

/* Creates the pool, but not its mounts. coroutines and thread_ends become members of the pool. With the GIL, on the
 * main thread. */
void core_pool_start(const core_options *o, const core_mode *coroutines, void (*thread_ends)(void));
/* Releases the objects of rec, which never ran. Returns the part0 of rec, which the caller publishes as the last
 * part. */
core_part *core_give_up(core_record *rec);
uint64_t core_now_ns(void);
void core_cond_init(pthread_cond_t *c);
/* Lock and unlock the pool's mutex. A function that releases the mutex, also during a wait, wakes the thread that
 * core_wake_thread has selected. */
void core_lock(void);
void core_unlock(void);
/* Waits until c is signalled. The second function waits until a time of core_now_ns at most, and returns 0 if this
 * time has passed. The mutex is held. */
void core_wait(pthread_cond_t *c);
int core_wait_until(pthread_cond_t *c, uint64_t until);
/* If t is idle, makes it leave the idle state. The mutex is held. */
void core_wake_thread(core_thread *t);
/* Returns the number of threads that count for max. The mutex is held. */
static inline int core_counted_threads(void) {
  const int *aside = core_the_pool.aside;
  return core_the_pool.live - aside[CORE_WAITS_FOR_CLIENT] - aside[CORE_WAITS] - aside[CORE_STUCK];
}
/* Whether the queue would be empty earlier if another thread ran. The mutex is held. */
static inline int core_queue_is_long(void) {
  const core_pool *p = &core_the_pool;
  return p->shared.parallel && p->queue.first &&
         __atomic_load_n(&p->shared.queued, __ATOMIC_RELAXED) * core_run_ns(core_mount_of(p->queue.first)) >
             CORE_LONG_NS;
}
void core_request_exit(int code);
void core_resume(core_record *rec);
static inline const core_mode *core_mode_of(const core_record *rec) { return core_mount_of(rec)->mode; }

/* Holds the mutex until the end of the block. */
#define CORE_LOCKED() __attribute__((cleanup(core_unlock_after))) int core_locked = (core_lock(), 1)
static inline void core_unlock_after(const int *locked) { core_unlock(); }

/* --- core_threads.c; the pool's mutex is held -------------------------------- */

/* The calling thread, if it runs handlers. */
extern __thread core_thread *core_this_thread;
extern const core_mode core_threads;
/* Makes an idle thread the drainer if no thread is the drainer. Prefers the lowest index: many objects of scripts
 * belong to thread 0, and the other threads may retire. */
void core_appoint_drainer(void);
/* Starts one more thread, if possible. Returns whether a thread was started. */
int core_spawn_thread(void);
/* Sets the reason why t does not count. If t then is no drainer, appoints another thread as drainer. */
void core_set_aside(core_thread *t, core_aside why);
/* Marks the calling thread as waiting for its client. Until it continues, another thread may run in its place, so
 * that slow clients do not delay other clients. Returns 0 if the thread must not wait, because too many of the
 * CORE_MAX_THREADS threads already wait. */
int core_pause_thread(void);
void core_continue_thread(void);

/* --- core_monitor.c --------------------------------------------------------------- */

/* Starts the monitor unless it runs. 0, or -1 with errno. */
int core_start_monitor(void);
/* Wakes the monitor if it sleeps. The mutex is held. */
void core_wake_monitor(void);
/* Returns the time since which no thread has taken a request although requests are queued, in ns of core_now_ns, or
 * 0 if the queue is empty. The mutex is held. */
uint64_t core_stalled_since(void);
/* Returns how long the first request of the queue has waited at the time now, in ns, or 0 if the queue is empty or a
 * thread is idle. The mutex is held. */
uint64_t core_first_waits(uint64_t now);

/* --- core_inline.c ----------------------------------------------------------- */

extern const core_mode core_inline;

/* --- handler.go ------------------------------------------------------------- */

/* Makes the event loop send finished parts. In inline mode, on the event loop, during a handler. Does not start
 * another handler. */
void core_loop_send_now(void);

/* --- core_run.c ------------------------------------------------------------------ */

/* Updates a moving average with a sample, in ns. Any thread, without a lock. */
void core_average(uint64_t *average, uint64_t sample);
/* Makes t run rec, a request, and initializes the members of the Python side. Returns 0 if the request will not run
 * and belongs to the event loop again. */
int core_record_begin(core_thread *t, core_record *rec);
/* Runs the next job of rec on t. On a thread of the pool, returns when t is free again; on the asyncio thread,
 * returns after one turn of the iterator. */
void core_run(core_thread *t, core_record *rec);
/* A measurement of a call, for the averages of its mount. */
typedef struct {
  uint64_t began;
  long waits;
  uint8_t timed, watched;
} core_timing;
void core_begin_timing(core_timing *x, core_mount *m);
void core_end_timing(const core_timing *x, core_mount *m);

/* =============================================================================
 * The protocols by which handlers are called: WSGI (all plain functions of PATHS, wsgi_run.c), callbacks of a
 * fapws.WebSocket (live_websocket.c), and on the asyncio thread ASGI for HTTP (asgi_http.c), ASGI for WebSockets
 * (asgi_websocket.c) and async functions (asgi_handler.c).
 *
 * A mount has two kinds, for plain requests and for requests for a WebSocket (core_mount.kinds, live_module.c). */

/* All functions are called with the GIL, on the thread that runs the record. */
typedef struct core_kind {
  /* Answers rec, a request that has just begun on t. The response may continue in other turns. */
  void (*run)(core_thread *t, core_record *rec);
  /* Continues the iterator of rec. NULL if results of this kind have no iterator. */
  void (*resume)(core_thread *t, core_record *rec);
  /* Runs the callbacks for inputs of rec. NULL if core_mode.deliver does not queue records of this kind. */
  void (*run_inputs)(core_thread *t, core_record *rec);
} core_kind;

static inline const core_kind *core_kind_of(const core_record *rec) {
  return core_mount_of(rec)->kinds[rec->req.websocket != 0];
}

/* =============================================================================
 * Lists of records: the queue, and the inbox of each thread, with iterators and, in inline mode, all records. A list
 * owns its records. The pool's mutex is held. */

/* May also be called without the mutex: in inline mode the event loop owns the whole list that it takes. */
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

/* Removes rec from a list if the list contains it. */
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
 * How long requests and threads wait. Under the GIL. */

/* --- core_metrics.c ---------------------------------------------------------- */

extern int core_counts_waits; /* atomic */

/* Counts the time for which rec has waited, when its handler is about to run. */
void core_count_queue_wait(const core_record *rec);
/* Takes the GIL for the calling thread, whose thread state is the argument, and counts how long this took. Called
 * without the GIL. */
void core_take_gil_counted(PyThreadState *state);
extern PyMethodDef core_metric_methods[];

static inline int core_waits_are_counted(void) {
  return __builtin_expect(__atomic_load_n(&core_counts_waits, __ATOMIC_RELAXED), 0);
}

/* =============================================================================
 * Parts for the event loop, and inputs from the event loop.
 *
 * The thread that makes a part owns it until the part is published, then the event loop owns it; part0 is a member of
 * its record. A part owns its buf, its file and a reference to owner. An input belongs to the list of its record, then
 * to the thread that took it. */

/* --- core_output.c ----------------------------------------------------------- */

/* Creates a part for rec whose buf has room for some bytes. The caller publishes or frees the part. */
core_part *core_part_new(core_record *rec, size_t room);
void core_part_reset(core_part *p, core_record *rec);
/* Makes room for n more bytes in p->buf. */
int core_part_reserve(core_part *p, size_t n);
/* Frees a part that is not part0, with everything it owns. */
void core_part_delete(core_part *p);
/* Appends n bytes to p->buf, and stores their offset in *off. */
int core_part_put(core_part *p, const char *data, size_t n, uint32_t *off, uint32_t *len);

/* Smaller bodies are copied, because a copy is cheaper than a reference to their object. */
#define CORE_COPY_BELOW 16384
/* Creates a part whose body is n bytes of owner: a copy, or a reference to owner. */
core_part *core_body_part(core_record *rec, PyObject *owner, const char *data, size_t n);
/* Parts of a response that are published together, linked by next. first is NULL if the chain is empty. The caller
 * owns all parts but part0. */
typedef struct {
  core_record *rec;
  core_part *first, *last;
} core_chain;
/* Adds at most n bytes of owner to the body, up to the Content-Length: a copy in the last part, or a reference in an
 * additional part. Call it after wsgi_write_head. Returns -1 with MemoryError on failure. */
int core_add_body(core_chain *c, PyObject *owner, const char *data, size_t n);
/* Frees all parts but part0. */
void core_chain_abandon(core_chain *c);
/* Counts n more bytes of the body of rec, and returns how many of them may be sent. If the body exceeds its
 * Content-Length, it is cut, and the error log has a line. Call it after wsgi_write_head. */
int64_t core_fit_body(core_record *rec, int64_t n);
/* Whether the complete response body of rec is shorter than its Content-Length. In this case, also writes a line to the
 * error log. */
int core_body_is_short(core_record *rec);
/* Creates a part that closes the WebSocket of rec, with a copy of reason. NULL without memory, and without an
 * exception. Any thread, without the GIL. */
core_part *core_close_frame(core_record *rec, int code, const char *reason, size_t n);

/* Whether a close frame may have that code (RFC 6455 §7.4). */
int core_sendable_code(long code);
typedef struct {
  PyObject *owner; /* a new reference to the object with the bytes */
  const char *data;
  Py_ssize_t len;
  int op;
} core_message;
/* Reads a str (text), or bytes or a similar object (binary). On failure, sets owner to NULL and returns -1 with an
 * exception. The parameter
 * wrong is the format of the message of TypeError, with the name of the type and the object. */
int core_read_text(PyObject *o, core_message *m, const char *wrong);
int core_read_message(PyObject *o, core_message *m);
core_part *core_part_of(core_record *rec, const core_message *message);
core_part *core_message_part(core_record *rec, PyObject *message);
/* Returns a number that identifies a WebSocket for the event loop. The number changes when the record is reused. */
static inline uint64_t core_socket_number(const core_record *rec) { return (uint64_t)rec->serial << 32 | rec->ticket; }
/* Frees released parts that own Python objects. */
void core_collect_garbage(void);

/* The following functions need no GIL. */

/* Wakes the event loop if it sleeps (eventloop.Waker). Any thread. */
void core_signal_loop(void);
/* Adds a part to the list of finished parts, without waking the event loop. Any thread. */
void core_push_part(core_part *p);
/* Publishes a part: the event loop may read and release it at once. */
void core_publish(core_thread *t, core_part *p);
void core_publish_chain(core_thread *t, const core_chain *c);
void core_notify(core_thread *t);
/* Returns for how many nanoseconds finished parts may wait until the event loop is woken, before and after a job of
 * m. If requests already wait longer, a delay of a quarter more saves most wake-ups. */
uint64_t core_notify_after(const core_mount *m);

/* --- core_flow.c ------------------------------------------------------------- */

void core_flow_init(void);
/* Returns rec, a request that t has taken, to the event loop if earlier responses on its connection are large, or if
 * too many of its requests run. The result is 1 if rec belongs to the event loop until it is resumed. With or
 * without the GIL. */
int core_defer(core_thread *t, core_record *rec);
static inline int core_may_defer(core_record *rec) { return rec->req.pipeline != NULL; }
/* Whether new requests must wait because the event loop has to handle published parts first. */
static inline int core_loop_is_behind(void) {
  return __atomic_load_n(&core_the_pool.shared.unseen, __ATOMIC_SEQ_CST) > CORE_UNSEEN_MAX;
}
/* Whether too much of the response waits for the client. */
int core_must_wait(core_record *rec);
/* Parks rec until the client has received more. Returns 1, or 0 if the client has received enough already. */
int core_park(core_record *rec);
/* Waits without the GIL until the client of rec has room for more data, for at most seconds (a negative number means
 * no limit), or until the WebSocket ends. Returns whether there is room. */
int core_wait_for_client(core_record *rec, double seconds);
/* Ends the calls of core_wait_for_client for rec, and returns after all of them have returned. The mutex is held. */
void core_release_senders(core_record *rec);
/* Waits after write() until the client of rec has received enough, or until *ends is set. */
void core_wait_for_room(core_record *rec, const uint8_t *ends);
/* Ends core_wait_for_room on other threads, and waits until *writers, which is atomic, is 0. Releases the GIL. */
void core_wait_for_writers(const uint32_t *writers);
void core_writer_left(void);
void core_pool_cancelled(core_record *rec);
/* Whether the client of rec has disconnected. Any thread. */
int core_is_cancelled(core_record *rec);

/* The following functions are called without the GIL, unless a comment says otherwise. */

/* Implements core_mode.deliver for the pool. */
void core_pool_deliver(core_record *rec, core_input *in);
/* Queues the records to which core_pool_deliver has added inputs. On the event loop, without the mutex. */
void core_enqueue_delivered(void);
/* Queues rec unless it is queued or runs already, or takes no inputs. Any thread, without the mutex. */
void core_schedule(core_record *rec);
/* Moves rec, which runs, to the end of the queue. */
void core_give_way(core_record *rec);
/* Adds an input to the inputs of rec. The mutex is held. */
static inline void core_append_input(core_record *rec, core_input *in) {
  in->next = NULL;
  *(rec->inputs.first ? &rec->inputs.last->next : &rec->inputs.first) = in;
  rec->inputs.last = in;
}
/* Takes all inputs of rec, and returns their list. The mutex is held. */
static inline core_input *core_take_inputs(core_record *rec) {
  core_input *in = rec->inputs.first;
  rec->inputs.first = rec->inputs.last = NULL;
  return in;
}
/* Returns the message in an input of a WebSocket, as str or bytes. With the GIL. */
PyObject *core_input_message(const core_input *in);
/* Counts an input as taken by the application. Returns a part that permits the client to send the same number of
 * bytes again, for the caller to publish, or NULL if enough is permitted already. With the GIL. */
core_part *core_credit_part(core_record *rec, const core_input *in);
void core_free_inputs(core_input *in);
