/* The last heads, as environs. On the thread that runs the record, with the GIL.
 *
 * A client on a kept-alive connection repeats the same fields, and often the same request line. A slot has the last
 * fields with its hash, their dict, and, once a request line was repeated, the dict of the whole request. A hit costs a
 * comparison and a dict copy. Values are immutable, so requests may share them. */
#include "wsgi.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define CACHE_TEXT 2048 /* maximum size of a head in the cache */

typedef struct {
  char text[CACHE_TEXT]; /* line, fields, peer: in this order */
  size_t line, fields, peer;
  uint32_t mount, script, log;
  uint8_t same_line;    /* text has the line of the last request */
  PyObject *of_fields;  /* template with fields and peer */
  PyObject *of_request; /* of_fields with method, path, query; NULL until asked for twice */
} cache_slot;
static CORE_PER_THREAD cache_slot *cache[WSGI_HEAD_SLOTS];

unsigned wsgi_head_slot(const char *fields, size_t n) {
  uint64_t a = 0, b = 0;
  if (n >= 24) {
    memcpy(&a, fields + n / 2 - 4, 8);
    memcpy(&b, fields + n - 12, 8);
  }
  return (unsigned)(((a ^ (b << 7) ^ n) * 0x9e3779b97f4a7c15ull) >> 60);
}

/* The slot for a head with these fields, NULL if it is not for the cache: an absolute-form target sets HTTP_HOST, and a
 * chunked body CONTENT_LENGTH. */
static cache_slot *find_slot(core_record *rec, size_t line) {
  const char *fields = rec->data + line;
  size_t nfields = rec->head_len - line - core_trace_len(rec);
  if (rec->head_len + rec->peer_len > CACHE_TEXT || rec->authority.len || rec->chunked || !wsgi_has_caches())
    return NULL;
  cache_slot **at = &cache[wsgi_head_slot(fields, nfields)], *s = *at;
  const char *peer = rec->data + rec->addr.off;
  if (!s && !(s = *at = calloc(1, sizeof *s))) return NULL;
  if (s->of_fields && s->fields == nfields && s->peer == rec->peer_len && s->log == rec->log &&
      memcmp(s->text + s->line, fields, nfields) == 0 && memcmp(s->text + s->line + nfields, peer, s->peer) == 0)
    return s;
  PyObject *env = wsgi_environ_of_fields(rec);
  Py_XSETREF(s->of_fields, env);
  Py_CLEAR(s->of_request);
  if (!env) return NULL;
  s->line = line;
  s->fields = nfields;
  s->peer = rec->peer_len;
  s->log = rec->log;
  s->same_line = 0;
  memcpy(s->text + line, fields, nfields);
  memcpy(s->text + line + nfields, peer, s->peer);
  return s;
}

static int same_line(const cache_slot *s, const core_record *rec, size_t line) {
  return s->line == line && s->mount == rec->mount && s->script == rec->script_len &&
         memcmp(s->text, rec->data, line) == 0;
}

static void remember_line(cache_slot *s, const core_record *rec, size_t line) {
  if (line != s->line) { /* the texts are packed */
    if (line + s->fields + s->peer > CACHE_TEXT) return;
    memmove(s->text + line, s->text + s->line, s->fields + s->peer);
  }
  memcpy(s->text, rec->data, line);
  s->line = line;
  s->mount = rec->mount;
  s->script = rec->script_len;
  s->same_line = 1;
  Py_CLEAR(s->of_request);
}

PyObject *wsgi_cached_environ(core_record *rec) {
  size_t line = rec->target.off + rec->target.len;
  cache_slot *s = find_slot(rec, line);
  if (!s && PyErr_Occurred()) return NULL;
  int again = s && s->same_line && same_line(s, rec, line);
  if (again && s->of_request) return PyDict_Copy(s->of_request);
  PyObject *env = s ? PyDict_Copy(s->of_fields) : wsgi_environ_of_fields(rec);
  if (!env || wsgi_environ_put_line(env, rec) < 0) {
    Py_XDECREF(env);
    return NULL;
  }
  if (again) {
    s->of_request = PyDict_Copy(env);
    PyErr_Clear();
  } else if (s) {
    remember_line(s, rec, line);
  }
  return env;
}

