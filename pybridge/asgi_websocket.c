/* ASGI 3 for WebSockets: receive() and send() (https://asgi.readthedocs.io/en/stable/specs/www.html, "WebSocket"). */
#include "asgi.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define the_thread asgi_the_thread
#define LAST_WORDS_NS 1000000000u /* time in ns for which the event loop delays its own close frame (lastWords) */

#define TEXTS(X)                                                                                                       \
  X(T_TYPE, "type")                                                                                                    \
  X(T_TEXT, "text")                                                                                                    \
  X(T_BYTES, "bytes")                                                                                                  \
  X(T_CODE, "code")                                                                                                    \
  X(T_REASON, "reason")                                                                                                \
  X(T_SUBPROTOCOL, "subprotocol")                                                                                      \
  X(T_SUBPROTOCOLS, "subprotocols")                                                                                    \
  X(T_HEADERS, "headers")                                                                                              \
  X(T_SCHEME, "scheme")                                                                                                \
  X(T_METHOD, "method")                                                                                                \
  X(T_EXTENSIONS, "extensions")                                                                                        \
  X(T_WEBSOCKET, "websocket")                                                                                          \
  X(T_WS, "ws")                                                                                                        \
  X(T_WSS, "wss")                                                                                                      \
  X(T_DENIAL, "websocket.http.response")                                                                               \
  X(T_CONNECT, "websocket.connect")                                                                                    \
  X(T_RECEIVE, "websocket.receive")                                                                                    \
  X(T_DISCONNECT, "websocket.disconnect")                                                                              \
  X(T_ACCEPT, "websocket.accept")                                                                                      \
  X(T_SEND, "websocket.send")                                                                                          \
  X(T_CLOSE, "websocket.close")                                                                                        \
  X(T_START, "websocket.http.response.start")                                                                          \
  X(T_BODY, "websocket.http.response.body")                                                                            \
  X(T_GROUPS, "fapws.groups")                                                                                          \
  X(T_SOCKET, "socket")                                                                                                \
  X(T_ASGI, "asgi")                                                                                                    \
  X(T_SPEC, "spec_version")                                                                                            \
  X(T_SPEC_25, "2.5")
enum { TEXTS(CORE_NAME) T_COUNT };
static const char *const texts[T_COUNT] = {TEXTS(CORE_TEXT)};

static PyObject *text[T_COUNT];

static int add_names(PyObject *list, const char *s, size_t n) {
  while (n) {
    const char *comma = memchr(s, ',', n), *end = comma ? comma : s + n, *from = s, *to = end;
    while (from < to && (*from == ' ' || *from == '\t')) from++;
    while (to > from && (to[-1] == ' ' || to[-1] == '\t')) to--;
    if (to > from && core_append(list, PyUnicode_DecodeLatin1(from, to - from, NULL)) < 0) return -1;
    if (!comma) return 0;
    n -= (size_t)(end + 1 - s);
    s = end + 1;
  }
  return 0;
}

/* Returns the subprotocols that the client offers in Sec-WebSocket-Protocol (RFC 6455 §11.3.4). */
static PyObject *subprotocols(const core_record *rec) {
  static const char name[] = "sec-websocket-protocol";
  PyObject *list = PyList_New(0);
  for (uint32_t i = 0; list && i < rec->req.nfields; i++) {
    core_field f = rec->req.fields[i];
    if (f.name.len != sizeof name - 1 || strncasecmp(rec->req.data + f.name.off, name, f.name.len) != 0) continue;
    if (add_names(list, rec->req.data + f.value.off, f.value.len) < 0) Py_CLEAR(list);
  }
  return list;
}

