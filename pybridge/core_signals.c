/* Signals: Python's main thread runs the application's signal handlers, which can call those of the server. */
#include "core.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

static struct sigaction servers[NSIG]; /* actions of the server, which signal handlers of the application replace */

/* Ends with the server's action for sig: delivers sig to the server, even if the application handles the signal. The
 * application's handler is then in place again, so that it can call this function for each signal. A server that stops
 * keeps its own handler, because a second signal must end it even if the main thread does not run Python. */
static PyObject *pass_to_server(int sig) {
  int bad;
  struct sigaction ends = {.sa_handler = SIG_DFL}, before;
  sigset_t one, mask;
  sigemptyset(&one);
  sigaddset(&one, sig);
  CORE_BEGIN_ONE();
  bad = sigaction(sig, core_forked ? &ends : &servers[sig], &before) < 0;
  if (!bad) {
    pthread_sigmask(SIG_UNBLOCK, &one, &mask);
    bad = raise(sig) != 0;
    pthread_sigmask(SIG_SETMASK, &mask, NULL);
    if (sig != SIGTERM && sig != SIGINT) sigaction(sig, &before, NULL);
  }
  CORE_END_ONE();
  if (bad) return PyErr_SetFromErrno(PyExc_OSError);
  Py_RETURN_NONE;
}

static PyObject *handle(PyObject *self, PyObject *args) { return pass_to_server((int)PyLong_AsLong(self)); }

/* The signals that the server handles itself. signal.getsignal and signal.signal return these functions, until the
 * application sets its own handler, which can call the function. Each function is bound to the number of its signal. */
#define OWN(name)                                                                                                      \
  { name, handle, METH_VARARGS, name "(signum, frame): does what the server does at this signal." }
static PyMethodDef own[NSIG] = {
    [SIGTERM] = OWN("stop"),       [SIGINT] = OWN("stop"),           [SIGQUIT] = OWN("stop_quickly"),
    [SIGHUP] = OWN("reload"),      [SIGUSR1] = OWN("reopen_logs"),   [SIGUSR2] = OWN("upgrade"),
    [SIGTTIN] = OWN("add_worker"), [SIGTTOU] = OWN("remove_worker"),
};

static int is_of_server(PyObject *handler, int sig) {
  return PyCFunction_Check(handler) && PyCFunction_GetFunction(handler) == handle &&
         PyLong_AsLong(PyCFunction_GetSelf(handler)) == sig;
}

/* --- handlers of the application ---------------------------------------------------- */

pthread_t core_main_thread;
static PyObject *python_signal, *python_getsignal; /* functions of Python that ours call */
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

/* Python's values for the default action and for ignored signals. */
static PyObject *defaults, *ignores;

static char ignored[NSIG]; /* ignored when the process started, as under nohup */

/* Go's runtime later installs handlers for nearly all signals. */
__attribute__((constructor(101))) static void before_go(void) {
  struct sigaction now;
  for (int sig = 1; sig < NSIG; sig++) ignored[sig] = sigaction(sig, NULL, &now) == 0 && now.sa_handler == SIG_IGN;
}

/* Returns handler, which Python knows for sig, or the value in a process of python3 if Python knows none because of
 * Go's handler. Steals the reference to handler. */
static PyObject *as_in_python(PyObject *handler, int sig) {
  struct sigaction now;
  if (handler != Py_None || sigaction(sig, NULL, &now) != 0) return handler;
  Py_DECREF(handler);
  return Py_NewRef(ignored[sig] ? ignores : defaults);
}

static PyObject *get_handler(PyObject *self, PyObject *sig) {
  PyObject *handler = PyObject_CallFunctionObjArgs(python_getsignal, sig, NULL);
  return handler ? as_in_python(handler, (int)PyLong_AsLong(sig)) : NULL;
}

/* Whether Go's runtime and core_crash.c need their handlers. These handlers do what python3 does by default; those for
 * crashes also write lines. */
static int is_needed(int sig) {
  return sig == SIGSEGV || sig == SIGBUS || sig == SIGFPE || sig == SIGILL || sig == SIGABRT || sig == SIGURG;
}

