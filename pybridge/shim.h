/* The boundary between Go and C: flat data that both sides use, and the functions that Go calls. Go includes this
 * header, but not Python.h.
 *
 * Go owns records and their text, and lends a record to Python from core_flush until the last part of the record is
 * published. Python owns a part until it is published; then the event loop owns the part until Handler.Release (doc.go
 * has a table). Records and parts are passed as numbers, because cgo examines every pointer that it passes. C uses
 * options and texts only during the call, unless a comment says "copied". Python objects in options live as long as the
 * process. */
#pragma once

#include <stddef.h>
#include <stdint.h>

/* =============================================================================
 * A piece of a response, from a Python thread to the event loop.
 *
 * A thread with the GIL makes a part (core_output.c). The event loop owns the part after it was published, until
 * Handler.Release, which can be called on any thread. A part owns its members buf and file, and a reference to its
 * member owner. The first part of a response is record.part0, which lives as long as its record. */

/* A range of bytes in a buffer, with the same layout as http1.Span. */
typedef struct {
  uint32_t off, len;
} core_span;

/* How the event loop determines the Content-Type of a response (record.go). */
enum { CORE_TYPE_SET, CORE_TYPE_HTML, CORE_TYPE_BINARY, CORE_TYPE_JSON, CORE_TYPE_BY_NAME };

/* Bits that permit the response fields X-Sendfile and X-Accel-Redirect, with which handlers make the server send a
 * file. */
enum { CORE_SENDFILE = 1, CORE_ACCEL = 2 };

/* Kinds of parts and inputs, with the same values as exchange.Op. */
enum { CORE_OP_BODY, CORE_OP_TEXT, CORE_OP_BINARY, CORE_OP_CLOSE, CORE_OP_CREDIT, CORE_OP_DEFERRED };

struct core_record;

typedef struct core_part {
  struct core_part *next;  /* next part in the list of finished parts, which begins with the newest part */
  struct core_record *rec; /* borrowed; the record exists until the last part of the response is released */
  uint32_t ticket;
  uint8_t first, last, failed;
  uint8_t interim; /* the header fields are those of a 103 response, which precedes the first part */
  uint8_t unseen;  /* 1 if core_shared.unseen includes body_len, because the event loop has not handled the part */
  uint8_t type, has_date, has_server, close_conn;
  uint8_t program; /* 1 for a CGIApplication; path_off then refers to SCRIPT_NAME and PATH_INFO */
  uint8_t accel;   /* 1 if send_off refers to X-Accel-Redirect, 0 for X-Sendfile */
  uint8_t failure; /* the handler has failed, so the server sends its own page for the status */
  /* CORE_OP_BODY for a response, another CORE_OP_ value for a WebSocket message or a command to the event loop. */
  uint8_t op;
  uint8_t websocket;
  uint8_t taken;
  int32_t status;
  int64_t length;                  /* Content-Length of the whole body, or -1 if unknown */
  uint32_t reason_off, reason_len; /* in buf */
  /* Position of the header fields in buf. In a last part that is neither the first part nor interim, the fields are the
   * trailers of the response. */
  uint32_t fields_off, fields_len;
  uint32_t name_off, name_len;       /* in buf: file name that determines the Content-Type (CORE_TYPE_BY_NAME) */
  uint32_t static_off, static_len;   /* in buf: options of the Staticfile that the handler has returned */
  uint32_t path_off, path_len;       /* in buf: PATH_INFO for the Staticfile */
  uint32_t script_len;               /* length of the SCRIPT_NAME of a CGIApplication */
  uint32_t send_off, send_len;       /* in buf: value of X-Sendfile or X-Accel-Redirect */
  uint32_t channel_off, channel_len; /* in buf: value of the field Fapws-Channel */
  uint32_t subprotocol_off, subprotocol_len;
  uint32_t body_off;     /* offset of the body in buf; used instead of body while buf can be reallocated */
  int32_t file;          /* file descriptor, closed by Handler.Release; -1 without a file */
  int64_t offset, count; /* range of bytes in the file */
  int64_t number;        /* close code for CORE_OP_CLOSE; number of bytes for CORE_OP_CREDIT */
  /* Body of the part: in buf, in the allocation of the part, or in the memory of the member owner. Freed together with
   * the part. */
  const char *body;
  size_t body_len;
  void *owner;      /* PyObject * that keeps body alive, or NULL; released by core_collect_garbage, under the GIL */
  int64_t unacked;  /* bytes of this part that are included in record.run.unacked until Handler.Release */
  uint64_t made_ns; /* time of publication if this is the first or last part of a timed request, otherwise 0 */
  char *buf;        /* allocated by malloc; freed with the part, except for part0, which keeps it */
  uint32_t used, cap;
} core_part;

