/* What receive() and send() of an application return: coroutines that wait, and
 * one that does not have to.
 *
 * They act when they are awaited, or made a task of (asyncio.create_task, wait_for),
 * so that a receive() which is given up before takes no message away. Each has a
 * future of its own, because a task that is cancelled cancels the future it waits on. */
#include "exchange.h"

#define A fapws_the_async

PyObject *fapws_done;

static PyObject *future_type, *loop_names, *text_blocking, *text_set_result, *text_done;

/* --- the list of those that wait, the first one first ------------------------- */

static void link_waiter(fapws_waiter *w) {
  fapws_exchange *x = w->exchange;
  w->next = NULL;
  w->prev = x->last_waiter;
  *(w->prev ? &w->prev->next : &x->waiters) = w;
  x->last_waiter = w;
}

static void unlink_waiter(fapws_waiter *w) {
  if (!w->future) return;
  *(w->prev ? &w->prev->next : &w->exchange->waiters) = w->next;
  *(w->next ? &w->next->prev : &w->exchange->last_waiter) = w->prev;
  w->next = w->prev = NULL;
  Py_CLEAR(w->future);
}

static void set_result(PyObject *future) {
  PyObject *is_done = PyObject_CallMethodNoArgs(future, text_done);
  PyObject *set = is_done == Py_False ? PyObject_CallMethodObjArgs(future, text_set_result, Py_None, NULL) : NULL;
  Py_XDECREF(is_done);
  Py_XDECREF(set);
  if (PyErr_Occurred()) PyErr_WriteUnraisable(future);
}

void fapws_wake_waiters(fapws_exchange *x, int what) {
  for (fapws_waiter *w = x->waiters, *next; w; w = next) {
    next = w->next;
    if (w->what == what) set_result(w->future); /* runs no code but asyncio's call_soon */
  }
}

/* --- waiting ----------------------------------------------------------------- */

/* 1 with *result, 0 it has to wait, -1 exception. */
static int look(fapws_waiter *w, PyObject **result) {
  fapws_exchange *x = w->exchange;
  if (w->what == FAPWS_FOR_MESSAGE) return x->kind->receive(x, result);
  *result = Py_None;
  int gone = fapws_has_left(x);
  if (!gone && x->rec && fapws_park(x->rec)) return 0;
  if (gone && x->kind->room_is_gone(x) < 0) return -1;
  Py_INCREF(Py_None);
  return 1;
}

static PyObject *new_future(void) {
  PyObject *args[] = {A.loop}, *future = PyObject_Vectorcall(future_type, args, 0, loop_names);
  if (future && PyObject_SetAttr(future, text_blocking, Py_True) < 0) Py_CLEAR(future);
  return future;
}

/* A waiter that two tasks await is as a coroutine: the second one is told that it cannot,
 * or of its own cancellation, and the first one goes on waiting. Receives or sends of
 * their own are served in the order in which they began to wait. */
static PyObject *already_awaited(void) {
  return PyErr_Format(PyExc_RuntimeError, "coroutine is being awaited already");
}

/* Whether its future is not done: then it is another task that calls. -1 with an exception. */
static int is_waited_in(const fapws_waiter *w) {
  if (!w->future) return 0;
  PyObject *is_done = PyObject_CallMethodNoArgs(w->future, text_done);
  Py_XDECREF(is_done); /* a bool */
  return !is_done ? -1 : is_done == Py_False;
}

