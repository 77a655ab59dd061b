/* ASGI 3 for HTTP: the messages of receive() and send() (https://asgi.readthedocs.io/en/stable/specs/www.html, section
 * "HTTP").
 *
 * If the first http.response.body completes the response, the head and the body are published as one part. */
#include "asgi.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define the_thread asgi_the_thread
#define CHUNK 65536 /* maximum bytes in a message of receive() if the request body was stored in a file */

#define TEXTS(X)                                                                                                       \
  X(T_TYPE, "type")                                                                                                    \
  X(T_STATUS, "status")                                                                                                \
  X(T_HEADERS, "headers")                                                                                              \
  X(T_BODY, "body")                                                                                                    \
  X(T_MORE, "more_body")                                                                                               \
  X(T_PATH, "path")                                                                                                    \
  X(T_TRAILERS, "trailers")                                                                                            \
  X(T_MORE_TRAILERS, "more_trailers")                                                                                  \
  X(T_LINKS, "links")                                                                                                  \
  X(T_REQUEST, "http.request")                                                                                         \
  X(T_DISCONNECT, "http.disconnect")                                                                                   \
  X(T_START, "http.response.start")                                                                                    \
  X(T_RESPONSE_BODY, "http.response.body")                                                                             \
  X(T_PATHSEND, "http.response.pathsend")                                                                              \
  X(T_EARLY_HINT, "http.response.early_hint")                                                                          \
  X(T_RESPONSE_TRAILERS, "http.response.trailers")
enum { TEXTS(CORE_NAME) T_COUNT };
static const char *const texts[T_COUNT] = {TEXTS(CORE_TEXT)};

static PyObject *text[T_COUNT], *bytes_empty, *current_task;

int asgi_http_init(void) {
  return core_intern(text, texts, T_COUNT) < 0 || !(bytes_empty = PyBytes_FromStringAndSize(NULL, 0)) ||
                 !(current_task = core_import("asyncio", "current_task"))
             ? -1
             : 0;
}

static PyObject *http_begin(asgi_exchange *x) { return asgi_call(x, asgi_scope(x->rec)); }

static PyObject *http_returned(asgi_exchange *x, PyObject *result) {
  core_record *rec = x->rec;
  if (LIKELY(!rec)) return NULL;
  if (x->gone || x->hung || core_is_cancelled(rec)) /* no error: the client has disconnected */
    wsgi_stream_end(&the_thread.thread, rec, 1);
  else if (x->state == ASGI_WAITS)
    wsgi_fail_line(&the_thread.thread, rec, "the application returned without a response");
  else if (x->state == ASGI_HEAD)
    wsgi_fail_line(&the_thread.thread, rec,
                   "the application returned after 'http.response.start', without 'http.response.body'");
  else if (x->state == ASGI_TRAILERS)
    wsgi_fail_line(&the_thread.thread, rec,
                   "the application returned without 'http.response.trailers', which 'http.response.start' announced");
  else
    wsgi_fail_line(&the_thread.thread, rec,
                   "the application returned before the end of its response ('more_body' was true)");
  return NULL;
}

static int request_message(PyObject *body, int more, PyObject **message) {
  return asgi_message(message, text[T_REQUEST], text[T_BODY], body, text[T_MORE], Py_NewRef(more ? Py_True : Py_False),
                      NULL);
}

static int disconnect(asgi_exchange *x, PyObject **message) {
  if (x->rec) {
    PyObject *task = PyObject_CallNoArgs(current_task);
    if (!task) return -1;
    Py_XSETREF(x->told, task);
  }
  return asgi_message(message, text[T_DISCONNECT], NULL);
}

