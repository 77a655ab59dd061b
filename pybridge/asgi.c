/* ASGI 3 for HTTP: receive() and send() (https://asgi.readthedocs.io/en/stable/specs/www.html, "HTTP"). On the asyncio
 * thread, with the GIL.
 *
 * A response that is complete with its first http.response.body is published as one part. */
#include "exchange.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define A fapws_the_async
#define CHUNK 65536 /* bytes of a body in a file for one message */

enum {
  T_TYPE,
  T_STATUS,
  T_HEADERS,
  T_BODY,
  T_MORE,
  T_PATH,
  T_TRAILERS,
  T_MORE_TRAILERS,
  T_REQUEST,
  T_DISCONNECT,
  T_START,
  T_RESPONSE_BODY,
  T_PATHSEND,
  T_RESPONSE_TRAILERS,
  T_COUNT
};
static const char *const texts[T_COUNT] = {"type",
                                           "status",
                                           "headers",
                                           "body",
                                           "more_body",
                                           "path",
                                           "trailers",
                                           "more_trailers",
                                           "http.request",
                                           "http.disconnect",
                                           "http.response.start",
                                           "http.response.body",
                                           "http.response.pathsend",
                                           "http.response.trailers"};
static PyObject *text[T_COUNT], *bytes_empty;

static int init(void) {
  return fapws_intern(text, texts, T_COUNT) < 0 || !(bytes_empty = PyBytes_FromStringAndSize(NULL, 0)) ? -1 : 0;
}

/* --- the application ---------------------------------------------------------- */

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

