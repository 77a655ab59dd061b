/* clang-format off */
//go:build library
/* clang-format on */

/* Makes a Python process that has preloaded this library run fapws instead of Python's main function. */
#define _GNU_SOURCE
#include "preload.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <link.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

struct fapws_preload fapws_preload = {-1, "", ""};

/* Removes the variable name from the environment, so that child processes do not inherit it. Returns the value, which
 * remains valid, or NULL if the variable is not set. */
static char *take(const char *name) {
  char *value = getenv(name);
  if (value) value = strdup(value);
  unsetenv(name);
  return value;
}

/* Removes the first entry, which is this library, from LD_PRELOAD, and keeps the user's own entries. The string is
 * modified in place, because Go uses the original environment of the process. */
static void take_library(void) {
  const char *value = getenv("LD_PRELOAD"), *others = value ? strpbrk(value, ": ") : NULL;
  if (others)
    setenv("LD_PRELOAD", others + 1, 1);
  else
    unsetenv("LD_PRELOAD");
}

/* Writes the library's path into the dynamic loader's list of libraries, for gdb. Otherwise the list contains
 * /proc/self/fd/3, and gdb would read its own descriptor 3, which may be a pipe. */
static void show_path(void) {
  extern __attribute__((visibility("hidden"))) ElfW(Dyn) _DYNAMIC[];
  struct link_map *found = NULL;
  void *program = dlopen(NULL, RTLD_LAZY);
  if (!program || dlinfo(program, RTLD_DI_LINKMAP, &found)) return;
  while (found && found->l_ld != _DYNAMIC) found = found->l_next;
  if (found) found->l_name = (char *)fapws_preload.path;
}

/* The priority makes this constructor run before the constructors in the other packages. */
__attribute__((constructor(102))) static void start(void) {
  char *library = take(FAPWS_LIBRARY), *interpreter = take(FAPWS_INTERPRETER);
  int path = 0;
  if (!library || !interpreter || sscanf(library, "%d:%n", &fapws_preload.fd, &path) != 1) return;
  fcntl(fapws_preload.fd, F_SETFD, FD_CLOEXEC);
  take_library();
  fapws_preload.path = library + path;
  fapws_preload.interpreter = interpreter;
  show_path();
  signal(SIGPIPE, SIG_DFL); /* restore the default actions of SIGPIPE and SIGXFSZ, which Python ignores */
  signal(SIGXFSZ, SIG_DFL);
  prctl(PR_SET_NAME, "fapws");
}

typedef int main_function(int, char **, char **);
typedef int libc_start_main(main_function *, int, char **, void (*)(void), void (*)(void), void (*)(void), void *);

static main_function *main_of_python;

/* The function with which Go's runtime starts. Go makes it a constructor, to which musl would pass no arguments, so
 * scripts/package.sh moves it into this section. */
extern __attribute__((visibility("hidden"))) main_function *__start_fapws_go[];

void fapws_main(void); /* of library.go */

/* Runs fapws if the constructor has prepared this process for it, and Python otherwise. The decision is made here,
 * because musl runs constructors only after it has got the main function. */
static int choose_main(int argc, char **argv, char **envp) {
  if (fapws_preload.fd < 0) return main_of_python(argc, argv, envp);
  __start_fapws_go[0](argc, argv, envp);
  fapws_main();
  return 0;
}

/* Replaces libc's function __libc_start_main, to which the first instructions of the interpreter pass its main
 * function. */
__attribute__((visibility("default"))) int __libc_start_main(main_function *main, int argc, char **argv,
                                                             void (*init)(void), void (*fini)(void),
                                                             void (*loaded)(void), void *stack) {
  libc_start_main *libc = (libc_start_main *)dlsym(RTLD_NEXT, "__libc_start_main");
  main_of_python = main;
  return libc(choose_main, argc, argv, init, fini, loaded, stack);
}

#ifdef __GLIBC__
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
#endif