static int http_receive(asgi_exchange *x, PyObject **message) {
  core_record *rec = x->rec;
  if (!rec || x->gone || x->hung || core_is_cancelled(rec)) return disconnect(x, message);
  int64_t here = rec->run.spool >= 0 ? rec->req.size : (int64_t)rec->req.body_len, left = here - x->taken;
  if (!x->received && (left > 0 || !rec->req.more)) { /* the part of the body that arrived with the head */
    int64_t n = rec->run.spool >= 0 && left > CHUNK ? CHUNK : left;
    PyObject *body;
    if (LIKELY(n == 0)) {
      body = Py_NewRef(bytes_empty);
    } else {
      body = rec->run.spool >= 0 ? core_read_spool(rec->run.spool, x->taken, n)
                                 : PyBytes_FromStringAndSize(rec->req.body + x->taken, (Py_ssize_t)n);
      if (!body) return -1;
    }
    x->taken += n;
    x->received = !rec->req.more && x->taken == here;
    return request_message(body, !x->received, message);
  }
  core_input *in = asgi_take_input(rec);
  if (!in) return 0;
  if (in->op == CORE_OP_CLOSE) { /* the client has shut down its sending side */
    x->hung = 1;
    free(in);
    return http_receive(x, message);
  }
  PyObject *body = PyBytes_FromStringAndSize(in->data, (Py_ssize_t)in->len);
  x->received = in->last;
  free(in);
  return request_message(body, !x->received, message);
}

/* Discards the inputs of a disconnected client, so that receive() returns only http.disconnect from now on. */
static void http_gone(asgi_exchange *x) {
  core_lock();
  core_input *in = core_take_inputs(x->rec);
  core_unlock();
  core_free_inputs(in);
}

static void publish_chain(asgi_exchange *x, const core_chain *c) {
  core_record *rec = x->rec;
  if (c->first->first) rec->run.started = 1;
  if (c->last->last) {
    x->state = ASGI_COMPLETE;
    wsgi_drop(&the_thread.thread, rec);
  }
  core_publish_chain(&the_thread.thread, c);
}

void asgi_exchange_publish(asgi_exchange *x, core_part *p) { publish_chain(x, &(core_chain){x->rec, p, p}); }

/* Whether the response continues after a message; the parameter more is the value of "more_body" in the message. */
static int goes_on(const asgi_exchange *x, int more) { return more || (x->trailers && x->rec->req.trailers); }

static void discard(asgi_exchange *x, int more) {
  if (more)
    x->state = ASGI_DISCARD;
  else if (x->trailers)
    x->state = ASGI_TRAILERS;
}

static void publish_body(asgi_exchange *x, const core_chain *c, int more) {
  core_record *rec = x->rec;
  int whole = !goes_on(x, more) || rec->run.bodyless || rec->run.whole;
  x->state = more ? ASGI_BODY : ASGI_TRAILERS;
  c->last->last = (uint8_t)whole;
  c->last->failed = (uint8_t)(whole && core_body_is_short(rec));
  publish_chain(x, c);
  if (whole) discard(x, more);
}

static int first_body(asgi_exchange *x, const core_message *m, int more) {
  core_record *rec = x->rec;
  core_part *head = core_write_head(rec, &x->head, goes_on(x, more) ? -1 : m->len, CORE_TYPE_SET);
  if (!head) return -1;
  if (UNLIKELY(head->send_len)) {
    head->last = 1;
    asgi_exchange_publish(x, head);
    discard(x, more);
    return 0;
  }
  core_chain c = {rec, head, head};
  if (core_add_body(&c, m->owner, m->data, (size_t)m->len) < 0) return -1;
  publish_body(x, &c, more);
  return 0;
}

static int next_body(asgi_exchange *x, const core_message *m, int more) {
  core_record *rec = x->rec;
  core_chain c = {rec, NULL, NULL};
  if (core_add_body(&c, m->owner, m->data, (size_t)m->len) < 0) return -1;
  if (!c.first && goes_on(x, more) && !rec->run.whole) {
    if (!more) x->state = ASGI_TRAILERS;
    return 0;
  }
  if (!c.first && !(c.first = c.last = core_part_new(rec, 0))) return -1;
  publish_body(x, &c, more);
  return 0;
}

