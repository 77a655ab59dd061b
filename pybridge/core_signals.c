/* Signals: Python's main thread runs the application's signal handlers, and SIGTERM and SIGINT stop the server. */
#include "core.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

static struct sigaction go_handler; /* Go's handler, which is the same function for all signals */

static PyObject *pass_to_go(int sig) {
  struct sigaction act = {.sa_handler = SIG_DFL};
  if (sigaction(sig, core_forked ? &act : &go_handler, NULL) < 0 || kill(getpid(), sig) < 0)
    return PyErr_SetFromErrno(PyExc_OSError);
  Py_RETURN_NONE;
}

/* Python's handler for SIGTERM and SIGINT before the application sets its own handler. signal.getsignal and
 * signal.signal return this handler, so that the application's own handler can call it to stop the server. */
static PyObject *stop_server(PyObject *self, PyObject *args) {
  PyObject *sig = PyTuple_GET_SIZE(args) > 0 ? PyTuple_GET_ITEM(args, 0) : NULL;
  return pass_to_go(sig && PyLong_Check(sig) && PyLong_AsLong(sig) == SIGINT ? SIGINT : SIGTERM);
}

/* --- handlers of the application ---------------------------------------------------- */

pthread_t core_main_thread;
static PyObject *python_signal;
static volatile sig_atomic_t stop_arrived;
static void (*python_handler)(int); /* Python's own handler, which is the same function for all signals */

/* Passes a signal to Python's main thread, because the kernel can deliver it to any thread. On the main thread, the
 * signal interrupts a call such as sleep, recv or Lock.acquire, and Python runs the handler of the application. */
static void on_signal(int sig) {
  int before = errno;
  if (sig == SIGTERM || sig == SIGINT) stop_arrived = sig;
  if (core_forked || pthread_equal(pthread_self(), core_main_thread))
    python_handler(sig);
  else
    pthread_kill(core_main_thread, sig);
  errno = before;
}

/* Whether pdb is setting its own handler for SIGINT at the command "continue". With that handler, a developer could not
 * stop the server. The ValueError of set_handler makes pdb continue without its handler, as on threads that are not the
 * main thread. */
static int is_of_pdb(PyObject *args) {
  PyObject *handler = PyTuple_GET_SIZE(args) == 2 ? PyTuple_GET_ITEM(args, 1) : NULL;
  PyObject *function = handler && PyMethod_Check(handler) ? PyMethod_GET_FUNCTION(handler) : NULL;
  PyObject *name = function ? PyObject_GetAttrString(function, "__qualname__") : NULL;
  int yes = name && PyUnicode_Check(name) && PyUnicode_CompareWithASCIIString(name, "Pdb.sigint_handler") == 0;
  Py_XDECREF(name);
  PyErr_Clear();
  return yes;
}

static PyObject *set_handler(PyObject *self, PyObject *args) {
  struct sigaction now;
  if (is_of_pdb(args)) {
    PyErr_SetString(PyExc_ValueError, "SIGINT stops the server");
    return NULL;
  }
  PyObject *before = PyObject_Call(python_signal, args, NULL);
  if (!before || !PyCallable_Check(PyTuple_GET_ITEM(args, 1))) return before;
  int sig = (int)PyLong_AsLong(PyTuple_GET_ITEM(args, 0));
  if (sigaction(sig, NULL, &now) != 0 || now.sa_handler == on_signal) return before;
  python_handler = now.sa_handler;
  now.sa_handler = on_signal;
  /* Python before 3.10 does not set this flag. Without the flag, the handler could run on the stack of a goroutine,
   * which is too small. */
  now.sa_flags |= SA_ONSTACK;
  sigaction(sig, &now, NULL);
  return before;
}

static PyMethodDef set_method = {"signal", set_handler, METH_VARARGS,
                                 "signal(signalnum, handler, /)\n--\n\nSet the action for the given signal."};

/* Sets the flag SA_ONSTACK for signal handlers that libraries have installed. */
PyObject *core_signals_on_stack(PyObject *module, PyObject *none) {
  for (int sig = 1; sig < NSIG; sig++) {
    struct sigaction sa;
    if (sigaction(sig, NULL, &sa) != 0 || sa.sa_handler == SIG_DFL || sa.sa_handler == SIG_IGN) continue;
    if (sa.sa_flags & SA_ONSTACK) continue;
    sa.sa_flags |= SA_ONSTACK;
    sigaction(sig, &sa, NULL);
  }
  Py_RETURN_NONE;
}

