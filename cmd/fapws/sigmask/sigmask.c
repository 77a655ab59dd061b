/* The signals that a process finds blocked when it starts, as the program of the supervisor does that takes over from
 * another at an upgrade: with its control signals blocked, none that comes between the two programs is lost. All of
 * this runs before Go's runtime, which unblocks some of them. */
#include "sigmask.h"

#include <signal.h>
#include <stdlib.h>

static const int controls[] = {SIGHUP, SIGINT, SIGQUIT, SIGUSR1, SIGUSR2, SIGTERM, SIGTTIN, SIGTTOU};

/* Those of them that would end or stop the process before it has caught them, and are not meant to. */
static const int early[] = {SIGHUP, SIGTTIN, SIGTTOU};

static sigset_t arrived;

#define COUNT(a) (sizeof(a) / sizeof *(a))

/* A worker inherits the mask, and would pass it to programs that the application starts, which could then not be
 * terminated. */
static void unblock(void) {
  sigset_t set;
  sigemptyset(&set);
  for (size_t i = 0; i < COUNT(controls); i++) sigaddset(&set, controls[i]);
  pthread_sigmask(SIG_UNBLOCK, &set, NULL);
}

/* Signals are discarded when they become ignored, so they are noted before. */
static void note_early(void) {
  sigpending(&arrived);
  for (size_t i = 0; i < COUNT(early); i++) signal(early[i], SIG_IGN);
}

__attribute__((constructor)) static void start(void) {
  sigemptyset(&arrived);
  if (getenv("FAPWS_WORKER"))
    unblock();
  else if (getenv("FAPWS_HANDOVER"))
    note_early();
}

int fapws_signal_arrived(int sig) {
  for (size_t i = 0; i < COUNT(early); i++)
    if (early[i] == sig) return sigismember(&arrived, sig) == 1;
  return 0;
}
