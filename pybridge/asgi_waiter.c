/* Waiters: the coroutines that receive() and send() of an application return.
 *
 * receive() takes a message only when its coroutine is awaited or runs in a task (asyncio.create_task, wait_for).
 * Therefore a receive() that the application abandons loses no message. send() sends its message when it is called or,
 * if a different thread calls send() for asyncio.run_coroutine_threadsafe, when the coroutine is awaited. Each waiter
 * has a separate future, because a cancelled task cancels its future, and must not cancel the futures of other
 * tasks. */
#include "asgi.h"

#define the_thread asgi_the_thread

PyObject *asgi_done;

enum { T_BLOCKING, T_SET_RESULT, T_DONE, T_COUNT };
static const char *const texts[T_COUNT] = {"_asyncio_future_blocking", "set_result", "done"};
static PyObject *text[T_COUNT], *future_type, *loop_names;

/* --- the waiters of an exchange, in the order in which they began to wait --------------------------------------- */

static void link_waiter(asgi_waiter *w) {
  asgi_exchange *x = w->exchange;
  CORE_BEGIN_HOLD(x); /* another thread can collect a waiter as garbage, which changes the list */
  w->woken = 0;
  w->next = NULL;
  w->prev = x->last_waiter;
  *(w->prev ? &w->prev->next : &x->waiters) = w;
  x->last_waiter = w;
  CORE_END_HOLD();
}

static void unlink_waiter(asgi_waiter *w) {
  if (!w->future) return;
  CORE_BEGIN_HOLD(w->exchange);
  *(w->prev ? &w->prev->next : &w->exchange->waiters) = w->next;
  *(w->next ? &w->next->prev : &w->exchange->last_waiter) = w->prev;
  w->next = w->prev = NULL;
  CORE_END_HOLD();
  Py_CLEAR(w->future);
}

static void set_result(PyObject *future) {
  PyObject *is_done = PyObject_CallMethodNoArgs(future, text[T_DONE]);
  PyObject *set = is_done == Py_False ? PyObject_CallMethodObjArgs(future, text[T_SET_RESULT], Py_None, NULL) : NULL;
  Py_XDECREF(is_done);
  Py_XDECREF(set);
  if (PyErr_Occurred()) PyErr_WriteUnraisable(future);
}

/* Finds the first waiter that was not woken yet and that waits for the reason in the parameter what. Marks the waiter
 * as woken, and returns a new reference to its future, or returns NULL if no waiter was found. */
static PyObject *next_future(asgi_exchange *x, int what) {
  PyObject *future = NULL;
  CORE_BEGIN_HOLD(x);
  asgi_waiter *w = x->waiters;
  while (w && (w->what != what || w->woken)) w = w->next;
  if (w) {
    w->woken = 1;
    future = Py_NewRef(w->future);
  }
  CORE_END_HOLD();
  return future;
}

int asgi_listens(asgi_exchange *x) {
  int listens;
  CORE_BEGIN_HOLD(x);
  asgi_waiter *w = x->waiters;
  while (w && w->what != ASGI_FOR_MESSAGE) w = w->next;
  listens = w != NULL;
  CORE_END_HOLD();
  return listens;
}

void asgi_wake_waiters(asgi_exchange *x, int what) {
  for (PyObject *future; (future = next_future(x, what));) {
    set_result(future);
    Py_DECREF(future);
  }
}

/* Sends the message of w, and returns 1 if w must now wait for room, 0 if w is done, or -1 with an exception. */
static int send_it(asgi_waiter *w) {
  PyObject *sent = asgi_send(w->exchange, w->message);
  int waits = sent ? sent != asgi_done : -1;
  w->what = waits > 0 ? ((asgi_waiter *)sent)->what : ASGI_FOR_ROOM;
  Py_XDECREF(sent);
  Py_CLEAR(w->message);
  return waits;
}

/* Returns 1 if x must wait for room in the response, 0 if there is room or the client has disconnected, or -1 with an
 * exception. */
static int lacks_room(asgi_exchange *x) {
  if (!asgi_has_left(x)) return x->rec && core_park(x->rec);
  return x->kind->too_late(x, NULL) < 0 ? -1 : 0;
}

