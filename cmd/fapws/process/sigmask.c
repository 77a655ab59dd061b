/* Handles signals that are blocked when a process starts. During an upgrade, control signals are blocked, so that
 * signals between the two programs are not lost. This code runs before Go's runtime, which unblocks some signals. */
#include "sigmask.h"

#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

static const int controls[] = {SIGHUP, SIGINT, SIGQUIT, SIGUSR1, SIGUSR2, SIGTERM, SIGTTIN, SIGTTOU};

/* Control signals that must not end or stop the process before it catches them, although that is their default. */
static const int harmless[] = {SIGHUP, SIGTTIN, SIGTTOU};

static const int ending[] = {SIGTERM, SIGINT, SIGQUIT};

static sigset_t arrived;

#define COUNT(a) (sizeof(a) / sizeof *(a))

/* A worker inherits the mask. Programs that the application starts would inherit it, too, and could not be
 * terminated. */
static void unblock(void) {
  sigset_t set;
  sigemptyset(&set);
  for (size_t i = 0; i < COUNT(controls); i++) sigaddset(&set, controls[i]);
  pthread_sigmask(SIG_UNBLOCK, &set, NULL);
}

/* Handles a signal that ends the process, from the moment when Go unblocks it. If Go has its own handler by then, but
 * has not caught the signal, that handler calls this one and lets the signal end the process. Service managers would
 * report a failure, so the process exits with 0. Its workers notice and end gracefully. */
static void note(int sig) {
  struct sigaction now;
  sigaddset(&arrived, sig);
  if (sigaction(sig, NULL, &now) == 0 && now.sa_handler != note) _exit(0);
}

/* The kernel discards pending signals that become ignored, so they are recorded first. A HUP between this call and the
 * moment when Go catches HUP, some milliseconds later, is lost: Go unblocks HUP, which would end the process if it were
 * not ignored. */
static void note_early(void) {
  sigpending(&arrived);
  for (size_t i = 0; i < COUNT(harmless); i++) signal(harmless[i], SIG_IGN);
  for (size_t i = 0; i < COUNT(ending); i++)
    if (signal(ending[i], note) == SIG_IGN) signal(ending[i], SIG_IGN);
}

__attribute__((constructor(103))) static void start(void) {
  sigemptyset(&arrived);
  if (getenv("_FAPWS_WORKER"))
    unblock();
  else if (getenv("_FAPWS_HANDOVER"))
    note_early();
}

int fapws_signal_arrived(int sig) { return sigismember(&arrived, sig) == 1; }
