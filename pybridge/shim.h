/* The boundary between Go and C: flat data that both sides use, and the calls from Go. Go sees this header; Python.h
 * stays behind it. A function has the prefix of the part of the C that it belongs to (core.h).
 *
 * Go owns records and their text, and lends a record to Python from core_flush until its last part is published.
 * Python owns parts until they are published, then the event loop, until Handler.Release (doc.go has the table).
 * Records and parts cross as numbers, because cgo examines every pointer that it passes. Options and texts are borrowed
 * for the call, unless a comment says "copied"; objects in options live as long as the process. */
#ifndef FAPWS_SHIM_H
#define FAPWS_SHIM_H

#include <stddef.h>
#include <stdint.h>

/* =============================================================================
 * A piece of a response, from a Python thread to the event loop. Go sees this header.
 *
 * A thread with the GIL makes a part (core_output.c); once published it belongs to the event loop, and Handler.Release
 * gives it up, on any thread. It owns buf, file and a reference to owner. The first part of a response is record.part0,
 * which lives as long as its record. */

/* Same layout as http1.Span: a range of bytes in a buffer. */
typedef struct {
  uint32_t off, len;
} core_span;

/* Media types that the event loop adds (record.go). */
enum { CORE_TYPE_SET, CORE_TYPE_HTML, CORE_TYPE_BINARY, CORE_TYPE_JSON, CORE_TYPE_BY_NAME };

/* Response fields that have a file sent (bits). */
enum { CORE_SENDFILE = 1, CORE_ACCEL = 2 };

/* Same values as exchange.Op. */
enum { CORE_OP_BODY, CORE_OP_TEXT, CORE_OP_BINARY, CORE_OP_CLOSE, CORE_OP_CREDIT, CORE_OP_DEFERRED, CORE_OP_HAND_OVER };

struct core_record;

typedef struct core_part {
  struct core_part *next;  /* in the list of finished parts, newest first */
  struct core_record *rec; /* borrowed: lives until its last part has been released */
  uint32_t ticket;
  uint8_t first, last, failed;
  uint8_t unseen; /* body_len is counted in core_shared.unseen */
  uint8_t type, has_date, has_server, close_conn;
  int32_t status;
  int64_t length;                    /* Content-Length of the whole body, -1 unknown */
  uint32_t reason_off, reason_len;   /* in buf */
  uint32_t fields_off, fields_len;   /* in buf; of a last part that is not the first: trailers */
  uint32_t name_off, name_len;       /* in buf: file name that gives the type */
  uint32_t static_off, static_len;   /* in buf: options of a Staticfile that answers instead */
  uint32_t path_off, path_len;       /* in buf: its PATH_INFO */
  uint8_t program;                   /* the Staticfile is a CGIApplication, and path is SCRIPT_NAME with PATH_INFO */
  uint32_t script_len;               /* length of SCRIPT_NAME */
  uint32_t send_off, send_len;       /* in buf: value of X-Sendfile, or of X-Accel-Redirect */
  uint8_t accel;                     /* it is the value of X-Accel-Redirect */
  uint32_t channel_off, channel_len; /* in buf: value of Fapws-Channel */
  uint8_t failure;                   /* the handler failed: the server answers with its page for status */
  uint8_t op;                        /* as exchange.Op; CORE_OP_BODY of a response */
  uint8_t websocket;                 /* the part accepts a WebSocket */
  uint8_t taken;                     /* the application has used record.socket */
  uint16_t code;                     /* of CORE_OP_CLOSE */
  uint32_t subprotocol_off, subprotocol_len; /* in buf: subprotocol of an accepted WebSocket */
  int64_t credit;                            /* of CORE_OP_CREDIT */
  const char *body;                          /* in buf, behind the part, or in owner's memory; freed with it */
  uint32_t body_off;                         /* offset in buf, while buf may still move */
  size_t body_len;
  void *owner;  /* PyObject * that keeps body alive, or NULL; released by core_collect_garbage, under the GIL */
  int32_t file; /* descriptor, or -1; closed by Release */
  int64_t offset, count; /* bytes of file */
  int64_t unacked;       /* what it adds to record.unacked until it is released */
  char *buf;             /* malloc; freed with the part, kept with part0 */
  uint32_t used, cap;
} core_part;

