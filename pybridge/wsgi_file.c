/* Files as responses: the event loop sends regular files by their descriptor, and all other file-like objects are read
 * in blocks. */
#include "wsgi.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

PyTypeObject *wsgi_file_wrapper;

int wsgi_file_init(void) {
  wsgi_file_wrapper = (PyTypeObject *)core_import("fapws._file", "FileWrapper");
  return wsgi_file_wrapper ? 0 : -1;
}

/* Returns a new reference to the file-like object inside a FileWrapper, or to o itself if o is no FileWrapper. */
static PyObject *unwrapped(PyObject *o) {
  return Py_TYPE(o) == wsgi_file_wrapper ? PyObject_GetAttrString(o, "filelike") : Py_NewRef(o);
}

PyObject *wsgi_blocks(PyObject *obj) {
  PyObject *read = PyObject_GetAttrString(obj, "read");
  int callable = read && PyCallable_Check(read);
  Py_XDECREF(read);
  PyErr_Clear();
  return callable ? PyObject_CallOneArg((PyObject *)wsgi_file_wrapper, obj) : NULL;
}

static int is_a(PyObject *o, const char *type) { return o && strcmp(Py_TYPE(o)->tp_name, type) == 0; }

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
  if (!(o = unwrapped(o))) return PyErr_Clear(), NULL;
  if (is_a(o, "_TemporaryFileWrapper")) o = inside(o, "file"); /* class of module tempfile */
  PyObject *bottom = Py_XNewRef(o);
  if (is_a(bottom, "_io.TextIOWrapper")) bottom = inside(bottom, "buffer");
  if (is_a(bottom, "_io.BufferedReader") || is_a(bottom, "_io.BufferedRandom")) bottom = inside(bottom, "raw");
  if (!is_a(bottom, "_io.FileIO")) Py_CLEAR(o);
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

static int put_name(core_part *p, PyObject *result) {
  PyObject *file = unwrapped(result), *name = file ? PyObject_GetAttrString(file, "name") : NULL;
  PyObject *bytes = name && PyUnicode_Check(name) ? PyUnicode_EncodeFSDefault(name) : NULL;
  Py_XDECREF(name);
  Py_XDECREF(file);
  PyErr_Clear();
  if (!bytes) return 0;
  int bad = core_part_put(p, PyBytes_AS_STRING(bytes), (size_t)PyBytes_GET_SIZE(bytes), &p->name_off, &p->name_len);
  Py_DECREF(bytes);
  return bad;
}

static int is_regular(int64_t fd, int64_t at, struct stat *st) {
  return fd >= 0 && at >= 0 && fstat((int)fd, st) == 0 && S_ISREG(st->st_mode);
}

int wsgi_file_part(PyObject *result, core_response *s, core_part *p) {
  PyObject *file = real_file(result);
  if (!file) return 0;
  struct stat st;
  int64_t fd = number_from(file, "fileno"), at = fd >= 0 ? number_from(file, "tell") : -1;
  int is_real = is_regular(fd, at, &st), copy = -1;
  if (is_real && !core_has_size((int)fd, &st)) {
    is_real = 0;
    /* Frameworks set Content-Length to the size that fstat returns, but this size is wrong. */
    if (s->length == st.st_size || s->length == st.st_size - at) s->length = -1;
  }
  if (is_real) copy = fcntl((int)fd, F_DUPFD_CLOEXEC, 3);
  Py_DECREF(file);
  if (!is_real) return 0;
  if (copy < 0) return PyErr_SetFromErrno(PyExc_OSError), -1;
  if (put_name(p, result) < 0) {
    close(copy);
    return -1;
  }
  p->file = copy;
  p->offset = at;
  p->count = st.st_size > at ? st.st_size - at : 0;
  return 1;
}
