/* Counts how long requests and threads wait: metrics.c. Under the GIL. */
#ifndef FAPWS_WAITS_H
#define FAPWS_WAITS_H

#include "pool.h"

/* Whether waits are counted. */
extern int fapws_counts_waits; /* atomic */

/* A handler is about to run rec. */
void fapws_count_queue_wait(const fapws_record *rec);
/* Takes the GIL for the calling thread, whose state it is, and counts how long that took. Not under the GIL. */
void fapws_take_gil_counted(PyThreadState *state);

static inline int fapws_waits_are_counted(void) {
  return __builtin_expect(__atomic_load_n(&fapws_counts_waits, __ATOMIC_RELAXED), 0);
}

#endif