/* =============================================================================
 * The memory that the event loop and Python share: one record for each exchange, and a few counters. Go sees this
 * header.
 *
 * Go allocates and recycles records. The fields of the first half are written by Go before core_flush and read-only
 * afterwards; the second half belongs to the thread that runs the record, until its last part is published. Python
 * gives up everything that the record owns before that (wsgi_drop). Numbers and offsets cross; pointers to Go memory
 * do not. */

/* Versions of HTTP; same values as http1.Version. */
enum { CORE_HTTP10, CORE_HTTP11, CORE_HTTP2 };

/* Same layout as http1.Field; spans into record.data. */
typedef struct {
  core_span name, value;
} core_field;

/* The next job of a record: run the request, take the next chunk of its iterator, call back with its inputs. */
enum { CORE_RUN, CORE_NEXT, CORE_INPUTS };

/* exchange.InputWindow and exchange.InputCost. */
#define CORE_INPUT_WINDOW (64 << 10)
#define CORE_INPUT_COST 64

/* Data that arrived for an exchange after it began (exchange.Input). Go mallocs it, the Python side frees it. */
typedef struct core_input {
  struct core_input *next;
  uint16_t code; /* of CORE_OP_CLOSE */
  uint8_t op, last;
  size_t len;  /* of data */
  char data[]; /* directly behind the rest, as Go expects */
} core_input;

/* The kinds of mounts; same values as MountKind. */
enum { CORE_WSGI, CORE_ASGI, CORE_ASYNC_HANDLER, CORE_WEBSOCKET };

/* State shared by pipelined requests of one connection. Allocated once for each connection slot, never freed. */
typedef struct {
  int64_t unacked; /* atomic: sum of record.unacked */
  int32_t running; /* atomic: requests that were started and have not published their last part */
} core_pipeline;

/* One exchange. Allocated by Go with calloc. */
typedef struct core_record {
  struct core_record *next; /* in the free list, a queue, or an inbox */
  uint32_t ticket;
  uint32_t mount;
  uint32_t log;       /* number of its error log (core_errorlog.c); 0: stderr */
  uint32_t cancelled; /* atomic; set by the loop */
  uint32_t serial;    /* differs each time the record is used */
  uint64_t since_ns;  /* CLOCK_MONOTONIC at submission; CLOCK_MONOTONIC_COARSE unless waits are counted */

  char *data; /* malloc: head, path, peer, body; freed or kept by Handler.Release */
  size_t cap;
  core_field *fields; /* malloc, kept with the record */
  uint32_t nfields, fields_cap;
  core_span method, target, query, authority, path;
  core_span addr, port, server_name, server_port, socket_path;
  core_span scheme, host, user;     /* empty: http, as in the request, not logged in */
  core_span tls;                    /* variables of mod_ssl, "NAME=value" with a NUL behind each; empty: no TLS */
  uint16_t tls_version, tls_cipher; /* as on the wire; 0: no TLS */
  core_span tls_server;             /* the server's certificate in PEM, for the asyncio thread; empty: not known */
  uint32_t script_len;
  uint32_t head_len, peer_len; /* peer_len: bytes from addr that environ has beside the head, without the port */
  uint8_t version;             /* CORE_HTTP10 to CORE_HTTP2 */
  uint8_t head_only, has_length, has_body, chunked, trailers; /* trailers: those of the response are sent */
  uint8_t by_form; /* the user has logged in by a form, not by Basic authentication */
  uint8_t foreign; /* no traceback for the client: it has asked for a name that others can give this machine */
  size_t body_off;
  int64_t size;  /* bytes of body */
  int32_t spool; /* descriptor of a body in a file, or -1; closed by the Python side */

  uint8_t job;
  uint8_t started;         /* the first part was published */
  uint8_t parked;          /* guarded by the pool's mutex: an iterator or write() waits for the client */
  uint8_t whole;           /* the declared length has been sent */
  uint8_t bodyless;        /* the head is the whole response: HEAD, 204, 304 */
  uint8_t single;          /* the result has len() 1: its first chunk is all */
  void *thread;            /* core_thread * that runs it and owns iter; NULL while queued */
  void *iter;              /* PyObject *, owned: yields chunks */
  void *result;            /* PyObject *, owned: close() is called on it */
  void *start;             /* PyObject *, owned: Start_response */
  void *input;             /* PyObject *, owned: wsgi.input, or NULL for the shared empty one */
  void *environ;           /* PyObject *, owned while the response is made */
  int64_t declared;        /* Content-Length the handler set, -1 none */
  int64_t sent;            /* body bytes published */
  uint64_t chunk_ns;       /* moving average of one next() */
  int64_t unacked;         /* atomic: sum of core_part.unacked of published parts that are not released */
  core_pipeline *pipeline; /* of its connection; NULL: the request was not pipelined */
  uint8_t counted;         /* in pipeline->running */
  uint8_t resumed;         /* the event loop has decided that it runs */
  uint8_t multiplexed;     /* responses of its connection do not wait for each other */

  /* Of exchanges with inputs, and of those that the asyncio thread runs. */
  core_input *inputs, *inputs_tail;            /* guarded by the pool's mutex: in order of arrival; owned */
  struct core_record *event_next, *event_prev; /* guarded by the mutex: in the list of the asyncio thread */
  uint8_t events;                              /* guarded by the mutex: CORE_EVENT_ bits; not 0: in the list */
  uint8_t closing;                             /* guarded by the mutex: takes no more events */
  uint8_t more;                                /* the body continues in inputs */
  uint8_t websocket;                           /* the client asks for a WebSocket */
  uint8_t handed; /* another process has accepted it, with this subprotocol and state (live_handover.c) */
  core_span subprotocol, state;
  uint8_t routed;  /* the server has rewritten path */
  uint8_t traced;  /* see core_trace_len */
  size_t body_len; /* bytes of the body, or of its beginning, at body_off */
  int32_t socket;  /* the client's, for an application that implements WebSocket itself; 0: none. Closed by the Python
                      side */
  int64_t credit;  /* bytes of inputs that the application has taken since the last CORE_OP_CREDIT */
  void *socket_object; /* PyObject *, owned: environ's object for socket, or NULL */
  uint8_t taken;       /* the application has used socket */
  uint64_t closed_ns;  /* atomic: arrival of a WebSocket's close frame, 0: none yet; asyncio thread only */
  void *exchange;      /* asgi_exchange *, owned: lives with this record; NULL: none */

  /* Of WebSockets for synchronous code. */
  uint8_t open;      /* guarded by the pool's mutex: takes inputs */
  uint8_t scheduled; /* guarded by the mutex: queued or running */
  uint32_t senders;  /* guarded by the mutex: threads that wait in send() */
  core_input *batch; /* owned: taken off inputs by the thread that runs the record */
  void *ws;          /* PyObject *, owned: argument of the callbacks */
  core_part part0;
} core_record;