/* =============================================================================
 * The memory that the event loop and Python share: one record for each exchange, and a few counters.
 *
 * Go allocates and recycles records. A record contains three structs with different owners: core_request, core_run and
 * core_inputs. Before the last part is published, Python releases all objects that the record owns (wsgi_drop). Records
 * contain no pointers to Go memory. */

/* A header field: ranges of bytes in record.req.data. The layout is the same as of http1.Field. */
typedef struct {
  core_span name, value;
} core_field;

/* The next job of a record: run the request, let the iterator make the next chunk, or run callbacks for inputs. */
enum { CORE_RUN, CORE_NEXT, CORE_INPUTS };

/* The same values as exchange.InputWindow and exchange.InputCost. */
#define CORE_INPUT_WINDOW (64 << 10)
#define CORE_INPUT_COST 64

/* Data that has arrived for an exchange after the exchange began (exchange.Input). Go allocates an input with malloc,
 * and the Python side frees the input. */
typedef struct core_input {
  struct core_input *next;
  uint16_t code;
  uint8_t op, last;
  size_t len;
  char data[]; /* the data, which Go expects directly after the other members */
} core_input;

/* The format of lines on stderr, with the same values as logfile.Look. */
enum { CORE_PLAIN, CORE_COLORED, CORE_JOURNAL, CORE_FILED, CORE_OBJECT };

/* The kinds of mounts, with the same values as MountKind. */
enum { CORE_WSGI, CORE_ASGI, CORE_ASYNC_HANDLER, CORE_WEBSOCKET };

/* State shared by the pipelined requests of a connection. Allocated once for each connection slot, and never freed. */
typedef struct {
  int64_t unacked; /* atomic: sum of record.run.unacked for all requests */
  int32_t running; /* atomic: number of requests that have started and have not published their last part */
} core_pipeline;

/* The request. Go's event loop writes the members before core_flush. After that, they are constant until the last part
 * is published. The record owns the memory. */
struct core_request {
  uint32_t mount, log; /* log: number of the request's error log (core_errorlog.c), or 0 for stderr */
  /* Time of core_flush, from CLOCK_MONOTONIC if waits are counted or the request is timed, otherwise from
   * CLOCK_MONOTONIC_COARSE. */
  uint64_t since_ns;

  char *data; /* allocated by malloc: head, path, texts about the peer, and body; if large, freed by Handler.Release */
  size_t cap;
  core_field *fields; /* allocated by malloc, and kept with the record */
  uint32_t nfields, fields_cap;
  core_span method, target, query, authority, path;
  core_span addr, port, server_name, server_port, socket_path;
  /* An empty scheme means http, an empty host means the host in the head, and an empty user means that no user has
   * logged in. */
  core_span scheme, host, user;
  /* Variables of mod_ssl, each as "NAME=value" followed by a NUL; empty without TLS. */
  core_span tls;
  uint16_t tls_version, tls_cipher; /* numbers of the TLS version and the cipher suite; 0 without TLS */
  core_span tls_server;             /* the server's certificate in PEM, for the asyncio thread; empty if unknown */
  /* script_len: length of SCRIPT_NAME. root_len: length of its prefix that comes from a proxy or --root-path. */
  uint32_t script_len, root_len;
  /* peer_len: length of the texts that affect environ in addition to the head. They start at addr, without the port. */
  uint32_t head_len, peer_len;
  uint8_t version; /* of HTTP, for texts: 0 for 1.0, 1 for 1.1, 2 for 2.0 */
  uint8_t shares;  /* several exchanges use the connection at the same time (http1.SharesConnection) */
  /* trailers: trailers of the response can be sent to the client. */
  uint8_t head_only, has_length, has_body, chunked, trailers;
  uint8_t hints;   /* the client gets early hints (exchange.Request.TakesInterim) */
  uint8_t by_form; /* the user has logged in by a form, not by Basic authentication */
  /* The client must not receive a traceback, because the host name in its request could be a name that someone else has
   * pointed to this machine. */
  uint8_t foreign;
  uint8_t websocket;
  uint8_t routed;          /* the server has rewritten the path */
  uint8_t timed;           /* the times of the request are needed for an access log or the client */
  uint8_t own;             /* number of fields at the end that are the identity of the request (core_id) */
  uint8_t more;            /* further parts of the body will arrive as inputs */
  uint8_t resumed;         /* the event loop has deferred and then resumed the request, so it must run now */
  core_pipeline *pipeline; /* NULL if the request was not pipelined */
  uint64_t number;         /* exchange.Request.Number, for core_name_request */
  const char *body;        /* the body, or its first part, in the member data or in the region of its exchange */
  size_t body_len;
  int64_t size;
};

