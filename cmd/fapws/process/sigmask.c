/* Handles signals that are blocked when a process starts. During an upgrade, control signals are blocked, so that
 * signals between the two programs are not lost. This code runs before Go's runtime, which unblocks some signals. */
#include "sigmask.h"

#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

static const int controls[] = {SIGHUP, SIGINT, SIGQUIT, SIGUSR1, SIGUSR2, SIGTERM, SIGTTIN, SIGTTOU};

/* Control signals that must not end or stop the process by their default action before it catches them. */
static const int harmless[] = {SIGHUP, SIGTTIN, SIGTTOU};

static const int ending[] = {SIGTERM, SIGINT, SIGQUIT};

static sigset_t arrived;

#define COUNT(a) (sizeof(a) / sizeof *(a))

/* Unblocks the control signals in a worker, which has inherited the mask. Programs that the application starts would
 * also inherit it and could not be terminated. */
static void unblock(void) {
  sigset_t set;
  sigemptyset(&set);
  for (size_t i = 0; i < COUNT(controls); i++) sigaddset(&set, controls[i]);
  pthread_sigmask(SIG_UNBLOCK, &set, NULL);
}

/* Handles a signal that ends the process, from the moment when Go unblocks it. If Go has installed its handler but does
 * not catch the signal yet, Go's handler calls this handler and then lets the signal end the process. Service managers
 * would report a failure, so this handler exits with 0. The workers notice this and end gracefully. */
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
