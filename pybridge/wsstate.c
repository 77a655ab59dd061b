/* The states of a WebSocket with callbacks: accepted, closed, detached from its record. Any thread with the GIL. */
#include "interp.h"
#include "websocket.h"

#define P fapws_the_pool

void fapws_ws_publish(fapws_part *p) {
  fapws_thread *t = fapws_this_thread;
  const fapws_record *mine = t ? t->current : NULL;
  if (!mine) { /* a thread of the application: nothing else would wake the event loop */
    fapws_push_part(p);
    fapws_wake_loop();
    return;
  }
  fapws_publish(t, p);
  /* A slow handler must not delay it. The monitor notices handlers that are slow for once, unless it sleeps. */
  if (fapws_run_ns(&P.mounts[mine->mount]) > FAPWS_SLOW_NS || __atomic_load_n(&P.monitor_parked, __ATOMIC_RELAXED))
    fapws_notify(t);
}

static int accept_held(fapws_ws_object *ws) {
  if (fapws_ws_state(ws) != FAPWS_WS_OPENING) return 0; /* another thread has sent the first message meanwhile */
  fapws_start_object no_fields = {.status = 101, .length = -1};
  fapws_record *rec = ws->rec;
  fapws_part *p = &rec->part0;
  Py_ssize_t n = 0;
  const char *name = ws->protocol ? PyUnicode_AsUTF8AndSize(ws->protocol, &n) : "";
  if (!name || !fapws_write_accept(rec, &no_fields, name, (size_t)n)) return -1;
  rec->started = 1;
  fapws_ws_set_state(ws, FAPWS_WS_OPEN);
  fapws_ws_publish(p);
  return 0;
}

int fapws_ws_accept(fapws_ws_object *ws) {
  int bad;
  FAPWS_BEGIN_HOLD(ws);
  bad = accept_held(ws);
  FAPWS_END_HOLD();
  return bad;
}

/* Takes code and reason from the client's close frame, if that is among the inputs. ws, which is held, and the pool's
 * mutex guard both lists. */
static void take_close(fapws_ws_object *ws) {
  ws->code = 1006;
  fapws_lock();
  const fapws_input *in = ws->rec->inputs ? ws->rec->inputs_tail : ws->rec->batch;
  while (in && in->next) in = in->next;
  int closed = in && in->op == FAPWS_OP_CLOSE;
  fapws_unlock();
  if (!closed) return;
  ws->code = in->code;
  Py_XSETREF(ws->reason, PyUnicode_DecodeUTF8(in->data, (Py_ssize_t)in->len, "replace"));
  if (!ws->reason) PyErr_Clear();
}

static int shut_held(fapws_ws_object *ws, int code, PyObject *reason) {
  fapws_record *rec = ws->rec;
  if (fapws_ws_state(ws) == FAPWS_WS_OPENING && fapws_ws_accept(ws) < 0) return -1;
  if (fapws_ws_state(ws) != FAPWS_WS_OPEN) return 0;
  if (fapws_is_cancelled(rec)) { /* the client disconnected, and on_close will be called */
    fapws_ws_set_state(ws, FAPWS_WS_CLOSING);
    take_close(ws);
    return 0;
  }
  Py_ssize_t n = 0;
  const char *text = reason ? PyUnicode_AsUTF8AndSize(reason, &n) : "";
  if (!text) return -1;
  fapws_part *p = fapws_close_frame(rec, code, text, (size_t)n);
  if (!p) return PyErr_NoMemory(), -1;
  fapws_ws_set_state(ws, FAPWS_WS_CLOSING);
  ws->code = (uint16_t)code;
  Py_XSETREF(ws->reason, Py_XNewRef(reason));
  fapws_ws_publish(p);
  fapws_schedule(rec); /* for on_close */
  return 0;
}

int fapws_ws_shut(fapws_ws_object *ws, int code, PyObject *reason) {
  int bad;
  FAPWS_BEGIN_HOLD(ws);
  bad = shut_held(ws, code, reason);
  FAPWS_END_HOLD();
  return bad;
}

static void detach_held(fapws_ws_object *ws) {
  fapws_record *rec = ws->rec;
  fapws_ws_set_state(ws, FAPWS_WS_CLOSED);
  if (!ws->environ && Py_REFCNT(ws) > 1) { /* for the application, which may read it later */
    ws->environ = fapws_ws_environ(ws);
    PyErr_Clear();
  }
  ws->rec = NULL;
  fapws_lock();
  rec->open = 0;
  fapws_release_senders(rec);
  fapws_input *in = rec->inputs;
  rec->inputs = rec->inputs_tail = NULL;
  fapws_unlock();
  fapws_free_inputs(in);
  fapws_free_inputs(rec->batch);
  rec->batch = NULL;
  rec->ws = NULL;
}

void fapws_ws_detach(fapws_ws_object *ws) {
  FAPWS_BEGIN_HOLD(ws);
  detach_held(ws);
  FAPWS_END_HOLD();
}
