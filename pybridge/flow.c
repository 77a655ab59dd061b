/* Back-pressure: an iterator waits for its client, no thread does. */
#include "bridge.h"

#define P fapws_the_pool
#define WINDOW_BYTES (256 * 1024) /* an iterator may be ahead of its client by */

int fapws_must_wait(fapws_record *rec) { return __atomic_load_n(&rec->unacked, __ATOMIC_RELAXED) > WINDOW_BYTES; }

int fapws_park(fapws_record *rec) {
  fapws_lock();
  rec->parked = __atomic_load_n(&rec->unacked, __ATOMIC_SEQ_CST) > WINDOW_BYTES &&
                !__atomic_load_n(&rec->cancelled, __ATOMIC_SEQ_CST);
  int parked = rec->parked;
  fapws_unlock();
  return parked;
}

static void unpark(fapws_record *rec) {
  fapws_lock();
  int was = rec->parked;
  rec->parked = 0;
  fapws_unlock();
  if (was) fapws_requeue(rec);
}

void fapws_acked(uintptr_t record, int64_t n) {
  fapws_record *rec = (fapws_record *)record;
  int64_t left = __atomic_sub_fetch(&rec->unacked, n, __ATOMIC_SEQ_CST);
  if (left <= WINDOW_BYTES / 2 && left + n > WINDOW_BYTES / 2) unpark(rec);
}

void fapws_cancel(fapws_record *rec) {
  __atomic_store_n(&rec->cancelled, 1, __ATOMIC_SEQ_CST);
  unpark(rec);
}
