/* The asyncio thread: one for each process, started if a mount needs it.
 *
 * contrib/fapws/_async.py creates the thread, which sleeps in asyncio's event loop. The server's event loop puts
 * records with events into a list and, if the thread sleeps, writes to an eventfd. asyncio then calls the function
 * turn, the reader of that eventfd, which handles the whole list in one call. */
#include "asgi.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define the_pool core_the_pool
#define the_thread asgi_the_thread
/* Approximate maximum time, in ns, for which the function turn() holds up the callbacks of the application. */
#define TURN_NS 2000000u
/* Time in ms that asgi_thread_stop adds to its timeout while the thread has not read the request to stop. */
#define UNHEARD_MS 1000
/* Time in ms that asgi_thread_stop adds to its timeout so that cancelled tasks, lifespans and asyncio's event loop can
 * end; less than the 7 s for which a supervisor waits. */
#define CLOSING_MS 5000
#define GOING_AWAY 1001 /* code of CORE_OP_CLOSE for an event stream that the server has ended */
/* Times in seconds. The server waits for UNNOTICED_S after it has ended an event stream, and then cancels the
 * application. If receive() has reported the end of the stream in the meantime, the server first waits for NOTICED_S
 * more, so that the application can clean up and run background tasks. */
#define UNNOTICED_S 0.5
#define NOTICED_S 2.5

asgi_thread asgi_the_thread = {.thread = {.index = -1, .state = CORE_THREAD_BUSY}};

static PyObject *states; /* list of pairs (application, state of its lifespan) */
static pthread_cond_t ended;
static int running; /* the asyncio thread runs; guarded by the pool's mutex */
static void bind_states(void);

static void unlink_record(core_record *rec) {
  *(rec->inputs.event_prev ? &rec->inputs.event_prev->inputs.event_next : &the_thread.head) = rec->inputs.event_next;
  *(rec->inputs.event_next ? &rec->inputs.event_next->inputs.event_prev : &the_thread.tail) = rec->inputs.event_prev;
  rec->inputs.event_next = rec->inputs.event_prev = NULL;
}

static void add_events(core_record *rec, unsigned events) {
  if (rec->inputs.closing) return;
  if (!rec->inputs.events) {
    rec->inputs.event_next = NULL;
    rec->inputs.event_prev = the_thread.tail;
    *(the_thread.tail ? &the_thread.tail->inputs.event_next : &the_thread.head) = rec;
    the_thread.tail = rec;
  }
  rec->inputs.events |= (uint8_t)events;
}

static void signal_eventfd(void) {
  while (eventfd_write(the_thread.event, 1) < 0 && errno == EINTR) {
  }
}

void asgi_thread_wake(void) {
  if (the_thread.event && __atomic_exchange_n(&the_thread.asleep, 0, __ATOMIC_SEQ_CST)) signal_eventfd();
}

void asgi_post_event(core_record *rec, unsigned events) {
  core_lock();
  add_events(rec, events);
  core_unlock();
  asgi_thread_wake();
}

static void forget(core_record *rec) {
  core_lock();
  rec->inputs.closing = 1;
  /* The record will be reused for a later exchange. The client of that exchange can disconnect before the exchange
   * begins, and then the member parked must already be 0. */
  rec->run.parked = 0;
  if (rec->inputs.events) unlink_record(rec);
  rec->inputs.events = 0;
  core_input *in = core_take_inputs(rec);
  core_unlock();
  core_free_inputs(in);
  asgi_exchange *x = rec->run.exchange;
  rec->run.exchange = NULL;
  if (!x) return;
  /* Frameworks raise the exception of a handler only after they have sent a response of status 500. The exchange no
   * longer has its record then, so the data that the report of the exception needs is copied from the record here. */
  uint32_t line = rec->req.target.off + rec->req.target.len;
  x->log = rec->req.log;
  x->line_len = (uint8_t)(line < sizeof x->line ? line : sizeof x->line);
  memcpy(x->line, rec->req.data, x->line_len);
  x->addr_len = (uint8_t)(rec->req.addr.len < sizeof x->addr ? rec->req.addr.len : sizeof x->addr);
  memcpy(x->addr, rec->req.data + rec->req.addr.off, x->addr_len);
  x->rec = NULL;
  /* If the handler has failed, other tasks of the application can still call send(). */
  x->state = ASGI_COMPLETE;
  asgi_wake_waiters(x, ASGI_FOR_MESSAGE);
  asgi_wake_waiters(x, ASGI_FOR_ROOM);
  Py_DECREF(x);
}

