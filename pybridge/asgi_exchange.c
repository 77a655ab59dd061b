/* An exchange on the asyncio thread: a coroutine that a Task of asyncio runs. The exchange itself runs the coroutine of
 * the application, and therefore notices at once when the coroutine ends. A done-callback of the Task would notice the
 * end later, because asyncio would call it in the next iteration of the event loop. */
#include "asgi.h"

#include <stdlib.h>
#include <string.h>

#define the_thread asgi_the_thread

PyObject *asgi_cancelled_error;

enum { T_THROW, T_CLOSE, T_COUNT };
static const char *const texts[T_COUNT] = {"throw", "close"};
static PyObject *text[T_COUNT];

/* Replaces x->inner by next, and steals the reference to next. Another thread can read x->inner at the same time
 * (get_of_inner). */
static void set_inner(asgi_exchange *x, PyObject *next) {
  PyObject *before;
  CORE_BEGIN_HOLD(x);
  before = x->inner;
  x->inner = next;
  CORE_END_HOLD();
  Py_XDECREF(before);
}

static void exchange_end(asgi_exchange *x) {
  if (x->ended) return;
  x->ended = 1;
  *(x->prev ? &x->prev->next : &the_thread.live) = x->next;
  if (x->next) x->next->prev = x->prev;
  x->next = x->prev = NULL;
  if (x->rec && x->rec->run.exchange == x) {
    x->rec->run.exchange = NULL;
    x->rec = NULL;
    Py_DECREF(x);
  }
  set_inner(x, NULL);
  Py_CLEAR(x->iterator);
  Py_CLEAR(x->told);
  Py_CLEAR(x->task);
  Py_DECREF(x);
}

/* Ends the exchange after the application has returned or raised an exception. Passes CancelledError on to the Task, so
 * that the Task counts as cancelled. */
static PySendResult conclude(asgi_exchange *x, PyObject **result) {
  PyObject *type = NULL, *value = NULL, *tb = NULL;
  if (UNLIKELY(PyErr_Occurred())) {
    if (PyErr_ExceptionMatches(asgi_cancelled_error)) {
      PyErr_Fetch(&type, &value, &tb);
      core_raise_given(type, value, tb);
    }
    x->kind->raised(x);
    PyErr_Clear();
  }
  exchange_end(x);
  if (type) {
    PyErr_Restore(type, value, tb);
    return PYGEN_ERROR;
  }
  *result = Py_NewRef(Py_None);
  return PYGEN_RETURN;
}

/* Continues x after a step of x->inner. Runs one awaitable after another until an awaitable waits or the exchange has
 * ended. */
static PySendResult drive(asgi_exchange *x, PySendResult how, PyObject **result) {
  for (;;) {
    core_exit_child();
    if (how == PYGEN_NEXT) return how;
    set_inner(x, NULL);
    PyObject *next = NULL;
    if (how == PYGEN_RETURN) {
      PyObject *value = *result;
      *result = NULL;
      next = x->kind->returned(x, value);
      Py_DECREF(value);
    }
    core_exit_child();
    if (!next) return conclude(x, result);
    set_inner(x, next);
    how = asgi_iter_send(next, Py_None, result);
  }
}

static PySendResult first_step(asgi_exchange *x, PyObject **result) {
  x->begun = 1;
  PyObject *inner = x->kind->begin(x);
  core_exit_child();
  if (!inner) return conclude(x, result);
  set_inner(x, inner);
  return drive(x, asgi_iter_send(inner, Py_None, result), result);
}

static int reentered(const asgi_exchange *x) {
  if (UNLIKELY(x->running)) PyErr_SetString(PyExc_ValueError, "coroutine already executing");
  return x->running;
}

static core_record *enter(asgi_exchange *x) {
  core_record *before = the_thread.thread.current;
  Py_INCREF(x);
  x->running = 1;
  the_thread.depth++;
  core_count_job(&the_thread.thread);
  __atomic_store_n(&the_thread.thread.current, x->rec, __ATOMIC_RELAXED);
  return before;
}

static void leave(asgi_exchange *x, core_record *before) {
  x->running = 0;
  __atomic_store_n(&the_thread.thread.current, before, __ATOMIC_RELAXED);
  if (UNLIKELY(the_thread.thread.raised)) core_withdraw_timeout(&the_thread.thread);
  the_thread.depth--;
  asgi_thread_notify();
  Py_DECREF(x);
}