static int send_body(asgi_exchange *x, PyObject *body, PyObject *more) {
  static const char wrong[] = "send(): 'body' of 'http.response.body' must be bytes, not %.100s";
  int has_more = more ? more == Py_True || (more != Py_False && PyObject_IsTrue(more)) : 0;
  if (UNLIKELY(has_more < 0)) return -1;
  if (!body) body = bytes_empty;
  if (UNLIKELY(x->state == ASGI_DISCARD)) {
    if (!has_more) x->state = x->trailers ? ASGI_TRAILERS : ASGI_COMPLETE;
    return 0;
  }
  core_message m;
  if (UNLIKELY(PyUnicode_Check(body))) return core_raise(PyExc_TypeError, wrong, Py_TYPE(body)->tp_name);
  if (core_read_text(body, &m, wrong) < 0) return -1;
  int bad = x->state == ASGI_HEAD ? first_body(x, &m, has_more) : next_body(x, &m, has_more);
  Py_DECREF(m.owner);
  return bad;
}

int asgi_send_body(asgi_exchange *x, PyObject *message) {
  return asgi_with_values(x, message, text[T_BODY], text[T_MORE], send_body);
}

static int begin_head(asgi_exchange *x, PyObject *status, PyObject *headers) {
  if (UNLIKELY(!status || !PyLong_Check(status) || PyBool_Check(status)))
    return core_raise(PyExc_TypeError,
                      status ? "send(): 'status' of 'http.response.start' must be an int, not %.200R"
                             : "send(): 'http.response.start' has no 'status'",
                      status);
  long code = PyLong_AsLong(status);
  if (UNLIKELY(code < 200 || code > 999)) {
    PyErr_Clear();
    return core_raise(PyExc_ValueError, "send(): 'status' of 'http.response.start' must be from 200 to 999, not %R",
                      status);
  }
  core_forget_fields(&x->head);
  if (headers && headers != Py_None && core_add_byte_fields(&x->head, headers) < 0) return -1;
  x->head.status = (int)code;
  x->state = ASGI_HEAD;
  return 0;
}

int asgi_send_start(asgi_exchange *x, PyObject *message) {
  return asgi_with_values(x, message, text[T_STATUS], text[T_HEADERS], begin_head);
}

static int http_start(asgi_exchange *x, PyObject *message) {
  PyObject *value;
  int announced = core_get(message, text[T_TRAILERS], &value);
  if (UNLIKELY(announced > 0)) {
    announced = PyObject_IsTrue(value);
    Py_DECREF(value);
  }
  if (announced < 0 || asgi_send_start(x, message) < 0) return -1;
  x->trailers = announced ? ASGI_ANNOUNCED : ASGI_NO_TRAILERS;
  return 0;
}

static int send_unsized(asgi_exchange *x, int fd, const struct stat *st) {
  PyObject *file = PyFile_FromFd(fd, NULL, "rb", 0, NULL, NULL, NULL, 1);
  if (!file) return close(fd), -1;
  PyObject *data = PyObject_CallMethod(file, "read", NULL);
  Py_DECREF(file);
  if (!data) return -1;
  /* Frameworks set Content-Length to st_size, but this size is wrong, as for files in /proc. */
  if (x->head.length == st->st_size) x->head.length = -1;
  core_message m = {.owner = data, .data = PyBytes_AS_STRING(data), .len = PyBytes_GET_SIZE(data)};
  int bad = first_body(x, &m, 0);
  Py_DECREF(data);
  return bad;
}

