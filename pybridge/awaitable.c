/* Iterators that send and return values, and the iterator of an awaitable (PEP 492), for all supported Pythons. With
 * the GIL. */
#include "exchange.h"

static PyObject *value_key;

int fapws_awaitable_init(void) { return (value_key = PyUnicode_InternFromString("value")) ? 0 : -1; }

PySendResult fapws_returned_value(PyObject **result) {
  if (!PyErr_Occurred()) {
    *result = Py_NewRef(Py_None);
    return PYGEN_RETURN;
  }
  if (!PyErr_ExceptionMatches(PyExc_StopIteration)) return PYGEN_ERROR;
  PyObject *type, *value, *tb;
  PyErr_Fetch(&type, &value, &tb);
  PyErr_NormalizeException(&type, &value, &tb);
  *result = value ? PyObject_GetAttr(value, value_key) : NULL;
  Py_XDECREF(type);
  Py_XDECREF(value);
  Py_XDECREF(tb);
  return *result ? PYGEN_RETURN : PYGEN_ERROR;
}

PySendResult fapws_iter_send(PyObject *iterator, PyObject *value, PyObject **result) {
#if PY_VERSION_HEX >= 0x030a0000
  return PyIter_Send(iterator, value, result);
#else
  if (value == Py_None && PyIter_Check(iterator))
    *result = Py_TYPE(iterator)->tp_iternext(iterator);
  else
    *result = PyObject_CallMethod(iterator, "send", "O", value);
  return *result ? PYGEN_NEXT : fapws_returned_value(result);
#endif
}

PyObject *fapws_await(PyObject *o) {
  if (LIKELY(PyCoro_CheckExact(o))) return Py_NewRef(o);
  if (PyGen_CheckExact(o)) { /* of types.coroutine */
    PyObject *code = PyObject_GetAttrString(o, "gi_code"),
             *flags = code ? PyObject_GetAttrString(code, "co_flags") : NULL;
    long bits = flags ? PyLong_AsLong(flags) : 0;
    Py_XDECREF(code);
    Py_XDECREF(flags);
    PyErr_Clear();
    if (bits & CO_ITERABLE_COROUTINE) return Py_NewRef(o);
  }
  const PyAsyncMethods *methods = Py_TYPE(o)->tp_as_async;
  if (methods && methods->am_await) return methods->am_await(o);
  return PyErr_Format(PyExc_TypeError, "a %.100s cannot be awaited", Py_TYPE(o)->tp_name);
}
