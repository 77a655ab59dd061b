/* The trace of a request (package tracecontext): if record.traced, the last field is traceparent, and differs in each
 * request. The value belongs to the record. Any thread, without the GIL. */
#ifndef FAPWS_TRACE_H
#define FAPWS_TRACE_H

#include "record.h"

/* Bytes at the end of the head with that field: tracecontext.LineLen. */
#define FAPWS_TRACE_LEN 72
static inline uint32_t fapws_trace_len(const fapws_record *rec) { return rec->traced ? FAPWS_TRACE_LEN : 0; }

/* The trace-id of rec; empty: it is not traced. */
static inline fapws_span fapws_trace_id(const fapws_record *rec) {
  if (!rec->traced) return (fapws_span){0, 0};
  return (fapws_span){rec->fields[rec->nfields - 1].value.off + 3, 32};
}

#endif
