/* The boundary between Go and the interpreter: flat data and a few calls.
 *
 * Go sees this header only; Python.h stays behind it. Numbers and offsets
 * cross, pointers to Go memory never do. doc.go says who owns which buffer.
 */
#ifndef FAPWS_SHIM_H
#define FAPWS_SHIM_H

#include <stddef.h>
#include <stdint.h>

/* Same layout as http1.Span and http1.Field; offsets into record.data. */
typedef struct {
  uint32_t off, len;
} fapws_span;

typedef struct {
  fapws_span name, value;
} fapws_field;

/* Same values as exchange.TypeHint. */
enum { FAPWS_TYPE_SET, FAPWS_TYPE_HTML, FAPWS_TYPE_BINARY, FAPWS_TYPE_JSON, FAPWS_TYPE_BY_NAME };

/* Fields of a response that have a file sent (bits). */
enum { FAPWS_SENDFILE = 1, FAPWS_ACCEL = 2 };

struct fapws_record;

/* One piece of a response. Made by a Python thread, read by Go between
 * Handler.Next and Handler.Release. */
typedef struct fapws_part {
  struct fapws_part *next; /* in the list of finished parts */
  struct fapws_record *rec;
  uint32_t ticket;
  uint8_t first, last, failed;
  uint8_t type, has_date, has_server, close_conn;
  int32_t status;
  int64_t length;                    /* Content-Length of the whole body, -1 unknown */
  uint32_t reason_off, reason_len;   /* in buf */
  uint32_t fields_off, fields_len;   /* in buf */
  uint32_t name_off, name_len;       /* in buf: file name that gives the type */
  uint32_t static_off, static_len;   /* in buf: options of a Staticfile that answers instead */
  uint32_t path_off, path_len;       /* in buf: its PATH_INFO */
  uint8_t program;                   /* it is a CGIApplication, and path is SCRIPT_NAME with PATH_INFO */
  uint32_t script_len;               /* of the former */
  uint32_t send_off, send_len;       /* in buf: what X-Sendfile says, or X-Accel-Redirect */
  uint8_t accel;                     /* it is the latter */
  uint32_t channel_off, channel_len; /* in buf: what Fapws-Channel says */
  uint8_t failure;                   /* the handler has failed: the page is one for want of a better */
  uint8_t op;                        /* as exchange.Op; FAPWS_OP_BODY of a response */
  uint8_t websocket;                 /* it accepts a WebSocket */
  uint8_t taken;                     /* the application has used record.socket */
  uint16_t code;                     /* of FAPWS_OP_CLOSE */
  uint32_t subprotocol_off, subprotocol_len; /* in buf: of the WebSocket that is accepted */
  int64_t credit;                    /* of FAPWS_OP_CREDIT */
  int64_t behind;                    /* it may leave when the server has numbered that much of what was published (order.go) */
  const char *body;                  /* in buf, or in owner's memory */
  uint32_t body_off;                 /* where in buf; body is set when buf has stopped growing */
  size_t body_len;
  void *owner;                       /* PyObject * that keeps body alive, or NULL; freed by the thread that collects garbage */
  struct fapws_shared_body *shared;  /* what body is in, with that of other parts, or NULL */
  int32_t file;                      /* descriptor, or -1; closed by Release */
  int64_t offset, count;             /* bytes of file */
  char *buf;                         /* malloc; freed with the part, kept with part0 */
  uint32_t used, cap;
} fapws_part;

/* What a thread shall do with a record. */
enum { FAPWS_RUN, FAPWS_NEXT, FAPWS_INPUTS };

/* Same values as exchange.Op. */
enum { FAPWS_OP_BODY, FAPWS_OP_TEXT, FAPWS_OP_BINARY, FAPWS_OP_CLOSE, FAPWS_OP_CREDIT, FAPWS_OP_DEFERRED };

/* exchange.InputWindow and exchange.InputCost. */
#define FAPWS_INPUT_WINDOW (64 << 10)
#define FAPWS_INPUT_COST 64

/* What has arrived for an exchange since it began (exchange.Input). Made by Go
 * (malloc), freed by the Python side. */
