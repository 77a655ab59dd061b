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

struct stacks {
  struct {
    unsigned long id;
    char *text;
    size_t len;
  } of[MOST];
  int n;
};

static void write_alone(void *arg) {
  struct stacks *s = arg;
  PyThreadState *state = PyInterpreterState_ThreadHead(PyInterpreterState_Get());
  for (; state && s->n < MOST; state = PyThreadState_Next(state), s->n++) {
    FILE *out = open_memstream(&s->of[s->n].text, &s->of[s->n].len);
    if (!out) break;
    fapws_write_stack(out, state);
    fclose(out);
    s->of[s->n].id = state->thread_id;
  }
}

PyObject *fapws_stacks(PyObject *module, PyObject *none) {
  struct stacks s;
  s.n = 0;
  fapws_alone(write_alone, &s);
  PyObject *list = PyList_New(0);
  for (int i = 0; i < s.n; i++) {
    PyObject *pair = list ? Py_BuildValue("(ky#)", s.of[i].id, s.of[i].text, (Py_ssize_t)s.of[i].len) : NULL;
    if (!pair || PyList_Append(list, pair) < 0) Py_CLEAR(list);
    Py_XDECREF(pair);
    free(s.of[i].text);
  }
  return list;
}
#endif
