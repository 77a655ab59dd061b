/* Short forms of what the Python side does with the C API again and again. */
#include "cpython.h"

#include <stdarg.h>

PyObject *fapws_import(const char *module, const char *name) {
  PyObject *m = PyImport_ImportModule(module), *value = m ? PyObject_GetAttrString(m, name) : NULL;
  Py_XDECREF(m);
  return value;
}

PyObject *fapws_call_with(PyObject *f, PyObject *args, PyObject *kw) {
  PyObject *result = f && args && !PyErr_Occurred() ? PyObject_Call(f, args, kw) : NULL;
  Py_XDECREF(f);
  Py_XDECREF(args);
  Py_XDECREF(kw);
  return result;
}

PyObject *fapws_call(const char *module, const char *name, const char *format, ...) {
  va_list list;
  va_start(list, format);
  PyObject *args = Py_VaBuildValue(format, list);
  va_end(list);
  return fapws_call_with(args ? fapws_import(module, name) : NULL, args, NULL);
}

int fapws_intern(PyObject **out, const char *const *texts, int n) {
  for (int i = 0; i < n; i++)
    if (!out[i] && !(out[i] = PyUnicode_InternFromString(texts[i]))) return -1;
  return 0;
}
