/* Messages of the application to the event loop, in addition to responses. Any thread, with or without the GIL.
 *
 * Messages are kept in a buffer until the event loop takes them, which it does before it takes finished parts: a page
 * that a handler purged is gone before its response is sent. Nothing here calls Go, which does not run in a child that
 * the application has forked. */
#include "interp.h"
#include "messages.h"

#include <stdlib.h>
#include <string.h>

#define P fapws_the_pool

static pthread_mutex_t mu = PTHREAD_MUTEX_INITIALIZER; /* held briefly, with or without the GIL */
static char *all;                                      /* malloc; the caller of fapws_messages frees it */
static size_t used, room;
static size_t lines; /* bytes of FAPWS_ERROR_LINES among them */

/* Appends n bytes and returns where they are, or NULL without memory. mu is held. */
static char *grow(size_t n) {
  if (used + n > room) {
    size_t more = 2 * room > used + n ? 2 * room : used + n + 4096;
    char *larger = realloc(all, more);
    if (!larger) return NULL;
    all = larger;
    room = more;
  }
  used += n;
  return all + used - n;
}

int fapws_try_enqueue(uint8_t kind, const fapws_bytes *texts, int n) {
  uint32_t len = 0;
  for (int i = 0; i < n; i++) len += (uint32_t)sizeof(uint32_t) + texts[i].len;
  pthread_mutex_lock(&mu);
  int full = kind == FAPWS_ERROR_LINES && lines + len > FAPWS_ERRORLOG_WAITS;
  char *to = full ? NULL : grow(1 + sizeof len + len);
  if (to) {
    if (kind == FAPWS_ERROR_LINES) lines += len;
    *to++ = (char)kind;
    memcpy(to, &len, sizeof len);
    to += sizeof len;
    for (int i = 0; i < n; i++) {
      memcpy(to, &texts[i].len, sizeof texts[i].len);
      to += sizeof texts[i].len;
      memcpy(to, texts[i].text, texts[i].len);
      to += texts[i].len;
    }
    __atomic_store_n(&P.shared.messages, 1, __ATOMIC_SEQ_CST);
  }
  pthread_mutex_unlock(&mu);
  if (to && __atomic_load_n(&P.signal_fd, __ATOMIC_SEQ_CST) > 0)
    fapws_wake_loop(); /* else the event loop checks when it starts */
  return to != NULL;
}

int fapws_enqueue_message(uint8_t kind, const fapws_bytes *texts, int n) {
  if (!fapws_try_enqueue(kind, texts, n)) return PyErr_NoMemory(), -1;
  return 0;
}

char *fapws_messages(size_t *n) {
  pthread_mutex_lock(&mu);
  char *taken = all;
  *n = used;
  all = NULL;
  used = room = lines = 0;
  __atomic_store_n(&P.shared.messages, 0, __ATOMIC_SEQ_CST);
  pthread_mutex_unlock(&mu);
  return taken;
}
