/* A thread that watches the pool in threads mode: it gives the queue to another thread if the drainer is stuck in a
 * job, starts threads, and wakes the event loop for parts that nothing else has woken it for. It sleeps while the
 * server is idle, and never takes the GIL. */
#include "core.h"

#include <errno.h>

#define P core_the_pool
#define TICK_NS 2500000u /* interval while the server is busy */
#define QUIET_TICKS 100  /* ticks without work before it sleeps */
#define RETURN_TICKS 100 /* ticks that a thread has between two jobs before another is started */

/* Stuck threads are replaced once, waiting ones each. */
static int may_spawn(void) { return core_counted_threads() < P.max && P.live - P.waiting < 2 * P.max; }

/* Whether a thread is between two jobs: it will take the next one as soon as it has a processor and the GIL, which
 * takes longer than a tick on a busy machine. P.mu is held. */
static int one_returns(void) {
  for (int i = 0; i < P.nthreads; i++) {
    core_thread *t = P.threads[i];
    if (t->state == CORE_THREAD_BUSY && !t->stuck && !__atomic_load_n(&t->current, __ATOMIC_RELAXED)) return 1;
  }
  return 0;
}

static int parts_wait(void) { return __atomic_load_n(&P.shared.done, __ATOMIC_RELAXED) != NULL; }

static void *monitor_main(void *arg) {
  pthread_setname_np(pthread_self(), "fapws-monitor");
  unsigned long last_pops = 0, last_jobs = 0;
  core_thread *last_drainer = NULL;
  int quiet = 0, still = 0, returning = 0;
  core_lock();
  while (!P.stopping) {
    int work = P.head || P.drainer != NULL || parts_wait();
    quiet = work ? 0 : quiet + 1;
    if (quiet > QUIET_TICKS) {
      __atomic_store_n(&P.monitor_parked, 1, __ATOMIC_RELAXED);
      while (P.monitor_parked && !P.stopping) core_wait(&P.monitor);
      quiet = 0;
    }
    core_wait_until(&P.monitor, core_now_ns() + TICK_NS);
    /* After two ticks in one job the drainer is stuck, not just preempted. */
    still = P.drainer && P.drainer == last_drainer && core_jobs_of(P.drainer) == last_jobs ? still + 1 : 0;
    if (still >= 2) P.drainer = NULL;
    last_drainer = P.drainer;
    last_jobs = P.drainer ? core_jobs_of(P.drainer) : 0;
    core_appoint_drainer();
    int serving = __atomic_load_n(&P.serving, __ATOMIC_RELAXED);
    if (serving && P.head && P.idle == 0 && may_spawn() && P.pops == last_pops) {
      returning = one_returns() ? returning + 1 : RETURN_TICKS;
      if (returning >= RETURN_TICKS) core_spawn_thread(), returning = 0;
    } else {
      returning = 0;
      if (serving && P.idle == 0 && may_spawn() && P.live - P.waiting < P.cpus && core_queue_is_long())
        core_spawn_thread();
    }
    last_pops = P.pops;
    if (parts_wait() && !__atomic_load_n(&P.shared.wake_pending, __ATOMIC_RELAXED)) {
      core_unlock();
      core_wake_loop();
      core_lock();
    }
  }
  core_unlock();
  return NULL;
}

int core_start_monitor(void) {
  static pthread_t monitor; /* 0: not started */
  if (monitor) return 0;
  if ((errno = pthread_create(&monitor, NULL, monitor_main, NULL)) != 0) return -1;
  pthread_detach(monitor);
  return 0;
}

void core_wake_monitor(void) {
  if (P.monitor_parked) {
    __atomic_store_n(&P.monitor_parked, 0, __ATOMIC_RELAXED);
    pthread_cond_signal(&P.monitor);
  }
}
