/* The layer core_ of the C code: the interpreter, the threads that run Python, the queues of core_record and core_part,
 * heads of responses, and error reports.
 *
 * doc.go describes the four layers of the C code. A header has a section for each .c file. The section declares the
 * functions and variables of the file that are used in other files (headers_test.go). The rules in core_python.h about
 * the GIL, errors and references apply to all headers. */
#pragma once

#include "core_pool.h"

#include <sys/stat.h>
#include <time.h>

/* =============================================================================
 * The interpreter.
 *
 * The interpreter, its types and module _fapws live as long as the process. The only Python objects to which Go holds
 * references are the objects of mounts, which Go never releases. */

/* --- core_interp.c --------------------------------------------------------------- */

/* Implements live_start_python. The function make_module creates the module _fapws. */
int core_start(const core_start_options *o, PyObject *(*make_module)(void), const char **why);
/* Implements live_run_python. */
int core_run_python(const core_start_options *o, PyObject *(*make_module)(void), const char **why);
/* If the current exception is SystemExit, clears the exception and returns its exit status. Otherwise returns -1. */
int core_system_exit(void);

/* --- core_archive.c -------------------------------------------------------------- */

/* Methods of module _fapws for the archive of package fapws. */
extern PyMethodDef core_archive_methods[];
/* Installs the import finder (contrib/fapws/_finder.py). The package is in folder, or in the archive if folder is
 * NULL; loop is the type of asyncio's event loop; bundle is core_start_options.bundle. */
int core_install_finder(const char *folder, const char *loop, const char *bundle);

/* --- core_signals.c -------------------------------------------------------------- */

extern pthread_t core_main_thread;
/* Makes Python import _signal before site and sitecustomize run; must be called before Python is initialised. */
void core_import_signals_early(void);
/* Implements _fapws.signals_on_stack(), which makes signal handlers of libraries run on the alternate stack. */
PyObject *core_signals_on_stack(PyObject *module, PyObject *none);
/* Runs the application's signal handlers for signals that have arrived; must be called on Python's main thread. */
void core_check_signals(void);
/* Returns whether value is a SystemExit or KeyboardInterrupt that a signal handler of the application has raised. If
 * so, also stops the server. */
int core_is_exit_by_signal(PyObject *value);
/* Returns whether the current exception is a SystemExit or KeyboardInterrupt after SIGTERM or SIGINT has arrived. */
int core_ends_by_stop(void);
/* Makes Python write to the descriptor fd when a signal arrives. The write wakes the event loop. */
void core_watch_signals(int fd);

/* --- core_imports.c -------------------------------------------------------------- */

/* Implements _fapws.watch_imports(names, check), which makes check(name, globals, fromlist, level) run before each
 * import of a module whose top-level name is in the set names. globals are those of the importing module, or the name
 * of its package. An exception of check is that of the import. The function can be called once. */
PyObject *core_watch_imports(PyObject *module, PyObject *args);

/* --- core_stdio.c ---------------------------------------------------------------- */

/* Replaces sys.stdout or sys.stderr by a stream on which no write fails. */
int core_stdio_init(const char *name, int fd);
/* Removes the last n bytes of a regular file, after a write that was incomplete. Returns whether the bytes were
 * removed; can be called on any thread, without the GIL. */
int core_take_back(int fd, size_t n);
void core_stdio_flush(void);
/* Writes to standard error. If that fails, counts the lost lines, and a later write reports their number. No GIL is
 * needed. */
void core_write_stderr(const char *text, size_t n);
void core_stdio_forked(void);

/* --- core_fork.c ----------------------------------------------------------------- */

/* Whether this process is a child of os.fork(). */
extern volatile int core_forked;
int core_fork_init(void);
void core_child_exit(void) __attribute__((noreturn));
/* Ends the current process if it is a child of os.fork(). */
static inline void core_exit_child(void) {
  if (UNLIKELY(core_forked)) core_child_exit();
}
/* Returns 0, or -1 with RuntimeError in a child of os.fork(), which cannot use the server's WebSockets. */
int core_check_parent(void);

/* =============================================================================
 * Stacks of threads, and error reports. All functions need the GIL, because core_thread.current changes under the GIL.
 *
 * The caller owns the texts in a core_snapshot. */

/* --- core_stack.c ------------------------------------------------------------ */

