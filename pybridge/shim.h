/* The boundary between Go and C: flat data that both sides use, and the calls from Go. Go includes this header, but
 * not Python.h. A function has the prefix of the part of the C that it belongs to (core.h).
 *
 * Go owns records and their text, and lends a record to Python from core_flush until its last part is published.
 * Python owns parts until they are published, then the event loop, until Handler.Release (doc.go has the table).
 * Records and parts cross as numbers, because cgo examines every pointer that it passes. Options and texts are borrowed
 * for the call, unless a comment says "copied"; objects in options live as long as the process. */
#pragma once

#include <stddef.h>
#include <stdint.h>

/* =============================================================================
 * A piece of a response, from a Python thread to the event loop.
 *
 * A thread with the GIL makes a part (core_output.c); once published it belongs to the event loop, and Handler.Release
 * gives it up, on any thread. A part owns buf, file and a reference to owner. The first part of a response is
 * record.part0, which lives as long as its record. */

/* Same layout as http1.Span: a range of bytes in a buffer. */
typedef struct {
  uint32_t off, len;
} core_span;

/* Media types that the event loop adds (record.go). */
enum { CORE_TYPE_SET, CORE_TYPE_HTML, CORE_TYPE_BINARY, CORE_TYPE_JSON, CORE_TYPE_BY_NAME };

/* Response fields that make the server send a file (bits). */
enum { CORE_SENDFILE = 1, CORE_ACCEL = 2 };

/* Same values as exchange.Op. */
enum { CORE_OP_BODY, CORE_OP_TEXT, CORE_OP_BINARY, CORE_OP_CLOSE, CORE_OP_CREDIT, CORE_OP_DEFERRED, CORE_OP_HAND_OVER };

struct core_record;

typedef struct core_part {
  struct core_part *next;  /* in the list of finished parts, newest first */
  struct core_record *rec; /* borrowed; the record exists until the last part of the response is released */
  uint32_t ticket;
  uint8_t first, last, failed;
  uint8_t interim; /* the header fields are those of a 103 response, which precedes the first part */
  uint8_t unseen;  /* body_len is counted in core_shared.unseen */
  uint8_t type, has_date, has_server, close_conn;
  int32_t status;
  int64_t length;                  /* Content-Length of the whole body, or -1 if unknown */
  uint32_t reason_off, reason_len; /* in buf */
  /* In buf. In a last part that is neither interim nor the first part, these are trailers. */
  uint32_t fields_off, fields_len;
  uint32_t name_off, name_len;       /* in buf: file name that determines the type */
  uint32_t static_off, static_len;   /* in buf: options of a Staticfile that answers the request */
  uint32_t path_off, path_len;       /* in buf: PATH_INFO for the Staticfile */
  uint8_t program;                   /* 1 for a CGIApplication, whose path is SCRIPT_NAME with PATH_INFO */
  uint32_t script_len;               /* length of SCRIPT_NAME */
  uint32_t send_off, send_len;       /* in buf: value of X-Sendfile, or of X-Accel-Redirect */
  uint8_t accel;                     /* 1 if send is the value of X-Accel-Redirect, 0 for X-Sendfile */
  uint32_t channel_off, channel_len; /* in buf: value of Fapws-Channel */
  uint8_t failure;                   /* the handler has failed: the server sends its own page for status */
  uint8_t op;                        /* exchange.Op; CORE_OP_BODY for a response */
  uint8_t websocket;
  uint8_t taken;
  int64_t number; /* close code for CORE_OP_CLOSE; number of permitted bytes for CORE_OP_CREDIT */
  uint32_t subprotocol_off, subprotocol_len;
  /* In buf, in the allocation of the part, or in the memory of owner. Freed together with the part. */
  const char *body;
  uint32_t body_off; /* offset of the body in buf, while buf may still be reallocated */
  size_t body_len;
  void *owner;  /* PyObject * that keeps body alive, or NULL; released by core_collect_garbage, under the GIL */
  int32_t file; /* file descriptor, closed by Release; -1 if none */
  int64_t offset, count; /* bytes of file */
  int64_t unacked;       /* bytes that it adds to record.run.unacked until its release */
  uint64_t made_ns;      /* when it was published, if it is the first or last part of a timed request; otherwise 0 */
  char *buf;             /* malloc; freed with the part, kept with part0 */
  uint32_t used, cap;
} core_part;

