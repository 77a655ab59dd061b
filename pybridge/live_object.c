/* The class fapws.WebSocketConnection, the first argument of each WebSocket callback. */
#include "live.h"

#include <stddef.h>
#include <structmember.h>

#define the_pool core_the_pool
/* On a thread that must not wait (core_mode.may_wait), send() fails if more bytes than this wait for the client. */
#define UNPACED_BYTES (4 << 20)
#define BEHIND_BYTES (1 << 20) /* if more bytes wait for a client, a broadcast closes the WebSocket of this client */

live_ws_object *live_ws_new(core_record *rec) {
  live_ws_object *ws = (live_ws_object *)live_WebSocketConnection_Type.tp_alloc(&live_WebSocketConnection_Type, 0);
  if (ws) ws->rec = rec;
  return ws;
}

static PyObject *environ_held(live_ws_object *ws) {
  core_record *rec = ws->rec;
  if (!ws->environ && !rec)
    return PyErr_Format(PyExc_RuntimeError, "environ is no longer available: the WebSocket is closed");
  if (!ws->environ) ws->environ = Py_XNewRef(rec->run.environ);
  if (!ws->environ) ws->environ = wsgi_environ(rec, core_mount_of(rec)->environ, NULL);
  return Py_XNewRef(ws->environ);
}

PyObject *live_ws_environ(live_ws_object *ws) { return CORE_HELD(ws, environ_held(ws)); }

static int publish_message(core_record *rec, const core_message *m) {
  core_part *p = core_part_of(rec, m);
  if (!p) return -1;
  live_ws_publish(p);
  return 0;
}

static int is_closed(const live_ws_object *ws) {
  return live_ws_state(ws) > LIVE_WS_OPEN || !ws->rec || ws->refusal || core_is_cancelled(ws->rec);
}

/* Returns 0, or -1 with BrokenPipeError if nothing can be sent. */
static int check_open(live_ws_object *ws) {
  if (core_check_parent() < 0) return -1;
  if (LIKELY(!is_closed(ws))) return 0;
  if (!ws->refusal && live_ws_state(ws) <= LIVE_WS_OPEN)
    return core_raise(core_client_disconnected, "the client has disconnected");
  return core_raise(PyExc_BrokenPipeError, ws->refusal ? "the WebSocket was refused" : "the WebSocket is closed");
}

/* Waits until a slow client has read enough, and returns 0. Returns -1 with TimeoutError if too many bytes still wait
 * for the client after the given number of seconds. */
static int wait_for_client(live_ws_object *ws, double seconds) {
  core_thread *t = core_this_thread;
  int room;
  if (t && !t->mode->may_wait)
    room = __atomic_load_n(&ws->rec->run.unacked, __ATOMIC_RELAXED) <= UNPACED_BYTES;
  else {
    if (t) core_notify(t);
    room = seconds == 0 ? 0 : core_wait_for_client(ws->rec, seconds);
    if (check_open(ws) < 0) return -1;
  }
  if (room) return 0;
  return core_raise(PyExc_TimeoutError, "send: timed out because the client does not read");
}

static PyObject *ws_send(PyObject *self, PyObject *const *args, Py_ssize_t n, PyObject *names) {
  live_ws_object *ws = (live_ws_object *)self;
  double seconds = -1;
  Py_ssize_t named = names ? PyTuple_GET_SIZE(names) : 0;
  int known = !named || (named == 1 && PyUnicode_CompareWithASCIIString(PyTuple_GET_ITEM(names, 0), "timeout") == 0);
  if (n < 1 || n + named > 2 || !known)
    return PyErr_Format(PyExc_TypeError, "send(message, timeout=None) takes a message and a number of seconds");
  if (n + named == 2 && args[1] != Py_None) {
    seconds = PyFloat_AsDouble(args[1]);
    if (PyErr_Occurred()) return NULL;
    if (!(seconds >= 0)) return PyErr_Format(PyExc_ValueError, "send: timeout must not be negative");
  }
  core_message m;
  if (core_read_message(args[0], &m) < 0) return NULL;
  int bad;
  CORE_BEGIN_HOLD(self);
  bad = check_open(ws) < 0 || (live_ws_state(ws) == LIVE_WS_OPENING && live_ws_accept(ws) < 0) ||
        (UNLIKELY(core_must_wait(ws->rec)) && wait_for_client(ws, seconds) < 0) || publish_message(ws->rec, &m) < 0;
  CORE_END_HOLD();
  Py_DECREF(m.owner);
  if (bad) return NULL;
  Py_RETURN_NONE;
}

