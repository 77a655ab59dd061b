/* Heads of responses: the only file that writes them into parts. With the GIL. */
#include "response.h"

#include <string.h>

int fapws_sends_file(fapws_record *rec) {
  fapws_start_object *s = rec->start;
  if (LIKELY(!fapws_the_pool.send_fields) || !s || rec->started) return 0;
  return fapws_start_settle(s) < 0 ? -1 : s->sends != 0;
}

/* Writes status and fields of s into p. -1 with an exception. */
static int fill(fapws_start_object *s, fapws_part *p) {
  if (fapws_start_settle(s) < 0 || (UNLIKELY(s->sends) && fapws_take_sent(s, p) < 0)) return -1;
  if (UNLIKELY(s->joins) && fapws_take_channel(s, p) < 0) return -1;
  size_t reason = s->reason ? (size_t)PyUnicode_GET_LENGTH(s->reason) : 0;
  if (fapws_part_reserve(p, s->len + reason) < 0) return -1;
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

fapws_part *fapws_write_head(fapws_record *rec, fapws_start_object *s, int64_t whole, int type) {
  fapws_part *p = &rec->part0;
  fapws_part_reset(p, rec);
  if (fill(s, p) < 0) return NULL;
  p->first = 1;
  if (!s->has_type && s->status != 204 && s->status != 304) p->type = (uint8_t)type;
  rec->declared = s->length;
  rec->bodyless = (uint8_t)fapws_bodyless(rec, s->status);
  /* The response to HEAD has the length that GET would have, but an empty body of the handler does not tell that
   * length. */
  int unknown = rec->bodyless && (whole == 0 || !rec->head_only);
  p->length = s->length >= 0 || unknown ? s->length : whole;
  if (UNLIKELY(p->send_len)) { /* the event loop completes the head from the file */
    rec->declared = p->length = -1;
    p->type = FAPWS_TYPE_SET;
  }
  return p;
}

fapws_part *fapws_write_accept(fapws_record *rec, fapws_start_object *s, const char *subprotocol, size_t n) {
  fapws_part *p = fapws_write_head(rec, s, -1, FAPWS_TYPE_SET);
  if (!p || fapws_part_put(p, subprotocol, n, &p->subprotocol_off, &p->subprotocol_len) < 0) return NULL;
  p->status = 101;
  p->websocket = 1;
  p->length = rec->declared = -1;
  return p;
}

void fapws_write_page(fapws_record *rec, int status, const char *page, size_t n) {
  fapws_start_object s = {.status = status, .length = -1};
  fapws_part *p = fapws_write_head(rec, &s, (int64_t)n, FAPWS_TYPE_HTML);
  p->last = 1;
  if (rec->head_only) return;
  uint32_t len = 0;
  if (fapws_part_put(p, page, n, &p->body_off, &len) < 0) {
    PyErr_Clear();
    p->length = 0;
  }
  p->body_len = len;
}
