/* The Python package fapws inside the program: build.sh links an archive into it, which scripts/archive.py makes. A
 * program without the archive, such as a test, imports package fapws as any other package. The archive of a program for
 * musl also has Python's standard library. */
#include "core.h"

#include <marshal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A module. Positions are in bytes from the beginning of the archive, those of source from the beginning of all
 * sources. If full_size is not 0, the code is compressed (zlib), and full_size is its size after decompression. */
typedef struct {
  uint32_t name, code, code_size, full_size, source, source_size, is_package;
} module;

/* All numbers are little-endian. The modules are sorted by their names, which end with NUL. The code is in the form of
 * the module marshal. The sources are compressed together, because they are seldom needed. */
typedef struct {
  char format[8];
  unsigned char python[4]; /* the Python of the code, as PyImport_GetMagicNumber returns it */
  uint32_t n, sources, sources_size;
  module modules[];
} archive;

/* Weak, because some programs have no archive. */
extern const archive core_archive __attribute__((weak));

static const char *at(uint32_t position) { return (const char *)&core_archive + position; }

static int compare(const void *name, const void *m) { return strcmp(name, at(((const module *)m)->name)); }

static const module *find_text(const char *name) {
  return core_has_archive() ? bsearch(name, core_archive.modules, core_archive.n, sizeof(module), compare) : NULL;
}

static const module *find(PyObject *name) {
  const char *text = PyUnicode_AsUTF8(name);
  if (!text) PyErr_Clear(); /* a name that is not valid UTF-8 */
  return text ? find_text(text) : NULL;
}

static PyObject *source_of(const module *m) {
  if (m->full_size) Py_RETURN_NONE; /* the archive has no sources of the standard library */
  PyObject *all =
      core_call("zlib", "decompress", "(y#)", at(core_archive.sources), (Py_ssize_t)core_archive.sources_size);
  PyObject *source = all ? PyUnicode_DecodeUTF8(PyBytes_AS_STRING(all) + m->source, m->source_size, NULL) : NULL;
  Py_XDECREF(all);
  return source;
}

static PyObject *decompressed(const module *m) {
  PyObject *bytes =
      core_call("zlib", "decompress", "(y#in)", at(m->code), (Py_ssize_t)m->code_size, 15, (Py_ssize_t)m->full_size);
  PyObject *code = bytes ? PyMarshal_ReadObjectFromString(PyBytes_AS_STRING(bytes), PyBytes_GET_SIZE(bytes)) : NULL;
  Py_XDECREF(bytes);
  return code;
}

/* Compiles the source if the code is for another version of Python. */
static PyObject *code_of(const module *m) {
  if (m->full_size) return decompressed(m);
  const unsigned char *p = core_archive.python;
  if (PyImport_GetMagicNumber() == (long)(p[0] | p[1] << 8 | p[2] << 16 | (uint32_t)p[3] << 24))
    return PyMarshal_ReadObjectFromString(at(m->code), m->code_size);
  const char *name = at(m->name);
  int top = (int)strcspn(name, ".");
  char file[256]; /* as in scripts/archive.py */
  snprintf(file, sizeof file, "<%.*s>%s%s", top, name, name + top, m->is_package ? ".__init__" : "");
  PyObject *source = source_of(m);
  const char *text = source ? PyUnicode_AsUTF8(source) : NULL;
  PyObject *code = text ? Py_CompileString(text, file, Py_file_input) : NULL;
  Py_XDECREF(source);
  return code;
}

/* Calls f for the module called name; the result is None if there is no such module. */
static PyObject *with_module(PyObject *name, PyObject *(*f)(const module *)) {
  const module *m = find(name);
  return m ? f(m) : Py_NewRef(Py_None);
}

static PyObject *kind_of(const module *m) { return PyBool_FromLong(m->is_package); }
static PyObject *packed_kind(PyObject *self, PyObject *name) { return with_module(name, kind_of); }
static PyObject *packed_code(PyObject *self, PyObject *name) { return with_module(name, code_of); }
static PyObject *packed_source(PyObject *self, PyObject *name) { return with_module(name, source_of); }

/* Runs the code of a module, as exec_module of a loader. A function in Python would be a frame of each traceback.
 * Python removes the frames of importlib that end with _call_with_frames_removed. */
static PyObject *packed_exec(PyObject *self, PyObject *module) {
  PyObject *name = PyModule_GetNameObject(module), *code = name ? packed_code(NULL, name) : NULL, *done = NULL;
  PyObject *exec = code ? core_import("builtins", "exec") : NULL;
  if (exec)
    done = core_call("_frozen_importlib", "_call_with_frames_removed", "(OOO)", exec, code, PyModule_GetDict(module));
  Py_XDECREF(exec);
  Py_XDECREF(code);
  Py_XDECREF(name);
  return done;
}

static PyObject *packed_names(PyObject *self, PyObject *none) {
  PyObject *list = PyList_New(0);
  for (uint32_t i = 0; list && core_has_archive() && i < core_archive.n; i++) {
    PyObject *name = PyUnicode_FromString(at(core_archive.modules[i].name));
    if (!name || PyList_Append(list, name) < 0) Py_CLEAR(list);
    Py_XDECREF(name);
  }
  return list;
}

PyMethodDef core_archive_methods[] = {
    {"packed_code", packed_code, METH_O, "packed_code(name): the code of a module in the archive, or None."},
    {"packed_exec", packed_exec, METH_O, "packed_exec(module): runs the code of a module in the archive."},
    {"packed_kind", packed_kind, METH_O, "packed_kind(name): whether a module in the archive is a package, or None."},
    {"packed_names", packed_names, METH_NOARGS, "packed_names() -> [str]: the modules in the archive."},
    {"packed_source", packed_source, METH_O, "packed_source(name): the source of a module in the archive, or None."},
    {NULL, NULL, 0, NULL}};

int core_has_archive(void) { return &core_archive != NULL; }

#if PY_VERSION_HEX >= 0x030b0000
int core_freeze_library(void) {
  static const char *const names[] = {"encodings", "encodings.aliases", "encodings.ascii", "encodings.latin_1",
                                      "encodings.utf_8"};
  enum { N = sizeof names / sizeof *names };
  static struct _frozen frozen[N + 1];
  for (int i = 0; i < N; i++) {
    const module *m = find_text(names[i]);
    if (!m) return 0;
    frozen[i].name = names[i];
    frozen[i].code = (const unsigned char *)at(m->code);
    frozen[i].size = (int)m->code_size;
    frozen[i].is_package = (int)m->is_package;
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

int core_install_finder(const char *folder, const char *loop) {
  const char *name = "fapws._finder";
  PyObject *finder = folder ? import_from(folder, name) : import_packed(name), *done = NULL;
  if (finder) done = PyObject_CallMethod(finder, "install", "is", !folder, loop);
  Py_XDECREF(finder);
  return core_done(done);
}
