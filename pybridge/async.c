/* The asyncio thread: one for each process, started if a mount needs it.
 *
 * Python creates the thread (contrib/fapws/_async.py), and it sleeps in asyncio's event loop. The server's event loop
 * puts records with events into a list and, if the thread sleeps, writes to an eventfd. turn(), the reader of that
 * eventfd, handles the whole list in one call, and wakes the server's event loop once at the end for all published
 * parts. */
#include "asgi.h"
#include "exchange.h"
#include "interp.h"
#include "messages.h"
#include "queue.h"
#include "stack.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define P fapws_the_pool
#define A fapws_the_async
#define TURN_NS 2000000u /* approximate maximum delay of asyncio's other callbacks */
#define UNHEARD_MS 1000  /* added to the timeout for a thread that does not react to the request to stop */
/* Added to the timeout for cancelled tasks, lifespans and asyncio's event loop; a supervisor waits 7 s. */
#define CLOSING_MS 5000

fapws_async fapws_the_async;

static PyObject *states; /* [(application, state)] */
static pthread_mutex_t end_mu = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t end_cond = PTHREAD_COND_INITIALIZER;
static int running; /* guarded by end_mu */
static void bind_states(void);

/* --- the list ---------------------------------------------------------------- */

static void unlink_record(fapws_record *rec) {
  *(rec->event_prev ? &rec->event_prev->event_next : &A.head) = rec->event_next;
  *(rec->event_next ? &rec->event_next->event_prev : &A.tail) = rec->event_prev;
  rec->event_next = rec->event_prev = NULL;
}

static void add_events(fapws_record *rec, unsigned events) {
  if (rec->closing) return;
  if (!rec->events) {
    rec->event_next = NULL;
    rec->event_prev = A.tail;
    *(A.tail ? &A.tail->event_next : &A.head) = rec;
    A.tail = rec;
  }
  rec->events |= (uint8_t)events;
}

static void signal_eventfd(void) {
  static const uint64_t token = 1;
  while (write(A.event, &token, sizeof token) < 0 && errno == EINTR) {
  }
}

void fapws_async_wake(void) {
  if (A.event && __atomic_exchange_n(&A.asleep, 0, __ATOMIC_SEQ_CST)) signal_eventfd();
}

void fapws_post_event(fapws_record *rec, unsigned events) {
  fapws_lock();
  add_events(rec, events);
  fapws_unlock();
  fapws_async_wake();
}

static void forget(fapws_record *rec) {
  fapws_lock();
  rec->closing = 1;
  rec->parked = 0; /* for the next exchange of the record, which a client may cancel before it begins */
  if (rec->events) unlink_record(rec);
  rec->events = 0;
  fapws_input *in = rec->inputs;
  rec->inputs = rec->inputs_tail = NULL;
  fapws_unlock();
  fapws_free_inputs(in);
  fapws_exchange *x = rec->exchange;
  rec->exchange = NULL;
  if (!x) return;
  /* For reports of later exceptions: frameworks raise after they have answered 500. */
  uint32_t line = rec->target.off + rec->target.len;
  x->log = rec->log;
  x->line_len = (uint8_t)(line < sizeof x->line ? line : sizeof x->line);
  memcpy(x->line, rec->data, x->line_len);
  x->addr_len = (uint8_t)(rec->addr.len < sizeof x->addr ? rec->addr.len : sizeof x->addr);
  memcpy(x->addr, rec->data + rec->addr.off, x->addr_len);
  x->rec = NULL;
  x->state = FAPWS_COMPLETE; /* also after a failure: tasks that the application has started may still send */
  fapws_wake_waiters(x, FAPWS_FOR_MESSAGE);
  fapws_wake_waiters(x, FAPWS_FOR_ROOM);
  Py_DECREF(x);
}

/* --- the mode ---------------------------------------------------------------- */

static int fresh; /* event loop only: records were given events that the thread may not have seen */

/* The monitor wakes the event loop for parts that the thread published before it blocked. */
static int prepare(void) {
  bind_states();
  return A.event > 0 ? fapws_start_monitor() : 0;
}

