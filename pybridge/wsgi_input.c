/* The class of wsgi.input, which reads the body of a request from the memory of its record or from a file. */
#include "wsgi.h"

#include <structmember.h>
#include <unistd.h>

#define BLOCK 65536

typedef struct {
  PyObject_HEAD core_record *rec;
  int64_t pos;
  PyObject *block; /* owned: the block of the file in which line_length last searched for a newline, or NULL */
  int64_t block_at;
  int readers; /* number of threads that are reading the file without the GIL */
  /* Descriptor of the file if the exchange ended while threads were reading the file, otherwise -1. The last of these
   * threads closes the descriptor. */
  int left;
} input_object;

static int64_t remaining(const input_object *in) { return in->rec ? in->rec->req.size - in->pos : 0; }

static int64_t limit_of(const input_object *in, int64_t size) {
  int64_t left = remaining(in);
  return size < 0 || size > left ? left : size;
}

static int64_t in_block(const input_object *in, int64_t at) {
  int64_t n = in->block ? in->block_at + PyBytes_GET_SIZE(in->block) - at : 0;
  return at >= in->block_at && n > 0 ? n : 0;
}

static PyObject *read_file(input_object *in, int64_t at, int64_t n) {
  in->readers++;
  PyObject *bytes = core_read_spool(in->rec->run.spool, at, n);
  if (--in->readers == 0 && UNLIKELY(in->left >= 0)) close(in->left), in->left = -1;
  return bytes;
}

static PyObject *read_at(input_object *in, int64_t at, int64_t n) {
  const core_record *rec = in->rec;
  if (!rec) return PyBytes_FromStringAndSize(NULL, 0);
  if (rec->run.spool < 0) return PyBytes_FromStringAndSize(rec->req.body + at, (Py_ssize_t)n);
  if (n > in_block(in, at)) return read_file(in, at, n);
  return PyBytes_FromStringAndSize(PyBytes_AS_STRING(in->block) + (at - in->block_at), (Py_ssize_t)n);
}

static PyObject *take(input_object *in, int64_t n) {
  if (n <= 0) return PyBytes_FromStringAndSize(NULL, 0);
  PyObject *bytes = read_at(in, in->pos, n);
  if (bytes) in->pos += n;
  return bytes;
}

/* Stores the optional argument size in *size; None and negative numbers mean that all bytes are read. */
static int size_argument(PyObject *const *args, Py_ssize_t nargs, const char *name, int64_t *size) {
  *size = -1;
  if (nargs > 1) return core_raise(PyExc_TypeError, "%s() takes at most 1 argument (%zd given)", name, nargs);
  if (nargs == 0 || args[0] == Py_None) return 0;
  *size = PyNumber_AsSsize_t(args[0], NULL);
  return *size == -1 && PyErr_Occurred() ? -1 : 0;
}

static PyObject *input_read(PyObject *self, PyObject *const *args, Py_ssize_t nargs) {
  input_object *in = (input_object *)self;
  int64_t size;
  if (size_argument(args, nargs, "read", &size) < 0) return NULL;
  return CORE_HELD(self, take(in, limit_of(in, size)));
}

static int64_t line_length(input_object *in, int64_t limit) {
  core_record *rec = in->rec;
  if (rec->run.spool < 0) {
    const char *start = rec->req.body + in->pos;
    const char *nl = memchr(start, '\n', (size_t)limit);
    return nl ? nl - start + 1 : limit;
  }
  /* remaining() becomes 0 if the request ends during a read. */
  for (int64_t seen = 0; seen < limit && seen < remaining(in);) {
    int64_t at = in->pos + seen, n = in_block(in, at);
    if (!n) {
      PyObject *block = read_file(in, at, rec->req.size - at < BLOCK ? rec->req.size - at : BLOCK);
      if (!block) return -1;
      Py_XSETREF(in->block, block);
      in->block_at = at;
      continue;
    }
    if (n > limit - seen) n = limit - seen;
    const char *start = PyBytes_AS_STRING(in->block) + (at - in->block_at), *nl = memchr(start, '\n', (size_t)n);
    if (nl) return seen + (nl - start) + 1;
    seen += n;
  }
  return limit;
}

static PyObject *next_line(input_object *in, int64_t size) {
  int64_t limit = limit_of(in, size);
  if (limit <= 0) return PyBytes_FromStringAndSize(NULL, 0);
  int64_t n = line_length(in, limit);
  return n < 0 ? NULL : take(in, n);
}

static PyObject *input_readline(PyObject *self, PyObject *const *args, Py_ssize_t nargs) {
  int64_t size;
  if (size_argument(args, nargs, "readline", &size) < 0) return NULL;
  return CORE_HELD(self, next_line((input_object *)self, size));
}