extern PyObject *core_timeout;
extern PyObject *core_client_disconnected; /* fapws.ClientDisconnected, a BrokenPipeError */
typedef struct {
  core_record *rec;
  uint32_t serial;
  unsigned long jobs;  /* number of the job that must be running (core_jobs_of); 0 means any job */
  core_snapshot *out;  /* borrowed */
  core_thread *thread; /* thread that runs the record, or NULL if no thread runs it */
  int cancelled;
} core_overdue;
/* Calls find(o) while no other thread runs Python, and then raises fapws.Timeout in o->thread. The function find sets
 * o->thread and *o->out. Takes the GIL. */
void core_raise_in_thread(core_overdue *o, void (*find)(void *));
/* Withdraws a fapws.Timeout that was raised in the thread t, if the overdue job has ended in the meantime. */
void core_withdraw_timeout(core_thread *t);
/* Reserves a signal that interrupts overdue handlers. Called in inline mode, on Python's main thread. */
void core_take_timeout_signal(void);
/* Writes the file, the line and the function of a frame, each followed by a NUL. */
void core_write_frame(FILE *out, PyObject *frame);
/* Calls core_write_frame for all frames of a thread, beginning with the innermost frame. */
void core_write_stack(FILE *out, PyThreadState *state);
/* Fills in a snapshot for each thread of the pool that runs a job, at most max snapshots, and returns their number.
 * Must be called through core_alone. */
int core_sample_threads(core_snapshot *out, int max);
/* Fills in a snapshot except for its stack, and returns a file, or NULL on failure. The caller must write the stack to
 * the file, and then close the file. */
FILE *core_begin_snapshot(core_snapshot *out, core_record *rec, int thread, unsigned long jobs);
/* Fills in a snapshot of the job that the thread t runs. The caller must free out->stack. */
void core_take_snapshot(core_thread *t, core_snapshot *out);
int core_pool_state_of(core_record *rec, int *thread);

/* Implements _fapws.stacks(), which returns the stacks of all threads. The stacks are written without the GIL. */
PyObject *core_stacks(PyObject *module, PyObject *none);

int core_dump_init(void);
/* Disables core_dump_stacks; must be called before Python ends, because Python then frees the data of faulthandler's
 * signal handler. */
void core_dump_end(void);

/* --- core_error.c ----------------------------------------------------------- */

/* A text that is an argument or result of a function; the receiver must not keep the pointer. */
typedef struct {
  const char *text;
  uint32_t len;
} core_bytes;
/* Returns the request ID or, if the request has none, the short ID of a failed request, which http1.ShortID returns for
 * the same number. The parameter id is memory for a short ID. No GIL is needed. */
#define CORE_SHORT_ID 8
core_bytes core_name_request(const core_record *rec, char id[CORE_SHORT_ID]);
/* Fetches the current exception, as PyErr_Fetch does, then normalizes it and sets its traceback. If no exception is
 * set, sets all three objects to NULL. */
void core_fetch_exception(PyObject **type, PyObject **value, PyObject **tb);
/* Whether value is a fapws.HTTPError, which handlers raise to send a response. Sets no exception. */
int core_is_http_error(PyObject *value);
PyObject *core_request_line(const core_record *rec);
/* Stores the local time in *tm, and returns its offset from UTC in seconds. No GIL is needed. */
int core_local_time(time_t now, struct tm *tm);
/* The format of lines on stderr: CORE_PLAIN to CORE_OBJECT. */
extern int core_look;
/* Logs an exception that the application has raised after its response was complete, when the record no longer exists.
 * The arguments replace the record: number of the error log, name of the handler, beginning of the request, and address
 * of the client. */
void core_report_after(int log, PyObject *name, const char *line, int line_len, const char *addr, int addr_len);
/* Logs the current exception in the error log of rec, or on stderr if rec is NULL. The parameter what names the source
 * of the exception, such as "a signal handler". */
void core_report(const char *what, core_record *rec);
/* Writes a line about rec to its error log. The line consists of the parameter what, such as "error in", the name of
 * the handler, and the parameter detail. */
void core_report_line(core_record *rec, const char *level, const char *what, const char *detail);
void core_log(core_record *rec, const char *format, ...);
PyObject *core_log_method(PyObject *module, PyObject *args);
PyObject *core_errorlog_method(PyObject *module, PyObject *args);

