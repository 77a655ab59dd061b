/* Python.h, the functions that older Pythons lack, and the memory shared with Go: for every header of the Python side.
 *
 * Unless a comment says otherwise, a function of the Python side needs the GIL, returns NULL or -1 with a Python
 * exception set when it fails, and borrows the objects it is given. */
#ifndef FAPWS_CPYTHON_H
#define FAPWS_CPYTHON_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <stdint.h>

#include "parallel.h"
#include "shim.h"
#include "shim_process.h"

#if PY_VERSION_HEX < 0x03090000
#define PyObject_CallNoArgs(f) PyObject_CallObject((f), NULL)
#define PyObject_CallOneArg(f, a) PyObject_CallFunctionObjArgs((f), (a), NULL)
#define PyObject_CallMethodNoArgs(o, n) PyObject_CallMethodObjArgs((o), (n), NULL)
#define PyObject_Vectorcall _PyObject_Vectorcall
#define FAPWS_HAVE_VECTORCALL _Py_TPFLAGS_HAVE_VECTORCALL
#else
#define FAPWS_HAVE_VECTORCALL Py_TPFLAGS_HAVE_VECTORCALL
#endif

#if PY_VERSION_HEX < 0x030a0000
typedef enum { PYGEN_RETURN = 0, PYGEN_ERROR = -1, PYGEN_NEXT = 1 } PySendResult;
#define FAPWS_AM_SEND(f)
#define Py_NewRef(o) fapws_new_ref((PyObject *)(o))
#define Py_XNewRef(o) fapws_new_ref((PyObject *)(o))
static inline PyObject *fapws_new_ref(PyObject *o) {
  Py_XINCREF(o);
  return o;
}
#else
#define FAPWS_AM_SEND(f) .am_send = (f),
#endif

/* --- cpython.c -------------------------------------------------------------- */

/* An attribute of a module, which it imports. A new reference. */
PyObject *fapws_import(const char *module, const char *name);
/* Calls such an attribute. format is as of Py_BuildValue and makes a tuple: "(Oi)", "()". A new reference. */
PyObject *fapws_call(const char *module, const char *name, const char *format, ...);
/* f(*args, **kw). Takes the three references, of which kw may be NULL; if f or args is NULL, or an exception is set, it
 * calls nothing and returns NULL. A new reference. */
PyObject *fapws_call_with(PyObject *f, PyObject *args, PyObject *kw);
/* What *slot has; if that is NULL, what make returns, which stays in *slot as long as the process. Borrowed. NULL with
 * the exception of make. */
PyObject *fapws_keep_first(PyObject **slot, PyObject *(*make)(void));
/* Whether several threads run Python at the same time: a free-threaded Python whose GIL is off. */
int fapws_is_parallel(void);
/* Makes n interned str objects, which live as long as the process. Those that out already has stay. */
int fapws_intern(PyObject **out, const char *const *texts, int n);
/* Sets *value to dict[key], a new reference: 1. Without that key to NULL: 0. -1 with an exception. */
#if PY_VERSION_HEX < 0x030d0000
static inline int fapws_get(PyObject *dict, PyObject *key, PyObject **value) {
  *value = Py_XNewRef(PyDict_GetItemWithError(dict, key));
  return *value ? 1 : PyErr_Occurred() ? -1 : 0;
}
#else
#define fapws_get PyDict_GetItemRef
#endif
/* Sets dict[key] to value, whose reference it takes. value NULL: -1, as if its exception had been raised here. */
static inline int fapws_put(PyObject *dict, PyObject *key, PyObject *value) {
  if (!value) return -1;
  int bad = PyDict_SetItem(dict, key, value);
  Py_DECREF(value);
  return bad;
}

#define LIKELY(x) __builtin_expect(!!(x), 1)
#define UNLIKELY(x) __builtin_expect(!!(x), 0)

#endif
