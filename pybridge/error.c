/* Errors of handlers: one report in the error log of the host or on stderr, one response to the client. On the thread
 * that runs the record, with the GIL. */
#include "interp.h"
#include "messages.h"
#include "request.h"
#include "trace.h"

#include <stdarg.h>
#include <string.h>
#include <time.h>

static const char plain_page[] =
    "<!doctype html><title>500 Internal Server Error</title>\n<h1>Internal Server Error</h1>\n"
    "<p>The server could not answer this request.</p>\n";
/* With tracebacks for the browser, but not for this one (record.foreign). */
static const char foreign_page[] =
    "<!doctype html><title>500 Internal Server Error</title>\n<h1>Internal Server Error</h1>\n"
    "<p>The log has the traceback. To see it here, ask for this page at localhost or 127.0.0.1.</p>\n";
/* Inline only: in threads mode the event loop has answered before. */
static const char late_page[] = "<!doctype html><title>504 Gateway Timeout</title>\n<h1>Gateway Timeout</h1>\n";

/* Appends "[client 127.0.0.1:4711] ". Returns its length. */
static int client(char *buf, const fapws_record *rec) {
  const char *addr = rec->data + rec->addr.off;
  int six = memchr(addr, ':', rec->addr.len) && rec->port.len;
  return snprintf(buf, 80, "[client %s%.*s%s%s%.*s] ", six ? "[" : "", (int)(rec->addr.len < 50 ? rec->addr.len : 50),
                  addr, six ? "]" : "", rec->port.len ? ":" : "", (int)(rec->port.len < 5 ? rec->port.len : 5),
                  rec->data + rec->port.off);
}

/* Writes the beginning of a line of the error log with a number, like cmd/fapws/plan/logger.go, whatever the locale. In
 * a file: "[Fri Nov 20 15:01:02.123456 2026] [error] [client 127.0.0.1:4711] "; human-readable: "2026-11-20
 * 15:01:02.123 error ". what is the text that follows; in a human-readable line, its first word may be the level. buf
 * has room for STAMP bytes. */
#define STAMP 256
static void stamp(char *buf, int log, fapws_record *rec, const char *level, const char *what) {
  static const char day[][4] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
  static const char month[][4] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
  struct timespec now;
  struct tm tm;
  clock_gettime(CLOCK_REALTIME, &now);
  localtime_r(&now.tv_sec, &tm);
  if (!fapws_the_pool.stamped && !log) {
    int said = strncmp(what, level, strlen(level)) == 0;
    int n = snprintf(buf, 80, "%d-%02d-%02d %02d:%02d:%02d.%03ld %s%s", tm.tm_year + 1900, tm.tm_mon + 1, tm.tm_mday,
                     tm.tm_hour, tm.tm_min, tm.tm_sec, (long)now.tv_nsec / 1000000, said ? "" : level, said ? "" : " ");
    if (rec && rec->traced) snprintf(buf + n, 64, "trace %.32s: ", rec->data + fapws_trace_id(rec).off);
    return;
  }
  int n = snprintf(buf, 80, "[%s %s %02d %02d:%02d:%02d.%06ld %d] [%s] ", day[tm.tm_wday], month[tm.tm_mon], tm.tm_mday,
                   tm.tm_hour, tm.tm_min, tm.tm_sec, (long)now.tv_nsec / 1000, tm.tm_year + 1900, level);
  if (rec && rec->addr.len) n += client(buf + n, rec);
  if (rec && rec->traced) snprintf(buf + n, 64, "[trace %.32s] ", rec->data + fapws_trace_id(rec).off);
}

/* "error in handler app.view, GET /x HTTP/1.1 from 127.0.0.1: detail" with a stamp. A new reference, or NULL without an
 * exception. */
static PyObject *heading(fapws_record *rec, const char *level, const char *what, const char *detail) {
  PyObject *line = fapws_request_line(rec), *text = NULL;
  PyObject *addr = PyUnicode_DecodeLatin1(rec->data + rec->addr.off, rec->addr.len, NULL);
  char start[STAMP];
  stamp(start, (int)rec->log, rec, level, what);
  if (line && addr)
    text = PyUnicode_FromFormat("%s%s handler %U, %U%s%U%s%s\n", start, what, fapws_the_pool.mounts[rec->mount].name,
                                line, rec->addr.len ? " from " : "", addr, *detail ? ": " : "", detail);
  Py_XDECREF(line);
  Py_XDECREF(addr);
  PyErr_Clear();
  return text;
}

