/* Implements CORE_CHECK for builds with a sanitizer. On any thread, CORE_CHECK checks that a function is called as the
 * comment of the function requires. */
#include "core.h"

#include <stdlib.h>

#if CORE_CHECKS
#define the_pool core_the_pool

static pthread_t loop; /* atomic: the thread that runs a function of the event loop, or 0 */

void core_checked(const int *took) {
  if (*took) __atomic_store_n(&loop, (pthread_t)0, __ATOMIC_SEQ_CST);
}

int core_check(unsigned expected, const char *text, const char *file, int line, const char *function) {
  static const unsigned kinds[] = {CORE_GIL | CORE_NO_GIL, CORE_ON_MAIN | CORE_ON_LOOP | CORE_ON_ASYNCIO,
                                   CORE_BEFORE | CORE_LOADING | CORE_SERVING | CORE_ENDED};
  static const char *const facts[] = {"with the GIL", "on this thread", "now"};
  pthread_t self = pthread_self(), owner = 0;
  int python = Py_IsInitialized(), pool = the_pool.threads[0] != NULL, main = pthread_equal(self, core_main_thread);
  /* In inline mode the event loop runs on Python's main thread. Otherwise it is a goroutine, which runs on one OS
   * thread at a time, but can move to a different OS thread. */
  int may = pool && (expected & CORE_ON_LOOP) && (the_pool.max ? !core_this_thread && !main : main);
  int took = may && __atomic_compare_exchange_n(&loop, &owner, self, 0, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
  /* A handler has called core_loop_send_now, and the event loop runs inside this call. */
  int nested = !took && __atomic_load_n(&loop, __ATOMIC_SEQ_CST) == self;
  unsigned is = PyGILState_GetThisThreadState() && PyGILState_Check() ? CORE_GIL : CORE_NO_GIL;
  is |= (nested ? CORE_NO_GIL : 0) | (main ? CORE_ON_MAIN : 0) | (took || nested ? CORE_ON_LOOP : 0);
  is |= core_this_thread && core_this_thread->index < 0 ? CORE_ON_ASYNCIO : 0;
  is |= python ? pool ? CORE_SERVING : CORE_LOADING : pool ? CORE_ENDED : CORE_BEFORE;
  for (int i = 0; i < 3 && !core_forked; i++) {
    if (!(expected & kinds[i]) || (expected & kinds[i] & is)) continue;
    fprintf(stderr, "fapws: %s:%d: %s expects %s, and must not be called %s (0x%x)\n", file, line, function, text,
            facts[i], is);
    abort();
  }
  return took;
}
#endif