/* State of the handler and of its response. The thread that runs the record changes the members, under the GIL, until
 * it publishes the last part. Before the last part, wsgi_drop releases the objects. For a new request, Go sets all
 * members (copyRequest). */
struct core_run {
  void *thread; /* the core_thread that runs the record and its iterator; NULL while the record is queued */
  /* The record owns the following two descriptors; the threads that run Python close them. */
  int32_t spool; /* descriptor of the file that contains the request body, or -1 */
  /* Descriptor of a socket to the client, for an application that implements WebSocket itself, or 0. */
  int32_t socket;
  uint8_t started;  /* the first part was published */
  uint8_t parked;   /* guarded by the pool's mutex: the iterator, or a thread in write(), waits for the client */
  uint8_t whole;    /* the body of the response has reached its Content-Length */
  uint8_t bodyless; /* the response has only a head: HEAD, 204, 304 */
  uint8_t single;   /* the handler has returned a sequence with one item, which is the whole body */
  uint8_t counted;  /* the request is counted in pipeline->running */
  uint8_t taken;
  uint8_t job;            /* next job: CORE_RUN, CORE_NEXT or CORE_INPUTS; written by the owner of the record */
  uint8_t hints;          /* number of early hints that were sent */
  uint16_t hint_bytes;    /* size of the values of the early hints */
  void *iter;             /* PyObject *, owned: iterator that yields the chunks */
  void *result;           /* PyObject *, owned: return value of the handler, whose close() will be called */
  void *start;            /* owned Start_response (PyObject *) */
  void *input;            /* PyObject *, owned: wsgi.input; NULL if it is the empty object that all requests share */
  void *environ;          /* PyObject *, owned while the response is made */
  void *disconnected;     /* PyObject *, owned: function fapws.disconnected in environ, or NULL */
  void *socket_object;    /* PyObject *, owned: object for the socket in environ, or NULL */
  void *exchange;         /* asgi_exchange *, owned: runs the coroutine for this record; NULL if none */
  void *ws;               /* PyObject *, owned: argument of the callbacks of a WebSocket */
  core_input *batch;      /* owned: inputs that the thread has taken from core_inputs */
  int64_t declared, sent; /* Content-Length from the handler, or -1; bytes of the body that were published */
  int64_t credit;         /* bytes of inputs that the application has taken since the last CORE_OP_CREDIT */
  uint64_t chunk_ns;      /* moving average of the duration of the iterator's next() */
  uint64_t began_ns;      /* CLOCK_MONOTONIC when a timed request began to run; 0 before */
  int64_t unacked;        /* atomic: sum of core_part.unacked for published parts that are not released */
};

/* The inputs and events of an exchange that has begun. The event loop adds inputs and events, and the thread that runs
 * the record takes both. All members are guarded by the pool's mutex. */
struct core_inputs {
  core_input *first, *last;                    /* owned, in order of arrival */
  struct core_record *event_next, *event_prev; /* neighbours in the asyncio thread's list of records with events */
  uint8_t events;                              /* ASGI_EVENT_ bits; nonzero while the record is in that list */
  uint8_t closing;                             /* the exchange takes no further events */
  uint8_t open;                                /* a WebSocket with callbacks takes inputs */
  uint8_t scheduled;                           /* the record is queued or runs */
  uint32_t senders;                            /* number of threads that wait in send() of the WebSocket */
  /* Atomic: time at which the client's close frame arrived, or 0 before. Used for ASGI WebSockets only. */
  uint64_t closed_ns;
};

/* A record, which represents an exchange. Go allocates it with calloc. core_pool.h describes who owns a record. */
typedef struct core_record {
  struct core_record *next; /* next record in the free list, the queue, or an inbox */
  uint32_t ticket, serial;  /* serial changes each time the record is reused */
  uint32_t cancelled;       /* atomic, set by the event loop: the client has disconnected */
  /* Atomic, set by the event loop: the client has shut down its sending side, and has probably disconnected. */
  uint32_t closing;
  struct core_request req;
  struct core_run run;
  struct core_inputs inputs;
  core_part part0;
} core_record;

/* While large parts with more bytes than this wait for the event loop, or their objects wait to be freed, no request
 * starts. The limit bounds the memory for responses in addition to those that wait for clients (conn.Ledger). */
#define CORE_UNSEEN_MAX (8 << 20) /* upper limit of core_shared.unseen_max */

