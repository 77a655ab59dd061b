/* The scope of ASGI 3. The last heads are remembered, as in wsgi_cache.c, because clients repeat them. On the asyncio
 * thread, with the GIL. */
#include "asgi.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum {
  K_TYPE,
  K_ASGI,
  K_HTTP_VERSION,
  K_METHOD,
  K_SCHEME,
  K_PATH,
  K_RAW_PATH,
  K_QUERY,
  K_ROOT,
  K_HEADERS,
  K_CLIENT,
  K_SERVER,
  K_STATE,
  K_EXTENSIONS,
  K_SUBPROTOCOLS,
  K_TRACE_ID,
  K_COUNT
};
static const char *const key_text[K_COUNT] = {
    "type",      "asgi",    "http_version", "method", "scheme", "path",       "raw_path",     "query_string",
    "root_path", "headers", "client",       "server", "state",  "extensions", "subprotocols", "fapws.trace_id"};
static PyObject *key[K_COUNT];
static PyObject *versions[3], *text_http, *text_get, *text_empty, *bytes_empty, *the_asgi, *the_extensions,
    *name_pathsend, *name_trailers;

int asgi_scope_init(void) {
  if (the_asgi) return 0;
  if (core_intern(key, key_text, K_COUNT) < 0) return -1;
  text_get = PyUnicode_InternFromString("GET");
  versions[0] = PyUnicode_InternFromString("1.0");
  versions[1] = PyUnicode_InternFromString("1.1");
  versions[2] = PyUnicode_InternFromString("2");
  text_http = PyUnicode_InternFromString("http");
  text_empty = PyUnicode_InternFromString("");
  bytes_empty = PyBytes_FromStringAndSize(NULL, 0);
  name_pathsend = PyUnicode_InternFromString("http.response.pathsend");
  name_trailers = PyUnicode_InternFromString("http.response.trailers");
  the_extensions = PyDict_New();
  the_asgi = Py_BuildValue("{s:s,s:s}", "version", "3.0", "spec_version", "2.5");
  return versions[0] && versions[1] && versions[2] && text_get && text_http && text_empty && bytes_empty &&
                 name_pathsend && name_trailers && the_extensions && the_asgi
             ? 0
             : -1;
}

static const char *at(const core_record *rec, core_span s) { return rec->data + s.off; }

static PyObject *bytes_of(const core_record *rec, core_span s) { return PyBytes_FromStringAndSize(at(rec, s), s.len); }

/* --- headers ------------------------------------------------------------------ */

/* The last names in lower case, by hash. */
#define NAMES 64
static PyObject *names[NAMES];

static PyObject *lower_name(const char *s, size_t n) {
  char low[64];
  if (n > sizeof low) {
    PyObject *name = PyBytes_FromStringAndSize(s, (Py_ssize_t)n);
    char *out = name ? PyBytes_AS_STRING(name) : NULL;
    for (size_t i = 0; name && i < n; i++)
      if (out[i] >= 'A' && out[i] <= 'Z') out[i] |= 0x20;
    return name;
  }
  unsigned h = (unsigned)n;
  for (size_t i = 0; i < n; i++) {
    low[i] = s[i] >= 'A' && s[i] <= 'Z' ? (char)(s[i] | 0x20) : s[i];
    h = h * 31 + (unsigned char)low[i];
  }
  PyObject **slot = &names[(h ^ (h >> 7)) % NAMES];
  if (!*slot || (size_t)PyBytes_GET_SIZE(*slot) != n || memcmp(PyBytes_AS_STRING(*slot), low, n) != 0) {
    PyObject *name = PyBytes_FromStringAndSize(low, (Py_ssize_t)n);
    if (!name) return NULL;
    Py_XSETREF(*slot, name);
  }
  return Py_NewRef(*slot);
}