/* =============================================================================
 * The memory that the event loop and Python share: one record for each exchange, and a few counters.
 *
 * Go allocates and recycles records. A record has three structs, each with its owner: the request, its run, and its
 * inputs. Before the last part is published, Python releases everything that the record owns (wsgi_drop). Records
 * contain no pointers to Go memory. */

enum { CORE_HTTP10, CORE_HTTP11, CORE_HTTP2 };

/* Same layout as http1.Field; spans into record.req.data. */
typedef struct {
  core_span name, value;
} core_field;

/* The next job of a record: run the request, take the next chunk of its iterator, or call its callbacks with its
 * inputs. */
enum { CORE_RUN, CORE_NEXT, CORE_INPUTS };

/* exchange.InputWindow and exchange.InputCost. */
#define CORE_INPUT_WINDOW (64 << 10)
#define CORE_INPUT_COST 64

/* Data that arrived for an exchange after it began (exchange.Input). Go allocates an input with malloc, and the Python
 * side frees it. */
typedef struct core_input {
  struct core_input *next;
  uint16_t code;
  uint8_t op, last;
  size_t len;
  char data[]; /* the data directly follows the other members, as Go expects */
} core_input;

/* The kinds of mounts; same values as MountKind. */
enum { CORE_WSGI, CORE_ASGI, CORE_ASYNC_HANDLER, CORE_WEBSOCKET };

/* State shared by pipelined requests of one connection. Allocated once for each connection slot, never freed. */
typedef struct {
  int64_t unacked; /* atomic: sum of record.run.unacked of all requests */
  int32_t running; /* atomic: number of requests that have started and have not published their last part */
} core_pipeline;

/* The request. Go's event loop writes it before core_flush; it is then constant for all threads until the last part is
 * published. The record owns its memory. */
struct core_request {
  uint32_t mount, log; /* log: number of its error log (core_errorlog.c); 0 means stderr */
  /* CLOCK_MONOTONIC at submission; CLOCK_MONOTONIC_COARSE unless waits are counted or the request is timed. */
  uint64_t since_ns;

  char *data; /* allocated by malloc: head, path, peer and body; freed or kept by Handler.Release */
  size_t cap;
  core_field *fields; /* allocated by malloc, and kept with the record */
  uint32_t nfields, fields_cap;
  core_span method, target, query, authority, path;
  core_span addr, port, server_name, server_port, socket_path;
  /* If one is empty, this means, in this order: http, the host of the request, not logged in. */
  core_span scheme, host, user;
  core_span tls;                    /* variables of mod_ssl, each "NAME=value" with a NUL; empty without TLS */
  uint16_t tls_version, tls_cipher; /* values of the TLS handshake; 0 without TLS */
  core_span tls_server;             /* the server's certificate in PEM, for the asyncio thread; empty if unknown */
  /* Length of SCRIPT_NAME, and length of its first part, which comes from a proxy or --root-path. */
  uint32_t script_len, root_len;
  /* peer_len is the number of bytes from addr on that environ has in addition to the head, without the port. */
  uint32_t head_len, peer_len;
  uint8_t version;                                            /* CORE_HTTP10 to CORE_HTTP2 */
  uint8_t head_only, has_length, has_body, chunked, trailers; /* trailers: the client gets trailers of the response */
  uint8_t by_form; /* the user has logged in by a form, not by Basic authentication */
  /* The client gets no traceback, because it used a host name that other people can point to this machine. */
  uint8_t foreign;
  uint8_t websocket;
  /* Another process has accepted the WebSocket, with this subprotocol and state (live_handover.c). */
  uint8_t handed;
  core_span subprotocol, state;
  uint8_t routed;            /* the server has rewritten path */
  uint8_t timed;             /* an access log or the client gets the times of the request */
  uint8_t own;               /* number of fields at the end of fields with the identity of the request */
  uint8_t more;              /* inputs will contain more of the body */
  uint8_t resumed;           /* the event loop has permitted the request to run */
  core_pipeline *pipeline;   /* NULL if the request was not pipelined */
  size_t body_off, body_len; /* position and length of the body, or of its first part, in data */
  int64_t size;
};

