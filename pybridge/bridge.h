/* Private to the C files of pybridge. All of it needs the GIL unless said. */
#ifndef FAPWS_BRIDGE_H
#define FAPWS_BRIDGE_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdint.h>
#include <stdio.h>

#include "shim.h"

#if PY_VERSION_HEX < 0x03090000
#define PyObject_CallNoArgs(f) PyObject_CallObject((f), NULL)
#define PyObject_CallOneArg(f, a) PyObject_CallFunctionObjArgs((f), (a), NULL)
#define PyObject_CallMethodNoArgs(o, n) PyObject_CallMethodObjArgs((o), (n), NULL)
#define PyObject_Vectorcall _PyObject_Vectorcall
#define FAPWS_HAVE_VECTORCALL _Py_TPFLAGS_HAVE_VECTORCALL
#else
#define FAPWS_HAVE_VECTORCALL Py_TPFLAGS_HAVE_VECTORCALL
#endif

#define LIKELY(x) __builtin_expect(!!(x), 1)
#define UNLIKELY(x) __builtin_expect(!!(x), 0)

/* A handler slower than this is run so that nobody waits behind it, if it waits
 * for something. One that only computes would not run faster beside others,
 * for the GIL lets one run: it has to be slower than the second. */
#define FAPWS_SLOW_NS 100000u
#define FAPWS_HEAVY_NS 1000000u

/* One entry of PATHS. */
typedef struct {
  int kind;     /* FAPWS_WSGI ... */
  int relative; /* ASGI: scope's path is what follows root_path */
  PyObject *state; /* ASGI: what its lifespan has put into scope['state'], a dict, or NULL; owned */
  PyObject *callable; /* owned */
  PyObject *name;     /* owned: what log lines call it */
  char *place;        /* of a WebSocket: what it is called in all processes; malloc. NULL: it is none */
  PyObject *environ;  /* borrowed: the class of its environ, NULL a dict */
  PyObject *start;    /* borrowed: the class of its start_response, NULL the built-in one */
  unsigned calls;
  uint64_t run_ns;    /* moving average of one call */
  uint64_t wait_ns;   /* the same, where calls count as 0 in which the thread never waited */
  uint64_t close_ns;  /* moving average of close() of its results */
  uint64_t chunk_ns;  /* moving average of one next() of its iterators */
} fapws_mount;

enum fapws_thread_state { FAPWS_THREAD_NEW, FAPWS_THREAD_IDLE, FAPWS_THREAD_BUSY, FAPWS_THREAD_GONE };

typedef struct fapws_thread {
  int index;
  enum fapws_thread_state state; /* guarded by pool.mu */
  pthread_t id;
  sem_t sleep;                   /* posted by who takes it out of IDLE */
  int retire;                    /* idle for long: it ends */
  fapws_record *inbox, *inbox_tail; /* guarded by pool.mu: iterators of this thread */
  int streams;                   /* iterators it owns; it may not retire before they end */
  unsigned long jobs;            /* guarded by pool.mu: how many it has taken */
  int prefer_inbox;              /* whose turn it is: iterators or new requests */
  int collect;                   /* woken to free released objects */
  int unsignalled;               /* parts published without waking the loop */
  uint64_t unsignalled_ns;       /* about how long they took */
  PyObject *spare_start;         /* a Start_response to use again */
  PyThreadState *python;         /* its state, from start to end */
  fapws_record *current;         /* whose code it runs; written under the GIL */
  int raised;                    /* under the GIL: current was told that its time is up */
  int signalled;                 /* likewise, by a signal that has not been handled yet */
  int lost;                      /* guarded by pool.mu: it does not return from its job */
  int is_async;                  /* it is the asyncio thread, and no thread of the pool */
} fapws_thread;

#define FAPWS_MAX_THREADS 256

typedef struct {
  fapws_shared shared;
  pthread_mutex_t mu; /* never held while waiting for the GIL */
  fapws_record *head, *tail;
  fapws_thread *drainer; /* the thread that takes the quick jobs one after the other */
  fapws_thread *threads[FAPWS_MAX_THREADS];
  int nthreads, live, idle, max;
  int lost; /* of live: written off, others may take their place */
  unsigned long pops; /* progress of the queue, for the monitor */
  int stopping;
  int serving; /* atomic: thread 0 has come; before, the first request waits for it */
  int check_signals;
  int inline_mode;
  int debug;
  int stamped;
  int send_fields;
  int max_event; /* 0: not known yet */
  int signal_fd, event_fd; /* of exchange.Waker */
  int32_t *loop_state; /* too: FAPWS_LOOP_... */
  fapws_part *garbage; /* atomic stack: parts whose owner awaits a decref */
  fapws_mount *mounts;
  int nmounts;
  int exit_code; /* what the application's signal handler asked for, -1 nothing */
  pthread_cond_t monitor;
  pthread_t monitor_id;
  int monitor_parked;
} fapws_pool;

