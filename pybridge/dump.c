/* Writes the stacks of all Python threads without the GIL.
 *
 * faulthandler can, but most builds of Python export no function for it. Its handler for a signal of the user
 * (faulthandler.register) is such a function: it is registered at start for a signal, replaced there at once, and
 * called like any function. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE 1
#endif
#include "interp.h"
#include "shim_stack.h"

#include <signal.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static void (*_Atomic write_stacks)(int signal); /* into the file below; NULL: not available */
static int file = -1;
static struct stat identity; /* of the file, which the application may have closed */

/* Registers the handler for SIGRTMAX with the file; 0, or -1 with an exception. */
static int register_handler(void) {
  PyObject *done = fapws_call("faulthandler", "register", "(iiOO)", SIGRTMAX, file, Py_True, Py_False);
  Py_XDECREF(done);
  return done ? 0 : -1;
}

int fapws_dump_init(void) {
  struct sigaction before, handler;
  file = memfd_create("stacks", MFD_CLOEXEC);
  /* If a sandbox refuses it, a hung handler is reported without stacks. */
  if (file < 0 || fstat(file, &identity) < 0 || sigaction(SIGRTMAX, NULL, &before) < 0) return 0;
  if (register_handler() < 0) return -1;
  sigaction(SIGRTMAX, &before, &handler);
  write_stacks = handler.sa_handler;
  return 0;
}

void fapws_dump_end(void) { write_stacks = NULL; }

int fapws_dump_stacks(void) {
  void (*write_to_file)(int) = write_stacks;
  struct stat now;
  if (!write_to_file || fstat(file, &now) < 0 || now.st_dev != identity.st_dev || now.st_ino != identity.st_ino)
    return -1;
  if (ftruncate(file, 0) < 0 || lseek(file, 0, SEEK_SET) < 0) return -1;
  write_to_file(SIGRTMAX);
  return file;
}
