/* Files as responses: the event loop sends regular files by their descriptor, and all other file-like objects are read
 * in blocks. */
#include "wsgi.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <structmember.h>
#include <sys/stat.h>
#include <unistd.h>

#define BLOCK 65536

/* --- wsgi.file_wrapper ----------------------------------------------------- */

typedef struct {
  PyObject_HEAD PyObject *filelike;
  Py_ssize_t block_size;
} wrapper_object;

static PyObject *wrapper_new(PyTypeObject *type, PyObject *args, PyObject *kw) {
  static char *names[] = {"filelike", "block_size", NULL};
  PyObject *filelike;
  Py_ssize_t block = BLOCK;
  if (!PyArg_ParseTupleAndKeywords(args, kw, "O|n:FileWrapper", names, &filelike, &block)) return NULL;
  wrapper_object *w = (wrapper_object *)type->tp_alloc(type, 0);
  if (!w) return NULL;
  w->filelike = Py_NewRef(filelike);
  w->block_size = block > 0 ? block : BLOCK;
  return (PyObject *)w;
}

static int wrapper_traverse(PyObject *self, visitproc visit, void *arg) {
  Py_VISIT(((wrapper_object *)self)->filelike);
  return 0;
}

static int wrapper_clear(PyObject *self) {
  Py_CLEAR(((wrapper_object *)self)->filelike);
  return 0;
}

static void wrapper_dealloc(PyObject *self) {
  PyObject_GC_UnTrack(self);
  wrapper_clear(self);
  Py_TYPE(self)->tp_free(self);
}

static PyObject *wrapper_next(PyObject *self) {
  wrapper_object *w = (wrapper_object *)self;
  PyObject *block = PyObject_CallMethod(w->filelike, "read", "n", w->block_size);
  if (!block) return NULL;
  Py_ssize_t n = PyObject_Size(block);
  if (n > 0) return block;
  Py_DECREF(block);
  return NULL;
}

static PyObject *wrapper_close(PyObject *self, PyObject *none) {
  return wsgi_close(((wrapper_object *)self)->filelike);
}

static PyMethodDef wrapper_methods[] = {{"close", wrapper_close, METH_NOARGS, "close(): closes the wrapped file."},
                                        {NULL, NULL, 0, NULL}};

static PyMemberDef wrapper_members[] = {
    {"filelike", T_OBJECT, offsetof(wrapper_object, filelike), READONLY, "The wrapped object."},
    {"block_size", T_PYSSIZET, offsetof(wrapper_object, block_size), READONLY, "Bytes to read at a time."},
    {NULL, 0, 0, 0, NULL}};

PyTypeObject wsgi_FileWrapper_Type = {
    PyVarObject_HEAD_INIT(NULL, 0).tp_name = "_fapws.FileWrapper",
    .tp_basicsize = sizeof(wrapper_object),
    .tp_dealloc = wrapper_dealloc,
    .tp_flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC,
    .tp_doc = "FileWrapper(filelike, block_size=65536): wsgi.file_wrapper of PEP 3333.",
    .tp_traverse = wrapper_traverse,
    .tp_clear = wrapper_clear,
    .tp_iter = PyObject_SelfIter,
    .tp_iternext = wrapper_next,
    .tp_methods = wrapper_methods,
    .tp_members = wrapper_members,
    .tp_new = wrapper_new,
};

PyObject *wsgi_blocks(PyObject *obj) {
  PyObject *read = PyObject_GetAttrString(obj, "read");
  int callable = read && PyCallable_Check(read);
  Py_XDECREF(read);
  PyErr_Clear();
  return callable ? PyObject_CallOneArg((PyObject *)&wsgi_FileWrapper_Type, obj) : NULL;
}

static int is_exactly(PyObject *o, const char *name, PyObject **cache) {
  PyObject *type = __atomic_load_n(cache, __ATOMIC_ACQUIRE);
  if (!type) {
    type = core_import("_io", name); /* a different thread can store the same type at the same time */
    PyErr_Clear();
    __atomic_store_n(cache, type, __ATOMIC_RELEASE);
  }
  return (PyObject *)Py_TYPE(o) == type;
}

