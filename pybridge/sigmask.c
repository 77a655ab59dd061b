/* The signals that a worker starts with. */
#include <signal.h>
#include <stdlib.h>

/* A supervisor that has taken over from another program was started with the
 * signals blocked that it leads its workers by, so that none is lost between
 * the two; Go gives that mask to every child, and a worker would give it to
 * what the application starts, which could then not be terminated. Go takes
 * the mask it finds for the one to give on, so it must be right before Go runs. */
__attribute__((constructor)) static void unblock_signals(void) {
  static const int led_by[] = {SIGHUP, SIGINT, SIGQUIT, SIGUSR1, SIGUSR2, SIGTERM, SIGTTIN, SIGTTOU};
  if (!getenv("FAPWS_WORKER")) return;
  sigset_t set;
  sigemptyset(&set);
  for (size_t i = 0; i < sizeof led_by / sizeof *led_by; i++) sigaddset(&set, led_by[i]);
  pthread_sigmask(SIG_UNBLOCK, &set, NULL);
}