static PyObject *set_handler(PyObject *self, PyObject *args) {
  struct sigaction now;
  if (is_of_pdb(args)) {
    PyErr_SetString(PyExc_ValueError, "SIGINT stops the server");
    return NULL;
  }
  int sig = PyTuple_GET_SIZE(args) == 2 ? (int)PyLong_AsLong(PyTuple_GET_ITEM(args, 0)) : 0;
  PyErr_Clear();
  if (is_needed(sig) && !servers[sig].sa_handler) sigaction(sig, NULL, &servers[sig]);
  PyObject *before = PyObject_Call(python_signal, args, NULL);
  if (!before) return NULL;
  PyObject *handler = PyTuple_GET_ITEM(args, 1);
  before = as_in_python(before, sig);
  if (is_of_server(handler, sig) || (is_needed(sig) && PyObject_RichCompareBool(handler, defaults, Py_EQ) == 1)) {
    if (!core_forked) sigaction(sig, &servers[sig], NULL);
    return before;
  }
  if (!PyCallable_Check(handler) || sigaction(sig, NULL, &now) != 0 || now.sa_handler == on_signal) return before;
  python_handler = now.sa_handler;
  now.sa_handler = on_signal;
  /* Python before 3.10 does not set this flag. Without the flag, the handler could run on the stack of a goroutine,
   * which is too small. */
  now.sa_flags |= SA_ONSTACK;
  sigaction(sig, &now, NULL);
  return before;
}

static PyMethodDef methods[] = {
    {"signal", set_handler, METH_VARARGS, "signal(signalnum, handler, /)\n--\n\nSet the action for the given signal."},
    {"getsignal", get_handler, METH_O,
     "getsignal(signalnum, /)\n--\n\nReturn the current action for the given signal."},
};

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
  /* If _signal was imported a second time, Python has forgotten the handler ("OSError: Signal 15 ignored"), so the
   * server must handle the signal. */
  PyObject *handler = sig ? core_call("_signal", "getsignal", "(i)", sig) : NULL;
  if (handler == Py_None) Py_XDECREF(pass_to_server(sig));
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

/* --- signals of the server ------------------------------------------------------- */

/* Tells Python the server's function for a signal, but lets the process keep the server's action. If Python knew no
 * handler, a tool such as ddtrace would install a handler that ends the process at once. TTIN and TTOU are ignored in
 * the process of the application; other signals that are ignored were so when the process started. In a wheel, a
 * process that does not serve has the default action, which is that of python3 except for SIGINT. */
static void know_signal(PyObject *module, int sig) {
  struct sigaction now;
  int serves = sig == SIGTTIN || sig == SIGTTOU;
  if (sigaction(sig, NULL, &now) < 0 || (now.sa_handler == SIG_DFL && sig != SIGINT) ||
      (now.sa_handler == SIG_IGN && !serves))
    return;
  servers[sig] = now;
  PyObject *number = PyLong_FromLong(sig), *function = number ? PyCFunction_New(&own[sig], number) : NULL;
  if (function) Py_XDECREF(PyObject_CallMethod(module, "signal", "iN", sig, function));
  Py_XDECREF(number);
  sigaction(sig, &now, NULL);
}

/* Returns Python's function, and replaces it in _signal, from which all modules take it. */
static PyObject *replace(PyObject *module, PyMethodDef *method) {
  PyObject *pythons = PyObject_GetAttrString(module, method->ml_name);
  PyObject *ours = pythons ? PyCFunction_New(method, NULL) : NULL;
  if (ours) PyObject_SetAttrString(module, method->ml_name, ours);
  Py_XDECREF(ours);
  return pythons;
}

/* Imports _signal, makes the server's functions the handlers of its signals, and replaces the functions signal and
 * getsignal of _signal. */
static void know_signals(void) {
  struct sigaction interrupt;
  sigaction(SIGINT, NULL, &interrupt);
  PyObject *module = PyImport_ImportModule("_signal");
  /* If SIGINT had the default action, the module has replaced the action by a handler that raises KeyboardInterrupt. An
   * application that catches all exceptions while it is loaded would continue. */
  sigaction(SIGINT, &interrupt, NULL);
  core_main_thread = pthread_self();
  if (module) {
    for (int sig = 1; sig < NSIG; sig++)
      if (own[sig].ml_name) know_signal(module, sig);
    defaults = PyObject_GetAttrString(module, "SIG_DFL");
    ignores = PyObject_GetAttrString(module, "SIG_IGN");
    python_signal = replace(module, &methods[0]);
    python_getsignal = replace(module, &methods[1]);
  }
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
