/* The process that --fork forks from. It has loaded the application, and forks a child for each request, which answers
 * it and exits (forkchild.c).
 *
 * Go is idle in it, and a child never returns to Go, so it needs none of Go's threads. Its descriptors are stdin,
 * stdout, stderr, the control socket and those of the application: a child cannot keep a listener or another client's
 * connection open. It waits for its own children only, one by one; those of the application are left to the
 * application. */
#include "forkchild.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define P fapws_the_pool
#define SHOW_MS 30000 /* how long a child may take to write its stack before it is killed */
#define END_MS 2000   /* how long children may run after the end of the server */
#define LOOK_MS 20    /* interval of checks for the end of children without a pidfd */

typedef struct {
  pid_t pid;
  int pidfd; /* -1: the kernel has none */
  uint64_t id;
  uint64_t kill_ns; /* when it is killed; 0: never */
} child;

static child *children;
static struct pollfd *polled; /* control socket, then the children's */
static int n_children, room;

static int kernel_pidfd(pid_t pid) {
#ifdef SYS_pidfd_open
  return (int)syscall(SYS_pidfd_open, pid, 0);
#else
  return -1;
#endif
}

static void tell(int control, uint32_t op, int32_t value, uint64_t id) {
  fapws_fork_order order = {op, value, id};
  while (send(control, &order, sizeof order, MSG_NOSIGNAL) < 0 && errno == EINTR) {
  }
}

static int make_room(void) {
  if (n_children < room) return 1;
  int more = room ? 2 * room : 32;
  child *c = realloc(children, (size_t)more * sizeof *c);
  if (c) children = c;
  struct pollfd *p = c ? realloc(polled, (size_t)(more + 1) * sizeof *p) : NULL;
  if (!p) return 0;
  polled = p;
  room = more;
  return 1;
}

static void start_child(int control, int socket, uint64_t id) {
  if (!make_room()) {
    tell(control, FAPWS_FORK_FAILED_TO, ENOMEM, id);
    return;
  }
  sigset_t before;
  fapws_fork_hold_show(&before); /* until the child can show its stack */
  PyOS_BeforeFork();
  pid_t pid = fork();
  if (pid == 0) {
    PyOS_AfterFork_Child();
    close(control);
    for (int i = 0; i < n_children; i++)
      if (children[i].pidfd >= 0) close(children[i].pidfd);
    fapws_fork_child(socket);
  }
  int failure = errno;
  pthread_sigmask(SIG_SETMASK, &before, NULL);
  PyOS_AfterFork_Parent();
  if (pid < 0) {
    tell(control, FAPWS_FORK_FAILED_TO, failure, id);
    return;
  }
  children[n_children++] = (child){pid, kernel_pidfd(pid), id, 0};
  tell(control, FAPWS_FORK_STARTED, pid, id);
}

static void show_and_kill(uint64_t id) {
  for (int i = 0; i < n_children; i++) {
    if (children[i].id != id || children[i].kill_ns) continue;
    kill(children[i].pid, FAPWS_FORK_SHOW); /* it was not waited for, so the pid is its */
    children[i].kill_ns = fapws_now_ns() + SHOW_MS * UINT64_C(1000000);
  }
}

static void take_stderr(int file) {
  if (file < 0) return;
  dup3(file, 2, 0);
  close(file);
}

/* Carries out one order; 0: the server has closed the socket. */
static int obey(int control) {
  fapws_fork_order order;
  int file;
  ssize_t n = fapws_receive_with_file(control, &order, sizeof order, &file);
  if (n != sizeof order) return 0;
  switch (order.op) {
  case FAPWS_FORK_START:
    start_child(control, file, order.id);
    if (file >= 0) close(file);
    break;
  case FAPWS_FORK_KILL: show_and_kill(order.id); break;
  case FAPWS_FORK_STDERR: take_stderr(file); break;
  }
  return 1;
}

/* Reports children that have ended. */
static void reap(int control) {
  for (int i = 0; i < n_children;) {
    int status;
    pid_t pid = waitpid(children[i].pid, &status, WNOHANG);
    if (pid == 0 || (pid < 0 && errno == EINTR)) {
      i++;
      continue;
    }
    if (pid < 0) status = 0; /* the application has waited for any child */
    if (control >= 0) tell(control, FAPWS_FORK_ENDED, status, children[i].id);
    if (children[i].pidfd >= 0) close(children[i].pidfd);
    children[i] = children[--n_children];
  }
}

/* Kills children that have run out of time. Returns the time until the next one is due, in ms; -1: there is none. */
static int kill_late(void) {
  uint64_t now = fapws_now_ns(), next = UINT64_MAX;
  int blind = 0;
  for (int i = 0; i < n_children; i++) {
    child *c = &children[i];
    blind |= c->pidfd < 0;
    if (!c->kill_ns) continue;
    if (c->kill_ns <= now) {
      kill(c->pid, SIGKILL);
      c->kill_ns = UINT64_MAX;
    } else if (c->kill_ns < next) {
      next = c->kill_ns;
    }
  }
  int wait = next == UINT64_MAX ? -1 : (int)((next - now) / 1000000u) + 1;
  return blind && (wait < 0 || wait > LOOK_MS) ? LOOK_MS : wait;
}

static int wait_for_news(int control, int wait) {
  polled[0] = (struct pollfd){control, POLLIN, 0};
  for (int i = 0; i < n_children; i++) polled[i + 1] = (struct pollfd){children[i].pidfd, POLLIN, 0};
  int n;
  Py_BEGIN_ALLOW_THREADS /* for threads of the application */
      n = poll(polled, (nfds_t)n_children + 1, wait);
  Py_END_ALLOW_THREADS return n > 0 && polled[0].revents != 0;
}

/* The server has closed the socket: the responses are not wanted. */
static void end_children(void) {
  uint64_t until = fapws_now_ns() + END_MS * UINT64_C(1000000);
  for (int i = 0; i < n_children; i++) {
    kill(children[i].pid, SIGTERM);
    children[i].kill_ns = until;
  }
  while (n_children > 0) {
    wait_for_news(-1, kill_late());
    reap(-1);
  }
}

/* Keeps the collector from writing to objects loaded so far: their pages stay shared with the children. */
static void freeze(void) {
  Py_XDECREF(fapws_call("gc", "collect", "()"));
  Py_XDECREF(fapws_call("gc", "freeze", "()"));
  PyErr_Clear();
}

int fapws_forkserver(int control) {
  static int32_t awake = FAPWS_LOOP_CALLED; /* no event loop has to be woken */
  P.loop_state = &awake;
  fapws_take_gil();
  freeze();
  if (!make_room()) return fapws_release_gil(), -1;
  tell(control, FAPWS_FORK_STARTED, (int32_t)getpid(), 0);
  for (int there = 1; there;) {
    int asked = wait_for_news(control, kill_late());
    reap(control);
    if (asked) there = obey(control);
  }
  end_children();
  fapws_release_gil();
  return 0;
}
