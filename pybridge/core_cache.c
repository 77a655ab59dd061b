/* Caches the environ or the ASGI scope of recent heads.
 *
 * A client on a persistent connection sends the same fields in each request, and often the same request line. A slot of
 * the cache contains the fields of one head, and the dict that was made from them. After a request line was repeated,
 * the slot also contains the dict of the whole head. */
#include "core.h"

#include <stdlib.h>
#include <string.h>

#define TEXT 2048 /* maximum size in bytes of a head in a cache */

struct core_cached_head {
  char text[TEXT]; /* the fields, the peer and the request line, in this order */
  size_t fields, peer, line;
  /* Size of the body, which differs from Content-Length if the server has replaced the body of an upload by a
   * description of the upload. */
  int64_t size;
  uint32_t mount, script, log;
  PyObject *of_fields; /* the dict without the values of the request line */
  /* A copy of of_fields, with the values of the last request line added; NULL until a request line is repeated. */
  PyObject *of_request;
};

static unsigned slot_of(const char *fields, size_t n) {
  uint64_t a = 0, b = 0;
  if (n >= 24) {
    memcpy(&a, fields + n / 2 - 4, 8);
    memcpy(&b, fields + n - 12, 8);
  }
  return (unsigned)(((a ^ (b << 7) ^ n) * 0x9e3779b97f4a7c15ull) >> 60);
}

/* Returns the cache entry for the fields of rec, or NULL with an exception. Returns NULL without an exception if the
 * head must not be cached. A head with an absolute-form target must not be cached, because the target determines
 * HTTP_HOST. A head with a rewritten query must not be cached, because a rewritten query follows the identity of the
 * request (core_shared_head). The cache only compares the bytes before the identity. */
static inline core_cached_head *find_head(core_cached_head **slots, core_record *rec, size_t line,
                                          core_dict_of_fields *make) {
  const char *fields = rec->req.data + line, *peer = rec->req.data + rec->req.addr.off;
  size_t n = core_shared_head(rec) - line;
  if (rec->req.head_len + rec->req.peer_len > TEXT || rec->req.authority.len || (rec->req.own && rec->req.routed))
    return NULL;
  core_cached_head **slot = &slots[slot_of(fields, n)], *h = *slot;
  if (!h && !(h = *slot = calloc(1, sizeof *h))) return NULL;
  if (h->of_fields && h->fields == n && h->peer == rec->req.peer_len && h->size == rec->req.size &&
      h->log == rec->req.log && memcmp(h->text, fields, n) == 0 && memcmp(h->text + n, peer, h->peer) == 0)
    return h;
  PyObject *made = make(rec);
  Py_XSETREF(h->of_fields, made);
  Py_CLEAR(h->of_request);
  if (!made) return NULL;
  h->fields = n;
  h->peer = rec->req.peer_len;
  h->size = rec->req.size;
  h->line = 0;
  h->log = rec->req.log;
  memcpy(h->text, fields, n);
  memcpy(h->text + n, peer, h->peer);
  return h;
}

PyObject *core_dict_of_head(core_cached_head **slots, core_record *rec, core_dict_of_fields *make,
                            int (*put_line)(PyObject *, const core_record *)) {
  size_t line = rec->req.target.off + rec->req.target.len;
  core_cached_head *h = slots ? find_head(slots, rec, line, make) : NULL;
  if (!h && PyErr_Occurred()) return NULL;
  char *text = h ? h->text + h->fields + h->peer : NULL;
  int again = h && h->line == line && h->mount == rec->req.mount && h->script == rec->req.script_len &&
              memcmp(text, rec->req.data, line) == 0;
  if (again && h->of_request) return PyDict_Copy(h->of_request);
  PyObject *dict = h ? PyDict_Copy(h->of_fields) : make(rec);
  if (!dict || put_line(dict, rec) < 0) {
    Py_XDECREF(dict);
    return NULL;
  }
  if (again) {
    h->of_request = PyDict_Copy(dict);
    PyErr_Clear();
  } else if (h) {
    /* There is enough room in h->text, because find_head has checked the size of the head and the peer. */
    memcpy(text, rec->req.data, line);
    h->line = line;
    h->mount = rec->req.mount;
    h->script = rec->req.script_len;
    Py_CLEAR(h->of_request);
  }
  return dict;
}

void core_forget_heads(core_cached_head **slots) {
  for (int i = 0; i < CORE_HEAD_SLOTS; i++) {
    core_cached_head *h = slots[i];
    slots[i] = NULL;
    if (!h) continue;
    Py_XDECREF(h->of_fields);
    Py_XDECREF(h->of_request);
    free(h);
  }
}
