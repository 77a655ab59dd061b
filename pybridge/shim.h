/* The boundary between Go and the interpreter: a few calls, and flat data (record.h). Go sees this header; Python.h
 * stays behind it.
 *
 * Go owns records and their text, and lends a record to Python from fapws_flush until its last part is published.
 * Python owns parts until they are published, then the event loop, until Handler.Release (doc.go has the table).
 * Records and parts cross as numbers, because cgo examines every pointer that it passes. Options and texts are borrowed
 * for the call, unless a comment says "copied"; objects in options live as long as the process. */
#ifndef FAPWS_SHIM_H
#define FAPWS_SHIM_H

#include "record.h"

typedef struct {
  const char *executable; /* the interpreter that decides on prefix and virtual environment; NULL: Python finds it */
  const char *home;       /* prefix of the standard library; NULL: Python finds it */
  const char *script;     /* as on the command line: sys.argv[0] */
  const char *contrib;    /* directory of package fapws, or NULL */
  int argc;
  const char *const *argv; /* arguments after the script */
  int folders;
  const char *const *path; /* directories that go first on sys.path */
} fapws_start_options;

/* --- interp.c: on the thread that is to be Python's main thread ------------ */

/* Initialises Python. Returns 0, or -1 with *why pointing to static text. */
int fapws_start(const fapws_start_options *o, const char **why);
/* Runs the file path (absolute) as __main__. Returns 0, or -1 if it raised or called sys.exit: its traceback has been
 * written, *code is the exit status, and *line, which the caller frees, is one line about it, or NULL. */
int fapws_run_script(const char *path, int *code, char **line);
/* Must be called after code of the user has been run or imported. Unless ok it failed, with the exception raised, or,
 * if that is NULL, with the current one; then returns -1, as fapws_run_script does. line may be NULL; name is the
 * application in *line. GIL held. */
int fapws_script_ended(int ok, void *raised, const char *name, int *code, char **line);
/* A str of bytes from the operating system, a new reference, or NULL. GIL held. */
void *fapws_text(const char *bytes);
/* The class Environ in globals, if it is a subclass of dict, and the class Start_response, if it is a subclass of the
 * built-in one. A new reference, or NULL. GIL held. */
void *fapws_environ_class(void *globals);
void *fapws_start_class(void *globals);
/* The version of the headers, "3.11.2", free-threaded "3.14.0t", and the file of libpython, for messages. Any thread.
 */
const char *fapws_python_version(void);
const char *fapws_library(void);
/* Gives up the GIL after loading; the calling thread stays Python's main thread. */
void fapws_release_gil(void);
/* Takes it again, on the same thread. */
void fapws_take_gil(void);
/* Runs atexit and finalises. Same thread. Returns Py_FinalizeEx's result. */
int fapws_finish(void);
/* Runs atexit functions on any thread, if the main thread is stuck. */
void fapws_run_atexit(void);

/* --- pool.c ---------------------------------------------------------------- */

/* The target of a mount. Objects (PyObject *) live as long as the process. */
typedef struct {
  int kind;     /* FAPWS_WSGI ... */
  int relative; /* ASGI: path does not include root_path, for Starlette before 0.33 */
  void *callable;
  const char *place; /* FAPWS_WEBSOCKET: its name in all processes; copied */
  void *environ;     /* class of its environ, or NULL for dict */
  void *start;       /* class of its start_response, or NULL for the built-in one */
} fapws_target;

typedef struct {
  int threads;          /* maximum number of threads; 0: inline */
  int cpus;             /* on which they may run */
  int debug;            /* 1 and more: browsers get tracebacks */
  int stamped;          /* stderr is an error log: lines have a date, a level and a client */
  int send_fields;      /* which of FAPWS_SENDFILE and FAPWS_ACCEL are obeyed */
  int multiprocess;     /* other processes serve the same application */
  int max_event;        /* maximum bytes of an event of a channel, as it is sent */
  const char *software; /* SERVER_SOFTWARE; NULL: the name alone */
  int mounts;
  const fapws_target *targets; /* one per mount; copied */
  const char *const *names;    /* their names in log lines */
} fapws_pool_options;

/* Makes the pool. GIL held, main thread. Returns the shared counters, or NULL with errno or an exception. */
fapws_shared *fapws_pool_start(const fapws_pool_options *o);
/* Whether several threads run Python at the same time. After fapws_pool_start; any thread. */
int fapws_pool_is_parallel(void);
/* Sets how to wake the event loop (eventloop.Waker). Once, before the first fapws_flush. */
void fapws_pool_attach(int signals, int event, int32_t *state);
/* Has the chain of records that begins at first (0: none) run, and records with inputs of fapws_deliver; in inline mode
 * runs all queued records. Event loop only. Returns as fapws_serve; in threads mode -1, without waiting for the GIL. */
int fapws_flush(uintptr_t first);
/* Starts requests that waited because of FAPWS_UNSEEN_MAX. Event loop only. */
void fapws_loop_has_seen(void);
/* Thread 0: runs jobs until fapws_pool_stop (-1) or until a signal handler of
 * the application calls sys.exit (its status). GIL not held. */
int fapws_serve(void);
/* Any thread. Ends fapws_serve; waits up to ms for the other threads.
 * Returns how many did not end. */
int fapws_pool_stop(int ms);
/* In inline mode, before fapws_finish: runs the queued jobs, such as on_close of WebSockets that have closed while the
 * server stopped. Later turns, which the event loop may still have, run nothing. Event loop only, without the GIL. */
void fapws_inline_finish(void);
/* Delivers an input, which belongs to the Python side from now on. Nothing runs before fapws_flush. Event loop only. */
void fapws_deliver(uintptr_t rec, uintptr_t input);
/* Any thread: n bytes of rec, not those of its last part, were released. */
void fapws_acked(uintptr_t rec, int64_t n);
/* The client of rec has disconnected. Any thread. */
void fapws_cancel(fapws_record *rec);
/* Any thread: frees a part that is not part0, with everything it owns. */
void fapws_part_free(uintptr_t part);
/* Wakes the event loop unless a wake-up is under way. Any thread. */
void fapws_wake_loop(void);
/* Has thread 0 run the application's signal handlers. Event loop only. */
void fapws_signalled(void);

/* --- async.c --------------------------------------------------------------- */

/* Starts the asyncio thread, and the lifespan of each of n applications. lifespan is "auto", "on" or "off", loop
 * "auto", "asyncio" or "uvloop". GIL held, on the thread that loaded the application. Returns NULL when all have
 * started, or an error for the user, malloc; "" if that was written already. */
char *fapws_async_start(const char *loop, const char *lifespan, void *const *applications, int n);
/* Any thread, without the GIL: ends tasks after at most ms, then lifespans, then the thread, for which it waits some
 * seconds more, or one second if the thread was given up and has made no progress since. Returns whether there is no
 * thread any more. */
int fapws_async_stop(int ms);

#endif