/* Used by the event loop only: records have new events, for which the asyncio thread was not woken yet. */
static int fresh;

/* Starts the monitor, which wakes the event loop for published parts if code of the application blocks the asyncio
 * thread. */
static int prepare(void) {
  bind_states();
  return the_thread.event > 0 ? core_start_monitor() : 0;
}

static void enqueue(core_record *first, core_record *last, int n) {
  fresh = 1;
  last->next = NULL;
  for (core_record *rec = first; rec; rec = rec->next) {
    core_give_to(rec, NULL);
    add_events(rec, ASGI_EVENT_RUN);
  }
  core_count_queued(n);
  core_wake_monitor();
}

static int start(void) {
  if (fresh) fresh = 0, asgi_thread_wake();
  return -1;
}

static void resume(core_record *rec) { asgi_post_event(rec, ASGI_EVENT_NEXT); }

static void cancelled(core_record *rec) { asgi_post_event(rec, ASGI_EVENT_GONE); }

static int dequeue(core_record *rec) {
  if (!(rec->inputs.events & ASGI_EVENT_RUN)) return 0;
  unlink_record(rec);
  rec->inputs.events = 0;
  rec->inputs.closing = 1;
  return 1;
}

static void deliver(core_record *rec, core_input *in) {
  fresh = 1;
  core_lock();
  int closing = rec->inputs.closing;
  int ends = in->op == CORE_OP_CLOSE && in->code == GOING_AWAY && !rec->req.websocket;
  if (!closing && ends) {
    add_events(rec, ASGI_EVENT_ENDS);
  } else if (!closing) {
    core_append_input(rec, in);
    if (in->op == CORE_OP_CLOSE && rec->req.websocket)
      __atomic_store_n(&rec->inputs.closed_ns, core_now_ns(), __ATOMIC_SEQ_CST);
    core_wake_monitor();
    add_events(rec, ASGI_EVENT_INPUT);
  }
  core_unlock();
  if (closing || ends) free(in);
}

static void written(core_thread *t, core_record *rec, const uint8_t *ends) { core_notify(t); }

static int stream_yields(const core_thread *t, const core_record *rec, uint64_t ns) {
  return rec->run.chunk_ns > CORE_SLOW_NS || ns > CORE_SHARE_NS;
}

const core_mode asgi_mode = {
    .prepare = prepare,
    .enqueue = enqueue,
    .start = start,
    .wake = asgi_thread_wake,
    .resume = resume,
    .dequeue = dequeue,
    .deliver = deliver,
    .cancelled = cancelled,
    .state_of = asgi_state_of,
    .forget = forget,
    .wake_loop = core_wake_loop,
    .written = written,
    .stream_yields = stream_yields,
    .collect = asgi_thread_wake, /* a turn ends with core_collect_garbage */
};

void asgi_thread_notify(void) {
  if (the_thread.depth == 0) core_notify(&the_thread.thread);
}

static void cancel_overdue(asgi_exchange *x) {
  x->overdue = 1;
  asgi_exchange_cancel(x);
}

static void cancel_later(asgi_exchange *x, double seconds);

static PyObject *end_stream(PyObject *self, PyObject *none) {
  asgi_exchange *x = (asgi_exchange *)self;
  if (x->told && !x->warned) {
    x->warned = 1;
    cancel_later(x, NOTICED_S);
  } else if (!x->ended) {
    asgi_exchange_cancel(x);
  }
  Py_RETURN_NONE;
}

static void cancel_later(asgi_exchange *x, double seconds) {
  static PyMethodDef method = {"end_stream", end_stream, METH_NOARGS, NULL};
  PyObject *f = PyCFunction_New(&method, (PyObject *)x);
  if (!f || core_done(PyObject_CallMethod(the_thread.loop, "call_later", "dO", seconds, f)) < 0)
    PyErr_WriteUnraisable((PyObject *)x);
  Py_XDECREF(f);
}

