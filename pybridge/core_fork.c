/* Supports os.fork() in handlers. The child can run Python code and exit, but cannot serve requests. */
#include "core.h"

#include <dirent.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

volatile int core_forked;

static struct sigaction go_action;

/* Signals are blocked from fork() until in_child has run. If a signal arrived in the child before that, Go's handler
 * would ignore the signal. A child that its parent terminates at once would then continue to run. */
static __thread sigset_t mask_before;

static void before_fork(void) {
  sigset_t all;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &mask_before);
}

static void after_fork(void) { pthread_sigmask(SIG_SETMASK, &mask_before, NULL); }

/* Removes Go's signal handlers, but keeps handlers of the script. Go's handlers would wait for threads that the child
 * does not have, so a signal could not terminate the child. */
static void in_child(void) {
  core_forked = 1;
  for (int sig = 1; sig < NSIG; sig++) {
    struct sigaction sa;
    if (sigaction(sig, NULL, &sa) == 0 && (sa.sa_flags & SA_SIGINFO) && sa.sa_sigaction == go_action.sa_sigaction)
      signal(sig, sig == SIGPIPE ? SIG_IGN : SIG_DFL);
  }
  core_crash_forked();
  core_errorlog_forked();
  core_stdio_forked();
  after_fork();
}

/* --- descriptors of the server ----------------------------------------------
 *
 * All descriptors of the server are close-on-exec, so a program that a handler starts does not inherit them. A child of
 * os.fork or multiprocessing does inherit them, and must therefore close them. Otherwise, while the child runs, a
 * client would not notice that the server has closed its connection, and after the end of the server no process could
 * listen on the server's address. The child recognizes a connection by its local address, which is the address of a
 * listener. */

typedef union {
  struct sockaddr any;
  struct sockaddr_in in;
  struct sockaddr_in6 in6;
  struct sockaddr_un un;
  struct sockaddr_storage room;
} address;

#define MOST_KEPT 256
static struct {
  int fd;
  socklen_t len;
  address at;
} kept[MOST_KEPT];
static int nkept;

/* Stores the local address of a stream socket and returns its length, or returns 0 if the descriptor is not a stream
 * socket, or if the socket has no name. */
static socklen_t local_address(int fd, address *at) {
  int type = 0;
  socklen_t len = sizeof type;
  if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &len) != 0 || type != SOCK_STREAM) return 0;
  len = sizeof *at;
  if (getsockname(fd, &at->any, &len) != 0) return 0;
  if (at->any.sa_family == AF_UNIX) return len > offsetof(struct sockaddr_un, sun_path) ? len : 0;
  return at->any.sa_family == AF_INET || at->any.sa_family == AF_INET6 ? len : 0;
}

/* Whether the address a is the local address of a listener, or of a connection to that listener. A connection to a
 * listener on all addresses can have any local address with the listener's port. */
static int is_of(const address *a, socklen_t alen, const address *listener, socklen_t llen) {
  if (a->any.sa_family != listener->any.sa_family) return 0;
  switch (a->any.sa_family) {
  case AF_INET:
    return a->in.sin_port == listener->in.sin_port &&
           (listener->in.sin_addr.s_addr == INADDR_ANY || a->in.sin_addr.s_addr == listener->in.sin_addr.s_addr);
  case AF_INET6:
    return a->in6.sin6_port == listener->in6.sin6_port &&
           (IN6_IS_ADDR_UNSPECIFIED(&listener->in6.sin6_addr) ||
            IN6_ARE_ADDR_EQUAL(&a->in6.sin6_addr, &listener->in6.sin6_addr));
  default: return alen == llen && memcmp(a, listener, alen) == 0;
  }
}

static int is_kept(int fd) {
  address at;
  socklen_t len = local_address(fd, &at);
  for (int i = 0; i < nkept; i++) {
    if (len && kept[i].len && is_of(&at, len, &kept[i].at, kept[i].len)) return 1;
    if (!len && !kept[i].len && kept[i].fd == fd) return 1;
  }
  return 0;
}

void core_keep_from_children(int fd) {
  if (nkept == MOST_KEPT || is_kept(fd)) return;
  kept[nkept].fd = fd;
  kept[nkept].len = local_address(fd, &kept[nkept].at);
  __atomic_store_n(&nkept, nkept + 1, __ATOMIC_RELEASE); /* another thread can fork at any time */
}

/* Runs in the child of os.fork() before other Python code. */
static PyObject *close_kept(PyObject *self, PyObject *none) {
  /* Python can still write to this descriptor when a signal arrives. Therefore /dev/null replaces the file behind the
   * descriptor, and the descriptor remains open. */
  if (core_the_pool.signal_fd > 0) {
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    if (null >= 0) dup3(null, core_the_pool.signal_fd, O_CLOEXEC), close(null);
  }
  DIR *dir = nkept ? opendir("/proc/self/fd") : NULL;
  for (struct dirent *e; dir && (e = readdir(dir));) {
    int fd = atoi(e->d_name);
    if (fd > 2 && fd != dirfd(dir) && is_kept(fd)) close(fd);
  }
  if (dir) {
    closedir(dir);
  } else if (nkept) { /* there is no /proc, for example in a chroot */
    struct rlimit most = {0, 0};
    getrlimit(RLIMIT_NOFILE, &most);
    for (int fd = 3; fd < (int)(most.rlim_cur < 65536 ? most.rlim_cur : 65536); fd++)
      if (is_kept(fd)) close(fd);
  }
  Py_RETURN_NONE;
}

static PyMethodDef close_kept_method = {"close_kept", close_kept, METH_NOARGS,
                                        "Closes descriptors of the server in a child of os.fork()."};

int core_fork_init(void) {
  /* Every Go program handles SIGURG, so the handler of SIGURG is Go's signal handler. */
  sigaction(SIGURG, NULL, &go_action);
  pthread_atfork(before_fork, after_fork, in_child);
  PyObject *kw = Py_BuildValue("{s:N}", "after_in_child", PyCFunction_New(&close_kept_method, NULL));
  return core_done(core_call_with(core_import("os", "register_at_fork"), PyTuple_New(0), kw));
}

int core_check_parent(void) {
  if (LIKELY(!core_forked)) return 0;
  return core_raise(PyExc_RuntimeError, "WebSockets are not available in a child process of the server");
}

void core_child_exit(void) {
  int status = 0;
  if (PyErr_Occurred()) {
    status = core_system_exit();
    if (status < 0) {
      PyErr_Print();
      status = 1;
    }
  }
  core_stdio_flush();
  _exit(status);
}
