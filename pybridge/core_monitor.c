/* The monitor, a thread that watches the pool in threads mode. If the drainer, which runs the quick handlers
 * (core_threads.c), is stuck in a job, the monitor makes a different thread the drainer. The monitor also starts
 * threads, finds handlers that wait for a long time, and wakes the event loop for finished parts. It sleeps while the
 * server is idle, and never takes the GIL. */
#include "core.h"

#include <errno.h>
#include <fcntl.h>
#include <time.h>

#define the_pool core_the_pool
#define TICK_NS 2500000u
#define QUIET_TICKS 100 /* The monitor sleeps after this number of ticks (TICK_NS) without work. */
/* A thread between two jobs should soon take a job. If no thread has taken a job for this number of ticks, the monitor
 * nevertheless starts a further thread. */
#define RETURN_TICKS 100

/* Interval in which the monitor checks the CPU time of threads while requests wait for a thread. */
#define LOOK_NS 5000000u
/* Initial value of the variable patience. After a handler has waited for this time, its thread no longer counts towards
 * the maximum number of threads (the_pool.max). */
#define PATIENCE_NS 150000000u
#define HURRY_NS 10000000u /* minimum of the variable patience, which is divided by 4 while all threads wait */
/* A handler that uses less CPU time than this between two checks is not computing. Such a handler can still wake now
 * and then to poll. */
#define POLL_NS 300000u
#define CALM_NS 1000000000u /* time after which the variable patience is doubled again */
/* Interval after which Python passes the GIL to the next thread (sys.getswitchinterval). */
#define SWITCH_NS 5000000u
/* After the handlers have used TURNS times SWITCH_NS of CPU time for each thread, every thread that waited for the GIL
 * has certainly had it. */
#define TURNS 64ull
/* A thread that waits for the GIL uses some CPU time in each period of this length, because it wakes after each
 * SWITCH_NS. */
#define ASLEEP_NS 100000000u
#define LATE_NS 3000000000u    /* The server logs a request that has waited longer than this time. */
#define SILENT_NS 60000000000u /* minimum time between two log lines about late requests */

static int may_spawn(void) { return core_counted_threads() < the_pool.max; }

/* Whether a thread is between two jobs. Such a thread waits for a processor or for the GIL. On a busy machine, it can
 * wait for longer than a tick (TICK_NS). The caller must hold the_pool.mu. */
static int one_returns(void) {
  for (int i = 0; i < the_pool.nthreads; i++) {
    core_thread *t = the_pool.threads[i];
    if (t->state == CORE_THREAD_BUSY && !t->aside && !__atomic_load_n(&t->current, __ATOMIC_RELAXED)) return 1;
  }
  return 0;
}

/* --- handlers that wait ------------------------------------------------------
 *
 * The setting --threads limits the number of handlers that compute. A handler that waits for a long time does not
 * count, even if it wakes now and then, and a further thread runs in its place. Otherwise a few handlers that hang
 * could stop the server. The callers of all functions must hold the_pool.mu.
 *
 * A thread that waits for the GIL also uses little CPU time, but differs in two ways: it wakes after each SWITCH_NS,
 * and it gets the GIL after the other threads have had the GIL. Therefore a thread waits for something other than the
 * GIL in three cases: if it has used no CPU time, if no handler has used CPU time, or if the handlers have used so much
 * CPU time that each thread must have had the GIL many times. */

static uint64_t used_ns;
static uint64_t patience = PATIENCE_NS;
static uint64_t stalled_since;
static uint64_t told_at;

uint64_t core_stalled_since(void) { return the_pool.queue.first ? stalled_since : 0; }

/* Whether requests wait for the responses of others, because memory is small. Threads may be idle then. */
static int is_held(void) { return the_pool.queue.first && !core_next_in_queue(); }

uint64_t core_first_waits(uint64_t now) {
  /* The record of a WebSocket does not contain the time at which its messages arrived, so stalled_since is used for
   * WebSockets instead. */
  uint64_t since = !the_pool.queue.first || (the_pool.idle && !is_held()) ? 0
                   : the_pool.queue.first->run.job == CORE_RUN            ? the_pool.queue.first->req.since_ns
                                                                          : stalled_since;
  return since && since < now ? now - since : 0;
}

