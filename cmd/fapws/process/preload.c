/* clang-format off */
//go:build library
/* clang-format on */

/* Makes a process of Python, in which the library is preloaded, one of this program. */
#define _GNU_SOURCE
#include "preload.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

struct fapws_preload fapws_preload = {-1, "", ""};

/* Takes NAME out of the environment, which children inherit. Kept as long as the process; NULL if it is not set. */
static char *take(const char *name) {
  char *value = getenv(name);
  if (value) value = strdup(value);
  unsetenv(name);
  return value;
}

/* Takes the library off LD_PRELOAD: others that the user has named stay. It is named first there, as a descriptor,
 * because a path may have spaces and colons, and may be another library's meanwhile. The variable is changed in its
 * place: Go has the environment that the process began with. */
static void take_library(void) {
  const char *value = getenv("LD_PRELOAD"), *others = value ? strpbrk(value, ": ") : NULL;
  if (!value || sscanf(value, "/proc/self/fd/%d", &fapws_preload.fd) != 1) return;
  fcntl(fapws_preload.fd, F_SETFD, FD_CLOEXEC);
  if (others)
    setenv("LD_PRELOAD", others + 1, 1);
  else
    unsetenv("LD_PRELOAD");
}

/* Runs before the constructors of the other packages, and of Go: by its priority, and because it is needed first. */
__attribute__((constructor(102))) static void start(void) {
  char *path = take(FAPWS_LIBRARY), *interpreter = take(FAPWS_INTERPRETER);
  if (!path || !interpreter) return;
  take_library();
  fapws_preload.path = path;
  fapws_preload.interpreter = interpreter;
  signal(SIGPIPE, SIG_DFL); /* Python ignores both, and has started this program */
  signal(SIGXFSZ, SIG_DFL);
  prctl(PR_SET_NAME, "fapws");
}

__attribute__((weak)) void fapws_main(void); /* the main package's */

static int main_of_library(int argc, char **argv, char **envp) {
  fapws_main();
  return 0;
}

typedef int main_function(int, char **, char **);
typedef int libc_start_main(main_function *, int, char **, void (*)(void), void (*)(void), void (*)(void), void *);

/* Replaces libc's, which the program's first instructions call with its main. */
__attribute__((visibility("default"))) int __libc_start_main(main_function *main, int argc, char **argv,
                                                             void (*init)(void), void (*fini)(void),
                                                             void (*loaded)(void), void *stack) {
  libc_start_main *libc = (libc_start_main *)dlsym(RTLD_NEXT, "__libc_start_main");
  return libc(fapws_preload.fd >= 0 ? main_of_library : main, argc, argv, init, fini, loaded, stack);
}

/* --- functions that glibc 2.17 does not have: see glibc.h ------------------------ */

#define HIDDEN __attribute__((visibility("hidden")))

#if defined(__x86_64__)
#define STAT_VERSION 1
#elif defined(__aarch64__)
#define STAT_VERSION 0
#else
#define STAT_VERSION 3
#endif

int __fxstat(int version, int fd, void *st);
int __fxstat64(int version, int fd, void *st);
int __xstat64(int version, const char *path, void *st);

HIDDEN int fstat(int fd, void *st) { return __fxstat(STAT_VERSION, fd, st); }
HIDDEN int fstat64(int fd, void *st) { return __fxstat64(STAT_VERSION, fd, st); }
HIDDEN int stat64(const char *path, void *st) { return __xstat64(STAT_VERSION, path, st); }
HIDDEN int memfd_create(const char *name, unsigned flags) { return (int)syscall(SYS_memfd_create, name, flags); }