/* Handles http.response.pathsend (extension of ASGI 3): the file is the whole body. */
static int send_path(asgi_exchange *x, PyObject *path, PyObject *type) {
  PyObject *bytes = NULL;
  if (!path || !PyUnicode_Check(path))
    return core_raise(PyExc_TypeError, "send(): 'path' of 'http.response.pathsend' must be a str");
  if (!PyUnicode_FSConverter(path, &bytes)) return -1;
  struct stat st;
  int fd = open(PyBytes_AS_STRING(bytes), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  Py_DECREF(bytes);
  if (fd < 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode)) {
    if (fd >= 0 && !S_ISREG(st.st_mode)) errno = S_ISDIR(st.st_mode) ? EISDIR : EINVAL;
    PyErr_SetFromErrnoWithFilenameObject(PyExc_OSError, path);
    if (fd >= 0) close(fd);
    return -1;
  }
  core_record *rec = x->rec;
  if (!core_has_size(fd, &st)) return send_unsized(x, fd, &st);
  core_part *p = core_write_head(rec, &x->head, st.st_size, CORE_TYPE_SET);
  if (!p) {
    close(fd);
    return -1;
  }
  if (!p->send_len && (p->count = core_fit_body(rec, st.st_size)) > 0)
    p->file = fd;
  else
    close(fd);
  publish_body(x, &(core_chain){rec, p, p}, 0);
  return 0;
}

/* Handles http.response.early_hint (extension of ASGI 3), which can precede http.response.start. After the head of the
 * response was sent, hints are ignored. */
static int send_hints(asgi_exchange *x, PyObject *links, PyObject *same) {
  PyObject *list =
      links ? PySequence_Fast(links, "send(): 'links' of 'http.response.early_hint' must be a list") : NULL;
  if (!links) return core_raise(PyExc_ValueError, "send(): 'http.response.early_hint' has no 'links'");
  if (!list) return -1;
  core_part *p = NULL;
  int bad = 0;
  for (Py_ssize_t i = 0; !bad && i < PySequence_Fast_GET_SIZE(list); i++) {
    PyObject *link = PySequence_Fast_GET_ITEM(list, i);
    bad = PyBytes_Check(link) ? core_add_hint(x->rec, &p, PyBytes_AS_STRING(link), PyBytes_GET_SIZE(link))
                              : core_raise(PyExc_TypeError, "send(): an item of 'links' must be bytes, not %.100s",
                                           Py_TYPE(link)->tp_name);
  }
  Py_DECREF(list);
  if (!bad)
    core_send_hints(&the_thread.thread, x->rec, p);
  else if (p)
    core_part_delete(p);
  return bad;
}

/* --- trailer fields (https://asgi.readthedocs.io/en/latest/extensions.html#http-trailers, RFC 9110 §6.5) --- */

static int trailers_fit(const core_response *s) {
  int fields = 0;
  for (size_t i = 0; i < s->len; i++) fields += s->buf[i] == '\n';
  if (fields <= CORE_TRAILERS_MAX && s->len <= CORE_TRAILERS_BYTES) return 1;
  PyErr_Format(PyExc_ValueError, "send(): more than %d trailer fields or %d bytes of them", CORE_TRAILERS_MAX,
               CORE_TRAILERS_BYTES);
  return 0;
}

static int end_with_trailers(asgi_exchange *x) {
  core_record *rec = x->rec;
  if (!rec) {
    x->state = ASGI_COMPLETE;
    return 0;
  }
  core_part *p = core_part_new(rec, x->head.len);
  if (!p) return -1;
  if (x->head.len && core_part_put(p, x->head.buf, x->head.len, &p->fields_off, &p->fields_len) < 0) {
    core_part_delete(p);
    return -1;
  }
  p->last = 1;
  p->failed = (uint8_t)core_body_is_short(rec);
  asgi_exchange_publish(x, p);
  return 0;
}

static int send_trailers(asgi_exchange *x, PyObject *headers, PyObject *more) {
  core_response *s = &x->head;
  if (x->trailers == ASGI_ANNOUNCED) {
    core_forget_fields(s);
    x->trailers = ASGI_COLLECTED;
  }
  size_t before = s->len;
  int goes_on = more ? PyObject_IsTrue(more) : 0;
  int bad = goes_on < 0 || (headers && headers != Py_None && core_add_trailers(s, headers) < 0) || !trailers_fit(s) ||
            (!goes_on && end_with_trailers(x) < 0);
  if (bad) s->len = before;
  return -bad;
}