typedef struct fapws_input {
  struct fapws_input *next;
  uint16_t code; /* of FAPWS_OP_CLOSE */
  uint8_t op, last;
  size_t len;    /* of data */
  char data[];   /* right behind the rest, as Go expects */
} fapws_input;

/* What a mount is. */
enum { FAPWS_WSGI, FAPWS_ASGI, FAPWS_ASYNC_HANDLER, FAPWS_WEBSOCKET };

/* What has happened to a record that the asyncio thread runs (bits). */
enum {
  FAPWS_EVENT_RUN = 1,      /* it is new */
  FAPWS_EVENT_NEXT = 2,     /* its iterator may go on */
  FAPWS_EVENT_INPUT = 4,    /* inputs have come */
  FAPWS_EVENT_ROOM = 8,     /* the client has taken enough of what was sent */
  FAPWS_EVENT_GONE = 16,    /* the client has left */
  FAPWS_EVENT_OVERDUE = 32, /* its time is up */
};


/* One exchange. Allocated with calloc, recycled by Go. The first half is
 * written by Go before fapws_submit and read-only afterwards; the second half
 * belongs to the Python side until the Last part is released. */
/* What requests of one connection share that were sent before the answers to those ahead of them. */
typedef struct {
  int64_t unacked; /* atomic: sum of record.unacked */
  int32_t running; /* atomic: those that were started and have not published their last part */
} fapws_pipeline;

typedef struct fapws_record {
  struct fapws_record *next; /* in the free list, a queue, or an inbox */
  uint32_t ticket;
  uint32_t mount;
  uint32_t log;       /* number of its error log (errorlog.c); 0: stderr */
  uint32_t cancelled; /* atomic; set by the loop */
  uint32_t serial;    /* differs each time the record is used */
  uint64_t since_ns;  /* of CLOCK_MONOTONIC_COARSE: when it was submitted */

  char *data; /* malloc: head, path, peer, body; freed by fapws_record_trim or kept */
  size_t cap;
  fapws_field *fields; /* malloc; spans into data */
  uint32_t nfields, fields_cap;
  fapws_span method, target, query, authority, path;
  fapws_span addr, port, server_name, server_port;
  fapws_span scheme, host, user; /* empty: http, what the request says, nobody */
  uint32_t script_len;
  uint32_t head_len, peer_len; /* peer_len: from addr on, all that environ takes from elsewhere than the head, but the port */
  uint8_t minor, head_only, has_length, has_body, chunked;
  size_t body_off;
  int64_t size; /* bytes of body */
  int32_t spool; /* descriptor of a body in a file, or -1; closed by the Python side */

  uint8_t job;
  uint8_t started;  /* the first part was published */
  uint8_t parked;   /* guarded by the pool's mutex: an iterator or write() waits for the client */
  uint8_t whole;    /* the declared length has been sent */
  uint8_t bodyless; /* the head is all there is: HEAD, 204, 304 */
  uint8_t single;   /* the result has len() 1: its first chunk is all */
  void *thread;     /* struct fapws_thread * that took it and owns iter; NULL in the queue */
  void *iter;       /* PyObject *: what yields chunks */
  void *result;     /* PyObject *: what close() is called on */
  void *start;      /* PyObject *: Start_response */
  void *input;      /* PyObject *: wsgi.input, or NULL for the shared empty one */
  void *environ;    /* PyObject * kept while a response streams */
  int64_t declared; /* Content-Length the handler set, -1 none */
  int64_t sent;     /* body bytes published */
  uint64_t chunk_ns; /* moving average of one next() */
  int64_t unacked;  /* atomic: published and not yet released bytes */
  int64_t event;    /* atomic: fapws_shared.events as its code has published the last one; 0: none */
  int64_t behind;   /* of the loop: that of the last part that was held back */
  fapws_pipeline *pipeline; /* of its connection, lives as long as the process; NULL: it was sent alone */
  uint8_t counted;  /* in pipeline->running */
  uint8_t resumed;  /* the loop has decided that it runs */

  /* Of exchanges with inputs, and of those that the asyncio thread runs. */
  fapws_input *inputs, *inputs_tail; /* guarded by the pool's mutex: in the order in which they came */
  struct fapws_record *event_next, *event_prev; /* guarded likewise: in the list of the asyncio thread */
  uint8_t events;     /* guarded likewise: what has happened; not 0: it is in the list */
  uint8_t deaf;       /* guarded likewise: it ends, nothing can happen to it any more */
  uint8_t more;       /* the body goes on in inputs */
  uint8_t websocket;  /* the client asks for a WebSocket */
  uint8_t routed;     /* path is not that of the head: the server has rewritten it */
  uint8_t async;      /* the asyncio thread runs it */
  size_t body_len;    /* bytes of the body, or of its beginning, at body_off */
  int32_t socket;     /* of the client, for an application that speaks WebSocket itself; 0: none. Closed by the Python side */
  int64_t credit;     /* bytes of inputs that the application has taken and the loop does not know of */
  void *raw;          /* PyObject *: environ's object for socket, or NULL */
  uint8_t taken;      /* the application has used it */
  uint64_t closed_ns; /* atomic: when the close frame of a WebSocket came, 0: not yet; of the asyncio thread only */
  void *exchange;     /* fapws_exchange * that lives with this record, owned; NULL: none */

  /* Of WebSockets for synchronous code. */
  uint8_t open;       /* guarded by the pool's mutex: takes inputs */
  uint8_t scheduled;  /* guarded likewise: in the queue, or running */
  uint32_t senders;   /* guarded likewise: threads that wait in send() */
  fapws_input *batch; /* taken off inputs by the thread that runs it */
  void *ws;           /* PyObject *: what callbacks get */
  fapws_part part0;
} fapws_record;

