/* Files of request bodies and of responses. */
#include "core.h"

#include <errno.h>
#include <unistd.h>

PyObject *core_read_spool(int file, int64_t at, int64_t n) {
  if (n > PY_SSIZE_T_MAX) return PyErr_NoMemory(); /* more than 2 GiB on a 32-bit machine */
  PyObject *bytes = PyBytes_FromStringAndSize(NULL, (Py_ssize_t)n);
  if (!bytes) return NULL;
  char *out = PyBytes_AS_STRING(bytes);
  int failed = 0;
  Py_BEGIN_ALLOW_THREADS
  for (int64_t done = 0; done < n;) {
    ssize_t got = pread(file, out + done, (size_t)(n - done), at + done);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) {
      failed = got < 0 ? errno : EIO;
      break;
    }
    done += got;
  }
  Py_END_ALLOW_THREADS
  if (failed) {
    Py_DECREF(bytes);
    errno = failed;
    return PyErr_SetFromErrno(PyExc_OSError);
  }
  return bytes;
}

int core_has_size(int fd, const struct stat *st) {
  char byte;
  if (st->st_blocks) return 1;
  return pread(fd, &byte, 1, st->st_size) <= 0 && (!st->st_size || pread(fd, &byte, 1, st->st_size - 1) == 1);
}