static PyObject *input_readlines(PyObject *self, PyObject *const *args, Py_ssize_t nargs) {
  input_object *in = (input_object *)self;
  int64_t hint, total = 0;
  if (size_argument(args, nargs, "readlines", &hint) < 0) return NULL;
  PyObject *lines = PyList_New(0);
  CORE_BEGIN_HOLD(self);
  while (lines && remaining(in) > 0 && (hint <= 0 || total < hint)) {
    PyObject *line = next_line(in, -1);
    if (line) total += PyBytes_GET_SIZE(line);
    if (core_append(lines, line) < 0) Py_CLEAR(lines);
  }
  CORE_END_HOLD();
  return lines;
}

static PyObject *input_next(PyObject *self) {
  input_object *in = (input_object *)self;
  return CORE_HELD(self, remaining(in) > 0 ? next_line(in, -1) : NULL);
}

static PyObject *input_getvalue(PyObject *self, PyObject *none) {
  input_object *in = (input_object *)self;
  return CORE_HELD(self, read_at(in, 0, in->rec ? in->rec->req.size : 0));
}

static void input_dealloc(PyObject *self) {
  Py_XDECREF(((input_object *)self)->block);
  PyObject_Free(self);
}

static PyMethodDef input_methods[] = {
    {"read", (PyCFunction)(void (*)(void))input_read, METH_FASTCALL,
     "read([size]) -> bytes: at most size bytes of the body, all that is left without size; b'' at its end."},
    {"readline", (PyCFunction)(void (*)(void))input_readline, METH_FASTCALL,
     "readline([size]) -> bytes: up to and including the next newline, at most size bytes; b'' at the end."},
    {"readlines", (PyCFunction)(void (*)(void))input_readlines, METH_FASTCALL,
     "readlines([hint]) -> list of bytes: the lines that are left, about hint bytes if it is positive."},
    {"getvalue", input_getvalue, METH_NOARGS,
     "getvalue() -> bytes: the whole body, wherever reading stands, which does not change."},
    {NULL, NULL, 0, NULL}};

PyTypeObject wsgi_Input_Type = {
    PyVarObject_HEAD_INIT(NULL, 0).tp_name = "_fapws.Input",
    .tp_basicsize = sizeof(input_object),
    .tp_dealloc = input_dealloc,
    .tp_flags = Py_TPFLAGS_DEFAULT,
    .tp_doc = "The body of a request (PEP 3333, wsgi.input). It has arrived whole before the handler runs.",
    .tp_iter = PyObject_SelfIter,
    .tp_iternext = input_next,
    .tp_methods = input_methods,
};

PyObject *wsgi_input_new(core_record *rec) {
  input_object *in = (input_object *)PyType_GenericAlloc(&wsgi_Input_Type, 0);
  if (!in) return NULL;
  in->rec = rec;
  in->left = -1;
  return (PyObject *)in;
}

void wsgi_input_detach(PyObject *input) {
  input_object *in = (input_object *)input;
  CORE_BEGIN_HOLD(input);
  if (UNLIKELY(in->readers && in->rec)) in->left = in->rec->run.spool, in->rec->run.spool = -1;
  in->rec = NULL;
  Py_CLEAR(in->block);
  CORE_END_HOLD();
}

/* --- a socket to the client -------------------------------------------------
 *
 * environ['werkzeug.socket'] is a socket to the client, for an application that implements WebSocket itself
 * (contrib/fapws/_detachedsocket.py). */

int wsgi_expose_socket(core_record *rec) {
  rec->run.socket_object =
      core_call("fapws._detachedsocket", "offer", "(Oi)", (PyObject *)rec->run.environ, (int)rec->run.socket);
  if (!rec->run.socket_object) return -1;
  rec->run.socket = 0;
  return 0;
}

int wsgi_socket_was_used(core_record *rec) {
  PyObject *used = rec->run.socket_object ? PyObject_GetAttrString(rec->run.socket_object, "used") : NULL;
  int yes = used == Py_True;
  Py_XDECREF(used);
  PyErr_Clear();
  return yes;
}

void wsgi_close_socket(core_record *rec) {
  if (rec->run.socket > 0) close(rec->run.socket);
  rec->run.socket = 0;
  if (!rec->run.socket_object) return;
  PyObject *type, *value, *tb;
  PyErr_Fetch(&type, &value, &tb);
  PyObject *used = PyObject_CallMethod(rec->run.socket_object, "end", NULL);
  if (!used) PyErr_WriteUnraisable(rec->run.socket_object);
  rec->run.taken = !used || used == Py_True;
  Py_XDECREF(used);
  Py_CLEAR(*(PyObject **)&rec->run.socket_object);
  PyErr_Restore(type, value, tb);
}
