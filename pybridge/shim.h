/* The boundary between Go and the interpreter: a few calls, and flat data (record.h). Go sees this header; Python.h stays
 * behind it.
 *
 * Go owns records and their text, and lends a record to Python from fapws_flush until its last part is published. Python
 * owns parts until they are published, then the event loop, until Handler.Release (doc.go has the table). Records and
 * parts cross as numbers, because cgo examines every pointer that it passes. Options and texts are borrowed for the call,
 * unless a comment says "copied"; objects in options live as long as the process. */
#ifndef FAPWS_SHIM_H
#define FAPWS_SHIM_H

#include "record.h"

typedef struct {
  const char *executable; /* the interpreter whose prefix and venv count; NULL: found by Python */
  const char *home;       /* prefix of the standard library; NULL: found by Python */
  const char *script;     /* as on the command line: sys.argv[0] */
  const char *contrib;    /* folder that holds package fapws, or NULL */
  int argc;
  const char *const *argv; /* arguments after the script */
  int folders;
  const char *const *path; /* folders that go first on sys.path */
} fapws_start_options;

/* --- interp.c: on the thread that is to be Python's main thread ------------ */

/* Initialises Python. Returns 0, or -1 with *why pointing to static text. */
int fapws_start(const fapws_start_options *o, const char **why);
/* Runs the file called path (absolute) as __main__. Returns 0, or -1 when it
 * raised or called sys.exit: its traceback is out and *code is the exit status, and
 * *line, which the caller frees, one line about it, or NULL. */
int fapws_run_script(const char *path, int *code, char **line);
/* What follows when code of the user has been run or imported. It failed unless
 * ok: with raised, an exception object, or, when that is NULL, with the current
 * exception. Then returns -1, as fapws_run_script does; line may be NULL, and name is the
 * name of the application in *line. GIL held. */
int fapws_script_ended(int ok, void *raised, const char *name, int *code, char **line);
/* A str of bytes from the operating system, or NULL. GIL held. */
void *fapws_text(const char *bytes);
/* The class Environ of a script, whose globals are a dict, if it is a subclass of
 * dict; the class Start_response likewise. NULL: it has none of its own. The
 * reference is new. GIL held. */
void *fapws_environ_class(void *globals);
void *fapws_start_class(void *globals);
/* The version of the headers, "3.11.2", and the file of libpython, for messages. Any thread. */
const char *fapws_python_version(void);
const char *fapws_library(void);
/* Gives up the GIL after loading; the calling thread stays Python's main thread. */
void fapws_release_gil(void);
/* Takes it again, on the same thread. */
void fapws_take_gil(void);
/* Runs atexit and finalises. Same thread. Returns Py_FinalizeEx's result. */
int fapws_finish(void);
/* Runs atexit functions on any thread, for when the main one is stuck. */
void fapws_run_atexit(void);

/* --- pool.c ---------------------------------------------------------------- */

/* The target of a mount. Objects (PyObject *) live as long as the process. */
typedef struct {
  int kind;      /* FAPWS_WSGI ... */
  int relative;  /* ASGI: path is what follows root_path, as Starlette before 0.33 needs it */
  void *callable;
  const char *place; /* FAPWS_WEBSOCKET: what it is called in all processes; copied */
  void *environ; /* class of its environ, or NULL for dict */
  void *start;   /* class of its start_response, or NULL for the built-in one */
} fapws_target;

typedef struct {
  int threads;      /* most threads; 0: inline */
  int debug;        /* 1 and more: traceback page for the browser */
  int stamped;      /* stderr is an error log: lines have a date, a level and a client */
  int send_fields;  /* which of FAPWS_SENDFILE and FAPWS_ACCEL are obeyed */
  int multiprocess; /* other processes serve the same application */
  int run_once;     /* the process ends with the request */
  int max_event;    /* most bytes of an event of a channel as it is sent */
  const char *software; /* SERVER_SOFTWARE; NULL: the name alone */
  int mounts;
  const fapws_target *targets; /* one per mount; copied */
  const char *const *names; /* what log lines call them */
} fapws_pool_options;

/* Makes the pool. GIL held, main thread. Returns the shared counters. */
fapws_shared *fapws_pool_start(const fapws_pool_options *o);
/* Sets what wakes the loop (exchange.Waker). Once, before the first submit. */
void fapws_pool_attach(int signals, int event, int32_t *state);
/* Has the chain of records that begins at first (0: none) run, what fapws_deliver was given, and, in inline mode, what
 * waits. Loop only. Returns as fapws_serve; in threads mode -1, without waiting for the GIL. */
int fapws_flush(uintptr_t first);
/* Has requests started that FAPWS_UNSEEN_MAX has kept waiting. Loop only. */
void fapws_loop_has_seen(void);
/* Thread 0: runs jobs until fapws_pool_stop (-1) or until a signal handler of
 * the application calls sys.exit (its status). GIL not held. */
int fapws_serve(void);
/* Any thread. Ends fapws_serve; waits up to ms for the other threads.
 * Returns how many did not end. */
int fapws_pool_stop(int ms);
/* Hands over an input, which belongs to the Python side from now on. Nothing runs
 * before fapws_flush. Loop only. */
void fapws_deliver(uintptr_t rec, uintptr_t input);
/* Any thread: n bytes of rec, not those of its last part, were released. */
void fapws_acked(uintptr_t rec, int64_t n);
/* The client of rec has left. Any thread. */
void fapws_cancel(fapws_record *rec);
/* Any thread: gives up a part that is not part0, and what it owns. */
void fapws_part_free(uintptr_t part);
/* Wakes the loop unless a wake-up is under way. Any thread. */
void fapws_wake_loop(void);
/* A signal for the application arrived; thread 0 shall look. Loop only. */
void fapws_signalled(void);

/* --- async.c --------------------------------------------------------------- */

/* Starts the asyncio thread, and the lifespan of each of n applications. lifespan
 * is "auto", "on" or "off", loop "auto", "asyncio" or "uvloop". GIL held, on the
 * thread that loaded the application. Returns NULL when all have started, or what is wrong: text
 * for the user, malloc; "" when everything has been said. */
char *fapws_async_start(const char *loop, const char *lifespan, void *const *applications, int n);
/* Any thread: ends tasks after ms at most, then lifespans, then the thread, for which it waits some
 * seconds more; one that was given up, and has not moved since, has one second. Returns whether
 * it has ended; 1 if there is none. Without the GIL. */
int fapws_async_stop(int ms);

#endif
