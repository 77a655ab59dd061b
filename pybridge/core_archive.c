/* The Python package fapws inside the program: build.sh links an archive into it, which scripts/archive.py makes. A
 * program without the archive, such as a test, imports package fapws as any other package. The archive of a program for
 * musl also has Python's standard library. A second archive can be mapped from a file: `fapws bundle` appends one to
 * the program (contrib/fapws/_bundle.py). */
#include "core.h"

#include <errno.h>
#include <fcntl.h>
#include <marshal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* A module. Positions are in bytes from the beginning of the archive. If full_size is not 0, the code is compressed
 * (zlib), and full_size is its size after decompression. The source is always compressed; source_size is 0 if the
 * archive does not have it. The lowest bit of kind is set for a package; the other bits name the folder of the module
 * (_finder.py), or are 0. */
typedef struct {
  uint32_t name, code, code_size, full_size, source, source_size, kind;
} module;

/* All numbers are little-endian. The modules are sorted by their names, which end with NUL. The code is in the form of
 * the module marshal. */
typedef struct {
  char format[8];
  unsigned char python[4]; /* the Python of the code, as PyImport_GetMagicNumber returns it */
  uint32_t n;
  module modules[];
} archive;

/* Weak, because some programs have no archive. */
extern const archive core_archive __attribute__((weak));

/* The archive that core_map_archive has mapped, or NULL. Set before Python starts. */
static const archive *mapped;

/* A module with its archive; m is NULL if the module does not exist. */
typedef struct {
  const archive *in;
  const module *m;
} place;

static const char *at(const archive *a, uint32_t position) { return (const char *)a + position; }

static place find_text(const char *name) {
  const archive *all[] = {&core_archive, mapped};
  for (int i = 0; i < 2; i++) {
    for (uint32_t low = 0, high = all[i] ? all[i]->n : 0; low < high;) {
      uint32_t middle = low + (high - low) / 2;
      const module *m = &all[i]->modules[middle];
      int order = strcmp(name, at(all[i], m->name));
      if (order == 0) return (place){all[i], m};
      if (order < 0)
        high = middle;
      else
        low = middle + 1;
    }
  }
  return (place){NULL, NULL};
}

static place find(PyObject *name) {
  const char *text = PyUnicode_AsUTF8(name);
  if (!text) PyErr_Clear(); /* a name that is not valid UTF-8 */
  return text ? find_text(text) : (place){NULL, NULL};
}

/* Returns the decompressed bytes of an archive; size is their number, or 0 if it is unknown. */
static PyObject *decompressed(place p, uint32_t position, uint32_t packed, uint32_t size) {
  return core_call("zlib", "decompress", "(y#in)", at(p.in, position), (Py_ssize_t)packed, 15,
                   (Py_ssize_t)(size ? size : 4 * (Py_ssize_t)packed + 1));
}

static PyObject *source_of(place p) {
  if (!p.m->source_size) Py_RETURN_NONE;
  PyObject *bytes = decompressed(p, p.m->source, p.m->source_size, 0);
  PyObject *source = bytes ? PyUnicode_DecodeUTF8(PyBytes_AS_STRING(bytes), PyBytes_GET_SIZE(bytes), NULL) : NULL;
  Py_XDECREF(bytes);
  return source;
}

/* Compiles the source if the code is for another version of Python. */
static PyObject *code_of(place p) {
  const module *m = p.m;
  if (m->full_size) {
    PyObject *bytes = decompressed(p, m->code, m->code_size, m->full_size);
    PyObject *code = bytes ? PyMarshal_ReadObjectFromString(PyBytes_AS_STRING(bytes), PyBytes_GET_SIZE(bytes)) : NULL;
    Py_XDECREF(bytes);
    return code;
  }
  const unsigned char *v = p.in->python;
  if (PyImport_GetMagicNumber() == (long)(v[0] | v[1] << 8 | v[2] << 16 | (uint32_t)v[3] << 24))
    return PyMarshal_ReadObjectFromString(at(p.in, m->code), m->code_size);
  const char *name = at(p.in, m->name);
  int top = (int)strcspn(name, ".");
  char file[256]; /* as in scripts/archive.py */
  snprintf(file, sizeof file, "<%.*s>%s%s", top, name, name + top, m->kind & 1 ? ".__init__" : "");
  PyObject *source = source_of(p);
  const char *text = source ? PyUnicode_AsUTF8(source) : NULL;
  PyObject *code = text ? Py_CompileString(text, file, Py_file_input) : NULL;
  Py_XDECREF(source);
  return code;
}

/* Calls f for the module called name; the result is None if there is no such module. */
static PyObject *with_module(PyObject *name, PyObject *(*f)(place)) {
  place p = find(name);
  return p.m ? f(p) : Py_NewRef(Py_None);
}

static PyObject *kind_of(place p) { return PyBool_FromLong(p.m->kind & 1); }
static PyObject *folder_of(place p) { return PyLong_FromLong(p.m->kind >> 1); }
static PyObject *packed_kind(PyObject *self, PyObject *name) { return with_module(name, kind_of); }
static PyObject *packed_folder(PyObject *self, PyObject *name) { return with_module(name, folder_of); }
static PyObject *packed_code(PyObject *self, PyObject *name) { return with_module(name, code_of); }
static PyObject *packed_source(PyObject *self, PyObject *name) { return with_module(name, source_of); }

