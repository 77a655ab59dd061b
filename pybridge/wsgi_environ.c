/* Makes environ (PEP 3333, RFC 3875), in most cases by copying a dict.
 *
 * Strings are latin-1 (PEP 3333, "Unicode Issues"). The field Proxy is dropped (httpoxy). A field with an underscore in
 * its name is dropped as well, because applications would confuse it with the field that has a hyphen instead. */
#include "wsgi.h"

#include <string.h>

/* The keys up to K_INPUT are in every environ, and in the dict from which it is copied (make_template); the keys after
 * K_INPUT are only in some environs. */
#define KEY_TEXTS(X)                                                                                                   \
  X(K_METHOD, "REQUEST_METHOD")                                                                                        \
  X(K_SCRIPT, "SCRIPT_NAME")                                                                                           \
  X(K_PATH, "PATH_INFO")                                                                                               \
  X(K_QUERY, "QUERY_STRING")                                                                                           \
  X(K_SERVER_NAME, "SERVER_NAME")                                                                                      \
  X(K_SERVER_PORT, "SERVER_PORT")                                                                                      \
  X(K_PROTOCOL, "SERVER_PROTOCOL")                                                                                     \
  X(K_ADDR, "REMOTE_ADDR")                                                                                             \
  X(K_PORT, "REMOTE_PORT")                                                                                             \
  X(K_RAW_URI, "RAW_URI")                                                                                              \
  X(K_REQUEST_URI, "REQUEST_URI")                                                                                      \
  X(K_INPUT, "wsgi.input")                                                                                             \
  X(K_LENGTH, "CONTENT_LENGTH")                                                                                        \
  X(K_TYPE, "CONTENT_TYPE")                                                                                            \
  X(K_SCHEME, "wsgi.url_scheme")                                                                                       \
  X(K_HTTPS, "HTTPS")                                                                                                  \
  X(K_USER, "REMOTE_USER")                                                                                             \
  X(K_AUTH, "AUTH_TYPE")                                                                                               \
  X(K_ERRORS, "wsgi.errors")                                                                                           \
  X(K_X_REQUEST_ID, "HTTP_X_REQUEST_ID")                                                                               \
  X(K_REQUEST_ID, "fapws.request_id")                                                                                  \
  X(K_TRACEPARENT, "HTTP_TRACEPARENT")                                                                                 \
  X(K_TRACE_ID, "fapws.trace_id")                                                                                      \
  X(K_DISCONNECTED, "fapws.disconnected")                                                                              \
  X(K_CLIENT_DISCONNECTED, "waitress.client_disconnected")
enum { KEY_TEXTS(CORE_NAME) KEYS };
static const char *const key_text[KEYS] = {KEY_TEXTS(CORE_TEXT)};
static PyObject *key[KEYS], *key_host;

enum {
  T_EMPTY,
  T_ON,
  T_BASIC,
  T_FORM,
  T_HTTP10,
  T_HTTP11,
  T_HTTP2,
  T_METHODS,
  METHODS = 8,
  T_COUNT = T_METHODS + METHODS
};
static const char *const texts[T_COUNT] = {"",     "on",   "Basic", "form",   "HTTP/1.0", "HTTP/1.1", "HTTP/2.0", "GET",
                                           "POST", "HEAD", "PUT",   "DELETE", "OPTIONS",  "PATCH",    "TRACE"};
static PyObject *text[T_COUNT];

enum { SMALL, LARGE, TEMPLATES };
static const Py_ssize_t room_of[TEMPLATES] = {[LARGE] = 42};
static CORE_PER_THREAD PyObject *templates[TEMPLATES];
static CORE_PER_THREAD core_cached_head *heads[CORE_HEAD_SLOTS];

/* Later versions of Python do not declare the following function, but all versions contain the function. */
extern PyObject *_PyDict_NewPresized(Py_ssize_t) __attribute__((weak));

static struct {
  int multithread, multiprocess;
  PyObject *software, *errors;
} constants;