/* Atomic counters and flags, which Go reads and writes without calling C. */
typedef struct {
  core_part *done;
  uint32_t wake_pending; /* the event loop was woken and will look for parts */
  uint32_t queued;
  uint32_t turn;       /* inline mode: records wait for core_flush */
  uint32_t turning;    /* inline mode: core_flush is running records */
  uint32_t attended;   /* inline mode: finished parts are sent while core_flush runs (Handler.Attend) */
  uint32_t unattended; /* inline mode: an iterator stopped because finished parts were not sent */
  uint32_t messages;   /* messages wait for core_messages */
  uint32_t purges;
  uint32_t parallel;  /* constant: several threads can run Python at the same time */
  uint32_t watched;   /* the application has registered on_join or on_leave */
  int64_t unseen;     /* bytes of large parts that the event loop has not handled, or whose objects are not freed yet */
  int64_t unseen_max; /* constant: limit of unseen (CORE_UNSEEN_MAX) */
  int64_t large_max;  /* constant: limit of core_pool.large, unless a single request exceeds it */
  int64_t event_bytes; /* bytes of published events that the server has not handled (Handler.Dealt) */
} core_shared;

/* The identity of a request (http1.Identifier) consists of the last req.own fields, at the end of the head. The
 * functions can be called on any thread, without the GIL. */

/* Returns the length of the head without the fields of the identity, which differ in each request. */
static inline uint32_t core_shared_head(const core_record *rec) {
  return rec->req.own ? rec->req.fields[rec->req.nfields - rec->req.own].name.off : rec->req.head_len;
}

/* Whether f, a field of the identity, is traceparent and not x-request-id. */
static inline int core_is_trace(const core_record *rec, core_field f) { return rec->req.data[f.name.off] == 't'; }

/* Returns the trace ID in the field traceparent, or the request ID in the field x-request-id. */
static inline core_span core_id_in(const core_record *rec, core_field f) {
  return core_is_trace(rec, f) ? (core_span){f.value.off + 3, 32} : f.value;
}

/* Returns the trace ID if trace is 1, or the request ID if trace is 0; empty if the request has none. */
static inline core_span core_id(const core_record *rec, int trace) {
  for (uint32_t i = rec->req.nfields - rec->req.own; i < rec->req.nfields; i++)
    if (core_is_trace(rec, rec->req.fields[i]) == trace) return core_id_in(rec, rec->req.fields[i]);
  return (core_span){0, 0};
}
static inline core_span core_trace_id(const core_record *rec) { return core_id(rec, 1); }
static inline core_span core_request_id(const core_record *rec) { return core_id(rec, 0); }

/* =============================================================================
 * The functions that Go calls, and their options. Go can call them on any thread, without the GIL, unless the comment
 * of a function says otherwise. */

typedef struct {
  /* Path of the interpreter, from which Python determines its prefix and the virtual environment, or NULL if Python
   * must search for an interpreter. */
  const char *executable;
  const char *home;   /* prefix of the standard library, or NULL if Python must find the prefix */
  const char *script; /* sys.argv[0]: the path of the script as on the command line */
  const char *source; /* directory that contains package fapws, or NULL to use the archive */
  int argc;
  const char *const *argv; /* arguments after the script */
  int folders;
  const char *const *path; /* first directories of sys.path */
  /* Type of asyncio's event loop: "auto", "asyncio" or "uvloop"; NULL with runs_python. */
  const char *loop;
  const char *bundle; /* folder with the files of the bundle whose archive is mapped, or NULL */
  int runs_python;    /* script and argv are the command line of an interpreter */
} core_start_options;

/* --- core_archive.c --------------------------------------------------------------- */

/* Returns whether package fapws is in this program. Python need not be initialised. */
int core_has_archive(void);
/* Maps the archive of a bundle. Returns 0, or an errno: EINVAL if the archive is damaged. */
int core_map_archive(const char *path, int64_t offset, size_t size);

/* Returns whether the archive has Python's standard library, and makes Python find the modules that it needs for its
 * own start there. Must be called before Python is initialised. */
int core_freeze_library(void);

/* --- core_error.c ----------------------------------------------------------------- */

/* Sets the local time for log lines that C writes, so that time.tzset in the application does not change it. Must be
 * called for the periods i = 0, 1, ... in turn. Period i begins when period i - 1 ends, and ends at the Unix time
 * until; its local time is offset seconds east of UTC. */
#define CORE_ZONE_CHANGES 40
void core_add_zone(int i, int64_t until, int32_t offset);
/* Sets the format of lines on stderr. Must be called before handlers run. */
void core_set_look(int look);
/* Returns the type (i = 0), the message (1) or the traceback (2) of the exception that prevented the start and is not
 * in the log yet, or NULL. Only JSON leaves it to the server. The caller must free the text. */
char *core_take_held(int i);
/* The requested host, which may have a port; empty for HTTP/1.0 without a host. */
core_span core_host(const core_record *rec);

/* --- core_stdio.c: any thread, without the GIL ----------------------------------- */

