/* Makes parts: the only file that copies bodies. With the GIL. */
#include "response.h"

#include <string.h>

void fapws_part_reset(fapws_part *p, fapws_record *rec) {
  char *buf = p->buf;
  uint32_t cap = p->cap;
  memset(p, 0, sizeof *p);
  p->buf = buf;
  p->cap = cap;
  p->rec = rec;
  p->ticket = rec->ticket;
  p->file = -1;
  p->length = -1;
}

int fapws_part_reserve(fapws_part *p, size_t n) {
  size_t want = (size_t)p->used + n;
  if (LIKELY(want <= p->cap)) return 0;
  size_t cap = p->cap ? p->cap : 512;
  while (cap < want && cap <= UINT32_MAX / 2) cap *= 2;
  char *buf = cap <= UINT32_MAX / 2 ? realloc(p->buf, cap) : NULL;
  if (!buf) {
    PyErr_NoMemory();
    return -1;
  }
  p->buf = buf;
  p->cap = (uint32_t)cap;
  return 0;
}

fapws_part *fapws_part_new(fapws_record *rec, size_t room) {
  fapws_part *p = calloc(1, sizeof *p);
  if (!p) {
    PyErr_NoMemory();
    return NULL;
  }
  fapws_part_reset(p, rec);
  if (room && fapws_part_reserve(p, room) < 0) {
    free(p);
    return NULL;
  }
  return p;
}

void fapws_part_delete(fapws_part *p) {
  Py_XDECREF((PyObject *)p->owner);
  free(p->buf);
  free(p);
}

int fapws_part_put(fapws_part *p, const char *data, size_t n, uint32_t *off, uint32_t *len) {
  if (fapws_part_reserve(p, n) < 0) return -1;
  if (n) memcpy(p->buf + p->used, data, n);
  *off = p->used;
  *len = (uint32_t)n;
  p->used += (uint32_t)n;
  return 0;
}

/* Appends n bytes to the body at the end of p->buf. -1 and MemoryError. */
static int append_body(fapws_part *p, const char *data, size_t n) {
  uint32_t off, len;
  if (fapws_part_put(p, data, n, &off, &len) < 0) return -1;
  if (p->body_len == 0) p->body_off = off;
  p->body_len += n;
  return 0;
}

fapws_part *fapws_body_part(fapws_record *rec, PyObject *owner, const char *data, size_t n) {
  int copy = n < FAPWS_COPY_BELOW;
  fapws_part *p = malloc(sizeof *p + (copy ? n : 0));
  if (!p) {
    PyErr_NoMemory();
    return NULL;
  }
  p->buf = NULL;
  p->cap = 0;
  fapws_part_reset(p, rec);
  p->body = data;
  p->body_len = n;
  if (copy) {
    p->body = memcpy((char *)(p + 1), data, n); /* in the same allocation */
  } else {
    p->owner = Py_NewRef(owner);
  }
  return p;
}

static inline int64_t fit_body(fapws_record *rec, int64_t n) {
  if (rec->bodyless || rec->whole) return 0;
  if (UNLIKELY(rec->declared >= 0 && rec->sent + n > rec->declared)) {
    fapws_log(rec, "body exceeds its Content-Length of %lld; truncated", (long long)rec->declared);
    n = rec->declared - rec->sent;
    rec->whole = 1;
  }
  rec->sent += n;
  return n;
}

int64_t fapws_fit_body(fapws_record *rec, int64_t n) { return fit_body(rec, n); }

int fapws_add_body(fapws_chain *c, PyObject *owner, const char *data, size_t n) {
  if ((n = (size_t)fit_body(c->rec, (int64_t)n)) == 0) return 0;
  fapws_part *p = c->last;
  int alone = !p || n >= FAPWS_COPY_BELOW;
  if (alone)
    p = fapws_body_part(c->rec, owner, data, n);
  else if (p->body || p->body_len + n > 4 * FAPWS_COPY_BELOW)
    p = fapws_part_new(c->rec, n);
  if (!p || (!alone && append_body(p, data, n) < 0)) {
    c->rec->sent -= (int64_t)n;
    return -1;
  }
  if (p != c->last) {
    *(c->last ? &c->last->next : &c->first) = p;
    c->last = p;
  }
  return 0;
}

void fapws_chain_abandon(fapws_chain *c) {
  for (fapws_part *p = c->first, *next; p; p = next) {
    next = p->next;
    if (p != &c->rec->part0) fapws_part_free((uintptr_t)p);
  }
  c->rec->part0.next = NULL;
}

int fapws_body_is_short(fapws_record *rec) {
  if (LIKELY(rec->bodyless || rec->declared <= rec->sent)) return 0;
  fapws_log(rec, "body has %lld bytes, but its Content-Length is %lld", (long long)rec->sent, (long long)rec->declared);
  return 1;
}

fapws_part *fapws_close_frame(fapws_record *rec, int code, const char *reason, size_t n) {
  fapws_part *p = malloc(sizeof *p + n);
  if (!p) return NULL;
  p->buf = NULL;
  p->cap = 0;
  fapws_part_reset(p, rec);
  p->body = memcpy((char *)(p + 1), reason, n);
  p->body_len = n;
  p->op = FAPWS_OP_CLOSE;
  p->code = (uint16_t)code;
  return p;
}
