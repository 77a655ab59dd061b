/* Passes inputs of WebSockets with callbacks from the event loop to a thread. Without the GIL. */
#include "output.h"

#include <stdlib.h>

#define P fapws_the_pool

static fapws_record *first, *last; /* event loop only: have inputs, and are not in the queue yet */

void fapws_deliver(uintptr_t record, uintptr_t input) {
  fapws_record *rec = (fapws_record *)record;
  fapws_mode_of(rec)->deliver(rec, (fapws_input *)input);
}

void fapws_pool_deliver(fapws_record *rec, fapws_input *in) {
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
  if (!open) free(in); /* the WebSocket has ended */
  if (!wake) return;
  rec->job = FAPWS_INPUTS;
  rec->next = NULL;
  if (last)
    last->next = rec;
  else
    first = rec;
  last = rec;
}

void fapws_pool_forget(fapws_record *rec) { (void)rec; }

void fapws_enqueue_delivered(void) {
  if (!first) return;
  fapws_lock();
  P.mode->enqueue(first, last, 0);
  fapws_unlock();
  first = last = NULL;
}

static void enqueue(fapws_record *rec) {
  rec->job = FAPWS_INPUTS;
  P.mode->enqueue(rec, rec, 0);
}

void fapws_schedule(fapws_record *rec) {
  fapws_lock();
  int due = rec->open && !rec->scheduled;
  if (due) {
    rec->scheduled = 1;
    enqueue(rec);
  }
  fapws_unlock();
  if (due) P.mode->wake();
}

void fapws_give_way(fapws_record *rec) {
  fapws_lock();
  enqueue(rec);
  fapws_unlock();
  P.mode->wake();
}

void fapws_free_inputs(fapws_input *in) {
  while (in) {
    fapws_input *next = in->next;
    free(in);
    in = next;
  }
}
