/* Responses in several chunks: iterables, generators and write().
 *
 * Each chunk is published at once, so that the event loop sends it while the next chunk is made (PEP 3333, "Buffering
 * and Streaming"). If the client is slow, record.run.unacked becomes too large, and the iterator is parked
 * (core_flow.c). */
#include "wsgi.h"

#include <unistd.h>

static int make_head(core_record *rec, int is_text, Py_ssize_t len) {
  core_part *p = core_write_head(rec, rec->run.start, -1, is_text ? CORE_TYPE_HTML : CORE_TYPE_BINARY);
  if (!p) return -1;
  /* The length of a single chunk is the Content-Length (PEP 3333, "Handling the Content-Length Header"). */
  if (rec->run.single && rec->run.declared < 0 && !p->send_len) rec->run.declared = p->length = len;
  return 0;
}

/* Publishes a chunk, and before the first chunk also the head (PEP 3333). */
static int publish_chunk(core_thread *t, core_record *rec, const core_message *m) {
  core_chain c = {rec, NULL, NULL};
  if (!rec->run.started) {
    if (make_head(rec, m->op == CORE_OP_TEXT, m->len) < 0) return -1;
    c.first = c.last = &rec->part0;
  }
  if (core_add_body(&c, m->owner, m->data, (size_t)m->len) < 0) return -1;
  rec->run.started = 1;
  core_publish_chain(t, &c);
  return 0;
}

int wsgi_send_chunk(core_thread *t, core_record *rec, PyObject *item) {
  core_message m;
  if (wsgi_read_chunk(item, &m) < 0) return -1;
  int bad = core_sends_file(rec);
  if (UNLIKELY(bad)) /* the server will send a file instead of the chunks, and the head is published at the end */
    rec->run.whole = 1;
  else if (m.len)
    bad = publish_chunk(t, rec, &m);
  Py_DECREF(m.owner);
  return bad < 0 ? -1 : 0;
}

void wsgi_drop(core_thread *t, core_record *rec) {
  __atomic_store_n(&t->current, NULL, __ATOMIC_RELAXED);
  if (UNLIKELY(t->raised)) core_withdraw_timeout(t);
  if (t->mode->forget) t->mode->forget(rec);
  Py_CLEAR(*(PyObject **)&rec->run.iter);
  Py_CLEAR(*(PyObject **)&rec->run.environ);
  wsgi_detach_disconnected(rec);
  if (rec->run.input) {
    wsgi_input_detach(rec->run.input);
    Py_CLEAR(*(PyObject **)&rec->run.input);
  }
  if (rec->run.spool >= 0) {
    close(rec->run.spool);
    rec->run.spool = -1;
  }
  if (UNLIKELY(rec->run.socket || rec->run.socket_object)) wsgi_close_socket(rec);
  if (rec->run.start) {
    wsgi_start_done(t, rec->run.start);
    rec->run.start = NULL;
  }
}

void wsgi_close_result(core_record *rec, PyObject *result) {
  PyObject *close = PyObject_GetAttrString(result, "close");
  if (!close) {
    PyErr_Clear();
    return;
  }
  PyObject *done = PyObject_CallNoArgs(close);
  Py_DECREF(close);
  core_exit_child();
  if (core_done(done) < 0) core_report("close()", rec);
}

void wsgi_stream_end(core_thread *t, core_record *rec, int failed) {
  int empty = !failed && !rec->run.started;
  if (empty && make_head(rec, 1, 0) < 0) {
    wsgi_fail(t, rec);
    return;
  }
  if (!failed) failed = core_body_is_short(rec);
  /* If the client receives the whole Content-Length, the response is complete, even after an error. */
  if (rec->run.started && rec->run.declared >= 0 && rec->run.sent == rec->run.declared) failed = 0;
  if (rec->run.iter) {
    t->streams--;
    __atomic_store_n(&core_mount_of(rec)->chunk_ns, rec->run.chunk_ns, __ATOMIC_RELAXED);
  }
  if (rec->run.result) {
    PyObject *result = rec->run.result;
    rec->run.result = NULL;
    core_mount *m = core_mount_of(rec);
    /* The event loop sends the published parts before a slow close() is called. */
    if (rec->run.started && core_average_of(&m->close_ns) > CORE_SLOW_NS) core_notify(t);
    uint64_t began = core_now_ns();
    wsgi_close_result(rec, result);
    core_average(&m->close_ns, core_now_ns() - began);
    Py_DECREF(result);
  }
  core_part *p = rec->run.started ? core_part_new(rec, 0) : &rec->part0;
  if (!p) {
    PyErr_Clear();
    Py_FatalError("fapws: out of memory while ending a response");
  }
  if (p == &rec->part0 && !empty) core_part_reset(p, rec);
  p->last = 1;
  p->failed = (uint8_t)failed;
  wsgi_drop(t, rec);
  core_publish(t, p);
}

