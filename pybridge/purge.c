/* fapws.cache.purge. */
#include "interp.h"
#include "messages.h"

#define P fapws_the_pool
#define MOST (1 << 20) /* maximum bytes of waiting patterns; above, the whole cache is purged */

PyObject *fapws_cache_purge(PyObject *module, PyObject *arg) {
  static const char everything[] = "{\"path\":\"*\"}";
  Py_ssize_t n;
  const char *text = PyUnicode_AsUTF8AndSize(arg, &n);
  if (!text) return NULL;
  if (fapws_forked) return PyErr_Format(PyExc_RuntimeError, "purge: not available in a child process of the server");
  uint32_t waiting =
      __atomic_load_n(&P.shared.purges, __ATOMIC_RELAXED); /* other threads add to it, the event loop resets it */
  if (waiting > MOST) Py_RETURN_NONE;                      /* the whole cache will be purged */
  __atomic_fetch_add(&P.shared.purges, (uint32_t)n, __ATOMIC_SEQ_CST);
  fapws_bytes pattern = {text, (uint32_t)n};
  if (waiting + (size_t)n > MOST) {
    __atomic_store_n(&P.shared.purges, MOST + 1, __ATOMIC_SEQ_CST);
    pattern = (fapws_bytes){everything, sizeof everything - 1};
  }
  if (fapws_enqueue_message(FAPWS_PURGE, &pattern, 1) < 0) return NULL;
  Py_RETURN_NONE;
}