/* Requests do not start while the event loop has not handled more than this many bytes of large parts: it bounds the
 * bytes that wait for clients. */
#define CORE_UNSEEN_MAX (8 << 20)

/* Counters that Go reads and writes without a call; all atomic. */
typedef struct {
  core_part *done;       /* stack of finished parts, newest first */
  uint32_t wake_pending; /* a wake-up of the event loop is under way */
  uint32_t queued;       /* queued requests */
  uint32_t turn;         /* inline mode: core_flush has records to run */
  uint32_t turning;      /* inline mode: core_flush runs records */
  uint32_t attended;     /* inline mode: finished parts are sent during a turn (Handler.Attend) */
  uint32_t unattended;   /* inline mode: an iterator had to stop because they are not */
  uint32_t messages;     /* core_messages would return messages */
  uint32_t purges;       /* bytes of purge patterns among them */
  uint32_t watched;      /* the application has registered on_join or on_leave */
  int64_t unseen;        /* bytes of large parts that the event loop has not handled */
  int64_t event_bytes;   /* bytes of published events that the server has not handled (Handler.Dealt) */
} core_shared;

/* =============================================================================
 * The trace of a request (http1.Tracer): if record.traced, the last field is traceparent, and differs in each
 * request. The value belongs to the record. Any thread, without the GIL. */

/* Bytes at the end of the head with that field: http1.TraceLineLen. */
#define CORE_TRACE_LEN 72
static inline uint32_t core_trace_len(const core_record *rec) { return rec->traced ? CORE_TRACE_LEN : 0; }

/* The trace-id of rec; empty: it is not traced. */
static inline core_span core_trace_id(const core_record *rec) {
  if (!rec->traced) return (core_span){0, 0};
  return (core_span){rec->fields[rec->nfields - 1].value.off + 3, 32};
}

/* =============================================================================
 * The calls from Go, and their options. */