static PyObject *scope_of(core_record *rec) {
  PyObject *scope = asgi_scope(rec);
  PyObject *extensions = scope ? Py_BuildValue("{O:{},O:{O:K}}", text[T_DENIAL], text[T_GROUPS], text[T_SOCKET],
                                               (unsigned long long)core_socket_number(rec))
                               : NULL;
  int secure = rec->req.scheme.len == strlen("https");
  int bad = !extensions || asgi_put_tls(extensions, rec) < 0 ||
            PyDict_SetItem(scope, text[T_TYPE], text[T_WEBSOCKET]) < 0 ||
            PyDict_SetItem(scope, text[T_SCHEME], text[secure ? T_WSS : T_WS]) < 0 ||
            PyDict_SetItem(PyDict_GetItem(scope, text[T_ASGI]), text[T_SPEC], text[T_SPEC_25]) < 0 ||
            PyDict_DelItem(scope, text[T_METHOD]) < 0 || core_put(scope, text[T_SUBPROTOCOLS], subprotocols(rec)) < 0 ||
            PyDict_SetItem(scope, text[T_EXTENSIONS], extensions) < 0;
  Py_XDECREF(extensions);
  if (bad) Py_CLEAR(scope);
  return scope;
}

static PyObject *ws_begin(asgi_exchange *x) {
  if (UNLIKELY(!text[T_COUNT - 1]) && core_intern(text, texts, T_COUNT) < 0) return NULL;
  x->code = 1006;
  return asgi_call(x, scope_of(x->rec));
}

static int disconnect(asgi_exchange *x, PyObject **message) {
  PyObject *reason = x->reason ? Py_NewRef(x->reason) : PyUnicode_FromString("");
  return asgi_message(message, text[T_DISCONNECT], text[T_REASON], reason, text[T_CODE], PyLong_FromLong(x->code),
                      NULL);
}

/* After the client's close frame, the application can still send replies to messages that preceded the close frame. The
 * event loop sends these replies before its own close frame, or drops them. The application receives the close frame
 * after those messages. Until then, send() must not raise an exception: otherwise the application would end, and the
 * remaining messages would be lost. An application that only calls send() never receives the close frame. Therefore
 * send() raises an exception when LAST_WORDS_NS have passed since the close frame. After the connection was closed,
 * send() never waits for the client, so the number of messages is limited as well. */
int asgi_has_left(asgi_exchange *x) {
  if (x->gone || !x->rec) return x->gone;
  uint64_t closed = __atomic_load_n(&x->rec->inputs.closed_ns, __ATOMIC_SEQ_CST);
  if (LIKELY(!closed)) return core_is_cancelled(x->rec);
  if (core_now_ns() - closed < LAST_WORDS_NS && (!core_is_cancelled(x->rec) || x->unheard++ < ASGI_LAST_WORDS))
    return 0;
  if (x->words) {
    x->words--;
    return 0;
  }
  return x->gone = 1;
}

/* Makes the message websocket.disconnect from the client's close frame, which is the last input. Sends the server's
 * close frame at once, because the application can continue to run for a long time. */
static int received_close(asgi_exchange *x, core_input *in, PyObject **message) {
  x->code = in->code;
  Py_XSETREF(x->reason, PyUnicode_DecodeUTF8(in->data, (Py_ssize_t)in->len, "replace"));
  free(in);
  x->gone = 1;
  if (!x->reason) return -1;
  wsgi_stream_end(&the_thread.thread, x->rec, 0);
  asgi_thread_notify();
  return disconnect(x, message);
}

static int ws_receive(asgi_exchange *x, PyObject **message) {
  core_record *rec = x->rec;
  if (UNLIKELY(!x->received)) {
    int made = asgi_message(message, text[T_CONNECT], NULL);
    x->received = made > 0;
    return made;
  }
  core_input *in = rec && x->state == ASGI_ACCEPTED ? asgi_take_input(rec) : NULL;
  if (!in) return !rec || x->gone || core_is_cancelled(rec) ? disconnect(x, message) : 0;
  if (UNLIKELY(in->op == CORE_OP_CLOSE)) return received_close(x, in, message);
  if (UNLIKELY(__atomic_load_n(&rec->inputs.closed_ns, __ATOMIC_RELAXED))) x->words = ASGI_LAST_WORDS, x->unheard = 0;
  PyObject *key = text[in->op == CORE_OP_TEXT ? T_TEXT : T_BYTES], *data = core_input_message(in);
  free(in);
  return asgi_message(message, text[T_RECEIVE], key, data, NULL);
}

