/* Reports errors of handlers: one report in the error log of the host or on stderr, and one response to the client. The
 * functions are called on the thread that runs the record, with the GIL. */
#include "core.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

PyObject *core_request_line(const core_record *rec) {
  static const char *const versions[] = {"HTTP/1.0", "HTTP/1.1", "HTTP/2.0"};
  PyObject *line = PyUnicode_DecodeLatin1(rec->req.data, rec->req.target.off + rec->req.target.len, NULL);
  PyObject *whole = line ? PyUnicode_FromFormat("%U %s", line, versions[rec->req.version]) : NULL;
  Py_XDECREF(line);
  return whole;
}

core_bytes core_name_request(const core_record *rec, char id[CORE_SHORT_ID]) {
  core_span own = core_request_id(rec);
  if (own.len) return (core_bytes){rec->req.data + own.off, own.len};
  for (int i = 0; i < CORE_SHORT_ID; i++)
    id[i] = "0123456789abcdefghjkmnpqrstvwxyz"[rec->req.number >> (59 - 5 * i) & 31];
  return (core_bytes){id, rec->req.number ? CORE_SHORT_ID : 0};
}

int core_look;

void core_set_look(int look) {
  CORE_CHECK(CORE_BEFORE | CORE_LOADING);
  core_look = look;
}

core_span core_host(const core_record *rec) {
  core_span host = rec->req.host.len ? rec->req.host : rec->req.authority;
  for (uint32_t i = 0; !host.len && i < rec->req.nfields; i++) {
    core_field f = rec->req.fields[i];
    if (f.name.len == 4 && strncasecmp(rec->req.data + f.name.off, "host", 4) == 0) host = f.value;
  }
  return host;
}

#define CLIENT 80
static int client(char *buf, const core_record *rec) {
  const char *addr = rec->req.data + rec->req.addr.off;
  int six = memchr(addr, ':', rec->req.addr.len) && rec->req.port.len;
  if (!rec->req.addr.len) return 0;
  return snprintf(buf, CLIENT, "%s%.*s%s%s%.*s", six ? "[" : "", (int)(rec->req.addr.len < 50 ? rec->req.addr.len : 50),
                  addr, six ? "]" : "", rec->req.port.len ? ":" : "",
                  (int)(rec->req.port.len < 5 ? rec->req.port.len : 5), rec->req.data + rec->req.port.off);
}

static struct {
  int64_t until;
  int32_t offset;
} zone[CORE_ZONE_CHANGES];

void core_add_zone(int i, int64_t until, int32_t offset) {
  zone[i].until = until;
  zone[i].offset = offset;
}

int core_local_time(time_t now, struct tm *tm) {
  int i = 0;
  while (i < CORE_ZONE_CHANGES - 1 && now >= zone[i].until) i++;
  now += zone[i].offset;
  gmtime_r(&now, tm);
  return zone[i].offset;
}

/* Writes the trace ID and the request ID of a request. The parameter format is a printf format for two arguments: the
 * kind of the ID ("trace" or "request"), and the ID. */
static void identify(char *buf, const core_record *rec, const char *format) {
  if (!rec) return;
  char id[CORE_SHORT_ID];
  core_bytes request = core_name_request(rec, id);
  core_span trace = core_trace_id(rec);
  if (request.len) buf += snprintf(buf, 160, format, "request", (int)request.len, request.text);
  if (trace.len) snprintf(buf, 160, format, "trace", (int)trace.len, rec->req.data + trace.off);
}

/* Writes the beginning of a line of an error log, independent of the locale. runtime/logfile/look.go describes the
 * formats. The format for files is "[Fri Nov 20 15:01:02.123456 2026] [error] [client 127.0.0.1:4711] "; the format for
 * people is "2026-11-20 15:01:02.123 +0100 error ", with colors at a terminal. For the journal, a priority replaces the
 * time. If text itself begins with the level, and no ID is known, the caller must omit this beginning, so that
 * the line does not repeat the level. Returns the number of characters to omit. buf must have room for STAMP bytes. */