static int is_full(void) {
  return is_held() || (the_pool.queue.first && the_pool.idle == 0 &&
                       (core_counted_threads() >= the_pool.max || the_pool.live >= CORE_MAX_THREADS));
}

static uint64_t cpu_of(const core_thread *t) {
  clockid_t clock;
  struct timespec used = {0};
  if (pthread_getcpuclockid(t->id, &clock) == 0) clock_gettime(clock, &used);
  return (uint64_t)used.tv_sec * 1000000000u + (uint64_t)used.tv_nsec;
}

/* Whether t runs or waits for a processor; a thread that waits for the GIL is not runnable. */
static int is_runnable(const core_thread *t) {
  char path[64], stat[128];
  snprintf(path, sizeof path, "/proc/self/task/%d/stat", (int)t->tid);
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  ssize_t n = fd < 0 ? 0 : read(fd, stat, sizeof stat - 1);
  if (fd >= 0) close(fd);
  stat[n > 0 ? n : 0] = 0;
  const char *name_end = strrchr(stat, ')');
  return name_end && !strncmp(name_end, ") R", 3);
}

static int is_handling(const core_thread *t) {
  return t->state == CORE_THREAD_BUSY && __atomic_load_n(&t->current, __ATOMIC_RELAXED);
}

static int one_is_runnable(void) {
  for (int i = 0; i < the_pool.nthreads; i++)
    if (is_handling(the_pool.threads[i]) && !the_pool.threads[i]->aside && is_runnable(the_pool.threads[i])) return 1;
  return 0;
}

/* Checks the thread t, which runs a handler. The parameter interval is the time since the last check, in ns. Returns
 * whether the handler has waited for the time in the variable patience. */
static int has_waited(core_thread *t, uint64_t now, uint64_t interval) {
  uint64_t cpu = cpu_of(t), used = cpu - t->seen.cpu_ns;
  int same = t->seen.jobs == core_jobs_of(t), computes = used > POLL_NS + interval / 50;
  t->seen.cpu_ns = cpu;
  if (computes) used_ns += used;
  if (computes && t->aside == CORE_WAITS) core_set_aside(t, CORE_COUNTS);
  if (!same || computes) {
    t->seen.jobs = core_jobs_of(t);
    t->seen.since_ns = now;
    t->seen.own_ns = cpu;
    t->seen.others_ns = used_ns;
  }
  uint64_t waited = now - t->seen.since_ns, others = used_ns - t->seen.others_ns;
  if (t->aside || waited < patience) return 0;
  /* On a busy machine, a handler that computes can use no CPU time for as long as patience, because it waits for a
   * processor. Its thread is runnable then. */
  if (others < waited / 100) return !one_is_runnable();
  int asleep = waited > ASLEEP_NS && cpu - t->seen.own_ns < waited / 5000;
  int had_turns = others > TURNS * SWITCH_NS * (unsigned)the_pool.max;
  return (asleep || had_turns) && !is_runnable(t);
}

static int set_waiting_aside(uint64_t now, uint64_t interval) {
  int n = 0;
  for (int i = 0; i < the_pool.nthreads; i++) {
    core_thread *t = the_pool.threads[i];
    if (!is_handling(t) || !has_waited(t, now, interval)) continue;
    core_set_aside(t, CORE_WAITS);
    n++;
  }
  return n;
}

/* Starts all threads that are needed in place of waiting threads, because one new thread in each tick would be too few
 * if many handlers wait. */
static void spawn_successors(void) {
  uint32_t n = __atomic_load_n(&the_pool.shared.queued, __ATOMIC_RELAXED);
  while (n-- && may_spawn() && core_spawn_thread()) {
  }
}

/* Logs that the first request has waited for LATE_NS, and whether the handlers compute, as far as most of the checks
 * during this time have seen. */
static void tell(uint64_t now, int counted) {
  static int looks, computed;
  uint64_t waited = core_first_waits(now);
  if (waited < LATE_NS / 2) looks = computed = 0;
  if (waited < LATE_NS / 2 || (told_at && now - told_at < SILENT_NS)) return;
  looks++;
  computed += one_is_runnable();
  if (waited < LATE_NS) return;
  told_at = now;
  core_full full = {.counted = counted,
                    .live = the_pool.live,
                    .computes = computed * 2 > looks,
                    .queued = __atomic_load_n(&the_pool.shared.queued, __ATOMIC_RELAXED),
                    .first_ns = waited};
  core_bytes text = {(const char *)&full, sizeof full};
  core_unlock();
  core_try_enqueue(CORE_FULL, &text, 1);
  core_lock();
}

