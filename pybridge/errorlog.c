/* Error logs of hosts: what handlers say about requests of theirs.
 *
 * A message is written at once, by the thread that has it: what a process says just
 * before it crashes is in the file, and a forked child, which has no Go, can write
 * as well. It is one writer more of those that package logfile describes: it takes
 * the lock, looks whether the path still leads to the file, and appends. But it
 * neither rotates nor makes files. A message for which that would be due, for which the disk has no room, or
 * that would have to wait for others, goes by way of the loop to the
 * logfile.File of the log, and so do those after it until that has been written. */
#include "descriptors.h"
#include "interp.h"
#include "messages.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

typedef struct {
  pthread_mutex_t mu; /* one thread writes; never held while waiting for the GIL */
  char *path;         /* NULL: what is said is dropped */
  int fd;             /* -1: to be opened */
  int64_t max;        /* bytes of a file; 0: any */
  int64_t until;      /* guarded by mu: when it is rotated by time, seconds since 1970 */
  int away;           /* guarded by mu: messages go to the loop */
  uint64_t kept;      /* guarded by mu: how many have gone there */
  PyObject *stream;   /* wsgi.errors of its requests; NULL: not made yet. Under the GIL */
} errorlog;

static errorlog *logs; /* by number less one; none comes when handlers run */
static int nlogs;
static int direct;     /* atomic: the loop does not take messages any more */

int fapws_errorlog_add(const char *path, int64_t max, int64_t until) {
  errorlog *more = realloc(logs, (size_t)(nlogs + 1) * sizeof *logs);
  if (!more) return 0;
  logs = more;
  errorlog *l = &logs[nlogs];
  memset(l, 0, sizeof *l);
  pthread_mutex_init(&l->mu, NULL);
  l->fd = -1;
  l->max = max;
  l->until = until;
  if (path && !(l->path = strdup(path))) return 0;
  if (path) l->fd = open(path, O_WRONLY | O_APPEND | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
  fapws_descriptor_keep(l->fd);
  return ++nlogs;
}

void fapws_errorlog_written(int number, uint64_t written, int64_t until) {
  errorlog *l = &logs[number - 1];
  pthread_mutex_lock(&l->mu);
  l->until = until;
  if (l->kept == written) l->away = 0; /* else what is on its way has to go first */
  pthread_mutex_unlock(&l->mu);
}

void fapws_errorlog_direct(void) { __atomic_store_n(&direct, 1, __ATOMIC_SEQ_CST); }

/* A child has the descriptors, but the lock on them would be its parent's too. */
void fapws_errorlog_forked(void) {
  for (int i = 0; i < nlogs; i++) {
    pthread_mutex_init(&logs[i].mu, NULL);
    if (logs[i].fd >= 0) close(logs[i].fd);
    logs[i].fd = -1;
    logs[i].away = 0;
  }
}

static void forget(errorlog *l) {
  fapws_descriptor_release(l->fd);
  close(l->fd); /* and gives up the lock */
  l->fd = -1;
}

/* Takes the lock, if it is to be had soon: others hold it while they write. */
static int lock(int fd) {
  struct timespec pause = {0, 50000};
  for (int i = 0; i < 100; i++) {
    if (flock(fd, LOCK_EX | LOCK_NB) == 0) return 1;
    if (errno != EWOULDBLOCK && errno != EINTR) return 1; /* a file system without locks: as package logfile */
    nanosleep(&pause, NULL);
  }
  return 0;
}

/* Opens what the path leads to and locks it; 0: that has to be done elsewhere. alone:
 * no other process writes. */
static int take(errorlog *l, struct stat *here, int alone) {
  for (int i = 0; i < 10; i++) { /* others may rotate at the same time */
    if (l->fd < 0)
      l->fd = open(l->path, O_WRONLY | O_APPEND | O_NONBLOCK | O_NOCTTY | O_CLOEXEC | (alone ? O_CREAT : 0), 0640);
    if (l->fd < 0) return 0;
    fapws_descriptor_keep(l->fd);
    struct stat there;
    if (fstat(l->fd, here) != 0 || !S_ISREG(here->st_mode) || !lock(l->fd)) {
      forget(l);
      return 0;
    }
    if (stat(l->path, &there) == 0 && fstat(l->fd, here) == 0 && there.st_ino == here->st_ino && there.st_dev == here->st_dev) return 1;
    forget(l);
  }
  return 0;
}

/* Whether all of it was appended; if not, nothing was. */
static int append(int fd, const char *text, size_t n) {
  size_t done = 0;
  while (done < n) {
    ssize_t k = write(fd, text + done, n - done);
    if (k < 0 && errno == EINTR) continue;
    if (k <= 0) break;
    done += (size_t)k;
  }
  struct stat now;
  if (done == n || done == 0) return done == n;
  /* A process that empties the file to make room may have been quicker. */
  if (fstat(fd, &now) == 0 && now.st_size >= (off_t)done && ftruncate(fd, now.st_size - (off_t)done) == 0) return 0;
  return 1; /* twice would be worse */
}

static int write_here(errorlog *l, const char *text, size_t n, int alone) {
  struct stat st;
  if (!take(l, &st, alone)) return 0;
  int fits = alone || ((!l->max || !st.st_size || st.st_size + (int64_t)n <= l->max) && time(NULL) < l->until);
  int done = fits && append(l->fd, text, n);
  flock(l->fd, LOCK_UN);
  return done;
}

void fapws_errorlog_write(int number, const char *text, size_t n) {
  if (number <= 0 || number > nlogs) {
    fapws_write_stderr(text, n);
    return;
  }
  errorlog *l = &logs[number - 1];
  if (!l->path || !n) return;
  int alone = fapws_forked || __atomic_load_n(&direct, __ATOMIC_SEQ_CST);
  pthread_mutex_lock(&l->mu);
  int done = (alone || !l->away) && write_here(l, text, n, alone);
  if (!done && !alone) {
    fapws_bytes texts[] = {{(const char *)&number, sizeof number}, {text, (uint32_t)n}};
    done = n <= FAPWS_ERRORLOG_WAITS && fapws_try_enqueue(FAPWS_ERROR_LINES, texts, 2);
    l->away |= done;
    l->kept += (uint64_t)done;
  }
  pthread_mutex_unlock(&l->mu);
  if (!done) fapws_write_stderr(text, n);
}

/* --- for Python ---------------------------------------------------------------- */

void fapws_errorlog_say(int number, PyObject *text) {
  PyObject *bytes = PyUnicode_AsEncodedString(text, "utf-8", "backslashreplace");
  if (!bytes) return;
  Py_BEGIN_ALLOW_THREADS
  fapws_errorlog_write(number, PyBytes_AS_STRING(bytes), (size_t)PyBytes_GET_SIZE(bytes));
  Py_END_ALLOW_THREADS
  Py_DECREF(bytes);
}

PyObject *fapws_errorlog_method(PyObject *module, PyObject *args) {
  int number;
  PyObject *text;
  if (!PyArg_ParseTuple(args, "iU:error_lines", &number, &text)) return NULL;
  fapws_errorlog_say(number, text);
  if (PyErr_Occurred()) return NULL;
  Py_RETURN_NONE;
}

PyObject *fapws_errorlog_stream(int number) {
  if (number <= 0 || number > nlogs) return NULL;
  return logs[number - 1].stream;
}

int fapws_errorlog_init(void) {
  for (int i = 0; i < nlogs; i++)
    if (!(logs[i].stream = fapws_call("fapws._errorlog", "ErrorLog", "(i)", i + 1))) return -1;
  return 0;
}