/* How the handler runs, and what is known of its response. The thread that runs the record writes it, under the GIL,
 * until it publishes the last part; wsgi_drop releases the objects of the record before. Go initializes the structure
 * for a new request. */
struct core_run {
  void *thread; /* the core_thread that runs the record and owns iter; NULL while the record is queued */
  /* Owned; Python's threads close these descriptors. */
  int32_t spool;    /* descriptor of a body in a file, or -1 */
  int32_t socket;   /* socket of the client, for an application that implements WebSocket itself; 0 if none */
  uint8_t started;  /* the first part was published */
  uint8_t parked;   /* guarded by the pool's mutex: an iterator or write() waits for the client */
  uint8_t whole;    /* the body has its declared length */
  uint8_t bodyless; /* the response has only a head: HEAD, 204, 304 */
  uint8_t single;   /* the result has one item, so its first chunk is the whole body */
  uint8_t counted;  /* the request is counted in pipeline->running */
  uint8_t taken;
  uint8_t hints;          /* number of early hints that were sent */
  uint16_t hint_bytes;    /* size of the values of the early hints */
  void *iter;             /* PyObject *, owned: iterator that yields the chunks */
  void *result;           /* PyObject *, owned: return value of the handler, whose close() will be called */
  void *start;            /* owned Start_response (PyObject *) */
  void *input;            /* PyObject *, owned: wsgi.input, or NULL for the shared empty one */
  void *environ;          /* PyObject *, owned while the response is made */
  void *disconnected;     /* PyObject *, owned: function fapws.disconnected in environ, or NULL */
  void *socket_object;    /* PyObject *, owned: object for the socket in environ, or NULL */
  void *exchange;         /* asgi_exchange *, owned: exists as long as this record; NULL if none */
  void *ws;               /* PyObject *, owned: argument of the callbacks of a WebSocket */
  core_input *batch;      /* owned: inputs that the thread has taken */
  int64_t declared, sent; /* Content-Length from the handler, -1 if none; bytes of the body that were published */
  int64_t credit;         /* bytes of inputs that the application has taken since the last CORE_OP_CREDIT */
  uint64_t chunk_ns;      /* moving average of one next() */
  uint64_t began_ns;      /* CLOCK_MONOTONIC when a timed request began to run; 0 before */
  int64_t unacked;        /* atomic: sum of core_part.unacked of published parts that are not released */
};

/* The inputs and events of an exchange after it has begun. The event loop adds inputs and events, and the thread that
 * runs the record takes them. All members are guarded by the pool's mutex. */
struct core_inputs {
  core_input *first, *last;                    /* owned, in order of arrival */
  struct core_record *event_next, *event_prev; /* neighbours in the list of the asyncio thread */
  uint8_t events;                              /* ASGI_EVENT_ bits; nonzero while the record is in that list */
  uint8_t closing;                             /* the exchange takes no further events */
  uint8_t open;                                /* a WebSocket of synchronous code takes inputs */
  uint8_t scheduled;                           /* the record is queued or runs */
  uint32_t senders;                            /* number of threads that wait in send() of the WebSocket */
  /* Atomic: time when the close frame of the client arrived, 0 before. For the asyncio thread only. */
  uint64_t closed_ns;
};

/* One exchange. Go allocates a record with calloc. A record in a list belongs to the list, then to the thread that took
 * the record, and after the last part to Go again. */
typedef struct core_record {
  struct core_record *next; /* in the free list, a queue, or an inbox */
  uint32_t ticket, serial;  /* serial changes each time the record is reused */
  uint32_t cancelled;       /* atomic; set by the loop */
  /* Atomic; set by the event loop: the client has shut down its sending side, and has probably disconnected. */
  uint32_t closing;
  uint8_t job; /* CORE_RUN ...; written by the owner */
  struct core_request req;
  struct core_run run;
  struct core_inputs inputs;
  core_part part0;
} core_record;