static void enqueue(fapws_record *first, fapws_record *last, int n) {
  fresh = 1;
  last->next = NULL;
  for (fapws_record *rec = first; rec; rec = rec->next) {
    fapws_give_to(rec, NULL);
    add_events(rec, FAPWS_EVENT_RUN);
  }
  fapws_count_queued(n);
  fapws_wake_monitor();
}

static int start(void) {
  if (fresh) fresh = 0, fapws_async_wake();
  return -1;
}

static void resume(fapws_record *rec) { fapws_post_event(rec, FAPWS_EVENT_NEXT); }

static void cancelled(fapws_record *rec) { fapws_post_event(rec, FAPWS_EVENT_GONE); }

static int dequeue(fapws_record *rec) {
  if (!(rec->events & FAPWS_EVENT_RUN)) return 0;
  unlink_record(rec);
  rec->events = 0;
  rec->closing = 1;
  return 1;
}

static void deliver(fapws_record *rec, fapws_input *in) {
  in->next = NULL;
  fresh = 1;
  fapws_lock();
  int closing = rec->closing;
  if (!closing) {
    *(rec->inputs_tail ? &rec->inputs_tail->next : &rec->inputs) = in;
    rec->inputs_tail = in;
    if (in->op == FAPWS_OP_CLOSE && rec->websocket) __atomic_store_n(&rec->closed_ns, fapws_now_ns(), __ATOMIC_SEQ_CST);
    fapws_wake_monitor();
    add_events(rec, FAPWS_EVENT_INPUT);
  }
  fapws_unlock();
  if (closing) free(in);
}

static void written(fapws_thread *t, fapws_record *rec) { fapws_notify(t); }

static int stream_yields(const fapws_thread *t, const fapws_record *rec, uint64_t ns) {
  return rec->chunk_ns > FAPWS_SLOW_NS || ns > FAPWS_SHARE_NS;
}

const fapws_mode fapws_asyncio = {
    .prepare = prepare,
    .enqueue = enqueue,
    .start = start,
    .wake = fapws_async_wake,
    .resume = resume,
    .dequeue = dequeue,
    .deliver = deliver,
    .cancelled = cancelled,
    .state_of = fapws_async_state_of,
    .forget = forget,
    .wake_loop = fapws_wake_loop,
    .written = written,
    .stream_yields = stream_yields,
};

/* --- turns ------------------------------------------------------------------- */

void fapws_async_notify(void) {
  if (A.depth == 0) fapws_notify(&A.thread);
}

static void cancel_overdue(fapws_exchange *x) {
  x->overdue = 1;
  fapws_exchange_cancel(x);
}

static void go_on(fapws_record *rec, unsigned events) {
  fapws_exchange *x = rec->exchange;
  if (!x) { /* a plain iterator that an async handler has returned */
    if (rec->iter && (events & (FAPWS_EVENT_NEXT | FAPWS_EVENT_ROOM | FAPWS_EVENT_GONE))) fapws_run(&A.thread, rec);
    return;
  }
  Py_INCREF(x);
  if (events & FAPWS_EVENT_GONE) {
    if (!x->gone &&
        !__atomic_load_n(&rec->closed_ns, __ATOMIC_RELAXED)) { /* else earlier messages are received first */
      x->gone = 1;
      if (x->kind->gone) x->kind->gone(x);
    }
    fapws_wake_waiters(x, FAPWS_FOR_ROOM);
    fapws_wake_waiters(x, FAPWS_FOR_MESSAGE);
  }
  if (events & FAPWS_EVENT_INPUT) fapws_wake_waiters(x, FAPWS_FOR_MESSAGE);
  if (events & (FAPWS_EVENT_ROOM | FAPWS_EVENT_NEXT)) fapws_wake_waiters(x, FAPWS_FOR_ROOM);
  if (events & FAPWS_EVENT_OVERDUE) cancel_overdue(x);
  Py_DECREF(x);
}