/* Writes a JSON object of the error log to stderr. The objects of all threads and processes that call this function are
 * written one after another, never mixed. Returns 0 if the object was dropped. */
int core_write_object(const char *text, size_t n);

/* --- core_interp.c: on the thread that becomes Python's main thread ------------ */

/* Runs the file with this absolute path as __main__, and returns 0. If the script raises an exception or calls
 * sys.exit, writes the traceback, sets *code to the exit status, and returns -1. It also sets *line to NULL or to one
 * line about the error. The caller must free *line. If the application's handler for SIGTERM or SIGINT ends the
 * script, sets *code and returns 1. */
int core_run_script(const char *path, int *code, char **line);
/* Must be called with the GIL after code of the user was run or imported. The parameter ok is 0 if that code has failed
 * with an exception. The parameter raised is this exception, or NULL for the current exception. The results are those
 * of core_run_script. In *line, the parameter name denotes the application. The pointer line can be NULL. */
int core_script_ended(int ok, void *raised, const char *name, int *code, char **line);
/* Converts bytes from the operating system to a str. Returns a new reference, or NULL; needs the GIL. */
void *core_text(const char *bytes);
/* Return Python's version, such as "3.11.2", or "3.14.0t" for a free-threaded build, and the path of libpython, for
 * messages. */
const char *core_python_version(void);
const char *core_headers_version(void); /* such as "3.11" */
const char *core_library(void);
/* Releases the GIL after loading. The current thread remains Python's main thread. */
void core_release_gil(void);
/* Takes the GIL again, on the thread that has called core_release_gil. */
void core_take_gil(void);
/* Returns the file, line and function that Python's main thread executes, as a text that the caller must free, or NULL
 * if they are unknown. Can be called without the GIL while Python runs. */
char *core_executing(void);
/* Runs the atexit functions, finalises Python, and returns the result of Py_FinalizeEx; must be called on Python's main
 * thread. */
int core_finish(void);
/* Runs the atexit functions on the current thread, if Python's main thread is stuck. */
void core_run_atexit(void);

/* --- core_pool.c ---------------------------------------------------------------- */

/* What Go tells C about a mount: a callable, and how to call it. */
typedef struct {
  int kind;     /* CORE_WSGI to CORE_WEBSOCKET */
  int relative; /* ASGI: the path in the scope must exclude root_path, as Starlette before 0.33 requires */
  void *callable;
  const char *place; /* CORE_WEBSOCKET: name of the WebSocket, the same in all processes; copied */
  void *environ;     /* class of environ, or NULL for dict */
  void *start;       /* class of start_response, or NULL for the built-in class */
} core_target;

typedef struct {
  int threads; /* maximum number of threads; 0 means inline mode */
  int cpus;
  int debug;       /* 1 or more: browsers get tracebacks */
  int send_fields; /* bits CORE_SENDFILE and CORE_ACCEL: which of these response fields have an effect */
  int multiprocess;
  int max_event;        /* maximum size in bytes of a channel's event, in the form that clients get */
  const char *software; /* name of the server with its version; NULL for the name alone */
  int mounts;
  const core_target *targets;
  const char *const *names;
} core_options;

/* Sets how the event loop is woken (eventloop.Waker); must be called once, before the first core_flush. */
void core_pool_attach(int signals, int event, int32_t *state);
/* Queues a chain of records, whose head is the parameter first (0 means none), and the records that have received
 * inputs by core_deliver. In inline mode, runs all queued records, and returns the same result as core_serve. In
 * threads mode, returns -1 without waiting for the GIL. Must be called on the event loop. */
int core_flush(uintptr_t first);
/* Starts requests that were waiting because of CORE_UNSEEN_MAX; must be called on the event loop. */
void core_loop_has_seen(void);
/* Ends core_serve, and waits until all threads have ended: for ms milliseconds or, as long as they begin jobs, 5 * ms
 * milliseconds after each, and for most milliseconds in all. Returns the number of threads that still run. */
int core_pool_stop(int ms, int most);
/* Makes thread 0 run the application's signal handlers; must be called on the event loop. */
void core_signalled(void);
/* If no thread has taken rec, removes rec from the queue, and ends rec. Returns whether rec was in the queue. */
int core_dequeue_expired(uintptr_t rec);
/* If the thread with this index still runs the job with this number, makes a second thread replace the first one
 * (core_mode.replace), and returns 1. */
int core_mark_thread_stuck(int thread, uintptr_t rec, unsigned long jobs);

/* --- core_threads.c: without the GIL ----------------------------------------- */

/* Runs jobs on thread 0. Returns -1 after core_pool_stop, or an exit status after a signal handler of the application
 * has called sys.exit. */
