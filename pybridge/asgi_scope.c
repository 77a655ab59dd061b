/* The scope of ASGI 3. The dicts made from recent request heads are cached, as in wsgi_cache.c, because clients often
 * send the same head again. */
#include "asgi.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* The texts up to K_EXTENSIONS are the keys of every scope, in their order. */
#define TEXTS(X)                                                                                                       \
  X(K_TYPE, "type")                                                                                                    \
  X(K_ASGI, "asgi")                                                                                                    \
  X(K_HTTP_VERSION, "http_version")                                                                                    \
  X(K_SERVER, "server")                                                                                                \
  X(K_CLIENT, "client")                                                                                                \
  X(K_SCHEME, "scheme")                                                                                                \
  X(K_METHOD, "method")                                                                                                \
  X(K_ROOT, "root_path")                                                                                               \
  X(K_PATH, "path")                                                                                                    \
  X(K_RAW_PATH, "raw_path")                                                                                            \
  X(K_QUERY, "query_string")                                                                                           \
  X(K_HEADERS, "headers")                                                                                              \
  X(K_STATE, "state")                                                                                                  \
  X(K_EXTENSIONS, "extensions")                                                                                        \
  X(K_REQUEST_ID, "fapws.request_id")                                                                                  \
  X(K_TRACE_ID, "fapws.trace_id")                                                                                      \
  X(T_HTTP10, "1.0")                                                                                                   \
  X(T_HTTP11, "1.1")                                                                                                   \
  X(T_HTTP2, "2")                                                                                                      \
  X(T_HTTP, "http")                                                                                                    \
  X(T_EMPTY, "")                                                                                                       \
  X(T_PATHSEND, "http.response.pathsend")                                                                              \
  X(T_TRAILERS, "http.response.trailers")                                                                              \
  X(T_EARLY_HINT, "http.response.early_hint")
enum { TEXTS(CORE_NAME) T_COUNT };
static const char *const texts[T_COUNT] = {TEXTS(CORE_TEXT)};
static PyObject *text[T_COUNT], *the_asgi;
static PyObject *the_scope; /* template of a scope: each key has its most common value, or None */

int asgi_scope_init(void) {
  if (the_scope) return 0;
  PyObject *scope = PyDict_New();
  if (!scope || core_intern(text, texts, T_COUNT) < 0) return -1;
  for (int i = 0; i <= K_EXTENSIONS; i++)
    if (PyDict_SetItem(scope, text[i], Py_None) < 0) return -1;
  if (PyDict_SetItem(scope, text[K_TYPE], text[T_HTTP]) < 0 || PyDict_SetItem(scope, text[K_ROOT], text[T_EMPTY]) < 0 ||
      core_put(scope, text[K_QUERY], PyBytes_FromStringAndSize(NULL, 0)) < 0)
    return -1;
  /* The scope contains the version 2.3 of ASGI for HTTP, because with version 2.4 or later, frameworks such as
   * Starlette do not wait for http.disconnect, but expect that send() raises OSError. An application that waits for an
   * event, and does not call send(), would then continue after its client has disconnected. */
  the_asgi = Py_BuildValue("{s:s,s:s}", "version", "3.0", "spec_version", "2.3");
  if (the_asgi) the_scope = scope;
  return the_asgi ? 0 : -1;
}

static const char *at(const core_record *rec, core_span s) { return rec->req.data + s.off; }

static PyObject *bytes_of(const core_record *rec, core_span s) { return PyBytes_FromStringAndSize(at(rec, s), s.len); }

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

/* Inserts the pair (name, value) into list and returns list. On failure, releases list and returns NULL. */
static PyObject *with_field(PyObject *list, Py_ssize_t at_index, const char *name, const core_record *rec,
                            core_span value) {
  PyObject *pair =
      list ? Py_BuildValue("(y#y#)", name, (Py_ssize_t)strlen(name), at(rec, value), (Py_ssize_t)value.len) : NULL;
  if (!pair || PyList_Insert(list, at_index, pair) < 0) Py_CLEAR(list);
  Py_XDECREF(pair);
  return list;
}

/* Reports whether applications receive a field. As in environ, applications receive neither the field Proxy (httpoxy),
 * nor a field with an underscore in its name, because it could be confused with the field that has a hyphen instead. */
static int is_for_application(const char *name, size_t n) {
  return !memchr(name, '_', n) && (n != 5 || strncasecmp(name, "proxy", 5) != 0);
}

