/* Takes data that arrives for an exchange after it has begun: more of its body, messages of
 * its WebSocket. The loop delivers only as much as has been taken (exchange.InputWindow). */
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
    PyErr_Clear(); /* the next one tries again */
    return in;
  }
  p->op = FAPWS_OP_CREDIT;
  p->credit = rec->credit;
  rec->credit = 0;
  fapws_publish(rec->thread, p);
  fapws_async_notify();
  return in;
}
