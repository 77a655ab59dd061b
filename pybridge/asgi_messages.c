/* ASGI 3 (https://asgi.readthedocs.io/en/stable/specs/main.html): calls an application, implements receive() and
 * send(), and has helpers for their messages. asgi_http.c handles the messages of HTTP, and asgi_websocket.c the
 * messages of WebSockets. */
#include "asgi.h"

#include <stdarg.h>
#include <string.h>

#define the_thread asgi_the_thread

static PyObject *receive(PyObject *self, PyObject *none) {
  return asgi_waiter_new((asgi_exchange *)self, ASGI_FOR_MESSAGE);
}

static int has_all(const core_record *rec) {
  return rec && rec->run.started && rec->run.declared >= 0 && rec->run.sent == rec->run.declared;
}

int asgi_left(asgi_exchange *x, PyObject *message) {
  return core_raise(core_client_disconnected, "send(): the client has disconnected");
}

PyObject *asgi_send(asgi_exchange *x, PyObject *message) {
  if (UNLIKELY(asgi_has_left(x)) && !has_all(x->rec)) {
    int waits = x->kind->too_late(x, message);
    return waits < 0 ? NULL : waits ? asgi_waiter_new(x, ASGI_FOR_OTHERS) : Py_NewRef(asgi_done);
  }
  if (UNLIKELY(x->sending)) return PyErr_Format(PyExc_RuntimeError, "send() is called by a value of its message");
  x->sending = 1;
  int bad = x->kind->send(x, message);
  x->sending = 0;
  asgi_thread_notify();
  if (UNLIKELY(bad)) return NULL;
  if (UNLIKELY(x->rec && core_must_wait(x->rec))) return asgi_waiter_new(x, ASGI_FOR_ROOM);
  return Py_NewRef(asgi_done);
}

static PyObject *send(PyObject *self, PyObject *const *args, Py_ssize_t n, PyObject *names) {
  asgi_exchange *x = (asgi_exchange *)self;
  int named = names && PyTuple_GET_SIZE(names) == 1 &&
              PyUnicode_CompareWithASCIIString(PyTuple_GET_ITEM(names, 0), "message") == 0;
  if (UNLIKELY(!(n == 1 && !names) && !(n == 0 && named)))
    return PyErr_Format(PyExc_TypeError, "send(message) takes one argument");
  if (UNLIKELY(!PyDict_Check(args[0])))
    return PyErr_Format(PyExc_TypeError, "send(): a message must be a dict, not %.100s", Py_TYPE(args[0])->tp_name);
  return core_this_thread == &the_thread.thread ? asgi_send(x, args[0]) : asgi_send_when_awaited(x, args[0]);
}

static PyMethodDef receive_method = {"receive", receive, METH_NOARGS,
                                     "receive() -> the next event of this connection, a dict (ASGI 3)."};
static PyMethodDef send_method = {"send", (PyCFunction)(void (*)(void))send, METH_FASTCALL | METH_KEYWORDS,
                                  "send(message): an event for this connection, a dict (ASGI 3)."};

PyObject *asgi_call(asgi_exchange *x, PyObject *scope) {
  PyObject *args[3] = {scope, PyCFunction_New(&receive_method, (PyObject *)x),
                       PyCFunction_New(&send_method, (PyObject *)x)};
  PyObject *coroutine = args[0] && args[1] && args[2] ? PyObject_Vectorcall(x->mount->callable, args, 3, NULL) : NULL;
  for (int i = 0; i < 3; i++) Py_XDECREF(args[i]);
  if (!coroutine) return NULL;
  PyObject *inner = asgi_await(coroutine);
  if (!inner && PyErr_ExceptionMatches(PyExc_TypeError))
    PyErr_Format(PyExc_TypeError,
                 "the application %U returned %.200R; an ASGI application must be async def, without yield%s",
                 x->mount->name, coroutine,
                 PyCallable_Check(coroutine) ? "; wrap ASGI 2 in asgiref.compatibility.guarantee_single_callable" : "");
  Py_DECREF(coroutine);
  return inner;
}

/* Whether an exception, or one of its causes, reports that the client has disconnected: an OSError, or one of the
 * exceptions with which frameworks report the disconnect. */