/* Shared counters that Go reads and writes without a call (atomics). */
typedef struct {
  fapws_part *done;      /* stack of finished parts, newest first */
  uint32_t wake_pending; /* a wake-up of the loop is under way */
  uint32_t queued;       /* records that wait for a thread; written under the pool's mutex */
  uint32_t turn;         /* inline mode: fapws_turn has something to do */
  uint32_t messages;     /* fapws_messages has something */
  uint32_t purges;       /* bytes of patterns among them */
  uint32_t watched;      /* the application has registered on_join or on_leave */
  int64_t event_bytes;   /* of events that were published and that the server has not dealt with */
  int64_t events;        /* cost of all events that were published, ever */
  int64_t others_event;  /* events, as code that belongs to no record has published the last one */
} fapws_shared;

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
/* The file of libpython, for messages. Any thread. */
const char *fapws_library(void);
/* Gives up the GIL after loading; the calling thread stays Python's main thread. */
void fapws_release_gil(void);
/* Takes it again, on the same thread. */
void fapws_take_gil(void);
/* Runs atexit and finalises. Same thread. Returns Py_FinalizeEx's result. */
int fapws_finish(void);
/* Runs atexit functions on any thread, for when the main one is stuck. */
void fapws_run_atexit(void);

/* Records and parts cross as numbers: cgo examines every pointer it passes. */

/* --- pool.c ---------------------------------------------------------------- */

/* What a mount calls: PyObject * that live as long as the process. */
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
/* Appends a chain of n records linked by next. Loop only. Never blocks on the
 * GIL in threads mode, and returns -1; in inline mode it is fapws_turn too. */
int fapws_submit(uintptr_t first, uintptr_t last, int n);
/* Inline mode: runs what waits, and gives iterators a turn. Returns as fapws_serve. */
int fapws_turn(void);
/* Thread 0: runs jobs until fapws_pool_stop (-1) or until a signal handler of
 * the application calls sys.exit (its status). GIL not held. */
int fapws_serve(void);
/* Any thread. Ends fapws_serve; waits up to ms for the other threads.
 * Returns how many did not end. */
int fapws_pool_stop(int ms);
/* Hands over an input, which belongs to the Python side from now on. Nothing runs
 * before fapws_deliver_flush. Loop only. */
