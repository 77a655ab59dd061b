/* Early hints (RFC 8297): interim responses of status 103 with fields Link. */
#include "core.h"

#include <string.h>

#define HINTS_MAX 16   /* maximum number of early hints of a request */
#define BYTES_MAX 8192 /* maximum size in bytes of the values of these hints together */

static const char link_name[] = "Link: ";

int core_add_hint(core_record *rec, core_part **part, const char *value, Py_ssize_t n) {
  if (!core_clean_value(value, n)) return core_raise(PyExc_ValueError, "a Link of early hints has a control character");
  if (!n || rec->run.hints == HINTS_MAX || n > BYTES_MAX - rec->run.hint_bytes || rec->run.started || core_forked ||
      core_is_cancelled(rec) || !rec->req.hints)
    return 0;
  size_t all = strlen(link_name) + (size_t)n + 2;
  if ((!*part && !(*part = core_part_new(rec, all))) || core_part_reserve(*part, all) < 0) return -1;
  core_part *p = *part;
  memcpy(p->buf + p->used, link_name, strlen(link_name));
  memcpy(p->buf + p->used + strlen(link_name), value, (size_t)n);
  memcpy(p->buf + p->used + all - 2, "\r\n", 2);
  p->fields_len = p->used += (uint32_t)all;
  rec->run.hints++;
  rec->run.hint_bytes += (uint16_t)n;
  return 0;
}

void core_send_hints(core_thread *t, core_record *rec, core_part *p) {
  if (!p) return;
  p->interim = 1;
  core_publish(t, p);
  t->mode->written(t, rec, &(uint8_t){0});
}