/* Requests do not start while more than this many bytes of large parts wait for the event loop. This bounds the
 * bytes that wait for clients. */
#define CORE_UNSEEN_MAX (8 << 20)

/* Counters that Go reads and writes without a call; all atomic. */
typedef struct {
  core_part *done;
  uint32_t wake_pending; /* the event loop is being woken */
  uint32_t queued;
  uint32_t turn;       /* inline mode: records wait for core_flush */
  uint32_t turning;    /* inline mode: core_flush is running records */
  uint32_t attended;   /* inline mode: finished parts are sent during a turn (Handler.Attend) */
  uint32_t unattended; /* inline mode: an iterator stopped because finished parts were not sent */
  uint32_t messages;   /* core_messages has messages to return */
  uint32_t purges;
  uint32_t parallel;   /* constant: several threads may run Python at the same time */
  uint32_t watched;    /* the application has registered on_join or on_leave */
  int64_t unseen;      /* bytes of large parts that the event loop has not handled */
  int64_t event_bytes; /* bytes of published events that the server has not handled (Handler.Dealt) */
} core_shared;

/* The identity of a request (http1.Identifier) differs in each request. Its fields are the last req.own fields, at the
 * end of the head. Any thread, without the GIL. */

/* Bytes of the head before these fields. */
static inline uint32_t core_shared_head(const core_record *rec) {
  return rec->req.own ? rec->req.fields[rec->req.nfields - rec->req.own].name.off : rec->req.head_len;
}

/* Whether f, one of these fields, is traceparent. The other field is x-request-id. */
static inline int core_is_trace(const core_record *rec, core_field f) { return rec->req.data[f.name.off] == 't'; }

/* The trace-id in the field traceparent, or the request id in the field x-request-id. */
static inline core_span core_id_in(const core_record *rec, core_field f) {
  return core_is_trace(rec, f) ? (core_span){f.value.off + 3, 32} : f.value;
}

/* The trace-id, or the request id. Empty if the request has none. */
static inline core_span core_id(const core_record *rec, int trace) {
  for (uint32_t i = rec->req.nfields - rec->req.own; i < rec->req.nfields; i++)
    if (core_is_trace(rec, rec->req.fields[i]) == trace) return core_id_in(rec, rec->req.fields[i]);
  return (core_span){0, 0};
}
static inline core_span core_trace_id(const core_record *rec) { return core_id(rec, 1); }
static inline core_span core_request_id(const core_record *rec) { return core_id(rec, 0); }

/* =============================================================================
 * The calls from Go, and their options. Any thread may make a call without the GIL, unless a comment says otherwise. */

typedef struct {
  /* Path of the interpreter that determines prefix and virtual environment, or NULL if Python searches for it. */
  const char *executable;
  const char *home;    /* prefix of the standard library, or NULL if Python searches for it */
  const char *script;  /* sys.argv[0]: the script as named on the command line */
  const char *contrib; /* directory of package fapws, or NULL */
  int argc;
  const char *const *argv; /* arguments after the script */
  int folders;
  const char *const *path; /* first directories of sys.path */
} core_start_options;

/* --- core_error.c: once, before live_start_python --------------------------------- */

/* Sets the local time of lines that C writes, independent of time.tzset in the application: offset is the number of
 * seconds east of UTC before the time until, after the change i - 1. Every i must be set. */
#define CORE_ZONE_CHANGES 40
void core_add_zone(int i, int64_t until, int32_t offset);

/* --- core_interp.c: on the thread that becomes Python's main thread ------------ */

/* Runs the file path (absolute) as __main__. Returns 0, or -1 if it raised an exception or called sys.exit. In this
 * case the traceback has been written, *code is the exit status, and *line is one line about the error, which the
 * caller frees, or NULL. Returns 1, with an exit status, if a handler for SIGTERM or SIGINT of the application ended
 * it. */
