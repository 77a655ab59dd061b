/* Writes the last line of a process that crashes in C code of the application, calls os._exit(), or cannot start a
 * thread.
 *
 * Go's runtime would dump all goroutines and registers: 250 lines without the cause. This file writes the stacks of the
 * Python threads and one line instead.
 *
 * SIGSEGV, SIGBUS and SIGFPE are panics in Go code: on_signal passes a fault to Go's handler, which forwards it to the
 * handler that was installed before Go's runtime started (package os/signal, "Go programs that use cgo") if the fault
 * is in C code. SIGABRT and SIGILL are never panics. A signal sent by raise() is handled at once: faulthandler sends
 * those.
 *
 * While the application loads, the process exits with status 3, like any failure to start. Later
 * it dies by the signal, which leaves a core file where the system keeps them. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE 1
#endif
#include "core.h"

#include <dlfcn.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static const int faults[] = {SIGSEGV, SIGBUS, SIGFPE, SIGABRT, SIGILL};
#define FAULTS (sizeof faults / sizeof *faults)
#define PANICS 3 /* the first elements are signals that are panics in Go code */

static struct sigaction go_handlers[FAULTS];
static char loading[256];
static volatile sig_atomic_t watching; /* the application has begun to load */
/* ID of the process that loads the application, which differs from the IDs of its children */
static pid_t server;

/* The socket of the supervisor, and the bytes that precede a line on the socket. */
static struct {
  int fd;
  ino_t inode;
  char before[64];
  size_t len;
} told = {.fd = -1};

static const char *name_of(int sig) {
  switch (sig) {
  case SIGSEGV: return "segmentation fault (SIGSEGV)";
  case SIGBUS: return "bus error (SIGBUS)";
  case SIGFPE: return "arithmetic error (SIGFPE)";
  case SIGABRT: return "abort (SIGABRT)";
  default: return "illegal instruction (SIGILL)";
  }
}

/* --- async-signal-safe ------------------------------------------------------ */

static void say(const char *text, size_t n) {
  while (n > 0) {
    ssize_t k = write(2, text, n);
    if (k <= 0) return;
    text += k;
    n -= (size_t)k;
  }
}

#define BEGIN "fapws: "

/* Sends the last line of the process to the supervisor: the text between BEGIN and the line feed. */
static void tell(const char *line, size_t n) {
  struct stat now;
  if (told.fd < 0 || fstat(told.fd, &now) != 0 || now.st_ino != told.inode)
    return; /* The application may have closed the socket. */
  struct iovec parts[] = {{told.before, told.len}, {(char *)line + sizeof BEGIN - 1, n - sizeof BEGIN}};
  struct msghdr message = {.msg_iov = parts, .msg_iovlen = 2};
  while (sendmsg(told.fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL) < 0 && errno == EINTR) continue;
}

/* Writes pieces as one line to stderr and to the supervisor; NULL ends pieces. before is "" or "
 * " and is part of the same write, because Go may write words of a dump meanwhile. */
static void report(const char *before, const char *const *pieces) {
  char text[1024];
  char *line = stpcpy(text, before);
  char *to = stpcpy(line, BEGIN), *end = text + sizeof text - 1;
  for (; *pieces; pieces++)
    for (const char *c = *pieces; *c && to < end; c++) *to++ = *c;
  *to++ = '\n';
  say(text, (size_t)(to - text));
  tell(line, (size_t)(to - line));
}

static int say_stacks(void) {
  char buf[4096];
  int from = core_dump_stacks();
  if (from < 0) return 0;
  ssize_t n;
  off_t at = 0;
  while ((n = pread(from, buf, sizeof buf, at)) > 0) {
    say(buf, (size_t)n);
    at += n;
  }
  return at > 0;
}

static void exit_now(int status) __attribute__((noreturn));
static void exit_now(int status) {
  for (;;) syscall(SYS_exit_group, status);
}

static void fail(const char *before, const char *const *pieces) __attribute__((noreturn));
static void fail(const char *before, const char *const *pieces) {
  report(before, pieces);
  exit_now(watching && !*loading ? 1 : 3);
}

void core_crash_exit(const char *text, const char *more, const char *rest) {
  fail("\n", (const char *[]){text, more, rest, NULL}); /* Go has written the beginning of a line */
}

static void crash(int sig, siginfo_t *info, void *context) {
  static volatile sig_atomic_t crashing;
  signal(sig, SIG_DFL); /* a second crash in this handler ends the process, as does the signal at the end */
  if (!crashing && watching) {
    crashing = 1;
    int stacks =
        /* Faulthandler wrote the stacks before it sent the signal. */
        info->si_code <= 0 && sig != SIGABRT ? 1 : say_stacks();
    report("", (const char *[]){name_of(sig), " in C code", *loading ? " while " : "", loading,
                                *loading ? " was loading" : "",
                                ": an extension module or a library of the application has a bug",
                                stacks ? "; the Python stack above shows where it was called" : "", NULL});
    if (*loading) exit_now(3);
  }
  sigset_t it;
  sigemptyset(&it);
  sigaddset(&it, sig);
  pthread_sigmask(SIG_UNBLOCK, &it, NULL);
  raise(sig);
}

