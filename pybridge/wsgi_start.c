/* The class of start_response: the callable of PEP 3333, with the additional methods that it has in Fapws4.
 *
 * Fields are validated at once, and stored in the form in which they are sent, without Python objects. When the
 * application reads the attribute response_headers, the fields are copied to a list, which from then on replaces the
 * stored fields. */
#include "wsgi.h"

#include <stdlib.h>
#include <string.h>
#include <structmember.h>

static int set_status(core_response *s, PyObject *status) {
  if (PyLong_Check(status)) {
    long code = PyLong_AsLong(status);
    if (code < 200 || code > 999) {
      PyErr_Clear();
      return core_raise(PyExc_ValueError, "status %R is not a number from 200 to 999", status);
    }
    s->status = (int)code;
    Py_CLEAR(s->reason);
    return 0;
  }
  Py_ssize_t n;
  const char *text = core_latin1_text(status, "status", &n);
  if (!text) return -1;
  int digits = n >= 3 && text[0] >= '2' && text[0] <= '9' && text[1] >= '0' && text[1] <= '9' && text[2] >= '0' &&
               text[2] <= '9';
  if (UNLIKELY(!digits || (n > 3 && text[3] != ' ') || !core_clean_value(text, n)))
    return core_raise(PyExc_ValueError, "status %.200R must have the form '200 OK'", status);
  s->status = (text[0] - '0') * 100 + (text[1] - '0') * 10 + (text[2] - '0');
  Py_XSETREF(s->reason, Py_NewRef(status));
  return 0;
}

static PyMethodDef write_method = {
    "write", wsgi_write, METH_O,
    "write(data): sends bytes (or str, as UTF-8) immediately, before the handler's return value."};

static int raise_exc_info(PyObject *exc_info) {
  int shaped = PyTuple_Check(exc_info) && PyTuple_GET_SIZE(exc_info) == 3;
  PyObject *type = shaped ? PyTuple_GET_ITEM(exc_info, 0) : NULL, *tb = shaped ? PyTuple_GET_ITEM(exc_info, 2) : NULL;
  if (!shaped || !PyExceptionClass_Check(type) || (tb != Py_None && !PyTraceBack_Check(tb)))
    return core_raise(PyExc_TypeError,
                      "exc_info must be a tuple (type, value, traceback) as of sys.exc_info(), not %.200R", exc_info);
  return core_raise_given(type, PyTuple_GET_ITEM(exc_info, 1), tb);
}

/* Applies the parameter exc_info of start_response (PEP 3333): if the head was sent, raises the exception, otherwise
 * permits the application to replace the head. */
static int apply_exc_info(core_response *s, PyObject *exc_info) {
  if (UNLIKELY(exc_info && exc_info != Py_None)) {
    if (s->sent) return raise_exc_info(exc_info);
    if (s->called) {
      Py_CLEAR(s->list);
      core_forget_fields(s);
    }
    return 0;
  }
  if (UNLIKELY(s->called))
    return core_raise(PyExc_AssertionError, "start_response() was already called; a second call needs exc_info");
  if (UNLIKELY(s->sent))
    return core_raise(PyExc_AssertionError,
                      "start_response() must be called before the first byte of the body is returned");
  return 0;
}

/* Sets the status and the fields. A failure changes neither, so the application can still send an error page with the
 * fields that it set earlier. */
static int begin_head(core_response *s, PyObject *status, PyObject *headers) {
  core_response before = *s;
  char *kept = NULL;
  if (UNLIKELY(before.len)) {
    if (!(kept = malloc(before.len))) return PyErr_NoMemory(), -1;
    memcpy(kept, s->buf, before.len);
  }
  int bad = core_add_fields(s, headers) < 0 || set_status(s, status) < 0;
  if (UNLIKELY(bad)) {
    if (kept) memcpy(s->buf, kept, before.len);
    s->len = before.len;
    s->length = before.length;
    s->has_type = before.has_type;
    s->has_date = before.has_date;
    s->has_server = before.has_server;
    s->close_conn = before.close_conn;
    s->sends = before.sends;
    s->joins = before.joins;
  }
  free(kept);
  return -bad;
}

static PyObject *begin_held(core_response *s, PyObject *status, PyObject *headers, PyObject *exc_info) {
  if (apply_exc_info(s, exc_info) < 0 || core_settle_fields(s) < 0) return NULL;
  Py_CLEAR(s->list);
  if (begin_head(s, status, headers) < 0) return NULL;
  s->called = 1;
  return PyCFunction_New(&write_method, (PyObject *)s);
}

static PyObject *begin_response(core_response *s, PyObject *status, PyObject *headers, PyObject *exc_info) {
  return CORE_HELD(s, begin_held(s, status, headers, exc_info));
}

static PyObject *start_call(PyObject *self, PyObject *args, PyObject *kw) {
  static char *names[] = {"status", "headers", "exc_info", NULL};
  PyObject *status, *headers, *exc_info = NULL;
  if (!PyArg_ParseTupleAndKeywords(args, kw, "OO|O:start_response", names, &status, &headers, &exc_info)) return NULL;
  return begin_response((core_response *)self, status, headers, exc_info);
}