void wsgi_forget_environs(void) {
  for (int i = 0; i < WSGI_HEAD_SLOTS; i++) {
    cache_slot *s = cache[i];
    cache[i] = NULL;
    if (!s) continue;
    Py_XDECREF(s->of_fields);
    Py_XDECREF(s->of_request);
    free(s);
  }
}

/* --- names of fields -----------------------------------------------------
 *
 * Names of header fields as keys of environ (RFC 3875 §4.1.18): a hash table of the fields that browsers and proxies
 * send, whose keys are interned; other keys are made on demand. */

static const char *const known_names[] = {"Host",
                                          "User-Agent",
                                          "Accept",
                                          "Accept-Language",
                                          "Accept-Encoding",
                                          "Accept-Charset",
                                          "Connection",
                                          "Cookie",
                                          "Referer",
                                          "Origin",
                                          "Authorization",
                                          "Cache-Control",
                                          "Pragma",
                                          "Upgrade-Insecure-Requests",
                                          "If-None-Match",
                                          "If-Modified-Since",
                                          "If-Match",
                                          "If-Unmodified-Since",
                                          "If-Range",
                                          "Range",
                                          "DNT",
                                          "TE",
                                          "Sec-Fetch-Dest",
                                          "Sec-Fetch-Mode",
                                          "Sec-Fetch-Site",
                                          "Sec-Fetch-User",
                                          "Sec-Ch-Ua",
                                          "Sec-Ch-Ua-Mobile",
                                          "Sec-Ch-Ua-Platform",
                                          "Sec-GPC",
                                          "Priority",
                                          "X-Requested-With",
                                          "X-Forwarded-For",
                                          "X-Forwarded-Proto",
                                          "X-Forwarded-Host",
                                          "X-Forwarded-Port",
                                          "X-Real-IP",
                                          "X-Request-ID",
                                          "X-CSRFToken",
                                          "X-CSRF-Token",
                                          "Forwarded",
                                          "Via",
                                          "Expect",
                                          "Upgrade",
                                          "From",
                                          "Date",
                                          "Last-Event-ID",
                                          "Purpose",
                                          "Keep-Alive",
                                          "Content-Type",
                                          "Content-Length",
                                          "Transfer-Encoding",
                                          "Proxy"};
#define KNOWN (sizeof known_names / sizeof *known_names)
#define SLOTS 256
static wsgi_known_field slots[SLOTS];

static unsigned hash_name(const char *s, size_t n) {
  unsigned h = (unsigned)n;
  for (size_t i = 0; i < n; i++) h = h * 31 + ((unsigned char)s[i] | 0x20);
  return (h ^ (h >> 8)) & (SLOTS - 1);
}

PyObject *wsgi_field_key(const char *name, size_t n) {
  PyObject *k = PyUnicode_New((Py_ssize_t)n + 5, 127);
  if (!k) return NULL;
  Py_UCS1 *out = PyUnicode_1BYTE_DATA(k);
  memcpy(out, "HTTP_", 5);
  for (size_t i = 0; i < n; i++) {
    char c = name[i];
    out[5 + i] = (Py_UCS1)(c == '-' ? '_' : (c >= 'a' && c <= 'z') ? c - 32 : c);
  }
  return k;
}

int wsgi_field_names_init(void) {
  for (size_t i = 0; i < KNOWN; i++) {
    const char *name = known_names[i];
    size_t n = strlen(name);
    unsigned at = hash_name(name, n);
    while (slots[at].name) at = (at + 1) & (SLOTS - 1);
    wsgi_known_field *f = &slots[at];
    f->name = name;
    f->len = (uint8_t)n;
    f->joined_by_semicolon = strcmp(name, "Cookie") == 0;
    f->role = strcmp(name, "Content-Type") == 0 ? WSGI_FIELD_TYPE : WSGI_FIELD_HEADER;
    if (!strcmp(name, "Content-Length") || !strcmp(name, "Transfer-Encoding") || !strcmp(name, "Proxy"))
      f->role = WSGI_FIELD_DROP;
    if (!(f->key = wsgi_field_key(name, n))) return -1;
    PyUnicode_InternInPlace(&f->key);
  }
  return 0;
}

const wsgi_known_field *wsgi_find_field(const char *name, size_t n) {
  for (unsigned at = hash_name(name, n); slots[at].name; at = (at + 1) & (SLOTS - 1)) {
    const wsgi_known_field *f = &slots[at];
    if (f->len == n && strncasecmp(f->name, name, n) == 0) return f;
  }
  return NULL;
}