static void on_signal(int sig, siginfo_t *info, void *context) {
  size_t i = 0;
  while (faults[i] != sig) i++;
  int is_fault = i < PANICS && info->si_code > 0;
  /* If another process has sent the signal (kill -ABRT), Go's handler dumps its goroutines. */
  int from_outside = info->si_code == SI_USER;
  if ((is_fault || from_outside) && (go_handlers[i].sa_flags & SA_SIGINFO))
    go_handlers[i].sa_sigaction(sig, info, context);
  else
    crash(sig, info, context);
}

static void install(int sig, void (*handler)(int, siginfo_t *, void *), struct sigaction *before) {
  struct sigaction action = {.sa_sigaction = handler, .sa_flags = SA_SIGINFO | SA_ONSTACK};
  sigemptyset(&action.sa_mask);
  sigaction(sig, &action, before);
}

/* Installs handlers before Go's runtime starts, which then forwards signals to them. Sanitizers have their own
 * handlers. */
__attribute__((constructor(103))) static void before_go(void) {
  struct sigaction now;
  for (size_t i = 0; i < PANICS; i++)
    if (sigaction(faults[i], NULL, &now) == 0 && now.sa_handler == SIG_DFL) install(faults[i], crash, NULL);
}

void core_crash_watch(const char *name) {
  if (!watching)
    for (size_t i = 0; i < FAULTS; i++) install(faults[i], on_signal, &go_handlers[i]);
  watching = 1;
  server = getpid();
  snprintf(loading, sizeof loading, "%s", name ? name : "");
}

void core_crash_tell(int fd, const void *before, size_t len) {
  struct stat st;
  if (len > sizeof told.before || fstat(fd, &st) != 0) return;
  memcpy(told.before, before, len);
  told.len = len;
  told.inode = st.st_ino;
  told.fd = fd;
}

void core_crash_forked(void) {
  if (!watching) return;
  watching = 0;
  for (size_t i = 0; i < FAULTS; i++) {
    struct sigaction now;
    if (sigaction(faults[i], NULL, &now) == 0 && (now.sa_flags & SA_SIGINFO) && now.sa_sigaction == on_signal)
      signal(faults[i], SIG_DFL);
  }
}

/* --- os._exit() --------------------------------------------------------------- */

/* Writes the "FILE:LINE: " of the Python code that has called os._exit(). caller is an address in the calling function.
 * If that function is not one of Python, nothing is written: another library may hold a lock for which the thread with
 * the GIL waits. */
static void write_caller(FILE *out, void *caller) {
  Dl_info python, here;
  if (!Py_IsInitialized() || !PyGILState_GetThisThreadState()) return;
  void *in_python = *(void **)&PyLong_Type.tp_repr; /* the type itself may have been copied into the executable */
  if (!dladdr(in_python, &python) || !dladdr(caller, &here) || python.dli_fbase != here.dli_fbase) return;
  PyGILState_STATE gil = PyGILState_Ensure();
  PyObject *type, *value, *tb, *frame = (PyObject *)PyEval_GetFrame();
  PyErr_Fetch(&type, &value, &tb);
  char *text = NULL;
  size_t n;
  FILE *f = frame ? open_memstream(&text, &n) : NULL;
  if (f) {
    core_write_frame(f, frame);
    fclose(f);
    fprintf(out, "%s:%s: ", text, text + strlen(text) + 1);
  }
  free(text);
  PyErr_Restore(type, value, tb);
  PyGILState_Release(gil);
}

/* Whether this process is the server. After vfork(), the memory is that of the parent, but the process ID is not. */
static int is_server(void) { return !core_forked && getpid() == server; }

/* Replaces _exit of libc: the dynamic linker finds symbols of the executable first. Go itself exits by a system
 * call. */
void _exit(int status) {
  if (watching && is_server()) {
    char *line = NULL;
    size_t n;
    FILE *out = open_memstream(&line, &n);
    if (out) {
      fprintf(out, BEGIN);
      write_caller(out, __builtin_return_address(0));
      fprintf(out, "os._exit(%d) was called%s%s%s; remove the call\n", status, *loading ? " while " : "", loading,
              *loading ? " was loading: the application must not end the process"
                       : ": the application ended the server process, with every request that it was serving");
      fclose(out);
      say(line, n);
      tell(line, n);
    }
    if (*loading) status = 3;
  }
  exit_now(status);
}

/* --- no more threads ------------------------------------------------------------ */

static int can_start_process(void) {
  pid_t pid = (pid_t)syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0); /* The function fork() would run handlers. */
  if (pid == 0) exit_now(0);
  if (pid > 0) waitpid(pid, NULL, 0);
  return pid > 0 || errno != EAGAIN;
}

/* Replaces abort of libc. When Go's runtime cannot start a thread, it writes a line about pthread_create and would
 * then dump all goroutines. limits.c checks the limits at the start. */
void abort(void) {
  if (!can_start_process())
    fail("", (const char *[]){"cannot start another thread: a limit of processes is reached",
                              "; raise it (ulimit -u, TasksMax of systemd, pids limit of the container)", NULL});
  void (*real)(void) = (void (*)(void))dlsym(RTLD_NEXT, "abort");
  if (real) real();
  for (;;) raise(SIGKILL);
}
