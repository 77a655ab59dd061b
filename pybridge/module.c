/* The built-in module _fapws, on which package fapws builds. */
#include "interp.h"
#include "request.h"
#include "websocket.h"

/* environ[name] as bytes (PEP 3333, "Unicode Issues"); NULL with an exception. A new reference. */
static PyObject *environ_bytes(PyObject *environ, const char *name) {
  PyObject *value = PyMapping_GetItemString(environ, name); /* a middleware may have set it */
  PyObject *bytes = value && PyUnicode_Check(value)
                        ? PyUnicode_AsLatin1String(value)
                        : PyErr_Format(PyExc_TypeError, "static_answer: environ['%s'] must be a str", name);
  Py_XDECREF(value);
  return bytes;
}

/* static_answer(options, environ, program=False): the return value of a Staticfile or CGIApplication that another
 * handler calls. The event loop answers. */
static PyObject *static_answer(PyObject *module, PyObject *args) {
  PyObject *options, *environ;
  int program = 0;
  if (!PyArg_ParseTuple(args, "UO!|p:static_answer", &options, &PyDict_Type, &environ, &program)) return NULL;
  if (fapws_forked)
    return PyErr_Format(PyExc_RuntimeError,
                        "%s: a handler in a child process of the server cannot call it; make it an entry of PATHS",
                        program ? "CGIApplication" : "Staticfile");
  PyObject *path = environ_bytes(environ, program ? "SCRIPT_NAME" : "PATH_INFO");
  if (!path) return NULL;
  uint32_t script_len = 0;
  if (program) {
    script_len = (uint32_t)PyBytes_GET_SIZE(path);
    PyObject *path_info = environ_bytes(environ, "PATH_INFO");
    if (!path_info) {
      Py_DECREF(path);
      return NULL;
    }
    PyBytes_ConcatAndDel(&path, path_info);
    if (!path) return NULL;
  }
  fapws_static_object *s = PyObject_New(fapws_static_object, &fapws_StaticAnswer_Type);
  if (!s) {
    Py_DECREF(path);
    return NULL;
  }
  s->options = Py_NewRef(options);
  s->path = path;
  s->program = program;
  s->script_len = script_len;
  return (PyObject *)s;
}

static void static_dealloc(PyObject *self) {
  Py_XDECREF(((fapws_static_object *)self)->options);
  Py_XDECREF(((fapws_static_object *)self)->path);
  PyObject_Free(self);
}

PyTypeObject fapws_StaticAnswer_Type = {
    PyVarObject_HEAD_INIT(NULL, 0).tp_name = "_fapws.StaticAnswer",
    .tp_basicsize = sizeof(fapws_static_object),
    .tp_dealloc = static_dealloc,
    .tp_flags = Py_TPFLAGS_DEFAULT,
    .tp_doc = "A response that the server itself sends from a document root.",
};

