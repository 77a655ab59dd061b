/* What the Python side counts. Go sees this header.
 *
 * Histograms have the buckets of package metrics, which Go passes. They are written under the GIL and read at any time:
 * all members are atomic. */
#ifndef FAPWS_SHIM_METRICS_H
#define FAPWS_SHIM_METRICS_H

#include <stddef.h>
#include <stdint.h>

#define FAPWS_BUCKETS_MAX 32

/* --- metrics.c -------------------------------------------------------------- */

typedef struct {
  int64_t counts[FAPWS_BUCKETS_MAX]; /* of each bucket alone */
  int64_t sum_ns;
} fapws_durations;

/* Starts to count. bounds are the upper bounds of the buckets but the last, in ns, n < FAPWS_BUCKETS_MAX; copied. A
 * second call does nothing. Any thread, one at a time. */
void fapws_count_waits(const int64_t *bounds, int n);

typedef struct {
  int live, idle, stuck, waiting;    /* threads; waiting: for the GIL, with a request */
  int queued;                        /* requests in the queue */
  const fapws_durations *queue_wait; /* from the arrival of a request until its handler begins */
  const fapws_durations *gil_wait;   /* of a thread that takes the GIL in order to run a handler */
} fapws_waits;

/* Any thread, without the GIL. */
void fapws_read_waits(fapws_waits *out);

/* --- appmetrics.c ------------------------------------------------------------ */

/* The families that the application has declared, in their order, as JSON of package metrics: *n bytes of malloc, which
 * the caller frees; NULL: there are none. One thread at a time, without the GIL. */
char *fapws_application_metrics(size_t *n);

#endif