/* Writes a str, whose reference it takes, to an error log. */
static void say(int log, PyObject *text) {
  if (text && log)
    fapws_errorlog_say(log, text);
  else if (text)
    PySys_FormatStderr("%U", text);
  Py_XDECREF(text);
  PyErr_Clear();
}

/* Writes intro, a str whose reference it takes, and an exception with its traceback. In the log of a host that is one
 * message, so that no other line comes between. */
static void say_exception(int log, PyObject *intro, PyObject *type, PyObject *value, PyObject *tb) {
  PyObject *lines = log && intro ? fapws_call("traceback", "format_exception", "(OOO)", type, value ? value : Py_None,
                                              tb ? tb : Py_None)
                                 : NULL;
  PyObject *none = lines ? PyUnicode_FromString("") : NULL, *joined = none ? PyUnicode_Join(none, lines) : NULL;
  PyObject *all = joined ? PyUnicode_Concat(intro, joined) : NULL;
  Py_XDECREF(lines);
  Py_XDECREF(none);
  Py_XDECREF(joined);
  PyErr_Clear();
  if (all) {
    Py_DECREF(intro);
    say(log, all);
    return;
  }
  say(log, intro);
  /* PyErr_Print would end the process for SystemExit. */
  PyErr_Display(type, value, tb);
  PyErr_Clear();
}

void fapws_log(fapws_record *rec, const char *format, ...) {
  char text[256];
  va_list args;
  va_start(args, format);
  vsnprintf(text, sizeof text, format, args);
  va_end(args);
  PyObject *type, *value, *tb;
  PyErr_Fetch(&type, &value, &tb);
  say((int)rec->log, heading(rec, "warning", "warning in", text));
  PyErr_Restore(type, value, tb);
}

/* Reports the current exception, of rec, or, if that is NULL, of what. */
static void report(int log, const char *what, fapws_record *rec) {
  PyObject *type, *value, *tb, *intro;
  fapws_fetch_exception(&type, &value, &tb);
  if (!type) return;
  if (rec) {
    char text[96];
    snprintf(text, sizeof text, "error in %s%sof", what, *what ? " " : "");
    intro = heading(rec, "error", *what ? text : "error in", "");
  } else {
    char start[STAMP];
    stamp(start, log, NULL, "error", "error in");
    intro = PyUnicode_FromFormat("%serror in %s\n", start, what);
  }
  say_exception(log, intro, type, value, tb);
  Py_XDECREF(type);
  Py_XDECREF(value);
  Py_XDECREF(tb);
}

PyObject *fapws_log_line(PyObject *module, PyObject *args) {
  (void)module;
  const char *level, *text;
  if (!PyArg_ParseTuple(args, "ss:log_line", &level, &text)) return NULL;
  char start[STAMP];
  stamp(start, 0, NULL, level, text);
  return PyUnicode_FromFormat("%s%s\n", start, text);
}

void fapws_report(const char *what, fapws_record *rec) { report(rec ? (int)rec->log : 0, what, rec); }

/* The page for a developer's browser, or NULL. */
static PyObject *debug_page(fapws_record *rec, PyObject *type, PyObject *value, PyObject *tb) {
  PyObject *page =
      fapws_call("fapws._debugpage", "page", "(OOOOO)", type, value ? value : Py_None, tb ? tb : Py_None,
                 rec->environ ? (PyObject *)rec->environ : Py_None, fapws_the_pool.mounts[rec->mount].name);
  if (page && !PyBytes_Check(page)) Py_CLEAR(page);
  /* If package fapws cannot be imported, for example, the client gets the plain page. */
  if (PyErr_Occurred()) PyErr_WriteUnraisable(fapws_the_pool.mounts[rec->mount].name);
  return page;
}

void fapws_fail_line(fapws_thread *t, fapws_record *rec, const char *detail) {
  say((int)rec->log, heading(rec, "error", "error in", detail));
  if (rec->started) {
    fapws_stream_end(t, rec, 1);
    return;
  }
  fapws_write_page(rec, 500, plain_page, sizeof plain_page - 1);
  rec->part0.failure = 1;
  fapws_drop(t, rec);
  fapws_publish(t, &rec->part0);
}

void fapws_report_after(int log, PyObject *name, const char *line, int line_len, const char *addr, int addr_len) {
  PyObject *type, *value, *tb;
  PyErr_Fetch(&type, &value, &tb);
  char what[400];
  const char *text = PyUnicode_AsUTF8(name);
  PyErr_Clear();
  snprintf(what, sizeof what, "handler %.120s, %.*s%s%.*s, after the end of its response", text ? text : "", line_len,
           line, addr_len ? " from " : "", addr_len, addr);
  PyErr_Restore(type, value, tb);
  report(log, what, NULL);
}