int core_run_script(const char *path, int *code, char **line);
/* Must be called after code of the user has been run or imported. If ok is 0, the code failed with the exception
 * raised, or with the current exception if raised is NULL; the result is as for core_run_script. line may be
 * NULL; name is the application in *line. GIL held. */
int core_script_ended(int ok, void *raised, const char *name, int *code, char **line);
/* Converts bytes from the operating system to a str: a new reference, or NULL. GIL held. */
void *core_text(const char *bytes);
/* Returns the version of the headers, "3.11.2", or "3.14.0t" for a free-threaded build, and the file of libpython,
 * for messages. Any thread. */
const char *core_python_version(void);
const char *core_library(void);
/* Releases the GIL after loading; the calling thread remains Python's main thread. */
void core_release_gil(void);
/* Takes the GIL again, on the same thread. */
void core_take_gil(void);
/* Returns the place of the code that Python's main thread executes, which the caller frees, or NULL if unknown. Any
 * thread, without the GIL, while Python runs. */
char *core_executing(void);
/* Runs atexit and finalises. Same thread. Returns Py_FinalizeEx's result. */
int core_finish(void);
/* Runs atexit functions on any thread, if the main thread is stuck. */
void core_run_atexit(void);

/* --- core_pool.c ---------------------------------------------------------------- */

/* The target of a mount. */
typedef struct {
  int kind;     /* CORE_WSGI to CORE_WEBSOCKET */
  int relative; /* ASGI: the path excludes root_path, as Starlette before 0.33 requires */
  void *callable;
  const char *place; /* CORE_WEBSOCKET: name of the WebSocket that is the same in all processes; copied */
  void *environ;     /* class of environ, or NULL for dict */
  void *start;       /* class of start_response, or NULL for the built-in class */
} core_target;

typedef struct {
  int threads; /* maximum number of threads; 0 means inline mode */
  int cpus;
  int debug;       /* 1 or more: browsers get tracebacks */
  int stamped;     /* stderr is an error log: lines have a date, a level and a client */
  int send_fields; /* which of CORE_SENDFILE and CORE_ACCEL have an effect */
  int multiprocess;
  int max_event;        /* maximum bytes of an event of a channel, in its transmitted form */
  const char *software; /* name of the server with its version; NULL for the name alone */
  int mounts;
  const core_target *targets;
  const char *const *names;
} core_options;

/* Sets how to wake the event loop (eventloop.Waker). Once, before the first core_flush. */
void core_pool_attach(int signals, int event, int32_t *state);
/* Starts the chain of records that begins at first (0 for none), and the records that received inputs by
 * core_deliver; in inline mode, runs all queued records. Event loop only. Returns the result of core_serve; in
 * threads mode returns -1 without waiting for the GIL. */
int core_flush(uintptr_t first);
/* Starts requests that waited because of CORE_UNSEEN_MAX. Event loop only. */
void core_loop_has_seen(void);
/* Ends core_serve; waits up to ms for the other threads. Returns how many did not end. */
int core_pool_stop(int ms);
/* Makes thread 0 run the application's signal handlers. Event loop only. */
void core_signalled(void);
/* Takes rec out of the queue and ends it, if no thread has taken it. Returns whether rec was in the queue. */
int core_dequeue_expired(uintptr_t rec);
/* If a thread still runs the job of a snapshot, makes another thread replace it (core_mode.replace), and returns 1. */
int core_mark_thread_stuck(int thread, uintptr_t rec, unsigned long jobs);

/* --- core_threads.c: without the GIL ----------------------------------------- */

/* Runs jobs on thread 0 until core_pool_stop, and returns -1, or until a signal handler of the application calls
 * sys.exit, and returns the exit status. GIL not held. */
int core_serve(void);

/* --- core_inline.c ----------------------------------------------------------- */

/* Runs the queued jobs in inline mode, such as on_close of WebSockets that closed while the server stopped. Later
 * turns of the event loop run nothing. Before core_finish, on the event loop, without the GIL. */
void core_inline_finish(void);
/* Returns the record that the loop runs in inline mode, or 0, and the number of its job. */
uintptr_t core_inline_record(unsigned long *jobs);

