/* Keeps the application from closing descriptors of the server: os.closerange(3, 20) would close those of the event
 * loop, and without its epoll Go's runtime ends the process with a dump of all goroutines.
 *
 * The functions below replace those of libc for Python and its extension modules, static or shared, because the dynamic
 * linker finds symbols of the executable first. Go does not use them. They refuse descriptors that package descriptors
 * lists, but not in a child process (subprocess, os.fork), which may close everything. System calls by number, by
 * ctypes for example, bypass them; runtime.Server.Intact notices the effect. Any thread, with or without the GIL. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE 1
#endif
#include "core.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef SYS_close_range
#define SYS_close_range 436 /* Linux 5.9, the same on all machines */
#endif

#define HELD UINT64_MAX       /* an entry of the table without an inode: protected whatever the file is */
#define QUIET_NS 10000000000u /* no second line for this long: a loop over all numbers logs one line */

static uint64_t *kept; /* the table of package descriptors: entries by number, element 0 is the highest number */
static unsigned room;  /* elements of the table */
static pid_t server;   /* the process that owns the descriptors */

void core_descriptors(uint64_t *table, unsigned n) {
  server = getpid();
  room = n;
  __atomic_store_n(&kept, table, __ATOMIC_RELEASE);
}

void core_descriptor_keep(int fd) {
  struct stat st;
  if (!kept || fd <= 2 || (unsigned)fd >= room || fstat(fd, &st) != 0) return;
  __atomic_store_n(&kept[fd], st.st_ino, __ATOMIC_RELAXED);
  for (uint64_t highest = kept[0]; (uint64_t)fd > highest;)
    if (__atomic_compare_exchange_n(&kept[0], &highest, (uint64_t)fd, 0, __ATOMIC_RELAXED, __ATOMIC_RELAXED)) break;
}

void core_descriptor_release(int fd) {
  if (kept && fd > 0 && (unsigned)fd < room) __atomic_store_n(&kept[fd], 0, __ATOMIC_RELAXED);
}

/* After vfork() the memory is the parent's, but the process id is not. */
int core_is_server(void) { return !core_forked && getpid() == server; }

/* Whether fd belongs to the server, if this process is the server. The numbers of standard input, output and error must
 * stay taken: the kernel would give them to a client's connection, which would get the printed text. */
static int is_kept(const uint64_t *table, unsigned fd) {
  if (fd <= 2) return 1;
  uint64_t entry = __atomic_load_n(&table[fd], __ATOMIC_RELAXED);
  if (!entry || entry == HELD) return entry != 0;
  int before = errno;
  struct stat st;
  int same = fstat((int)fd, &st) == 0 && st.st_ino == entry;
  errno = before;
  return same;
}

/* --- the line for the error log ---------------------------------------------- */

/* Only if the caller is Python itself: others may hold locks that the thread with the GIL is waiting for. */
void core_write_caller(FILE *out, void *caller) {
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

static void report(const char *what, unsigned fd, void *caller) {
  static uint64_t quiet_until, silent;
  uint64_t now = core_now_ns(), until = __atomic_load_n(&quiet_until, __ATOMIC_RELAXED);
  if (now < until ||
      !__atomic_compare_exchange_n(&quiet_until, &until, now + QUIET_NS, 0, __ATOMIC_RELAXED, __ATOMIC_RELAXED)) {
    __atomic_fetch_add(&silent, 1, __ATOMIC_RELAXED);
    return;
  }
  int before = errno;
  char *line = NULL, name[64], file[256];
  size_t n;
  FILE *out = open_memstream(&line, &n);
  if (out) {
    core_write_caller(out, caller);
    snprintf(name, sizeof name, "/proc/self/fd/%u", fd);
    ssize_t len = readlink(name, file, sizeof file - 1);
    file[len > 0 ? len : 0] = 0;
    fprintf(out, "refused to close %s: ", what);
    fprintf(out, len > 0 ? "descriptor %u (%s)" : "descriptor %u", fd, file);
    fprintf(out, " belongs to the server; close only descriptors that the application has opened");
    uint64_t others = __atomic_exchange_n(&silent, 0, __ATOMIC_RELAXED);
    if (others) fprintf(out, " (%llu more refused since the last message)", (unsigned long long)others);
    fclose(out);
    core_bytes text = {line, (uint32_t)n};
    core_try_enqueue(CORE_WARNING, &text, 1);
  }
  free(line);
  errno = before;
}

/* --- the functions of libc ------------------------------------------------------ */

#define CALLER __builtin_return_address(0)

static int refuse(unsigned fd, void *caller) {
  uint64_t *table = __atomic_load_n(&kept, __ATOMIC_ACQUIRE);
  if (!table || fd >= room || LIKELY(!is_kept(table, fd)) || !core_is_server()) return 0;
  char what[32];
  snprintf(what, sizeof what, "descriptor %u", fd);
  report(what, fd, caller);
  errno = EBADF;
  return 1;
}

/* A range with a descriptor of the server stays open as a whole, because the others may include files
 * that the server has open for a moment. */
static int refuse_range(unsigned first, unsigned last, void *caller) {
  uint64_t *table = __atomic_load_n(&kept, __ATOMIC_ACQUIRE);
  if (!table || !core_is_server()) return 0;
  unsigned end = (unsigned)__atomic_load_n(&table[0], __ATOMIC_RELAXED);
  for (unsigned fd = first; fd <= last && fd <= end; fd++)
    if (is_kept(table, fd)) {
      char what[64];
      snprintf(what, sizeof what, "descriptors %u to %u", first, last);
      report(what, fd, caller);
      return 1;
    }
  return 0;
}

/* Returns success for 0 to 2: scripts that close them are not prepared for an error. */
int close(int fd) {
  if (refuse((unsigned)fd, CALLER)) return fd <= 2 ? 0 : -1;
  return (int)syscall(SYS_close, fd);
}

/* With a flag (CLOSE_RANGE_CLOEXEC, CLOSE_RANGE_UNSHARE) it closes nothing in this process. A refusal
 * returns success, because on an error Python would close the descriptors one by one. */
int close_range(unsigned first, unsigned last, int flags) {
  if (!flags && refuse_range(first, last, CALLER)) return 0;
  return (int)syscall(SYS_close_range, first, last, flags);
}

void closefrom(int first) {
  unsigned from = first < 0 ? 0 : (unsigned)first;
  if (refuse_range(from, ~0u, CALLER) || syscall(SYS_close_range, from, ~0u, 0) == 0) return;
  for (int fd = (int)from, end = (int)sysconf(_SC_OPEN_MAX); fd < end; fd++) syscall(SYS_close, fd);
}

int dup2(int from, int to) {
  if (from == to) return fcntl(from, F_GETFD) < 0 ? -1 : to;
  return to > 2 && refuse((unsigned)to, CALLER) ? -1 : (int)syscall(SYS_dup3, from, to, 0);
}

int dup3(int from, int to, int flags) {
  return to > 2 && refuse((unsigned)to, CALLER) ? -1 : (int)syscall(SYS_dup3, from, to, flags);
}