void core_watch_signals(int fd) {
  PyObject *old = core_call_with(core_import("_signal", "set_wakeup_fd"), Py_BuildValue("(i)", fd),
                                 Py_BuildValue("{s:O}", "warn_on_full_buffer", Py_False));
  /* If the script has called signal.set_wakeup_fd before, restore the descriptor of the script. */
  if (old && PyLong_AsLong(old) >= 0) Py_XDECREF(core_call("_signal", "set_wakeup_fd", "(O)", old));
  Py_XDECREF(old);
  if (PyErr_Occurred()) core_report("watching signals", NULL);
}

int core_ends_by_stop(void) {
  return stop_arrived && (PyErr_ExceptionMatches(PyExc_SystemExit) || PyErr_ExceptionMatches(PyExc_KeyboardInterrupt));
}

static int ends_serving(void) {
  int status = core_system_exit();
  if (status < 0 && PyErr_ExceptionMatches(PyExc_KeyboardInterrupt)) {
    PyErr_Clear();
    status = 0;
  }
  if (status >= 0) core_request_exit(status);
  return status >= 0;
}

void core_check_signals(void) {
  int sig = stop_arrived;
  stop_arrived = 0;
  if (PyErr_CheckSignals() < 0 && !ends_serving()) core_report("a signal handler", NULL);
  /* If _signal was imported a second time, Python has forgotten the handler ("OSError: Signal 15 ignored"), so Go must
   * handle the signal. */
  PyObject *handler = sig ? core_call("_signal", "getsignal", "(i)", sig) : NULL;
  if (handler == Py_None) Py_XDECREF(pass_to_go(sig));
  Py_XDECREF(handler);
  PyErr_Clear();
}

int core_is_exit_by_signal(PyObject *value) {
  int exits = value && (PyErr_GivenExceptionMatches(value, PyExc_SystemExit) ||
                        PyErr_GivenExceptionMatches(value, PyExc_KeyboardInterrupt));
  if (LIKELY(!exits) || !pthread_equal(pthread_self(), core_main_thread)) return 0;
  PyObject *found = core_call("fapws._failure", "is_of_signal", "(O)", value);
  int yes = found == Py_True;
  Py_XDECREF(found);
  PyErr_Clear();
  if (!yes) return 0;
  PyErr_SetObject((PyObject *)Py_TYPE(value), value);
  return ends_serving();
}

/* --- signals that stop the server ------------------------------------------------ */

/* Tells Python that stop_server is the handler for sig, but lets the process keep Go's handler. If Python knew no
 * handler, a tool such as ddtrace would install a handler that ends the process at once. */
static void know_signal(PyObject *module, int sig) {
  static PyMethodDef method = {"stop", stop_server, METH_VARARGS,
                               "stop(signum, frame): stops the server in order, as the signal does."};
  struct sigaction now;
  if (sigaction(sig, NULL, &now) < 0 || now.sa_handler == SIG_DFL || now.sa_handler == SIG_IGN) return;
  PyObject *stop = PyCFunction_New(&method, NULL);
  if (stop) Py_XDECREF(PyObject_CallMethod(module, "signal", "iN", sig, stop));
  sigaction(sig, &now, NULL);
  go_handler = now;
}

/* Imports _signal, sets stop_server as Python's handler, and replaces _signal.signal, which all modules use, by
 * set_handler. */
static void know_signals(void) {
  PyObject *module = PyImport_ImportModule("_signal");
  if (module) {
    know_signal(module, SIGTERM);
    know_signal(module, SIGINT);
  }
  core_main_thread = pthread_self();
  python_signal = module ? PyObject_GetAttrString(module, "signal") : NULL;
  PyObject *ours = python_signal ? PyCFunction_New(&set_method, NULL) : NULL;
  if (ours) PyObject_SetAttrString(module, "signal", ours);
  Py_XDECREF(ours);
  Py_XDECREF(module);
  PyErr_Clear();
}

static PyObject *(*make_abc)(void);

static PyObject *make_abc_later(void) {
  if (!python_signal) know_signals(); /* already done before if this is a subinterpreter */
  return make_abc();
}

/* Makes Python import _signal when it imports the built-in module _abc, which is before site and sitecustomize run. A
 * tool such as ddtrace, which runs in sitecustomize, removes the modules that it was the first to import. If it removed
 * _signal, the second import of _signal would make Python forget all handlers. */
void core_import_signals_early(void) {
  for (struct _inittab *one = PyImport_Inittab; one->name; one++) {
    if (strcmp(one->name, "_abc") != 0) continue;
    make_abc = one->initfunc;
    one->initfunc = make_abc_later;
  }
}