extern fapws_pool fapws_the_pool;

uint64_t fapws_now_ns(void);

/* --- pool.c --- */
/* A condition whose deadlines are of CLOCK_MONOTONIC. */
void fapws_cond_init(pthread_cond_t *c);
/* What exchange.Waker says of the loop. */
#define FAPWS_LOOP_ASLEEP 1
#define FAPWS_LOOP_CALLED 2

/* The pool's mutex. fapws_unlock wakes whom fapws_wake_thread has named. */
void fapws_lock(void);
void fapws_unlock(void);
/* Takes t out of IDLE, if it is there. The mutex is held. */
void fapws_wake_thread(fapws_thread *t);
/* Ends fapws_serve with code. GIL not needed. */
void fapws_request_exit(int code);
/* Puts rec behind the other iterators of its thread. */
void fapws_requeue(fapws_record *rec);

/* Puts a chain into the queue, of which n are requests. The mutex is held. Inline,
 * somebody has to call fapws_turn, or fapws_want_turn. */
void fapws_enqueue(fapws_record *first, fapws_record *last, int n);

/* Wakes the monitor if it sleeps. The mutex is held. */
void fapws_rouse_monitor(void);

/* --- publish.c --- */
/* How long, about, finished parts may wait for others before the loop is told, if not many wait. */
#define FAPWS_UNSIGNALLED_NS 250000
/* Inline mode: makes the loop call fapws_turn soon. Any thread. */
void fapws_want_turn(void);
/* Puts a part where the loop finds it when it looks. Any thread. */
void fapws_hand_over(fapws_part *p);
/* Hands a part to the loop. The loop may read and release it at once. */
void fapws_publish(fapws_thread *t, fapws_part *p);
/* Wakes the loop if it does not know of all published parts. GIL not needed. */
void fapws_notify(fapws_thread *t);

/* --- messages.c --- */
typedef struct {
  const char *text;
  uint32_t len;
} fapws_bytes;
/* Most bytes of messages for error logs that wait for the loop. */
#define FAPWS_ERRORLOG_WAITS (4 << 20)
/* Keeps a message of n texts for the loop, and wakes it; 0: there is no room. Any thread, without the GIL too. */
int fapws_keep(uint8_t kind, const fapws_bytes *texts, int n);
/* The same. -1 with an exception. */
int fapws_say(uint8_t kind, const fapws_bytes *texts, int n);

/* --- errorlog.c --- */
/* A str, of whole lines, for an error log. Clears no exception and may set one. */
void fapws_errorlog_say(int number, PyObject *text);
/* error_lines(number, text): a method of module _fapws. */
PyObject *fapws_errorlog_method(PyObject *module, PyObject *args);
/* What is wsgi.errors of requests whose error log has that number. Borrowed; NULL: there is none. */
PyObject *fapws_errorlog_stream(int number);
/* Makes them. -1 with an exception. */
int fapws_errorlog_init(void);
/* In a child, of any kind, that was forked. */
void fapws_errorlog_forked(void);

/* --- deliver.c --- */
/* Puts rec into the queue unless it is there, or runs, or takes no inputs. The mutex
 * is held. Returns whether it did. */
int fapws_schedule(fapws_record *rec);
/* Frees a list of inputs. */
void fapws_free_inputs(fapws_input *in);

/* --- purge.c --- */
/* cache_purge(text): a method of module _fapws. */
PyObject *fapws_cache_purge(PyObject *module, PyObject *text);

/* --- flow.c --- */
void fapws_flow_init(void);
/* Defers rec, a request that t has taken, if the answers ahead of it are large or too many run. 1: rec is
 * the loop's until it is resumed. GIL not needed. */
