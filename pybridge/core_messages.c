/* Passes messages of the application to the event loop, in addition to responses. The functions can be called on any
 * thread, with or without the GIL.
 *
 * Messages are kept in a buffer until the event loop takes them. The event loop takes messages before it takes finished
 * parts, so a page that a handler purges is removed from the cache before the response of that handler is sent. No
 * function calls Go, because Go does not run in a child that the application has forked. */
#include "core.h"

#include <stdlib.h>
#include <string.h>

#define the_pool core_the_pool

#define MOST_WAITING (8 << 20) /* maximum bytes of events that the server has not accepted yet (Handler.Dealt) */

static pthread_mutex_t mu = PTHREAD_MUTEX_INITIALIZER;
static char *all; /* the buffer, allocated by malloc; the caller of core_messages frees it */
static size_t used, room;
static size_t lines;

/* Returns room for n further bytes in the buffer, or NULL if memory is exhausted; the caller must hold mu. */
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

int core_try_enqueue(uint8_t kind, const core_bytes *texts, int n) {
  uint32_t len = 0;
  for (int i = 0; i < n; i++) len += (uint32_t)sizeof(uint32_t) + texts[i].len;
  pthread_mutex_lock(&mu);
  int full = kind == CORE_ERROR_LINES && lines + len > CORE_ERRORLOG_WAITS;
  char *to = full ? NULL : grow(1 + sizeof len + len);
  if (to) {
    if (kind == CORE_ERROR_LINES) lines += len;
    *to++ = (char)kind;
    memcpy(to, &len, sizeof len);
    to += sizeof len;
    for (int i = 0; i < n; i++) {
      memcpy(to, &texts[i].len, sizeof texts[i].len);
      to += sizeof texts[i].len;
      memcpy(to, texts[i].text, texts[i].len);
      to += texts[i].len;
    }
    __atomic_store_n(&the_pool.shared.messages, 1, __ATOMIC_SEQ_CST);
  }
  pthread_mutex_unlock(&mu);
  if (to && __atomic_load_n(&the_pool.signal_fd, __ATOMIC_SEQ_CST) > 0) core_wake_loop();
  return to != NULL;
}

int core_enqueue_message(uint8_t kind, const core_bytes *texts, int n) {
  if (!core_try_enqueue(kind, texts, n)) return PyErr_NoMemory(), -1;
  return 0;
}

char *core_messages(size_t *n) {
  CORE_CHECK(CORE_NO_GIL);
  pthread_mutex_lock(&mu);
  char *taken = all;
  *n = used;
  all = NULL;
  used = room = lines = 0;
  __atomic_store_n(&the_pool.shared.messages, 0, __ATOMIC_SEQ_CST);
  pthread_mutex_unlock(&mu);
  return taken;
}

/* --- events, whose total size is limited; with the GIL --------------- */

/* Reserves bytes for an event, and returns 1; the parameter cost is the number of bytes. If too many bytes already
 * wait, returns 0 if the caller should retry, or -1 if only the current thread could pass on the waiting events. */
static int reserve(int64_t cost) {
  /* Only one thread at a time adds to event_bytes (CORE_BEGIN_ONE), so the sum cannot exceed the limit between the
   * check and the addition. */
  int64_t waiting = __atomic_load_n(&the_pool.shared.event_bytes, __ATOMIC_RELAXED);
  if (waiting > 0 && waiting + cost > MOST_WAITING) /* if no event waits, an event of any size is accepted */
    return __atomic_load_n(&the_pool.signal_fd, __ATOMIC_RELAXED) <= 0 ||
                   (core_this_thread && !core_this_thread->mode->may_wait)
               ? -1
               : 0;
  __atomic_add_fetch(&the_pool.shared.event_bytes, cost, __ATOMIC_RELAXED);
  return 1;
}

PyObject *core_publish_event(uint8_t kind, const core_bytes *texts, int n) {
  CORE_CHECK(CORE_GIL | CORE_LOADING | CORE_SERVING);
  int64_t cost = CORE_EVENT_COST;
  for (int i = 0; i < n; i++) cost += texts[i].len;
  int room, bad;
  CORE_BEGIN_ONE();
  room = reserve(cost);
  bad = room > 0 && core_enqueue_message(kind, texts, n) < 0;
  if (bad) __atomic_sub_fetch(&the_pool.shared.event_bytes, cost, __ATOMIC_RELAXED);
  CORE_END_ONE();
  if (bad) return NULL;
  if (room < 0) Py_RETURN_NONE;
  return PyBool_FromLong(room);
}