static PyObject *make_template(Py_ssize_t room) {
  PyObject *input = wsgi_input_new(NULL);
  PyObject *d = _PyDict_NewPresized && room ? _PyDict_NewPresized(room) : PyDict_New();
  for (int i = 0; d && i <= K_INPUT; i++)
    if (!input || PyDict_SetItem(d, key[i], i == K_INPUT ? input : text[T_EMPTY]) < 0) Py_CLEAR(d);
  Py_XDECREF(input);
  struct {
    const char *key;
    PyObject *value;
  } constant[] = {
      {"wsgi.version", Py_BuildValue("(ii)", 1, 0)},
      {"wsgi.url_scheme", PyUnicode_InternFromString("http")},
      {"wsgi.errors", Py_NewRef(constants.errors)},
      {"wsgi.multithread", PyBool_FromLong(constants.multithread)},
      {"wsgi.multiprocess", PyBool_FromLong(constants.multiprocess)},
      {"wsgi.run_once", PyBool_FromLong(0)},
      {"wsgi.input_terminated", PyBool_FromLong(1)},
      {"fapws.disconnected", Py_NewRef(Py_None)},
      {"waitress.client_disconnected", Py_NewRef(Py_None)},
      {"wsgi.early_hints", PyCFunction_New(&wsgi_early_hints_method, NULL)},
      {"wsgi.file_wrapper", Py_NewRef((PyObject *)wsgi_file_wrapper)},
      {"SERVER_SOFTWARE", Py_NewRef(constants.software)},
  };
  for (size_t i = 0; i < sizeof constant / sizeof *constant; i++) {
    PyObject *k = d ? PyUnicode_InternFromString(constant[i].key) : NULL;
    if (!k || !constant[i].value || PyDict_SetItem(d, k, constant[i].value) < 0) Py_CLEAR(d);
    Py_XDECREF(k);
    Py_XDECREF(constant[i].value);
  }
  return d;
}

/* Whether the current thread has caches. In a free-threaded Python, threads of the application have none, because
 * nothing would free them. */
static int has_caches(void) { return !CORE_PARALLEL || core_this_thread; }

static PyObject *from_template(int which) {
  if (UNLIKELY(!has_caches())) return make_template(room_of[which]);
  if (UNLIKELY(!templates[which] && !(templates[which] = make_template(room_of[which])))) return NULL;
  return PyDict_Copy(templates[which]);
}

int wsgi_environ_init(const core_options *o) {
  if (core_intern(key, key_text, KEYS) < 0 || core_intern(text, texts, T_COUNT) < 0 || wsgi_field_names_init() < 0 ||
      wsgi_file_init() < 0)
    return -1;
  key_host = wsgi_find_field("Host", strlen("Host"))->key;
  constants.multithread = o->threads > 1;
  constants.multiprocess = o->multiprocess;
  PyObject *errors = PySys_GetObject("stderr"); /* borrowed */
  constants.errors = core_look == CORE_OBJECT ? core_call("fapws._errorlog", "ErrorLog", "(i)", 0)
                                              : Py_NewRef(errors ? errors : Py_None);
  if (!constants.errors) return -1;
  constants.software = PyUnicode_InternFromString(o->software ? o->software : "fapws");
  return constants.software && (templates[SMALL] = make_template(room_of[SMALL])) &&
                 (templates[LARGE] = make_template(room_of[LARGE]))
             ? 0
             : -1;
}

static PyObject *latin1(const char *s, size_t n) {
  if (n == 0) return Py_NewRef(text[T_EMPTY]);
  return PyUnicode_DecodeLatin1(s, (Py_ssize_t)n, NULL);
}

static PyObject *span_text(const core_record *rec, core_span s) { return latin1(rec->req.data + s.off, s.len); }