/* Returns a list of the pairs (name, value), in the order of the request. The value of host is the host that the server
 * uses, which can come from an absolute-form target (RFC 9112 §3.2.2) or from a trusted proxy. ASGI has no key for the
 * name of an authenticated user, so the server sets the field remote-user, which frameworks read. If a client sends
 * this field, the application does not receive the client's value (package exchange). */
static PyObject *headers_of(const core_record *rec) {
  core_span host = rec->req.host.len ? rec->req.host : rec->req.authority;
  uint32_t n = rec->req.nfields - rec->req.own;
  PyObject *list = PyList_New(n);
  uint32_t kept = 0;
  int has_host = 0;
  for (uint32_t i = 0; list && i < n; i++) {
    core_field f = rec->req.fields[i];
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
  if (rec->req.user.len) list = with_field(list, n, "remote-user", rec, rec->req.user);
  return list;
}

static PyObject *address(const core_record *rec, core_span host, core_span port) {
  if (!host.len) Py_RETURN_NONE;
  PyObject *name = PyUnicode_DecodeLatin1(at(rec, host), host.len, NULL), *number = NULL, *pair = NULL;
  long n = 0;
  for (uint32_t i = 0; i < port.len && i < 6; i++) n = n * 10 + (at(rec, port)[i] - '0');
  if (name && (number = PyLong_FromLong(n))) pair = PyTuple_Pack(2, name, number);
  Py_XDECREF(name);
  Py_XDECREF(number);
  return pair;
}

static PyObject *server(const core_record *rec) {
  core_span path = rec->req.socket_path;
  if (LIKELY(!path.len)) return address(rec, rec->req.server_name, rec->req.server_port);
  PyObject *name = PyUnicode_DecodeFSDefaultAndSize(at(rec, path), path.len);
  PyObject *pair = name ? PyTuple_Pack(2, name, Py_None) : NULL;
  Py_XDECREF(name);
  return pair;
}

static PyObject *raw_path(const core_record *rec) {
  const char *s = at(rec, rec->req.target);
  size_t n = rec->req.target.len;
  if (!rec->req.routed && n && (*s == '/' || rec->req.authority.len)) {
    if (*s != '/') {
      size_t skip = rec->req.authority.off + rec->req.authority.len - rec->req.target.off;
      s += skip;
      n -= skip;
    }
    const char *mark = memchr(s, '?', n);
    if (mark) n = (size_t)(mark - s);
    return n ? PyBytes_FromStringAndSize(s, (Py_ssize_t)n) : PyBytes_FromStringAndSize("/", 1);
  }
  static const char hex[] = "0123456789ABCDEF";
  PyObject *bytes = PyBytes_FromStringAndSize(NULL, 3 * (Py_ssize_t)rec->req.path.len);
  if (!bytes) return NULL;
  char *out = PyBytes_AS_STRING(bytes);
  for (uint32_t i = 0; i < rec->req.path.len; i++) {
    unsigned char c = (unsigned char)at(rec, rec->req.path)[i];
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
  const char *path = at(rec, rec->req.path);
  size_t n = rec->req.path.len, root = rec->req.script_len, skip = core_mount_of(rec)->relative ? root : 0;
  if (core_put(scope, text[K_METHOD], wsgi_method(rec)) < 0 ||
      PyDict_SetItem(scope, text[K_HTTP_VERSION], text[T_HTTP10 + rec->req.version]) < 0)
    return -1;
  PyObject *below = PyUnicode_DecodeUTF8(path + skip, (Py_ssize_t)(n - skip), "replace");
  if (below && skip && n == skip) Py_SETREF(below, PyUnicode_FromString("/"));
  if (core_put(scope, text[K_PATH], below) < 0 || core_put(scope, text[K_RAW_PATH], raw_path(rec)) < 0) return -1;
  if (root && core_put(scope, text[K_ROOT], PyUnicode_DecodeUTF8(path, (Py_ssize_t)root, "replace")) < 0) return -1;
  return rec->req.query.len ? core_put(scope, text[K_QUERY], bytes_of(rec, rec->req.query)) : 0;
}

static PyObject *scope_of_fields(core_record *rec) {
  PyObject *scope = PyDict_Copy(the_scope);
  if (scope &&
      (core_put(scope, text[K_SERVER], server(rec)) < 0 ||
       core_put(scope, text[K_SCHEME],
                rec->req.scheme.len ? PyUnicode_DecodeLatin1(at(rec, rec->req.scheme), rec->req.scheme.len, NULL)
                                    : Py_NewRef(text[T_HTTP])) < 0 ||
       core_put(scope, text[K_HEADERS], headers_of(rec)) < 0))
    Py_CLEAR(scope);
  return scope;
}

static PyObject *utf8(const core_record *rec, core_span s) {
  return PyUnicode_DecodeUTF8(at(rec, s), s.len, "replace");
}

static int is_named(const core_record *rec, core_span name, const char *begin, int whole) {
  size_t n = strlen(begin);
  return (whole ? name.len == n : name.len > n) && memcmp(at(rec, name), begin, n) == 0;
}

/* Reads the variables that describe the TLS connection, with the names that mod_ssl uses. Appends the client's
 * certificates to chain. Sets *name to the subject of the certificate (RFC 4514), and *error to the reason why the
 * certificate is invalid. */
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
  if (LIKELY(!rec->req.tls_version)) return 0;
  PyObject *chain = PyList_New(0), *name = Py_NewRef(Py_None), *error = Py_NewRef(Py_None), *dict = NULL;
  if (chain && client_of(rec, chain, &name, &error) == 0)
    dict = Py_BuildValue(
        "{s:z#,s:O,s:O,s:O,s:i,s:i}", "server_cert", rec->req.tls_server.len ? at(rec, rec->req.tls_server) : NULL,
        (Py_ssize_t)rec->req.tls_server.len, "client_cert_chain", chain, "client_cert_name", name, "client_cert_error",
        error, "tls_version", (int)rec->req.tls_version, "cipher_suite", (int)rec->req.tls_cipher);
  int bad = !dict || PyDict_SetItemString(extensions, "tls", dict) < 0;
  Py_XDECREF(dict);
  Py_XDECREF(error);
  Py_XDECREF(name);
  Py_XDECREF(chain);
  return bad ? -1 : 0;
}

static PyObject *extensions(const core_record *rec) {
  PyObject *dict = PyDict_New();
  if (dict && (core_put(dict, text[T_PATHSEND], PyDict_New()) < 0 || asgi_put_tls(dict, rec) < 0 ||
               (rec->req.trailers && core_put(dict, text[T_TRAILERS], PyDict_New()) < 0) ||
               (rec->req.hints && core_put(dict, text[T_EARLY_HINT], PyDict_New()) < 0)))
    Py_CLEAR(dict);
  return dict;
}

static int put_identity(PyObject *scope, PyObject *headers, const core_record *rec) {
  for (uint32_t i = rec->req.nfields - rec->req.own; UNLIKELY(i < rec->req.nfields); i++) {
    core_field f = rec->req.fields[i];
    core_span id = core_id_in(rec, f);
    PyObject *pair =
        Py_BuildValue("(y#y#)", at(rec, f.name), (Py_ssize_t)f.name.len, at(rec, f.value), (Py_ssize_t)f.value.len);
    if (core_append(headers, pair) < 0 || core_put(scope, text[core_is_trace(rec, f) ? K_TRACE_ID : K_REQUEST_ID],
                                                   PyUnicode_DecodeLatin1(at(rec, id), id.len, NULL)) < 0)
      return -1;
  }
  return 0;
}

PyObject *asgi_scope(core_record *rec) {
  static core_cached_head *heads[CORE_HEAD_SLOTS];
  PyObject *scope = core_dict_of_head(rec->req.routed ? NULL : heads, rec, scope_of_fields, put_line);
  if (UNLIKELY(!scope)) return NULL;
  PyObject *shared = PyDict_GetItem(scope, text[K_HEADERS]);
  PyObject *headers = PyList_GetSlice(shared, 0, PyList_GET_SIZE(shared));
  PyObject *state = core_mount_of(rec)->state;
  /* The application can change these values, so each request gets copies. */
  if ((headers && put_identity(scope, headers, rec)) || core_put(scope, text[K_HEADERS], headers) < 0 ||
      core_put(scope, text[K_ASGI], PyDict_Copy(the_asgi)) < 0 ||
      core_put(scope, text[K_EXTENSIONS], extensions(rec)) < 0 ||
      core_put(scope, text[K_STATE], state ? PyDict_Copy(state) : PyDict_New()) < 0 ||
      core_put(scope, text[K_CLIENT], address(rec, rec->req.addr, rec->req.port)) < 0)
    Py_CLEAR(scope);
  return scope;
}
