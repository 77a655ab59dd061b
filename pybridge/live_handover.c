/* Hands WebSockets with callbacks over to a different process, and takes over WebSockets from a different process. All
 * functions are called with the GIL, on the thread that runs the record.
 *
 * A WebSocket can be handed over if the application has no reference to the WebSocketConnection, and if the value of
 * ws.data is plain (is_plain). The event loop requests the handover with the input CORE_OP_HAND_OVER. The thread that
 * runs the record handles this input between two callbacks. */
#include "live.h"

#include <marshal.h>
#include <string.h>

#define P core_the_pool
#define MOST_STATE (32 << 10)
#define MOST_DEPTH 20

enum { NO_DATA, NAMESPACE, VALUE };

/* --- to another process ------------------------------------------------------ */

static int is_plain(PyObject *o, int depth);

static int all_plain(PyObject *sequence, int depth) {
  PyObject *all = PySequence_Fast(sequence, ""); /* returns a list or tuple itself, not a copy */
  if (!all) return PyErr_Clear(), 0;
  int plain = 1;
  CORE_BEGIN_HOLD(all); /* different threads can change the data */
  for (Py_ssize_t i = 0; plain && i < PySequence_Fast_GET_SIZE(all); i++) {
    /* The new reference keeps the item alive, because is_plain can release the lock of the list. */
    PyObject *item = Py_NewRef(PySequence_Fast_GET_ITEM(all, i));
    plain = is_plain(item, depth);
    Py_DECREF(item);
  }
  CORE_END_HOLD();
  Py_DECREF(all);
  return plain;
}

/* Whether marshal can make a copy of o that is equal to o. Buffers are not plain, because marshal turns a buffer into
 * bytes. */
static int is_plain(PyObject *o, int depth) {
  if (o == Py_None || PyBool_Check(o) || PyLong_CheckExact(o) || PyFloat_CheckExact(o) || PyUnicode_CheckExact(o) ||
      PyBytes_CheckExact(o))
    return 1;
  if (depth >= MOST_DEPTH) return 0;
  if (PyList_CheckExact(o) || PyTuple_CheckExact(o) || PyAnySet_CheckExact(o)) return all_plain(o, depth + 1);
  if (!PyDict_CheckExact(o)) return 0;
  PyObject *pairs = PyDict_Items(o);
  int plain = pairs && all_plain(pairs, depth); /* depth, not depth + 1: a pair is a tuple, for which is_plain adds 1 */
  Py_XDECREF(pairs);
  return plain;
}

static PyObject *namespace_type(void) { return core_import("types", "SimpleNamespace"); }

static PyObject *data_of(live_ws_object *ws, int *kind) {
  *kind = NO_DATA;
  if (!ws->data) Py_RETURN_NONE;
  PyObject *type = namespace_type();
  if (!type) return NULL;
  *kind = (PyObject *)Py_TYPE(ws->data) == type ? NAMESPACE : VALUE;
  Py_DECREF(type);
  if (*kind == NAMESPACE) return PyObject_GetAttrString(ws->data, "__dict__");
  return Py_NewRef(ws->data);
}

/* Returns the state of the WebSocket to hand over, as bytes. Returns NULL, with or without an exception, if the
 * WebSocket must stay in this process. */
static PyObject *pack(live_ws_object *ws) {
  int kind;
  PyObject *state = NULL, *data = data_of(ws, &kind);
  PyObject *groups = ws->groups ? PySequence_Tuple(ws->groups) : PyTuple_New(0);
  if (data && groups && is_plain(data, 0)) {
    PyObject *all = Py_BuildValue("(iOO)", kind, data, groups);
    if (all) state = PyMarshal_WriteObjectToString(all, Py_MARSHAL_VERSION);
    Py_XDECREF(all);
  }
  Py_XDECREF(groups);
  Py_XDECREF(data);
  if (state && PyBytes_GET_SIZE(state) > MOST_STATE) Py_CLEAR(state);
  return state;
}

/* Closes the queue of inputs of the record, and returns 1. Returns 0, and closes nothing, if an input has arrived, a
 * thread waits in send(), or the client has disconnected. */
static int closes_inbox(core_record *rec) {
  core_lock();
  int empty = !rec->inputs.first && !rec->run.batch && !rec->inputs.senders && !core_is_cancelled(rec);
  if (empty) rec->inputs.open = 0;
  core_unlock();
  return empty;
}

static void refuse(core_record *rec) {
  core_part *p = core_part_new(rec, 0);
  if (!p) {
    PyErr_Clear(); /* if this refusal does not arrive, the event loop closes the WebSocket after a time limit */
    return;
  }
  p->op = CORE_OP_HAND_OVER;
  live_ws_publish(p);
}

struct count {
  PyObject *o;
  Py_ssize_t references;
};

static void count_references(void *count) {
  ((struct count *)count)->references = Py_REFCNT(((struct count *)count)->o);
}

static int is_alone(live_ws_object *ws) {
  struct count count = {(PyObject *)ws, 0};
  core_alone(count_references, &count); /* while count_references runs, no other thread runs Python */
  return count.references == 1;
}

int live_ws_hand_over(core_thread *t, live_ws_object *ws) {
  core_record *rec = ws->rec;
  PyObject *state = NULL;
  if (live_ws_state(ws) == LIVE_WS_OPEN && is_alone(ws) && !ws->weak && !ws->refusal) state = pack(ws);
  PyErr_Clear();
  core_part *p = state ? core_body_part(rec, state, PyBytes_AS_STRING(state), (size_t)PyBytes_GET_SIZE(state)) : NULL;
  PyErr_Clear();
  Py_XDECREF(state);
  /* is_alone is checked again, because the garbage collector can have run code of the application since the first
   * check. */
  if (p && (!is_alone(ws) || !closes_inbox(rec))) {
    core_part_free((uintptr_t)p);
    p = NULL;
  }
  if (!p) {
    refuse(rec);
    return 0;
  }
  live_ws_detach(ws);
  Py_DECREF(ws);
  p->op = CORE_OP_HAND_OVER;
  p->last = 1;
  wsgi_drop(t, rec);
  core_publish(t, p);
  return 1;
}

/* --- from another process ---------------------------------------------------- */

static int unpack(live_ws_object *ws, PyObject *all) {
  int kind;
  PyObject *data, *groups;
  if (!PyArg_ParseTuple(all, "iOO:websocket", &kind, &data, &groups)) return -1;
  if (PyTuple_Check(groups) && PyTuple_GET_SIZE(groups) > 0 && !(ws->groups = PySet_New(groups))) return -1;
  if (kind == VALUE) {
    ws->data = Py_NewRef(data);
  } else if (kind == NAMESPACE) {
    ws->data = core_call_with(namespace_type(), PyTuple_New(0), Py_NewRef(data));
    if (!ws->data) return -1;
  }
  return 0;
}

int live_ws_resume(live_ws_object *ws) {
  const core_record *rec = ws->rec;
  if (rec->req.subprotocol.len &&
      !(ws->protocol = PyUnicode_DecodeUTF8(rec->req.data + rec->req.subprotocol.off,
                                            (Py_ssize_t)rec->req.subprotocol.len, "replace")))
    return -1;
  PyObject *all = PyMarshal_ReadObjectFromString(rec->req.data + rec->req.state.off, (Py_ssize_t)rec->req.state.len);
  int bad = !all || unpack(ws, all) < 0;
  Py_XDECREF(all);
  return bad ? -1 : live_ws_accept(ws);
}