int fapws_defer(fapws_thread *t, fapws_record *rec);
/* Whether rec's client is too far behind. */
int fapws_must_wait(fapws_record *rec);
/* Marks rec as waiting for the client unless there is room now; 1 if parked. */
int fapws_park(fapws_record *rec);
/* Blocks the thread, without the GIL, until rec's client has caught up or the time is
 * over, or nothing is to be sent to it any more; seconds < 0: no limit. Whether
 * there is room. */
int fapws_wait_for_client(fapws_record *rec, double seconds);
/* Makes all who wait so go on, and comes back when they are gone. The mutex is held. */
void fapws_release_senders(fapws_record *rec);
/* After write(): sleeps while rec's client is too far behind. */
void fapws_wait_for_room(fapws_record *rec);
/* Whether nobody waits for rec's response any more. Any thread. */
int fapws_is_cancelled(fapws_record *rec);

/* --- garbage.c --- */
/* Drops what the loop has released. */
void fapws_collect_garbage(void);

/* --- part.c --- */
fapws_part *fapws_part_new(fapws_record *rec, size_t room);
void fapws_part_reset(fapws_part *p, fapws_record *rec);
/* Room for n more bytes in p->buf; -1 and MemoryError. */
int fapws_part_reserve(fapws_part *p, size_t n);

/* --- stdio.c --- */
/* Puts a stream of which no write fails in the place of sys.stdout or sys.stderr. -1 with an exception. */
int fapws_stdio_init(const char *name, int fd);

/* --- interp.c --- */
/* signals_on_stack(): a method of module _fapws. Lets handlers of signals that others have installed not run on the stack they find. */
PyObject *fapws_signals_on_stack(PyObject *module, PyObject *none);
/* Runs the application's signal handlers; main thread only. */
void fapws_check_signals(void);
/* Makes signals of the application write to fd, so that somebody looks. */
void fapws_watch_signals(int fd);
/* Exit status of the current exception if it is SystemExit (cleared), else -1. */
int fapws_system_exit(void);

/* --- run.c --- */
/* Runs rec's job on t to the point where t is free again. */
void fapws_run(fapws_thread *t, fapws_record *rec);
/* Moves a moving average towards sample, in ns. */
void fapws_average(uint64_t *average, uint64_t sample);
/* How long a call takes, for the averages of its mount. */
typedef struct {
  uint64_t began;
  long waits;
  uint8_t timed, watched;
} fapws_timing;
void fapws_begin_timing(fapws_timing *x, fapws_mount *m);
void fapws_end_timing(const fapws_timing *x, fapws_mount *m);

/* --- websocket.c --- */
enum { FAPWS_WS_OPENING, FAPWS_WS_OPEN, FAPWS_WS_CLOSING, FAPWS_WS_CLOSED };

/* What the callbacks of a WebSocket get. */
typedef struct {
  PyObject_HEAD
  fapws_record *rec;   /* NULL when the exchange has ended; under the GIL */
  PyObject *environ;   /* dict, made when somebody asks for it */
  PyObject *protocol;  /* str, or NULL */
  PyObject *data;      /* the application's own */
  PyObject *refusal;   /* HTTPError that reject() has made */
  PyObject *reason;    /* str: what close() was given */
  PyObject *groups;    /* set of str: those that it has joined, or NULL */
  PyObject *weak;
  uint16_t code;       /* likewise */
  uint8_t state;
} fapws_ws_object;

/* The handshake of a WebSocket, and on_open. */
void fapws_ws_open(fapws_thread *t, fapws_record *rec);
/* Calls back with what has arrived. */
void fapws_ws_turn(fapws_thread *t, fapws_record *rec);
/* Says that the WebSocket is accepted. -1 with an exception. */
int fapws_ws_accept(fapws_ws_object *ws);
/* Hands a part to the loop, from a thread of any kind. */
void fapws_ws_publish(fapws_record *rec, fapws_part *p);
/* Sends the end of the WebSocket, and has on_close called. reason: a str or NULL. */
int fapws_ws_shut(fapws_ws_object *ws, int code, PyObject *reason);

/* --- rawsocket.c --- */
/* Puts rec->socket into rec->environ. -1 with an exception. */
int fapws_raw_offer(fapws_record *rec);
/* Whether the application has used it, so that there is no response. */
int fapws_raw_used(fapws_record *rec);
/* Closes what is left of it, and notes in rec->taken whether it was used. */
void fapws_raw_end(fapws_record *rec);