/* Adds the field at a position of list, which is given up if that fails. */
static PyObject *with_field(PyObject *list, Py_ssize_t at_index, const char *name, const core_record *rec,
                            core_span value) {
  PyObject *pair =
      list ? Py_BuildValue("(y#y#)", name, (Py_ssize_t)strlen(name), at(rec, value), (Py_ssize_t)value.len) : NULL;
  if (!pair || PyList_Insert(list, at_index, pair) < 0) Py_CLEAR(list);
  Py_XDECREF(pair);
  return list;
}

/* Reports whether applications get a field: as in environ, not Proxy (httpoxy), and none with an underscore in its
 * name, because applications and gateways take it for the one with a hyphen. */
static int is_for_application(const char *name, size_t n) {
  return !memchr(name, '_', n) && (n != 5 || strncasecmp(name, "proxy", 5) != 0);
}

/* A list of (name, value) in the order of the request. Host is the one that the server uses: that of an absolute-form
 * target (RFC 9112 §3.2.2) or of a trusted proxy's request. ASGI has nothing for the user, so frameworks read
 * remote-user, which clients cannot send then (package sites). */
static PyObject *headers_of(const core_record *rec) {
  core_span host = rec->host.len ? rec->host : rec->authority;
  uint32_t n = rec->nfields - rec->traced; /* the last one differs in each request: asgi_scope */
  PyObject *list = PyList_New(n);
  uint32_t kept = 0;
  int has_host = 0;
  for (uint32_t i = 0; list && i < n; i++) {
    core_field f = rec->fields[i];
    if (UNLIKELY(!is_for_application(at(rec, f.name), f.name.len))) continue;
    int is_host = f.name.len == 4 && strncasecmp(at(rec, f.name), "host", 4) == 0;
    has_host |= is_host;
    PyObject *pair = PyTuple_New(2), *name = lower_name(at(rec, f.name), f.name.len);
    PyObject *value = bytes_of(rec, is_host && host.len ? host : f.value);
    if (!pair || !name || !value) {
      Py_XDECREF(pair);
      Py_XDECREF(name);
      Py_XDECREF(value);
      Py_CLEAR(list);
      break;
    }
    PyTuple_SET_ITEM(pair, 0, name);
    PyTuple_SET_ITEM(pair, 1, value);
    PyList_SET_ITEM(list, kept++, pair);
  }
  if (UNLIKELY(list && kept < n) && PyList_SetSlice(list, kept, n, NULL) < 0) Py_CLEAR(list);
  if (host.len && !has_host) list = with_field(list, 0, "host", rec, host);
  if (rec->user.len) list = with_field(list, n, "remote-user", rec, rec->user);
  return list;
}

/* --- addresses ---------------------------------------------------------------- */

/* [host, port] of ASGI; of a unix socket [path, None] for the server, None for the client. */
static PyObject *address(const core_record *rec, core_span host, core_span port, int is_client) {
  if (is_client && !host.len) Py_RETURN_NONE;
  PyObject *name = PyUnicode_DecodeLatin1(at(rec, host), host.len, NULL), *number = Py_None;
  long n = 0;
  for (uint32_t i = 0; i < port.len && i < 6; i++) n = n * 10 + (at(rec, port)[i] - '0');
  if (port.len || is_client)
    number = PyLong_FromLong(n);
  else
    Py_INCREF(number);
  PyObject *pair = name && number ? PyTuple_Pack(2, name, number) : NULL;
  Py_XDECREF(name);
  Py_XDECREF(number);
  return pair;
}

/* --- the line ----------------------------------------------------------------- */

