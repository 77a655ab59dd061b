/* Starts and ends the interpreter, and runs the script. The functions run on Python's main thread. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE 1
#endif
#include "core.h"

#include <dlfcn.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static PyThreadState *main_state;

void core_release_gil(void) {
  CORE_CHECK(CORE_GIL | CORE_ON_MAIN);
  main_state = PyEval_SaveThread();
}

void core_take_gil(void) {
  CORE_CHECK(CORE_NO_GIL | CORE_ON_MAIN | CORE_LOADING | CORE_SERVING);
  PyEval_RestoreThread(main_state);
}

char *core_executing(void) {
  if (!Py_IsInitialized()) return NULL;
  CORE_WITH_GIL(CORE_LOADING | CORE_SERVING);
  char *place = core_copy_text(core_call("fapws._failure", "executing", "()"));
  PyErr_Clear();
  return place;
}

static int failed(PyStatus status, const char **why) {
  if (!PyStatus_Exception(status)) return 0;
  *why = status.err_msg ? status.err_msg : "Python cannot start";
  return -1;
}

/* Makes Python use only the modules of a bundle: the folders app and lib below its folder (_finder.py). */
static int configure_bundle(PyConfig *c, const char *folder, const char **why) {
  wchar_t **prefixes[] = {&c->home, &c->prefix, &c->base_prefix, &c->exec_prefix, &c->base_exec_prefix};
  for (size_t i = 0; i < sizeof prefixes / sizeof *prefixes; i++)
    if (failed(PyConfig_SetBytesString(c, prefixes[i], folder), why)) return -1;
  static const char *const parts[] = {"app", "lib"};
  for (int i = 0; i < 2; i++) {
    char path[PATH_MAX];
    snprintf(path, sizeof path, "%s/%s", folder, parts[i]);
    wchar_t *text = Py_DecodeLocale(path, NULL);
    if (!text) return *why = "out of memory", -1;
    PyStatus added = PyWideStringList_Append(&c->module_search_paths, text);
    PyMem_RawFree(text);
    if (failed(added, why)) return -1;
  }
  c->module_search_paths_set = 1;
  c->user_site_directory = 0;
  return 0;
}

static int configure(PyConfig *c, const core_start_options *o, int has_library, const char **why) {
  /* Go handles the signals of the process until a script sets a handler with signal.signal. */
  c->install_signal_handlers = o->runs_python;
  c->parse_argv = o->runs_python;
  if (has_library) c->pathconfig_warnings = c->site_import = 0;
  if (o->executable && failed(PyConfig_SetBytesString(c, &c->program_name, o->executable), why)) return -1;
  if (o->executable && o->bundle && failed(PyConfig_SetBytesString(c, &c->executable, o->executable), why)) return -1;
  if (o->home && failed(PyConfig_SetBytesString(c, &c->home, o->home), why)) return -1;
  if (o->bundle && configure_bundle(c, o->bundle, why) < 0) return -1;
  char **argv = calloc((size_t)o->argc + 1, sizeof *argv);
  if (!argv) return *why = "out of memory", -1;
  argv[0] = (char *)o->script;
  for (int i = 0; i < o->argc; i++) argv[i + 1] = (char *)o->argv[i];
  int bad = failed(PyConfig_SetBytesArgv(c, o->argc + 1, argv), why);
  free(argv);
  if (bad) return -1;
  return failed(Py_InitializeFromConfig(c), why);
}

/* Inserts folder into sys.path, and steals the reference to folder. */
static int insert_folder(int at, PyObject *folder) {
  PyObject *sys_path = PySys_GetObject("path");
  int bad = !folder || !sys_path || PyList_Insert(sys_path, at, folder) < 0;
  Py_XDECREF(folder);
  return -bad;
}

static int insert_folders(const core_start_options *o) {
  for (int i = 0; i < o->folders; i++)
    if (insert_folder(i, PyUnicode_DecodeFSDefault(o->path[i])) < 0) return -1;
  return 0;
}

