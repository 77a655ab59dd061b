/* Handles signals that are blocked when a process starts, before Go's runtime unblocks some of these signals (doc.go).
 */
#include "sigmask.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const int controls[] = {SIGHUP, SIGINT, SIGQUIT, SIGUSR1, SIGUSR2, SIGTERM, SIGTTIN, SIGTTOU};

/* Control signals whose default action must not end or suspend the process before the process catches them. */
static const int harmless[] = {SIGHUP, SIGTTIN, SIGTTOU};

static const int ending[] = {SIGTERM, SIGINT, SIGQUIT};

static sigset_t arrived;

#define COUNT(a) (sizeof(a) / sizeof *(a))

/* Unblocks the control signals in a process that runs an application and has inherited the signal mask. Programs that
 * the application starts would otherwise inherit the mask, too, and could not be terminated with a signal. */
static void unblock(void) {
  sigset_t set;
  sigemptyset(&set);
  for (size_t i = 0; i < COUNT(controls); i++) sigaddset(&set, controls[i]);
  pthread_sigmask(SIG_UNBLOCK, &set, NULL);
}

/* Records TERM, INT and QUIT until Go installs its own signal handler. In the time between this installation and the
 * moment when Go catches the signal, Go's handler calls this function, and would afterwards end the process by the
 * signal. A service manager would report that end as a failure. Therefore this function ends the process with status
 * 0. */
static void note(int sig) {
  struct sigaction now;
  sigaddset(&arrived, sig);
  if (sigaction(sig, NULL, &now) == 0 && now.sa_handler != note) _exit(0);
}

/* The signals in harmless are ignored until Go catches them. If HUP were not ignored, it would end the process as soon
 * as Go's runtime unblocks it. The kernel discards a pending signal when the signal becomes ignored, so pending signals
 * are recorded first. */
static void note_early(void) {
  sigpending(&arrived);
  for (size_t i = 0; i < COUNT(harmless); i++) signal(harmless[i], SIG_IGN);
  for (size_t i = 0; i < COUNT(ending); i++)
    if (signal(ending[i], note) == SIG_IGN) signal(ending[i], SIG_IGN);
}

/* Prepares a process without a supervisor that has executed itself. A pending USR1 or USR2 is discarded, because the
 * program opens the log files anew and loads the application anew. */
static void note_alone(void) {
  note_early();
  signal(SIGUSR1, SIG_IGN);
  signal(SIGUSR2, SIG_IGN);
  unblock();
}

__attribute__((constructor(103))) static void start(void) {
  const char *handover = getenv("_FAPWS_HANDOVER");
  sigemptyset(&arrived);
  if (getenv("_FAPWS_WORKER"))
    unblock();
  else if (handover && strncmp(handover, "alone:", sizeof "alone:" - 1) == 0)
    note_alone();
  else if (handover)
    note_early();
}

int fapws_signal_arrived(int sig) { return sigismember(&arrived, sig) == 1; }
