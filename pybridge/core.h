/* core_: the interpreter, the threads that run Python, the queues of records and parts, and error reports.
 *
 * The C has four parts, and calls go down only: live_ > asgi_ > wsgi_ > core_. Each part has one header, which includes
 * the header of the part below. core.h also includes core_pool.h, which includes core_python.h. core_ calls the parts
 * above it through tables of functions (core_mode, core_kind) and pointers in core_the_pool. tables_test.go checks
 * this.
 *
 * A header has a section for each .c file, with the functions and variables of this file that other files use
 * (headers_test.go). The rules in core_python.h about the GIL, errors and references hold in all headers. */
#pragma once

#include "core_pool.h"

/* =============================================================================
 * The interpreter.
 *
 * The interpreter, its types and module _fapws live as long as the process. Go holds references to the objects of
 * mounts only, and never releases them. */

/* --- core_interp.c --------------------------------------------------------------- */

/* Implements live_start_python. make_module makes the module _fapws. */
int core_start(const core_start_options *o, PyObject *(*make_module)(void), const char **why);
/* Returns the exit status of the current exception and clears it if it is SystemExit, otherwise -1. */
int core_system_exit(void);

/* --- core_signals.c -------------------------------------------------------------- */

extern pthread_t core_main_thread;
/* Imports _signal before site and sitecustomize run. Must be called before Python is initialised. */
void core_import_signals_early(void);
/* signals_on_stack(), a method of module _fapws: makes signal handlers of libraries run on the alternate stack. */
PyObject *core_signals_on_stack(PyObject *module, PyObject *none);
/* Runs the application's signal handlers; main thread only. */
void core_check_signals(void);
/* Returns whether value is a SystemExit or KeyboardInterrupt that a signal handler of the application has raised. In
 * this case, also stops the server. */
int core_is_exit_by_signal(PyObject *value);
/* Returns whether the current exception is the answer of the application's handler for SIGTERM or SIGINT. */
int core_ends_by_stop(void);
/* Makes signals of the application write to fd, which wakes the event loop. */
void core_watch_signals(int fd);

/* --- core_stdio.c ---------------------------------------------------------------- */

/* Replaces sys.stdout or sys.stderr by a stream on which no write fails. */
int core_stdio_init(const char *name, int fd);
/* Removes the last n bytes of a regular file, an incomplete write. Returns whether the bytes were removed. Any thread,
 * without the GIL. */
int core_take_back(int fd, size_t n);
void core_stdio_flush(void);
/* Writes to standard error. If that fails, counts the lost lines and reports their number later. Any thread, without
 * the GIL. */
void core_write_stderr(const char *text, size_t n);

/* --- core_fork.c ----------------------------------------------------------------- */

/* Whether this process is a child of os.fork(). */
extern volatile int core_forked;
int core_fork_init(void);
void core_child_exit(void) __attribute__((noreturn));
/* Ends the process if it is a child of os.fork(). */
static inline void core_exit_child(void) {
  if (UNLIKELY(core_forked)) core_child_exit();
}
/* Returns 0, or -1 with RuntimeError in a child of os.fork(), which cannot use the server's WebSockets. */
int core_check_parent(void);

/* =============================================================================
 * Stacks of threads, and error reports. With the GIL, under which core_thread.current does not
 * change.
 *
 * Texts of snapshots belong to the caller (core_snapshot). */

/* --- core_stack.c ------------------------------------------------------------ */

extern PyObject *core_timeout;
extern PyObject *core_client_disconnected; /* fapws.ClientDisconnected, a BrokenPipeError */
typedef struct {
  core_record *rec;
  uint32_t serial;
  unsigned long jobs;  /* number of the job; 0 means any job */
  core_snapshot *out;  /* borrowed */
  core_thread *thread; /* thread that runs the record, or NULL if none */
  int cancelled;
} core_overdue;
/* Calls find(o) in core_alone and raises fapws.Timeout in o->thread. find fills in *o->out. Takes the GIL. */
void core_raise_in_thread(core_overdue *o, void (*find)(void *));
/* Withdraws a Timeout that was raised in t for a job that has ended. */
void core_withdraw_timeout(core_thread *t);
/* In inline mode, on the main thread: reserves a signal that interrupts overdue handlers. */
void core_take_timeout_signal(void);
/* Writes file, line and function of a frame, each with a NUL. */
void core_write_frame(FILE *out, PyObject *frame);
/* Does the same for all frames of a thread, the innermost first. */
void core_write_stack(FILE *out, PyThreadState *state);
/* Fills in the jobs of the pool's threads, at most max, and returns their number. Called in core_alone. */
int core_sample_threads(core_snapshot *out, int max);
/* Fills in a snapshot without its stack. The caller writes the stack to the returned file and closes the file. NULL on
 * failure. */