void wsgi_stream(core_thread *t, core_record *rec) {
  uint64_t began = core_now_ns(), now = began;
  for (;;) {
    if (__atomic_load_n(&rec->cancelled, __ATOMIC_SEQ_CST)) {
      wsgi_stream_end(t, rec, 1);
      return;
    }
    if (core_must_wait(rec)) {
      core_notify(t);
      if (core_park(rec)) return; /* a different thread can already run rec */
    }
    PyObject *item = PyIter_Next(rec->run.iter);
    core_exit_child();
    if (!item) {
      if (PyErr_Occurred())
        wsgi_fail(t, rec);
      else
        wsgi_stream_end(t, rec, 0);
      return;
    }
    int bad = wsgi_send_chunk(t, rec, item);
    Py_DECREF(item);
    if (bad) {
      wsgi_fail(t, rec);
      return;
    }
    if (rec->run.whole || (rec->run.started && rec->run.bodyless)) {
      wsgi_stream_end(t, rec, 0);
      return;
    }
    uint64_t before = now;
    now = core_now_ns();
    core_average(&rec->run.chunk_ns, now - before);
    if (rec->run.chunk_ns > CORE_SLOW_NS) core_notify(t);
    if (t->mode->stream_yields(t, rec, now - began)) {
      core_notify(t);
      core_resume(rec);
      return;
    }
  }
}

/* --- write() -------------------------------------------------------------
 *
 * The function write() of PEP 3333. Any thread of the application can call it while the handler runs, so
 * wsgi_end_writes waits until such calls on different threads have returned. */

static PyObject *write_to(core_record *rec, const core_response *s, PyObject *data) {
  core_thread *t = core_thread_of(rec);
  if (wsgi_send_chunk(t, rec, data) < 0) return NULL;
  if (core_forked) Py_RETURN_NONE;
  t->mode->written(t, rec, &s->ends);
  if (UNLIKELY(core_is_cancelled(rec)))
    return PyErr_Format(core_client_disconnected, "write(): the client has disconnected");
  Py_RETURN_NONE;
}

static void count_writer(core_response *s, int n) { __atomic_add_fetch(&s->writers, (uint32_t)n, __ATOMIC_RELAXED); }

static PyObject *write_held(PyObject *self, PyObject *data) {
  core_response *s = (core_response *)self;
  core_record *rec = s->rec;
  const core_thread *t = rec ? core_thread_of(rec) : NULL;
  int elsewhere = t != core_this_thread;
  if (UNLIKELY(s->sink && s->called)) return PyObject_CallOneArg(s->sink, data);
  if (!s->sink && (!t || (elsewhere && s->ends)))
    return PyErr_Format(PyExc_RuntimeError, "write() after the handler has returned");
  if (!s->called) return PyErr_Format(PyExc_AssertionError, "write() before start_response()");
  if (LIKELY(!elsewhere)) return write_to(rec, s, data);
  count_writer(s, 1);
  PyObject *done = write_to(rec, s, data);
  count_writer(s, -1);
  if (s->ends) core_writer_left();
  return done;
}

void wsgi_end_writes(core_record *rec) {
  core_response *s = rec->run.start;
  int writers;
  if (!s) return;
  CORE_BEGIN_HOLD(s);
  __atomic_store_n(&s->ends, 1, __ATOMIC_RELAXED);
  writers = s->writers > 0;
  CORE_END_HOLD();
  if (UNLIKELY(writers)) core_wait_for_writers(&s->writers);
}

PyObject *wsgi_write(PyObject *self, PyObject *data) { return CORE_HELD(self, write_held(self, data)); }
