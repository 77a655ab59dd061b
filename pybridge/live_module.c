/* Defines the built-in module _fapws for package fapws, the table of the kinds of handlers, and the mounts of the
 * pool. */
#include "live.h"

#include <stdlib.h>
#include <string.h>

#define the_pool core_the_pool

static PyMethodDef functions[] = {
    {"broadcast", live_ws_broadcast, METH_VARARGS, "broadcast(websockets, message) -> int: see fapws.broadcast."},
    {"error_lines", core_errorlog_method, METH_VARARGS,
     "error_lines(number, text): writes text to the error log of a host."},
    {"log", core_log_method, METH_VARARGS,
     "log(level, text, log[, type, value, traceback]): writes a message to the error log of the server, or of a host."},
    {"signals_on_stack", core_signals_on_stack, METH_NOARGS,
     "signals_on_stack(): must be called after a library has set signal handlers."},
#if CORE_PARALLEL
    {"stacks", core_stacks, METH_NOARGS,
     "stacks() -> [(ident, bytes)]: file, line and function of each frame, with a NUL behind each, innermost first."},
#endif
    {"watch_imports", core_watch_imports, METH_VARARGS,
     "watch_imports(names, check): calls check(name, globals, fromlist, level) before imports of these names."},
    {NULL, NULL, 0, NULL}};

static struct PyModuleDef definition = {PyModuleDef_HEAD_INIT, .m_name = "_fapws",
                                        .m_doc = "The part of fapws that is in the executable.", .m_size = -1,
                                        .m_methods = functions};

static PyObject *make_module(void) {
  struct {
    const char *name;
    PyTypeObject *type;
  } types[] = {{"Start_response", &wsgi_Start_Type},      {"Input", &wsgi_Input_Type},
               {"StaticAnswer", &wsgi_StaticAnswer_Type}, {"ChannelAnswer", &wsgi_ChannelAnswer_Type},
               {"Disconnected", &wsgi_Disconnected_Type}, {"WebSocketConnection", &live_WebSocketConnection_Type}};
  PyMethodDef *methods[] = {core_archive_methods, core_metric_methods, wsgi_answer_methods, live_channel_methods,
                            live_group_methods,   live_ipc_methods,    live_user_methods};
  PyObject *module = PyModule_Create(&definition);
#if CORE_PARALLEL
  if (module) PyUnstable_Module_SetGIL(module, Py_MOD_GIL_NOT_USED);
#endif
  core_timeout = PyErr_NewExceptionWithDoc(
      "fapws.Timeout", "An exception raised in a handler that takes longer than --timeout.", NULL, NULL);
  core_client_disconnected = PyErr_NewExceptionWithDoc(
      "fapws.ClientDisconnected", "An exception raised by write() and send() after the client has disconnected.",
      PyExc_BrokenPipeError, NULL);
  for (size_t i = 0; module && i < sizeof methods / sizeof *methods; i++)
    if (PyModule_AddFunctions(module, methods[i]) < 0) Py_CLEAR(module);
  if (module && (PyModule_AddObject(module, "Timeout", Py_XNewRef(core_timeout)) < 0 ||
                 PyModule_AddObject(module, "ClientDisconnected", Py_XNewRef(core_client_disconnected)) < 0))
    Py_CLEAR(module);
  for (size_t i = 0; module && i < sizeof types / sizeof *types; i++)
    if (PyType_Ready(types[i].type) < 0 || PyModule_AddObject(module, types[i].name, Py_NewRef(types[i].type)) < 0)
      Py_CLEAR(module);
  return module;
}

static const struct {
  const core_kind *request, *websocket;
  const core_mode *mode;
} protocols[] = {
    [CORE_WSGI] = {&wsgi_handlers, &wsgi_handlers, NULL},
    [CORE_ASGI] = {&asgi_http.kind, &asgi_websocket.kind, &asgi_mode},
    [CORE_ASYNC_HANDLER] = {&asgi_handler.kind, &asgi_handler.kind, &asgi_mode},
    [CORE_WEBSOCKET] = {&wsgi_handlers, &live_websockets, NULL},
};

static void mount_bind(core_mount *m, int protocol) {
  m->kinds[0] = protocols[protocol].request;
  m->kinds[1] = protocols[protocol].websocket;
  m->mode = protocols[protocol].mode ? protocols[protocol].mode : core_the_pool.mode;
}
int live_start_python(const core_start_options *o, const char **why) { return core_start(o, make_module, why); }
int live_run_python(const core_start_options *o, const char **why) { return core_run_python(o, make_module, why); }

static int make_mounts(const core_options *o) {
  the_pool.nmounts = o->mounts + 1;
  the_pool.mounts = calloc((size_t)the_pool.nmounts, sizeof *the_pool.mounts);
  for (int i = 0; i < o->mounts; i++) {
    core_mount *m = &the_pool.mounts[i];
    mount_bind(m, o->targets[i].kind);
    m->relative = o->targets[i].relative;
    m->callable = o->targets[i].callable;
    Py_XINCREF(m->callable);
    m->environ = o->targets[i].environ;
    m->start = o->targets[i].start;
    m->name = PyUnicode_FromString(o->names[i]);
    m->place = o->targets[i].place ? strdup(o->targets[i].place) : NULL;
    /* A handler counts as slow until it has been called. */
    m->run_ns = m->wait_ns = m->close_ns = m->chunk_ns = 10 * CORE_SLOW_NS;
  }
  core_mount *presence = &the_pool.mounts[o->mounts];
  presence->callable = live_presence_handler();
  presence->name = PyUnicode_FromString("on_join and on_leave");
  /* These times make the mount count as slow. Other threads then run the requests that arrive during its callbacks. */
  presence->run_ns = presence->wait_ns = 10 * CORE_HEAVY_NS;
  mount_bind(presence, CORE_WSGI);
  return presence->callable && presence->name ? 0 : -1;
}

core_shared *live_start_pool(const core_options *o) {
  core_pool_start(o, &asgi_mode, wsgi_forget_caches);
  if (make_mounts(o) < 0 || wsgi_environ_init(o) < 0) return NULL;
  return the_pool.mode->prepare() < 0 || the_pool.coroutines->prepare() < 0 ? NULL : &the_pool.shared;
}
