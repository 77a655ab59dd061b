#include "wsgi.h"

#include <stdlib.h>
#include <unistd.h>

static int64_t total_length(PyObject *const *items, Py_ssize_t n, int *is_text) {
  int64_t total = 0;
  for (Py_ssize_t i = 0; i < n; i++) {
    core_message m;
    if (wsgi_read_chunk(items[i], &m) < 0) return -1;
    Py_DECREF(m.owner);
    if (i == 0) *is_text = m.op == CORE_OP_TEXT;
    total += m.len;
  }
  return total;
}

static int add_items(core_chain *c, PyObject *const *items, Py_ssize_t n) {
  for (Py_ssize_t i = 0; i < n; i++) {
    core_message m;
    if (wsgi_read_chunk(items[i], &m) < 0) return -1;
    int bad = core_add_body(c, m.owner, m.data, (size_t)m.len);
    Py_DECREF(m.owner);
    if (bad) return -1;
  }
  return 0;
}

static int answer_items(core_thread *t, core_record *rec, PyObject *const *items, Py_ssize_t n, int type) {
  int is_text = 1;
  int64_t total = total_length(items, n, &is_text);
  if (total < 0) return -1;
  if (type < 0) type = is_text ? CORE_TYPE_HTML : CORE_TYPE_BINARY;
  core_part *p = core_write_head(rec, rec->run.start, total, type);
  if (!p) return -1;
  core_chain c = {rec, p, p};
  if (add_items(&c, items, n) < 0) {
    core_chain_abandon(&c);
    return -1;
  }
  c.last->failed = (uint8_t)core_body_is_short(rec);
  c.last->last = 1;
  rec->run.started = 1;
  wsgi_drop(t, rec);
  core_publish_chain(t, &c);
  return 0;
}

static int answer_more(core_thread *t, core_record *rec, PyObject *const *items, Py_ssize_t n) {
  for (Py_ssize_t i = 0; i < n && !rec->run.whole; i++)
    if (wsgi_send_chunk(t, rec, items[i]) < 0) return -1;
  wsgi_stream_end(t, rec, 0);
  return 0;
}

/* Returns the method encode of a JSON encoder, because json.dumps would create an encoder for each call. */
static PyObject *json_encoder(void) {
  PyObject *kw = Py_BuildValue("{s:O,s:(ss)}", "ensure_ascii", Py_False, "separators", ",", ":");
  PyObject *encoder = core_call_with(core_import("json", "JSONEncoder"), PyTuple_New(0), kw);
  PyObject *encode = encoder ? PyObject_GetAttrString(encoder, "encode") : NULL;
  Py_XDECREF(encoder);
  return encode;
}

static int answer_json(core_thread *t, core_record *rec, PyObject *result) {
  static PyObject *the_encoder;
  PyObject *encode = core_keep_first(&the_encoder, json_encoder);
  PyObject *text = encode ? PyObject_CallOneArg(encode, result) : NULL;
  if (!text) return -1;
  int bad = rec->run.started ? answer_more(t, rec, &text, 1) : answer_items(t, rec, &text, 1, CORE_TYPE_JSON);
  Py_DECREF(text);
  return bad;
}

/* If the parameter result is a file, publishes a response with this file and returns 1, otherwise returns 0. The
 * descriptor is duplicated, so result can be closed at once. */
static int answer_file(core_thread *t, core_record *rec, PyObject *result) {
  core_part probe = {.file = -1};
  int is_file = wsgi_file_part(result, rec->run.start, &probe);
  if (is_file <= 0) {
    free(probe.buf);
    return is_file;
  }
  core_part *p = core_write_head(rec, rec->run.start, probe.count, CORE_TYPE_BY_NAME);
  int bad = !p || core_part_put(p, probe.buf + probe.name_off, probe.name_len, &p->name_off, &p->name_len) < 0;
  if (!bad) {
    p->offset = probe.offset;
    if ((p->count = core_fit_body(rec, probe.count)) > 0) p->file = probe.file, probe.file = -1;
    p->failed = (uint8_t)core_body_is_short(rec);
    if (p->type == CORE_TYPE_BY_NAME && !p->name_len) p->type = CORE_TYPE_BINARY;
  }
  if (probe.file >= 0) close(probe.file);
  free(probe.buf);
  if (bad) return -1;
  p->last = 1;
  rec->run.started = 1;
  wsgi_close_result(rec, result);
  wsgi_drop(t, rec);
  core_publish(t, p);
  return 1;
}