static fapws_record *next_record(unsigned *events) {
  fapws_lock();
  fapws_record *rec = A.head;
  int held = rec && (rec->events & FAPWS_EVENT_RUN) && fapws_loop_is_behind();
  if (!rec || held) __atomic_store_n(&A.asleep, 1, __ATOMIC_SEQ_CST);
  if (held && fapws_loop_is_behind()) rec = NULL; /* else fapws_loop_has_seen may have been too early */
  if (rec) {
    unlink_record(rec);
    *events = rec->events;
    rec->events = 0;
    if (*events & FAPWS_EVENT_RUN) fapws_count_queued(-1);
  }
  fapws_unlock();
  return rec;
}

static void ask_to_stop(void) {
  int ms = __atomic_exchange_n(&A.asked, 0, __ATOMIC_SEQ_CST);
  if (!ms) return;
  A.stopping = 1;
  PyObject *done = fapws_call("fapws._async", "stop", "(d)", (ms - 1) / 1000.0);
  if (!done) fapws_report("stopping the asyncio thread", NULL);
  Py_XDECREF(done);
}

/* turn(): the reader of the eventfd. */
static PyObject *turn(PyObject *self, PyObject *none) {
  fapws_exit_child();
  uint64_t token;
  if (read(A.event, &token, sizeof token) < 0 && errno == EINTR) Py_RETURN_NONE;
  A.depth++;
  __atomic_store_n(&A.turns, A.turns + 1, __ATOMIC_RELAXED);
  uint64_t began = fapws_now_ns(), now = began, told = began;
  unsigned events = 0;
  for (fapws_record *rec; (rec = next_record(&events));) {
    fapws_mount *m = &P.mounts[rec->mount];
    uint64_t before = now;
    if (LIKELY(events & FAPWS_EVENT_RUN)) {
      if (A.thread.unsignalled &&
          (fapws_run_ns(m) > FAPWS_HEAVY_NS || now - told + fapws_run_ns(m) > fapws_notify_after(m)))
        fapws_notify(&A.thread), told = now;
      if (LIKELY(fapws_record_begin(&A.thread, rec))) fapws_kind_of(rec)->run(&A.thread, rec);
      now = fapws_now_ns();
      fapws_average(&m->run_ns, now - before);
    } else {
      go_on(rec, events);
      now = fapws_now_ns();
    }
    if (now - began > TURN_NS) {
      signal_eventfd();
      break;
    }
  }
  fapws_ipc_deliver(); /* after next_record, which has set asleep: later messages wake this thread */
  fapws_collect_garbage();
  if (UNLIKELY(__atomic_load_n(&A.asked, __ATOMIC_RELAXED))) ask_to_stop();
  A.depth--;
  fapws_async_notify();
  Py_RETURN_NONE;
}

/* --- life -------------------------------------------------------------------- */

/* begin(loop): the calling thread is the asyncio thread. */
static PyObject *begin(PyObject *self, PyObject *loop) {
  Py_XSETREF(A.loop, Py_NewRef(loop));
  A.thread.index = -1;
  A.thread.mode = &fapws_asyncio;
  A.thread.state = FAPWS_THREAD_BUSY;
  A.thread.id = pthread_self();
  A.thread.python = PyThreadState_Get();
  fapws_this_thread = &A.thread;
  pthread_mutex_lock(&end_mu);
  running = 1;
  pthread_mutex_unlock(&end_mu);
  return PyLong_FromLong(A.event);
}

/* end(): the asyncio thread ends. */
static PyObject *end(PyObject *self, PyObject *none) {
  A.thread.python = NULL;
  A.thread.current = NULL;
  Py_CLEAR(A.thread.spare_start);
  pthread_mutex_lock(&end_mu);
  running = 0;
  pthread_cond_broadcast(&end_cond);
  pthread_mutex_unlock(&end_mu);
  Py_RETURN_NONE;
}

/* tasks(): of the exchanges that have not ended. */
static PyObject *tasks(PyObject *self, PyObject *none) {
  PyObject *list = PyList_New(0);
  for (fapws_exchange *x = A.live; list && x; x = x->next)
    if (x->task && PyList_Append(list, x->task) < 0) Py_CLEAR(list);
  return list;
}

