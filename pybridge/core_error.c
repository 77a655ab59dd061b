/* Reports errors of handlers: one report in the error log of the host or on stderr, and one response to the client.
 * On the thread that runs the record, with the GIL. */
#include "core.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

PyObject *core_request_line(const core_record *rec) {
  static const char *const versions[] = {"HTTP/1.0", "HTTP/1.1", "HTTP/2.0"};
  PyObject *line = PyUnicode_DecodeLatin1(rec->req.data, rec->req.target.off + rec->req.target.len, NULL);
  PyObject *whole = line ? PyUnicode_FromFormat("%U %s", line, versions[rec->req.version]) : NULL;
  Py_XDECREF(line);
  return whole;
}

static int client(char *buf, const core_record *rec) {
  const char *addr = rec->req.data + rec->req.addr.off;
  int six = memchr(addr, ':', rec->req.addr.len) && rec->req.port.len;
  return snprintf(buf, 80, "[client %s%.*s%s%s%.*s] ", six ? "[" : "",
                  (int)(rec->req.addr.len < 50 ? rec->req.addr.len : 50), addr, six ? "]" : "",
                  rec->req.port.len ? ":" : "", (int)(rec->req.port.len < 5 ? rec->req.port.len : 5),
                  rec->req.data + rec->req.port.off);
}

static struct {
  int64_t until;
  int32_t offset;
} zone[CORE_ZONE_CHANGES];

void core_add_zone(int i, int64_t until, int32_t offset) {
  zone[i].until = until;
  zone[i].offset = offset;
}

/* Returns the offset from UTC in seconds. */
static int local_time(time_t now, struct tm *tm) {
  int i = 0;
  while (i < CORE_ZONE_CHANGES - 1 && now >= zone[i].until) i++;
  now += zone[i].offset;
  gmtime_r(&now, tm);
  return zone[i].offset;
}

/* Writes the identity of a request with a format that has a name and a text. */
static void identify(char *buf, const core_record *rec, const char *format) {
  for (int trace = 0; rec && trace <= 1; trace++) {
    core_span id = core_id(rec, trace);
    if (id.len) buf += snprintf(buf, 160, format, trace ? "trace" : "request", (int)id.len, rec->req.data + id.off);
  }
}

/* Writes the beginning of a line of an error log in the formats of runtime/logfile/look.go, independent of the locale.
 * In a file: "[Fri Nov 20 15:01:02.123456 2026] [error] [client 127.0.0.1:4711] "; human-readable:
 * "2026-11-20 15:01:02.123 +0100 error ", with colors at a terminal, and with a priority in place of the time for the
 * journal. what is the text after it; in a human-readable line, its first word may be the level. Returns the rest of
 * what, which the caller writes. buf has room for STAMP bytes. */
#define STAMP 512
static const char *stamp(char *buf, int log, core_record *rec, const char *level, const char *what) {
  static const char day[][4] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
  static const char month[][4] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
  struct timespec now;
  struct tm tm;
  clock_gettime(CLOCK_REALTIME, &now);
  int offset = local_time(now.tv_sec, &tm), minutes = abs(offset) / 60, look = core_the_pool.look;
  if (look != CORE_FILED && !log) {
    int error = *level == 'e', warning = *level == 'w', colored = look == CORE_COLORED;
    char at[80], name[40], ids[320] = "";
    if (look == CORE_JOURNAL)
      snprintf(at, sizeof at, "<%d>", error ? 3 : warning ? 4 : 6);
    else
      snprintf(at, sizeof at, "%s%d-%02d-%02d %02d:%02d:%02d.%03ld %c%02d%02d %s", colored ? "\x1b[2m" : "",
               tm.tm_year + 1900, tm.tm_mon + 1, tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec,
               (long)now.tv_nsec / 1000000, offset < 0 ? '-' : '+', minutes / 60, minutes % 60,
               colored ? "\x1b[0m" : "");
    if (colored)
      snprintf(name, sizeof name, "\x1b[%dm%.16s\x1b[0m", error ? 31 : warning ? 33 : 36, level);
    else
      snprintf(name, sizeof name, "%.16s", level);
    identify(ids, rec, "%s %.*s: ");
    int said = strncmp(what, level, strlen(level)) == 0;
    snprintf(buf, STAMP, "%s%s%s%s%s", at, said ? "" : name, said ? "" : " ", ids, said ? name : "");
    return said ? what + strlen(level) : what;
  }
  int n = snprintf(buf, 80, "[%s %s %02d %02d:%02d:%02d.%06ld %d] [%s] ", day[tm.tm_wday], month[tm.tm_mon], tm.tm_mday,
                   tm.tm_hour, tm.tm_min, tm.tm_sec, (long)now.tv_nsec / 1000, tm.tm_year + 1900, level);
  if (rec && rec->req.addr.len) n += client(buf + n, rec);
  identify(buf + n, rec, "[%s %.*s] ");
  return what;
}