/* Runs the code of a module, as exec_module of a loader. A function in Python would be a frame of each traceback.
 * Python removes the frames of importlib that end with _call_with_frames_removed. If the module has a file, its code
 * gets the name of this file. */
static PyObject *packed_exec(PyObject *self, PyObject *module) {
  PyObject *name = PyModule_GetNameObject(module), *code = name ? packed_code(NULL, name) : NULL, *done = NULL;
  PyObject *file = code ? PyDict_GetItemString(PyModule_GetDict(module), "__file__") : NULL;
  if (file && core_done(core_call("_imp", "_fix_co_filename", "(OO)", code, file)) < 0) Py_CLEAR(code);
  PyObject *exec = code ? core_import("builtins", "exec") : NULL;
  if (exec)
    done = core_call("_frozen_importlib", "_call_with_frames_removed", "(OOO)", exec, code, PyModule_GetDict(module));
  Py_XDECREF(exec);
  Py_XDECREF(code);
  Py_XDECREF(name);
  return done;
}

static PyObject *packed_names(PyObject *self, PyObject *none) {
  const archive *all[] = {&core_archive, mapped};
  PyObject *list = PyList_New(0);
  for (int i = 0; i < 2; i++) {
    for (uint32_t k = 0; list && all[i] && k < all[i]->n; k++) {
      PyObject *name = PyUnicode_FromString(at(all[i], all[i]->modules[k].name));
      if (!name || PyList_Append(list, name) < 0) Py_CLEAR(list);
      Py_XDECREF(name);
    }
  }
  return list;
}

PyMethodDef core_archive_methods[] = {
    {"packed_code", packed_code, METH_O, "packed_code(name): the code of a module in the archive, or None."},
    {"packed_exec", packed_exec, METH_O, "packed_exec(module): runs the code of a module in the archive."},
    {"packed_folder", packed_folder, METH_O, "packed_folder(name): the number of the folder of a module, or None."},
    {"packed_kind", packed_kind, METH_O, "packed_kind(name): whether a module in the archive is a package, or None."},
    {"packed_names", packed_names, METH_NOARGS, "packed_names() -> [str]: the modules in the archive."},
    {"packed_source", packed_source, METH_O, "packed_source(name): the source of a module in the archive, or None."},
    {NULL, NULL, 0, NULL}};

int core_has_archive(void) { return &core_archive != NULL; }

/* Returns whether all positions of a mapped archive are within its size. */
static int is_sound(const archive *a, size_t size) {
  if (size < sizeof *a || memcmp(a->format, "fapws 2", 8) != 0 || a->n > (size - sizeof *a) / sizeof *a->modules)
    return 0;
  for (uint32_t i = 0; i < a->n; i++) {
    const module *m = &a->modules[i];
    if (m->name >= size || m->code > size || m->code_size > size - m->code || m->source > size ||
        m->source_size > size - m->source || !memchr(at(a, m->name), 0, size - m->name))
      return 0;
  }
  return 1;
}

int core_map_archive(const char *path, int64_t offset, size_t size) {
  CORE_CHECK(CORE_BEFORE);
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return errno;
  void *memory = mmap(NULL, size, PROT_READ, MAP_PRIVATE, fd, offset);
  int wrong = memory == MAP_FAILED ? errno : 0;
  close(fd);
  if (wrong) return wrong;
  if (!is_sound(memory, size)) return munmap(memory, size), EINVAL;
  mapped = memory;
  return 0;
}

#if PY_VERSION_HEX >= 0x030b0000
int core_freeze_library(void) {
  static const char *const names[] = {"encodings", "encodings.aliases", "encodings.ascii", "encodings.latin_1",
                                      "encodings.utf_8"};
  enum { N = sizeof names / sizeof *names };
  static struct _frozen frozen[N + 1];
  for (int i = 0; i < N; i++) {
    place p = find_text(names[i]);
    if (!p.m) return 0;
    frozen[i].name = names[i];
    frozen[i].code = (const unsigned char *)at(p.in, p.m->code);
    frozen[i].size = (int)p.m->code_size;
    frozen[i].is_package = (int)(p.m->kind & 1);
  }
  PyImport_FrozenModules = frozen;
  return 1;
}
#else
int core_freeze_library(void) { return 0; }
#endif

static PyObject *import_from(const char *folder, const char *name) {
  PyObject *path = PySys_GetObject("path"), *first = PyUnicode_DecodeFSDefault(folder), *imported = NULL;
  if (first && path && PyList_Insert(path, 0, first) == 0) {
    imported = PyImport_ImportModule(name);
    PyList_SetSlice(path, 0, 1, NULL);
  }
  Py_XDECREF(first);
  return imported;
}

static PyObject *import_packed(const char *name) {
  PyObject *text = PyUnicode_FromString(name), *code = text ? packed_code(NULL, text) : NULL;
  PyObject *imported = code ? PyImport_ExecCodeModuleObject(text, code, NULL, NULL) : NULL;
  Py_XDECREF(code);
  Py_XDECREF(text);
  return imported;
}

int core_install_finder(const char *folder, const char *loop, const char *bundle) {
  const char *name = "fapws._finder";
  PyObject *finder = folder ? import_from(folder, name) : import_packed(name), *done = NULL;
  if (finder) done = PyObject_CallMethod(finder, "install", "izz", !folder, loop, bundle);
  Py_XDECREF(finder);
  return core_done(done);
}