typedef struct {
  const char *executable; /* the interpreter that decides on prefix and virtual environment; NULL: Python finds it */
  const char *home;       /* prefix of the standard library; NULL: Python finds it */
  const char *script;     /* as on the command line: sys.argv[0] */
  const char *contrib;    /* directory of package fapws, or NULL */
  int argc;
  const char *const *argv; /* arguments after the script */
  int folders;
  const char *const *path; /* directories that go first on sys.path */
} core_start_options;

/* --- core_error.c: once, before live_start_python --------------------------------- */

/* The local time of the lines that C writes is that of the server, whatever zone the application sets (time.tzset):
 * offset seconds east of UTC before until, after the i - 1st change. Every i must be set. */
#define CORE_ZONE_CHANGES 40
void core_add_zone(int i, int64_t until, int32_t offset);

/* --- core_interp.c: on the thread that is to be Python's main thread ------------ */

/* Initialises Python. Returns 0, or -1 with *why pointing to static text. */
int live_start_python(const core_start_options *o, const char **why);
/* Runs the file path (absolute) as __main__. Returns 0, or -1 if it raised or called sys.exit: its traceback has been
 * written, *code is the exit status, and *line, which the caller frees, is one line about it, or NULL. */
int core_run_script(const char *path, int *code, char **line);
/* Must be called after code of the user has been run or imported. Unless ok it failed, with the exception raised, or,
 * if that is NULL, with the current one; then returns -1, as core_run_script does. line may be NULL; name is the
 * application in *line. GIL held. */
int core_script_ended(int ok, void *raised, const char *name, int *code, char **line);
/* A str of bytes from the operating system, a new reference, or NULL. GIL held. */
void *core_text(const char *bytes);
/* The class Environ in globals, if it is a subclass of dict, and the class Start_response, if it is a subclass of the
 * built-in one. A new reference, or NULL. GIL held. */
void *live_environ_class(void *globals);
void *live_start_class(void *globals);
/* The version of the headers, "3.11.2", free-threaded "3.14.0t", and the file of libpython, for messages. Any thread.
 */
const char *core_python_version(void);
const char *core_library(void);
/* Gives up the GIL after loading; the calling thread stays Python's main thread. */
void core_release_gil(void);
/* Takes it again, on the same thread. */
void core_take_gil(void);
/* The place of the code that Python's main thread executes, which the caller frees; NULL if it is unknown. Any thread,
 * without the GIL, while Python runs. */
char *core_executing(void);
/* Runs atexit and finalises. Same thread. Returns Py_FinalizeEx's result. */
int core_finish(void);
/* Runs atexit functions on any thread, if the main thread is stuck. */
void core_run_atexit(void);

/* --- core_pool.c ---------------------------------------------------------------- */

/* The target of a mount. Objects (PyObject *) live as long as the process. */
typedef struct {
  int kind;     /* CORE_WSGI ... */
  int relative; /* ASGI: path does not include root_path, for Starlette before 0.33 */
  void *callable;
  const char *place; /* CORE_WEBSOCKET: its name in all processes; copied */
  void *environ;     /* class of its environ, or NULL for dict */
  void *start;       /* class of its start_response, or NULL for the built-in one */
} core_target;

typedef struct {
  int threads;          /* maximum number of threads; 0: inline */
  int cpus;             /* on which they may run */
  int debug;            /* 1 and more: browsers get tracebacks */
  int stamped;          /* stderr is an error log: lines have a date, a level and a client */
  int send_fields;      /* which of CORE_SENDFILE and CORE_ACCEL are obeyed */
  int multiprocess;     /* other processes serve the same application */
  int max_event;        /* maximum bytes of an event of a channel, as it is sent */
  const char *software; /* SERVER_SOFTWARE; NULL: the name alone */
  int mounts;
  const core_target *targets; /* one per mount; copied */
  const char *const *names;   /* their names in log lines */
} core_options;

/* Makes the pool. GIL held, main thread. Returns the shared counters, or NULL with errno or an exception. */
core_shared *live_start_pool(const core_options *o);
/* Whether several threads run Python at the same time. After live_start_pool; any thread. */
int core_pool_is_parallel(void);
/* Sets how to wake the event loop (eventloop.Waker). Once, before the first core_flush. */
void core_pool_attach(int signals, int event, int32_t *state);
/* Has the chain of records that begins at first (0: none) run, and records with inputs of core_deliver; in inline mode
 * runs all queued records. Event loop only. Returns as core_serve; in threads mode -1, without waiting for the GIL. */