static int send_held(live_ws_object *ws, const core_message *m) {
  if (is_closed(ws)) return 0;
  if (live_ws_state(ws) == LIVE_WS_OPENING && live_ws_accept(ws) < 0) return -1;
  if (__atomic_load_n(&ws->rec->run.unacked, __ATOMIC_RELAXED) > BEHIND_BYTES) {
    PyObject *reason = PyUnicode_FromString("too slow");
    int bad = !reason || live_ws_shut(ws, 1013, reason) < 0;
    Py_XDECREF(reason);
    return bad ? -1 : 0;
  }
  return publish_message(ws->rec, m) < 0 ? -1 : 1;
}

/* Returns 1 if the message m was sent, 0 if it was dropped, or -1 with an exception. */
static int send_one(live_ws_object *ws, const core_message *m) { return CORE_HELD(ws, send_held(ws, m)); }

PyObject *live_ws_broadcast(PyObject *module, PyObject *args) {
  PyObject *given, *text;
  core_message m;
  if (!PyArg_ParseTuple(args, "OO:broadcast", &given, &text) || core_check_parent() < 0) return NULL;
  if (core_read_message(text, &m) < 0) return NULL;
  PyObject *all = PySequence_List(given); /* a copy, because a different thread can change the list */
  long sent = 0;
  int bad = !all;
  for (Py_ssize_t i = 0; !bad && i < PyList_GET_SIZE(all); i++) {
    PyObject *one = PyList_GET_ITEM(all, i);
    if (Py_TYPE(one) != &live_WebSocketConnection_Type) {
      PyErr_Format(PyExc_TypeError, "broadcast(websockets, message): %.200R is not a WebSocket", one);
      bad = 1;
      break;
    }
    int how = send_one((live_ws_object *)one, &m);
    if (how < 0)
      bad = 1;
    else
      sent += how;
  }
  Py_XDECREF(all);
  Py_DECREF(m.owner);
  return bad ? NULL : PyLong_FromLong(sent);
}

static PyObject *ws_close(PyObject *self, PyObject *args, PyObject *kw) {
  static char *names[] = {"code", "reason", NULL};
  live_ws_object *ws = (live_ws_object *)self;
  PyObject *reason = NULL;
  int code = 1000;
  Py_ssize_t n = 0;
  if (!PyArg_ParseTupleAndKeywords(args, kw, "|iU:close", names, &code, &reason)) return NULL;
  if (!core_sendable_code(code))
    return PyErr_Format(PyExc_ValueError,
                        "close: code %d cannot be sent; use 1000 to 1003, 1007 to 1014, or 3000 to 4999", code);
  if (reason && !PyUnicode_AsUTF8AndSize(reason, &n)) return NULL;
  if (n > 123) return PyErr_Format(PyExc_ValueError, "close: the reason has %zd bytes of UTF-8; the maximum is 123", n);
  if (CORE_HELD(self, !is_closed(ws) && (check_open(ws) < 0 || live_ws_shut(ws, code, reason) < 0))) return NULL;
  Py_RETURN_NONE;
}

static PyObject *ws_reject(PyObject *self, PyObject *args, PyObject *kw) {
  live_ws_object *ws = (live_ws_object *)self;
  if (live_ws_state(ws) != LIVE_WS_OPENING)
    return PyErr_Format(PyExc_RuntimeError, "reject() works only in on_open, before anything is sent; use close()");
  PyObject *answer = core_call_with(core_import("fapws._websocket", "refusal"), Py_NewRef(args), Py_XNewRef(kw));
  if (!answer) return NULL;
  CORE_BEGIN_HOLD(self);
  Py_XSETREF(ws->refusal, answer);
  CORE_END_HOLD();
  Py_RETURN_NONE;
}

static PyObject *get_environ(PyObject *self, void *closure) { return live_ws_environ((live_ws_object *)self); }

static PyObject *get_subprotocol(PyObject *self, void *closure) {
  PyObject *protocol = ((live_ws_object *)self)->protocol;
  return Py_NewRef(protocol ? protocol : Py_None);
}

static PyObject *get_closed(PyObject *self, void *closure) {
  return PyBool_FromLong(CORE_HELD(self, is_closed((live_ws_object *)self)));
}

static PyObject *new_data(void) { return core_call("types", "SimpleNamespace", "()"); }

static PyObject *get_data(PyObject *self, void *closure) {
  return CORE_HELD(self, Py_XNewRef(core_keep_first(&((live_ws_object *)self)->data, new_data)));
}