static PySendResult exchange_send(PyObject *self, PyObject *value, PyObject **result) {
  asgi_exchange *x = (asgi_exchange *)self;
  if (x->ended) return PyErr_Format(PyExc_RuntimeError, "cannot reuse already awaited coroutine"), PYGEN_ERROR;
  if (UNLIKELY(reentered(x))) return PYGEN_ERROR;
  core_record *before = enter(x);
  PySendResult how =
      LIKELY(!x->begun) ? first_step(x, result) : drive(x, asgi_iter_send(x->inner, value, result), result);
  leave(x, before);
  return how;
}

static PySendResult throw_into(asgi_exchange *x, PyObject *args, PyObject **result) {
  if (x->begun) {
    PyObject *throw = PyObject_GetAttr(x->inner, text[T_THROW]);
    if (throw) {
      *result = PyObject_Call(throw, args, NULL);
      Py_DECREF(throw);
      return drive(x, *result ? PYGEN_NEXT : asgi_returned_value(result), result);
    }
    PyErr_Clear(); /* an iterator without throw() */
  }
  x->begun = 1;
  asgi_raise_thrown(args);
  return conclude(x, result);
}

static PyObject *exchange_send_method(PyObject *self, PyObject *value) {
  PyObject *result = NULL;
  PySendResult how = exchange_send(self, value, &result);
  return asgi_send_result(how, result);
}

static PyObject *exchange_next(PyObject *self) { return exchange_send_method(self, Py_None); }

static PyObject *exchange_throw(PyObject *self, PyObject *args) {
  asgi_exchange *x = (asgi_exchange *)self;
  PyObject *result = NULL;
  if (x->ended) return PyErr_SetString(PyExc_RuntimeError, "cannot reuse already awaited coroutine"), NULL;
  if (UNLIKELY(reentered(x))) return NULL;
  core_record *before = enter(x);
  PySendResult how = throw_into(x, args, &result);
  leave(x, before);
  return asgi_send_result(how, result);
}

static PyObject *exchange_close(PyObject *self, PyObject *none) {
  asgi_exchange *x = (asgi_exchange *)self;
  if (x->ended) Py_RETURN_NONE;
  if (UNLIKELY(reentered(x))) return NULL;
  core_record *before = enter(x);
  if (x->inner && core_done(PyObject_CallMethodNoArgs(x->inner, text[T_CLOSE])) < 0) PyErr_WriteUnraisable(self);
  if (!x->ended) {
    PyErr_SetNone(PyExc_GeneratorExit);
    x->kind->raised(x);
    PyErr_Clear();
    exchange_end(x);
  }
  leave(x, before);
  Py_RETURN_NONE;
}

static PyTypeObject exchange_type;

#define SPARE 64
static asgi_exchange *spare[SPARE];
static int nspare;

static asgi_exchange *exchange_new(core_record *rec) {
  asgi_exchange *x;
  if (nspare) {
    x = spare[--nspare];
    (void)PyObject_INIT(x, &exchange_type);
  } else {
    if (!(x = PyObject_GC_New(asgi_exchange, &exchange_type))) return NULL;
    memset((char *)x + sizeof(PyObject), 0, sizeof *x - sizeof(PyObject));
  }
  x->rec = rec;
  x->mount = core_mount_of(rec);
  x->kind = (const asgi_kind *)core_kind_of(rec); /* core_kind is the first member of asgi_kind */
  x->task = x->inner = x->iterator = x->told = NULL;
  x->waiters = x->last_waiter = NULL;
  x->state = ASGI_WAITS;
  x->begun = x->running = x->sending = x->gone = x->hung = x->ended = x->overdue = x->warned = x->waits = x->received =
      x->trailers = x->words = x->unheard = 0;
  x->taken = 0;
  x->code = 0;
  x->reason = NULL;
  x->head.rec = rec;
  x->head.status = 200;
  x->head.called = x->head.sent = 0;
  core_forget_fields(&x->head);
  x->prev = NULL;
  x->next = the_thread.live;
  if (x->next) x->next->prev = x;
  the_thread.live = x;
  Py_INCREF(x);
  PyObject_GC_Track((PyObject *)x);
  return x;
}

void asgi_exchange_run(core_thread *t, core_record *rec) {
  rec->inputs.closed_ns = 0;
  asgi_exchange *x = exchange_new(rec);
  if (!x) {
    core_report("starting a task", rec);
    wsgi_stream_end(t, rec, 1);
    return;
  }
  rec->run.exchange = Py_NewRef(x);
  PyObject *task = asgi_task_new(x);
  if (UNLIKELY(PyErr_Occurred())) {
    if (task) {
      core_report("a step of a task", x->rec);
    } else if (!x->ended) {
      x->kind->raised(x);
      PyErr_Clear();
      exchange_end(x);
    }
  }
  Py_XDECREF(task);
  Py_DECREF(x);
}

