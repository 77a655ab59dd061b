/* Profiles of all Python threads, which fapws.contrib.profile records for the status page. */
#include "cpython.h"
#include "interp.h"
#include "stack.h"

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

#if FAPWS_PARALLEL
#define MOST 512 /* threads */

PyObject *fapws_stacks(PyObject *module, PyObject *none) {
  struct {
    unsigned long id;
    char *text;
    size_t len;
  } stacks[MOST];
  int n = 0;
  fapws_begin_alone();
  PyThreadState *state = PyInterpreterState_ThreadHead(PyInterpreterState_Get());
  for (; state && n < MOST; state = PyThreadState_Next(state), n++) {
    FILE *out = open_memstream(&stacks[n].text, &stacks[n].len);
    if (!out) break;
    fapws_write_stack(out, state);
    fclose(out);
    stacks[n].id = state->thread_id;
  }
  fapws_end_alone();
  PyObject *list = PyList_New(0);
  for (int i = 0; i < n; i++) {
    PyObject *pair = list ? Py_BuildValue("(ky#)", stacks[i].id, stacks[i].text, (Py_ssize_t)stacks[i].len) : NULL;
    if (!pair || PyList_Append(list, pair) < 0) Py_CLEAR(list);
    Py_XDECREF(pair);
    free(stacks[i].text);
  }
  return list;
}
#endif
