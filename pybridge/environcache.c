/* The last heads, as environs. On the thread that runs the record, with the GIL.
 *
 * A client on a kept-alive connection repeats the same fields, and often the same request line. A slot has the last
 * fields with its hash, their dict, and, once a request line was repeated, the dict of the whole request. A hit costs a
 * comparison and a dict copy. Values are immutable, so requests may share them. */
#include "environ.h"
#include "request.h"
#include "trace.h"

#include <stdlib.h>
#include <string.h>

#define CACHE_TEXT 2048 /* maximum size of a head in the cache */

typedef struct {
  char text[CACHE_TEXT]; /* line, fields, peer: in this order */
  size_t line, fields, peer;
  uint32_t mount, script, log;
  uint8_t same_line;    /* text has the line of the last request */
  PyObject *of_fields;  /* template with fields and peer */
  PyObject *of_request; /* of_fields with method, path, query; NULL until asked for twice */
} cache_slot;
static FAPWS_PER_THREAD cache_slot *cache[FAPWS_HEAD_SLOTS];

unsigned fapws_head_slot(const char *fields, size_t n) {
  uint64_t a = 0, b = 0;
  if (n >= 24) {
    memcpy(&a, fields + n / 2 - 4, 8);
    memcpy(&b, fields + n - 12, 8);
  }
  return (unsigned)(((a ^ (b << 7) ^ n) * 0x9e3779b97f4a7c15ull) >> 60);
}

/* The slot for a head with these fields, NULL if it is not for the cache: an absolute-form target sets HTTP_HOST, and a
 * chunked body CONTENT_LENGTH. */
static cache_slot *find_slot(fapws_record *rec, size_t line) {
  const char *fields = rec->data + line;
  size_t nfields = rec->head_len - line - fapws_trace_len(rec);
  if (rec->head_len + rec->peer_len > CACHE_TEXT || rec->authority.len || rec->chunked || !fapws_has_caches())
    return NULL;
  cache_slot **at = &cache[fapws_head_slot(fields, nfields)], *s = *at;
  const char *peer = rec->data + rec->addr.off;
  if (!s && !(s = *at = calloc(1, sizeof *s))) return NULL;
  if (s->of_fields && s->fields == nfields && s->peer == rec->peer_len && s->log == rec->log &&
      memcmp(s->text + s->line, fields, nfields) == 0 && memcmp(s->text + s->line + nfields, peer, s->peer) == 0)
    return s;
  PyObject *env = fapws_environ_of_fields(rec);
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

static int same_line(const cache_slot *s, const fapws_record *rec, size_t line) {
  return s->line == line && s->mount == rec->mount && s->script == rec->script_len &&
         memcmp(s->text, rec->data, line) == 0;
}

static void remember_line(cache_slot *s, const fapws_record *rec, size_t line) {
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

PyObject *fapws_cached_environ(fapws_record *rec) {
  size_t line = rec->target.off + rec->target.len;
  cache_slot *s = find_slot(rec, line);
  if (!s && PyErr_Occurred()) return NULL;
  int again = s && s->same_line && same_line(s, rec, line);
  if (again && s->of_request) return PyDict_Copy(s->of_request);
  PyObject *env = s ? PyDict_Copy(s->of_fields) : fapws_environ_of_fields(rec);
  if (!env || fapws_environ_put_line(env, rec) < 0) {
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

void fapws_forget_environs(void) {
  for (int i = 0; i < FAPWS_HEAD_SLOTS; i++) {
    cache_slot *s = cache[i];
    cache[i] = NULL;
    if (!s) continue;
    Py_XDECREF(s->of_fields);
    Py_XDECREF(s->of_request);
    free(s);
  }
}