/* --- core_flow.c: without the GIL -------------------------------------------- */

/* Delivers an input and passes its ownership to the Python side. Nothing runs before core_flush. Event loop only. */
void core_deliver(uintptr_t rec, uintptr_t input);
/* Counts n bytes of rec as released, except those of its last part. */
void core_acked(uintptr_t rec, int64_t n);
/* Tells the Python side that the client of rec has disconnected. */
void core_cancel(core_record *rec);

/* --- core_output.c: without the GIL ------------------------------------------ */

/* Frees a part that is not part0, with everything it owns. */
void core_part_free(uintptr_t part);
/* Wakes the event loop unless a wake-up is under way. */
void core_wake_loop(void);

/* --- live_module.c ----------------------------------------------------------- */

/* Initialises Python. Returns 0, or -1 with *why pointing to static text. */
int live_start_python(const core_start_options *o, const char **why);
/* Creates the pool. GIL held, main thread. Returns the shared counters, or NULL with errno or an exception. */
core_shared *live_start_pool(const core_options *o);
/* Returns the class Environ of globals if it is a subclass of dict, and the class Start_response if it is a subclass
 * of the built-in class. A new reference, or NULL. GIL held. */
void *live_environ_class(void *globals);
void *live_start_class(void *globals);

/* --- asgi_thread.c --------------------------------------------------------------- */

/* Starts the asyncio thread, and the lifespan of each of n applications. lifespan is "auto", "on" or "off", loop
 * "auto", "asyncio" or "uvloop". GIL held, on the thread that loaded the application. Returns NULL when all have
 * started, or an error for the user, which the caller frees; "" if the error was written already. */
char *asgi_thread_start(const char *loop, const char *lifespan, void *const *applications, int n);
/* Ends tasks after at most ms milliseconds, then lifespans, then the thread. Waits for the thread for some more
 * seconds, or for one second if it was abandoned and has made no progress since. Returns whether the thread has ended.
 */
int asgi_thread_stop(int ms);

/* =============================================================================
 * Messages between Go and the Python side, in addition to requests and responses.
 *
 * All functions may be called on any thread without the GIL, unless a comment says otherwise. Texts are copied.
 * core_messages gives its memory to the caller. */

/* --- core_messages.c ------------------------------------------------------------ */

/* Kinds of messages from the application to the server. */
enum {
  CORE_PURGE = 1,   /* one text: a pattern of fapws.cache.purge in JSON */
  CORE_EVENT,       /* four texts: name of the channel, id, type, data */
  CORE_BROADCAST,   /* four texts: place of a WebSocket in PATHS, group (empty for all), op (1 byte), message */
  CORE_JOIN,        /* two texts: a WebSocket (ticket and serial of its record, uint32 each), group */
  CORE_LEAVE,       /* as CORE_JOIN */
  CORE_ERROR_LINES, /* two texts: number of an error log (int), lines for the log */
  CORE_FULL,        /* one text: a core_full */
};

/* Returns the messages since the last call: n bytes of malloc, which the caller frees, or NULL. A message is its kind
 * (1 byte), its length (4 bytes, native byte order) and its texts, each with its length. */
char *core_messages(size_t *n);

/* --- core_errorlog.c ------------------------------------------------------------ */

/* Adds an error log: a regular file that package logfile also writes. The error log is rotated before it exceeds max
 * bytes (0 for no limit), and at the time until (seconds since 1970). path is copied; if it is NULL, messages are
 * dropped. Returns the number of the log, or 0 without memory. Must be called on one thread before handlers run. */
int core_errorlog_add(const char *path, int64_t max, int64_t until);
/* Reports that the first written messages for that log, which were passed to the loop, are in the file. */
void core_errorlog_written(int number, uint64_t written, int64_t until);
/* Tells the error logs that the loop has ended. From then on, messages are written regardless of the size of the
 * file. */
void core_errorlog_direct(void);
/* Writes text, which may end within a line, to an error log; to stderr if number is 0 or the log cannot be written. */
void core_errorlog_write(int number, const char *text, size_t n);

/* --- live_channels.c ------------------------------------------------------------ */

