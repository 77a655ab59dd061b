/* write() of PEP 3333, which start_response returns. Any thread of the application may call it while the handler runs;
 * fapws_end_writes waits for calls of other threads. With the GIL. */
#include "interp.h"
#include "response.h"

static PyObject *write_to(fapws_record *rec, PyObject *data) {
  fapws_thread *t = fapws_thread_of(rec);
  if (fapws_send_chunk(t, rec, data) < 0) return NULL;
  if (fapws_forked) Py_RETURN_NONE;
  t->mode->written(t, rec);
  if (UNLIKELY(fapws_is_cancelled(rec)))
    return PyErr_Format(PyExc_BrokenPipeError, "write(): the client has disconnected");
  Py_RETURN_NONE;
}

static void count_writer(fapws_start_object *s, int n) {
  __atomic_add_fetch(&s->writers, (uint32_t)n, __ATOMIC_RELAXED);
}

static PyObject *write_held(PyObject *self, PyObject *data) {
  fapws_start_object *s = (fapws_start_object *)self;
  fapws_record *rec = s->rec;
  const fapws_thread *t = rec ? fapws_thread_of(rec) : NULL;
  int elsewhere = t != fapws_this_thread;
  if (UNLIKELY(s->sink && s->called)) return PyObject_CallOneArg(s->sink, data);
  if (!s->sink && (!t || (elsewhere && s->ends)))
    return PyErr_Format(PyExc_RuntimeError, "write() after the handler has returned");
  if (!s->called) return PyErr_Format(PyExc_AssertionError, "write() before start_response()");
  if (LIKELY(!elsewhere)) return write_to(rec, data);
  count_writer(s, 1);
  PyObject *done = write_to(rec, data);
  count_writer(s, -1);
  if (s->ends) fapws_writer_left();
  return done;
}

void fapws_end_writes(fapws_record *rec) {
  fapws_start_object *s = rec->start;
  int writers;
  if (!s) return;
  FAPWS_BEGIN_HOLD(s);
  __atomic_store_n(&s->ends, 1, __ATOMIC_RELAXED);
  writers = s->writers > 0;
  FAPWS_END_HOLD();
  if (UNLIKELY(writers)) fapws_wait_for_writers(&s->writers);
}

PyObject *fapws_write(PyObject *self, PyObject *data) {
  PyObject *done;
  FAPWS_BEGIN_HOLD(self);
  done = write_held(self, data);
  FAPWS_END_HOLD();
  return done;
}
