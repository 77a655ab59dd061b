/* Messages of WebSockets for synchronous code, on their way from the loop to a
 * Python thread. */
#include "async.h"

#include <stdlib.h>

#define P fapws_the_pool

static fapws_record *first, *last; /* have got something and are not in the queue yet; loop only */

void fapws_deliver(uintptr_t record, uintptr_t input) {
  fapws_record *rec = (fapws_record *)record;
  fapws_input *in = (fapws_input *)input;
  if (rec->async) {
    fapws_async_deliver(rec, in);
    return;
  }
  in->next = NULL;
  fapws_lock();
  int open = rec->open, wake = open && !rec->scheduled;
  if (open) {
    if (rec->inputs)
      rec->inputs_tail->next = in;
    else
      rec->inputs = in;
    rec->inputs_tail = in;
    rec->scheduled = 1;
  }
  fapws_unlock();
  if (!open) free(in); /* it is over */
  if (!wake) return;
  rec->job = FAPWS_INPUTS;
  rec->next = NULL;
  if (last)
    last->next = rec;
  else
    first = rec;
  last = rec;
}

int fapws_deliver_flush(void) {
  fapws_async_wake();
  if (!first) return -1;
  fapws_lock();
  fapws_enqueue(first, last, 0);
  fapws_unlock();
  first = last = NULL;
  return P.inline_mode ? fapws_turn() : -1;
}

int fapws_schedule(fapws_record *rec) {
  if (!rec->open || rec->scheduled) return 0;
  rec->scheduled = 1;
  rec->job = FAPWS_INPUTS;
  fapws_enqueue(rec, rec, 0);
  return 1;
}

void fapws_free_inputs(fapws_input *in) {
  while (in) {
    fapws_input *next = in->next;
    free(in);
    in = next;
  }
}