PyObject *wsgi_method(const core_record *rec) {
  for (int i = 0; i < METHODS; i++) {
    PyObject *m = text[T_METHODS + i];
    if ((size_t)PyUnicode_GET_LENGTH(m) == rec->req.method.len &&
        memcmp(PyUnicode_1BYTE_DATA(m), rec->req.data + rec->req.method.off, rec->req.method.len) == 0) {
      return Py_NewRef(m);
    }
  }
  return span_text(rec, rec->req.method);
}

/* Adds a field to env, and joins the values of repeated fields with a comma (RFC 9110 §5.3), but the values of Cookie
 * with a semicolon (RFC 6265 §5.4). */
static int put_field(PyObject *env, PyObject *k, PyObject *value, int semicolon) {
  PyObject *old = PyDict_GetItem(env, k);
  if (LIKELY(!old)) return core_put(env, k, value);
  if (!value) return -1;
  PyObject *joined = PyUnicode_FromFormat(semicolon ? "%U; %U" : "%U,%U", old, value);
  Py_DECREF(value);
  return core_put(env, k, joined);
}

static int put_fields(PyObject *env, const core_record *rec) {
  const char *data = rec->req.data;
  for (uint32_t i = 0; i < rec->req.nfields - rec->req.own; i++) {
    core_field f = rec->req.fields[i];
    const char *name = data + f.name.off;
    const wsgi_known_field *known = wsgi_find_field(name, f.name.len);
    if (LIKELY(known != NULL)) {
      if (known->role == WSGI_FIELD_DROP) continue;
      PyObject *k = known->role == WSGI_FIELD_TYPE ? key[K_TYPE] : known->key;
      if (put_field(env, k, span_text(rec, f.value), known->joined_by_semicolon) < 0) return -1;
      continue;
    }
    if (memchr(name, '_', f.name.len)) continue;
    PyObject *k = wsgi_field_key(name, f.name.len);
    if (!k) return -1;
    int bad = put_field(env, k, span_text(rec, f.value), 0);
    Py_DECREF(k);
    if (bad) return -1;
  }
  /* The authority in an absolute-form target replaces the field Host (RFC 9112 §3.2.2). */
  if (rec->req.authority.len && core_put(env, key_host, span_text(rec, rec->req.authority)) < 0) return -1;
  return rec->req.has_length ? core_put(env, key[K_LENGTH], PyUnicode_FromFormat("%lld", (long long)rec->req.size)) : 0;
}

static int put_target(PyObject *env, const core_record *rec) {
  const char *path = rec->req.data + rec->req.path.off;
  size_t script = rec->req.script_len, info = rec->req.path.len - script;
  PyObject *path_info = latin1(path + script, info);
  if (!path_info) return -1;
  /* In most requests the target is equal to the path, so one str object is the value of three keys. */
  int same = script == 0 && rec->req.target.len == info && memcmp(rec->req.data + rec->req.target.off, path, info) == 0;
  PyObject *raw = same ? path_info : span_text(rec, rec->req.target);
  if (!raw) {
    Py_DECREF(path_info);
    return -1;
  }
  int bad = PyDict_SetItem(env, key[K_PATH], path_info) < 0 || PyDict_SetItem(env, key[K_RAW_URI], raw) < 0 ||
            PyDict_SetItem(env, key[K_REQUEST_URI], raw) < 0;
  if (!same) Py_DECREF(raw);
  Py_DECREF(path_info);
  if (bad) return -1;
  if (script && core_put(env, key[K_SCRIPT], latin1(path, script)) < 0) return -1;
  return rec->req.query.len ? core_put(env, key[K_QUERY], span_text(rec, rec->req.query)) : 0;
}

int wsgi_next_variable(const core_record *rec, uint32_t *at, core_span *name, core_span *value) {
  const char *s = rec->req.data + rec->req.tls.off + *at;
  size_t left = rec->req.tls.len - *at;
  const char *end = memchr(s, 0, left), *equals = end ? memchr(s, '=', (size_t)(end - s)) : NULL;
  if (!equals) return 0;
  *name = (core_span){(uint32_t)(s - rec->req.data), (uint32_t)(equals - s)};
  *value = (core_span){(uint32_t)(equals + 1 - rec->req.data), (uint32_t)(end - equals - 1)};
  *at += (uint32_t)(end + 1 - s);
  return 1;
}

