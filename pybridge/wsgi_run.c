#include "wsgi.h"

#include <string.h>

/* Whether the handler has used its socket to the client, and has then ended as expected: it has returned, or has raised
 * an exception that tells WSGI servers that the connection has ended. Clears this exception. */
static int socket_ended(core_record *rec) {
  PyObject *type, *value, *tb;
  PyErr_Fetch(&type, &value, &tb);
  int ended = !type || PyErr_GivenExceptionMatches(type, PyExc_ConnectionError) ||
              PyErr_GivenExceptionMatches(type, PyExc_TimeoutError) ||
              PyErr_GivenExceptionMatches(type, PyExc_StopIteration);
  ended = ended && wsgi_socket_was_used(rec);
  if (!ended) {
    PyErr_Restore(type, value, tb);
    return 0;
  }
  Py_XDECREF(type);
  Py_XDECREF(value);
  Py_XDECREF(tb);
  return 1;
}

static void run_request(core_thread *t, core_record *rec) {
  core_mount *m = core_mount_of(rec);
  core_timing timing;
  core_begin_timing(&timing, m);
  PyObject *result = wsgi_call(t, rec);
  core_exit_child();
  wsgi_end_writes(rec);
  if (UNLIKELY(rec->run.socket_object) && socket_ended(rec)) {
    rec->run.result = result; /* the result is closed, but not sent */
    wsgi_stream_end(t, rec, 1);
    core_end_timing(&timing, m);
    return;
  }
  CORE_BEGIN_HOLD_IF(rec->run.start); /* otherwise a different thread could change the head now */
  int how = result ? wsgi_answer(t, rec, result) : -1;
  core_end_timing(&timing, m);
  if (UNLIKELY(how < 0)) {
    wsgi_fail(t, rec);
  } else if (how > 0) {
    wsgi_stream(t, rec);
  }
  CORE_END_HOLD_IF();
  Py_XDECREF(result);
}

void wsgi_resume(core_thread *t, core_record *rec) {
  CORE_BEGIN_HOLD_IF(rec->run.start);
  wsgi_stream(t, rec);
  CORE_END_HOLD_IF();
}

const core_kind wsgi_handlers = {.run = run_request, .resume = wsgi_resume};

/* Returns the environ for a page about the failed request, with its ID: a borrowed reference, or NULL with an
 * exception. */
static PyObject *failed_environ(core_record *rec) {
  if (!rec->run.environ) rec->run.environ = wsgi_environ(rec, NULL, NULL); /* for ASGI, which has a scope instead */
  return rec->run.environ && !wsgi_put_request_id(rec->run.environ, rec) ? rec->run.environ : NULL;
}

/* Returns a tuple of headers and a bytes object for a developer, or NULL. */
static PyObject *debug_page(core_record *rec, PyObject *type, PyObject *value, PyObject *tb) {
  PyObject *env = failed_environ(rec);
  PyObject *page = !env ? NULL
                        : core_call("fapws._debugpage", "page", "(OOOOOO)", type, value ? value : Py_None,
                                    tb ? tb : Py_None, env, core_mount_of(rec)->name, core_mount_of(rec)->callable);
  /* If the page cannot be made, for example because package fapws cannot be imported, the client receives a page
   * without details. */
  if (PyErr_Occurred()) PyErr_WriteUnraisable(core_mount_of(rec)->name);
  return page;
}

static void give_up_result(core_thread *t, core_record *rec) {
  if (rec->run.iter) t->streams--;
  Py_CLEAR(*(PyObject **)&rec->run.iter);
  if (rec->run.result) {
    PyObject *result = rec->run.result;
    rec->run.result = NULL;
    wsgi_close_result(rec, result);
    Py_DECREF(result);
  }
}

/* Sends the result page of debug_page, or the server's page for the status if page is NULL, or aborts a response that
 * has begun. The server's page tells a developer the text detail, which can be NULL. */
static void answer_failure(core_thread *t, core_record *rec, int status, PyObject *page, const char *detail) {
  PyObject *headers = NULL, *body = NULL;
  if (rec->run.started) {
    wsgi_stream_end(t, rec, 1);
    return;
  }
  give_up_result(t, rec);
  if (page && !PyArg_ParseTuple(page, "OS", &headers, &body)) PyErr_Clear();
  core_write_page(rec, status, headers, body ? PyBytes_AS_STRING(body) : "", body ? (size_t)PyBytes_GET_SIZE(body) : 0);
  core_part *p = &rec->part0;
  p->failure = !body;
  if (detail && core_the_pool.debug >= 1 &&
      core_part_put(p, detail, strlen(detail), &p->reason_off, &p->reason_len) < 0)
    PyErr_Clear();
  wsgi_drop(t, rec);
  core_publish(t, p);
}

void wsgi_fail_line(core_thread *t, core_record *rec, const char *detail) {
  core_report_line(rec, "error", "error in", detail);
  answer_failure(t, rec, 500, NULL, detail);
}

/* Makes the response by calling value, a fapws.HTTPError, which is a WSGI application. */
static int answer_with(core_thread *t, core_record *rec, PyObject *value) {
  if (core_the_pool.debug >= 1) {
    PyObject *line = PyObject_CallMethod(value, "_log", NULL);
    const char *text = line ? PyUnicode_AsUTF8(line) : NULL;
    if (text) core_report_line(rec, "info", "answer of", text);
    Py_XDECREF(line);
    PyErr_Clear();
  }
  give_up_result(t, rec);
  /* The response must not contain what the handler has passed to start_response before. */
  if (rec->run.start) wsgi_start_done(t, rec->run.start);
  if (!(rec->run.start = wsgi_start_for(t, rec, NULL))) return -1;
  PyObject *env = failed_environ(rec);
  PyObject *result = env ? PyObject_CallFunctionObjArgs(value, env, rec->run.start, NULL) : NULL;
  int bad = result ? wsgi_answer(t, rec, result) : -1;
  if (bad > 0) {
    PyErr_Format(PyExc_TypeError, "%.100s.__call__() must return a list of bytes", Py_TYPE(value)->tp_name);
    bad = -1;
  }
  Py_XDECREF(result);
  return bad;
}

void wsgi_fail(core_thread *t, core_record *rec) {
  PyObject *type, *value, *tb, *page = NULL;
  core_fetch_exception(&type, &value, &tb);
  if (value && !rec->run.started && core_is_http_error(value)) {
    int bad = answer_with(t, rec, value);
    Py_XDECREF(type);
    Py_XDECREF(value);
    Py_XDECREF(tb);
    if (!bad) return;
    core_fetch_exception(&type, &value, &tb);
  }
  int late = t->raised && type && PyErr_GivenExceptionMatches(type, core_timeout);
  if (!late && !rec->run.started && core_the_pool.debug >= 1 && !rec->req.foreign)
    page = debug_page(rec, type, value, tb);
  int left = core_is_cancelled(rec) && type && PyErr_GivenExceptionMatches(type, PyExc_BrokenPipeError);
  PyErr_Restore(type, value, tb);
  /* The stack was already logged when a Timeout was raised. A BrokenPipeError after the client has disconnected is not
   * an error of the handler. */
  if (left || late)
    PyErr_Clear();
  else
    core_report("", rec);
  /* Status 504 is sent in inline mode only, because in threads mode the event loop has already sent a response. */
  answer_failure(t, rec, late ? 504 : 500, page, NULL);
  Py_XDECREF(page);
}