static int answer_static(core_thread *t, core_record *rec, PyObject *result) {
  Py_ssize_t n, path_len = PyBytes_GET_SIZE(((wsgi_static_object *)result)->path);
  const char *path = PyBytes_AS_STRING(((wsgi_static_object *)result)->path);
  const char *options = PyUnicode_AsUTF8AndSize(((wsgi_static_object *)result)->options, &n);
  core_part *p = options ? core_write_head(rec, rec->run.start, -1, CORE_TYPE_SET) : NULL;
  if (!p || core_part_put(p, options, (size_t)n, &p->static_off, &p->static_len) < 0 ||
      core_part_put(p, path, (size_t)path_len, &p->path_off, &p->path_len) < 0)
    return -1;
  p->program = (uint8_t)((wsgi_static_object *)result)->program;
  p->script_len = ((wsgi_static_object *)result)->script_len;
  if (p->program && rec->run.spool >= 0) {
    p->file = rec->run.spool;
    p->count = rec->req.size;
    rec->run.spool = -1;
  } else if (p->program && rec->req.size > 0) {
    p->body = rec->req.body; /* the memory is valid until Handler.Release */
    p->body_len = (size_t)rec->req.size;
  }
  p->length = -1;
  p->last = 1;
  rec->run.started = 1;
  wsgi_drop(t, rec);
  core_publish(t, p);
  return 0;
}

/* Whether len(result) is 1, so that the length of the first chunk is the Content-Length (PEP 3333). */
static uint8_t is_single(PyObject *result) {
  const PySequenceMethods *sequence = Py_TYPE(result)->tp_as_sequence;
  if (!sequence || !sequence->sq_length) return 0;
  Py_ssize_t n = PySequence_Size(result);
  if (n < 0) PyErr_Clear();
  return n == 1;
}

static int answer_iterable(core_thread *t, core_record *rec, PyObject *result) {
  int is_file = rec->run.started ? 0 : answer_file(t, rec, result);
  if (is_file) return is_file < 0 ? -1 : 0;
  PyObject *iter = NULL;
  if (Py_TYPE(result) != wsgi_file_wrapper && !PyGen_CheckExact(result)) iter = wsgi_blocks(result);
  int in_blocks = iter != NULL;
  if (!iter && !PyErr_Occurred() && (Py_TYPE(result)->tp_iter || PySequence_Check(result)))
    iter = PyObject_GetIter(result);
  if (!iter && PyErr_Occurred()) return -1;
  if (!iter) {
    const core_mount *m = core_mount_of(rec);
    PyObject *text = core_call("fapws._arguments", "wrong_result", "(OOO)", m->callable, m->name, result);
    if (text) PyErr_SetObject(PyExc_TypeError, text);
    Py_XDECREF(text);
    return -1;
  }
  rec->run.result = Py_NewRef(result);
  rec->run.iter = iter;
  rec->run.single = !in_blocks && is_single(result);
  rec->run.chunk_ns = core_average_of(&core_mount_of(rec)->chunk_ns);
  t->streams++;
  return 1;
}

static int answer(core_thread *t, core_record *rec, PyObject *result);

/* Makes the response from a copy of the list, because a different thread can change the list. */
static int answer_list(core_thread *t, core_record *rec, PyObject *list) {
  PyObject *items = PyList_AsTuple(list);
  int how = items ? answer(t, rec, items) : -1;
  Py_XDECREF(items);
  return how;
}

static int answer(core_thread *t, core_record *rec, PyObject *result) {
  if (CORE_PARALLEL && PyList_CheckExact(result)) return answer_list(t, rec, result);
  int sends = core_sends_file(rec);
  if (UNLIKELY(sends)) {
    if (sends < 0) return -1;
    rec->run.result = Py_NewRef(result);
    wsgi_stream_end(t, rec, 0);
    return 0;
  }
  if (UNLIKELY(rec->run.whole) && !rec->run.started)
    /* While a field for a file was set, write() has dropped its data. The field was then removed, so result is the
     * body. */
    rec->run.whole = 0;
  PyObject *const *items = &result;
  Py_ssize_t n = 1;
  if (PyList_CheckExact(result) || PyTuple_CheckExact(result)) {
    items = PySequence_Fast_ITEMS(result);
    n = PySequence_Fast_GET_SIZE(result);
  } else if (PyDict_Check(result)) {
    return answer_json(t, rec, result);
  } else if (Py_TYPE(result) == &wsgi_StaticAnswer_Type && !rec->run.started) {
    return answer_static(t, rec, result);
  } else if (Py_TYPE(result) == &wsgi_ChannelAnswer_Type && !rec->run.started) {
    if (wsgi_channel_head(rec->run.start, result) < 0) return -1;
    return answer_items(t, rec, &((wsgi_channel_object *)result)->start, 1, CORE_TYPE_SET);
  } else if (!PyBytes_Check(result) && !PyUnicode_Check(result) && !PyByteArray_Check(result) &&
             !PyMemoryView_Check(result)) {
    return answer_iterable(t, rec, result);
  }
  if (UNLIKELY(rec->run.started)) return answer_more(t, rec, items, n);
  return answer_items(t, rec, items, n, -1);
}

int wsgi_answer(core_thread *t, core_record *rec, PyObject *result) {
  int how = answer(t, rec, result);
  if (UNLIKELY(how < 0) && !rec->run.result && !PyDict_Check(result) && !PyList_CheckExact(result)) {
    PyObject *type, *value, *tb; /* close() must also be called after an exception */
    PyErr_Fetch(&type, &value, &tb);
    wsgi_close_result(rec, result);
    PyErr_Restore(type, value, tb);
  }
  return how;
}