/* =============================================================================
 * Messages of the application to the server, in addition to its responses. Functions with the parameters (module, args)
 * are methods of module _fapws (live_module.c).
 *
 * Messages are copied into one buffer, which core_messages.c owns until the event loop takes the buffer
 * (core_messages). Each file of this section has a separate mutex. A thread holds the mutex only briefly, and never
 * while the thread waits for the GIL. */

/* --- core_messages.c: any thread, without the GIL -------------------------------- */

/* Maximum size of all messages for error logs that wait for the event loop, in bytes. */
#define CORE_ERRORLOG_WAITS (4 << 20)
/* Copies a message of n texts into the buffer, and wakes the event loop. Returns 1, or 0 if memory is exhausted or the
 * maximum size is reached. */
int core_try_enqueue(uint8_t kind, const core_bytes *texts, int n);
/* The same as core_try_enqueue, but must be called with the GIL, and returns 0, or -1 with MemoryError. */
int core_enqueue_message(uint8_t kind, const core_bytes *texts, int n);

#define CORE_EVENT_COST 64 /* bytes counted for each event in the queue, in addition to its texts */

/* Sends an event of n texts to the event loop. Returns True if the event was accepted. If the queue is full, returns
 * False if the caller should retry, or None if a retry cannot succeed, because only the current thread could empty the
 * queue. */
PyObject *core_publish_event(uint8_t kind, const core_bytes *texts, int n);

/* --- core_object.c: any thread, without the GIL; async-signal-safe ---------------- */

/* The texts in an error message that is written as a JSON object, in UTF-8. An empty text becomes null. The last three
 * texts, from CORE_TYPE on, describe an exception. */
enum {
  CORE_MESSAGE,
  CORE_CLIENT,
  CORE_USER,
  CORE_HOST,
  CORE_REQUEST,
  CORE_TRACE,
  CORE_METHOD,
  CORE_PATH,
  CORE_HANDLER,
  CORE_TYPE,
  CORE_REASON,
  CORE_TRACEBACK,
  CORE_TEXTS
};
/* Number of bytes that is sufficient for an object without texts. */
#define CORE_OBJECT_LEAST 1024
size_t core_object_size(const core_bytes *texts);
/* Writes an object with a line feed into buf, and returns its length. The parameter size must be at least
 * CORE_OBJECT_LEAST. If it is less than the result of core_object_size, texts are cut. */
size_t core_object(char *buf, size_t size, const char *level, const core_bytes *texts);

/* --- core_errorlog.c ------------------------------------------------------------- */

/* Writes a str, which must consist of whole lines, to the error log with this number. On failure, an exception is
 * set. */
void core_errorlog_say(int number, PyObject *text);
/* Returns a borrowed reference to the object that is wsgi.errors for an error log. If no error log has this number,
 * returns NULL without an exception. */
PyObject *core_errorlog_stream(int number);
int core_errorlog_init(void);
void core_errorlog_forked(void);

/* =============================================================================
 * Requests and responses: core_cache.c, core_file.c, core_fields.c, core_head.c and core_hints.c.
 *
 * WSGI and ASGI share these functions. They must be called with the GIL, on the thread that runs the record, unless the
 * comment of a function says otherwise. */

/* --- core_cache.c ---------------------------------------------------------------- */

typedef struct core_cached_head core_cached_head;
#define CORE_HEAD_SLOTS 16
typedef PyObject *core_dict_of_fields(core_record *rec);
/* Returns a dict for the head of rec. If a recent request had the same head, copies a dict from the cache slots.
 * Otherwise calls make, which creates the dict, and put_line, which adds the values of the request line. Without a
 * cache, slots is NULL. */
PyObject *core_dict_of_head(core_cached_head **slots, core_record *rec, core_dict_of_fields *make,
                            int (*put_line)(PyObject *, const core_record *));
void core_forget_heads(core_cached_head **slots);

/* --- core_file.c ----------------------------------------------------------------- */

/* Reads n bytes of a file at the offset at, and releases the GIL meanwhile. The file must contain all n bytes. */
PyObject *core_read_spool(int file, int64_t at, int64_t n);
/* Whether a regular file contains as many bytes as fstat reports, unlike files of /proc and /sys. */
int core_has_size(int fd, const struct stat *st);

/* --- core_fields.c --------------------------------------------------------------- */

/* Status and header fields of a response. For WSGI, also the object start_response. For ASGI, a member of
 * asgi_exchange. */
