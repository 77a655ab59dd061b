/* Writes all heads of responses into parts. */
#include "core.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* Whether a response with this status to the request rec has no body (RFC 9110 §6.4.1). */
static int is_bodyless(const core_record *rec, int status) {
  return rec->req.head_only || status == 204 || status == 304;
}

int core_sends_file(core_record *rec) {
  core_response *s = rec->run.start;
  if (LIKELY(!core_the_pool.send_fields) || !s || rec->run.started) return 0;
  return core_settle_fields(s) < 0 ? -1 : s->sends != 0;
}

static int fill(core_response *s, core_part *p) {
  if (core_settle_fields(s) < 0 || (UNLIKELY(s->sends) && core_take_sent(s, p) < 0)) return -1;
  if (UNLIKELY(s->joins) && core_take_channel(s, p) < 0) return -1;
  size_t reason = s->reason ? (size_t)PyUnicode_GET_LENGTH(s->reason) : 0;
  if (core_part_reserve(p, s->len + reason) < 0) return -1;
  p->status = s->status;
  p->has_date = s->has_date;
  p->has_server = s->has_server;
  p->close_conn = s->close_conn;
  p->fields_off = p->used;
  p->fields_len = (uint32_t)s->len;
  if (s->len) memcpy(p->buf + p->used, s->buf, s->len);
  p->used += (uint32_t)s->len;
  if (reason > 4) {
    p->reason_off = p->used;
    p->reason_len = (uint32_t)(reason - 4);
    memcpy(p->buf + p->used, PyUnicode_1BYTE_DATA(s->reason) + 4, reason - 4);
    p->used += p->reason_len;
  }
  s->sent = 1;
  return 0;
}

core_part *core_write_head(core_record *rec, core_response *s, int64_t whole, int type) {
  core_part *p = &rec->part0;
  core_part_reset(p, rec);
  if (fill(s, p) < 0) return NULL;
  p->first = 1;
  if (!s->has_type && s->status != 204 && s->status != 304) p->type = (uint8_t)type;
  rec->run.declared = s->length;
  rec->run.bodyless = (uint8_t)is_bodyless(rec, s->status);
  /* The response to HEAD must have the same Content-Length as the response to GET. If the handler returns an empty body
   * for HEAD, that Content-Length is unknown. */
  int unknown = rec->run.bodyless && (whole == 0 || !rec->req.head_only);
  p->length = s->length >= 0 || unknown ? s->length : whole;
  if (UNLIKELY(p->send_len)) { /* the event loop adds the length and the type of the file to the head */
    rec->run.declared = p->length = -1;
    p->type = CORE_TYPE_SET;
  }
  return p;
}

core_part *core_write_accept(core_record *rec, core_response *s, const char *subprotocol, size_t n) {
  core_part *p = core_write_head(rec, s, -1, CORE_TYPE_SET);
  if (!p || core_part_put(p, subprotocol, n, &p->subprotocol_off, &p->subprotocol_len) < 0) return NULL;
  p->status = 101;
  p->websocket = 1;
  p->length = rec->run.declared = -1;
  return p;
}

void core_write_page(core_record *rec, int status, PyObject *headers, const char *page, size_t n) {
  core_response s = {.status = status, .length = -1};
  if (headers && core_add_fields(&s, headers) < 0) PyErr_Clear();
  core_part *p = core_write_head(rec, &s, (int64_t)n, CORE_TYPE_HTML);
  if (UNLIKELY(!p)) { /* no memory for the fields */
    PyErr_Clear();
    s.len = 0;
    p = core_write_head(rec, &s, (int64_t)n, CORE_TYPE_HTML);
  }
  free(s.buf);
  p->last = 1;
  if (rec->req.head_only) return;
  uint32_t len = 0;
  if (core_part_put(p, page, n, &p->body_off, &len) < 0) {
    PyErr_Clear();
    p->length = 0;
  }
  p->body_len = len;
}

/* --- trailer fields ------------------------------------------------------ */

/* The same names as in http1.NotTrailers. */
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

int core_valid_trailer(const char *name, size_t n) {
  static const char digest[] = "content-digest"; /* RFC 9530 §2 permits this field as a trailer */
  if (n == sizeof digest - 1 && strncasecmp(name, digest, n) == 0) return 1;
  for (size_t i = 0; i < sizeof not_trailers / sizeof *not_trailers; i++) {
    size_t len = strlen(not_trailers[i]);
    int begins = n >= len && strncasecmp(name, not_trailers[i], len) == 0;
    if (begins && (n == len || not_trailers[i][len - 1] == '-')) return 0;
  }
  return 1;
}