static int is_of_gone(PyObject *value) {
  Py_XINCREF(value);
  int found = 0;
  for (int depth = 0; value && !found && depth < 8; depth++) {
    found = PyErr_GivenExceptionMatches(value, PyExc_OSError) ||
            strcmp(Py_TYPE(value)->tp_name, "ClientDisconnect") == 0 ||
            strcmp(Py_TYPE(value)->tp_name, "WebSocketDisconnect") == 0;
    PyObject *cause = PyException_GetCause(value);
    if (!cause) cause = PyException_GetContext(value);
    Py_DECREF(value);
    value = cause;
  }
  Py_XDECREF(value);
  return found;
}

void asgi_raised(asgi_exchange *x) {
  core_record *rec = x->rec;
  PyObject *type, *value, *tb;
  PyErr_Fetch(&type, &value, &tb);
  PyErr_NormalizeException(&type, &value, &tb);
  int gone = x->gone || (rec && core_is_cancelled(rec));
  /* A cancelled task is not reported if the client has disconnected or if the server stops. It is also not reported if
   * the request has timed out, because the timeout was logged. */
  int cancelled = type && (PyErr_GivenExceptionMatches(type, asgi_cancelled_error) ||
                           PyErr_GivenExceptionMatches(type, PyExc_GeneratorExit));
  int quiet = (cancelled && (gone || x->overdue || asgi_the_thread.stopping)) || (gone && is_of_gone(value)) ||
              (x->overdue && cancelled);
  PyErr_Restore(type, value, tb);
  if (quiet) {
    PyErr_Clear();
    if (rec) wsgi_stream_end(&the_thread.thread, rec, 1);
  } else if (rec) {
    wsgi_fail(&the_thread.thread, rec);
  } else {
    core_report_after((int)x->log, x->mount->name, x->line, x->line_len, x->addr, x->addr_len);
  }
}

static PyObject *type_key;

int asgi_init(void) { return (type_key = PyUnicode_InternFromString("type")) ? 0 : -1; }

int asgi_message(PyObject **message, PyObject *type, ...) {
  va_list pairs;
  PyObject *made = PyDict_New();
  int bad = !made || PyDict_SetItem(made, type_key, type) < 0;
  va_start(pairs, type);
  for (PyObject *key; (key = va_arg(pairs, PyObject *));) {
    PyObject *value = va_arg(pairs, PyObject *);
    if (bad)
      Py_XDECREF(value);
    else
      bad = core_put(made, key, value) < 0;
  }
  va_end(pairs);
  if (bad) Py_CLEAR(made);
  *message = made;
  return bad ? -1 : 1;
}

int asgi_with_values(asgi_exchange *x, PyObject *message, PyObject *first, PyObject *second,
                     int (*f)(asgi_exchange *, PyObject *, PyObject *)) {
  PyObject *a = NULL, *b = NULL; /* owned, because another thread could remove the values from the dict */
  int bad = core_get(message, first, &a) < 0 || core_get(message, second, &b) < 0 || f(x, a, b) < 0;
  Py_XDECREF(a);
  Py_XDECREF(b);
  return -bad;
}

static int index_of(PyObject *type, PyObject *const *text, const char *const *texts, int first, int last) {
  for (int i = first; i <= last; i++)
    if (type == text[i]) return i;
  for (int i = first; i <= last && PyUnicode_Check(type); i++)
    if (PyUnicode_CompareWithASCIIString(type, texts[i]) == 0) return i;
  return core_raise(PyExc_ValueError, "send(): unsupported message type %.200R", type);
}

int asgi_message_type(PyObject *message, PyObject *const *text, const char *const *texts, int first, int last) {
  PyObject *type;
  int found = core_get(message, text[0], &type);
  if (found == 0) PyErr_SetString(PyExc_TypeError, "send(): the message has no 'type'");
  if (found <= 0) return -1;
  int index = index_of(type, text, texts, first, last);
  Py_DECREF(type);
  return index;
}

/* --- inputs --------------------------------------------------------------
 *
 * Takes inputs of an exchange that has begun: parts of the request body, or messages of the WebSocket. */

core_input *asgi_take_input(core_record *rec) {
  core_lock();
  core_input *in = rec->inputs.first;
  if (in && !(rec->inputs.first = in->next)) rec->inputs.last = NULL;
  core_unlock();
  if (!in) return NULL;
  core_part *p = core_credit_part(rec, in);
  if (!p) return in;
  core_publish(rec->run.thread, p);
  asgi_thread_notify();
  return in;
}