/* Initialises Python and installs the finder. */
static int initialise(const core_start_options *o, PyObject *(*make_module)(void), const char **why) {
  CORE_CHECK(CORE_BEFORE);
  PyPreConfig pre;
  PyPreConfig_InitPythonConfig(&pre);
  if (failed(Py_PreInitialize(&pre), why)) return -1;
  if (PyImport_AppendInittab("_fapws", make_module) < 0) return *why = "out of memory", -1;
  core_import_signals_early();
  int has_library = core_freeze_library();
  if (o->bundle && !has_library) return *why = "a bundle needs Python 3.11 or newer", -1;
  PyConfig config;
  PyConfig_InitPythonConfig(&config);
  int bad = configure(&config, o, has_library, why);
  PyConfig_Clear(&config);
  if (bad) return -1;
  /* C code needs the types of module _fapws, so the module is imported here, even if the script does not import it. */
  if (core_done(PyImport_ImportModule("_fapws")) == 0 && core_install_finder(o->source, o->loop, o->bundle) == 0 &&
      (!has_library || core_done(core_call("site", "main", "()")) == 0))
    return 0;
  PyErr_Print();
  return *why = "Python cannot be set up for fapws", -1;
}

int core_start(const core_start_options *o, PyObject *(*make_module)(void), const char **why) {
  if (initialise(o, make_module, why) < 0) return -1;
  if (insert_folders(o) < 0 || core_stdio_init("stdout", 1) < 0 || core_stdio_init("stderr", 2) < 0 ||
      core_fork_init() < 0 || core_dump_init() < 0) {
    PyErr_Print();
    *why = "Python cannot be set up for fapws";
    return -1;
  }
  return 0;
}

int core_run_python(const core_start_options *o, PyObject *(*make_module)(void), const char **why) {
  return initialise(o, make_module, why) < 0 ? -1 : Py_RunMain();
}

/* Implements core_system_exit. If silent is 1, the argument of sys.exit is not written. */
static int system_exit(int silent) {
  if (!PyErr_ExceptionMatches(PyExc_SystemExit)) return -1;
  PyObject *type, *value, *tb, *code = NULL;
  core_fetch_exception(&type, &value, &tb);
  if (value) code = PyObject_GetAttrString(value, "code");
  int status = 1;
  if (!code || code == Py_None) {
    status = 0;
  } else if (PyLong_Check(code)) {
    status = (int)(PyLong_AsLong(code) & 0xff);
  } else if (silent) {
  } else if (core_look == CORE_OBJECT) {
    core_done(core_call("fapws._failure", "log", "(sN)", "error", PyObject_Str(code)));
  } else {
    PySys_FormatStderr("%S\n", code);
  }
  PyErr_Clear();
  Py_XDECREF(code);
  Py_XDECREF(type);
  Py_XDECREF(value);
  Py_XDECREF(tb);
  return status;
}

int core_system_exit(void) { return system_exit(0); }

static int insert_script_folder(const char *path) {
  PyObject *flags = PySys_GetObject("flags");
  PyObject *safe = flags ? PyObject_GetAttrString(flags, "safe_path") : NULL;
  int is_safe = safe && PyObject_IsTrue(safe) == 1;
  Py_XDECREF(safe);
  PyErr_Clear();
  if (is_safe) return 0;
  char *real = realpath(path, NULL);
  const char *file = real ? real : path;
  const char *slash = strrchr(file, '/');
  Py_ssize_t len = slash == file ? 1 : slash ? slash - file : 0;
  PyObject *folder = PyUnicode_DecodeFSDefaultAndSize(file, len);
  free(real);
  return insert_folder(0, folder);
}

static PyObject *main_globals(PyObject *path) {
  PyObject *module = PyImport_AddModule("__main__");
  if (!module) return NULL;
  PyObject *globals = PyModule_GetDict(module);
  if (PyDict_SetItemString(globals, "__file__", path) < 0 || PyDict_SetItemString(globals, "__cached__", Py_None) < 0)
    return NULL;
  PyObject *loader = core_call("_frozen_importlib_external", "SourceFileLoader", "(sO)", "__main__", path);
  int ok = loader && PyDict_SetItemString(globals, "__loader__", loader) == 0;
  Py_XDECREF(loader);
  return ok ? globals : NULL;
}

