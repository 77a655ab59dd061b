/* Replaces sys.stdout and sys.stderr by streams on which no write fails, so that a full disk or a closed pipe does not
 * cause exceptions in the application. Text that cannot be written is dropped, and the next successful write reports
 * the number of lost lines. */
#include "core.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define ROOM_MS 100   /* maximum time to wait, in ms, until the reader of a full pipe has made room */
#define BEGUN_MS 5000 /* maximum time to wait, in ms, to write the rest of an object, or for the file lock */

/* Atomic: number of lines that were dropped, for each descriptor. Child processes share the counts, because a child
 * that ends (--fork) cannot report its own count. */
static int64_t private_lost[3], *lost = private_lost;

static int64_t count_lines(const char *text, size_t n) {
  int64_t lines = 0;
  for (const char *at = text, *end = text + n; (at = memchr(at, '\n', (size_t)(end - at))); at++) lines++;
  return lines ? lines : 1;
}

int core_take_back(int fd, size_t n) {
  struct stat st; /* the size shows whether a different process has emptied the file in the meantime */
  if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode) || st.st_size < (off_t)n) return 0;
  return ftruncate(fd, st.st_size - (off_t)n) == 0;
}

static size_t at_once(int fd, size_t n) {
  struct stat st;
  return n <= PIPE_BUF || (fstat(fd, &st) == 0 && S_ISREG(st.st_mode)) ? n : PIPE_BUF;
}

static int broken[3]; /* for each descriptor: the last line was written without its end */

/* Writes the whole text and returns 1, or returns 0 if a slow reader has not made room within ms milliseconds. If a
 * part of a JSON object was written, the limit is BEGUN_MS instead. */
static int put(int fd, const char *text, size_t n, int ms, int object) {
  struct pollfd room = {.fd = fd, .events = POLLOUT};
  for (size_t done = 0; done < n;) {
    ssize_t k = poll(&room, 1, object && done ? BEGUN_MS : ms);
    if (k > 0) k = write(fd, text + done, at_once(fd, n - done));
    if (k > 0) {
      done += (size_t)k;
      continue;
    }
    if (k < 0 && (errno == EINTR || errno == EAGAIN)) continue;
    if (done && !core_take_back(fd, done)) broken[fd] = object;
    return 0;
  }
  return 1;
}

static int write_or_count(int fd, const char *text, size_t n, int object) {
  char told[CORE_OBJECT_LEAST + 96], *end = told;
  int64_t before = __atomic_exchange_n(&lost[fd], 0, __ATOMIC_SEQ_CST);
  if (UNLIKELY(broken[fd])) *end++ = '\n';
  if (UNLIKELY(before)) {
    char what[64];
    int k = snprintf(what, sizeof what, "lost %lld lines before this one", (long long)before);
    core_bytes texts[CORE_TEXTS] = {[CORE_MESSAGE] = {what, (uint32_t)k}};
    end += object ? core_object(end, CORE_OBJECT_LEAST, "warning", texts) : (size_t)sprintf(end, "fapws: %s\n", what);
  }
  /* The limit for this line is 0 ms, because a reader that is too slow would delay the application twice. */
  int done = end == told || put(fd, told, (size_t)(end - told), 0, 0);
  if (done) {
    broken[fd] = 0;
    before = 0;
    done = put(fd, text, n, ROOM_MS, object);
  }
  if (!done) __atomic_add_fetch(&lost[fd], before + count_lines(text, n), __ATOMIC_SEQ_CST);
  return done;
}

/* Locked while a thread writes to stderr, if stderr receives JSON objects. */
static pthread_mutex_t whole = PTHREAD_MUTEX_INITIALIZER;

void core_stdio_forked(void) { pthread_mutex_init(&whole, NULL); }

/* The processes of the server can share a pipe, which accepts at most PIPE_BUF bytes in one piece. Therefore each
 * process locks the pipe with a file lock. A file lock does not exclude other threads of the same process, so the mutex
 * is needed as well. A write to a regular file needs no file lock. */
int core_write_object(const char *text, size_t n) {
  struct stat st;
  struct flock range = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
  const struct timespec pause = {0, 1000000};
  pthread_mutex_lock(&whole);
  int locks = fstat(2, &st) == 0 && !S_ISREG(st.st_mode);
  for (int i = 0; locks && i < BEGUN_MS && fcntl(2, F_SETLK, &range) < 0 && (errno == EAGAIN || errno == EACCES); i++)
    nanosleep(&pause, NULL);
  int done = write_or_count(2, text, n, 1);
  range.l_type = F_UNLCK;
  if (locks) fcntl(2, F_SETLK, &range);
  pthread_mutex_unlock(&whole);
  return done;
}

