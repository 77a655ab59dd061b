/* Publishes finished parts, and wakes the event loop for them. Without the GIL.
 *
 * The event loop sees parts at once unless it sleeps. Waking it costs two system calls and a thread switch, so it is
 * woken after each slow handler, and once after several quick ones. */
#include "interp.h"
#include "output.h"

#include <errno.h>
#include <unistd.h>

#define P fapws_the_pool
#define UNSIGNALLED_MAX 256 /* maximum number of parts for which the event loop was not woken */

void fapws_signal_loop(void) {
  if (__atomic_exchange_n(P.loop_state, FAPWS_LOOP_CALLED, __ATOMIC_SEQ_CST) != FAPWS_LOOP_ASLEEP) return;
  static const uint64_t token = 1;
  while (write(P.event_fd, &token, sizeof token) < 0 && errno == EINTR) {
  }
}

void fapws_wake_loop(void) {
  if (__atomic_exchange_n(&P.shared.wake_pending, 1, __ATOMIC_SEQ_CST) != 0) return;
  fapws_signal_loop();
}

#ifdef __SANITIZE_THREAD__
/* Go takes finished parts with its own atomics, which ThreadSanitizer does not see. It does see this variable of cgo,
 * at each call from Go. */
long long _cgo_sync __attribute__((common));
void __tsan_release(void *);
static void before_go(void) { __tsan_release(&_cgo_sync); }
#else
static void before_go(void) {}
#endif

void fapws_push_part(fapws_part *p) {
  if (!p->body && p->body_len) p->body = p->buf + p->body_off; /* buf does not move any more */
  int64_t event = __atomic_load_n(&p->rec->event, __ATOMIC_RELAXED),
          others = __atomic_load_n(&P.shared.others_event, __ATOMIC_RELAXED);
  p->behind = event > others ? event : others;
  p->taken = p->last && p->rec->taken;
  fapws_record *rec = p->rec;
  int64_t size = (int64_t)p->body_len + p->count;
  __atomic_add_fetch(&rec->unacked, size, __ATOMIC_RELAXED);
  if (UNLIKELY(rec->pipeline != NULL)) {
    __atomic_add_fetch(&rec->pipeline->unacked, size, __ATOMIC_SEQ_CST);
    if (p->last && rec->counted) __atomic_sub_fetch(&rec->pipeline->running, 1, __ATOMIC_SEQ_CST);
  }
  if (UNLIKELY(p->body_len >= FAPWS_COPY_BELOW)) {
    p->unseen = 1;
    __atomic_add_fetch(&P.shared.unseen, (int64_t)p->body_len, __ATOMIC_SEQ_CST);
  }
  fapws_part *old = __atomic_load_n(&P.shared.done, __ATOMIC_RELAXED);
  do {
    p->next = old;
    before_go();
  } while (!__atomic_compare_exchange_n(&P.shared.done, &old, p, 1, __ATOMIC_RELEASE, __ATOMIC_RELAXED));
}

void fapws_publish(fapws_thread *t, fapws_part *p) {
  fapws_push_part(p);
  if (++t->unsignalled >= UNSIGNALLED_MAX) fapws_notify(t);
}

void fapws_publish_chain(fapws_thread *t, const fapws_chain *c) {
  for (fapws_part *p = c->first, *next; p; p = next) {
    next = p->next;
    fapws_publish(t, p);
  }
}

void fapws_notify(fapws_thread *t) {
  if (t->unsignalled == 0) return;
  t->unsignalled = 0;
  t->unsignalled_ns = 0;
  t->mode->wake_loop();
}

uint64_t fapws_notify_after(const fapws_mount *m) {
  uint64_t quarter = __atomic_load_n(&P.shared.queued, __ATOMIC_RELAXED) * fapws_run_ns(m) / 4;
  if (quarter < FAPWS_UNSIGNALLED_NS) return FAPWS_UNSIGNALLED_NS;
  return quarter < 8 * FAPWS_UNSIGNALLED_NS ? quarter : 8 * FAPWS_UNSIGNALLED_NS;
}
