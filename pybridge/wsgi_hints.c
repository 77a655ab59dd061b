/* wsgi.early_hints, with which a handler of WSGI sends early hints. */
#include "wsgi.h"

#include <strings.h>

/* Adds a pair (name, value) of wsgi.early_hints if the name is Link. */
static int add_pair(core_record *rec, core_part **p, PyObject *item) {
  PyObject *pair = PySequence_Fast(item, "early_hints() takes pairs (name, value)");
  if (!pair) return -1;
  Py_ssize_t n = 0, len = 0;
  const char *name = NULL, *value = NULL;
  if (PySequence_Fast_GET_SIZE(pair) != 2)
    PyErr_Format(PyExc_ValueError, "early_hints() takes pairs (name, value), not %.200R", item);
  else if ((name = core_latin1_text(PySequence_Fast_GET_ITEM(pair, 0), "the name of a field", &n)))
    value = core_latin1_text(PySequence_Fast_GET_ITEM(pair, 1), "the value of a field", &len);
  int is_link = value && n == 4 && strncasecmp(name, "Link", 4) == 0;
  int bad = !value || (is_link && core_add_hint(rec, p, value, len) < 0);
  Py_DECREF(pair);
  return -bad;
}

static PyObject *early_hints(PyObject *self, PyObject *pairs) {
  core_thread *t = core_this_thread;
  core_record *rec = t ? t->current : NULL;
  if (!rec) return PyErr_Format(PyExc_RuntimeError, "early_hints() must be called on the thread that runs the handler");
  PyObject *list = PySequence_Fast(pairs, "early_hints() takes a list of pairs (name, value)");
  if (!list) return NULL;
  core_part *p = NULL;
  int bad = 0;
  for (Py_ssize_t i = 0; !bad && i < PySequence_Fast_GET_SIZE(list); i++)
    bad = add_pair(rec, &p, PySequence_Fast_GET_ITEM(list, i)) < 0;
  Py_DECREF(list);
  if (bad) {
    if (p) core_part_delete(p);
    return NULL;
  }
  core_send_hints(t, rec, p);
  Py_RETURN_NONE;
}

PyMethodDef wsgi_early_hints_method = {
    "early_hints", early_hints, METH_O,
    "early_hints([(\"Link\", value)]): sends 103 (Early Hints) before the response, if the client understands it."};
