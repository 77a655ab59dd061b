/* Ends a process whose parent has died. This code needs no descriptor, no lock and no second thread: the application
 * may have closed descriptors that fapws has opened, a handler may hold the GIL, and Go may block forever while it
 * writes a crash report to a full pipe. */
#define _GNU_SOURCE
#include "orphan.h"

#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

/* These system calls are made directly, because the library functions are in librt before glibc 2.34. */
#ifndef SYS_timer_settime /* musl's names on 32 bits */
#define SYS_timer_gettime SYS_timer_gettime32
#define SYS_timer_settime SYS_timer_settime32
#endif
struct kernel_time {
  long interval_seconds, interval_nanoseconds, seconds, nanoseconds; /* struct __kernel_old_itimerspec */
};

static int timer; /* ID of the kernel timer that sends SIGKILL when it expires */
static pid_t parent;
static atomic_int limit_seconds;
static struct sigaction before; /* previous handler, which belongs to Go */

void fapws_orphan_limit(int limit) { atomic_store(&limit_seconds, limit); }

void fapws_orphan_end(void) {
  struct kernel_time now, at = {0, 0, atomic_load(&limit_seconds), 1};
  if (syscall(SYS_timer_gettime, timer, &now) == 0 && now.seconds == 0 && now.nanoseconds == 0)
    syscall(SYS_timer_settime, timer, 0, &at, NULL);
}

static void on_signal(int sig, siginfo_t *info, void *context) {
  int kept = errno;
  if (getppid() != parent) { /* if the parent is still the same process, only one of its threads has ended */
    fapws_orphan_end();
    if (before.sa_flags & SA_SIGINFO) before.sa_sigaction(sig, info, context);
  }
  errno = kept;
}

int fapws_orphan_watch(int sig, int limit) {
  struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGKILL};
  parent = getppid();
  fapws_orphan_limit(limit);
  struct sigaction action = {.sa_sigaction = on_signal, .sa_flags = SA_SIGINFO | SA_ONSTACK | SA_RESTART};
  sigfillset(&action.sa_mask);
  if (syscall(SYS_timer_create, CLOCK_MONOTONIC, &event, &timer) < 0 || sigaction(sig, &action, &before) < 0 ||
      prctl(PR_SET_PDEATHSIG, sig) < 0)
    return errno;
  return 0;
}