#define STAMP 512
static Py_ssize_t stamp(char *buf, int log, const core_record *rec, const char *level, PyObject *text) {
  static const char day[][4] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
  static const char month[][4] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
  struct timespec now;
  struct tm tm;
  clock_gettime(CLOCK_REALTIME, &now);
  int offset = core_local_time(now.tv_sec, &tm), minutes = abs(offset) / 60, look = core_look;
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
    Py_ssize_t said = 0, n = PyUnicode_GET_LENGTH(text);
    while (level[said] && said < n && PyUnicode_READ_CHAR(text, said) == (Py_UCS4)level[said]) said++;
    if (level[said] || *ids) said = 0;
    snprintf(buf, STAMP, "%s%s%s%s", at, name, said ? "" : " ", ids);
    return said;
  }
  int n = snprintf(buf, 80, "[%s %s %02d %02d:%02d:%02d.%06ld %d] [%s] ", day[tm.tm_wday], month[tm.tm_mon], tm.tm_mday,
                   tm.tm_hour, tm.tm_min, tm.tm_sec, (long)now.tv_nsec / 1000, tm.tm_year + 1900, level);
  char from[CLIENT];
  if (rec && client(from, rec)) n += snprintf(buf + n, CLIENT + 16, "[client %s] ", from);
  identify(buf + n, rec, "[%s %.*s] ");
  return 0;
}

/* Returns a text such as "error in handler app.view, GET /x HTTP/1.1 from 127.0.0.1 (thread 2): detail". A new
 * reference, or NULL without an exception. */
static PyObject *heading(const core_record *rec, const char *what, const char *thread, const char *detail) {
  PyObject *line = core_request_line(rec), *text = NULL;
  PyObject *addr = PyUnicode_DecodeLatin1(rec->req.data + rec->req.addr.off, rec->req.addr.len, NULL);
  if (line && addr)
    text = PyUnicode_FromFormat("%s handler %U, %U%s%U%s%s%s", what, core_mount_of(rec)->name, line,
                                rec->req.addr.len ? " from " : "", addr, thread, *detail ? ": " : "", detail);
  Py_XDECREF(line);
  Py_XDECREF(addr);
  PyErr_Clear();
  return text;
}

static PyObject *with_stamp(int log, const core_record *rec, const char *level, PyObject *text) {
  char start[STAMP];
  Py_ssize_t omitted = stamp(start, log, rec, level, text);
  PyObject *rest = PyUnicode_Substring(text, omitted, PyUnicode_GET_LENGTH(text)), *line = NULL;
  if (rest) line = PyUnicode_FromFormat("%s%U\n", start, rest);
  Py_XDECREF(rest);
  return line;
}

/* Returns str, which can be NULL, in UTF-8 without line feeds at its end. Stores a new reference to the object that
 * owns the returned bytes in *held. */
static core_bytes utf8(PyObject *str, PyObject **held) {
  *held = str ? PyUnicode_AsEncodedString(str, "utf-8", "backslashreplace") : NULL;
  PyErr_Clear();
  if (!*held) return (core_bytes){0};
  core_bytes text = {PyBytes_AS_STRING(*held), (uint32_t)PyBytes_GET_SIZE(*held)};
  while (text.len && text.text[text.len - 1] == '\n') text.len--;
  return text;
}

/* Writes the host of a request without its port and in normal form, as appendHostName in runtime/logfile does. */
static core_bytes host_name(char *buf, uint32_t size, const core_record *rec) {
  core_span host = core_host(rec);
  const char *s = rec->req.data + host.off, *end = s + host.len, *colon = end;
  while (colon > s && colon[-1] != ':' && colon[-1] != ']') colon--;
  if (colon > s && colon[-1] == ':') end = colon - 1;
  uint32_t n = 0;
  for (; s < end && n < size; s++)
    if (*s != '[' && *s != ']') buf[n++] = (char)(*s >= 'A' && *s <= 'Z' ? *s + ('a' - 'A') : *s);
  if (n && buf[n - 1] == '.') n--;
  return (core_bytes){buf, n};
}