void fapws_deliver(uintptr_t rec, uintptr_t input);
/* Starts what was delivered. Loop only; returns as fapws_submit. */
int fapws_deliver_flush(void);
/* Any thread: n bytes of rec, not those of its last part, were released. */
void fapws_acked(uintptr_t rec, int64_t n);
/* Any thread: nobody waits for rec. */
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
/* As fapws_submit, for records whose mount is the asyncio thread's. */
void fapws_async_submit(uintptr_t first, uintptr_t last, int n);
/* Any thread: ends tasks after ms at most, then lifespans, then the thread, for which it waits some
 * seconds more; one that was given up, and has not moved since, has one second. Returns whether
 * it has ended; 1 if there is none. Without the GIL. */
int fapws_async_stop(int ms);

/* --- messages.c ------------------------------------------------------------ */

/* Kinds of messages from the application to the server. */
enum {
  FAPWS_PURGE = 1, /* one text: a pattern of fapws.cache.purge, in JSON */
  FAPWS_EVENT,     /* four: name of the channel, id, type, data */
  FAPWS_BROADCAST, /* four: place of a WebSocket in PATHS, group (empty: all), op (1 byte), message */
  FAPWS_JOIN,      /* two: a WebSocket (ticket and serial of its record, uint32 each), group */
  FAPWS_LEAVE,     /* likewise */
  FAPWS_ERROR_LINES, /* two: number of an error log (int), lines for it */
};

/* What was said since the last call: n bytes; malloc, freed by the caller. NULL:
 * nothing. A message is its kind (1 byte), its length (4 bytes, as this machine
 * writes them) and its texts, each with its length. Any thread. */
char *fapws_messages(size_t *n);

/* --- errorlog.c ------------------------------------------------------------ */

/* Adds an error log: a regular file that package logfile writes as well, and rotates
 * before it exceeds max bytes (0: any) and, by time, at until (seconds since 1970). path NULL:
 * what is said is dropped. Returns its number, 0: no memory. Before
 * handlers run, one thread. */
int fapws_errorlog_add(const char *path, int64_t max, int64_t until);
/* The messages for that log which the loop was given are in the file. Any thread. */
void fapws_errorlog_written(int number, uint64_t written, int64_t until);
/* From now on nobody takes messages: what is said is written whatever the size of the file. Any thread. */
void fapws_errorlog_direct(void);
/* Writes text, which may end within a line, to an error log; 0, or if that cannot be: to stderr. Any thread, without the GIL. */
void fapws_errorlog_write(int number, const char *text, size_t n);

/* --- channels.c ------------------------------------------------------------ */

/* How many listen to a channel from now on, in this process or in others: the sum
 * is what fapws.listeners says. Any thread, without the GIL. */
void fapws_count_listeners(const char *name, size_t len, int elsewhere, int64_t listeners);

/* --- mail.c ---------------------------------------------------------------- */

/* Has the asyncio thread take a message, if Python has asked for them. 0: there is no room, and it is
 * lost. Any thread, without the GIL. */
int fapws_mail_put(const char *topic, size_t topic_len, const char *data, size_t n);

/* --- broadcast.c ----------------------------------------------------------- */

/* Places of broadcasts that belong to no entry of PATHS, whose places have several lines. */
#define FAPWS_PLACE_ASGI "asgi"     /* the groups of ASGI WebSockets (fapws.groups) */
#define FAPWS_PLACE_PYTHON "python" /* messages between the Python code of all processes (mail.c) */

/* Bytes that parts for many clients have in common, with one reference; malloc. 0: no
 * memory. Any thread. */
uintptr_t fapws_share(const char *data, size_t n);
/* Takes one more. */
void fapws_share_again(uintptr_t shared);
/* Gives a reference up. Any thread. */
void fapws_unshare(uintptr_t shared);
/* A part for rec with a message that is shared, which gets a reference, ready for the loop as if
 * it had been published. 0: no memory. Loop only. */
uintptr_t fapws_shared_part(uintptr_t rec, uintptr_t shared, int op);
/* Likewise, the end of rec's WebSocket. */
uintptr_t fapws_close_part(uintptr_t rec, int code, const char *reason, size_t n);

/* --- fork.c ---------------------------------------------------------------- */

/* A listener, or another descriptor that stays open for good: children that
 * the application forks close it, and all connections that were accepted from
 * it. Any thread, but one at a time. */
