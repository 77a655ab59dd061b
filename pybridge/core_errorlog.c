/* The error logs of hosts. The functions can be called on any thread, without the GIL.
 *
 * Each thread writes its messages to the log file itself, without Go. Therefore the file contains the last message
 * before a crash, and a forked child, in which Go does not run, can write messages. This file follows the protocol of
 * package logfile: take the lock, check that the path still leads to the open file, append. If a log file must be
 * rotated or created, if the disk is full, or if the lock is not available soon, the message is sent through the event
 * loop to the logfile.File of the log. Until the logfile.File has written that message, this file sends later messages
 * through the event loop as well, so that the order is kept. */
#include "core.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

typedef struct {
  pthread_mutex_t mu; /* a thread that holds this mutex must not wait for the GIL */
  char *path;         /* path of the log file, or NULL if messages are dropped */
  int fd;
  int64_t max;   /* maximum size of the file in bytes; 0 for no limit */
  int64_t until; /* guarded by mu: time of the next rotation, in seconds since 1970 */
  int away;      /* guarded by mu: messages must be sent through the event loop */
  uint64_t kept; /* guarded by mu: number of messages that were sent through the event loop */
  /* The object wsgi.errors for requests with this log, or NULL before core_errorlog_init. Guarded by the GIL. */
  PyObject *stream;
} errorlog;

/* The log with the number N has the index N - 1. The array does not change while handlers run. */
static errorlog *logs;
static int nlogs;
static int direct; /* atomic: the event loop has ended, so messages must be written directly */

int core_errorlog_add(const char *path, int64_t max, int64_t until) {
  CORE_CHECK(CORE_BEFORE | CORE_LOADING);
  errorlog *more = realloc(logs, (size_t)(nlogs + 1) * sizeof *logs);
  if (!more) return 0;
  logs = more;
  errorlog *l = &logs[nlogs];
  *l = (errorlog){.mu = PTHREAD_MUTEX_INITIALIZER, .fd = -1, .max = max, .until = until};
  if (path && !(l->path = strdup(path))) return 0;
  if (path) l->fd = open(path, O_WRONLY | O_APPEND | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
  return ++nlogs;
}

void core_errorlog_written(int number, uint64_t written, int64_t until) {
  errorlog *l = &logs[number - 1];
  pthread_mutex_lock(&l->mu);
  l->until = until;
  if (l->kept == written) l->away = 0;
  pthread_mutex_unlock(&l->mu);
}

void core_errorlog_direct(void) { __atomic_store_n(&direct, 1, __ATOMIC_SEQ_CST); }

/* A child process must open the log files again, because locks on inherited descriptors also belong to the parent. */
void core_errorlog_forked(void) {
  for (int i = 0; i < nlogs; i++) {
    pthread_mutex_init(&logs[i].mu, NULL);
    if (logs[i].fd >= 0) close(logs[i].fd);
    logs[i].fd = -1;
    logs[i].away = 0;
  }
}

static void forget(errorlog *l) {
  close(l->fd);
  l->fd = -1;
}

static int lock(int fd) {
  struct timespec pause = {0, 50000};
  for (int i = 0; i < 100; i++) {
    if (flock(fd, LOCK_EX | LOCK_NB) == 0) return 1;
    /* The file system has no locks: continue without the lock, as package logfile does. */
    if (errno != EWOULDBLOCK && errno != EINTR) return 1;
    nanosleep(&pause, NULL);
  }
  return 0;
}

/* Opens the log file, locks it, and stores its status in *here; returns 0 on failure. If alone is nonzero, no event
 * loop can create a missing file, so this function creates it. */
static int take(errorlog *l, struct stat *here, int alone) {
  for (int i = 0; i < 10; i++) { /* repeated if a different process rotates the file at the same time */
    if (l->fd < 0)
      l->fd = open(l->path, O_WRONLY | O_APPEND | O_NONBLOCK | O_NOCTTY | O_CLOEXEC | (alone ? O_CREAT : 0), 0640);
    if (l->fd < 0) return 0;
    struct stat there;
    if (fstat(l->fd, here) != 0 || !S_ISREG(here->st_mode) || !lock(l->fd)) {
      forget(l);
      return 0;
    }
    if (stat(l->path, &there) == 0 && fstat(l->fd, here) == 0 && there.st_ino == here->st_ino &&
        there.st_dev == here->st_dev)
      return 1;
    forget(l);
  }
  return 0;
}

/* Appends the whole text or nothing. Returns 0 if the caller must write the text in a different way, otherwise 1. */
static int append(int fd, const char *text, size_t n) {
  size_t done = 0;
  while (done < n) {
    ssize_t k = write(fd, text + done, n - done);
    if (k < 0 && errno == EINTR) continue;
    if (k <= 0) break;
    done += (size_t)k;
  }
  if (done == n || done == 0) return done == n;
  return !core_take_back(fd, done); /* if the incomplete text remains in the file, it is not written again */
}

static int write_here(errorlog *l, const char *text, size_t n, int alone) {
  struct stat st;
  if (!take(l, &st, alone)) return 0;
  int fits = alone || ((!l->max || !st.st_size || st.st_size + (int64_t)n <= l->max) && time(NULL) < l->until);
  int done = fits && append(l->fd, text, n);
  flock(l->fd, LOCK_UN);
  return done;
}

void core_errorlog_write(int number, const char *text, size_t n) {
  if (number <= 0 || number > nlogs) {
    core_write_stderr(text, n);
    return;
  }
  errorlog *l = &logs[number - 1];
  if (!l->path || !n) return;
  int alone = core_forked || __atomic_load_n(&direct, __ATOMIC_SEQ_CST);
  pthread_mutex_lock(&l->mu);
  int done = (alone || !l->away) && write_here(l, text, n, alone);
  if (!done && !alone) {
    core_bytes texts[] = {{(const char *)&number, sizeof number}, {text, (uint32_t)n}};
    done = n <= CORE_ERRORLOG_WAITS && core_try_enqueue(CORE_ERROR_LINES, texts, 2);
    l->away |= done;
    l->kept += (uint64_t)done;
  }
  pthread_mutex_unlock(&l->mu);
  if (!done) core_write_stderr(text, n);
}

void core_errorlog_say(int number, PyObject *text) {
  PyObject *bytes = PyUnicode_AsEncodedString(text, "utf-8", "backslashreplace");
  if (!bytes) return;
  Py_BEGIN_ALLOW_THREADS core_errorlog_write(number, PyBytes_AS_STRING(bytes), (size_t)PyBytes_GET_SIZE(bytes));
  Py_END_ALLOW_THREADS Py_DECREF(bytes);
}

PyObject *core_errorlog_stream(int number) { return number > 0 && number <= nlogs ? logs[number - 1].stream : NULL; }

int core_errorlog_init(void) {
  for (int i = 0; i < nlogs; i++)
    if (!(logs[i].stream = core_call("fapws._errorlog", "ErrorLog", "(i)", i + 1))) return -1;
  return 0;
}