/* The path as the client sent it, or, if the server has rewritten it, percent-encoded. */
static PyObject *raw_path(const core_record *rec) {
  const char *s = at(rec, rec->target);
  size_t n = rec->target.len;
  if (!rec->routed && n && (*s == '/' || rec->authority.len)) {
    if (*s != '/') {
      size_t skip = rec->authority.off + rec->authority.len - rec->target.off;
      s += skip;
      n -= skip;
    }
    const char *mark = memchr(s, '?', n);
    if (mark) n = (size_t)(mark - s);
    return n ? PyBytes_FromStringAndSize(s, (Py_ssize_t)n) : PyBytes_FromStringAndSize("/", 1);
  }
  static const char hex[] = "0123456789ABCDEF";
  PyObject *bytes = PyBytes_FromStringAndSize(NULL, 3 * (Py_ssize_t)rec->path.len);
  if (!bytes) return NULL;
  char *out = PyBytes_AS_STRING(bytes);
  for (uint32_t i = 0; i < rec->path.len; i++) {
    unsigned char c = (unsigned char)at(rec, rec->path)[i];
    if (c > 0x20 && c < 0x7f && !strchr("%?#\"<>", c)) {
      *out++ = (char)c;
    } else {
      *out++ = '%';
      *out++ = hex[c >> 4];
      *out++ = hex[c & 15];
    }
  }
  _PyBytes_Resize(&bytes, out - PyBytes_AS_STRING(bytes));
  return bytes;
}

static int put_line(PyObject *scope, const core_record *rec) {
  const char *path = at(rec, rec->path);
  size_t n = rec->path.len, root = rec->script_len, skip = core_the_pool.mounts[rec->mount].relative ? root : 0;
  if (core_put(scope, key[K_METHOD], wsgi_method(rec)) < 0 ||
      PyDict_SetItem(scope, key[K_HTTP_VERSION], versions[rec->version]) < 0)
    return -1;
  PyObject *text = PyUnicode_DecodeUTF8(path + skip, (Py_ssize_t)(n - skip), "replace");
  if (text && skip && n == skip) Py_SETREF(text, PyUnicode_FromString("/"));
  if (core_put(scope, key[K_PATH], text) < 0 || core_put(scope, key[K_RAW_PATH], raw_path(rec)) < 0) return -1;
  if (root && core_put(scope, key[K_ROOT], PyUnicode_DecodeUTF8(path, (Py_ssize_t)root, "replace")) < 0) return -1;
  return rec->query.len ? core_put(scope, key[K_QUERY], bytes_of(rec, rec->query)) : 0;
}

/* The part of a scope that does not change between requests of a client. */
static PyObject *scope_of_fields(const core_record *rec) {
  PyObject *scope = PyDict_New();
  if (!scope) return NULL;
  if (PyDict_SetItem(scope, key[K_TYPE], text_http) < 0 || PyDict_SetItem(scope, key[K_ASGI], Py_None) < 0 ||
      PyDict_SetItem(scope, key[K_HTTP_VERSION], versions[1]) < 0 ||
      core_put(scope, key[K_SERVER], address(rec, rec->server_name, rec->server_port, 0)) < 0 ||
      PyDict_SetItem(scope, key[K_CLIENT], Py_None) < 0 ||
      core_put(scope, key[K_SCHEME],
               rec->scheme.len ? PyUnicode_DecodeLatin1(at(rec, rec->scheme), rec->scheme.len, NULL)
                               : PyUnicode_FromString("http")) < 0 ||
      PyDict_SetItem(scope, key[K_METHOD], text_get) < 0 || PyDict_SetItem(scope, key[K_ROOT], text_empty) < 0 ||
      PyDict_SetItem(scope, key[K_PATH], text_empty) < 0 || PyDict_SetItem(scope, key[K_RAW_PATH], bytes_empty) < 0 ||
      PyDict_SetItem(scope, key[K_QUERY], bytes_empty) < 0 || PyDict_SetItem(scope, key[K_HEADERS], Py_None) < 0 ||
      PyDict_SetItem(scope, key[K_STATE], Py_None) < 0 || PyDict_SetItem(scope, key[K_EXTENSIONS], Py_None) < 0)
    Py_CLEAR(scope);
  return scope;
}

/* --- the cache ----------------------------------------------------------------- */