int core_flush(uintptr_t first);
/* Starts requests that waited because of CORE_UNSEEN_MAX. Event loop only. */
void core_loop_has_seen(void);
/* Thread 0: runs jobs until core_pool_stop (-1) or until a signal handler of
 * the application calls sys.exit (its status). GIL not held. */
int core_serve(void);
/* Any thread. Ends core_serve; waits up to ms for the other threads.
 * Returns how many did not end. */
int core_pool_stop(int ms);
/* In inline mode, before core_finish: runs the queued jobs, such as on_close of WebSockets that have closed while the
 * server stopped. Later turns, which the event loop may still have, run nothing. Event loop only, without the GIL. */
void core_inline_finish(void);
/* Delivers an input, which belongs to the Python side from now on. Nothing runs before core_flush. Event loop only. */
void core_deliver(uintptr_t rec, uintptr_t input);
/* Any thread: n bytes of rec, not those of its last part, were released. */
void core_acked(uintptr_t rec, int64_t n);
/* The client of rec has disconnected. Any thread. */
void core_cancel(core_record *rec);
/* Any thread: frees a part that is not part0, with everything it owns. */
void core_part_free(uintptr_t part);
/* Wakes the event loop unless a wake-up is under way. Any thread. */
void core_wake_loop(void);
/* Has thread 0 run the application's signal handlers. Event loop only. */
void core_signalled(void);

/* --- asgi_thread.c --------------------------------------------------------------- */

/* Starts the asyncio thread, and the lifespan of each of n applications. lifespan is "auto", "on" or "off", loop
 * "auto", "asyncio" or "uvloop". GIL held, on the thread that loaded the application. Returns NULL when all have
 * started, or an error for the user, malloc; "" if that was written already. */
char *asgi_thread_start(const char *loop, const char *lifespan, void *const *applications, int n);
/* Any thread, without the GIL: ends tasks after at most ms, then lifespans, then the thread, for which it waits some
 * seconds more, or one second if the thread was given up and has made no progress since. Returns whether there is no
 * thread any more. */
int asgi_thread_stop(int ms);

/* =============================================================================
 * Messages between Go and the Python side, in addition to requests and responses. Go sees this header.
 *
 * None of it needs the GIL, and all of it is safe on any thread, unless a comment says otherwise. Texts are copied.
 * core_messages gives its memory to the caller. */

/* --- core_messages.c ------------------------------------------------------------ */

/* Kinds of messages from the application to the server. */
enum {
  CORE_PURGE = 1,   /* one text: a pattern of fapws.cache.purge, JSON */
  CORE_EVENT,       /* four: name of the channel, id, type, data */
  CORE_BROADCAST,   /* four: place of a WebSocket in PATHS, group (empty: all), op (1 byte), message */
  CORE_JOIN,        /* two: a WebSocket (ticket and serial of its record, uint32 each), group */
  CORE_LEAVE,       /* as CORE_JOIN */
  CORE_ERROR_LINES, /* two: number of an error log (int), lines for it */
  CORE_FULL,        /* one: a core_full */
};

/* Returns the messages since the last call: n bytes of malloc, which the caller frees, or NULL.
 * A message is its kind (1 byte), its length (4 bytes, native byte order) and its texts,
 * each with its length. Any thread. */
char *core_messages(size_t *n);

/* --- core_errorlog.c ------------------------------------------------------------ */

/* Adds an error log: a regular file that package logfile also writes, and rotates
 * before it exceeds max bytes (0: any) and, by time, at until (seconds since 1970). path is copied; NULL:
 * messages are dropped. Returns its number, 0: no memory. Before handlers run, on one thread. */
int core_errorlog_add(const char *path, int64_t max, int64_t until);
/* Reports that the first written messages passed to the loop for that log are in the file. Any thread. */
void core_errorlog_written(int number, uint64_t written, int64_t until);
/* The loop has ended: from now on messages are written whatever the size of the file. Any thread. */
void core_errorlog_direct(void);
/* Writes text, which may end within a line, to an error log; to stderr if number is 0 or the log cannot be written. Any
 * thread. */
void core_errorlog_write(int number, const char *text, size_t n);

/* --- live_channels.c ------------------------------------------------------------ */

/* Sets the number of subscribers of a channel, in this process or elsewhere:
 * fapws.subscribers returns the sum. Any thread. */