static void say_object(int log, const core_record *rec, const char *level, PyObject *text, PyObject *type,
                       PyObject *value, PyObject *tb) {
  enum { MOST = 5 };
  core_bytes texts[CORE_TEXTS] = {{0}};
  PyObject *held[MOST] = {NULL}, *parts = NULL;
  char from[CLIENT], host[256], id[CORE_SHORT_ID];
  texts[CORE_MESSAGE] = utf8(text, &held[0]);
  if (rec) {
    const core_span spans[] = {[CORE_USER] = rec->req.user,
                               [CORE_TRACE] = core_trace_id(rec),
                               [CORE_METHOD] = rec->req.method,
                               [CORE_PATH] = rec->req.path};
    for (int i = CORE_USER; i <= CORE_PATH; i++) texts[i] = (core_bytes){rec->req.data + spans[i].off, spans[i].len};
    texts[CORE_REQUEST] = core_name_request(rec, id);
    texts[CORE_CLIENT] = (core_bytes){from, (uint32_t)client(from, rec)};
    texts[CORE_HOST] = host_name(host, sizeof host, rec);
    texts[CORE_HANDLER] = utf8(core_mount_of(rec)->name, &held[1]);
  }
  if (type) parts = core_call("fapws._traceback", "parts", "(OOO)", type, value ? value : Py_None, tb ? tb : Py_None);
  const char *name = type ? ((PyTypeObject *)type)->tp_name : "";
  texts[CORE_TYPE] = (core_bytes){name, (uint32_t)strlen(name)}; /* remains if parts is NULL */
  for (int i = 0; parts && i < 3; i++) texts[CORE_TYPE + i] = utf8(PyTuple_GET_ITEM(parts, i), &held[2 + i]);
  int empty =
      !texts[CORE_MESSAGE].len && !type; /* for example, print(file=environ["wsgi.errors"]) writes only a line feed */
  size_t size = core_object_size(texts);
  char *object = empty ? NULL : malloc(size);
  if (object) {
    size_t n = core_object(object, size, level, texts);
    Py_BEGIN_ALLOW_THREADS
    core_errorlog_write(log, object, n);
    Py_END_ALLOW_THREADS
  }
  free(object);
  for (int i = 0; i < MOST; i++) Py_XDECREF(held[i]);
  Py_XDECREF(parts);
}

static char *held[3];

/* Stores an exception for core_take_held. Without an exception, text is the traceback. */
static void hold(PyObject *text, PyObject *type, PyObject *value, PyObject *tb) {
  PyObject *parts =
      type ? core_call("fapws._traceback", "parts", "(OOO)", type, value ? value : Py_None, tb ? tb : Py_None)
           : Py_BuildValue("(ssO)", "", "", text);
  for (int i = 0; parts && i < 3; i++) {
    free(held[i]);
    held[i] = core_copy_text(Py_NewRef(PyTuple_GET_ITEM(parts, i)));
  }
  Py_XDECREF(parts);
}

char *core_take_held(int i) {
  char *text = held[i];
  held[i] = NULL;
  return text;
}

/* Passes the first line of an error to the server, which keeps the last ones for its status page. */
static void keep(const core_record *rec, PyObject *text, PyObject *type) {
  enum { MOST = 500 };
  char ids[320] = "";
  identify(ids, rec, "%s %.*s: ");
  PyObject *line = PyUnicode_FromFormat("%s%U: %s", ids, text, ((PyTypeObject *)type)->tp_name), *held = NULL;
  core_bytes one = utf8(line, &held);
  if (one.len > MOST) one.len = MOST;
  if (one.len && !core_forked) core_try_enqueue(CORE_FAILURE, &one, 1);
  Py_XDECREF(held);
  Py_XDECREF(line);
  PyErr_Clear();
}

