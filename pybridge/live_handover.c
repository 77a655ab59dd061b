/* Hands WebSockets with callbacks over to a different process, and takes over WebSockets from a different process. All
 * functions are called with the GIL, on the thread that runs the record.
 *
 * A WebSocket can be handed over if the application has no reference to the WebSocketConnection, and if the value of
 * ws.data is plain (fapws._websocket.packed). The event loop requests the handover with the input CORE_OP_HAND_OVER.
 * The thread that runs the record handles this input between two callbacks. */
#include "live.h"

/* --- to another process ------------------------------------------------------ */

/* Returns the state of the WebSocket to hand over, as bytes. Returns NULL, with or without an exception, if the
 * WebSocket must stay in this process. */
static PyObject *pack(live_ws_object *ws) {
  PyObject *data = ws->data ? PyTuple_Pack(1, ws->data) : PyTuple_New(0);
  PyObject *state = core_call("fapws._websocket", "packed", "(NO)", data, ws->groups ? ws->groups : Py_None);
  if (state == Py_None) Py_CLEAR(state);
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

static int unpack(live_ws_object *ws, const char *state, Py_ssize_t n) {
  PyObject *all = core_call("fapws._websocket", "unpacked", "(y#)", state, n), *data, *groups;
  int bad = !all || !PyArg_ParseTuple(all, "OO:websocket", &data, &groups);
  if (!bad && PyTuple_GET_SIZE(data) > 0) ws->data = Py_NewRef(PyTuple_GET_ITEM(data, 0));
  if (!bad && groups != Py_None) ws->groups = Py_NewRef(groups);
  Py_XDECREF(all);
  return -bad;
}

int live_ws_resume(live_ws_object *ws) {
  const core_record *rec = ws->rec;
  if (rec->req.subprotocol.len &&
      !(ws->protocol = PyUnicode_DecodeUTF8(rec->req.data + rec->req.subprotocol.off,
                                            (Py_ssize_t)rec->req.subprotocol.len, "replace")))
    return -1;
  if (unpack(ws, rec->req.data + rec->req.state.off, (Py_ssize_t)rec->req.state.len) < 0) return -1;
  return live_ws_accept(ws);
}
