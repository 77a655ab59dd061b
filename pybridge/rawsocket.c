/* environ['werkzeug.socket']: an application that speaks WebSocket by itself gets the
 * socket of its client (contrib/fapws/_rawsocket.py). */
#include "request.h"

#include <unistd.h>

int fapws_raw_offer(fapws_record *rec) {
  PyObject *module = PyImport_ImportModule("fapws._rawsocket");
  rec->raw = module ? PyObject_CallMethod(module, "offer", "Oi", (PyObject *)rec->environ, (int)rec->socket) : NULL;
  Py_XDECREF(module);
  if (!rec->raw) return -1;
  rec->socket = 0; /* closed by the object */
  return 0;
}

int fapws_raw_used(fapws_record *rec) {
  PyObject *used = rec->raw ? PyObject_GetAttrString(rec->raw, "used") : NULL;
  int yes = used == Py_True;
  Py_XDECREF(used);
  PyErr_Clear();
  return yes;
}

void fapws_raw_end(fapws_record *rec) {
  if (rec->socket > 0) close(rec->socket);
  rec->socket = 0;
  if (!rec->raw) return;
  PyObject *type, *value, *tb;
  PyErr_Fetch(&type, &value, &tb);
  PyObject *used = PyObject_CallMethod(rec->raw, "end", NULL);
  if (!used) PyErr_WriteUnraisable(rec->raw);
  rec->taken = !used || used == Py_True;
  Py_XDECREF(used);
  Py_CLEAR(*(PyObject **)&rec->raw);
  PyErr_Restore(type, value, tb);
}