FILE *core_begin_snapshot(core_snapshot *out, core_record *rec, int thread, unsigned long jobs);
/* Fills in the job of t; the caller frees out->stack. */
void core_take_snapshot(core_thread *t, core_snapshot *out);
/* Implements core_mode.state_of for the pool. */
int core_pool_state_of(core_record *rec, int *thread);

/* stacks(), a method of module _fapws: the stacks of all threads, without the GIL. */
PyObject *core_stacks(PyObject *module, PyObject *none);

int core_dump_init(void);
/* Must be called before Python ends and frees the data of faulthandler's handler. */
void core_dump_end(void);

/* --- core_error.c ----------------------------------------------------------- */

/* PyErr_Fetch with a normalized exception that has its traceback. All are NULL if no exception is set. */
void core_fetch_exception(PyObject **type, PyObject **value, PyObject **tb);
/* Whether value is an fapws.HTTPError, which is a response. Sets no exception. */
int core_is_http_error(PyObject *value);
PyObject *core_request_line(const core_record *rec);
/* Logs the current exception of an application whose response is complete: with the number of its error log, the
 * beginning of the request, and the client's address. */
void core_report_after(int log, PyObject *name, const char *line, int line_len, const char *addr, int addr_len);
/* Logs the current exception in the error log of rec, or on stderr if rec is NULL. what names the place where the
 * exception was raised. */
void core_report(const char *what, core_record *rec);
/* Writes a line about rec to its error log: what, such as "error in", the name of the handler, and detail. */
void core_report_line(core_record *rec, const char *level, const char *what, const char *detail);
void core_log(core_record *rec, const char *format, ...);
PyObject *core_log_line(PyObject *module, PyObject *args);

/* =============================================================================
 * Messages of the application to the server, in addition to its responses. Functions with (module, args) are
 * methods of module _fapws (live_module.c).
 *
 * Messages are copied into one buffer, which belongs to core_messages.c until the event loop takes it (core_messages).
 * Each file has a separate mutex, which is held briefly and never while a thread waits for the GIL. */

/* --- core_messages.c: any thread, without the GIL -------------------------------- */

/* A text, borrowed for a call. */
typedef struct {
  const char *text;
  uint32_t len;
} core_bytes;
/* Maximum bytes of messages for error logs that wait for the event loop. */
#define CORE_ERRORLOG_WAITS (4 << 20)
/* Copies a message of n texts, and wakes the event loop. Returns 0 without memory, or if the maximum is reached. */
int core_try_enqueue(uint8_t kind, const core_bytes *texts, int n);
/* Does the same with the GIL. Returns -1 with an exception. */
int core_enqueue_message(uint8_t kind, const core_bytes *texts, int n);

#define CORE_EVENT_COST 64 /* bytes that a waiting event counts in addition to its texts */

/* Sends an event of n texts to the event loop. Returns True if it was accepted, False if the queue is full and the
 * caller should retry, None if the queue is full and only this thread can drain it. A new reference, or NULL with an
 * exception. */
PyObject *core_publish_event(uint8_t kind, const core_bytes *texts, int n);

/* --- core_errorlog.c ------------------------------------------------------------- */

/* Writes a str, of whole lines, to an error log. Clears no exception and may set one. */
void core_errorlog_say(int number, PyObject *text);
PyObject *core_errorlog_method(PyObject *module, PyObject *args);
/* Returns wsgi.errors for requests with the error log of this number: borrowed, or NULL without an exception. */
PyObject *core_errorlog_stream(int number);
int core_errorlog_init(void);
/* Called in every forked child. */
void core_errorlog_forked(void);

/* =============================================================================
 * One-line reports about a crash or exit of the process in C code of the application. Texts are borrowed for the call;
 * the functions allocate no memory and take no lock. */

/* --- core_crash.c ------------------------------------------------------------ */

/* Removes the handlers in a child of fork(). Async-signal-safe. */
void core_crash_forked(void);
/* Writes "fapws: " and three texts as one new line, and exits with the status of a crash. Async-signal-safe. */
void core_crash_exit(const char *text, const char *more, const char *rest) __attribute__((noreturn));