static void watch_waiting(uint64_t now) {
  static uint64_t looked_at, calm_since;
  if (now - calm_since > CALM_NS && patience < PATIENCE_NS) {
    patience *= 2;
    calm_since = now;
  }
  the_pool.hurry = patience < PATIENCE_NS;
  if (!is_full() || now - looked_at < LOOK_NS) return;
  /* With --threads 1, the application need not be thread-safe, so its thread is not replaced. */
  int counted = core_counted_threads(), replaced = the_pool.max > 1 ? set_waiting_aside(now, now - looked_at) : 0;
  looked_at = now;
  if (replaced) {
    if (stalled_since && now - stalled_since >= patience) patience = patience / 4 < HURRY_NS ? HURRY_NS : patience / 4;
    calm_since = now;
    the_pool.hurry = 1;
    spawn_successors();
  }
  tell(now, counted);
}

static int parts_wait(void) { return __atomic_load_n(&the_pool.shared.done, __ATOMIC_RELAXED) != NULL; }

static void *monitor_main(void *arg) {
  pthread_setname_np(pthread_self(), "fapws-monitor");
  unsigned long last_pops = 0, last_jobs = 0;
  core_thread *last_drainer = NULL;
  int quiet = 0, still = 0, returning = 0;
  core_lock();
  while (!the_pool.stopping) {
    int work = the_pool.queue.first || the_pool.drainer != NULL || parts_wait();
    quiet = work ? 0 : quiet + 1;
    if (quiet > QUIET_TICKS) {
      __atomic_store_n(&the_pool.monitor_parked, 1, __ATOMIC_RELAXED);
      while (the_pool.monitor_parked && !the_pool.stopping) core_wait(&the_pool.monitor);
      quiet = 0;
    }
    core_wait_until(&the_pool.monitor, core_now_ns() + TICK_NS);
    /* A drainer that has been in one job for two ticks is stuck, and not only preempted. */
    still = the_pool.drainer && the_pool.drainer == last_drainer && core_jobs_of(the_pool.drainer) == last_jobs
                ? still + 1
                : 0;
    if (still >= 2) the_pool.drainer = NULL;
    last_drainer = the_pool.drainer;
    last_jobs = the_pool.drainer ? core_jobs_of(the_pool.drainer) : 0;
    core_appoint_drainer();
    int serving = __atomic_load_n(&the_pool.serving, __ATOMIC_RELAXED);
    if (serving && the_pool.queue.first && the_pool.idle == 0 && may_spawn() && the_pool.pops == last_pops) {
      returning = one_returns() ? returning + 1 : RETURN_TICKS;
      if (returning >= RETURN_TICKS) core_spawn_thread(), returning = 0;
    } else {
      returning = 0;
      if (serving && the_pool.idle == 0 && may_spawn() && core_counted_threads() < the_pool.cpus &&
          core_queue_is_long())
        core_spawn_thread();
    }
    uint64_t now = core_now_ns();
    if (!the_pool.queue.first || the_pool.pops != last_pops || !stalled_since)
      stalled_since = the_pool.queue.first ? now : 0;
    last_pops = the_pool.pops;
    if (serving) watch_waiting(now);
    if (parts_wait() && !__atomic_load_n(&the_pool.shared.wake_pending, __ATOMIC_RELAXED)) {
      core_unlock();
      core_wake_loop();
      core_lock();
    }
  }
  core_unlock();
  return NULL;
}

int core_start_monitor(void) {
  static pthread_t monitor;
  if (monitor) return 0;
  if ((errno = pthread_create(&monitor, NULL, monitor_main, NULL)) != 0) return -1;
  pthread_detach(monitor);
  return 0;
}

void core_wake_monitor(void) {
  if (the_pool.monitor_parked) {
    __atomic_store_n(&the_pool.monitor_parked, 0, __ATOMIC_RELAXED);
    pthread_cond_signal(&the_pool.monitor);
  }
}