void core_write_stderr(const char *text, size_t n) {
  if (n && core_look == CORE_OBJECT)
    core_write_object(text, n);
  else if (n)
    write_or_count(2, text, n, 0);
}

void core_stdio_flush(void) {
  static const char *const names[] = {"stdout", "stderr"};
  for (int i = 0; i < 2; i++) {
    /* A new reference, because a different thread can replace the stream. */
    PyObject *stream = core_import("sys", names[i]);
    if (stream && stream != Py_None) Py_XDECREF(PyObject_CallMethod(stream, "flush", NULL));
    Py_XDECREF(stream);
    PyErr_Clear();
  }
}

static PyObject *raw_write(PyObject *self, PyObject *data) {
  Py_buffer view;
  int fd = PyObject_AsFileDescriptor(self);
  if (fd < 0 || PyObject_GetBuffer(data, &view, PyBUF_SIMPLE) < 0) return NULL;
  Py_ssize_t n = view.len;
  Py_BEGIN_ALLOW_THREADS
  if (fd == 1 && n)
    write_or_count(1, view.buf, (size_t)n, 0);
  else
    core_write_stderr(view.buf, (size_t)n);
  Py_END_ALLOW_THREADS
  PyBuffer_Release(&view);
  return PyLong_FromSsize_t(n);
}

static PyMethodDef raw_methods[] = {
    {"write", raw_write, METH_O, "write(data) -> int: len(data), whether or not it could be written."},
    {NULL, NULL, 0, NULL}};
static PyType_Slot raw_slots[] = {
    {Py_tp_methods, raw_methods}, {Py_tp_doc, "A standard stream of the server."}, {0, NULL}};
static PyType_Spec raw_spec = {.name = "_fapws.StandardStream", .flags = Py_TPFLAGS_DEFAULT, .slots = raw_slots};

/* Returns a text stream that writes to raw and has the encoding of old: a new reference. The stream is buffered by
 * line, so that output of print() and warnings appear at once even in a pipe or journal. If Python runs with
 * PYTHONUNBUFFERED, the stream old has no buffer, and the new stream has none either. */
static PyObject *stream_on(PyObject *raw, PyObject *old) {
  PyObject *below = PyObject_GetAttrString(old, "buffer"), *encoding = PyObject_GetAttrString(old, "encoding"),
           *errors = PyObject_GetAttrString(old, "errors");
  int buffered = below && PyObject_HasAttrString(below, "raw");
  PyObject *buffer = !below ? NULL : buffered ? core_call("io", "BufferedWriter", "(O)", raw) : Py_NewRef(raw);
  PyObject *args = buffer && encoding && errors ? Py_BuildValue("(OOOs)", buffer, encoding, errors, "\n") : NULL;
  PyObject *kw = Py_BuildValue("{s:O,s:O}", "line_buffering", Py_True, "write_through", buffered ? Py_False : Py_True);
  PyObject *stream = core_call_with(core_import("io", "TextIOWrapper"), args, kw), *mode = PyUnicode_FromString("w");
  if (stream && (!mode || PyObject_SetAttrString(stream, "mode", mode) < 0)) Py_CLEAR(stream);
  PyObject *all[] = {below, encoding, errors, buffer, mode};
  for (size_t i = 0; i < sizeof all / sizeof *all; i++) Py_XDECREF(all[i]);
  return stream;
}

static void share_counts(void) {
  if (lost != private_lost) return;
  void *page = mmap(NULL, sizeof private_lost, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (page != MAP_FAILED) lost = page;
}

int core_stdio_init(const char *name, int fd) {
  share_counts();
  PyObject *old = PySys_GetObject(name);
  if (!old || old == Py_None) return 0;
  PyObject *base = core_import("io", "FileIO");
  PyObject *bases = base ? PyTuple_Pack(1, base) : NULL,
           *type = bases ? PyType_FromSpecWithBases(&raw_spec, bases) : NULL;
  PyObject *raw = type ? PyObject_CallFunction(type, "isO", fd, "wb", Py_False) : NULL;
  PyObject *shown = PyUnicode_FromFormat("<%s>", name);
  PyObject *stream = raw && shown && PyObject_SetAttrString(raw, "name", shown) == 0 ? stream_on(raw, old) : NULL;
  char kept[16];
  snprintf(kept, sizeof kept, "__%s__", name);
  int bad = !stream || PySys_SetObject(name, stream) < 0 || PySys_SetObject(kept, stream) < 0;
  PyObject *all[] = {base, bases, type, raw, shown, stream};
  for (size_t i = 0; i < sizeof all / sizeof *all; i++) Py_XDECREF(all[i]);
  return -bad;
}