static int put_variables(PyObject *env, const core_record *rec) {
  core_span name, value;
  for (uint32_t at = 0; wsgi_next_variable(rec, &at, &name, &value);) {
    PyObject *k = span_text(rec, name);
    int bad = !k || core_put(env, k, span_text(rec, value)) < 0;
    Py_XDECREF(k);
    if (bad) return -1;
  }
  return 0;
}

/* Adds the authenticated user (RFC 3875 §4.1.1, §4.1.11), and the scheme and the host with which a trusted proxy has
 * received the request. The variable HTTPS is not in RFC 3875, but all servers set it, and libraries use it. */
static int put_outside(PyObject *env, const core_record *rec) {
  if (rec->req.host.len && core_put(env, key_host, span_text(rec, rec->req.host)) < 0) return -1;
  if (rec->req.user.len && (core_put(env, key[K_USER], span_text(rec, rec->req.user)) < 0 ||
                            PyDict_SetItem(env, key[K_AUTH], text[rec->req.by_form ? T_FORM : T_BASIC]) < 0))
    return -1;
  if (!rec->req.scheme.len) return 0;
  if (core_put(env, key[K_SCHEME], span_text(rec, rec->req.scheme)) < 0) return -1;
  if (rec->req.scheme.len == strlen("https") && PyDict_SetItem(env, key[K_HTTPS], text[T_ON]) < 0) return -1;
  return put_variables(env, rec);
}

static int put_errors(PyObject *env, const core_record *rec) {
  PyObject *stream = core_errorlog_stream((int)rec->req.log);
  return stream ? PyDict_SetItem(env, key[K_ERRORS], stream) : 0;
}

/* Returns an environ without the values of the request line, and without the values that differ in each request. */
static PyObject *of_fields(core_record *rec) {
  PyObject *env = from_template(rec->req.nfields > 2 ? LARGE : SMALL);
  if (env && (core_put(env, key[K_SERVER_NAME], span_text(rec, rec->req.server_name)) < 0 ||
              core_put(env, key[K_SERVER_PORT], span_text(rec, rec->req.server_port)) < 0 ||
              core_put(env, key[K_ADDR], span_text(rec, rec->req.addr)) < 0 || put_fields(env, rec) < 0 ||
              put_outside(env, rec) < 0 || (rec->req.log && put_errors(env, rec) < 0)))
    Py_CLEAR(env);
  return env;
}

static int put_line(PyObject *env, const core_record *rec) {
  if (core_put(env, key[K_METHOD], wsgi_method(rec)) < 0 || put_target(env, rec) < 0) return -1;
  return PyDict_SetItem(env, key[K_PROTOCOL], text[T_HTTP10 + rec->req.version]);
}

static PyObject *ascii(const core_record *rec, core_span s) {
  PyObject *text = PyUnicode_New((Py_ssize_t)s.len, 127);
  if (text) memcpy(PyUnicode_1BYTE_DATA(text), rec->req.data + s.off, s.len);
  return text;
}

static int put_identity(PyObject *env, const core_record *rec) {
  for (uint32_t i = rec->req.nfields - rec->req.own; UNLIKELY(i < rec->req.nfields); i++) {
    core_field f = rec->req.fields[i];
    int trace = core_is_trace(rec, f);
    if (core_put(env, key[trace ? K_TRACEPARENT : K_X_REQUEST_ID], ascii(rec, f.value)) < 0 ||
        core_put(env, key[trace ? K_TRACE_ID : K_REQUEST_ID], ascii(rec, core_id_in(rec, f))) < 0)
      return -1;
  }
  return 0;
}

int wsgi_put_request_id(PyObject *env, const core_record *rec) {
  char id[CORE_SHORT_ID];
  core_bytes request = core_name_request(rec, id);
  return core_put(env, key[K_REQUEST_ID], PyUnicode_DecodeLatin1(request.text, request.len, NULL));
}