/* --- wsobject.c --- */
/* A part with a message: a str is text, bytes and what is like them are binary. NULL with
 * an exception. */
fapws_part *fapws_message_part(fapws_record *rec, PyObject *message);
/* Whether a close frame may have that code (RFC 6455 §7.4). */
int fapws_sendable(long code);
extern PyTypeObject fapws_WebSocketConnection_Type;
fapws_ws_object *fapws_ws_new(fapws_record *rec);
/* environ of the handshake. A new reference, or NULL with an exception. */
PyObject *fapws_ws_environ(fapws_ws_object *ws);
/* What is sent to a WebSocket, as bytes: those of an object that lives as long. */
typedef struct {
  PyObject *owner; /* a new reference */
  const char *data;
  Py_ssize_t len;
  int op;
} fapws_message;
/* Reads str, bytes and what is like them. -1 with an exception; owner is to be given up anyway. */
int fapws_read_message(PyObject *o, fapws_message *m);
/* broadcast(websockets, message): a method of module _fapws. */
PyObject *fapws_ws_broadcast(PyObject *module, PyObject *args);

/* --- broadcast.c --- */
PyObject *fapws_ws_broadcast_all(PyObject *module, PyObject *args);
PyObject *fapws_ws_count(PyObject *module, PyObject *args);
/* Says a broadcast to the loop: True, taken; False, too much waits, which may change; None, and will as
 * long as this thread does. NULL with an exception: it has more than most bytes. */
PyObject *fapws_broadcast_to(const char *place, const fapws_message *message, const fapws_bytes *group, int most);
/* What the loop knows a WebSocket by, also when another one has its record. */
static inline uint64_t fapws_socket_number(const fapws_record *rec) { return (uint64_t)rec->serial << 32 | rec->ticket; }
/* Methods of module _fapws for the groups of ASGI WebSockets. */
PyObject *fapws_group_join(PyObject *module, PyObject *args);
PyObject *fapws_group_leave(PyObject *module, PyObject *args);
PyObject *fapws_group_send(PyObject *module, PyObject *args);
PyObject *fapws_group_count(PyObject *module, PyObject *args);
/* ws.join(group), ws.leave(group). */
PyObject *fapws_ws_join(PyObject *self, PyObject *group);
PyObject *fapws_ws_leave(PyObject *self, PyObject *group);

/* --- mail.c --- */
/* mail_post(topic, data), mail_watch(): methods of module _fapws. */
PyObject *fapws_mail_post(PyObject *module, PyObject *args);
PyObject *fapws_mail_watch(PyObject *module, PyObject *none);
/* Hands what has arrived to Python. On the asyncio thread. */
void fapws_mail_deliver(void);

/* --- environ.c --- */
int fapws_environ_init(const fapws_pool_options *o);
/* environ of rec: a dict, or an instance of cls. input NULL: there is no body. */
PyObject *fapws_environ(fapws_record *rec, PyObject *cls, PyObject *input);
/* "GET /x HTTP/1.1" */
PyObject *fapws_request_line(fapws_record *rec);

/* --- input.c --- */
extern PyTypeObject fapws_Input_Type;
PyObject *fapws_input_new(fapws_record *rec);
/* What requests without a body share. Borrowed. */
PyObject *fapws_input_empty(void);
/* Cuts the object off from the record, which is about to be used again. */
void fapws_input_detach(PyObject *input);

/* --- start.c --- */
extern PyTypeObject fapws_Start_Type;

typedef struct {
  PyObject_HEAD
  vectorcallfunc vectorcall;
  fapws_record *rec; /* NULL when not in a request */
  int status;
  PyObject *reason;  /* str or NULL */
  char *buf;         /* fields, as on the wire; malloc */
  size_t len, cap;
  PyObject *list;    /* response_headers once somebody asked for it, else NULL */
  int64_t length;    /* Content-Length, -1 none */
  uint8_t called, sent, has_type, has_date, has_server, close_conn;
  uint8_t sends; /* which of the fields that have a file sent are in buf */
  uint8_t joins; /* Fapws-Channel is in buf */
} fapws_start_object;