/* Writes a message to the error log with the number log. If rec is not NULL, the message names the request. If type is
 * not NULL, the message contains the exception (type, value and tb). Steals the reference to text. The parameter text
 * can be NULL, and must not contain the beginning of a log line. An exception and its traceback are in one message so
 * that no other line separates them. Text that a client sent is escaped. The level "fatal" is for an exception that
 * prevents the start: JSON has one object for it, which the server writes later. */
static void say(int log, const core_record *rec, const char *level, PyObject *text, PyObject *type, PyObject *value,
                PyObject *tb) {
  PyErr_Clear();
  int fatal = strcmp(level, "fatal") == 0;
  if (fatal) level = "error";
  if (text && type && !fatal) keep(rec, text, type);
  if (core_look == CORE_OBJECT && fatal) {
    hold(text, type, value, tb);
  } else if (core_look == CORE_OBJECT) {
    say_object(log, rec, level, text, type, value, tb);
  } else {
    PyObject *line = text ? with_stamp(log, rec, level, text) : NULL, *all = NULL;
    if (line && type)
      all = core_call("fapws._traceback", "report", "(OOOO)", line, type, value ? value : Py_None, tb ? tb : Py_None);
    PyErr_Clear();
    if (line && log)
      core_errorlog_say(log, all ? all : line);
    else if (line)
      PySys_FormatStderr("%U", all ? all : line);
    /* PyErr_Print would end the process for SystemExit. */
    if (type && !all) PyErr_Display(type, value, tb);
    Py_XDECREF(all);
    Py_XDECREF(line);
  }
  Py_XDECREF(text);
  PyErr_Clear();
}

void core_report_line(core_record *rec, const char *level, const char *what, const char *detail) {
  say((int)rec->req.log, rec, level, heading(rec, what, "", detail), NULL, NULL, NULL);
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

static PyObject *error_heading(const char *what, const core_record *rec) {
  char text[96], thread[32] = "";
  snprintf(text, sizeof text, "error in %s%sof", what, *what ? " " : "");
  const core_thread *t = core_this_thread;
  if (t) snprintf(thread, sizeof thread, t->index < 0 ? " (asyncio thread)" : " (thread %d)", t->index);
  return rec ? heading(rec, *what ? text : "error in", thread, "") : PyUnicode_FromFormat("error in %s", what);
}

static void report(int log, const char *what, core_record *rec) {
  PyObject *type, *value, *tb;
  core_fetch_exception(&type, &value, &tb);
  if (!type) return;
  if (!core_is_exit_by_signal(value)) say(log, rec, "error", error_heading(what, rec), type, value, tb);
  Py_XDECREF(type);
  Py_XDECREF(value);
  Py_XDECREF(tb);
}

/* Returns the request that the current thread runs, or NULL. Also returns NULL if messages are not written as JSON
 * objects, because messages in other formats do not name the request. */
static const core_record *calling(void) {
  return core_look == CORE_OBJECT && core_this_thread ? core_this_thread->current : NULL;
}

PyObject *core_log_method(PyObject *module, PyObject *args) {
  (void)module;
  const char *level;
  PyObject *text, *type = NULL, *value = NULL, *tb = NULL;
  int log;
  if (!PyArg_ParseTuple(args, "sUi|OOO:log", &level, &text, &log, &type, &value, &tb)) return NULL;
  say(log, calling(), level, Py_NewRef(text), type, value, tb == Py_None ? NULL : tb);
  Py_RETURN_NONE;
}

/* The text that the application writes to wsgi.errors is logged unchanged or, if the log contains JSON objects, as the
 * message of an object. */
PyObject *core_errorlog_method(PyObject *module, PyObject *args) {
  (void)module;
  int log;
  PyObject *text;
  if (!PyArg_ParseTuple(args, "iU:error_lines", &log, &text)) return NULL;
  if (core_look == CORE_OBJECT)
    say(log, calling(), "error", Py_NewRef(text), NULL, NULL, NULL);
  else
    core_errorlog_say(log, text);
  if (PyErr_Occurred()) return NULL;
  Py_RETURN_NONE;
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

/* If module fapws._errors was not imported, no HTTPError exists, so this function need not import the module. */
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
