/* The built-in module _fapws: what package fapws is made of. */
#include "bridge.h"

PyObject *fapws_environ_class, *fapws_start_class;

/* static_answer(options, environ): what a Staticfile that is called by another
 * handler returns; the server then serves PATH_INFO from it, in Go. */
static PyObject *static_answer(PyObject *module, PyObject *args) {
  (void)module;
  PyObject *options, *environ;
  if (!PyArg_ParseTuple(args, "UO!:static_answer", &options, &PyDict_Type, &environ)) return NULL;
  PyObject *path_info = PyDict_GetItemString(environ, "PATH_INFO"); /* borrowed; also what a middleware has put there */
  if (!path_info || !PyUnicode_Check(path_info)) {
    PyErr_SetString(PyExc_TypeError, "static_answer: environ['PATH_INFO'] must be a str");
    return NULL;
  }
  PyObject *path = PyUnicode_AsLatin1String(path_info); /* PEP 3333: bytes in disguise */
  if (!path) return NULL;
  fapws_static_object *s = PyObject_New(fapws_static_object, &fapws_StaticAnswer_Type);
  if (!s) {
    Py_DECREF(path);
    return NULL;
  }
  Py_INCREF(options);
  s->options = options;
  s->path = path;
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
    .tp_doc = "An answer that the server takes from a document root by itself.",
};

static PyMethodDef functions[] = {
    {"static_answer", static_answer, METH_VARARGS,
     "static_answer(options, environ) -> object to return: the file that PATH_INFO names below the root in options (JSON)."},
    {NULL, NULL, 0, NULL}};

static struct PyModuleDef definition = {
    PyModuleDef_HEAD_INIT, .m_name = "_fapws", .m_doc = "The part of fapws that lives in the executable.", .m_size = -1,
    .m_methods = functions};

PyObject *fapws_module_init(void) {
  struct {
    const char *name;
    PyTypeObject *type;
  } types[] = {{"Start_response", &fapws_Start_Type},
               {"FileWrapper", &fapws_FileWrapper_Type},
               {"Input", &fapws_Input_Type},
               {"StaticAnswer", &fapws_StaticAnswer_Type}};
  PyObject *module = PyModule_Create(&definition);
  fapws_timeout = PyErr_NewExceptionWithDoc("fapws.Timeout", "Raised in a handler that takes longer than --timeout.", NULL, NULL);
  if (fapws_timeout) Py_INCREF(fapws_timeout);
  if (module && (!fapws_timeout || PyModule_AddObject(module, "Timeout", fapws_timeout) < 0)) Py_CLEAR(module);
  for (size_t i = 0; module && i < sizeof types / sizeof *types; i++) {
    Py_INCREF(types[i].type);
    if (PyType_Ready(types[i].type) < 0 || PyModule_AddObject(module, types[i].name, (PyObject *)types[i].type) < 0)
      Py_CLEAR(module);
  }
  return module;
}

/* The class called name in globals if it is a subclass of base. Borrowed. */
static PyObject *script_class(PyObject *globals, const char *name, PyTypeObject *base) {
  PyObject *o = PyDict_GetItemString(globals, name);
  return o && PyType_Check(o) && PyType_IsSubtype((PyTypeObject *)o, base) ? o : NULL;
}

int fapws_use_classes(void *globals) {
  fapws_environ_class = script_class(globals, "Environ", &PyDict_Type);
  fapws_start_class = script_class(globals, "Start_response", &fapws_Start_Type);
  Py_XINCREF(fapws_environ_class);
  if (fapws_start_class == (PyObject *)&fapws_Start_Type) fapws_start_class = NULL; /* the built-in one is recycled */
  Py_XINCREF(fapws_start_class);
  return fapws_environ_class != NULL;
}
