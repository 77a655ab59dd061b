/* WebSockets with callbacks. A WebSocket occupies a thread only while a callback runs. The callbacks of a WebSocket run
 * one at a time, in the order in which inputs arrived. All functions need the GIL. */
#include "live.h"

#include <stdlib.h>

#define the_pool core_the_pool

enum { ON_OPEN, ON_MESSAGE, ON_CLOSE, CALLBACKS };
static const char *const callback_names[CALLBACKS] = {"on_open", "on_message", "on_close"};
static PyObject *callback_name[CALLBACKS];

/* Calls a callback with the arguments ws, second and third; second and third are left out if they are NULL. Steals the
 * references to second and third. Returns a new reference to the result, or to None if the application has no such
 * callback, or NULL with an exception. */
static PyObject *call(live_ws_object *ws, int which, PyObject *second, PyObject *third) {
  PyObject *f = PyObject_GetAttr(core_mount_of(ws->rec)->callable, callback_name[which]),
           *args[] = {(PyObject *)ws, second, third};
  size_t n = third ? 3 : second ? 2 : 1;
  PyObject *result = !f || f == Py_None ? Py_XNewRef(f) : PyObject_Vectorcall(f, args, n, NULL);
  Py_XDECREF(f);
  Py_XDECREF(second);
  Py_XDECREF(third);
  core_exit_child();
  return result;
}

/* Called between two callbacks. A Timeout that was raised for the finished callback must not reach the next one. */
static void next_callback(core_thread *t) {
  core_count_job(t);
  if (UNLIKELY(t->raised)) core_withdraw_timeout(t);
}

static void report_failure(core_thread *t, live_ws_object *ws, const char *what) {
  core_record *rec = ws->rec;
  int late = t->raised && PyErr_ExceptionMatches(core_timeout); /* the stack was logged when the Timeout was raised */
  /* the exception comes from send(), because the client has disconnected */
  int gone =
      (live_ws_state(ws) > LIVE_WS_OPEN || core_is_cancelled(rec)) && PyErr_ExceptionMatches(PyExc_BrokenPipeError);
  if (late || gone)
    PyErr_Clear();
  else
    core_report(what, rec);
  /* If live_ws_shut fails, the WebSocket is closed when the exchange ends. */
  if (live_ws_shut(ws, 1011, NULL) < 0) PyErr_Clear();
}

/* Calls on_close, and steals the reference to reason, which can be NULL. */
static void call_on_close(core_thread *t, live_ws_object *ws, int code, PyObject *reason) {
  core_record *rec = ws->rec;
  CORE_BEGIN_HOLD(ws);
  live_ws_set_state(ws, LIVE_WS_CLOSED);
  CORE_END_HOLD();
  next_callback(t);
  PyObject *number = PyLong_FromLong(code), *text = reason ? reason : PyUnicode_FromString("");
  if (number && text && core_done(call(ws, ON_CLOSE, number, text)) == 0) return;
  if (t->raised && PyErr_ExceptionMatches(core_timeout))
    PyErr_Clear();
  else
    core_report("on_close", rec);
}

/* Returns the close code, and stores a new reference to the close reason, or NULL, in *reason. */
static int close_code(live_ws_object *ws, PyObject **reason) {
  int code;
  CORE_BEGIN_HOLD(ws); /* a different thread can still be in close() */
  code = ws->code;
  *reason = Py_XNewRef(ws->reason);
  CORE_END_HOLD();
  return code;
}

/* Ends the WebSocket: calls on_close, publishes the last part, and steals the reference to reason, which can be
 * NULL. */
static void end(core_thread *t, live_ws_object *ws, int code, PyObject *reason) {
  core_record *rec = ws->rec;
  if (t->unsignalled && core_run_ns(core_mount_of(rec)) > CORE_SLOW_NS) core_notify(t);
  call_on_close(t, ws, code, reason);
  int abnormal = code == 1011;
  live_ws_detach(ws);
  Py_DECREF(ws);
  core_part *p = core_part_new(rec, 0);
  if (!p) Py_FatalError("fapws: out of memory while closing a WebSocket");
  p->last = 1;
  p->failed = (uint8_t)abnormal;
  wsgi_drop(t, rec);
  core_publish(t, p);
}

static void on_message(core_thread *t, live_ws_object *ws, const core_input *in) {
  core_record *rec = ws->rec;
  core_mount *m = core_mount_of(rec);
  core_timing timing;
  core_begin_timing(&timing, m);
  PyObject *message = core_input_message(in);
  PyObject *result = message ? call(ws, ON_MESSAGE, message, NULL) : NULL;
  core_end_timing(&timing, m);
  Py_XDECREF(result);
  if (UNLIKELY(!result)) report_failure(t, ws, "on_message");
  core_part *credit = core_credit_part(rec, in);
  if (credit) live_ws_publish(credit);
}

static core_input *next_input(core_record *rec) {
  core_input *in;
  CORE_BEGIN_HOLD(rec->run.ws); /* guards rec->run.batch against take_close on a different thread */
  if (!rec->run.batch) {
    core_lock();
    rec->run.batch = core_take_inputs(rec);
    core_unlock();
  }
  in = rec->run.batch;
  if (in) rec->run.batch = in->next;
  CORE_END_HOLD();
  return in;
}

/* If the record has no further input, marks the record as not queued, and returns 1. Returns 0 if an input has arrived,
 * the client has disconnected, or a different thread has closed the WebSocket. */
static int comes_to_rest(core_record *rec) {
  core_lock();
  int rests = !rec->inputs.first && !core_is_cancelled(rec) && live_ws_state(rec->run.ws) <= LIVE_WS_OPEN;
  if (rests) rec->inputs.scheduled = 0;
  core_unlock();
  return rests;
}