#define TEXT 2048 /* maximum size of a head in the cache */

typedef struct {
  char text[TEXT]; /* fields, peer, line */
  size_t fields, peer, line;
  uint32_t mount, script;
  PyObject *headers;    /* list */
  PyObject *of_fields;  /* dict: all but headers and line */
  PyObject *of_request; /* dict: of_fields with the last line */
} cache_slot;
static cache_slot *cache[WSGI_HEAD_SLOTS];

/* The slot for a head with these fields, NULL if it is not for the cache, or with an exception. */
static cache_slot *find_slot(const core_record *rec, size_t line) {
  const char *fields = rec->data + line, *peer = at(rec, rec->addr);
  size_t n = rec->head_len - line - core_trace_len(rec);
  if (rec->head_len + rec->peer_len > TEXT || rec->authority.len || rec->routed) return NULL;
  cache_slot **slot = &cache[wsgi_head_slot(fields, n)], *m = *slot;
  if (!m && !(m = *slot = calloc(1, sizeof *m))) return NULL;
  if (m->of_fields && m->fields == n && m->peer == rec->peer_len && memcmp(m->text, fields, n) == 0 &&
      memcmp(m->text + n, peer, m->peer) == 0)
    return m;
  Py_XSETREF(m->headers, headers_of(rec));
  Py_XSETREF(m->of_fields, m->headers ? scope_of_fields(rec) : NULL);
  Py_CLEAR(m->of_request);
  if (!m->of_fields) return NULL;
  m->fields = n;
  m->peer = rec->peer_len;
  memcpy(m->text, fields, n);
  memcpy(m->text + n, peer, m->peer);
  return m;
}

/* A new scope without the parts that differ in each request, and in *headers a new list. */
static PyObject *plain_scope(const core_record *rec, PyObject **headers) {
  size_t line = rec->target.off + rec->target.len;
  cache_slot *m = find_slot(rec, line);
  PyObject *scope;
  if (UNLIKELY(!m)) {
    if (PyErr_Occurred()) return NULL;
    *headers = headers_of(rec);
    scope = *headers ? scope_of_fields(rec) : NULL;
    if (scope && put_line(scope, rec) < 0) Py_CLEAR(scope);
    return scope;
  }
  *headers = PyList_GetSlice(m->headers, 0, PyList_GET_SIZE(m->headers));
  if (!*headers) return NULL;
  char *text = m->text + m->fields + m->peer;
  if (m->of_request && m->line == line && m->mount == rec->mount && m->script == rec->script_len &&
      memcmp(text, rec->data, line) == 0)
    return PyDict_Copy(m->of_request);
  scope = PyDict_Copy(m->of_fields);
  if (!scope || put_line(scope, rec) < 0) {
    Py_XDECREF(scope);
    return NULL;
  }
  if (m->fields + m->peer + line <= TEXT) {
    memcpy(text, rec->data, line);
    m->line = line;
    m->mount = rec->mount;
    m->script = rec->script_len;
    Py_XSETREF(m->of_request, PyDict_Copy(scope));
    PyErr_Clear();
  }
  return scope;
}

static PyObject *utf8(const core_record *rec, core_span s) {
  return PyUnicode_DecodeUTF8(at(rec, s), s.len, "replace");
}

static int is_named(const core_record *rec, core_span name, const char *begin, int whole) {
  size_t n = strlen(begin);
  return (whole ? name.len == n : name.len > n) && memcmp(at(rec, name), begin, n) == 0;
}