static int exchange_traverse(PyObject *self, visitproc visit, void *arg) {
  asgi_exchange *x = (asgi_exchange *)self;
  Py_VISIT(x->task);
  Py_VISIT(x->inner);
  Py_VISIT(x->iterator);
  Py_VISIT(x->told);
  return 0;
}

static int exchange_clear(PyObject *self) {
  asgi_exchange *x = (asgi_exchange *)self;
  Py_CLEAR(x->task);
  Py_CLEAR(x->inner);
  Py_CLEAR(x->iterator);
  Py_CLEAR(x->told);
  return 0;
}

static void exchange_dealloc(PyObject *self) {
  asgi_exchange *x = (asgi_exchange *)self;
  PyObject_GC_UnTrack(self);
  exchange_clear(self);
  Py_CLEAR(x->head.reason);
  Py_CLEAR(x->reason);
  if (!CORE_PARALLEL && nspare < SPARE && x->head.cap <= 8192) {
    spare[nspare++] = x;
    return;
  }
  free(x->head.buf);
  PyObject_GC_Del(self);
}

static PyObject *get_of_inner(PyObject *self, void *name) {
  PyObject *inner = CORE_HELD(self, Py_XNewRef(((asgi_exchange *)self)->inner));
  PyObject *value = inner ? PyObject_GetAttrString(inner, name) : NULL;
  Py_XDECREF(inner);
  if (value) return value;
  PyErr_Clear();
  Py_RETURN_NONE;
}

static PyObject *get_running(PyObject *self, void *closure) {
  return PyBool_FromLong(((asgi_exchange *)self)->running);
}

static PyObject *get_name(PyObject *self, void *closure) { return Py_NewRef(((asgi_exchange *)self)->mount->name); }

static PyGetSetDef exchange_getset[] = {
    {"cr_frame", get_of_inner, NULL, "As of the application's coroutine.", "cr_frame"},
    {"cr_await", get_of_inner, NULL, "As of the application's coroutine.", "cr_await"},
    {"cr_code", get_of_inner, NULL, "As of the application's coroutine.", "cr_code"},
    {"cr_running", get_running, NULL, "Whether it is running.", NULL},
    {"__name__", get_name, NULL, "The name of the application.", NULL},
    {"__qualname__", get_name, NULL, "The name of the application.", NULL},
    {NULL, NULL, NULL, NULL, NULL}};

static PyMethodDef exchange_methods[] = {
    {"send", exchange_send_method, METH_O, "send(value): as of a coroutine."},
    {"throw", exchange_throw, METH_VARARGS, "throw(type[, value[, traceback]]): as of a coroutine."},
    {"close", exchange_close, METH_NOARGS, "close(): as of a coroutine."},
    {NULL, NULL, 0, NULL}};

static PyAsyncMethods exchange_async = {.am_await = PyObject_SelfIter, CORE_AM_SEND(exchange_send)};

static PyTypeObject exchange_type = {
    PyVarObject_HEAD_INIT(NULL, 0).tp_name = "_fapws.Exchange",
    .tp_basicsize = sizeof(asgi_exchange),
    .tp_dealloc = exchange_dealloc,
    .tp_as_async = &exchange_async,
    .tp_flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC,
    .tp_doc = "The coroutine of a request.",
    .tp_traverse = exchange_traverse,
    .tp_clear = exchange_clear,
    .tp_iter = PyObject_SelfIter,
    .tp_iternext = exchange_next,
    .tp_methods = exchange_methods,
    .tp_getset = exchange_getset,
};

/* asyncio recognizes an object as a coroutine if its class is registered with collections.abc.Coroutine. */
static int register_coroutines(void) {
  PyTypeObject *types[] = {&exchange_type, &asgi_Waiter_Type};
  PyObject *coroutine = core_import("collections.abc", "Coroutine");
  int bad = !coroutine;
  for (size_t i = 0; !bad && i < sizeof types / sizeof *types; i++)
    bad = core_done(PyObject_CallMethod(coroutine, "register", "O", types[i])) < 0;
  Py_XDECREF(coroutine);
  return -bad;
}

int asgi_exchange_init(void) {
  if (asgi_cancelled_error) return 0;
  if (!(asgi_cancelled_error = core_import("asyncio", "CancelledError")) || core_intern(text, texts, T_COUNT) < 0 ||
      asgi_task_init() < 0 || PyType_Ready(&exchange_type) < 0 || asgi_waiter_init() < 0)
    return -1;
  return register_coroutines();
}
