/* Trailer fields, behind the body of an ASGI response
 * (https://asgi.readthedocs.io/en/latest/extensions.html#http-trailers, RFC 9110 §6.5). On the asyncio thread, with the
 * GIL. */
#include "asgi.h"

#include <string.h>
#include <strings.h>

static int within_limits(const wsgi_start_object *s) {
  int fields = 0;
  for (size_t i = 0; i < s->len; i++) fields += s->buf[i] == '\n';
  if (fields <= WSGI_TRAILERS_MAX && s->len <= WSGI_TRAILERS_BYTES) return 1;
  PyErr_Format(PyExc_ValueError, "send(): more than %d trailer fields or %d bytes of them", WSGI_TRAILERS_MAX,
               WSGI_TRAILERS_BYTES);
  return 0;
}

/* Publishes the last part. */
static int end(asgi_exchange *x) {
  core_record *rec = x->rec;
  if (!rec) { /* they are not sent */
    x->state = ASGI_COMPLETE;
    return 0;
  }
  core_part *p = core_part_new(rec, x->head.len);
  if (!p) return -1;
  if (x->head.len && core_part_put(p, x->head.buf, x->head.len, &p->fields_off, &p->fields_len) < 0) {
    core_part_delete(p);
    return -1;
  }
  p->last = 1;
  p->failed = (uint8_t)core_body_is_short(rec);
  asgi_exchange_publish(x, p);
  return 0;
}

int asgi_send_trailers(asgi_exchange *x, PyObject *headers, PyObject *more) {
  wsgi_start_object *s = &x->head; /* the head was sent */
  if (x->trailers == ASGI_ANNOUNCED) {
    wsgi_forget_fields(s);
    x->trailers = ASGI_COLLECTED;
  }
  size_t before = s->len;
  int goes_on = more ? PyObject_IsTrue(more) : 0;
  int bad = goes_on < 0 || (headers && headers != Py_None && wsgi_add_trailers(s, headers) < 0) || !within_limits(s) ||
            (!goes_on && end(x) < 0);
  if (bad) s->len = before;
  return -bad;
}