static void run_inputs(core_thread *t, core_record *rec) {
  live_ws_object *ws = rec->run.ws;
  const core_mount *m = core_mount_of(rec);
  for (uint64_t spent = 0;; spent += core_run_ns(m)) {
    if (live_ws_state(ws) > LIVE_WS_OPEN) {
      PyObject *reason;
      int code = close_code(ws, &reason);
      end(t, ws, code, reason);
      return;
    }
    if (t->mode->messages_yield(t, spent)) {
      core_notify(t);
      core_give_way(rec);
      return;
    }
    core_input *in = next_input(rec);
    if (!in) {
      if (comes_to_rest(rec)) return;
      if (!core_is_cancelled(rec) || rec->inputs.first || live_ws_state(ws) > LIVE_WS_OPEN) continue;
      end(t, ws, 1006, NULL);
      return;
    }
    if (UNLIKELY(in->op == CORE_OP_CLOSE)) {
      PyObject *reason = PyUnicode_DecodeUTF8(in->data, (Py_ssize_t)in->len, "replace");
      int code = in->code;
      free(in);
      if (!reason) PyErr_Clear();
      end(t, ws, code, reason);
      return;
    }
    if (spent) { /* decide again whether to wake the event loop */
      t->unsignalled_ns += core_run_ns(m);
      if (t->unsignalled && (t->unsignalled_ns > CORE_UNSIGNALLED_NS || core_run_ns(m) > CORE_SLOW_NS)) core_notify(t);
    }
    next_callback(t);
    on_message(t, ws, in);
    free(in);
  }
}

static PyObject *refusal_of(live_ws_object *ws) { return CORE_HELD(ws, Py_XNewRef(ws->refusal)); }

/* Refuses the WebSocket, and returns 1. Returns 0 if a thread has already accepted the WebSocket by sending a
 * message. */
static int keep_closed(live_ws_object *ws) {
  int closed;
  CORE_BEGIN_HOLD(ws);
  closed = !ws->rec->run.started;
  if (closed) live_ws_set_state(ws, LIVE_WS_CLOSED);
  CORE_END_HOLD();
  return closed;
}

/* Raises the fapws.HTTPError with which the WebSocket is refused: the object refusal, or a new object with status 403
 * if refusal is NULL. */
static void refuse(PyObject *refusal) {
  PyObject *error = refusal ? Py_NewRef(refusal) : core_call("fapws._errors", "HTTPError", "(i)", 403);
  if (error) PyErr_SetObject((PyObject *)Py_TYPE(error), error);
  Py_XDECREF(error);
}

/* Calls on_open, and raises an exception if the application rejects the WebSocket. */
static int admit(live_ws_object *ws, int *called) {
  core_record *rec = ws->rec;
  PyObject *protocol = PyObject_CallMethod(core_mount_of(rec)->callable, "_admit", "O", (PyObject *)rec->run.environ);
  core_exit_child();
  if (!protocol) return -1;
  if (PyUnicode_Check(protocol)) ws->protocol = Py_NewRef(protocol);
  Py_DECREF(protocol);
  *called = 1;
  PyObject *result = call(ws, ON_OPEN, NULL, NULL);
  if (!result) return -1;
  PyObject *refusal = refusal_of(ws);
  if (result == Py_False || refusal) {
    if (keep_closed(ws))
      refuse(refusal);
    else if (live_ws_shut(ws, 1008, NULL) < 0) /* a send() in on_open has already accepted the WebSocket */
      PyErr_Clear();
  }
  Py_XDECREF(refusal);
  Py_DECREF(result);
  return PyErr_Occurred() ? -1 : 0;
}

static void reject(core_thread *t, live_ws_object *ws, int called) {
  core_record *rec = ws->rec;
  PyObject *type, *value, *tb;
  core_fetch_exception(&type, &value, &tb);
  /* If on_open has failed, on_close lets the application undo what on_open has done. */
  if (called && !core_is_http_error(value)) call_on_close(t, ws, 1011, NULL);
  live_ws_detach(ws);
  Py_DECREF(ws);
  PyErr_Restore(type, value, tb);
  wsgi_fail(t, rec);
}

static void open_websocket(core_thread *t, core_record *rec) {
  core_mount *m = core_mount_of(rec);
  core_timing timing;
  rec->inputs.first = rec->inputs.last = rec->run.batch = NULL;
  rec->inputs.senders = 0;
  core_lock();
  rec->inputs.open = rec->inputs.scheduled = 1;
  core_unlock();
  core_begin_timing(&timing, m);
  live_ws_object *ws = core_intern(callback_name, callback_names, CALLBACKS) < 0 ? NULL : live_ws_new(rec);
  if (!ws) {
    rec->inputs.open = 0;
    wsgi_fail(t, rec);
    return;
  }
  rec->run.ws = ws;
  int called = 0, bad = !(rec->run.environ = wsgi_environ(rec, m->environ, NULL)) || admit(ws, &called) < 0;
  core_end_timing(&timing, m);
  if (bad && keep_closed(ws)) {
    reject(t, ws, called);
    return;
  }
  if (!bad && live_ws_state(ws) == LIVE_WS_OPENING && live_ws_accept(ws) < 0) bad = 1;
  if (bad) report_failure(t, ws, "on_open");
  PyObject *environ = rec->run.environ;
  CORE_BEGIN_HOLD(ws);
  rec->run.environ = NULL; /* the object ws makes a new environ if the application reads its attribute environ */
  CORE_END_HOLD();
  Py_XDECREF(environ);
  run_inputs(t, rec);
}

const core_kind live_websockets = {.run = open_websocket, .run_inputs = run_inputs};
