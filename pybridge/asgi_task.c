/* Creates the asyncio.Task of an exchange, and runs the first step of the Task at once. From Python 3.12 on, a Task
 * with the parameter eager_start runs its first step itself. */
#include "asgi.h"

#define the_thread asgi_the_thread

enum { T_CALL_SOON, T_CANCEL, T_SELF, T_GET_CORO, T_VALUE, T_COUNT };
static const char *const texts[T_COUNT] = {"call_soon", "cancel", "__self__", "get_coro", "value"};
static PyObject *text[T_COUNT], *task_type, *task_names;

void asgi_exchange_cancel(asgi_exchange *x) {
  if (x->task && core_done(PyObject_CallMethodNoArgs(x->task, text[T_CANCEL])) < 0)
    PyErr_WriteUnraisable((PyObject *)x);
}

#if PY_VERSION_HEX < 0x030c0000
/* Before Python 3.12, a new Task passes its first step to loop.call_soon, which this file intercepts to run the step at
 * once. */
static PyObject *caught, *caught_context, *catcher;
static asgi_exchange *starting;

static int is_first_step(PyObject *f) {
  PyObject *task = PyObject_GetAttr(f, text[T_SELF]),
           *of = task ? PyObject_CallMethodNoArgs(task, text[T_GET_CORO]) : NULL;
  int is = of == (PyObject *)starting;
  PyErr_Clear();
  Py_XDECREF(of);
  Py_XDECREF(task);
  return is;
}

/* Calls the call_soon of asyncio's event loop for a callback that is not the first step of the Task, for example from a
 * finalizer that the garbage collector runs while the Task is created. */
static PyObject *pass_on(PyObject *const *args, Py_ssize_t n, PyObject *names) {
  PyObject *f = PyObject_GetAttr((PyObject *)Py_TYPE(the_thread.loop), text[T_CALL_SOON]),
           *bound = f ? PyMethod_New(f, the_thread.loop) : NULL;
  PyObject *handle = bound ? PyObject_Vectorcall(bound, args, (size_t)n, names) : NULL;
  Py_XDECREF(bound);
  Py_XDECREF(f);
  return handle;
}

static PyObject *take_callback(PyObject *self, PyObject *const *args, Py_ssize_t n, PyObject *names) {
  if (n != 1 || caught || !is_first_step(args[0])) return pass_on(args, n, names);
  caught = Py_NewRef(args[0]);
  for (Py_ssize_t i = 0; names && i < PyTuple_GET_SIZE(names); i++) {
    Py_INCREF(args[n + i]); /* the value of context, the only keyword argument of call_soon */
    Py_XSETREF(caught_context, args[n + i]);
  }
  Py_RETURN_NONE;
}

static PyMethodDef catch_method = {"call_soon", (PyCFunction)(void (*)(void))take_callback,
                                   METH_FASTCALL | METH_KEYWORDS, NULL};

static void step_now(void) {
  PyObject *step = caught, *context = caught_context;
  caught = caught_context = NULL;
  if (!step) return;
  if (context && PyContext_Enter(context) == 0) {
    Py_XDECREF(PyObject_CallNoArgs(step));
    PyObject *type, *value, *tb;
    PyErr_Fetch(&type, &value, &tb);
    PyContext_Exit(context);
    PyErr_Restore(type, value, tb);
  }
  Py_DECREF(step);
  Py_XDECREF(context);
}

PyObject *asgi_task_new(asgi_exchange *x) {
  PyObject *args[] = {(PyObject *)x, the_thread.loop, x->mount->name};
  int catching = PyObject_SetAttr(the_thread.loop, text[T_CALL_SOON], catcher) == 0;
  PyErr_Clear(); /* if the attribute call_soon cannot be set, the task begins in the loop's next iteration */
  starting = x;
  PyObject *task = PyObject_Vectorcall(task_type, args, 1, task_names);
  starting = NULL;
  if (!catching) return task;
  PyObject *type, *value, *tb;
  PyErr_Fetch(&type, &value, &tb);
  PyObject_SetAttr(the_thread.loop, text[T_CALL_SOON], NULL);
  PyErr_Restore(type, value, tb);
  if (task) {
    x->task = Py_NewRef(task);
    step_now();
  }
  return task;
}
#else
PyObject *asgi_task_new(asgi_exchange *x) {
  PyObject *args[] = {(PyObject *)x, the_thread.loop, x->mount->name, Py_True};
  PyObject *task = PyObject_Vectorcall(task_type, args, 1, task_names);
  if (task && !x->ended) x->task = Py_NewRef(task);
  return task;
}
#endif

int asgi_task_init(void) {
  if (!(task_type = core_import("asyncio", "Task")) || core_intern(text, texts, T_COUNT) < 0) return -1;
#if PY_VERSION_HEX < 0x030c0000
  if (!(catcher = PyCFunction_New(&catch_method, NULL))) return -1;
  task_names = Py_BuildValue("(ss)", "loop", "name");
#else
  task_names = Py_BuildValue("(sss)", "loop", "name", "eager_start");
#endif
  return task_names ? 0 : -1;
}

/* --- awaitables ----------------------------------------------------------
 *
 * Functions that send values to iterators, and that get the iterator of an awaitable (PEP 492). */

PySendResult asgi_returned_value(PyObject **result) {
  if (!PyErr_Occurred()) {
    *result = Py_NewRef(Py_None);
    return PYGEN_RETURN;
  }
  if (!PyErr_ExceptionMatches(PyExc_StopIteration)) return PYGEN_ERROR;
  PyObject *type, *value, *tb;
  PyErr_Fetch(&type, &value, &tb);
  PyErr_NormalizeException(&type, &value, &tb);
  *result = value ? PyObject_GetAttr(value, text[T_VALUE]) : NULL;
  Py_XDECREF(type);
  Py_XDECREF(value);
  Py_XDECREF(tb);
  return *result ? PYGEN_RETURN : PYGEN_ERROR;
}

PySendResult asgi_iter_send(PyObject *iterator, PyObject *value, PyObject **result) {
#if PY_VERSION_HEX >= 0x030a0000
  return PyIter_Send(iterator, value, result);
#else
  if (value == Py_None && PyIter_Check(iterator))
    *result = Py_TYPE(iterator)->tp_iternext(iterator);
  else
    *result = PyObject_CallMethod(iterator, "send", "O", value);
  return *result ? PYGEN_NEXT : asgi_returned_value(result);
#endif
}

PyObject *asgi_await(PyObject *o) {
  if (LIKELY(PyCoro_CheckExact(o))) return Py_NewRef(o);
  if (PyGen_CheckExact(o)) { /* perhaps a generator that types.coroutine has marked as a coroutine */
    PyObject *code = PyObject_GetAttrString(o, "gi_code"),
             *flags = code ? PyObject_GetAttrString(code, "co_flags") : NULL;
    long bits = flags ? PyLong_AsLong(flags) : 0;
    Py_XDECREF(code);
    Py_XDECREF(flags);
    PyErr_Clear();
    if (bits & CO_ITERABLE_COROUTINE) return Py_NewRef(o);
  }
  const PyAsyncMethods *methods = Py_TYPE(o)->tp_as_async;
  if (methods && methods->am_await) return methods->am_await(o);
  return PyErr_Format(PyExc_TypeError, "a %.100s cannot be awaited", Py_TYPE(o)->tp_name);
}