/* The certificates of the client, its name (RFC 4514), and why they are not valid, from the variables of mod_ssl. */
static int client_of(const core_record *rec, PyObject *chain, PyObject **name, PyObject **error) {
  static const char failed[] = "FAILED:";
  const uint32_t n = sizeof failed - 1;
  core_span variable, value;
  for (uint32_t from = 0; wsgi_next_variable(rec, &from, &variable, &value);) {
    if (is_named(rec, variable, "SSL_CLIENT_S_DN", 1)) {
      Py_XSETREF(*name, utf8(rec, value));
      if (!*name) return -1;
    } else if (is_named(rec, variable, "SSL_CLIENT_VERIFY", 1)) {
      if (value.len <= n || memcmp(at(rec, value), failed, n) != 0) continue;
      Py_XSETREF(*error, utf8(rec, (core_span){value.off + n, value.len - n}));
      if (!*error) return -1;
    } else if (is_named(rec, variable, "SSL_CLIENT_CERT", 1) || is_named(rec, variable, "SSL_CLIENT_CERT_CHAIN_", 0)) {
      if (core_append(chain, utf8(rec, value)) < 0) return -1;
    }
  }
  return 0;
}

/* https://asgi.readthedocs.io/en/latest/specs/tls.html */
int asgi_put_tls(PyObject *extensions, const core_record *rec) {
  if (LIKELY(!rec->tls_version)) return 0;
  PyObject *chain = PyList_New(0), *name = Py_NewRef(Py_None), *error = Py_NewRef(Py_None), *dict = NULL;
  if (chain && client_of(rec, chain, &name, &error) == 0)
    dict = Py_BuildValue("{s:z,s:O,s:O,s:O,s:i,s:i}", "server_cert", rec->tls_server, "client_cert_chain", chain,
                         "client_cert_name", name, "client_cert_error", error, "tls_version", (int)rec->tls_version,
                         "cipher_suite", (int)rec->tls_cipher);
  int bad = !dict || PyDict_SetItemString(extensions, "tls", dict) < 0;
  Py_XDECREF(dict);
  Py_XDECREF(error);
  Py_XDECREF(name);
  Py_XDECREF(chain);
  return bad ? -1 : 0;
}

static PyObject *extensions(const core_record *rec) {
  PyObject *dict = PyDict_New(), *pathsend = dict ? PyDict_New() : NULL;
  if (!pathsend || PyDict_SetItem(dict, name_pathsend, pathsend) < 0 || asgi_put_tls(dict, rec) < 0 ||
      (rec->trailers && core_put(dict, name_trailers, PyDict_New()) < 0))
    Py_CLEAR(dict);
  Py_XDECREF(pathsend);
  return dict;
}

static int put_trace(PyObject *scope, PyObject *headers, const core_record *rec) {
  if (LIKELY(!rec->traced)) return 0;
  core_field f = rec->fields[rec->nfields - 1];
  core_span id = core_trace_id(rec);
  PyObject *pair =
      Py_BuildValue("(y#y#)", at(rec, f.name), (Py_ssize_t)f.name.len, at(rec, f.value), (Py_ssize_t)f.value.len);
  return core_append(headers, pair) < 0 ||
         core_put(scope, key[K_TRACE_ID], PyUnicode_DecodeLatin1(at(rec, id), id.len, NULL)) < 0;
}

PyObject *asgi_scope(core_record *rec) {
  PyObject *headers = NULL, *scope = plain_scope(rec, &headers);
  if (scope && put_trace(scope, headers, rec)) Py_CLEAR(scope);
  if (UNLIKELY(!scope)) {
    Py_XDECREF(headers);
    return NULL;
  }
  PyObject *state = core_the_pool.mounts[rec->mount].state;
  /* The application may change these: each request gets copies. */
  if (core_put(scope, key[K_HEADERS], headers) < 0 || core_put(scope, key[K_ASGI], PyDict_Copy(the_asgi)) < 0 ||
      core_put(scope, key[K_EXTENSIONS], extensions(rec)) < 0 ||
      core_put(scope, key[K_STATE], state ? PyDict_Copy(state) : PyDict_New()) < 0 ||
      core_put(scope, key[K_CLIENT], address(rec, rec->addr, rec->port, 1)) < 0)
    Py_CLEAR(scope);
  return scope;
}
