#include "core.h"

#include <stdarg.h>
#include <string.h>

#if CORE_PARALLEL
PyMutex core_the_one, core_the_order;

typedef struct {
  void (*f)(void *);
  void *arg;
} alone_call;

static int run_alone(PyObject *any, void *call) {
  ((alone_call *)call)->f(((alone_call *)call)->arg);
  return 0;
}

/* PyUnstable_GC_VisitObjects is the only public function that stops all other threads. The function also visits all
 * objects. This visit is not needed, so the callback ends the visit at the first object. */
void core_alone(void (*f)(void *), void *arg) { PyUnstable_GC_VisitObjects(run_alone, &(alone_call){f, arg}); }
#endif

int core_raise(PyObject *type, const char *format, ...) {
  va_list list;
  va_start(list, format);
  PyErr_FormatV(type, format, list);
  va_end(list);
  return -1;
}

int core_raise_given(PyObject *type, PyObject *value, PyObject *tb) {
  PyErr_Restore(Py_NewRef(type), value == Py_None ? NULL : Py_XNewRef(value), tb == Py_None ? NULL : Py_XNewRef(tb));
  return -1;
}

PyObject *core_import(const char *module, const char *name) {
  PyObject *m = PyImport_ImportModule(module), *value = m ? PyObject_GetAttrString(m, name) : NULL;
  Py_XDECREF(m);
  return value;
}

PyObject *core_call_with(PyObject *f, PyObject *args, PyObject *kw) {
  PyObject *result = f && args && !PyErr_Occurred() ? PyObject_Call(f, args, kw) : NULL;
  Py_XDECREF(f);
  Py_XDECREF(args);
  Py_XDECREF(kw);
  return result;
}

PyObject *core_call(const char *module, const char *name, const char *format, ...) {
  va_list list;
  va_start(list, format);
  PyObject *args = Py_VaBuildValue(format, list);
  va_end(list);
  return core_call_with(args ? core_import(module, name) : NULL, args, NULL);
}

char *core_copy_text(PyObject *text) {
  PyObject *bytes = text ? PyUnicode_AsEncodedString(text, "utf-8", "backslashreplace") : NULL;
  char *copy = bytes ? strdup(PyBytes_AS_STRING(bytes)) : NULL;
  Py_XDECREF(bytes);
  Py_XDECREF(text);
  return copy;
}

PyObject *core_keep_first(PyObject **slot, PyObject *(*make)(void)) {
  PyObject *kept = __atomic_load_n(slot, __ATOMIC_ACQUIRE);
  if (LIKELY(kept)) return kept;
  PyObject *made = make();
  if (!made || __atomic_compare_exchange_n(slot, &kept, made, 0, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE)) return made;
  Py_DECREF(made); /* another thread has set *slot in the meantime */
  return kept;
}

int core_is_parallel(void) {
  PyObject *enabled = CORE_PARALLEL ? core_call("sys", "_is_gil_enabled", "()") : NULL;
  int off = enabled == Py_False;
  Py_XDECREF(enabled);
  PyErr_Clear();
  return off;
}

int core_intern(PyObject **out, const char *const *texts, int n) {
  for (int i = 0; i < n; i++)
    if (!out[i] && !(out[i] = PyUnicode_InternFromString(texts[i]))) return -1;
  return 0;
}