/* Checks whether w can continue: returns 1 and stores the result in *result, or returns 0 if w must wait, or -1 with an
 * exception. */
static int look(asgi_waiter *w, PyObject **result) {
  asgi_exchange *x = w->exchange;
  if (w->what == ASGI_FOR_MESSAGE) return x->kind->receive(x, result);
  int waits = w->what == ASGI_TO_SEND ? send_it(w) : 1;
  if (waits > 0) waits = lacks_room(x);
  if (waits) return waits < 0 ? -1 : 0;
  *result = Py_NewRef(Py_None);
  return 1;
}

static PyObject *new_future(void) {
  PyObject *args[] = {the_thread.loop}, *future = PyObject_Vectorcall(future_type, args, 0, loop_names);
  if (future && PyObject_SetAttr(future, text[T_BLOCKING], Py_True) < 0) Py_CLEAR(future);
  return future;
}

/* A second task that awaits the same waiter gets an exception, as with any coroutine, and the first task continues to
 * wait. */
static PyObject *already_awaited(void) {
  return PyErr_Format(PyExc_RuntimeError, "coroutine is already being awaited");
}

/* Whether a task already awaits w, so that the caller is a second task. Returns -1 with an exception on failure. */
static int is_waited_in(const asgi_waiter *w) {
  if (!w->future) return 0;
  PyObject *is_done = PyObject_CallMethodNoArgs(w->future, text[T_DONE]);
  Py_XDECREF(is_done);
  return !is_done ? -1 : is_done == Py_False;
}

static PySendResult waiter_send(PyObject *self, PyObject *value, PyObject **result) {
  asgi_waiter *w = (asgi_waiter *)self;
  if (LIKELY(w->what == ASGI_FOR_NOTHING)) {
    *result = Py_NewRef(Py_None);
    return PYGEN_RETURN;
  }
  if (w->ended) return PyErr_Format(PyExc_RuntimeError, "cannot reuse already awaited coroutine"), PYGEN_ERROR;
  if (UNLIKELY(core_this_thread != &the_thread.thread)) {
    PyErr_SetString(PyExc_RuntimeError, "receive() and send() must be awaited on the thread that runs the application; "
                                        "use asyncio.run_coroutine_threadsafe");
    return PYGEN_ERROR;
  }
  int taken = is_waited_in(w);
  if (UNLIKELY(taken)) {
    if (taken > 0) already_awaited();
    return PYGEN_ERROR;
  }
  unlink_waiter(w);
  if (UNLIKELY(w->what == ASGI_FOR_OTHERS)) { /* yields None, as asyncio.sleep(0) does */
    w->what = ASGI_FOR_ROOM;
    *result = Py_NewRef(Py_None);
    return PYGEN_NEXT;
  }
  int found = look(w, result);
  if (found) {
    w->ended = 1;
    return found < 0 ? PYGEN_ERROR : PYGEN_RETURN;
  }
  PyObject *future = new_future();
  if (!future) return PYGEN_ERROR;
  w->future = future;
  link_waiter(w);
  *result = Py_NewRef(future);
  return PYGEN_NEXT;
}

PyObject *asgi_send_result(PySendResult how, PyObject *result) {
  if (how == PYGEN_NEXT) return result;
  if (how == PYGEN_RETURN) {
    PyErr_SetObject(PyExc_StopIteration, result);
    Py_DECREF(result);
  }
  return NULL;
}

static PyObject *waiter_send_method(PyObject *self, PyObject *value) {
  PyObject *result = NULL;
  PySendResult how = waiter_send(self, value, &result);
  return asgi_send_result(how, result);
}

static PyObject *waiter_next(PyObject *self) { return waiter_send_method(self, Py_None); }

PyObject *asgi_raise_thrown(PyObject *args) {
  PyObject *type, *value = NULL, *tb = NULL;
  if (!PyArg_UnpackTuple(args, "throw", 1, 3, &type, &value, &tb)) return NULL;
  if (PyExceptionInstance_Check(type)) {
    value = type;
    type = (PyObject *)Py_TYPE(value);
    if (!tb || tb == Py_None) tb = PyException_GetTraceback(value), Py_XDECREF(tb);
  } else if (!PyExceptionClass_Check(type)) {
    return PyErr_Format(PyExc_TypeError, "exceptions must be classes or instances deriving from BaseException, not %s",
                        Py_TYPE(type)->tp_name);
  }
  core_raise_given(type, value, tb);
  return NULL;
}