/* --- fapws.disconnected ------------------------------------------------------
 *
 * The function fapws.disconnected of a request, which any thread can call, even after the response was sent. */

typedef struct {
  PyObject_HEAD core_record *rec; /* borrowed; NULL after the end of the response */
  int left;                       /* result of the function after the end of the response */
} disconnected;

/* The object of an ended request, which the next request reuses, because applications seldom keep the object. */
static CORE_PER_THREAD disconnected *spare;

static int has_left(core_record *rec) {
  return core_is_cancelled(rec) || __atomic_load_n(&rec->closing, __ATOMIC_RELAXED);
}

static PyObject *disconnected_call(PyObject *self, PyObject *args, PyObject *kw) {
  const disconnected *d = (disconnected *)self;
  if (PyTuple_GET_SIZE(args) || (kw && PyDict_GET_SIZE(kw)))
    return PyErr_Format(PyExc_TypeError, "disconnected() takes no arguments");
  core_record *rec = __atomic_load_n(&d->rec, __ATOMIC_ACQUIRE);
  int left = rec && has_left(rec);
  /* In a free-threaded Python, rec can be reused while has_left runs, so d->rec is checked again. */
  return PyBool_FromLong(rec && __atomic_load_n(&d->rec, __ATOMIC_ACQUIRE) ? left : d->left);
}

PyTypeObject wsgi_Disconnected_Type = {
    PyVarObject_HEAD_INIT(NULL, 0).tp_name = "_fapws.Disconnected",
    .tp_basicsize = sizeof(disconnected),
    .tp_dealloc = (destructor)PyObject_Free,
    .tp_call = disconnected_call,
    .tp_flags = Py_TPFLAGS_DEFAULT,
    .tp_doc = "disconnected() -> bool: whether the client has disconnected before it had the whole response.",
};

static int put_disconnected(PyObject *env, core_record *rec) {
  disconnected *d = rec->run.disconnected;
  if (!d) {
    if (has_caches()) d = spare, spare = NULL;
    if (!d && !(d = PyObject_New(disconnected, &wsgi_Disconnected_Type))) return -1;
    d->rec = rec;
    rec->run.disconnected = d;
  }
  return PyDict_SetItem(env, key[K_DISCONNECTED], (PyObject *)d) < 0 ||
                 PyDict_SetItem(env, key[K_CLIENT_DISCONNECTED], (PyObject *)d) < 0
             ? -1
             : 0;
}

void wsgi_detach_disconnected(core_record *rec) {
  disconnected *d = rec->run.disconnected;
  if (!d) return;
  rec->run.disconnected = NULL;
  d->left = has_left(rec);
  __atomic_store_n(&d->rec, NULL, __ATOMIC_RELEASE);
  if (core_is_only_reference(d) && has_caches() && !spare)
    spare = d;
  else
    Py_DECREF(d);
}

PyObject *wsgi_environ(core_record *rec, PyObject *cls, PyObject *input) {
  PyObject *env = core_dict_of_head(rec->req.chunked || !has_caches() ? NULL : heads, rec, of_fields, put_line);
  if (!env) return NULL;
  int bad = core_put(env, key[K_PORT], span_text(rec, rec->req.port)) < 0 || put_identity(env, rec) ||
            put_disconnected(env, rec) < 0 || (input && PyDict_SetItem(env, key[K_INPUT], input) < 0);
  if (!bad && cls) {
    PyObject *own = PyObject_CallNoArgs(cls);
    bad = !own || PyDict_Update(own, env) < 0;
    Py_DECREF(env);
    env = own;
  }
  if (bad) Py_CLEAR(env);
  return env;
}

void wsgi_forget_caches(void) {
  for (int i = 0; i < TEMPLATES; i++) Py_CLEAR(templates[i]);
  Py_CLEAR(spare);
  core_forget_heads(heads);
  core_forget_lines();
}