void fapws_keep_from_children(int fd);

/* --- forkserver.c ---------------------------------------------------------- */

/* Forks a child for each request that is asked for on the control socket, until its
 * other end is closed; then ends the children, and returns 0. -1: out of memory. On Python's main
 * thread, without the GIL, after fapws_pool_start in inline mode. */
int fapws_forkserver(int control);

/* --- lost.c ---------------------------------------------------------------- */

/* Any thread, without the GIL: takes rec out of the queue and ends it, if no
 * thread has taken it. Returns whether it was there. */
int fapws_abandon(uintptr_t rec);
/* Any thread, without the GIL: no longer counts a thread that has not come back
 * from the job that a sighting saw. Returns whether it had not. */
int fapws_write_off(int thread, uintptr_t rec, unsigned long jobs);

/* --- sight.c --------------------------------------------------------------- */

/* What one thread runs. */
typedef struct {
  fapws_record *rec;
  uint32_t serial;
  int thread;         /* its index; -1: the asyncio thread */
  unsigned long jobs; /* how many it had taken */
  char *stack;        /* malloc, or NULL; freed by the caller. File, line, function, each with a NUL, innermost first */
  size_t stack_len;
} fapws_sighting;

/* Takes the GIL, on any thread that is not Python's, and fills in what threads
 * run, at most max. Returns how many it has filled in. */
int fapws_look(fapws_sighting *out, int max);
/* Takes the GIL likewise. If a thread runs rec: fills *out, raises fapws.Timeout
 * in the thread (as soon as it comes back to bytecode) and returns 1. */
int fapws_interrupt(uintptr_t rec, uint32_t serial, fapws_sighting *out);
/* The same, if it is still the one job of the thread. */
int fapws_interrupt_job(uintptr_t rec, uint32_t serial, unsigned long jobs, fapws_sighting *out);
/* Which threads run callbacks of open WebSockets, without their stacks and without the GIL. Returns
 * how many of out, at most max, it has filled in. */
int fapws_callbacks(fapws_sighting *out, int max);
/* Takes the GIL likewise. If the task of rec has not ended: fills *out with where it stands, and ends it:
 * returns 1 when it will be cancelled, 2 when it is at work, and fapws.Timeout is raised in it. */
int fapws_async_interrupt(uintptr_t rec, uint32_t serial, fapws_sighting *out);
/* Some time later, without the GIL: whether the asyncio thread is where it was, since the task has
 * not been cancelled yet, or is still at work. */
int fapws_async_stuck(uintptr_t rec, uint32_t serial, int how, unsigned long jobs);
/* A number that changes with all that the asyncio thread does for the server. Any thread, no GIL. */
unsigned long fapws_async_progress(void);
/* Whether something waits for the asyncio thread, which has not moved since progress, and runs nothing that
 * belongs to a request in flight: what is left of one, a task of its own, a callback. 0 if it was given
 * up there already. Likewise. */
int fapws_async_stands(unsigned long progress);
/* Notes that the thread is given up where it is: the end does not wait for it. Likewise. */
void fapws_async_give_up(void);
/* Takes the GIL likewise: what the asyncio thread runs. */
void fapws_async_thread(fapws_sighting *out);
/* Writes the stacks of all Python threads without the GIL, as faulthandler does,
 * and returns the file that holds them, from offset 0. -1: not
 * available, or the application has closed the file. Any thread, one at a time. */
int fapws_dump_stacks(void);
/* Where a record in flight is; *thread is set except for FAPWS_QUEUED. */
enum { FAPWS_QUEUED, FAPWS_RUNNING, FAPWS_WAITING, FAPWS_PARKED, FAPWS_ANSWERED, FAPWS_OPEN, FAPWS_MESSAGES, FAPWS_AWAITING };
int fapws_whereabouts(uintptr_t rec, int *thread);
/* Inline mode, any thread: what the loop runs, 0 for nothing, and the number of its job. */
uintptr_t fapws_inline_record(unsigned long *jobs);
/* The version of the headers, "3.11.2". */
const char *fapws_python_version(void);
#endif