/* Closes the result of the handler, of which nothing was sent. */
static void give_up_result(fapws_thread *t, fapws_record *rec) {
  if (rec->iter) t->streams--;
  Py_CLEAR(*(PyObject **)&rec->iter);
  if (rec->result) {
    PyObject *result = rec->result;
    rec->result = NULL;
    fapws_close_result(rec, result);
    Py_DECREF(result);
  }
}

void fapws_fetch_exception(PyObject **type, PyObject **value, PyObject **tb) {
  PyErr_Fetch(type, value, tb);
  if (!*type) return;
  PyErr_NormalizeException(type, value, tb);
  if (*tb && *value) PyException_SetTraceback(*value, *tb);
}

/* Does not import the module: an application that raises an HTTPError has imported it. */
int fapws_is_http_error(PyObject *value) {
  PyObject *name = PyUnicode_FromString("fapws._errors"), *module = name ? PyImport_GetModule(name) : NULL;
  PyObject *type = module ? PyObject_GetAttrString(module, "HTTPError") : NULL;
  int yes = type && PyObject_IsInstance(value, type) == 1;
  Py_XDECREF(type);
  Py_XDECREF(module);
  Py_XDECREF(name);
  PyErr_Clear();
  return yes;
}

/* Answers with value, an HTTPError, which is a WSGI application. -1 with an exception. */
static int answer_with(fapws_thread *t, fapws_record *rec, PyObject *value) {
  if (fapws_the_pool.debug >= 1) {
    PyObject *line = PyObject_CallMethod(value, "_log", NULL);
    const char *text = line ? PyUnicode_AsUTF8(line) : NULL;
    if (text) say((int)rec->log, heading(rec, "info", "answer of", text));
    Py_XDECREF(line);
    PyErr_Clear();
  }
  give_up_result(t, rec);
  /* Earlier arguments of start_response do not apply to this response. */
  if (rec->start) fapws_start_done(t, rec->start);
  if (!(rec->start = fapws_start_for(t, rec, NULL))) return -1;
  PyObject *result =
      PyObject_CallFunctionObjArgs(value, rec->environ ? (PyObject *)rec->environ : Py_None, rec->start, NULL);
  int bad = result ? fapws_answer(t, rec, result) : -1;
  if (bad > 0) {
    PyErr_Format(PyExc_TypeError, "%.100s.__call__() must return a list of bytes", Py_TYPE(value)->tp_name);
    bad = -1;
  }
  Py_XDECREF(result);
  return bad;
}

void fapws_fail(fapws_thread *t, fapws_record *rec) {
  PyObject *type, *value, *tb, *page = NULL;
  fapws_fetch_exception(&type, &value, &tb);
  if (value && !rec->started && fapws_is_http_error(value)) {
    int bad = answer_with(t, rec, value);
    Py_XDECREF(type);
    Py_XDECREF(value);
    Py_XDECREF(tb);
    if (!bad) return;
    fapws_fetch_exception(&type, &value, &tb);
  }
  /* Its stack was logged when Timeout was raised. */
  int late = t->raised && type && PyErr_GivenExceptionMatches(type, fapws_timeout);
  if (!late && !rec->started && fapws_the_pool.debug >= 1 && !rec->foreign) page = debug_page(rec, type, value, tb);
  int left = fapws_is_cancelled(rec) && type && PyErr_GivenExceptionMatches(type, PyExc_BrokenPipeError);
  PyErr_Restore(type, value, tb);
  if (left || late) /* write() raised it because the client disconnected, or the timeout was logged */
    PyErr_Clear();
  else
    fapws_report("", rec);
  if (rec->started) {
    Py_XDECREF(page);
    fapws_stream_end(t, rec, 1);
    return;
  }
  give_up_result(t, rec);
  if (page)
    fapws_write_page(rec, 500, PyBytes_AS_STRING(page), (size_t)PyBytes_GET_SIZE(page));
  else if (late)
    fapws_write_page(rec, 504, late_page, sizeof late_page - 1);
  else if (rec->foreign)
    fapws_write_page(rec, 500, foreign_page, sizeof foreign_page - 1);
  else
    fapws_write_page(rec, 500, plain_page, sizeof plain_page - 1);
  rec->part0.failure = !page && !rec->foreign;
  Py_XDECREF(page);
  fapws_drop(t, rec);
  fapws_publish(t, &rec->part0);
}