/* Sets the number of subscribers of a channel, in this process or elsewhere: fapws.subscribers returns the sum. */
void live_count_subscribers(const char *name, size_t len, int elsewhere, int64_t subscribers);
/* The sum of the subscribers in all processes. Any thread, with or without the GIL. */
int64_t live_subscriber_count(const char *name, size_t len);

/* --- live_ipc.c ---------------------------------------------------------------- */

/* Passes a message to the asyncio thread if Python has requested messages. Returns 0 if the message is the first of a
 * series of messages that are dropped because the queue is full, otherwise 1. Copies topic and data. */
int live_ipc_put(const char *topic, size_t topic_len, const char *data, size_t n);

/* --- live_groups.c ----------------------------------------------------------- */

/* Places of broadcasts without an entry of PATHS. Places of entries have several lines. */
#define CORE_PLACE_ASGI "asgi"     /* the groups of ASGI WebSockets (fapws.groups) */
#define CORE_PLACE_PYTHON "python" /* messages between the Python code of all processes (live_ipc.c) */

/* =============================================================================
 * Metrics of the Python side.
 *
 * Histograms have the buckets of package metrics, which Go passes. Histograms are written under the GIL and read at any
 * time: all members are atomic. */

#define CORE_BUCKETS_MAX 32

/* --- core_metrics.c -------------------------------------------------------------- */

typedef struct {
  int64_t counts[CORE_BUCKETS_MAX];
  int64_t sum_ns;
} core_durations;

/* Starts to count. bounds are the upper bounds of the buckets but the last, in ns, n < CORE_BUCKETS_MAX; copied. A
 * second call does nothing. Any thread, one at a time. */
void core_count_waits(const int64_t *bounds, int n);

#define CORE_MAX_THREADS 256 /* maximum number of threads of a process for handlers */

typedef struct {
  int live, idle, stuck; /* numbers of threads; a thread is stuck if its request has timed out */
  /* threads that do not count, because they have waited for something other than the GIL for a long time */
  int aside;
  int waiting;         /* threads that wait for the GIL, with a request */
  uint64_t first_ns;   /* how long the first request has waited for a thread; 0 if a thread is idle */
  uint64_t stalled_ns; /* how long requests have waited without a thread taking one */
  int queued;
  const core_durations *queue_wait; /* from the arrival of a request until its handler begins */
  const core_durations *gil_wait;   /* waits of a thread for the GIL before it runs a handler */
} core_waits;

void core_read_waits(core_waits *out);
/* Returns the families that the application has declared, in their order, as JSON of package metrics: *n bytes of
 * malloc, which the caller frees, or NULL if there are no families. One thread at a time, without the GIL. */
char *core_application_metrics(size_t *n);

typedef struct {
  int counted;
  int live;
  int replaced; /* number of counted threads that have waited for a long time, and therefore no longer count */
  unsigned queued;
  uint64_t first_ns; /* how long the first of these threads has waited */
} core_full;

/* =============================================================================
 * The whole process: crashes and forks.
 *
 * The caller keeps the descriptors that it passes, and must not close them. Texts are copied, unless a comment says
 * otherwise. The functions of this section do not need the GIL. */

/* --- core_crash.c --------------------------------------------------------------- */

/* From now on a crash in C code, or os._exit(), is reported in one line. name is the application that is being
 * loaded, and is copied: the process then exits with status 3. NULL means that the application has been loaded. One
 * thread at a time. */
void core_crash_watch(const char *name);
/* Also sends the line about a crash to the socket fd, in a message that begins with the len bytes of before, at most
 * 64. fd must remain open; before is copied. Once, before core_crash_watch. */
void core_crash_tell(int fd, const void *before, size_t len);

/* --- core_gocrash.c -------------------------------------------------------------- */

/* Returns the descriptor for debug.SetCrashOutput, which the caller owns, or -1. Once. */
int core_gocrash_watch(void);
/* Registers fd as a descriptor that Go's runtime needs. Before the application is loaded. */
void core_gocrash_needs(int fd);

/* --- core_fork.c ---------------------------------------------------------------- */