/* --- fields.c --- */
/* The text of a str as latin-1 bytes, or NULL with an exception that names what. */
const char *fapws_latin1_text(PyObject *o, const char *what, Py_ssize_t *len);
/* Whether s, n bytes, has no control characters (RFC 9110 §5.5). */
int fapws_clean_value(const char *s, Py_ssize_t n);
/* Checks and appends one field, or all of an iterable of pairs. -1 with exception. */
int fapws_add_field(fapws_start_object *s, PyObject *name, PyObject *value);
int fapws_add_fields(fapws_start_object *s, PyObject *headers);
/* The same with pairs of bytes, as ASGI has them. */
int fapws_add_byte_fields(fapws_start_object *s, PyObject *headers);
void fapws_forget_fields(fapws_start_object *s);
/* Moves the value of a field that has a file sent to p. -1 with an exception. */
int fapws_take_sent(fapws_start_object *s, fapws_part *p);
/* The same for Fapws-Channel, of which there may be several. */
int fapws_take_channel(fapws_start_object *s, fapws_part *p);
/* Takes Fapws-Channel out of the fields. */
void fapws_forget_channel(fapws_start_object *s);

/* --- start.c, continued --- */
/* A fresh or recycled object for rec; cls NULL: the built-in type. */
PyObject *fapws_start_for(fapws_thread *t, fapws_record *rec, PyObject *cls);
/* Takes it back after the exchange. */
void fapws_start_done(fapws_thread *t, PyObject *start);
/* Brings buf up to date with response_headers. -1 with an exception. */
int fapws_start_settle(fapws_start_object *s);
/* Whether rec is, as it is now, answered with a file that a field names. -1 with
 * an exception. */
int fapws_sends_file(fapws_record *rec);
/* Writes head fields of the first part. -1 with an exception. */
int fapws_start_fill(fapws_start_object *s, fapws_part *p);

/* --- result.c --- */
/* 0: the response is published. 1: rec->iter is to be driven by fapws_stream.
 * -1: an exception is set; what has been published stays. Borrows result. */
int fapws_answer(fapws_thread *t, fapws_record *rec, PyObject *result);
/* Bytes of a chunk that an iterator or write() gave. A new reference to the
 * object that owns *data, or NULL with TypeError. *is_text as found. */
PyObject *fapws_chunk(PyObject *item, const char **data, Py_ssize_t *len, int *is_text);
/* Calls result.close() if there is one; errors are reported, not raised. */
void fapws_close_result(fapws_record *rec, PyObject *result);

/* --- stream.c --- */
/* Publishes one chunk, with the head if it is the first. -1 with exception. */
int fapws_send_chunk(fapws_thread *t, fapws_record *rec, PyObject *item);
/* Drives rec->iter until it ends, must wait, or others want the thread. */
void fapws_stream(fapws_thread *t, fapws_record *rec);
/* Publishes the last part and gives up what rec holds. */
void fapws_stream_end(fapws_thread *t, fapws_record *rec, int failed);

/* Gives up everything rec holds; before its last part is published. */
void fapws_drop(fapws_thread *t, fapws_record *rec);
/* Whether a response to rec with that status has no body (RFC 9110 §6.4.1). */
int fapws_bodyless(const fapws_record *rec, int status);

/* --- file.c --- */
extern PyTypeObject fapws_FileWrapper_Type;
/* If result is a real file or wraps one: fills p and returns 1. 0: it is not.
 * -1 with exception. */
int fapws_file_part(PyObject *result, fapws_part *p);
/* An iterator over blocks of a file-like object, or NULL without exception if
 * obj has no read(). */
PyObject *fapws_blocks(PyObject *obj);

/* --- error.c --- */
/* Reports the current exception in the error log of rec with the request line and answers
 * 500, or breaks the response off when it has begun. Clears the exception. */
void fapws_fail(fapws_thread *t, fapws_record *rec);
/* The same for a failure without an exception: one line says what it is. */
void fapws_fail_line(fapws_thread *t, fapws_record *rec, const char *detail);
/* Reports the current exception of an application whose response is complete: of
 * the request, the number of its error log, its method and target, and the client's address. */
void fapws_report_after(int log, PyObject *name, const char *line, int line_len, const char *addr, int addr_len);
/* Reports the current exception in the error log of rec, NULL: on stderr, with what it was about. */
void fapws_report(const char *what, fapws_record *rec);
/* One line about rec, in its error log. */
void fapws_log(fapws_record *rec, const char *format, ...);