/* Returns a new reference to an attribute of o, or NULL with an exception, and steals the reference to o. */
static PyObject *inside(PyObject *o, const char *name) {
  PyObject *inner = PyObject_GetAttrString(o, name);
  Py_DECREF(o);
  return inner;
}

/* Returns a new reference to the file object o, or to the file that o wraps, if it is an object of module io that reads
 * directly from a descriptor. Otherwise returns NULL without an exception. Classes of other modules are not accepted,
 * because their read() can return different bytes than the descriptor. For example, the read() of a GzipFile returns
 * decompressed bytes. */
static PyObject *real_file(PyObject *o) {
  static PyObject *file_io, *reader, *random_, *text;
  if (Py_TYPE(o) == &wsgi_FileWrapper_Type) o = ((wrapper_object *)o)->filelike;
  Py_INCREF(o);
  if (strcmp(Py_TYPE(o)->tp_name, "_TemporaryFileWrapper") == 0) o = inside(o, "file"); /* class of module tempfile */
  PyObject *bottom = Py_XNewRef(o);
  if (bottom && is_exactly(bottom, "TextIOWrapper", &text)) bottom = inside(bottom, "buffer");
  if (bottom && (is_exactly(bottom, "BufferedReader", &reader) || is_exactly(bottom, "BufferedRandom", &random_)))
    bottom = inside(bottom, "raw");
  if (!bottom || !is_exactly(bottom, "FileIO", &file_io)) Py_CLEAR(o);
  Py_XDECREF(bottom);
  PyErr_Clear();
  return o;
}

static int64_t number_from(PyObject *o, const char *method) {
  PyObject *n = PyObject_CallMethod(o, method, NULL);
  int64_t value = n ? PyLong_AsLongLong(n) : -1;
  Py_XDECREF(n);
  PyErr_Clear();
  return value;
}

static int put_name(core_part *p, PyObject *file) {
  PyObject *name = PyObject_GetAttrString(file, "name");
  PyObject *bytes = name && PyUnicode_Check(name) ? PyUnicode_EncodeFSDefault(name) : NULL;
  Py_XDECREF(name);
  PyErr_Clear();
  if (!bytes) return 0;
  int bad = core_part_put(p, PyBytes_AS_STRING(bytes), (size_t)PyBytes_GET_SIZE(bytes), &p->name_off, &p->name_len);
  Py_DECREF(bytes);
  return bad;
}

int wsgi_has_size(int fd, const struct stat *st) {
  char byte;
  if (st->st_blocks) return 1;
  return pread(fd, &byte, 1, st->st_size) <= 0 && (!st->st_size || pread(fd, &byte, 1, st->st_size - 1) == 1);
}

static int is_regular(int64_t fd, int64_t at, struct stat *st) {
  return fd >= 0 && at >= 0 && fstat((int)fd, st) == 0 && S_ISREG(st->st_mode);
}

int wsgi_file_part(PyObject *result, wsgi_start_object *s, core_part *p) {
  PyObject *file = real_file(result);
  if (!file) return 0;
  struct stat st;
  int64_t fd = number_from(file, "fileno"), at = fd >= 0 ? number_from(file, "tell") : -1;
  int is_real = is_regular(fd, at, &st), copy = -1;
  if (is_real && !wsgi_has_size((int)fd, &st)) {
    is_real = 0;
    /* Frameworks set Content-Length to the size that fstat returns, but this size is wrong. */
    if (s->length == st.st_size || s->length == st.st_size - at) s->length = -1;
  }
  if (is_real) copy = fcntl((int)fd, F_DUPFD_CLOEXEC, 3);
  Py_DECREF(file);
  if (!is_real) return 0;
  if (copy < 0) return PyErr_SetFromErrno(PyExc_OSError), -1;
  if (put_name(p, Py_TYPE(result) == &wsgi_FileWrapper_Type ? ((wrapper_object *)result)->filelike : result) < 0) {
    close(copy);
    return -1;
  }
  p->file = copy;
  p->offset = at;
  p->count = st.st_size > at ? st.st_size - at : 0;
  return 1;
}