static PyObject *given(PyObject *value) { return value == Py_None ? NULL : value; }

static int wrong(const char *what, PyObject *value) {
  return core_raise(PyExc_TypeError, "send(): %s, not %.200R", what, value);
}

/* Returns -1 with an exception if head contains a field of the WebSocket handshake (RFC 6455 §4.2.2), because the
 * server itself sets these fields. */
static int check_fields(const core_response *head) {
  static const char prefix[] = "sec-websocket-";
  for (const char *line = head->buf, *end = line + head->len; line < end;
       line = (const char *)memchr(line, '\n', (size_t)(end - line)) + 1) {
    const char *colon = memchr(line, ':', (size_t)(end - line));
    if (!colon || (size_t)(colon - line) < sizeof prefix - 1 || strncasecmp(line, prefix, sizeof prefix - 1) != 0)
      continue;
    PyObject *name = PyUnicode_DecodeLatin1(line, colon - line, NULL);
    if (name)
      PyErr_Format(PyExc_ValueError,
                   "send(): 'headers' of 'websocket.accept' must not have %R: the server makes the fields of the "
                   "handshake; use 'subprotocol' to choose one",
                   name);
    Py_XDECREF(name);
    return -1;
  }
  return 0;
}

static int accept_it(asgi_exchange *x, PyObject *name, PyObject *headers) {
  Py_ssize_t n = 0;
  name = given(name);
  headers = given(headers);
  if (name && !PyUnicode_Check(name)) return wrong("'subprotocol' of 'websocket.accept' must be a str", name);
  const char *protocol = name ? PyUnicode_AsUTF8AndSize(name, &n) : "";
  if (!protocol) return -1;
  core_forget_fields(&x->head);
  if (headers && core_add_byte_fields(&x->head, headers) < 0) return -1;
  if (x->head.len && check_fields(&x->head) < 0) return -1;
  core_part *p = core_write_accept(x->rec, &x->head, protocol, (size_t)n);
  if (!p) return -1;
  x->state = ASGI_ACCEPTED;
  asgi_exchange_publish(x, p);
  return 0;
}

static int send_message(asgi_exchange *x, PyObject *chars, PyObject *bytes) {
  chars = given(chars);
  bytes = given(bytes);
  if (UNLIKELY(!chars == !bytes))
    return core_raise(PyExc_ValueError, "send(): 'websocket.send' has %s",
                      chars ? "both 'text' and 'bytes'" : "neither 'text' nor 'bytes'");
  if (UNLIKELY(chars && !PyUnicode_Check(chars))) return wrong("'text' of 'websocket.send' must be a str", chars);
  if (UNLIKELY(bytes && !PyBytes_Check(bytes) && !PyByteArray_Check(bytes) && !PyMemoryView_Check(bytes)))
    return wrong("'bytes' of 'websocket.send' must be bytes", bytes);
  core_part *p = core_message_part(x->rec, chars ? chars : bytes);
  if (!p) return -1;
  core_publish(&the_thread.thread, p);
  return 0;
}