static int out_of_order(asgi_exchange *x, PyObject *type) {
  static const char *const expected[] = {[ASGI_WAITS] = "'http.response.start' must come first",
                                         [ASGI_HEAD] = "'http.response.body' must follow 'http.response.start'",
                                         [ASGI_BODY] = "'http.response.body' must follow",
                                         [ASGI_TRAILERS] = "'http.response.trailers' must follow",
                                         [ASGI_DISCARD] = "'http.response.body' must follow",
                                         [ASGI_COMPLETE] = "the response is complete"};
  int unannounced = type == text[T_RESPONSE_TRAILERS] && x->state != ASGI_WAITS && !x->trailers;
  return core_raise(PyExc_RuntimeError, "send(): unexpected %R: %s", type,
                    unannounced ? "'trailers' of 'http.response.start' was not True" : expected[x->state]);
}

static int http_send(asgi_exchange *x, PyObject *message) {
  int which = asgi_message_type(message, text, texts, T_START, T_RESPONSE_TRAILERS), state = x->state;
  if (which < 0) return -1;
  if (which == T_START && state == ASGI_WAITS) return http_start(x, message);
  if (which == T_RESPONSE_BODY && (state == ASGI_HEAD || state == ASGI_BODY || state == ASGI_DISCARD))
    return asgi_send_body(x, message);
  if (which == T_PATHSEND && state == ASGI_HEAD)
    return asgi_with_values(x, message, text[T_PATH], text[T_TYPE], send_path);
  if (which == T_EARLY_HINT && state != ASGI_COMPLETE)
    return x->rec ? asgi_with_values(x, message, text[T_LINKS], text[T_LINKS], send_hints) : 0;
  if (which == T_RESPONSE_TRAILERS && state == ASGI_TRAILERS)
    return asgi_with_values(x, message, text[T_HEADERS], text[T_MORE_TRAILERS], send_trailers);
  return out_of_order(x, text[which]);
}

/* --- send, after the client disconnected --- */

/* Discards most messages to a disconnected client. Many frameworks implement a version of ASGI before 2.4, in which
 * applications learn from receive() that the client has disconnected, and send() never raises. An exception would
 * prevent the background tasks and the cleanup that follow the response. To end an application that would send forever,
 * send() still raises OSError in three cases. First, the task that calls send() has received http.disconnect. Second,
 * the message has a part of the body that is not the last part, and no other task has received http.disconnect or waits
 * for a message. Then no other task could cancel the current task. Third, send() has already discarded ASGI_LAST_WORDS
 * parts of the body. */
static int http_too_late(asgi_exchange *x, PyObject *message) {
  if (!message) return 0; /* the client has disconnected after send() accepted the message */
  int which = asgi_message_type(message, text, texts, T_START, T_RESPONSE_TRAILERS), more = 0;
  PyObject *value = NULL, *task;
  if (which < 0 || (which == T_RESPONSE_BODY && core_get(message, text[T_MORE], &value) < 0)) return -1;
  if (value) more = PyObject_IsTrue(value);
  Py_XDECREF(value);
  if (more < 0 || !(task = PyObject_CallNoArgs(current_task))) return -1;
  int told = task == x->told;
  Py_DECREF(task);
  if (which == T_EARLY_HINT) return 0;
  if (which == T_START) return told ? asgi_left(x, message) : 0;
  if (!more) return 0;
  int others = !told && (x->told || asgi_listens(x)) && x->unheard < ASGI_LAST_WORDS;
  x->unheard += (uint8_t)others;
  return others ? 1 : asgi_left(x, message);
}

const asgi_kind asgi_http = {
    .kind = {.run = asgi_exchange_run},
    .begin = http_begin,
    .receive = http_receive,
    .send = http_send,
    .returned = http_returned,
    .raised = asgi_raised,
    .gone = http_gone,
    .too_late = http_too_late,
};