void live_count_subscribers(const char *name, size_t len, int elsewhere, int64_t subscribers);
/* The sum of both. Any thread, without the GIL, too. */
int64_t live_subscriber_count(const char *name, size_t len);

/* --- live_ipc.c ---------------------------------------------------------------- */

/* Passes a message to the asyncio thread, if Python has asked for messages. Without room the message is lost, and the
 * first time the result is 0. Copies both texts. Any thread. */
int live_ipc_put(const char *topic, size_t topic_len, const char *data, size_t n);

/* --- live_groups.c ----------------------------------------------------------- */

/* Places of broadcasts that belong to no entry of PATHS, whose places have several lines. */
#define CORE_PLACE_ASGI "asgi"     /* the groups of ASGI WebSockets (fapws.groups) */
#define CORE_PLACE_PYTHON "python" /* messages between the Python code of all processes (live_ipc.c) */

/* =============================================================================
 * What the Python side counts. Go sees this header.
 *
 * Histograms have the buckets of package metrics, which Go passes. They are written under the GIL and read at any time:
 * all members are atomic. */

#define CORE_BUCKETS_MAX 32

/* --- core_metrics.c -------------------------------------------------------------- */

typedef struct {
  int64_t counts[CORE_BUCKETS_MAX]; /* of each bucket alone */
  int64_t sum_ns;
} core_durations;

/* Starts to count. bounds are the upper bounds of the buckets but the last, in ns, n < CORE_BUCKETS_MAX; copied. A
 * second call does nothing. Any thread, one at a time. */
void core_count_waits(const int64_t *bounds, int n);

#define CORE_MAX_THREADS 256 /* of a process, for handlers */

typedef struct {
  int live, idle, stuck;            /* threads; stuck: the request has timed out */
  int aside;                        /* threads that have waited for long, but for the GIL, and do not count */
  int waiting;                      /* threads that wait for the GIL, with a request */
  uint64_t first_ns;                /* how long the first request waits for a thread; 0: a thread is idle */
  uint64_t stalled_ns;              /* how long requests have waited, and no thread has taken one */
  int queued;                       /* requests in the queue */
  const core_durations *queue_wait; /* from the arrival of a request until its handler begins */
  const core_durations *gil_wait;   /* of a thread that takes the GIL in order to run a handler */
} core_waits;

/* Any thread, without the GIL. */
void core_read_waits(core_waits *out);

/* Says that requests wait although all threads run handlers. */
typedef struct {
  int counted;       /* threads that count for core_options.threads */
  int live;          /* all threads */
  int replaced;      /* of counted: they have waited for long, and count no longer */
  unsigned queued;   /* requests that wait for a thread */
  uint64_t first_ns; /* how long the first of them has waited */
} core_full;

/* --- core_metrics.c ------------------------------------------------------------ */

/* The families that the application has declared, in their order, as JSON of package metrics: *n bytes of malloc, which
 * the caller frees; NULL: there are none. One thread at a time, without the GIL. */
char *core_application_metrics(size_t *n);

/* =============================================================================
 * The whole process: crashes and forks. Go sees this header.
 *
 * Descriptors that are passed stay the caller's, and open. Texts are copied, unless a comment says otherwise. None of
 * it needs the GIL. */

/* --- core_crash.c --------------------------------------------------------------- */

/* From now on a crash in C code, or os._exit(), is reported in one line. name is the application that is being
 * loaded, and is copied: the process then exits with status 3. NULL: it has been loaded. One thread at a time. */
void core_crash_watch(const char *name);
/* The line about a crash is also sent to the socket fd, in a message that begins with the len bytes of before, at
 * most 64. fd stays open, and before is copied. Once, before core_crash_watch. */
void core_crash_tell(int fd, const void *before, size_t len);

/* --- core_gocrash.c -------------------------------------------------------------- */

/* Returns the descriptor for debug.SetCrashOutput, which the caller owns, or -1. Once. */
int core_gocrash_watch(void);
/* Go's runtime needs fd. Before the application is loaded. */
void core_gocrash_needs(int fd);

/* --- core_fork.c ---------------------------------------------------------------- */

/* Children that the application forks will close fd, a listener or another descriptor that the server never closes, and
 * all connections accepted from it. Any thread, but one at a time. */
void core_keep_from_children(int fd);