static PyObject *waiter_throw(PyObject *self, PyObject *args) {
  asgi_waiter *w = (asgi_waiter *)self;
  int taken = is_waited_in(w);
  if (taken < 0) return NULL;
  if (!taken) {
    unlink_waiter(w);
    w->ended = 1;
  }
  return asgi_raise_thrown(args);
}

static PyObject *waiter_close(PyObject *self, PyObject *none) {
  unlink_waiter((asgi_waiter *)self);
  ((asgi_waiter *)self)->ended = 1;
  Py_RETURN_NONE;
}

static PyObject *waiter_await(PyObject *self) {
  if (((asgi_waiter *)self)->future) return already_awaited();
  return PyObject_SelfIter(self);
}

static PyMethodDef waiter_methods[] = {
    {"send", waiter_send_method, METH_O, "send(None): as of a coroutine."},
    {"throw", waiter_throw, METH_VARARGS, "throw(type[, value[, traceback]]): as of a coroutine."},
    {"close", waiter_close, METH_NOARGS, "close(): as of a coroutine."},
    {NULL, NULL, 0, NULL}};

static int waiter_traverse(PyObject *self, visitproc visit, void *arg) {
  Py_VISIT(((asgi_waiter *)self)->exchange);
  Py_VISIT(((asgi_waiter *)self)->future);
  Py_VISIT(((asgi_waiter *)self)->message);
  return 0;
}

static int waiter_clear(PyObject *self) {
  asgi_waiter *w = (asgi_waiter *)self;
  if (w->exchange) unlink_waiter(w);
  Py_CLEAR(w->exchange);
  Py_CLEAR(w->message);
  return 0;
}

static void waiter_dealloc(PyObject *self) {
  PyObject_GC_UnTrack(self);
  waiter_clear(self);
  PyObject_GC_Del(self);
}

static PyAsyncMethods waiter_async = {.am_await = waiter_await, CORE_AM_SEND(waiter_send)};

PyTypeObject asgi_Waiter_Type = {
    PyVarObject_HEAD_INIT(NULL, 0).tp_name = "_fapws.Waiter",
    .tp_basicsize = sizeof(asgi_waiter),
    .tp_dealloc = waiter_dealloc,
    .tp_as_async = &waiter_async,
    .tp_flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC,
    .tp_doc = "A coroutine that waits for the client.",
    .tp_traverse = waiter_traverse,
    .tp_clear = waiter_clear,
    .tp_iter = PyObject_SelfIter,
    .tp_iternext = waiter_next,
    .tp_methods = waiter_methods,
};

PyObject *asgi_waiter_new(asgi_exchange *x, int what) {
  asgi_waiter *w = PyObject_GC_New(asgi_waiter, &asgi_Waiter_Type);
  if (!w) return NULL;
  w->exchange = (asgi_exchange *)Py_XNewRef(x);
  w->future = w->message = NULL;
  w->next = w->prev = NULL;
  w->what = (uint8_t)what;
  w->ended = w->woken = 0;
  PyObject_GC_Track((PyObject *)w);
  return (PyObject *)w;
}

PyObject *asgi_send_when_awaited(asgi_exchange *x, PyObject *message) {
  asgi_waiter *w = (asgi_waiter *)asgi_waiter_new(x, ASGI_TO_SEND);
  if (w) w->message = Py_NewRef(message);
  return (PyObject *)w;
}

int asgi_waiter_init(void) {
  if (asgi_done) return 0;
  if (!(future_type = core_import("asyncio", "Future")) || !(loop_names = Py_BuildValue("(s)", "loop"))) return -1;
  if (core_intern(text, texts, T_COUNT) < 0) return -1;
  return PyType_Ready(&asgi_Waiter_Type) < 0 || !(asgi_done = asgi_waiter_new(NULL, ASGI_FOR_NOTHING)) ? -1 : 0;
}