static PyMethodDef functions[] = {
    {"static_answer", static_answer, METH_VARARGS,
     "static_answer(options, environ, program=False) -> object to return: the file or program that PATH_INFO names "
     "under the root in options (JSON)."},
    {"cache_purge", fapws_cache_purge, METH_O,
     "cache_purge(pattern): removes pages from the cache; a pattern is JSON, see fapws.cache.purge."},
    {"channel_publish", fapws_channel_publish, METH_VARARGS,
     "channel_publish(name, id, type, data) -> True: queued; False: the queue is full, retry; None: the queue is full, "
     "and only this thread can drain it."},
    {"channel_answer", fapws_channel_answer, METH_VARARGS,
     "channel_answer(names, start, headers) -> object to return."},
    {"channel_subscribers", fapws_channel_subscribers, METH_O,
     "channel_subscribers(name) -> number of subscribers in all processes."},
    {"channel_watch", fapws_channel_watch, METH_NOARGS,
     "channel_watch(): reports new and lost subscribers to fapws._channels from now on."},
    {"broadcast", fapws_ws_broadcast, METH_VARARGS, "broadcast(websockets, message) -> int: see fapws.broadcast."},
    {"broadcast_all", fapws_ws_broadcast_all, METH_VARARGS,
     "broadcast_all(websocket, message, group) -> as channel_publish."},
    {"websocket_count", fapws_ws_count, METH_VARARGS,
     "websocket_count(websocket, group) -> number of connections in all processes."},
    {"group_join", fapws_group_join, METH_VARARGS,
     "group_join(socket, group): socket is the number in the scope of a WebSocket."},
    {"group_leave", fapws_group_leave, METH_VARARGS, "group_leave(socket, group): the same number."},
    {"group_send", fapws_group_send, METH_VARARGS, "group_send(group, message) -> as broadcast_all."},
    {"group_count", fapws_group_count, METH_VARARGS,
     "group_count(group) -> number of ASGI WebSockets in the group, in all processes."},
    {"ipc_post", fapws_ipc_post, METH_VARARGS,
     "ipc_post(topic, data) -> as broadcast_all: sends a message to fapws._ipc in all processes."},
    {"ipc_watch", fapws_ipc_watch, METH_NOARGS, "ipc_watch(): delivers messages to fapws._ipc from now on."},
    {"error_lines", fapws_errorlog_method, METH_VARARGS,
     "error_lines(number, text): writes text to the error log of a host."},
    {"log_line", fapws_log_line, METH_VARARGS,
     "log_line(level, text) -> str: a line as in the error log of the server."},
    {"signals_on_stack", fapws_signals_on_stack, METH_NOARGS,
     "signals_on_stack(): must be called after a library has set signal handlers."},
#if FAPWS_PARALLEL
    {"stacks", fapws_stacks, METH_NOARGS,
     "stacks() -> [(ident, bytes)]: file, line and function of each frame, with a NUL behind each, innermost first."},
#endif
    {NULL, NULL, 0, NULL}};

static struct PyModuleDef definition = {PyModuleDef_HEAD_INIT, .m_name = "_fapws",
                                        .m_doc = "The part of fapws that is in the executable.", .m_size = -1,
                                        .m_methods = functions};

PyObject *fapws_module_init(void) {
  struct {
    const char *name;
    PyTypeObject *type;
  } types[] = {{"Start_response", &fapws_Start_Type},
               {"FileWrapper", &fapws_FileWrapper_Type},
               {"Input", &fapws_Input_Type},
               {"StaticAnswer", &fapws_StaticAnswer_Type},
               {"ChannelAnswer", &fapws_ChannelAnswer_Type},
               {"WebSocketConnection", &fapws_WebSocketConnection_Type}};
  PyObject *module = PyModule_Create(&definition);
#if FAPWS_PARALLEL
  if (module) PyUnstable_Module_SetGIL(module, Py_MOD_GIL_NOT_USED);
#endif
  fapws_timeout =
      PyErr_NewExceptionWithDoc("fapws.Timeout", "Raised in a handler that takes longer than --timeout.", NULL, NULL);
  if (fapws_timeout) Py_INCREF(fapws_timeout);
  if (module && PyModule_AddFunctions(module, fapws_metric_methods) < 0) Py_CLEAR(module);
  if (module && (!fapws_timeout || PyModule_AddObject(module, "Timeout", fapws_timeout) < 0)) Py_CLEAR(module);
  for (size_t i = 0; module && i < sizeof types / sizeof *types; i++) {
    Py_INCREF(types[i].type);
    if (PyType_Ready(types[i].type) < 0 || PyModule_AddObject(module, types[i].name, (PyObject *)types[i].type) < 0)
      Py_CLEAR(module);
  }
  return module;
}

/* The class called name in globals if it is a subclass of base, but not base itself, which needs no call. A new
 * reference. */
static PyObject *script_class(PyObject *globals, const char *name, PyTypeObject *base) {
  PyObject *o = PyDict_GetItemString(globals, name);
  if (!o || o == (PyObject *)base || !PyType_Check(o) || !PyType_IsSubtype((PyTypeObject *)o, base)) return NULL;
  return Py_NewRef(o);
}

void *fapws_environ_class(void *globals) { return script_class(globals, "Environ", &PyDict_Type); }

void *fapws_start_class(void *globals) { return script_class(globals, "Start_response", &fapws_Start_Type); }
