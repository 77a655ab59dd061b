/* The interpreter: interp.c, module.c, stdio.c, fork.c and dump.c.
 *
 * The interpreter, its types and module _fapws live as long as the process. Go holds references to the objects of
 * mounts only, and never releases them. With the GIL, unless a comment says otherwise. */
#ifndef FAPWS_INTERP_H
#define FAPWS_INTERP_H

#include "cpython.h"

/* --- interp.c --------------------------------------------------------------- */

/* signals_on_stack(), a method of module _fapws: makes signal handlers of libraries run on the alternate stack. */
PyObject *fapws_signals_on_stack(PyObject *module, PyObject *none);
/* Runs the application's signal handlers; main thread only. */
void fapws_check_signals(void);
/* Makes signals of the application write to fd, which wakes the event loop. */
void fapws_watch_signals(int fd);
/* Exit status of the current exception if it is SystemExit (cleared), else -1. */
int fapws_system_exit(void);

/* --- profile.c -------------------------------------------------------------- */

/* stacks(), a method of module _fapws: the stacks of all threads, without the GIL. */
PyObject *fapws_stacks(PyObject *module, PyObject *none);

/* --- module.c --------------------------------------------------------------- */

PyObject *fapws_module_init(void);
/* --- appmetrics.c: methods of module _fapws --- */
extern PyMethodDef fapws_metric_methods[];
/* fapws.Timeout; immortal */
extern PyObject *fapws_timeout;
/* A Staticfile, or a CGIApplication, that a handler returned. */
typedef struct {
  PyObject_HEAD PyObject *options; /* owned: str, JSON */
  PyObject *path;                  /* owned: bytes, PATH_INFO; for a program SCRIPT_NAME comes before it */
  int program;                     /* it is a CGIApplication */
  uint32_t script_len;
} fapws_static_object;
extern PyTypeObject fapws_StaticAnswer_Type;

/* --- stdio.c ---------------------------------------------------------------- */

/* Replaces sys.stdout or sys.stderr by a stream on which no write fails. */
int fapws_stdio_init(const char *name, int fd);
/* Flushes sys.stdout and sys.stderr. */
void fapws_stdio_flush(void);
/* Writes to standard error, or counts the lines that it loses, and reports them later. Any thread, without the GIL. */
void fapws_write_stderr(const char *text, size_t n);

/* --- fork.c ----------------------------------------------------------------- */

/* Whether this process is a child of os.fork(). */
extern volatile int fapws_forked;
int fapws_fork_init(void);
/* Ends a child of os.fork() whose handler has returned. */
void fapws_child_exit(void) __attribute__((noreturn));
/* Ends the process if it is such a child. Called after code of the application has run. */
static inline void fapws_exit_child(void) {
  if (UNLIKELY(fapws_forked)) fapws_child_exit();
}
/* 0, or -1 with RuntimeError in such a child, which cannot use the server's WebSockets. */
int fapws_check_parent(void);

/* --- dump.c ----------------------------------------------------------------- */

int fapws_dump_init(void);

/* Before Python ends, which frees what the handler of faulthandler reads. */
void fapws_dump_end(void);

#endif