PyObject *fapws_asgi_call(fapws_exchange *x, PyObject *scope) {
  if (UNLIKELY(!bytes_empty) && init() < 0) Py_CLEAR(scope);
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

static PyObject *http_begin(fapws_exchange *x) { return fapws_asgi_call(x, fapws_scope(x->rec)); }

static PyObject *http_returned(fapws_exchange *x, PyObject *result) {
  fapws_record *rec = x->rec;
  if (LIKELY(!rec)) return NULL;
  if (x->gone || x->hung || fapws_is_cancelled(rec)) /* the application knows that the client disconnected */
    fapws_stream_end(&A.thread, rec, 1);
  else if (x->state == FAPWS_WAITS)
    fapws_fail_line(&A.thread, rec, "the application returned without a response");
  else if (x->state == FAPWS_HEAD)
    fapws_fail_line(&A.thread, rec,
                    "the application returned after 'http.response.start', without 'http.response.body'");
  else if (x->state == FAPWS_TRAILERS)
    fapws_fail_line(&A.thread, rec,
                    "the application returned without 'http.response.trailers', which 'http.response.start' announced");
  else
    fapws_fail_line(&A.thread, rec, "the application returned before the end of its response ('more_body' was true)");
  return NULL;
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

/* --- receive ------------------------------------------------------------------ */

PyObject *fapws_asgi_message(PyObject *type) {
  PyObject *message = PyDict_New();
  if (message && PyDict_SetItem(message, text[T_TYPE], type) < 0) Py_CLEAR(message);
  return message;
}

static int request_message(PyObject *body, int more, PyObject **message) {
  *message = body ? fapws_asgi_message(text[T_REQUEST]) : NULL;
  if (*message && (PyDict_SetItem(*message, text[T_BODY], body) < 0 ||
                   PyDict_SetItem(*message, text[T_MORE], more ? Py_True : Py_False) < 0))
    Py_CLEAR(*message);
  Py_XDECREF(body);
  return *message ? 1 : -1;
}

static int http_receive(fapws_exchange *x, PyObject **message) {
  fapws_record *rec = x->rec;
  if (!rec || x->gone || x->hung || fapws_is_cancelled(rec)) {
    *message = fapws_asgi_message(text[T_DISCONNECT]);
    return *message ? 1 : -1;
  }
  int64_t here = rec->spool >= 0 ? rec->size : (int64_t)rec->body_len, left = here - x->taken;
  if (!x->received && (left > 0 || !rec->more)) { /* the part that arrived with the request */
    int64_t n = rec->spool >= 0 && left > CHUNK ? CHUNK : left;
    PyObject *body;
    if (LIKELY(n == 0)) {
      body = Py_NewRef(bytes_empty);
    } else {
      body = rec->spool >= 0 ? fapws_read_spool(rec->spool, x->taken, n)
                             : PyBytes_FromStringAndSize(rec->data + rec->body_off + x->taken, (Py_ssize_t)n);
      if (!body) return -1;
    }
    x->taken += n;
    x->received = !rec->more && x->taken == here;
    return request_message(body, !x->received, message);
  }
  fapws_input *in = fapws_take_input(rec);
  if (!in) return 0;
  if (in->op == FAPWS_OP_CLOSE) { /* the client has shut down its side */
    x->hung = 1;
    free(in);
    return http_receive(x, message);
  }
  PyObject *body = PyBytes_FromStringAndSize(in->data, (Py_ssize_t)in->len);
  x->received = in->last;
  free(in);
  return request_message(body, !x->received, message);
}

/* --- send --------------------------------------------------------------------- */

static void publish_chain(fapws_exchange *x, const fapws_chain *c) {
  fapws_record *rec = x->rec;
  if (c->first->first) rec->started = 1;
  if (c->last->last) {
    x->state = FAPWS_COMPLETE;
    fapws_drop(&A.thread, rec); /* x->rec is NULL from here on */
  }
  fapws_publish_chain(&A.thread, c);
}

void fapws_exchange_publish(fapws_exchange *x, fapws_part *p) { publish_chain(x, &(fapws_chain){x->rec, p, p}); }

/* Whether the last part has trailers, or more of the body. */
static int goes_on(const fapws_exchange *x, int more) { return more || (x->trailers && x->rec->trailers); }

/* Notes that the rest of the response is not sent. */
static void discard(fapws_exchange *x, int more) {
  if (more)
    x->state = FAPWS_DISCARD;
  else if (x->trailers)
    x->state = FAPWS_TRAILERS;
}

/* Publishes parts with the body of a message; more: other messages with the body will follow. */
static void publish_body(fapws_exchange *x, const fapws_chain *c, int more) {
  fapws_record *rec = x->rec;
  int whole = !goes_on(x, more) || rec->bodyless || rec->whole;
  x->state = more ? FAPWS_BODY : FAPWS_TRAILERS;
  c->last->last = (uint8_t)whole;
  c->last->failed = (uint8_t)(whole && fapws_body_is_short(rec));
  publish_chain(x, c);
  if (whole) discard(x, more);
}

/* The first http.response.body. */
static int first_body(fapws_exchange *x, PyObject *owner, const char *data, Py_ssize_t len, int more) {
  fapws_record *rec = x->rec;
  fapws_part *head = fapws_write_head(rec, &x->head, goes_on(x, more) ? -1 : len, FAPWS_TYPE_SET);
  if (!head) return -1;
  if (UNLIKELY(head->send_len)) {
    head->last = 1;
    fapws_exchange_publish(x, head);
    discard(x, more);
    return 0;
  }
  fapws_chain c = {rec, head, head};
  if (fapws_add_body(&c, owner, data, (size_t)len) < 0) return -1;
  publish_body(x, &c, more);
  return 0;
}

static int next_body(fapws_exchange *x, PyObject *owner, const char *data, Py_ssize_t len, int more) {
  fapws_record *rec = x->rec;
  fapws_chain c = {rec, NULL, NULL};
  if (fapws_add_body(&c, owner, data, (size_t)len) < 0) return -1;
  if (!c.first && goes_on(x, more) && !rec->whole) {
    if (!more) x->state = FAPWS_TRAILERS;
    return 0;
  }
  if (!c.first && !(c.first = c.last = fapws_part_new(rec, 0))) return -1;
  publish_body(x, &c, more);
  return 0;
}

int fapws_with_values(fapws_exchange *x, PyObject *message, PyObject *first, PyObject *second,
                      int (*f)(fapws_exchange *, PyObject *, PyObject *)) {
  PyObject *a = NULL, *b = NULL; /* owned: another thread may change the dict */
  int bad = fapws_get(message, first, &a) < 0 || fapws_get(message, second, &b) < 0 || f(x, a, b) < 0;
  Py_XDECREF(a);
  Py_XDECREF(b);
  return -bad;
}

static int send_body(fapws_exchange *x, PyObject *body, PyObject *more) {
  int has_more = more ? more == Py_True || (more != Py_False && PyObject_IsTrue(more)) : 0;
  if (UNLIKELY(has_more < 0)) return -1;
  if (!body) body = bytes_empty;
  if (UNLIKELY(x->state == FAPWS_DISCARD)) {
    if (!has_more) x->state = x->trailers ? FAPWS_TRAILERS : FAPWS_COMPLETE;
    return 0;
  }
  PyObject *owner = body;
  if (LIKELY(PyBytes_Check(body))) {
    Py_INCREF(owner);
  } else if (PyByteArray_Check(body) || PyMemoryView_Check(body)) {
    if (!(owner = PyBytes_FromObject(body))) return -1; /* it may change while it is sent */
  } else {
    PyErr_Format(PyExc_TypeError, "send(): 'body' of 'http.response.body' must be bytes, not %.100s",
                 Py_TYPE(body)->tp_name);
    return -1;
  }
  const char *data = PyBytes_AS_STRING(owner);
  Py_ssize_t len = PyBytes_GET_SIZE(owner);
  int bad =
      x->state == FAPWS_HEAD ? first_body(x, owner, data, len, has_more) : next_body(x, owner, data, len, has_more);
  Py_DECREF(owner);
  return bad;
}

int fapws_asgi_body(fapws_exchange *x, PyObject *message) {
  return fapws_with_values(x, message, text[T_BODY], text[T_MORE], send_body);
}

static int begin_head(fapws_exchange *x, PyObject *status, PyObject *headers) {
  if (UNLIKELY(!status || !PyLong_Check(status) || PyBool_Check(status))) {
    PyErr_Format(PyExc_TypeError,
                 status ? "send(): 'status' of 'http.response.start' must be an int, not %.200R"
                        : "send(): 'http.response.start' has no 'status'",
                 status);
    return -1;
  }
  long code = PyLong_AsLong(status);
  if (UNLIKELY(code < 200 || code > 999)) {
    PyErr_Clear();
    PyErr_Format(PyExc_ValueError, "send(): 'status' of 'http.response.start' must be from 200 to 999, not %R", status);
    return -1;
  }
  fapws_forget_fields(&x->head);
  if (headers && headers != Py_None && fapws_add_byte_fields(&x->head, headers) < 0) return -1;
  x->head.status = (int)code;
  x->state = FAPWS_HEAD;
  return 0;
}

int fapws_asgi_start(fapws_exchange *x, PyObject *message) {
  return fapws_with_values(x, message, text[T_STATUS], text[T_HEADERS], begin_head);
}

static int http_start(fapws_exchange *x, PyObject *message) {
  PyObject *value;
  int announced = fapws_get(message, text[T_TRAILERS], &value);
  if (UNLIKELY(announced > 0)) {
    announced = PyObject_IsTrue(value);
    Py_DECREF(value);
  }
  if (announced < 0 || fapws_asgi_start(x, message) < 0) return -1;
  x->trailers = announced ? FAPWS_ANNOUNCED : FAPWS_NO_TRAILERS;
  return 0;
}

/* http.response.pathsend (extension of ASGI 3): the file is the whole body. */
static int send_path(fapws_exchange *x, PyObject *path, PyObject *type) {
  PyObject *bytes = NULL;
  if (!path || !PyUnicode_Check(path)) {
    PyErr_SetString(PyExc_TypeError, "send(): 'path' of 'http.response.pathsend' must be a str");
    return -1;
  }
  if (!PyUnicode_FSConverter(path, &bytes)) return -1;
  struct stat st;
  int fd = open(PyBytes_AS_STRING(bytes), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  Py_DECREF(bytes);
  if (fd < 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode)) {
    if (fd >= 0 && errno == 0) errno = EISDIR;
    if (fd >= 0 && !S_ISREG(st.st_mode)) errno = S_ISDIR(st.st_mode) ? EISDIR : EINVAL;
    PyErr_SetFromErrnoWithFilenameObject(PyExc_OSError, path);
    if (fd >= 0) close(fd);
    return -1;
  }
  fapws_record *rec = x->rec;
  fapws_part *p = fapws_write_head(rec, &x->head, st.st_size, FAPWS_TYPE_SET);
  if (!p) {
    close(fd);
    return -1;
  }
  if (!p->send_len && (p->count = fapws_fit_body(rec, st.st_size)) > 0)
    p->file = fd;
  else
    close(fd);
  publish_body(x, &(fapws_chain){rec, p, p}, 0);
  return 0;
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

static PyObject *out_of_order(fapws_exchange *x, PyObject *type) {
  static const char *const expected[] = {[FAPWS_WAITS] = "'http.response.start' must come first",
                                         [FAPWS_HEAD] = "'http.response.body' must follow 'http.response.start'",
                                         [FAPWS_BODY] = "'http.response.body' must follow",
                                         [FAPWS_TRAILERS] = "'http.response.trailers' must follow",
                                         [FAPWS_DISCARD] = "'http.response.body' must follow",
                                         [FAPWS_COMPLETE] = "the response is complete"};
  int unannounced = type == text[T_RESPONSE_TRAILERS] && x->state != FAPWS_WAITS && !x->trailers;
  return PyErr_Format(PyExc_RuntimeError, "send(): unexpected %R: %s", type,
                      unannounced ? "'trailers' of 'http.response.start' was not True" : expected[x->state]);
}

static PyObject *http_send(fapws_exchange *x, PyObject *message) {
  int which = fapws_message_type(message, text, texts, T_START, T_RESPONSE_TRAILERS), bad;
  switch (which) {
  case T_START:
    if (x->state != FAPWS_WAITS) return out_of_order(x, text[which]);
    bad = http_start(x, message);
    break;
  case T_RESPONSE_BODY:
    if (x->state == FAPWS_WAITS || x->state == FAPWS_TRAILERS || x->state == FAPWS_COMPLETE)
      return out_of_order(x, text[which]);
    bad = fapws_asgi_body(x, message);
    break;
  case T_PATHSEND:
    if (x->state != FAPWS_HEAD) return out_of_order(x, text[which]);
    bad = fapws_with_values(x, message, text[T_PATH], text[T_TYPE], send_path);
    break;
  case T_RESPONSE_TRAILERS:
    if (x->state != FAPWS_TRAILERS) return out_of_order(x, text[which]);
    bad = fapws_with_values(x, message, text[T_HEADERS], text[T_MORE_TRAILERS], fapws_send_trailers);
    break;
  default: return NULL;
  }
  if (UNLIKELY(bad)) return NULL;
  if (UNLIKELY(x->rec && fapws_must_wait(x->rec))) return fapws_waiter_new(x, FAPWS_FOR_ROOM);
  return Py_NewRef(fapws_done);
}

const fapws_kind fapws_asgi_http = {
    .run = fapws_exchange_run,
    .begin = http_begin,
    .receive = http_receive,
    .send = http_send,
    .returned = http_returned,
    .raised = fapws_asgi_raised,
    .room_is_gone = fapws_asgi_left,
};