int core_serve(void);

/* --- core_inline.c ----------------------------------------------------------- */

/* Runs the queued jobs of inline mode, such as the on_close of WebSockets that were closed while the server stopped.
 * From then on, core_flush runs no jobs. Must be called before core_finish, on the event loop, without the GIL. */
void core_inline_finish(void);
/* Returns the record that the event loop runs in inline mode, or 0, and stores the number of its job in *jobs. */
uintptr_t core_inline_record(unsigned long *jobs);

/* --- core_flow.c: without the GIL -------------------------------------------- */

/* Delivers an input to rec. The Python side then owns the input. Callbacks run after the next core_flush. Must be
 * called on the event loop. */
void core_deliver(uintptr_t rec, uintptr_t input);
/* Counts n bytes of published parts of rec as released. Not called for the last part. */
void core_acked(uintptr_t rec, int64_t n);
/* Tells the Python side that the client of rec has disconnected. */
void core_cancel(core_record *rec);

/* --- core_output.c: without the GIL ------------------------------------------ */

/* Frees a part that is not part0, and everything that the part owns. */
void core_part_free(uintptr_t part);
/* Wakes the event loop, unless it was already woken. */
void core_wake_loop(void);

/* --- live_module.c ----------------------------------------------------------- */

/* Initialises Python. Returns 0, or -1 after setting *why to a static text. */
int live_start_python(const core_start_options *o, const char **why);
/* Runs Python as an interpreter, without a server. Returns the exit status, or -1 after setting *why to a static
 * text. */
int live_run_python(const core_start_options *o, const char **why);
/* Creates the pool. Returns the shared counters, or NULL with errno or an exception; must be called with the GIL, on
 * Python's main thread. */
core_shared *live_start_pool(const core_options *o);

/* --- asgi_thread.c --------------------------------------------------------------- */

/* Starts the asyncio thread and the lifespans of n applications. The parameter lifespan is "auto", "on" or "off"; the
 * parameter loop is "auto", "asyncio" or "uvloop". Returns NULL when all lifespans have started, otherwise an error
 * message for the user, which the caller must free. The message is "" if the error was already written. Must be called
 * with the GIL, on the thread that has loaded the applications. */
char *asgi_thread_start(const char *loop, const char *lifespan, void *const *applications, int n);
/* Makes the asyncio thread cancel its tasks after at most ms milliseconds, then end the lifespans, and then end itself.
 * Returns whether the thread has ended. The function waits for at most ms milliseconds and a few seconds, but for only
 * one second if the thread has made no progress since asgi_give_up. */
int asgi_thread_stop(int ms);

/* =============================================================================
 * Messages between Go and the Python side, in addition to requests and responses.
 *
 * All functions can be called on any thread without the GIL, unless the comment of a function says otherwise. Texts are
 * copied. */

/* --- core_messages.c ------------------------------------------------------------ */

/* Kinds of messages from the application to the server. */
enum {
  CORE_PURGE = 1,   /* one text: a pattern of fapws.cache.purge, as JSON */
  CORE_EVENT,       /* four texts: name of the channel, id, type, data */
  CORE_BROADCAST,   /* four texts: core_mount.place or CORE_PLACE_..., group (empty for all), op (1 byte), message */
  CORE_JOIN,        /* two texts: WebSocket (core_socket_number, 8 bytes), group */
  CORE_LEAVE,       /* two texts, as for CORE_JOIN */
  CORE_ERROR_LINES, /* two texts: number of an error log (int), lines for the log */
  CORE_FULL,        /* one text: a core_full */
  CORE_FAILURE,     /* one text: the first line of an error of a handler, without its time */
};

/* Returns the messages since the last call: *n bytes allocated by malloc, which the caller must free, or NULL. A
 * message consists of its kind (1 byte), its length (4 bytes, native byte order), and its texts, each preceded by its
 * length. */
char *core_messages(size_t *n);

/* --- core_errorlog.c ------------------------------------------------------------ */

/* Adds an error log, which is a regular file that package logfile also writes. Returns the number of the log, or 0 if
 * memory is exhausted. A rotation is due if a message would make the file larger than max bytes (0 means no limit), or
 * comes after the Unix time in the parameter until. The event loop then rotates the file, and writes the message. If
 * path is NULL, messages are dropped. Must be called on one thread before handlers run. */
int core_errorlog_add(const char *path, int64_t max, int64_t until);
/* Must be called when the event loop has written messages to an error log; written is the number of messages that the
 * event loop has written to this log in total. The next rotation is due at the time until. */
void core_errorlog_written(int number, uint64_t written, int64_t until);
/* Tells the error logs that the event loop has ended. From then on, messages are written to the files regardless of
 * their size. */