static int set_data(PyObject *self, PyObject *value, void *closure) {
  CORE_BEGIN_HOLD(self);
  Py_XSETREF(((live_ws_object *)self)->data, Py_XNewRef(value));
  CORE_END_HOLD();
  return 0;
}

static PyObject *ws_repr(PyObject *self) {
  static const char *const states[] = {"opening", "open", "closing", "closed"};
  live_ws_object *ws = (live_ws_object *)self;
  const char *state = states[live_ws_state(ws)];
  PyObject *line = NULL;
  int ended;
  CORE_BEGIN_HOLD(self);
  ended = !ws->rec;
  if (!ended) line = core_request_line(ws->rec);
  CORE_END_HOLD();
  if (ended) return PyUnicode_FromFormat("<websocket %s>", state);
  PyObject *text = line ? PyUnicode_FromFormat("<websocket %U, %s>", line, state) : NULL;
  Py_XDECREF(line);
  return text;
}

static int ws_traverse(PyObject *self, visitproc visit, void *arg) {
  live_ws_object *ws = (live_ws_object *)self;
  Py_VISIT(ws->environ);
  Py_VISIT(ws->data);
  Py_VISIT(ws->refusal);
  return 0;
}

static int ws_clear(PyObject *self) {
  live_ws_object *ws = (live_ws_object *)self;
  Py_CLEAR(ws->environ);
  Py_CLEAR(ws->data);
  Py_CLEAR(ws->refusal);
  return 0;
}

static void ws_dealloc(PyObject *self) {
  live_ws_object *ws = (live_ws_object *)self;
  PyObject_GC_UnTrack(self);
  if (ws->weak) PyObject_ClearWeakRefs(self);
  ws_clear(self);
  Py_CLEAR(ws->protocol);
  Py_CLEAR(ws->reason);
  Py_CLEAR(ws->groups);
  Py_TYPE(self)->tp_free(self);
}

static PyMethodDef methods[] = {
    {"send", (PyCFunction)(void (*)(void))ws_send, METH_FASTCALL | METH_KEYWORDS,
     "send($self, message, timeout=None)\n--\n\n"
     "Sends str as text, bytes as binary. While the client is more than 256 KiB behind it waits, for up to timeout "
     "seconds, then raises TimeoutError. BrokenPipeError: the WebSocket is closed. Both are OSErrors. Any thread may "
     "call it."},
    {"close", (PyCFunction)(void (*)(void))ws_close, METH_VARARGS | METH_KEYWORDS,
     "close($self, code=1000, reason='')\n--\n\n"
     "Closes the WebSocket (RFC 6455 section 7.4); on_close follows. Nothing happens if it is closed. Any thread may "
     "call it."},
    {"join", live_ws_join, METH_O,
     "join($self, group, /)\n--\n\n"
     "Adds the WebSocket to a group, a str of 1 to 128 characters, for broadcast. Also in on_open. Nothing happens if "
     "it is closed. Any thread may call it."},
    {"leave", live_ws_leave, METH_O,
     "leave($self, group, /)\n--\n\n"
     "Removes it from the group. Nothing happens if it is not in the group. Any thread may call it."},
    {"reject", (PyCFunction)(void (*)(void))ws_reject, METH_VARARGS | METH_KEYWORDS,
     "reject($self, status=403, text='', headers=())\n--\n\n"
     "Refuses the WebSocket with this response, in on_open, as with fapws.HTTPError."},
    {NULL, NULL, 0, NULL}};

static PyGetSetDef getset[] = {
    {"environ", get_environ, NULL, "environ of the handshake (PEP 3333).", NULL},
    {"subprotocol", get_subprotocol, NULL, "The subprotocol that was agreed on, or None.", NULL},
    {"closed", get_closed, NULL, "Whether the WebSocket is closed, so that nothing can be sent.", NULL},
    {"data", get_data, set_data,
     "Belongs to the application: a types.SimpleNamespace, unless it is set to another object.", NULL},
    {NULL, NULL, NULL, NULL, NULL}};

PyTypeObject live_WebSocketConnection_Type = {
    PyVarObject_HEAD_INIT(NULL, 0).tp_name = "fapws.WebSocketConnection",
    .tp_basicsize = sizeof(live_ws_object),
    .tp_dealloc = ws_dealloc,
    .tp_repr = ws_repr,
    .tp_flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC,
    .tp_doc = "One WebSocket of a client. The server makes it, and passes it to the callbacks of fapws.WebSocket.",
    .tp_traverse = ws_traverse,
    .tp_clear = ws_clear,
    .tp_weaklistoffset = offsetof(live_ws_object, weak),
    .tp_methods = methods,
    .tp_getset = getset,
};