static PyMethodDef methods[] = {
    {"begin", begin, METH_O,
     "begin(loop) -> int: the calling thread is the asyncio thread from now on; the descriptor that turn() is the "
     "reader of."},
    {"end", end, METH_NOARGS, "end(): the asyncio thread ends."},
    {"tasks", tasks, METH_NOARGS, "tasks() -> list: the tasks of requests that have not ended."},
    {"turn", turn, METH_NOARGS, "turn(): runs the work that the server has for the asyncio thread."},
    {NULL, NULL, 0, NULL}};

static void bind_states(void) {
  Py_ssize_t n = states ? PyList_GET_SIZE(states) : 0;
  for (int i = 0; i < P.nmounts; i++) {
    for (Py_ssize_t k = 0; k < n; k++) {
      PyObject *pair = PyList_GET_ITEM(states, k);
      if (PyTuple_GET_ITEM(pair, 0) != P.mounts[i].callable) continue;
      Py_XSETREF(P.mounts[i].state, Py_NewRef(PyTuple_GET_ITEM(pair, 1)));
    }
  }
}

static char *text_of(PyObject *o) {
  const char *text = PyUnicode_AsUTF8(o);
  return strdup(text ? text : "");
}

char *fapws_async_start(const char *loop, const char *lifespan, void *const *applications, int n) {
  PyObject *list = PyList_New(0), *result = NULL, *functions = PyDict_New();
  A.event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  A.asleep = 1;
  if (A.event < 0) PyErr_SetFromErrno(PyExc_OSError);
  int bad = !list || !functions || A.event < 0 || fapws_exchange_init() < 0 || fapws_scope_init() < 0 ||
            fapws_asgi_init() < 0 || fapws_asgi_http_init() < 0;
  if (A.event > 0) fapws_keep_from_children(A.event);
  for (int i = 0; !bad && i < n; i++) bad = PyList_Append(list, (PyObject *)applications[i]) < 0;
  for (PyMethodDef *m = methods; !bad && m->ml_name; m++) {
    PyObject *f = PyCFunction_New(m, NULL);
    bad = !f || PyDict_SetItemString(functions, m->ml_name, f) < 0;
    Py_XDECREF(f);
  }
  if (!bad) result = fapws_call("fapws._async", "start", "(ssOO)", loop, lifespan, list, functions);
  Py_XDECREF(list);
  Py_XDECREF(functions);
  char *wrong = NULL;
  if (!result) {
    PyErr_Print();
    wrong = strdup("the asyncio thread cannot be started");
  } else if (PyUnicode_Check(result)) {
    wrong = text_of(result);
  } else {
    states = Py_NewRef(result);
    bind_states();
  }
  Py_XDECREF(result);
  return wrong;
}

/* Waits for the thread to end, until ms after from; end_mu is held. Returns whether it still runs. */
static int runs_until(struct timespec from, long ms) {
  from.tv_sec += ms / 1000;
  from.tv_nsec += ms % 1000 * 1000000;
  if (from.tv_nsec >= 1000000000) from.tv_sec++, from.tv_nsec -= 1000000000;
  while (running && pthread_cond_timedwait(&end_cond, &end_mu, &from) != ETIMEDOUT) {
  }
  return running;
}

int fapws_async_stop(int ms) {
  fapws_lock();
  int lost = A.left_at == fapws_async_progress() + 1;
  fapws_unlock();
  struct timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  pthread_mutex_lock(&end_mu);
  int runs = running;
  if (runs) {
    __atomic_store_n(&A.asked, ms + 1, __ATOMIC_SEQ_CST);
    signal_eventfd();
    runs = runs_until(now, (lost ? 0 : ms) + UNHEARD_MS);
    if (runs && !__atomic_load_n(&A.asked, __ATOMIC_SEQ_CST)) runs = runs_until(now, ms + CLOSING_MS);
  }
  pthread_mutex_unlock(&end_mu);
  return !runs;
}