static void go_on(core_record *rec, unsigned events) {
  asgi_exchange *x = rec->run.exchange;
  if (!x) { /* the async handler has returned an iterator that is not async */
    if (rec->run.iter && (events & (ASGI_EVENT_NEXT | ASGI_EVENT_ROOM | ASGI_EVENT_GONE)))
      core_run(&the_thread.thread, rec);
    return;
  }
  Py_INCREF(x);
  if (events & ASGI_EVENT_GONE) {
    if (!x->gone &&
        /* after a close frame, the application must first receive the messages that preceded it */
        !__atomic_load_n(&rec->inputs.closed_ns, __ATOMIC_RELAXED)) {
      x->gone = 1;
      if (x->kind->gone) x->kind->gone(x);
    }
    asgi_wake_waiters(x, ASGI_FOR_ROOM);
    asgi_wake_waiters(x, ASGI_FOR_MESSAGE);
  }
  if (events & ASGI_EVENT_INPUT) asgi_wake_waiters(x, ASGI_FOR_MESSAGE);
  if (events & (ASGI_EVENT_ROOM | ASGI_EVENT_NEXT)) asgi_wake_waiters(x, ASGI_FOR_ROOM);
  if (events & ASGI_EVENT_OVERDUE) cancel_overdue(x);
  if ((events & ASGI_EVENT_ENDS) && x->kind->receive)
    cancel_later(x, UNNOTICED_S); /* only for ASGI: async generators were cancelled by handler_gone */
  Py_DECREF(x);
}

static core_record *next_record(unsigned *events) {
  CORE_LOCKED();
  core_record *rec = the_thread.head;
  int held = rec && (rec->inputs.events & ASGI_EVENT_RUN) && core_loop_is_behind();
  if (!rec || held) __atomic_store_n(&the_thread.asleep, 1, __ATOMIC_SEQ_CST);
  /* Check again, because a call of core_loop_has_seen before the store to the member asleep has not woken the
   * thread. */
  if (held && core_loop_is_behind()) rec = NULL;
  if (rec) {
    unlink_record(rec);
    *events = rec->inputs.events;
    rec->inputs.events = 0;
    if (*events & ASGI_EVENT_RUN) core_count_queued(-1);
  }
  return rec;
}

static void ask_to_stop(void) {
  int ms = __atomic_exchange_n(&the_thread.asked, 0, __ATOMIC_SEQ_CST);
  if (!ms) return;
  the_thread.stopping = 1;
  if (core_done(core_call("fapws._async", "stop", "(d)", (ms - 1) / 1000.0)) < 0)
    core_report("stopping the asyncio thread", NULL);
}

static PyObject *turn(PyObject *self, PyObject *none) {
  core_exit_child();
  CORE_CHECK(CORE_GIL | CORE_ON_ASYNCIO | CORE_LOADING | CORE_SERVING);
  uint64_t token;
  if (read(the_thread.event, &token, sizeof token) < 0 && errno == EINTR) Py_RETURN_NONE;
  the_thread.depth++;
  __atomic_store_n(&the_thread.turns, the_thread.turns + 1, __ATOMIC_RELAXED);
  uint64_t began = core_now_ns(), now = began, told = began;
  unsigned events = 0;
  for (core_record *rec; (rec = next_record(&events));) {
    core_mount *m = core_mount_of(rec);
    uint64_t before = now;
    if (LIKELY(events & ASGI_EVENT_RUN)) {
      if (the_thread.thread.unsignalled &&
          (core_run_ns(m) > CORE_HEAVY_NS || now - told + core_run_ns(m) > core_notify_after(m)))
        core_notify(&the_thread.thread), told = now;
      if (LIKELY(core_record_begin(&the_thread.thread, rec))) core_kind_of(rec)->run(&the_thread.thread, rec);
      now = core_now_ns();
      core_average(&m->run_ns, now - before);
    } else {
      go_on(rec, events);
      now = core_now_ns();
    }
    if (now - began > TURN_NS) {
      signal_eventfd();
      break;
    }
  }
  void (*messages)(void) = __atomic_load_n(&the_thread.messages, __ATOMIC_RELAXED);
  if (UNLIKELY(messages != NULL))
    /* No message is lost: next_record has set the member asleep, so a message that arrives during this call wakes the
     * thread. */
    messages();
  core_collect_garbage();
  if (UNLIKELY(__atomic_load_n(&the_thread.asked, __ATOMIC_RELAXED))) ask_to_stop();
  the_thread.depth--;
  asgi_thread_notify();
  Py_RETURN_NONE;
}

