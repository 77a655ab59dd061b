/* What fapws.cache.purge asks for, on its way to the loop.
 *
 * Go may not be called from here: a child that the application has forked has
 * none. So texts are kept until the loop comes for finished parts, and takes
 * them first: what a handler has purged is gone when its answer is sent. */
#include "bridge.h"

#include <stdlib.h>
#include <string.h>

#define P fapws_the_pool
#define MOST (1 << 20) /* bytes that wait; beyond it all pages go */

static pthread_mutex_t mu = PTHREAD_MUTEX_INITIALIZER; /* held for a moment, with or without the GIL */
static char *texts;                                    /* each with a NUL; malloc, freed by who takes them */
static size_t used, room;

static const char everything[] = "{\"path\":\"*\"}";

/* -1: no memory. mu is held. */
static int append(const char *text, size_t n) {
  if (used + n > MOST) {
    used = 0;
    text = everything;
    n = sizeof everything;
  }
  if (used + n > room) {
    char *more = realloc(texts, used + n + 4096);
    if (!more) return -1;
    texts = more;
    room = used + n + 4096;
  }
  memcpy(texts + used, text, n);
  used += n;
  return 0;
}

PyObject *fapws_cache_purge(PyObject *module, PyObject *arg) {
  (void)module;
  Py_ssize_t n;
  const char *text = PyUnicode_AsUTF8AndSize(arg, &n);
  if (!text) return NULL;
  if (fapws_forked) {
    PyErr_SetString(PyExc_RuntimeError, "a child of the server cannot purge its cache");
    return NULL;
  }
  pthread_mutex_lock(&mu);
  int failed = append(text, strlen(text) + 1);
  __atomic_store_n(&P.shared.purges, 1, __ATOMIC_SEQ_CST);
  pthread_mutex_unlock(&mu);
  if (failed) return PyErr_NoMemory();
  if (P.wake_fd > 0) fapws_wake_loop(); /* else it has not begun, and has no pages */
  Py_RETURN_NONE;
}

char *fapws_purges(size_t *n) {
  pthread_mutex_lock(&mu);
  char *all = texts;
  *n = used;
  texts = NULL;
  used = room = 0;
  __atomic_store_n(&P.shared.purges, 0, __ATOMIC_SEQ_CST);
  pthread_mutex_unlock(&mu);
  return all;
}
