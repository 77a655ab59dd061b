/* ASGI 3: the call of an application, the receive() and send() that it gets, and their messages
 * (https://asgi.readthedocs.io/en/stable/specs/main.html). asgihttp.c has those of HTTP, asgiws.c those of WebSockets.
 * On the asyncio thread, with the GIL. */
#include "asgi.h"

#include <string.h>

#define A fapws_the_async

/* --- receive() and send() ------------------------------------------------------ */

static PyObject *receive(PyObject *self, PyObject *none) {
  return fapws_waiter_new((fapws_exchange *)self, FAPWS_FOR_MESSAGE);
}

/* Whether the whole response was sent, by its Content-Length: clients may disconnect before the application ends it. */
static int has_all(const fapws_record *rec) {
  return rec && rec->started && rec->declared >= 0 && rec->sent == rec->declared;
}

int fapws_asgi_left(fapws_exchange *x) {
  PyErr_SetString(PyExc_BrokenPipeError, "send(): the client has disconnected");
  return -1;
}

PyObject *fapws_asgi_send(fapws_exchange *x, PyObject *message) {
  if (UNLIKELY(fapws_has_left(x)) && !has_all(x->rec)) { /* ASGI 2.4: send() raises OSError then */
    fapws_asgi_left(x);
    return NULL;
  }
  PyObject *waiter = x->kind->send(x, message);
  fapws_async_notify();
  return waiter;
}

static PyObject *send(PyObject *self, PyObject *const *args, Py_ssize_t n, PyObject *names) {
  fapws_exchange *x = (fapws_exchange *)self;
  int named = names && PyTuple_GET_SIZE(names) == 1 &&
              PyUnicode_CompareWithASCIIString(PyTuple_GET_ITEM(names, 0), "message") == 0;
  if (UNLIKELY(!(n == 1 && !names) && !(n == 0 && named)))
    return PyErr_Format(PyExc_TypeError, "send(message) takes one argument");
  if (UNLIKELY(!PyDict_Check(args[0])))
    return PyErr_Format(PyExc_TypeError, "send(): a message must be a dict, not %.100s", Py_TYPE(args[0])->tp_name);
  return fapws_this_thread == &A.thread ? fapws_asgi_send(x, args[0]) : fapws_send_when_awaited(x, args[0]);
}

static PyMethodDef receive_method = {"receive", receive, METH_NOARGS,
                                     "receive() -> the next event of this connection, a dict (ASGI 3)."};
static PyMethodDef send_method = {"send", (PyCFunction)(void (*)(void))send, METH_FASTCALL | METH_KEYWORDS,
                                  "send(message): an event for this connection, a dict (ASGI 3)."};

/* --- the application ----------------------------------------------------------- */

PyObject *fapws_asgi_call(fapws_exchange *x, PyObject *scope) {
  PyObject *args[3] = {scope, PyCFunction_New(&receive_method, (PyObject *)x),
                       PyCFunction_New(&send_method, (PyObject *)x)};
  PyObject *coroutine = args[0] && args[1] && args[2] ? PyObject_Vectorcall(x->mount->callable, args, 3, NULL) : NULL;
  for (int i = 0; i < 3; i++) Py_XDECREF(args[i]);
  if (!coroutine) return NULL;
  PyObject *inner = fapws_await(coroutine);
  if (!inner && PyErr_ExceptionMatches(PyExc_TypeError))
    PyErr_Format(PyExc_TypeError, "the application %U returned %.200R; an ASGI application must be async def",
                 x->mount->name, coroutine);
  Py_DECREF(coroutine);
  return inner;
}

/* Whether the exception, or one of its causes, reports that the client disconnected. */
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

void fapws_asgi_raised(fapws_exchange *x) {
  fapws_record *rec = x->rec;
  PyObject *type, *value, *tb;
  PyErr_Fetch(&type, &value, &tb);
  PyErr_NormalizeException(&type, &value, &tb);
  int gone = x->gone || (rec && fapws_is_cancelled(rec));
  /* Cancelled because the client disconnected, of a timeout, which has been logged, or because the server stops. */
  int cancelled = type && (PyErr_GivenExceptionMatches(type, fapws_cancelled_error) ||
                           PyErr_GivenExceptionMatches(type, PyExc_GeneratorExit));
  int quiet = (cancelled && (gone || x->overdue || fapws_the_async.stopping)) || (gone && is_of_gone(value)) ||
              (x->overdue && cancelled);
  PyErr_Restore(type, value, tb);
  if (quiet) {
    PyErr_Clear();
    if (rec) fapws_stream_end(&A.thread, rec, 1);
  } else if (rec) {
    fapws_fail(&A.thread, rec);
  } else {
    fapws_report_after((int)x->log, x->mount->name, x->line, x->line_len, x->addr, x->addr_len);
  }
}

/* --- messages ----------------------------------------------------------------- */

static PyObject *type_key;

int fapws_asgi_init(void) { return (type_key = PyUnicode_InternFromString("type")) ? 0 : -1; }

PyObject *fapws_asgi_message(PyObject *type) {
  PyObject *message = PyDict_New();
  if (message && PyDict_SetItem(message, type_key, type) < 0) Py_CLEAR(message);
  return message;
}

int fapws_with_values(fapws_exchange *x, PyObject *message, PyObject *first, PyObject *second,
                      int (*f)(fapws_exchange *, PyObject *, PyObject *)) {
  PyObject *a = NULL, *b = NULL; /* owned: another thread may change the dict */
  int bad = fapws_get(message, first, &a) < 0 || fapws_get(message, second, &b) < 0 || f(x, a, b) < 0;
  Py_XDECREF(a);
  Py_XDECREF(b);
  return -bad;
}

static int index_of(PyObject *type, PyObject *const *text, const char *const *texts, int first, int last) {
  for (int i = first; i <= last; i++)
    if (type == text[i]) return i;
  for (int i = first; i <= last && PyUnicode_Check(type); i++)
    if (PyUnicode_CompareWithASCIIString(type, texts[i]) == 0) return i;
  PyErr_Format(PyExc_ValueError, "send(): unsupported message type %.200R", type);
  return -1;
}

int fapws_message_type(PyObject *message, PyObject *const *text, const char *const *texts, int first, int last) {
  PyObject *type;
  int found = fapws_get(message, text[0], &type);
  if (found == 0) PyErr_SetString(PyExc_TypeError, "send(): the message has no 'type'");
  if (found <= 0) return -1;
  int index = index_of(type, text, texts, first, last);
  Py_DECREF(type);
  return index;
}
