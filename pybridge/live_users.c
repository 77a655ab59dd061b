#include "live.h"

#include <stdlib.h>

static PyObject *change_users(PyObject *module, PyObject *args) {
  const char *action, *file, *name, *password;
  if (!PyArg_ParseTuple(args, "syss:users", &action, &file, &name, &password)) return NULL;
  if (core_forked) return PyErr_Format(PyExc_RuntimeError, "users: not available in a child process of the server");
  char *text;
  int error;
  Py_BEGIN_ALLOW_THREADS;
  text = live_change_users(action, file, name, password, &error);
  Py_END_ALLOW_THREADS;
  PyObject *result = Py_BuildValue("iN", error, PyUnicode_DecodeFSDefault(text));
  free(text);
  return result;
}

PyMethodDef live_user_methods[] = {{"users", change_users, METH_VARARGS,
                                    "users(action, file, name, password) -> (error, text): see fapws.users. error is 0 "
                                    "if text is the result, a number "
                                    "of errno, or -1 for another error."},
                                   {NULL, NULL, 0, NULL}};