/* Processes that the application forks will close fd and all connections accepted from fd. The server must never close
 * fd, such as a listener. One thread at a time. */
void core_keep_from_children(int fd);

/* =============================================================================
 * Stacks of threads and tasks, and the end of those that take too long. Go sees this header.
 *
 * A snapshot is the caller's, with its text. The record of a snapshot is only a number to compare: the record may have
 * ended. */

typedef struct {
  core_record *rec;
  uint32_t serial;
  int thread;
  unsigned long jobs; /* number of jobs that the thread had taken */
  /* Allocated by malloc, or NULL; the caller frees it. File, line and function of each frame, each with a NUL. The
   * innermost frame comes first. */
  char *stack;
  size_t stack_len;
} core_snapshot;

/* --- core_stack.c --------------------------------------------------------------- */

/* Whether a thread of Python, also one of the application, waits for a developer: it is in a function of sys.settrace
 * or sys.monitoring, or an interactive console is on its stack. Takes the GIL, on any thread that is not Python's. */
int core_is_at_console(void);
/* Returns 1 if a thread runs rec, and rec is the thread's job number jobs; jobs is 0 for any. In this case, fills *out,
 * and makes the thread raise fapws.Timeout as soon as it executes bytecode. Takes the GIL, on any thread that is not
 * Python's. */
int core_raise_timeout(uintptr_t rec, uint32_t serial, unsigned long jobs, core_snapshot *out);
/* Fills in which threads run callbacks of open WebSockets, without their stacks, for at most max threads. Returns their
 * number. */
int core_running_callbacks(core_snapshot *out, int max);
/* States of an active record. *thread is set except for CORE_QUEUED. */
enum { CORE_QUEUED, CORE_RUNNING, CORE_WAITING, CORE_PARKED, CORE_ANSWERED, CORE_OPEN, CORE_MESSAGES, CORE_AWAITING };
int core_record_state(uintptr_t rec, int *thread);
/* Begins a profile that ends after seconds. Returns 0 if a profile is already being recorded, -1 after an exception,
 * which it has printed. Takes the GIL as core_raise_timeout does. */
int core_profile_begin(double seconds);
/* Returns the stacks of that profile as JSON, [{"frames": [...], "n": 1}, ...], which the caller frees, or NULL with an
 * exception. Takes the GIL as core_raise_timeout does. */
char *core_profile_stacks(void);
/* Writes the stacks of all Python threads without the GIL, as faulthandler does. Returns the file that holds them,
 * from offset 0, which the caller must not close, or -1 if stacks are not available or the application has closed
 * the file. Any thread, one at a time. */
int core_dump_stacks(void);

/* --- asgi_stack.c ---------------------------------------------------------- */

/* Takes the GIL, on any thread that is not Python's, and fills in the jobs of threads and tasks, at most max. Returns
 * their number. */
int asgi_sample_stacks(core_snapshot *out, int max);
/* If the task of rec has not ended, fills *out and returns 1 if the task will be cancelled, or 2 if it is running
 * and fapws.Timeout is raised in it. Takes the GIL as core_raise_timeout does. */
int asgi_raise_timeout(uintptr_t rec, uint32_t serial, core_snapshot *out);
/* Whether the asyncio thread has made no progress since asgi_raise_timeout returned how: the task still runs, or is not
 * yet cancelled. Without the GIL. */
int asgi_is_stuck(uintptr_t rec, uint32_t serial, int how, unsigned long jobs);
/* A number that changes whenever the asyncio thread does something for the server. */
unsigned long asgi_progress(void);
/* Whether work waits for the asyncio thread, which has not moved since progress, and whose current code belongs to no
 * active request: it may be the rest of an ended request, a task of the application, or a callback. Returns 0 if the
 * thread was already abandoned at this place. */
int asgi_is_stalled(unsigned long progress);
/* Abandons the thread at its current place: a shutdown does not wait for it. */
void asgi_give_up(void);
/* Fills in the stack of the asyncio thread. Takes the GIL as core_raise_timeout does. */
void asgi_take_snapshot(core_snapshot *out);