/* Closes the WebSocket and releases the record at once, because the application can continue to run for a long time. */
static int close_it(asgi_exchange *x, PyObject *code, PyObject *reason) {
  Py_ssize_t n = 0;
  code = given(code);
  reason = given(reason);
  if (code && !PyLong_Check(code)) return wrong("'code' of 'websocket.close' must be an int", code);
  if (reason && !PyUnicode_Check(reason)) return wrong("'reason' of 'websocket.close' must be a str", reason);
  const char *why = reason ? PyUnicode_AsUTF8AndSize(reason, &n) : "";
  if (!why) return -1;
  int overflow = 0;
  long number = code ? PyLong_AsLongAndOverflow(code, &overflow) : 1000;
  /* Frameworks pass on the code that they have received. 1005 means that the client sent no code, but a server must
   * not send 1005. */
  if (number == 1005) number = 1000;
  if (overflow || !core_sendable_code(number))
    return core_raise(PyExc_ValueError,
                      "send(): 'code' of 'websocket.close' cannot be %R; use 1000 to 1003, 1007 to 1014 "
                      "or 3000 to 4999",
                      code);
  /* The reason in a close frame has at most 123 bytes (RFC 6455 §5.5); a longer reason is cut between two UTF-8
   * characters. */
  if (n > 123) {
    for (n = 123; ((unsigned char)why[n] & 0xc0) == 0x80;) n--;
  }
  core_part *p = core_close_frame(x->rec, (int)number, why, (size_t)n);
  if (!p) return PyErr_NoMemory(), -1;
  p->last = 1;
  x->code = (uint16_t)number;
  Py_XSETREF(x->reason, Py_XNewRef(reason));
  asgi_exchange_publish(x, p);
  return 0;
}

static int deny(asgi_exchange *x) {
  core_write_page(x->rec, 403, NULL, "", 0);
  asgi_exchange_publish(x, &x->rec->part0);
  return 0;
}

static int out_of_order(asgi_exchange *x, PyObject *type) {
  const char *expected =
      x->state == ASGI_WAITS
          ? "'websocket.accept', 'websocket.close' or 'websocket.http.response.start' must come first"
      : x->state == ASGI_ACCEPTED ? "the websocket is accepted"
      : x->state == ASGI_COMPLETE ? "the WebSocket is closed"
                                  : "'websocket.http.response.body' must follow";
  return core_raise(PyExc_RuntimeError, "send(): unexpected %R: %s", type, expected);
}

static int ws_send(asgi_exchange *x, PyObject *message) {
  int which = asgi_message_type(message, text, texts, T_ACCEPT, T_BODY), state = x->state;
  int denies = state != ASGI_WAITS && state != ASGI_ACCEPTED && state != ASGI_COMPLETE;
  if (which < 0) return -1;
  if (LIKELY(which == T_SEND && state == ASGI_ACCEPTED))
    return asgi_with_values(x, message, text[T_TEXT], text[T_BYTES], send_message);
  if (which == T_ACCEPT && state == ASGI_WAITS)
    return asgi_with_values(x, message, text[T_SUBPROTOCOL], text[T_HEADERS], accept_it);
  if (which == T_CLOSE && state == ASGI_ACCEPTED)
    return asgi_with_values(x, message, text[T_CODE], text[T_REASON], close_it);
  if (which == T_CLOSE && state == ASGI_WAITS) return deny(x);
  if (which == T_START && state == ASGI_WAITS) return asgi_send_start(x, message);
  if (which == T_BODY && denies) return asgi_send_body(x, message);
  return out_of_order(x, text[which]);
}

static PyObject *ws_returned(asgi_exchange *x, PyObject *result) {
  core_record *rec = x->rec;
  if (!rec) return NULL;
  if (x->gone || core_is_cancelled(rec) || x->state == ASGI_ACCEPTED)
    /* A WebSocket that is still open is closed with code 1000. */
    wsgi_stream_end(&the_thread.thread, rec, x->state != ASGI_ACCEPTED);
  else if (x->state == ASGI_WAITS)
    wsgi_fail_line(&the_thread.thread, rec, "the application returned without 'websocket.accept' or 'websocket.close'");
  else
    return asgi_http.returned(x, result);
  return NULL;
}

const asgi_kind asgi_websocket = {
    .kind = {.run = asgi_exchange_run},
    .begin = ws_begin,
    .receive = ws_receive,
    .send = ws_send,
    .returned = ws_returned,
    .raised = asgi_raised,
    .too_late = asgi_left,
};