typedef struct {
  PyObject_HEAD vectorcallfunc vectorcall;
  core_record *rec; /* borrowed; NULL outside a request */
  PyObject *sink;   /* owned: function to which a process of --fork passes the arguments of write(), otherwise NULL */
  int status;
  PyObject *reason; /* owned: status with its reason phrase, a str, or NULL */
  /* The header fields in the form in which they are sent; allocated by malloc, freed with the object. */
  char *buf;
  size_t len, cap;
  PyObject *list; /* owned: the list response_headers, or NULL before the application has read that attribute */
  int64_t length; /* Content-Length, or -1 without this field */
  uint8_t called, sent, has_type, has_date, has_server, close_conn;
  uint8_t sends; /* CORE_SENDFILE and CORE_ACCEL, if buf contains these fields */
  uint8_t joins;
  uint8_t ends;     /* atomic: nonzero makes write() raise RuntimeError, except on the thread of the record */
  uint32_t writers; /* atomic: number of threads in write(), except the thread of the record */
} core_response;

/* Returns the latin-1 bytes of the str o, which are valid as long as o lives, or NULL with an exception. The parameter
 * what is the beginning of the exception's message. */
const char *core_latin1_text(PyObject *o, const char *what, Py_ssize_t *len);
/* Whether the n bytes of s contain no control characters except tabs (RFC 9110 §5.5). */
int core_clean_value(const char *s, Py_ssize_t n);
/* Validate a field, or all fields of an iterable of pairs (name, value), and append them to s->buf. */
int core_add_field(core_response *s, PyObject *name, PyObject *value);
int core_add_fields(core_response *s, PyObject *headers);
int core_add_byte_fields(core_response *s, PyObject *headers);
/* Like core_add_byte_fields, for trailers; also raises ValueError for a field that is not permitted as a trailer. */
int core_add_trailers(core_response *s, PyObject *headers);
void core_forget_fields(core_response *s);
/* Frees the cache of header fields of the current thread, which is about to end. */
void core_forget_lines(void);
int core_take_sent(core_response *s, core_part *p);
int core_take_channel(core_response *s, core_part *p);
void core_forget_channel(core_response *s);
/* If the application has read response_headers, replaces the fields in buf by those in s->list. */
int core_settle_fields(core_response *s);

/* --- core_head.c: the heads of responses, in rec->part0 ------------------------------------ */

int core_sends_file(core_record *rec);
/* Writes the head of a response with the status and the fields of s, and returns the part0 of rec. The parameter whole
 * is the length of the body in bytes, or -1 if the length is unknown. The parameter type determines the Content-Type
 * (CORE_TYPE_...) if s lacks this field. */
core_part *core_write_head(core_record *rec, core_response *s, int64_t whole, int type);
/* Writes the head that accepts a WebSocket, and returns the part0 of rec. */
core_part *core_write_accept(core_record *rec, core_response *s, const char *subprotocol, size_t n);
/* Writes a whole response. The parameter headers is a list of pairs of str, or NULL. */
void core_write_page(core_record *rec, int status, PyObject *headers, const char *page, size_t n);
/* The same limits as http1.MaxTrailers and http1.MaxTrailerBytes. */
#define CORE_TRAILERS_MAX 100
#define CORE_TRAILERS_BYTES (16 << 10)
/* Whether a token is permitted as the name of a trailer, as in http1.ValidTrailer; can be called with or without the
 * GIL. */
int core_valid_trailer(const char *name, size_t n);

/* --- core_hints.c ---------------------------------------------------------------- */

/* Adds a value of the field Link to *part, which is created if necessary. The value is ignored if the request already
 * has too many hints, if the response has begun, or if the client does not understand hints. */
int core_add_hint(core_record *rec, core_part **part, const char *value, Py_ssize_t n);
/* Sends the part p with early hints at once, unless p is NULL. */
void core_send_hints(core_thread *t, core_record *rec, core_part *p);

/* =============================================================================
 * One-line reports of a crash in C code of the application. The functions allocate no memory and take no lock. */

/* --- core_crash.c ------------------------------------------------------------ */

/* Removes the signal handlers of core_crash.c in a child of fork(); async-signal-safe. */
void core_crash_forked(void);
/* Writes "fapws: " and the three texts on a new line, and exits with the status of a crash; async-signal-safe. */
void core_crash_exit(const char *text, const char *more, const char *rest) __attribute__((noreturn));