int core_run_script(const char *path, int *code, char **line) {
  CORE_CHECK(CORE_GIL | CORE_ON_MAIN | CORE_LOADING);
  PyObject *done = NULL, *globals = NULL;
  PyObject *name = PyUnicode_DecodeFSDefault(path);
  if (name && insert_script_folder(path) == 0) globals = main_globals(name);
  if (globals) {
    FILE *script = fopen(path, "rb");
    if (script)
      done = PyRun_FileEx(script, path, Py_file_input, globals, globals, 1);
    else
      PyErr_SetFromErrnoWithFilenameObject(PyExc_OSError, name);
  }
  Py_XDECREF(name);
  Py_XDECREF(done);
  const char *slash = strrchr(path, '/');
  return core_script_ended(done != NULL, NULL, slash ? slash + 1 : path, code, line);
}

void *core_text(const char *bytes) {
  CORE_CHECK(CORE_GIL);
  return PyUnicode_DecodeFSDefault(bytes);
}

/* Returns one line about the current exception (fapws._failure), which the caller must free, or NULL on failure. The
 * exception remains set. Stores in *held whether the exception has become a part of the object that the server writes.
 */
static char *describe(const char *name, int *held) {
  PyObject *type, *value, *tb, *done = NULL;
  core_fetch_exception(&type, &value, &tb);
  char *line = NULL;
  if (value)
    line = core_copy_text(core_call("fapws._failure", "describe", "(ON)", value, PyUnicode_DecodeFSDefault(name)));
  if (line && core_look == CORE_OBJECT) done = core_call("fapws._objects", "hold", "(O)", value);
  *held = done == Py_True;
  Py_XDECREF(done);
  PyErr_Restore(type, value, tb);
  return line;
}

int core_script_ended(int ok, void *raised, const char *name, int *code, char **line) {
  CORE_CHECK(CORE_GIL | CORE_ON_MAIN | CORE_LOADING);
  Py_XDECREF(core_signals_on_stack(NULL, NULL));
  core_exit_child();
  if (ok) return 0;
  if (raised) PyErr_SetObject((PyObject *)Py_TYPE(raised), raised);
  if (core_ends_by_stop()) {
    *code = core_system_exit();
    if (*code < 0) *code = 0;
    PyErr_Clear();
    return 1;
  }
  int held = 0;
  if (line) *line = describe(name, &held);
  *code = system_exit(held);
  if (*code < 0) {
    *code = PyErr_ExceptionMatches(PyExc_KeyboardInterrupt) ? 130 : 1;
    held ? PyErr_Clear() : PyErr_Print();
  }
  return -1;
}

/* Returns the version of Python's library, which can be a later bugfix release than the headers. Python need not be
 * initialised. */
const char *core_python_version(void) {
  static char version[32];
  const char *all = Py_GetVersion();
  snprintf(version, sizeof version, "%.*s%s", (int)strcspn(all, " +"), all, CORE_PARALLEL ? "t" : "");
  return version;
}

const char *core_headers_version(void) { return Py_STRINGIFY(PY_MAJOR_VERSION) "." Py_STRINGIFY(PY_MINOR_VERSION); }

const char *core_library(void) {
  Dl_info info;
  void *known = dlsym(RTLD_DEFAULT, "Py_FinalizeEx");
  return known && dladdr(known, &info) ? info.dli_fname : "libpython";
}

int core_finish(void) {
  CORE_CHECK(CORE_GIL | CORE_ON_MAIN | CORE_LOADING | CORE_SERVING);
  core_dump_end();
  return Py_FinalizeEx();
}

void core_run_atexit(void) {
  CORE_WITH_GIL(CORE_LOADING | CORE_SERVING);
  if (core_done(core_call("atexit", "_run_exitfuncs", "()")) < 0) PyErr_Print();
}