/* Returns a text such as "error in handler app.view, GET /x HTTP/1.1 from 127.0.0.1 (thread 2): detail", with date
 * and level in front. A new reference, or NULL without an exception. */
static PyObject *heading(core_record *rec, const char *level, const char *what, const char *thread,
                         const char *detail) {
  PyObject *line = core_request_line(rec), *text = NULL;
  PyObject *addr = PyUnicode_DecodeLatin1(rec->req.data + rec->req.addr.off, rec->req.addr.len, NULL);
  char start[STAMP];
  what = stamp(start, (int)rec->req.log, rec, level, what);
  if (line && addr)
    text = PyUnicode_FromFormat("%s%s handler %U, %U%s%U%s%s%s\n", start, what, core_mount_of(rec)->name, line,
                                rec->req.addr.len ? " from " : "", addr, thread, *detail ? ": " : "", detail);
  Py_XDECREF(line);
  Py_XDECREF(addr);
  PyErr_Clear();
  return text;
}

/* Writes text to an error log, and takes the reference to text. */
static void say(int log, PyObject *text) {
  if (text && log)
    core_errorlog_say(log, text);
  else if (text)
    PySys_FormatStderr("%U", text);
  Py_XDECREF(text);
  PyErr_Clear();
}

/* Writes intro and an exception with its traceback, as one message so that other lines cannot separate them. Text of
 * clients is escaped. Takes the reference to intro, a str. */
static void say_exception(int log, PyObject *intro, PyObject *type, PyObject *value, PyObject *tb) {
  PyObject *all =
      intro ? core_call("fapws._traceback", "report", "(OOOO)", intro, type, value ? value : Py_None, tb ? tb : Py_None)
            : NULL;
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

void core_report_line(core_record *rec, const char *level, const char *what, const char *detail) {
  say((int)rec->req.log, heading(rec, level, what, "", detail));
}

void core_log(core_record *rec, const char *format, ...) {
  char text[256];
  va_list args;
  va_start(args, format);
  vsnprintf(text, sizeof text, format, args);
  va_end(args);
  PyObject *type, *value, *tb;
  PyErr_Fetch(&type, &value, &tb);
  core_report_line(rec, "warning", "warning in", text);
  PyErr_Restore(type, value, tb);
}

static PyObject *error_heading(int log, const char *what, core_record *rec) {
  char text[96], start[STAMP], thread[32] = "";
  snprintf(text, sizeof text, "error in %s%sof", what, *what ? " " : "");
  const core_thread *t = core_this_thread;
  if (t) snprintf(thread, sizeof thread, t->index < 0 ? " (asyncio thread)" : " (thread %d)", t->index);
  if (rec) return heading(rec, "error", *what ? text : "error in", thread, "");
  const char *rest = stamp(start, log, NULL, "error", "error in");
  return PyUnicode_FromFormat("%s%s %s\n", start, rest, what);
}

static void report(int log, const char *what, core_record *rec) {
  PyObject *type, *value, *tb;
  core_fetch_exception(&type, &value, &tb);
  if (!type) return;
  if (!core_is_exit_by_signal(value)) say_exception(log, error_heading(log, what, rec), type, value, tb);
  Py_XDECREF(type);
  Py_XDECREF(value);
  Py_XDECREF(tb);
}

PyObject *core_log_line(PyObject *module, PyObject *args) {
  (void)module;
  const char *level, *text;
  int log;
  if (!PyArg_ParseTuple(args, "ssi:log_line", &level, &text, &log)) return NULL;
  char start[STAMP];
  text = stamp(start, log, NULL, level, text);
  return PyUnicode_FromFormat("%s%s\n", start, text);
}

void core_report(const char *what, core_record *rec) { report(rec ? (int)rec->req.log : 0, what, rec); }

void core_report_after(int log, PyObject *name, const char *line, int line_len, const char *addr, int addr_len) {
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

void core_fetch_exception(PyObject **type, PyObject **value, PyObject **tb) {
  PyErr_Fetch(type, value, tb);
  if (!*type) return;
  PyErr_NormalizeException(type, value, tb);
  if (*tb && *value) PyException_SetTraceback(*value, *tb);
}

/* The application can raise an HTTPError only if it has imported its module, so this function need not import it. */
int core_is_http_error(PyObject *value) {
  PyObject *name = PyUnicode_FromString("fapws._errors"), *module = name ? PyImport_GetModule(name) : NULL;
  PyObject *type = module ? PyObject_GetAttrString(module, "HTTPError") : NULL;
  int yes = type && PyObject_IsInstance(value, type) == 1;
  Py_XDECREF(type);
  Py_XDECREF(module);
  Py_XDECREF(name);
  PyErr_Clear();
  return yes;
}
