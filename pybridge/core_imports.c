/* Watches the imports of several applications, which share the modules of an interpreter (contrib/fapws/_apart.py).
 * Python searches no module that is loaded, so no finder would notice that an application imports a module of a
 * different one. These functions are in C because Python shows a function in Python in each traceback. */
#include "core.h"

/* names is a set of str, and check a function. Both live as long as the process, as do the functions of Python that
 * watched_import and watched_module call. */
static PyObject *names, *check, *import, *import_module;

/* Calls check if the first part of the name of the module is in names. name is relative to package if level is above
 * 0. */
static int check_import(PyObject *name, PyObject *space, PyObject *package, PyObject *fromlist, int level) {
  PyObject *full = level > 0 ? package : name;
  if (!full || !PyUnicode_Check(full) || !PyUnicode_Check(name)) return 0; /* Python raises the exception. */
  Py_ssize_t length = PyUnicode_GetLength(full), dot = PyUnicode_FindChar(full, '.', 0, length, 1);
  if (dot < -1) return -1;
  PyObject *top = dot < 0 ? Py_NewRef(full) : PyUnicode_Substring(full, 0, dot);
  int watched = top ? PySet_Contains(names, top) : -1;
  Py_XDECREF(top);
  if (watched <= 0) return watched;
  return core_done(PyObject_CallFunction(check, "OOOi", name, space, fromlist, level));
}

/* Replaces builtins.__import__. */
static PyObject *watched_import(PyObject *self, PyObject *args, PyObject *kw) {
  static char *keys[] = {"name", "globals", "locals", "fromlist", "level", NULL};
  PyObject *name, *globals = Py_None, *locals, *fromlist = Py_None;
  int level = 0;
  if (!PyArg_ParseTupleAndKeywords(args, kw, "O|OOOi:__import__", keys, &name, &globals, &locals, &fromlist, &level))
    return NULL;
  PyObject *package = level > 0 && PyDict_Check(globals) ? PyDict_GetItemString(globals, "__package__") : NULL;
  if (check_import(name, globals, package, fromlist, level) < 0) return NULL;
  return PyObject_Call(import, args, kw);
}

/* Replaces _gcd_import of importlib._bootstrap, which importlib.import_module calls. */
static PyObject *watched_module(PyObject *self, PyObject *args, PyObject *kw) {
  static char *keys[] = {"name", "package", "level", NULL};
  PyObject *name, *package = Py_None;
  int level = 0;
  if (!PyArg_ParseTupleAndKeywords(args, kw, "O|Oi:_gcd_import", keys, &name, &package, &level)) return NULL;
  if (check_import(name, package, package, Py_None, level) < 0) return NULL;
  return PyObject_Call(import_module, args, kw);
}

static PyMethodDef replacements[] = {
    {"__import__", (PyCFunction)(void (*)(void))watched_import, METH_VARARGS | METH_KEYWORDS,
     "__import__(name, globals=None, locals=None, fromlist=(), level=0): see the same function of Python."},
    {"_gcd_import", (PyCFunction)(void (*)(void))watched_module, METH_VARARGS | METH_KEYWORDS,
     "_gcd_import(name, package=None, level=0): see the same function of importlib."}};

static int replace(const char *module, PyMethodDef *replacement, PyObject **original) {
  PyObject *owner = PyImport_ImportModule(module), *function = PyCFunction_New(replacement, NULL);
  *original = owner ? PyObject_GetAttrString(owner, replacement->ml_name) : NULL;
  int bad = *original && function ? PyObject_SetAttrString(owner, replacement->ml_name, function) : -1;
  Py_XDECREF(function);
  Py_XDECREF(owner);
  return bad;
}

PyObject *core_watch_imports(PyObject *module, PyObject *args) {
  if (!PyArg_ParseTuple(args, "O!O:watch_imports", &PySet_Type, &names, &check)) return NULL;
  Py_INCREF(names);
  Py_INCREF(check);
  if (replace("builtins", &replacements[0], &import) < 0) return NULL;
  if (replace("importlib._bootstrap", &replacements[1], &import_module) < 0) return NULL;
  Py_RETURN_NONE;
}