void core_errorlog_direct(void);
/* Writes n bytes of text, which can end within a line, to an error log. If number is 0 or the log cannot be written,
 * writes to stderr instead. */
void core_errorlog_write(int number, const char *text, size_t n);

/* --- live_channels.c ------------------------------------------------------------ */

/* Sets the number of subscribers that a channel has in this process or, if elsewhere is 1, in all other processes.
 * fapws.subscribers returns the sum. */
void live_count_subscribers(const char *name, size_t len, int elsewhere, int64_t subscribers);
/* Returns the number of subscribers that a channel has in all processes; can be called with or without the GIL. */
int64_t live_subscriber_count(const char *name, size_t len);

/* --- live_ipc.c ---------------------------------------------------------------- */

/* Passes a message to the asyncio thread if Python code has requested messages. Drops the message if the queue is full.
 * Returns 0 for the first dropped message since the queue was last empty, and 1 for all other messages. */
int live_ipc_put(const char *topic, size_t topic_len, const char *data, size_t n);

/* --- live_groups.c ----------------------------------------------------------- */

/* A broadcast for an entry of PATHS begins with the text core_mount.place. Other broadcasts begin with one of the
 * following texts. The member place always differs from them, because it has several lines. */
#define CORE_PLACE_ASGI "asgi"     /* the groups of ASGI WebSockets (fapws.groups) */
#define CORE_PLACE_PYTHON "python" /* messages between the Python code of processes (live_ipc.c) */

/* =============================================================================
 * Metrics of the Python side.
 *
 * Histograms have the buckets of package metrics, which Go passes to core_count_waits. The members of a histogram are
 * atomic, because threads change them with the GIL, but read them without the GIL. */

#define CORE_BUCKETS_MAX 32

/* --- core_metrics.c -------------------------------------------------------------- */

typedef struct {
  int64_t counts[CORE_BUCKETS_MAX];
  int64_t sum_ns;
} core_durations;

/* Starts to count waits. The array bounds holds the upper bounds, in ns, of n buckets. The function adds a bucket for
 * larger values, so n must be less than CORE_BUCKETS_MAX. A second call has no effect. Only one thread at a time is
 * permitted to call the function. */
void core_count_waits(const int64_t *bounds, int n);

#define CORE_MAX_THREADS 256 /* maximum number of threads that run handlers in a process */

typedef struct {
  int live, idle, stuck; /* three numbers of threads; a thread is stuck if its request has timed out */
  /* Number of threads that do not count towards the maximum number of threads, because they wait for a client, or have
   * waited for something other than the GIL for a long time. */
  int aside;
  int waiting;         /* number of threads that have taken a request and wait for the GIL */
  uint64_t first_ns;   /* time for which the first queued request has waited; 0 if a thread is idle */
  uint64_t stalled_ns; /* how long requests have waited without any thread taking one */
  int queued;
  const core_durations *queue_wait; /* times from the arrival of a request until its handler begins */
  const core_durations *gil_wait;   /* times for which a thread has waited for the GIL before a handler */
} core_waits;

void core_read_waits(core_waits *out);
/* Returns the metrics that the application has declared, in the order of their declaration, or NULL if it has declared
 * none. The result is *n bytes of JSON for package metrics, which the caller must free. Only one thread at a time is
 * permitted to call the function. */
char *core_application_metrics(size_t *n);

typedef struct {
  int counted;
  int live;
  int computes; /* the handlers compute, and do not wait */
  unsigned queued;
  uint64_t first_ns; /* time for which the first queued request has waited */
} core_full;

/* =============================================================================
 * The whole process: crashes and forks.
 *
 * The caller still owns the descriptors that it passes, and must not close them. The functions copy texts, unless a
 * comment says otherwise, and do not need the GIL. */

/* --- core_crash.c --------------------------------------------------------------- */

/* From this call on, a crash in C code or a call of os._exit() is reported in one line. The parameter name is the
 * application that is being loaded, or NULL after the application was loaded. While an application is being loaded, a
 * crash makes the process exit with status 3. Only one thread at a time is permitted to call the function. */
void core_crash_watch(const char *name);
/* Makes a crash also send its line to the socket fd. The parameter before contains len bytes (at most 64) that
 * precede the line on the socket. Must be called once, before core_crash_watch. */
void core_crash_tell(int fd, const void *before, size_t len);

/* --- core_gocrash.c -------------------------------------------------------------- */

/* Returns a descriptor for debug.SetCrashOutput, which the caller owns, or -1 on failure; must be called once. */
int core_gocrash_watch(void);
/* Registers fd as a descriptor that Go's runtime needs; must be called before the application is loaded. */
void core_gocrash_needs(int fd);
/* Must be called before exec, which closes the pipe: the kernel would send a signal to the new program, and the signal
 * would end it. */