static PyObject *begin(PyObject *self, PyObject *loop) {
  Py_XSETREF(the_thread.loop, Py_NewRef(loop));
  the_thread.thread.mode = &asgi_mode;
  the_thread.thread.id = pthread_self();
  the_thread.thread.python = PyThreadState_Get();
  core_this_thread = &the_thread.thread;
  CORE_LOCKED();
  running = 1;
  if (__atomic_load_n(&the_thread.asked, __ATOMIC_SEQ_CST)) signal_eventfd();
  return PyLong_FromLong(the_thread.event);
}

static PyObject *end(PyObject *self, PyObject *none) {
  CORE_CHECK(CORE_GIL | CORE_ON_ASYNCIO);
  the_thread.thread.python = NULL;
  the_thread.thread.current = NULL;
  Py_CLEAR(the_thread.thread.spare_start);
  CORE_LOCKED();
  running = 0;
  pthread_cond_broadcast(&ended);
  Py_RETURN_NONE;
}

static PyObject *tasks(PyObject *self, PyObject *none) {
  PyObject *list = PyList_New(0);
  for (asgi_exchange *x = the_thread.live; list && x; x = x->next)
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
  for (int i = 0; i < the_pool.nmounts; i++) {
    for (Py_ssize_t k = 0; k < n; k++) {
      PyObject *pair = PyList_GET_ITEM(states, k);
      if (PyTuple_GET_ITEM(pair, 0) != the_pool.mounts[i].callable) continue;
      Py_XSETREF(the_pool.mounts[i].state, Py_NewRef(PyTuple_GET_ITEM(pair, 1)));
    }
  }
}

char *asgi_thread_start(const char *loop, const char *lifespan, void *const *applications, int n) {
  CORE_CHECK(CORE_GIL | CORE_ON_MAIN | CORE_LOADING | CORE_SERVING);
  PyObject *list = PyList_New(0), *result = NULL, *module = PyModule_New("_asgi_thread");
  core_cond_init(&ended);
  the_thread.event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  the_thread.asleep = 1;
  if (the_thread.event < 0) PyErr_SetFromErrno(PyExc_OSError);
  int bad = !list || !module || the_thread.event < 0 || PyModule_AddFunctions(module, methods) < 0 ||
            asgi_exchange_init() < 0 || asgi_scope_init() < 0 || asgi_init() < 0 || asgi_http_init() < 0;
  if (the_thread.event > 0) core_keep_from_children(the_thread.event);
  for (int i = 0; !bad && i < n; i++) bad = PyList_Append(list, (PyObject *)applications[i]) < 0;
  if (!bad) result = core_call("fapws._async", "start", "(ssOO)", loop, lifespan, list, PyModule_GetDict(module));
  Py_XDECREF(list);
  Py_XDECREF(module);
  char *wrong = NULL;
  if (!result) {
    PyErr_Print();
    wrong = strdup("the asyncio thread cannot be started");
  } else if (PyUnicode_Check(result)) {
    const char *text = PyUnicode_AsUTF8(result);
    wrong = strdup(text ? text : "");
  } else {
    states = Py_NewRef(result);
    bind_states();
  }
  Py_XDECREF(result);
  return wrong;
}

/* Waits until the thread has ended, or until ms milliseconds after the time in the parameter from. Returns whether the
 * thread still runs. The caller must hold the pool's mutex. */
static int runs_until(uint64_t from, int ms) {
  while (running && core_wait_until(&ended, from + (uint64_t)ms * 1000000u)) {
  }
  return running;
}

int asgi_thread_stop(int ms) {
  CORE_CHECK(CORE_NO_GIL | CORE_LOADING | CORE_SERVING);
  uint64_t now = core_now_ns();
  CORE_LOCKED();
  int lost = the_thread.left_at == asgi_progress() + 1, runs = running;
  /* If the thread is still starting, the function begin reads this request to stop. */
  __atomic_store_n(&the_thread.asked, ms + 1, __ATOMIC_SEQ_CST);
  if (runs) {
    signal_eventfd();
    runs = runs_until(now, (lost ? 0 : ms) + UNHEARD_MS);
    if (runs && !__atomic_load_n(&the_thread.asked, __ATOMIC_SEQ_CST)) runs = runs_until(now, ms + CLOSING_MS);
  }
  return !runs;
}
