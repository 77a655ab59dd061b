/* Frees parts that own a Python object: the event loop releases them without the GIL, and a thread with the GIL frees
 * them. */
#include "output.h"
#include "shim_messages.h"

#include <stdlib.h>

#define P fapws_the_pool
#define GARBAGE_BYTES (1 << 20) /* maximum size of released objects before a thread is woken to free them */

static int64_t garbage_bytes;

void fapws_part_free(uintptr_t number) {
  fapws_part *part = (fapws_part *)number;
  if (!part->owner) {
    free(part->buf);
    free(part);
    return;
  }
  /* Counted first: once it is on the list, the collector may free it. */
  int64_t held = __atomic_add_fetch(&garbage_bytes, (int64_t)part->body_len, __ATOMIC_RELAXED);
  fapws_part *old = __atomic_load_n(&P.garbage, __ATOMIC_RELAXED);
  do {
    part->next = old;
  } while (!__atomic_compare_exchange_n(&P.garbage, &old, part, 1, __ATOMIC_RELEASE, __ATOMIC_RELAXED));
  if (held < GARBAGE_BYTES) return;
  P.mode->collect(); /* an idle server must not keep large objects */
}

void fapws_collect_garbage(void) {
  if (LIKELY(!__atomic_load_n(&P.garbage, __ATOMIC_RELAXED))) return;
  fapws_part *p = __atomic_exchange_n(&P.garbage, NULL, __ATOMIC_ACQUIRE);
  while (p) {
    fapws_part *next = p->next;
    __atomic_sub_fetch(&garbage_bytes, (int64_t)p->body_len, __ATOMIC_RELAXED);
    fapws_part_delete(p);
    p = next;
  }
}