static PyObject *start_vectorcall(PyObject *self, PyObject *const *args, size_t nargsf, PyObject *kwnames) {
  Py_ssize_t n = PyVectorcall_NARGS(nargsf);
  if (LIKELY(!kwnames && (n == 2 || n == 3)))
    return begin_response((core_response *)self, args[0], args[1], n == 3 ? args[2] : NULL);
  static PyMethodDef any = {"start_response", (PyCFunction)(void (*)(void))start_call, METH_VARARGS | METH_KEYWORDS,
                            NULL};
  PyObject *f = PyCFunction_New(&any, self), *result = f ? PyObject_Vectorcall(f, args, (size_t)n, kwnames) : NULL;
  Py_XDECREF(f);
  return result;
}

static PyObject *start_add_header(PyObject *self, PyObject *const *args, Py_ssize_t nargs) {
  core_response *s = (core_response *)self;
  if (nargs != 2) return PyErr_Format(PyExc_TypeError, "add_header(name, value) takes 2 arguments");
  PyObject *name = PyObject_Str(args[0]), *value = name ? PyObject_Str(args[1]) : NULL;
  int bad = !value;
  CORE_BEGIN_HOLD(self);
  bad = bad || core_settle_fields(s) < 0;
  if (!bad) Py_CLEAR(s->list);
  bad = bad || core_add_field(s, name, value) < 0;
  CORE_END_HOLD();
  Py_XDECREF(name);
  Py_XDECREF(value);
  if (bad) return NULL;
  Py_RETURN_NONE;
}

/* Calls a function of fapws._cookies (RFC 6265), a module that is only imported when a cookie is set. */
static PyObject *add_cookie(PyObject *self, const char *function, PyObject *args, PyObject *kw) {
  PyObject *text = core_call_with(core_import("fapws._cookies", function), Py_NewRef(args), Py_XNewRef(kw));
  PyObject *done = text ? PyObject_CallMethod(self, "add_header", "sO", "Set-Cookie", text) : NULL;
  Py_XDECREF(text);
  return done;
}

static PyObject *start_set_cookie(PyObject *self, PyObject *args, PyObject *kw) {
  return add_cookie(self, "cookie", args, kw);
}

static PyObject *start_delete_cookie(PyObject *self, PyObject *args, PyObject *kw) {
  return add_cookie(self, "deleted_cookie", args, kw);
}

/* --- for a process of --fork (contrib/fapws/_fork.py) ------------------------ */

static PyObject *start_serve(PyObject *self, PyObject *sink) {
  core_response *s = (core_response *)self;
  Py_XSETREF(s->sink, Py_NewRef(sink));
  Py_RETURN_NONE;
}

/* Implements _head(channel), which returns the head as a tuple (status, reason, fields, length, has_type, body), and
 * marks the head as sent. The parameter channel is a ChannelAnswer, which has a body, or None. */
static PyObject *start_head(PyObject *self, PyObject *channel) {
  core_response *s = (core_response *)self;
  int joins = Py_TYPE(channel) == &wsgi_ChannelAnswer_Type;
  if (joins ? wsgi_channel_head(s, channel) < 0 : core_settle_fields(s) < 0) return NULL;
  s->sent = 1;
  Py_ssize_t n = s->reason ? PyUnicode_GET_LENGTH(s->reason) : 0;
  return Py_BuildValue("(iy#y#LiN)", s->status, n > 4 ? (const char *)PyUnicode_1BYTE_DATA(s->reason) + 4 : "",
                       n > 4 ? n - 4 : 0, s->buf ? s->buf : "", (Py_ssize_t)s->len, (long long)s->length, s->has_type,
                       joins ? Py_NewRef(((wsgi_channel_object *)channel)->start) : PyBytes_FromStringAndSize(NULL, 0));
}

static PyMethodDef start_methods[] = {
    {"_serve", start_serve, METH_O, NULL},
    {"_head", start_head, METH_O, NULL},
    {"add_header", (PyCFunction)(void (*)(void))start_add_header, METH_FASTCALL,
     "add_header($self, name, value, /)\n--\n\n"
     "Adds a field to the response, before or after the call of start_response."},
    {"set_cookie", (PyCFunction)(void (*)(void))start_set_cookie, METH_VARARGS | METH_KEYWORDS,
     "set_cookie($self, key, value='', max_age=None, expires=None, path='/', domain=None, secure=False, "
     "httponly=False, samesite=None)\n--\n\n"
     "Adds a Set-Cookie header (RFC 6265)."},
    {"delete_cookie", (PyCFunction)(void (*)(void))start_delete_cookie, METH_VARARGS | METH_KEYWORDS,
     "delete_cookie($self, key, path='/', domain=None)\n--\n\n"
     "Adds a Set-Cookie field that deletes the cookie in the browser."},
    {"write", wsgi_write, METH_O,
     "write($self, data, /)\n--\n\n"
     "Sends bytes immediately (PEP 3333). Calling start_response returns this method."},
    {NULL, NULL, 0, NULL}};

