/* A limit of the address space with which the program cannot start: Go's runtime and Python would end in a dump of
 * all threads. A constructor runs before both. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#define LEAST_KIB 1600000 /* measured: below it every start fails, whatever the settings */

#if UINTPTR_MAX > 0xffffffffu
__attribute__((constructor)) static void check_address_space(void) {
  struct rlimit l;
  if (getrlimit(RLIMIT_AS, &l) != 0 || l.rlim_cur == RLIM_INFINITY || l.rlim_cur / 1024 >= LEAST_KIB) return;
  fprintf(stderr, "fapws: address space limit of %llu KiB is too low: at least %d KiB must be reservable, although little of it is used; raise it with ulimit -v unlimited\n",
          (unsigned long long)(l.rlim_cur / 1024), LEAST_KIB);
  _exit(3);
}
#endif
