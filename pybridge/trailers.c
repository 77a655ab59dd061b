/* Trailer fields, behind the body of an ASGI response
 * (https://asgi.readthedocs.io/en/latest/extensions.html#http-trailers, RFC 9110 §6.5). On the asyncio thread, with the
 * GIL. */
#include "asgi.h"

#include <string.h>
#include <strings.h>

/* http1.NotTrailers. */
static const char *const not_trailers[] = {"age",
                                           "authorization",
                                           "cache-control",
                                           "connection",
                                           "content-",
                                           "cookie",
                                           "date",
                                           "expect",
                                           "expires",
                                           "fapws-channel",
                                           "host",
                                           "if-",
                                           "keep-alive",
                                           "location",
                                           "max-forwards",
                                           "pragma",
                                           "proxy-",
                                           "range",
                                           "retry-after",
                                           "set-cookie",
                                           "set-cookie2",
                                           "te",
                                           "trailer",
                                           "transfer-encoding",
                                           "upgrade",
                                           "vary",
                                           "warning",
                                           "www-authenticate",
                                           "x-accel-redirect",
                                           "x-sendfile"};

int fapws_valid_trailer(const char *name, size_t n) {
  static const char digest[] = "content-digest"; /* RFC 9530 §2 allows it as a trailer */
  if (n == sizeof digest - 1 && strncasecmp(name, digest, n) == 0) return 1;
  for (size_t i = 0; i < sizeof not_trailers / sizeof *not_trailers; i++) {
    size_t len = strlen(not_trailers[i]);
    int begins = n >= len && strncasecmp(name, not_trailers[i], len) == 0;
    if (begins && (n == len || not_trailers[i][len - 1] == '-')) return 0;
  }
  return 1;
}

static int within_limits(const fapws_start_object *s) {
  int fields = 0;
  for (size_t i = 0; i < s->len; i++) fields += s->buf[i] == '\n';
  if (fields <= FAPWS_TRAILERS_MAX && s->len <= FAPWS_TRAILERS_BYTES) return 1;
  PyErr_Format(PyExc_ValueError, "send(): more than %d trailer fields or %d bytes of them", FAPWS_TRAILERS_MAX,
               FAPWS_TRAILERS_BYTES);
  return 0;
}

/* Publishes the last part. */
static int end(fapws_exchange *x) {
  fapws_record *rec = x->rec;
  if (!rec) { /* they are not sent */
    x->state = FAPWS_COMPLETE;
    return 0;
  }
  fapws_part *p = fapws_part_new(rec, x->head.len);
  if (!p) return -1;
  if (x->head.len && fapws_part_put(p, x->head.buf, x->head.len, &p->fields_off, &p->fields_len) < 0) {
    fapws_part_delete(p);
    return -1;
  }
  p->last = 1;
  p->failed = (uint8_t)fapws_body_is_short(rec);
  fapws_exchange_publish(x, p);
  return 0;
}

int fapws_send_trailers(fapws_exchange *x, PyObject *headers, PyObject *more) {
  fapws_start_object *s = &x->head; /* the head was sent */
  if (x->trailers == FAPWS_ANNOUNCED) {
    fapws_forget_fields(s);
    x->trailers = FAPWS_COLLECTED;
  }
  size_t before = s->len;
  int goes_on = more ? PyObject_IsTrue(more) : 0;
  int bad = goes_on < 0 || (headers && headers != Py_None && fapws_add_trailers(s, headers) < 0) || !within_limits(s) ||
            (!goes_on && end(x) < 0);
  if (bad) s->len = before;
  return -bad;
}
