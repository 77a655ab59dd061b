/* Replaces the functions of the dynamic loader in a program that is linked statically. musl's own functions fail with a
 * message that does not name the file. Python calls the functions with the GIL, which protects failure. */
#ifdef CORE_STATIC
#include <dlfcn.h>
#include <stdio.h>
#include <string.h>

static char failure[512];
static const char *pending; /* what dlerror returns next */

/* Succeeds for the program itself, because module ctypes opens it when it is imported. */
void *dlopen(const char *path, int mode) {
  static int program;
  if (!path) return &program;
  const char *slash = strrchr(path, '/');
  snprintf(failure, sizeof failure,
           "%.200s cannot be loaded, because this fapws is one static file: "
           "install a package in pure Python, or use the dynamic fapws for musl",
           slash ? slash + 1 : path);
  return pending = failure, NULL;
}

void *dlsym(void *program, const char *name) {
  snprintf(failure, sizeof failure, "%.200s: a fapws that is one static file finds no functions by name", name);
  return pending = failure, NULL;
}

int dlclose(void *program) { return 0; }

char *dlerror(void) {
  char *text = (char *)pending;
  pending = NULL;
  return text;
}
#endif