static PyObject *get_status_code(PyObject *self, void *closure) {
  return PyLong_FromLong(((core_response *)self)->status);
}

static int set_status_code(PyObject *self, PyObject *value, void *closure) {
  if (!value) return core_raise(PyExc_TypeError, "status_code cannot be deleted");
  return CORE_HELD(self, set_status((core_response *)self, value));
}

static PyObject *headers_held(core_response *s) {
  if (!s->list) {
    PyObject *list = PyList_New(0);
    for (const char *line = s->buf, *end = s->buf + s->len; list && line < end;) {
      const char *next = memchr(line, '\n', (size_t)(end - line)), *colon = memchr(line, ':', (size_t)(next - line));
      PyObject *pair = Py_BuildValue("NN", PyUnicode_DecodeLatin1(line, colon - line, NULL),
                                     PyUnicode_DecodeLatin1(colon + 2, next - 1 - (colon + 2), NULL));
      if (core_append(list, pair) < 0) Py_CLEAR(list);
      line = next + 1;
    }
    if (list && s->length >= 0) {
      PyObject *pair = Py_BuildValue("sN", "Content-Length", PyUnicode_FromFormat("%lld", (long long)s->length));
      if (core_append(list, pair) < 0) Py_CLEAR(list);
    }
    s->list = list;
  }
  return Py_XNewRef(s->list);
}

static PyObject *get_response_headers(PyObject *self, void *closure) {
  return CORE_HELD(self, headers_held((core_response *)self));
}

static int set_response_headers(PyObject *self, PyObject *value, void *closure) {
  core_response *s = (core_response *)self;
  PyObject *list = value ? PySequence_List(value) : PyList_New(0);
  if (!list) return -1;
  CORE_BEGIN_HOLD(self);
  Py_XSETREF(s->list, list);
  CORE_END_HOLD();
  return 0;
}

static PyGetSetDef start_getset[] = {
    {"status_code", get_status_code, set_status_code, "The status as a number, 200 unless set.", NULL},
    {"response_headers", get_response_headers, set_response_headers, "The headers so far, a list of (name, value).",
     NULL},
    {NULL, NULL, NULL, NULL, NULL}};

static PyObject *start_new(PyTypeObject *type, PyObject *args, PyObject *kw) {
  core_response *s = (core_response *)type->tp_alloc(type, 0);
  if (s) {
    s->vectorcall = start_vectorcall;
    s->status = 200;
    s->length = -1;
  }
  return (PyObject *)s;
}

static int start_traverse(PyObject *self, visitproc visit, void *arg) {
  core_response *s = (core_response *)self;
  Py_VISIT(s->list);
  Py_VISIT(s->sink);
  return 0;
}

static int start_clear(PyObject *self) {
  Py_CLEAR(((core_response *)self)->list);
  return 0;
}

static void start_dealloc(PyObject *self) {
  core_response *s = (core_response *)self;
  PyObject_GC_UnTrack(self);
  start_clear(self);
  Py_CLEAR(s->reason);
  free(s->buf);
  Py_TYPE(self)->tp_free(self);
}

PyTypeObject wsgi_Start_Type = {
    PyVarObject_HEAD_INIT(NULL, 0).tp_name = "_fapws.Start_response",
    .tp_basicsize = sizeof(core_response),
    .tp_dealloc = start_dealloc,
    .tp_call = start_call,
    .tp_vectorcall_offset = offsetof(core_response, vectorcall),
    .tp_flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_HAVE_GC | CORE_HAVE_VECTORCALL,
    .tp_doc = "Begins the response, as in PEP 3333, and returns write. The other methods are those of Fapws4.",
    .tp_traverse = start_traverse,
    .tp_clear = start_clear,
    .tp_methods = start_methods,
    .tp_getset = start_getset,
    .tp_new = start_new,
};

PyObject *wsgi_start_for(core_thread *t, core_record *rec, PyObject *cls) {
  PyObject *self = NULL;
  if (!cls) {
    self = t->spare_start;
    t->spare_start = NULL;
    if (!self) self = start_new(&wsgi_Start_Type, NULL, NULL);
  } else {
    self = PyObject_CallNoArgs(cls);
    if (self && !PyObject_TypeCheck(self, &wsgi_Start_Type)) {
      PyErr_Format(PyExc_TypeError, "Start_response() returned a %.100s", Py_TYPE(self)->tp_name);
      Py_CLEAR(self);
    }
  }
  if (self) {
    ((core_response *)self)->rec = rec;
    ((core_response *)self)->ends = 0;
  }
  return self;
}

void wsgi_start_done(core_thread *t, PyObject *self) {
  core_response *s = (core_response *)self;
  s->rec = NULL;
  if (core_is_only_reference(self) && Py_TYPE(self) == &wsgi_Start_Type && !t->spare_start && s->cap <= 8192) {
    Py_CLEAR(s->list);
    Py_CLEAR(s->reason);
    core_forget_fields(s);
    s->status = 200;
    s->called = s->sent = 0;
    t->spare_start = self;
    return;
  }
  Py_DECREF(self);
}
