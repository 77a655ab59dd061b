/* Profiles of all Python threads, which fapws.contrib.profile records for the status page. */
#include "cpython.h"
#include "interp.h"
#include "shim_stack.h"

#include <stdlib.h>
#include <string.h>

static const char module[] = "fapws.contrib.profile";

int fapws_profile_begin(double seconds) {
  PyGILState_STATE gil = PyGILState_Ensure();
  PyObject *done = fapws_call(module, "_begin_served", "(d)", seconds);
  int began = done ? PyObject_IsTrue(done) : -1;
  Py_XDECREF(done);
  if (PyErr_Occurred()) PyErr_Print();
  PyGILState_Release(gil);
  return began;
}

char *fapws_profile_stacks(void) {
  PyGILState_STATE gil = PyGILState_Ensure();
  PyObject *text = fapws_call(module, "_served_stacks", "()");
  const char *utf8 = text ? PyUnicode_AsUTF8(text) : NULL;
  char *copy = utf8 ? strdup(utf8) : NULL;
  Py_XDECREF(text);
  if (PyErr_Occurred()) PyErr_Print();
  PyGILState_Release(gil);
  return copy;
}
