/* Memory of parts: what a Python thread fills and the loop sends. */
#include "output.h"

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
  while (cap < want) cap *= 2;
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
