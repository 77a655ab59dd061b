/* The return values of Staticfile, CGIApplication and channel(). If a handler returns such a value, the event loop
 * makes the response: a file, the output of a program, or events. */
#include "wsgi.h"

static PyObject *environ_bytes(PyObject *environ, const char *name) {
  /* The value need not be a str, because a middleware can have set it. */
  PyObject *value = PyMapping_GetItemString(environ, name);
  PyObject *bytes = value && PyUnicode_Check(value)
                        ? PyUnicode_AsLatin1String(value)
                        : PyErr_Format(PyExc_TypeError, "static_answer: environ['%s'] must be a str", name);
  Py_XDECREF(value);
  return bytes;
}

/* Implements static_answer(options, environ, program=False): makes the object that a handler gets when the handler
 * calls a Staticfile or a CGIApplication. If the handler returns this object, the event loop sends the file or runs the
 * program. */
static PyObject *static_answer(PyObject *module, PyObject *args) {
  PyObject *options, *environ;
  int program = 0;
  if (!PyArg_ParseTuple(args, "UO!|p:static_answer", &options, &PyDict_Type, &environ, &program)) return NULL;
  if (core_forked)
    return PyErr_Format(PyExc_RuntimeError,
                        "%s: a handler in a child process of the server cannot call it; make it an entry of PATHS",
                        program ? "CGIApplication" : "Staticfile");
  PyObject *path = environ_bytes(environ, program ? "SCRIPT_NAME" : "PATH_INFO");
  uint32_t script_len = path && program ? (uint32_t)PyBytes_GET_SIZE(path) : 0;
  if (path && program) PyBytes_ConcatAndDel(&path, environ_bytes(environ, "PATH_INFO"));
  wsgi_static_object *s = path ? PyObject_New(wsgi_static_object, &wsgi_StaticAnswer_Type) : NULL;
  if (!s) {
    Py_XDECREF(path);
    return NULL;
  }
  s->options = Py_NewRef(options);
  s->path = path;
  s->program = program;
  s->script_len = script_len;
  return (PyObject *)s;
}

static void static_dealloc(PyObject *self) {
  Py_XDECREF(((wsgi_static_object *)self)->options);
  Py_XDECREF(((wsgi_static_object *)self)->path);
  PyObject_Free(self);
}

PyTypeObject wsgi_StaticAnswer_Type = {
    PyVarObject_HEAD_INIT(NULL, 0).tp_name = "_fapws.StaticAnswer",
    .tp_basicsize = sizeof(wsgi_static_object),
    .tp_dealloc = static_dealloc,
    .tp_flags = Py_TPFLAGS_DEFAULT,
    .tp_doc = "A response that the server itself sends from a document root.",
};

static PyObject *channel_answer(PyObject *module, PyObject *args) {
  PyObject *names, *start, *headers;
  if (!PyArg_ParseTuple(args, "USO!:channel_answer", &names, &start, &PyTuple_Type, &headers)) return NULL;
  wsgi_channel_object *c = PyObject_New(wsgi_channel_object, &wsgi_ChannelAnswer_Type);
  if (!c) return NULL;
  c->names = Py_NewRef(names);
  c->start = Py_NewRef(start);
  c->headers = Py_NewRef(headers);
  return (PyObject *)c;
}

/* If PATHS contains the return value of channel(), the server calls this object as a WSGI application. Returns the
 * object itself for GET and HEAD, and rejects other requests. */
static PyObject *channel_call(PyObject *self, PyObject *args, PyObject *kw) {
  PyObject *environ, *start;
  if (!PyArg_ParseTuple(args, "OO:channel", &environ, &start)) return NULL;
  PyObject *method = PyMapping_GetItemString(environ, "REQUEST_METHOD");
  if (!method) return NULL;
  int reads = PyUnicode_Check(method) && (PyUnicode_CompareWithASCIIString(method, "GET") == 0 ||
                                          PyUnicode_CompareWithASCIIString(method, "HEAD") == 0);
  Py_DECREF(method);
  return reads ? Py_NewRef(self) : core_call("fapws._channels", "_refuse", "(OO)", environ, start);
}

static void channel_dealloc(PyObject *self) {
  wsgi_channel_object *c = (wsgi_channel_object *)self;
  Py_XDECREF(c->names);
  Py_XDECREF(c->start);
  Py_XDECREF(c->headers);
  PyObject_Free(self);
}

static PyObject *channel_repr(PyObject *self) {
  return PyUnicode_FromFormat("channel(%R)", ((wsgi_channel_object *)self)->names);
}

PyTypeObject wsgi_ChannelAnswer_Type = {
    PyVarObject_HEAD_INIT(NULL, 0).tp_name = "_fapws.ChannelAnswer",
    .tp_basicsize = sizeof(wsgi_channel_object),
    .tp_dealloc = channel_dealloc,
    .tp_repr = channel_repr,
    .tp_call = channel_call,
    .tp_flags = Py_TPFLAGS_DEFAULT,
    .tp_doc = "A response that makes the client a subscriber of channels; fapws.channel returns it.",
};

int wsgi_channel_head(core_response *s, PyObject *answer) {
  const wsgi_channel_object *c = (const wsgi_channel_object *)answer;
  PyObject *name = PyUnicode_FromString("Fapws-Channel");
  if (!name) return -1;
  int bad = core_settle_fields(s) < 0;
  if (!bad) {
    Py_CLEAR(s->list);
    core_forget_channel(s);
    s->length = -1;
    s->status = 200;
    Py_CLEAR(s->reason);
    bad = core_add_fields(s, c->headers) < 0 || core_add_field(s, name, c->names) < 0;
  }
  Py_DECREF(name);
  return bad ? -1 : 0;
}

PyMethodDef wsgi_answer_methods[] = {
    {"static_answer", static_answer, METH_VARARGS,
     "static_answer(options, environ, program=False) -> object to return: the file or program that PATH_INFO names "
     "under the root in options (JSON)."},
    {"channel_answer", channel_answer, METH_VARARGS, "channel_answer(names, start, headers) -> object to return."},
    {NULL, NULL, 0, NULL}};