static PySendResult waiter_send(PyObject *self, PyObject *value, PyObject **result) {
  fapws_waiter *w = (fapws_waiter *)self;
  if (w->ended) {
    PyErr_SetString(PyExc_RuntimeError, "cannot reuse already awaited coroutine");
    return PYGEN_ERROR;
  }
  int taken = is_waited_in(w);
  if (UNLIKELY(taken)) {
    if (taken > 0) already_awaited();
    return PYGEN_ERROR;
  }
  unlink_waiter(w);
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

/* What tp_iternext and send() make of it: the value of a return is StopIteration's. */
static PyObject *as_iteration(PySendResult how, PyObject *result, int always) {
  if (how == PYGEN_NEXT) return result;
  if (how == PYGEN_RETURN) {
    if (result != Py_None || always) PyErr_SetObject(PyExc_StopIteration, result);
    Py_DECREF(result);
  }
  return NULL;
}

static PyObject *waiter_next(PyObject *self) {
  PyObject *result = NULL;
  PySendResult how = waiter_send(self, Py_None, &result);
  return as_iteration(how, result, 0);
}

static PyObject *waiter_send_method(PyObject *self, PyObject *value) {
  PyObject *result = NULL;
  PySendResult how = waiter_send(self, value, &result);
  return as_iteration(how, result, 1);
}

/* throw(type[, value[, traceback]]): sets that exception. */
static PyObject *raise_thrown(PyObject *args) {
  PyObject *type, *value = NULL, *tb = NULL;
  if (!PyArg_UnpackTuple(args, "throw", 1, 3, &type, &value, &tb)) return NULL;
  if (PyExceptionInstance_Check(type)) {
    value = type;
    type = (PyObject *)Py_TYPE(value);
    if (!tb || tb == Py_None) tb = PyException_GetTraceback(value), Py_XDECREF(tb);
  } else if (!PyExceptionClass_Check(type)) {
    return PyErr_Format(PyExc_TypeError, "exceptions must be classes or instances deriving from BaseException, not %s", Py_TYPE(type)->tp_name);
  }
  if (tb == Py_None) tb = NULL;
  if (value == Py_None) value = NULL;
  Py_INCREF(type);
  Py_XINCREF(value);
  Py_XINCREF(tb);
  PyErr_Restore(type, value, tb);
  return NULL;
}

static PyObject *waiter_throw(PyObject *self, PyObject *args) {
  fapws_waiter *w = (fapws_waiter *)self;
  int taken = is_waited_in(w);
  if (taken < 0) return NULL;
  if (!taken) {
    unlink_waiter(w);
    w->ended = 1;
  }
  return raise_thrown(args);
}

static PyObject *waiter_close(PyObject *self, PyObject *none) {
  unlink_waiter((fapws_waiter *)self);
  ((fapws_waiter *)self)->ended = 1;
  Py_RETURN_NONE;
}

static PyObject *waiter_await(PyObject *self) {
  if (((fapws_waiter *)self)->future) return already_awaited();
  return PyObject_SelfIter(self);
}

static PyMethodDef waiter_methods[] = {
    {"send", waiter_send_method, METH_O, "send(None): as of a coroutine."},
    {"throw", waiter_throw, METH_VARARGS, "throw(type[, value[, traceback]]): as of a coroutine."},
    {"close", waiter_close, METH_NOARGS, "close(): as of a coroutine."},
    {NULL, NULL, 0, NULL}};

static int waiter_traverse(PyObject *self, visitproc visit, void *arg) {
  Py_VISIT(((fapws_waiter *)self)->exchange);
  Py_VISIT(((fapws_waiter *)self)->future);
  return 0;
}

static int waiter_clear(PyObject *self) {
  fapws_waiter *w = (fapws_waiter *)self;
  if (w->exchange) unlink_waiter(w);
  Py_CLEAR(w->exchange);
  return 0;
}

static void waiter_dealloc(PyObject *self) {
  PyObject_GC_UnTrack(self);
  waiter_clear(self);
  PyObject_GC_Del(self);
}

static PyAsyncMethods waiter_async = {.am_await = waiter_await, FAPWS_AM_SEND(waiter_send)};

PyTypeObject fapws_Waiter_Type = {
    PyVarObject_HEAD_INIT(NULL, 0).tp_name = "_fapws.Waiter",
    .tp_basicsize = sizeof(fapws_waiter),
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

PyObject *fapws_waiter_new(fapws_exchange *x, int what) {
  fapws_waiter *w = PyObject_GC_New(fapws_waiter, &fapws_Waiter_Type);
  if (!w) return NULL;
  w->exchange = (fapws_exchange *)Py_NewRef(x);
  w->future = NULL;
  w->next = w->prev = NULL;
  w->what = (uint8_t)what;
  w->ended = 0;
  PyObject_GC_Track((PyObject *)w);
  return (PyObject *)w;
}

/* --- the one that has ended -------------------------------------------------- */

static PySendResult done_send(PyObject *self, PyObject *value, PyObject **result) {
  *result = Py_NewRef(Py_None);
  return PYGEN_RETURN;
}

static PyObject *done_next(PyObject *self) {
  return NULL;
}

static PyObject *done_send_method(PyObject *self, PyObject *value) {
  PyErr_SetNone(PyExc_StopIteration);
  return NULL;
}

static PyObject *done_throw(PyObject *self, PyObject *args) {
  return raise_thrown(args);
}

static PyObject *done_close(PyObject *self, PyObject *none) {
  Py_RETURN_NONE;
}

static PyMethodDef done_methods[] = {{"send", done_send_method, METH_O, "send(None): as of a coroutine."},
                                     {"throw", done_throw, METH_VARARGS, "throw(type[, value[, traceback]]): as of a coroutine."},
                                     {"close", done_close, METH_NOARGS, "close(): as of a coroutine."},
                                     {NULL, NULL, 0, NULL}};

static PyAsyncMethods done_async = {.am_await = PyObject_SelfIter, FAPWS_AM_SEND(done_send)};

PyTypeObject fapws_Done_Type = {
    PyVarObject_HEAD_INIT(NULL, 0).tp_name = "_fapws.Done",
    .tp_basicsize = sizeof(PyObject),
    .tp_as_async = &done_async,
    .tp_flags = Py_TPFLAGS_DEFAULT,
    .tp_doc = "A coroutine with nothing left to do; send() returns it.",
    .tp_iter = PyObject_SelfIter,
    .tp_iternext = done_next,
    .tp_methods = done_methods,
};

int fapws_waiter_init(void) {
  if (fapws_done) return 0;
  PyObject *asyncio = PyImport_ImportModule("asyncio");
  future_type = asyncio ? PyObject_GetAttrString(asyncio, "Future") : NULL;
  Py_XDECREF(asyncio);
  loop_names = Py_BuildValue("(s)", "loop");
  text_blocking = PyUnicode_InternFromString("_asyncio_future_blocking");
  text_set_result = PyUnicode_InternFromString("set_result");
  text_done = PyUnicode_InternFromString("done");
  if (!future_type || !loop_names || !text_blocking || !text_set_result || !text_done) return -1;
  if (PyType_Ready(&fapws_Waiter_Type) < 0 || PyType_Ready(&fapws_Done_Type) < 0) return -1;
  fapws_done = PyObject_New(PyObject, &fapws_Done_Type);
  return fapws_done ? 0 : -1;
}
