/* environ['werkzeug.socket']: the client's socket, for an application that implements WebSocket itself
 * (contrib/fapws/_detachedsocket.py). */
#include "request.h"

#include <unistd.h>

int fapws_expose_socket(fapws_record *rec) {
  rec->socket_object = fapws_call("fapws._detachedsocket", "offer", "(Oi)", (PyObject *)rec->environ, (int)rec->socket);
  if (!rec->socket_object) return -1;
  rec->socket = 0; /* closed by the object */
  return 0;
}

int fapws_socket_was_used(fapws_record *rec) {
  PyObject *used = rec->socket_object ? PyObject_GetAttrString(rec->socket_object, "used") : NULL;
  int yes = used == Py_True;
  Py_XDECREF(used);
  PyErr_Clear();
  return yes;
}

void fapws_close_socket(fapws_record *rec) {
  if (rec->socket > 0) close(rec->socket);
  rec->socket = 0;
  if (!rec->socket_object) return;
  PyObject *type, *value, *tb;
  PyErr_Fetch(&type, &value, &tb);
  PyObject *used = PyObject_CallMethod(rec->socket_object, "end", NULL);
  if (!used) PyErr_WriteUnraisable(rec->socket_object);
  rec->taken = !used || used == Py_True;
  Py_XDECREF(used);
  Py_CLEAR(*(PyObject **)&rec->socket_object);
  PyErr_Restore(type, value, tb);
}
