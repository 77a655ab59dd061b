/* Responses in several chunks: iterables, generators and write(). On the thread that runs the record, with the GIL.
 *
 * Each chunk is published at once, so that the event loop sends it while the next one is made (PEP 3333, "Buffering and
 * Streaming"). If record.unacked is too large, the client is slow, and the iterator is parked (flow.c). */
#include "interp.h"
#include "request.h"
#include "response.h"
#include "stack.h"

#include <unistd.h>

PyObject *fapws_chunk(PyObject *item, const char **data, Py_ssize_t *len, int *is_text) {
  *is_text = 0;
  if (LIKELY(PyBytes_Check(item))) {
    *data = PyBytes_AS_STRING(item);
    *len = PyBytes_GET_SIZE(item);
    return Py_NewRef(item);
  }
  if (PyUnicode_Check(item)) {
    *is_text = 1;
    if (!(*data = PyUnicode_AsUTF8AndSize(item, len))) return NULL;
    return Py_NewRef(item);
  }
  if (PyByteArray_Check(item) || PyMemoryView_Check(item)) {
    PyObject *copy = PyBytes_FromObject(item); /* it may change while it is sent */
    if (!copy) return NULL;
    *data = PyBytes_AS_STRING(copy);
    *len = PyBytes_GET_SIZE(copy);
    return copy;
  }
  return PyErr_Format(PyExc_TypeError, "a response must consist of str or bytes, not %.100s: %.200R",
                      Py_TYPE(item)->tp_name, item);
}

int fapws_bodyless(const fapws_record *rec, int status) { return rec->head_only || status == 204 || status == 304; }

/* Writes the head of a response whose first chunk has len bytes. */
static int make_head(fapws_record *rec, int is_text, Py_ssize_t len) {
  fapws_part *p = fapws_write_head(rec, rec->start, -1, is_text ? FAPWS_TYPE_HTML : FAPWS_TYPE_BINARY);
  if (!p) return -1;
  /* PEP 3333, "Handling the Content-Length Header". */
  if (rec->single && rec->declared < 0 && !p->send_len) rec->declared = p->length = len;
  return 0;
}

/* Publishes len bytes of owner, with the head before the first ones (PEP 3333). */
static int publish_chunk(fapws_thread *t, fapws_record *rec, int is_text, PyObject *owner, const char *data,
                         Py_ssize_t len) {
  fapws_chain c = {rec, NULL, NULL};
  if (!rec->started) {
    if (make_head(rec, is_text, len) < 0) return -1;
    c.first = c.last = &rec->part0;
  }
  if (fapws_add_body(&c, owner, data, (size_t)len) < 0) return -1;
  rec->started = 1;
  fapws_publish_chain(t, &c);
  return 0;
}

int fapws_send_chunk(fapws_thread *t, fapws_record *rec, PyObject *item) {
  const char *data;
  Py_ssize_t len;
  int is_text;
  PyObject *owner = fapws_chunk(item, &data, &len, &is_text);
  if (!owner) return -1;
  int bad = fapws_sends_file(rec);
  if (UNLIKELY(bad)) { /* a file replaces the body; the head is sent at the end */
    rec->whole = 1;
    Py_DECREF(owner);
    return bad < 0 ? -1 : 0;
  }
  if (len) bad = publish_chunk(t, rec, is_text, owner, data, len);
  Py_DECREF(owner);
  return bad;
}

void fapws_drop(fapws_thread *t, fapws_record *rec) {
  __atomic_store_n(&t->current, NULL, __ATOMIC_RELAXED);
  if (UNLIKELY(t->raised)) fapws_withdraw_timeout(t);
  t->mode->forget(rec);
  Py_CLEAR(*(PyObject **)&rec->iter);
  Py_CLEAR(*(PyObject **)&rec->environ);
  if (rec->input) {
    fapws_input_detach(rec->input);
    Py_CLEAR(*(PyObject **)&rec->input);
  }
  if (rec->spool >= 0) {
    close(rec->spool);
    rec->spool = -1;
  }
  if (UNLIKELY(rec->socket || rec->socket_object)) fapws_close_socket(rec);
  if (rec->start) {
    fapws_start_done(t, rec->start);
    rec->start = NULL;
  }
}

void fapws_close_result(fapws_record *rec, PyObject *result) {
  PyObject *close = PyObject_GetAttrString(result, "close");
  if (!close) {
    PyErr_Clear();
    return;
  }
  PyObject *done = PyObject_CallNoArgs(close);
  Py_DECREF(close);
  fapws_exit_child();
  if (!done) fapws_report("close()", rec);
  Py_XDECREF(done);
}

void fapws_stream_end(fapws_thread *t, fapws_record *rec, int failed) {
  int empty = !failed && !rec->started; /* all chunks were empty: only the head is sent */
  if (empty && make_head(rec, 1, 0) < 0) {
    fapws_fail(t, rec);
    return;
  }
  if (!failed) failed = fapws_body_is_short(rec);
  /* An error after the last byte of the Content-Length does not matter to the client. */
  if (rec->started && rec->declared >= 0 && rec->sent == rec->declared) failed = 0;
  if (rec->iter) {
    t->streams--;
    __atomic_store_n(&fapws_the_pool.mounts[rec->mount].chunk_ns, rec->chunk_ns, __ATOMIC_RELAXED);
  }
  if (rec->result) {
    PyObject *result = rec->result;
    rec->result = NULL;
    fapws_mount *m = &fapws_the_pool.mounts[rec->mount];
    if (rec->started && fapws_average_of(&m->close_ns) > FAPWS_SLOW_NS) fapws_notify(t); /* close() may be slow */
    uint64_t began = fapws_now_ns();
    fapws_close_result(rec, result);
    fapws_average(&m->close_ns, fapws_now_ns() - began);
    Py_DECREF(result);
  }
  fapws_part *p = rec->started ? fapws_part_new(rec, 0) : &rec->part0;
  if (!p) {
    PyErr_Clear();
    Py_FatalError("fapws: out of memory while ending a response");
  }
  if (p == &rec->part0 && !empty) fapws_part_reset(p, rec);
  p->last = 1;
  p->failed = (uint8_t)failed;
  fapws_drop(t, rec);
  fapws_publish(t, p); /* rec is the loop's from here on */
}

void fapws_stream(fapws_thread *t, fapws_record *rec) {
  uint64_t began = fapws_now_ns(), now = began;
  for (;;) {
    if (__atomic_load_n(&rec->cancelled, __ATOMIC_SEQ_CST)) {
      fapws_stream_end(t, rec, 1);
      return;
    }
    if (fapws_must_wait(rec)) {
      fapws_notify(t);
      if (fapws_park(rec)) return; /* and rec may be running elsewhere already */
    }
    PyObject *item = PyIter_Next(rec->iter);
    fapws_exit_child();
    if (!item) {
      if (PyErr_Occurred())
        fapws_fail(t, rec);
      else
        fapws_stream_end(t, rec, 0);
      return;
    }
    int bad = fapws_send_chunk(t, rec, item);
    Py_DECREF(item);
    if (bad) {
      fapws_fail(t, rec);
      return;
    }
    if (rec->whole || (rec->started && rec->bodyless)) {
      fapws_stream_end(t, rec, 0);
      return;
    }
    uint64_t before = now;
    now = fapws_now_ns();
    fapws_average(&rec->chunk_ns, now - before);
    if (rec->chunk_ns > FAPWS_SLOW_NS) fapws_notify(t);
    if (t->mode->stream_yields(t, rec, now - began)) {
      fapws_notify(t);
      fapws_resume(rec);
      return;
    }
  }
}
