/* Writes the last line of a process that crashes in C code of the application, calls os._exit(), or cannot start a
 * thread.
 *
 * After a crash, Go's runtime would write a dump of all goroutines and registers, which does not contain the cause.
 * This file writes the stacks of the Python threads and one line instead.
 *
 * The signals SIGSEGV, SIGBUS and SIGFPE can come from Go code, where they become panics. Therefore on_signal passes
 * these signals to Go's handler. If the signal comes from C code, Go's handler calls the function crash, which was
 * installed before Go's runtime started (package os/signal, "Go programs that use cgo"). SIGABRT and SIGILL never
 * become panics, so on_signal itself calls the function crash. on_signal also calls crash for a signal that raise() has
 * sent, because faulthandler ends the process with raise().
 *
 * If the application crashes while it loads, the process exits with status 3, as after any failure to start. A later
 * crash ends the process by the signal, so that the kernel can write a core file. */
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
#define PANICS 3 /* the first 3 elements of faults become panics if Go code causes them */

static struct sigaction go_handlers[FAULTS];
static char loading[256];
static volatile sig_atomic_t watching;
/* Process ID of the server, by which is_server recognizes child processes. */
static pid_t server;

/* Socket to the supervisor, and the bytes that precede each line on the socket. */
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

/* Sends the last line of the process to the supervisor, without BEGIN and without the line feed. */
static void tell(const char *line, size_t n) {
  struct stat now;
  if (told.fd < 0 || fstat(told.fd, &now) != 0 || now.st_ino != told.inode) return;
  struct iovec parts[] = {{told.before, told.len}, {(char *)line + sizeof BEGIN - 1, n - sizeof BEGIN}};
  struct msghdr message = {.msg_iov = parts, .msg_iovlen = 2};
  while (sendmsg(told.fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL) < 0 && errno == EINTR) continue;
}

/* Writes a line to stderr. The line begins with BEGIN, or with a line feed and BEGIN. If stderr receives JSON objects,
 * writes an object instead, which also contains stacks. The parameter from is the descriptor of the file with these
 * stacks, or negative if there are none. */
static void say_line(const char *text, size_t n, int from) {
  static char object[CORE_OBJECT_LEAST + (128 << 10)], stacks[64 << 10];
  if (core_look != CORE_OBJECT) {
    say(text, n);
    return;
  }
  size_t before = *text == '\n', begin = before + sizeof BEGIN - 1;
  core_bytes texts[CORE_TEXTS] = {[CORE_MESSAGE] = {text + begin, (uint32_t)(n - begin - 1)}};
  ssize_t k = from < 0 ? 0 : pread(from, stacks, sizeof stacks, 0);
  if (k > 0) texts[CORE_TRACEBACK] = (core_bytes){stacks, (uint32_t)k};
  *object = '\n';
  core_write_object(object + !before, before + core_object(object + 1, sizeof object - 1, "error", texts));
}

/* Joins the texts in pieces, up to a NULL, and writes them as one line to stderr and to the supervisor. The parameter
 * before is "" or a line feed that must precede the line. One system call writes the line feed and the line, because Go
 * can write a dump at the same time. */
static void report(const char *before, const char *const *pieces, int from) {
  char text[1024];
  char *line = stpcpy(text, before);
  char *to = stpcpy(line, BEGIN), *end = text + sizeof text - 1;
  for (; *pieces; pieces++)
    for (const char *c = *pieces; *c && to < end; c++) *to++ = *c;
  *to++ = '\n';
  say_line(text, (size_t)(to - text), from);
  tell(line, (size_t)(to - line));
}

static int say_stacks(int from) {
  char buf[4096];
  if (from < 0) return 0;
  if (core_look == CORE_OBJECT) return 1;
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
  report(before, pieces, -1);
  exit_now(watching && !*loading ? 1 : 3);
}

void core_crash_exit(const char *text, const char *more, const char *rest) {
  /* The text begins with a line feed, because Go has already written the beginning of a line. */
  fail("\n", (const char *[]){text, more, rest, NULL});
}

static void crash(int sig, siginfo_t *info, void *context) {
  static volatile sig_atomic_t crashing;
  signal(sig, SIG_DFL); /* from now on, a second crash or raise(sig) ends the process */
  if (!crashing && watching) {
    crashing = 1;
    /* If faulthandler has sent the signal, faulthandler has already written the stacks. */
    int written = info->si_code <= 0 && sig != SIGABRT, from = written ? -1 : core_dump_stacks();
    const char *where = from >= 0 && core_look == CORE_OBJECT ? "; the Python stack shows where it was called"
                                                              : "; the Python stack above shows where it was called";
    report("",
           (const char *[]){name_of(sig), " in C code", *loading ? " while " : "", loading,
                            *loading ? " was loading" : "",
                            ": an extension module or a library of the application has a bug",
                            written || say_stacks(from) ? where : "", NULL},
           from);
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
  /* If a different process has sent the signal (kill -ABRT), Go's handler writes the stacks of all goroutines. */
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

/* Installs signal handlers before Go's runtime starts. Go's runtime then forwards signals to these handlers. In builds
 * with a sanitizer, the handlers of the sanitizer remain. */
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

/* Writes "FILE:LINE: " of the Python code that has called os._exit(). The parameter caller is an address in the C
 * function that has called _exit. If that C function does not belong to Python, nothing is written. The library of the
 * C function could hold a lock for which the thread with the GIL waits, and then PyGILState_Ensure would never
 * return. */
static void write_caller(FILE *out, void *caller) {
  Dl_info python, here;
  if (!Py_IsInitialized() || !PyGILState_GetThisThreadState()) return;
  /* An address in Python's library. The address of PyLong_Type is unsuitable, because the linker can copy that object
   * into the executable. */
  void *in_python = *(void **)&PyLong_Type.tp_repr;
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

/* Whether this process is the server and not a child. A child of vfork() shares the memory of the server, so the
 * process ID must be compared as well. */
static int is_server(void) { return !core_forked && getpid() == server; }

/* The dynamic linker prefers functions of the executable to functions of libc, so this function replaces the _exit of
 * libc. */
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
      say_line(line, n, -1);
      tell(line, n);
    }
    if (*loading) status = 3;
  }
  exit_now(status);
}

/* --- no more threads ------------------------------------------------------------ */

static int can_start_process(void) {
  pid_t pid = (pid_t)syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0); /* unlike fork(), runs no handlers of pthread_atfork */
  if (pid == 0) exit_now(0);
  if (pid > 0) waitpid(pid, NULL, 0);
  return pid > 0 || errno != EAGAIN;
}

/* Replaces the function abort of libc. If Go's runtime cannot start a thread, the runtime writes a line about
 * pthread_create, and calls abort. The abort of libc would make the runtime write a dump of all goroutines. */
void abort(void) {
  if (!can_start_process())
    fail("", (const char *[]){"cannot start another thread: a limit of processes is reached",
                              "; raise it (ulimit -u, TasksMax of systemd, pids limit of the container)", NULL});
  void (*real)(void) = (void (*)(void))dlsym(RTLD_NEXT, "abort");
  if (real) real();
  for (;;) raise(SIGKILL);
}