/* =============================================================================
 * Stacks of threads and tasks, and the end of those that take too long. Go sees this header.
 *
 * A snapshot is the caller's, with its text. Its record is only a number to compare: the record may have ended. */

/* --- core_pool.c: without the GIL, on any thread --------------------------------- */

/* Takes rec out of the queue and ends it, if no thread has taken it. Returns whether it was there. */
int core_dequeue_expired(uintptr_t rec);
/* If a thread still runs the job of a snapshot, has it replaced (core_mode.replace), and returns 1. */
int core_mark_thread_stuck(int thread, uintptr_t rec, unsigned long jobs);

/* --- core_stack.c --------------------------------------------------------------- */

/* The job of a thread. */
typedef struct {
  core_record *rec;
  uint32_t serial;
  int thread;         /* its index; -1: the asyncio thread */
  unsigned long jobs; /* how many it had taken */
  char *stack;        /* malloc, or NULL; the caller frees it. File, line, function, each with a NUL, innermost first */
  size_t stack_len;
} core_snapshot;

/* Takes the GIL, on any thread that is not Python's, and fills in the jobs of threads and tasks, at most max. Returns
 * their number. */
int asgi_sample_stacks(core_snapshot *out, int max);
/* Takes the GIL in the same way. If a thread runs rec, as its job number jobs (0: any): fills *out, has the thread
 * raise fapws.Timeout as soon as it executes bytecode, and returns 1. */
int core_raise_timeout(uintptr_t rec, uint32_t serial, unsigned long jobs, core_snapshot *out);
/* Which threads run callbacks of open WebSockets, without their stacks and without the GIL. Returns
 * how many of out, at most max, it has filled in. */
int core_running_callbacks(core_snapshot *out, int max);
/* Where an active record is; *thread is set except for CORE_QUEUED. Any thread, without the GIL. */
enum { CORE_QUEUED, CORE_RUNNING, CORE_WAITING, CORE_PARKED, CORE_ANSWERED, CORE_OPEN, CORE_MESSAGES, CORE_AWAITING };
int core_record_state(uintptr_t rec, int *thread);
/* Whether a debugger holds a thread of the server: the thread is in a function of sys.settrace or sys.monitoring, which
 * waits for a developer. Any thread, without the GIL. */
int asgi_threads_are_debugged(void);
/* Inline mode, any thread: the record that the loop runs, 0 for none, and the number of its job. */
uintptr_t core_inline_record(unsigned long *jobs);

/* --- asgi_stack.c ---------------------------------------------------------- */

/* Takes the GIL in the same way. If the task of rec has not ended: fills *out, and returns 1 if the task will be
 * cancelled, 2 if it is running and fapws.Timeout is raised in it. */
int asgi_raise_timeout(uintptr_t rec, uint32_t serial, core_snapshot *out);
/* Some time later, without the GIL: whether the asyncio thread is where it was, since the task has
 * not been cancelled yet, or still runs. */
int asgi_is_stuck(uintptr_t rec, uint32_t serial, int how, unsigned long jobs);
/* A number that changes with everything the asyncio thread does for the server. Any thread, no GIL. */
unsigned long asgi_progress(void);
/* Whether something waits for the asyncio thread, which has not moved since progress and runs nothing that
 * belongs to an active request: remains of one, a task of the application's own, a callback. 0 if it was given
 * up there already. Likewise. */
int asgi_is_stalled(unsigned long progress);
/* Notes that the thread is given up where it is: shutting down does not wait for it. Likewise. */
void asgi_give_up(void);
/* Takes the GIL in the same way, and fills in the stack of the asyncio thread. */
void asgi_take_snapshot(core_snapshot *out);

/* --- core_stack.c ------------------------------------------------------------- */

/* Takes the GIL in the same way, and begins a profile that ends after a time. 0: one is being recorded; -1: an
 * exception, which it has printed. */
int core_profile_begin(double seconds);
/* Takes the GIL in the same way. The stacks of that profile as JSON, [{"frames": [...], "n": 1}, ...]; malloc, the
 * caller frees it; NULL: an exception. */
char *core_profile_stacks(void);

/* --- core_stack.c ---------------------------------------------------------------- */

/* Writes the stacks of all Python threads without the GIL, as faulthandler does,
 * and returns the file that holds them, from offset 0; not to be closed. -1: not
 * available, or the application has closed the file. Any thread, one at a time. */
int core_dump_stacks(void);

#endif