/* --- sight.c --- */
/* fapws.Timeout */
extern PyObject *fapws_timeout;
/* The calling thread, if it runs handlers. */
extern __thread fapws_thread *fapws_this_thread;
/* environ['fapws.disconnected'] */
extern PyMethodDef fapws_disconnected_method;
/* Makes sure that a Timeout which was raised in t for its request hits no other. */
void fapws_take_back(fapws_thread *t);
/* Inline mode, main thread: takes a signal that ends waits of overdue handlers. */
void fapws_take_overdue_signal(void);

/* --- module.c --- */
PyObject *fapws_module_init(void);
typedef struct {
  PyObject_HEAD
  PyObject *options; /* str: JSON */
  PyObject *path;    /* bytes: PATH_INFO; for a program SCRIPT_NAME comes before it */
  int program;       /* whether it is one */
  uint32_t script_len;
} fapws_static_object;
extern PyTypeObject fapws_StaticAnswer_Type;

/* --- channels.c --- */
PyObject *fapws_channel_publish(PyObject *module, PyObject *args);
/* Makes room for cost bytes of events: 1. 0: too many wait, which may change. -1: too many
 * wait, and will as long as this thread does. Under the GIL. */
int fapws_reserve_event(int64_t cost);
void fapws_forget_event(int64_t cost);
/* Notes that an event was said to the loop: what the exchange that has published it still sends
 * leaves behind that event (order.go). A thread or task of the application's own belongs to no exchange that
 * could be known, so all exchanges wait for its events. */
void fapws_published_event(int64_t cost);
#define FAPWS_EVENT_COST 64 /* what an event counts besides its bytes */
#define FAPWS_LARGEST_EVENT (16 << 20) /* bytes of one before the settings are known */
/* The sum that fapws_count_listeners knows. GIL not needed. */
int64_t fapws_listener_count(const char *name, size_t len);
PyObject *fapws_channel_answer(PyObject *module, PyObject *args);
PyObject *fapws_channel_listeners(PyObject *module, PyObject *name);
PyObject *fapws_channel_watch(PyObject *module, PyObject *none);
typedef struct {
  PyObject_HEAD
  PyObject *names;   /* str, as Fapws-Channel has them */
  PyObject *start;   /* bytes: what the stream begins with */
  PyObject *headers; /* tuple of (name, value) */
} fapws_channel_object;
extern PyTypeObject fapws_ChannelAnswer_Type;
/* Puts what a channel object says into the fields of its answer. -1 with an exception. */
int fapws_channel_head(fapws_start_object *s, PyObject *answer);
/* What is called with notices for on_join and on_leave. A new reference. */
PyObject *fapws_noticed(void);
/* --- async.c --- */
/* The asyncio thread's part of fapws_drop, fapws_requeue and fapws_cancel; the
 * latter two on any thread. events: FAPWS_EVENT_... */
void fapws_async_forget(fapws_record *rec);
void fapws_async_happen(fapws_record *rec, unsigned events);
void fapws_async_bind(void);
/* The asyncio thread's part of fapws_deliver: nothing runs before fapws_async_wake. Any thread. */
void fapws_async_deliver(fapws_record *rec, fapws_input *in);
void fapws_async_wake(void);
/* Takes rec, which has not begun, out of the asyncio thread's list. Whether it was there. The pool's mutex is held. */
int fapws_async_abandon(fapws_record *rec);
/* The asyncio thread's part of fapws_look and fapws_whereabouts. */
int fapws_async_look(fapws_sighting *out, int max);
int fapws_async_whereabouts(fapws_record *rec);
/* Writes file, line and function of a frame, a NUL after each. */
void fapws_write_frame(FILE *out, PyObject *frame);
void fapws_write_stack(FILE *out, PyThreadState *state);
/* What t runs. GIL. */
void fapws_look_at(fapws_thread *t, fapws_sighting *out);

/* --- dump.c --- */
int fapws_dump_init(void); /* -1 with exception */

/* --- forkchild.c --- */
/* The socket of the one request that this process was forked for (--fork), or -1. */
extern int fapws_fork_socket;
/* Sends a finished part to it, and gives the part up. GIL held. */
void fapws_fork_send(fapws_part *p);
/* Sends what was said to the server (messages.c). Any thread, with or without the GIL. */
void fapws_fork_said(void);

/* --- fork.c --- */
extern volatile int fapws_forked;
int fapws_fork_init(void); /* -1 with exception */
/* In a child made by os.fork() that came back from its handler. No return. */
void fapws_child_exit(void) __attribute__((noreturn));

#endif
