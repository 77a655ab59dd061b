/* Takes inputs of an exchange that has begun: more of its body, or messages of its WebSocket. The event loop delivers
 * at most exchange.InputWindow bytes more than were taken. */
#include "exchange.h"

fapws_input *fapws_take_input(fapws_record *rec) {
  fapws_lock();
  fapws_input *in = rec->inputs;
  if (in && !(rec->inputs = in->next)) rec->inputs_tail = NULL;
  fapws_unlock();
  if (!in) return NULL;
  rec->credit += (int64_t)in->len + FAPWS_INPUT_COST;
  if (rec->credit < FAPWS_INPUT_WINDOW / 8) return in;
  fapws_part *p = fapws_part_new(rec, 0);
  if (!p) {
    PyErr_Clear(); /* retried with the next input */
    return in;
  }
  p->op = FAPWS_OP_CREDIT;
  p->credit = rec->credit;
  rec->credit = 0;
  fapws_publish(rec->thread, p);
  fapws_async_notify();
  return in;
}
