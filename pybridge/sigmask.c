/* The signal mask of a worker. */
#include <signal.h>
#include <stdlib.h>

/* During an upgrade the new program of the supervisor starts with its control signals blocked, so that none is lost. Go
 * passes that mask to every child, and a worker would pass it to programs that the application starts, which could then not
 * be terminated. Go passes on the mask that it starts with, so this runs before Go. */
__attribute__((constructor)) static void unblock_signals(void) {
  static const int controls[] = {SIGHUP, SIGINT, SIGQUIT, SIGUSR1, SIGUSR2, SIGTERM, SIGTTIN, SIGTTOU};
  if (!getenv("FAPWS_WORKER")) return;
  sigset_t set;
  sigemptyset(&set);
  for (size_t i = 0; i < sizeof controls / sizeof *controls; i++) sigaddset(&set, controls[i]);
  pthread_sigmask(SIG_UNBLOCK, &set, NULL);
}
