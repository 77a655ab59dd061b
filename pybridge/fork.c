/* os.fork() in a handler: the child may run Python and exit, never serve. */
#include "bridge.h"

#include <signal.h>
#include <unistd.h>

volatile int fapws_forked;

static struct sigaction go_action;

/* The Go runtime does not live in the child, so neither may its handlers:
 * they would wait for threads that are gone, and the child could not be
 * terminated. What the script installed stays. */
static void in_child(void) {
  fapws_forked = 1;
  for (int sig = 1; sig < NSIG; sig++) {
    struct sigaction sa;
    if (sigaction(sig, NULL, &sa) == 0 && (sa.sa_flags & SA_SIGINFO) && sa.sa_sigaction == go_action.sa_sigaction)
      signal(sig, sig == SIGPIPE ? SIG_IGN : SIG_DFL);
  }
}

void fapws_fork_init(void) {
  /* Go handles SIGURG in every program: its handler tells Go's from others. */
  sigaction(SIGURG, NULL, &go_action);
  pthread_atfork(NULL, NULL, in_child);
}

void fapws_child_exit(void) {
  int status = 0;
  if (PyErr_Occurred()) {
    status = fapws_system_exit();
    if (status < 0) {
      PyErr_Print();
      status = 1;
    }
  }
  const char *streams[] = {"stdout", "stderr"};
  for (int i = 0; i < 2; i++) {
    PyObject *f = PySys_GetObject(streams[i]);
    if (f && f != Py_None) Py_XDECREF(PyObject_CallMethod(f, "flush", NULL));
    PyErr_Clear();
  }
  _exit(status);
}
