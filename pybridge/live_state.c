/* Changes the state of a WebSocket with callbacks: accepts the WebSocket, closes it, and detaches it from its
 * record. */
#include "live.h"

#define the_pool core_the_pool

void live_ws_publish(core_part *p) {
  core_thread *t = core_this_thread;
  const core_record *mine = t ? t->current : NULL;
  if (!mine) { /* this thread runs no record, so it must wake the event loop itself */
    core_push_part(p);
    core_wake_loop();
    return;
  }
  core_publish(t, p);
  /* After core_publish, the event loop does not see the part until the handler returns or the monitor wakes the event
   * loop. That is too late if the handler is usually slow or the monitor sleeps. */
  if (core_run_ns(core_mount_of(mine)) > CORE_SLOW_NS || __atomic_load_n(&the_pool.monitor_parked, __ATOMIC_RELAXED))
    core_notify(t);
}

static int accept_held(live_ws_object *ws) {
  /* If the state is different, another thread has already accepted the WebSocket by sending its first message. */
  if (live_ws_state(ws) != LIVE_WS_OPENING) return 0;
  core_response no_fields = {.status = 101, .length = -1};
  core_record *rec = ws->rec;
  core_part *p = &rec->part0;
  Py_ssize_t n = 0;
  const char *name = ws->protocol ? PyUnicode_AsUTF8AndSize(ws->protocol, &n) : "";
  if (!name || !core_write_accept(rec, &no_fields, name, (size_t)n)) return -1;
  rec->run.started = 1;
  live_ws_set_state(ws, LIVE_WS_OPEN);
  live_ws_publish(p);
  return 0;
}

int live_ws_accept(live_ws_object *ws) { return CORE_HELD(ws, accept_held(ws)); }

/* If the record has received the client's close frame, stores the code and the reason of that frame. The caller holds
 * ws (CORE_BEGIN_HOLD), because the hold guards run.batch. The pool's mutex guards rec->inputs. */
static void take_close(live_ws_object *ws) {
  ws->code = 1006;
  core_lock();
  const core_input *in = ws->rec->inputs.first ? ws->rec->inputs.last : ws->rec->run.batch;
  while (in && in->next) in = in->next;
  int closed = in && in->op == CORE_OP_CLOSE;
  core_unlock();
  if (!closed) return;
  ws->code = in->code;
  Py_XSETREF(ws->reason, PyUnicode_DecodeUTF8(in->data, (Py_ssize_t)in->len, "replace"));
  if (!ws->reason) PyErr_Clear();
}

static int shut_held(live_ws_object *ws, int code, PyObject *reason) {
  core_record *rec = ws->rec;
  if (live_ws_state(ws) == LIVE_WS_OPENING && live_ws_accept(ws) < 0) return -1;
  if (live_ws_state(ws) != LIVE_WS_OPEN) return 0;
  if (core_is_cancelled(rec)) { /* the client has disconnected, so on_close will be called anyway */
    live_ws_set_state(ws, LIVE_WS_CLOSING);
    take_close(ws);
    return 0;
  }
  Py_ssize_t n = 0;
  const char *text = reason ? PyUnicode_AsUTF8AndSize(reason, &n) : "";
  if (!text) return -1;
  core_part *p = core_close_frame(rec, code, text, (size_t)n);
  if (!p) return PyErr_NoMemory(), -1;
  live_ws_set_state(ws, LIVE_WS_CLOSING);
  ws->code = (uint16_t)code;
  Py_XSETREF(ws->reason, Py_XNewRef(reason));
  live_ws_publish(p);
  core_schedule(rec);
  return 0;
}

int live_ws_shut(live_ws_object *ws, int code, PyObject *reason) { return CORE_HELD(ws, shut_held(ws, code, reason)); }

void live_ws_detach(live_ws_object *ws) {
  CORE_BEGIN_HOLD(ws);
  core_record *rec = ws->rec;
  live_ws_set_state(ws, LIVE_WS_CLOSED);
  if (!ws->environ && Py_REFCNT(ws) > 1) {
    ws->environ = live_ws_environ(ws);
    PyErr_Clear();
  }
  wsgi_detach_disconnected(rec);
  ws->rec = NULL;
  core_lock();
  rec->inputs.open = 0;
  core_release_senders(rec);
  core_input *in = core_take_inputs(rec);
  core_unlock();
  core_free_inputs(in);
  core_free_inputs(rec->run.batch);
  rec->run.batch = NULL;
  rec->run.ws = NULL;
  CORE_END_HOLD();
}
