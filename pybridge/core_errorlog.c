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
  int64_t max;      /* maximum size of the file in bytes; 0 for no limit */
  int64_t rotation; /* guarded by mu: time of the next rotation, in seconds since 1970 */
  int via_loop;     /* guarded by mu: messages must be sent through the event loop */
  uint64_t sent;    /* guarded by mu: number of messages that were sent through the event loop */
  /* The object wsgi.errors for requests with this log, or NULL before core_errorlog_init. Guarded by the GIL. */
  PyObject *stream;
} errorlog;

/* The log with the number N has the index N - 1. The array does not change while handlers run. */
static errorlog *logs;
static int nlogs;
static int loop_ended; /* atomic: the event loop has ended, so messages must be written directly */

int core_errorlog_add(const char *path, int64_t max, int64_t rotation) {
  CORE_CHECK(CORE_BEFORE | CORE_LOADING);
  errorlog *more = realloc(logs, (size_t)(nlogs + 1) * sizeof *logs);
  if (!more) return 0;
  logs = more;
  errorlog *l = &logs[nlogs];
  *l = (errorlog){.mu = PTHREAD_MUTEX_INITIALIZER, .fd = -1, .max = max, .rotation = rotation};
  if (path && !(l->path = strdup(path))) return 0;
  if (path) l->fd = open(path, O_WRONLY | O_APPEND | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
  return ++nlogs;
}

void core_errorlog_written(int number, uint64_t written, int64_t rotation) {
  errorlog *l = &logs[number - 1];
  pthread_mutex_lock(&l->mu);
  l->rotation = rotation;
  if (l->sent == written) l->via_loop = 0;
  pthread_mutex_unlock(&l->mu);
}

void core_errorlog_direct(void) { __atomic_store_n(&loop_ended, 1, __ATOMIC_SEQ_CST); }

/* A child process must open the log files again, because locks on inherited descriptors also belong to the parent. */
void core_errorlog_forked(void) {
  for (int i = 0; i < nlogs; i++) {
    pthread_mutex_init(&logs[i].mu, NULL);
    if (logs[i].fd >= 0) close(logs[i].fd);
    logs[i].fd = -1;
    logs[i].via_loop = 0;
  }
}

static void close_file(errorlog *l) {
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

/* Opens the log file, locks it, and stores its status in *opened; returns 0 on failure. If without_loop is nonzero, no
 * event loop can create a missing file, so this function creates it. */
static int open_locked(errorlog *l, struct stat *opened, int without_loop) {
  for (int i = 0; i < 10; i++) { /* repeated if a different process rotates the file at the same time */
    if (l->fd < 0)
      l->fd =
          open(l->path, O_WRONLY | O_APPEND | O_NONBLOCK | O_NOCTTY | O_CLOEXEC | (without_loop ? O_CREAT : 0), 0640);
    if (l->fd < 0) return 0;
    struct stat current;
    if (fstat(l->fd, opened) != 0 || !S_ISREG(opened->st_mode) || !lock(l->fd)) {
      close_file(l);
      return 0;
    }
    if (stat(l->path, &current) == 0 && fstat(l->fd, opened) == 0 && current.st_ino == opened->st_ino &&
        current.st_dev == opened->st_dev)
      return 1;
    close_file(l);
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

static int write_here(errorlog *l, const char *text, size_t n, int without_loop) {
  struct stat st;
  if (!open_locked(l, &st, without_loop)) return 0;
  int fits =
      without_loop || ((!l->max || !st.st_size || st.st_size + (int64_t)n <= l->max) && time(NULL) < l->rotation);
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
  int without_loop = core_forked || __atomic_load_n(&loop_ended, __ATOMIC_SEQ_CST);
  pthread_mutex_lock(&l->mu);
  int done = (without_loop || !l->via_loop) && write_here(l, text, n, without_loop);
  if (!done && !without_loop) {
    core_bytes texts[] = {{(const char *)&number, sizeof number}, {text, (uint32_t)n}};
    done = n <= CORE_ERRORLOG_WAITS && core_try_enqueue(CORE_ERROR_LINES, texts, 2);
    l->via_loop |= done;
    l->sent += (uint64_t)done;
  }
  pthread_mutex_unlock(&l->mu);
  if (!done) core_write_stderr(text, n);
}

void core_errorlog_say(int number, PyObject *text) {
  PyObject *bytes = PyUnicode_AsEncodedString(text, "utf-8", "backslashreplace");
  if (!bytes) return;
  Py_BEGIN_ALLOW_THREADS
  core_errorlog_write(number, PyBytes_AS_STRING(bytes), (size_t)PyBytes_GET_SIZE(bytes));
  Py_END_ALLOW_THREADS
  Py_DECREF(bytes);
}

PyObject *core_errorlog_stream(int number) { return number > 0 && number <= nlogs ? logs[number - 1].stream : NULL; }

int core_errorlog_init(void) {
  for (int i = 0; i < nlogs; i++)
    if (!(logs[i].stream = core_call("fapws._errorlog", "ErrorLog", "(i)", i + 1))) return -1;
  return 0;
}