void core_gocrash_end(void);

/* --- core_fork.c ---------------------------------------------------------------- */

/* Makes processes that the application forks close fd and, if fd is a listener, all connections that were accepted from
 * it; only one thread at a time is permitted to call the function. */
void core_keep_from_children(int fd);

/* =============================================================================
 * Stacks of threads and tasks, and timeouts for handlers that take too long.
 *
 * The caller owns a snapshot and its text. Code may compare the member rec of a snapshot, but not dereference it,
 * because the exchange can have ended. */

typedef struct {
  core_record *rec;
  uint32_t serial;
  int thread;
  unsigned long jobs; /* number of the job that the thread was running (core_jobs_of) */
  /* File, line and function of each frame, each followed by a NUL, with the innermost frame first. Allocated by malloc,
   * or NULL; the caller must free it. */
  char *stack;
  size_t stack_len;
} core_snapshot;

/* --- core_stack.c --------------------------------------------------------------- */

/* Whether a thread that runs Python waits for a developer, because it is in a function of sys.settrace or
 * sys.monitoring, or an interactive console is on its stack. Includes threads of the application; takes the GIL as
 * core_raise_timeout does. */
int core_is_at_console(void);
/* If a thread runs rec in its job with the number jobs (0 means any job), fills in *out, makes the thread raise
 * fapws.Timeout as soon as it executes bytecode, and returns 1. Otherwise returns 0. Takes the GIL, so it must be
 * called on a thread that does not run Python. */
int core_raise_timeout(uintptr_t rec, uint32_t serial, unsigned long jobs, core_snapshot *out);
/* Fills in a snapshot, without a stack, for each thread that runs callbacks of an open WebSocket, at most max
 * snapshots. Returns their number. */
int core_running_callbacks(core_snapshot *out, int max);
/* States of an active record. core_record_state stores the index of the thread in *thread, except if the state is
 * CORE_QUEUED. */
enum { CORE_QUEUED, CORE_RUNNING, CORE_WAITING, CORE_PARKED, CORE_ANSWERED, CORE_OPEN, CORE_MESSAGES, CORE_AWAITING };
int core_record_state(uintptr_t rec, int *thread);
/* Begins a profile that ends after the given seconds, and returns 1. Returns 0 if a profile is already being recorded,
 * or -1 after printing an exception; takes the GIL as core_raise_timeout does. */
int core_profile_begin(double seconds);
/* Returns the stacks of the profile as JSON, [{"frames": [...], "n": 1}, ...], which the caller must free, or NULL
 * after printing an exception; takes the GIL as core_raise_timeout does. */
char *core_profile_stacks(void);
/* Writes the stacks of all Python threads to a file without taking the GIL, as faulthandler does. Returns the
 * descriptor of the file, which the caller must not close. The stacks begin at offset 0. Returns -1 if stacks are not
 * available or the application has closed the descriptor. Only one thread at a time is permitted to call the
 * function. */
int core_dump_stacks(void);

/* --- asgi_stack.c ---------------------------------------------------------- */

/* Fills in a snapshot for each thread and task that runs a record, at most max snapshots, and returns their number;
 * takes the GIL as core_raise_timeout does. */
int asgi_sample_stacks(core_snapshot *out, int max);
/* If the task of rec has not ended, fills in *out, and makes the task end. Returns 1 if the task waits and will be
 * cancelled, 2 if the task is running and fapws.Timeout will be raised in it, or 0 if it has ended. Takes the GIL as
 * core_raise_timeout does. */
int asgi_raise_timeout(uintptr_t rec, uint32_t serial, core_snapshot *out);
/* Whether asgi_raise_timeout has not had its effect yet. The parameter raised is its result. After the result 1 the
 * task must be cancelled, and after 2 the current job of the task must end. Called without the GIL. */
int asgi_is_stuck(uintptr_t rec, uint32_t serial, int raised, unsigned long jobs);
/* Returns a number that changes whenever the asyncio thread makes progress. */
unsigned long asgi_progress(void);
/* Whether code that belongs to no active request blocks the asyncio thread. This is so if the thread does not sleep
 * and asgi_progress still returns the parameter progress. The code can be the rest of an ended request, a task of the
 * application, or a callback. Returns 0 if asgi_give_up was called since the thread last made progress. */
int asgi_is_stalled(unsigned long progress);
/* Marks the asyncio thread as stuck until the thread makes progress again (asgi_thread_stop). */
void asgi_give_up(void);
/* Fills in the stack of the asyncio thread; takes the GIL as core_raise_timeout does. */
void asgi_take_snapshot(core_snapshot *out);
